"""The page of `benchmarks.training`'s result."""

from __future__ import annotations

from typing import Any

_NAMES = {
    "idefn_tf": "idefn_tf",
    "idefn_tf_bfloat16": "idefn_tf, `mixed_bfloat16`",
    "deepctr": "DeepCTR 0.9.4 (Keras, dense Adam)",
    "torch_rechub": "torch-rechub 0.9.0, given whole batches",
    "torch_rechub_own_loader": "torch-rechub 0.9.0, its own loader",
}


def page(result: dict[str, Any]) -> str:
    """Returns the result as Markdown."""
    task = result["task"]
    lines = [
        "# Training speed",
        "",
        f"`{result['command']}`: {task['model']}, {task['fields']} fields, "
        f"{task['table_rows']:,} ids, dimension {task['dimension']}, towers {task['towers']}, "
        f"batch {task['batch']:,}, {task['optimizer']}, {task['threads']} threads. Medians of "
        "stretches of 80 batches through `fit` with its metrics on, the first left out; the two on "
        f"Keras with `steps_per_execution={task.get('keras_steps_per_execution', 1)}`.",
        "",
    ]
    if "runs" in result:
        lines += [
            "| | samples/s | ours is | step, ms | peak memory, MiB | CTR AUC | CTCVR AUC |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, run in result["runs"].items():
            times = result["times"].get(name)
            lines.append(
                f"| {_NAMES[name]} | {run['samples_per_second']:,} "
                f"| {'' if times is None else f'{times} x'} | {run['step_ms']} "
                f"| {run['peak_memory_mib']:,} | {run.get('ctr_auc', '')} "
                f"| {run.get('ctcvr_auc', '')} |"
            )
        lines += [
            "",
            f"AUC on held-out rows after the same {task['rows']:,} rows (the run with its own "
            "loader is shorter). torch-rechub has BatchNorm in its towers, and no metrics while "
            "it trains.",
            "",
        ]
    if "times_in_bfloat16" in result:
        times = result["times_in_bfloat16"]
        lines += [
            "With our towers in `mixed_bfloat16`, and the others as they are: "
            + ", ".join(f"{times[name]} x {_NAMES[name]}" for name in times)
            + ".",
            "",
        ]
    if "step_ms_by_table_rows" in result:
        lines += ["| table rows | step, ms | distinct rows a batch |", "|---|---|---|"]
        for rows, step in result["step_ms_by_table_rows"].items():
            distinct = result["distinct_rows_per_batch"][rows]
            lines.append(f"| {int(rows):,} | {step} | {distinct:,} |")
        ratio = result["step_at_4_million_rows_over_10_thousand"]
        lines += ["", f"From 10,000 to 4,000,000 rows a step takes {ratio} times as long.", ""]
    if "input" in result:
        lines += _input(result["input"])
    if "profile" in result:
        lines += _profile(result["profile"])
    for part, facts in result["machine"].items():
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        lines.append(
            f"{part}: {facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, Python "
            f"{facts['python']}, {versions}; load {facts['load']}."
        )
    return "\n".join(lines) + "\n"


def _input(found: dict[str, Any]) -> list[str]:
    """The share of waiting by source, as TensorFlow's profiler and as our clock have it."""
    lines = [
        "| rows | waiting, by the profiler | ms a batch | beside a step of, ms "
        "| waiting, by our clock | ms a batch | beside a step of, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, by in found.items():
        cells = [
            f"{100 * by[one]['waiting_share']:.1f} % | {by[one]['waiting_ms']} "
            f"| {by[one]['step_ms']}"
            for one in ("profiler", "clock")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        "By the profiler: the time that the iterator's GetNext takes while `fit` trains, of the "
        "wall (`benchmarks/training/profile.py`). By our clock: a loop in place of fit's, one step "
        "at a time.",
        "",
    ]


def _profile(found: dict[str, Any]) -> list[str]:
    """The parts of a step."""
    lines = ["| part of a step | ms | share |", "|---|---|---|"]
    whole = sum(found["parts_ms"].values())
    for part, time in found["parts_ms"].items():
        if time < 0.005:
            continue
        lines.append(f"| {part} | {time:.2f} | {100 * time / whole:.0f} % |")
    return [
        *lines,
        f"| together | {whole:.2f} | |",
        "",
        f"Over {found['batches']} batches of `fit` under the profiler; what runs at once "
        "shares its time.",
        "",
    ]
