"""The page and the README's table, from rows."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.paper.overview import overview
from benchmarks.paper.published import PROTOCOL, published_auc
from benchmarks.paper.statistics import spread
from benchmarks.paper.summary import REFERENCES, groups, methods_of, values
from benchmarks.paper.variants import README_METHODS, VARIANTS
from idefn_tf._files import write_text

#: Where the README breaks its lines.
_WIDTH = 100
START, END = "<!-- results:start -->", "<!-- results:end -->"

#: Columns of a table: (heading, space, metric).
_COLUMNS = (
    ("CVR AUC all_raw", "all_raw", "cvr_auc"),
    ("all_funnel", "all_funnel", "cvr_auc"),
    ("clicked", "clicked", "cvr_auc"),
    ("unclicked_raw", "unclicked_raw", "cvr_auc"),
    ("oracle", "oracle", "cvr_auc"),
    ("KS all_raw", "all_raw", "cvr_ks"),
    ("LogLoss all_raw", "all_raw", "cvr_logloss"),
    ("CTR AUC", "all_funnel", "ctr_auc"),
)
_README_COLUMNS = tuple(c for c in _COLUMNS if "KS" not in c[0] and "LogLoss" not in c[0])

_SETTING = {
    "shipped": "the configs in `pipelines/configs/` (one loss scale, one L2 for all)",
    "fixed": "the paper's fixed setting: every method with its own published weights",
    "equal": "one loss scale and one tuning budget for every method",
    "one_point": "one loss scale, one L2 (1e-2) and one learning rate (1e-3) for every method",
}

#: How the README says what was tuned.
_TUNED = {
    "shipped": "one L2 for all, no method was tuned alone",
    "fixed": "weights and L2 are the published ones",
    "equal": "L2 and learning rate were chosen for each from one grid, on validation",
    "one_point": "one L2 for all, no method was tuned alone",
}


def markdown(result: Mapping[str, Any]) -> str:
    """Writes the page of one data set's results."""
    rows = result["rows"]
    parts = [f"# {result['name']}: methods compared\n", _about(result)]
    parts.append(overview(result))
    for setting, backbone in groups(rows):
        parts.append(f"\n## Setting `{setting}`, backbone `{backbone}`\n")
        parts.append(f"{_SETTING[setting]}; mean and standard deviation over seeds, test days.\n")
        parts.append(_table(result, setting, backbone))
        for reference in REFERENCES:
            table = _differences(result, setting, backbone, reference)
            if table:
                label = VARIANTS[reference].label
                parts.append(f"\n**Paired differences to {label}** (same seed, same rows)\n")
                parts.append(table)
            drawn = _bootstrap(result, setting, backbone, reference)
            if drawn:
                label = VARIANTS[reference].label
                said = _drawn(result["bootstrap"])
                parts.append(f"\n**The same, drawing {said}** (method minus {label})\n")
                parts.append(drawn)
        image = result["pictures"].get(f"{setting}/{backbone}")
        if image:
            parts.append(f"\n![every seed and the mean]({image})")
    for title, image in result["figures"].items():
        parts.append(f"\n## {title}\n\n![{title}]({image})")
    if result.get("tuned"):
        parts.append(_tuned(result["tuned"], rows))
    parts.append(_protocol())
    return "\n".join(parts).rstrip() + "\n"


def readme_block(result: Mapping[str, Any], setting: str, backbone: str) -> str:
    """Writes the README's table: methods, mean and spread, the command, what it is not."""
    methods = [m for m in README_METHODS if m in methods_of(result["rows"], setting, backbone)]
    seeds = {
        len(values(result["rows"], setting, backbone, m, "all_funnel", "cvr_auc")) for m in methods
    }
    data = result["data"]
    test = data["splits"]["test"]
    count = "/".join(str(n) for n in sorted(seeds))
    about = (
        f"Measured on a slice of KuaiRand-Pure: {data['rows']:,} exposures ({data['days']}). Its "
        f"{test['rows']:,} test rows hold {test['conversions']:,} conversions after a click and "
        f"{test['probes']:,} unclicked likes. CVR AUC on the test days, mean ± standard deviation "
        f"over {count} seeds:"
    )
    notes = (
        "All have one loss scale and early stopping on validation `all_funnel`; "
        f"{_TUNED[setting]}. AllNegative is IdeFN without the transport: what the transport "
        f"adds is IdeFN's difference to that row.{_transport(result, setting, backbone)} A slice "
        "is not the full data set, its split is ours, and these numbers are not comparable with "
        "the paper's. Paired tests and the paper's numbers: "
        f"[{result['page']}]({result['page']}); what the settings mean: "
        "[benchmarks/README.md](benchmarks/README.md)."
    )
    table = _grid(result, setting, backbone, methods, _README_COLUMNS)
    parts = (_wrap(about), table, f"```\n{result['command']}\n```", _wrap(notes))
    return "\n\n".join(parts)


def _transport(result: Mapping[str, Any], setting: str, backbone: str) -> str:
    """Says by how much IdeFN differs from AllNegative, where the bootstrap has told it."""
    wanted = (setting, backbone, "all_negative", "idefn", "all_raw")
    for d in result["bootstrap"]:
        keys = ("setting", "backbone", "reference", "method", "space")
        if tuple(d[key] for key in keys) == wanted:
            return (
                f" It is {d['mean']:+.4f} in `all_raw` ({d['low']:+.4f} to {d['high']:+.4f} in "
                f"95 % of bootstrap draws of {_drawn([d])})."
            )
    return ""


def _drawn(bootstrap: Sequence[Mapping[str, Any]]) -> str:
    """What the draws are of: results made before items were drawn do not say."""
    items = [len(d.get("over", ())) > 1 for d in bootstrap]
    if all(items):
        return "users, items and seeds"
    return "users and seeds" + (" (rows of new runs: items, too)" if any(items) else "")


def _wrap(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def replace_block(text: str, block: str) -> str:
    """Puts a block between the README's marks.

    Raises:
        ValueError: if the marks are not there exactly once each, in order.
    """
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ValueError(f"--readme: the file must hold {START} and then {END}, each once")
    before, rest = text.split(START)
    return f"{before}{START}\n{block}\n{END}{rest.split(END)[1]}"


def write_readme(path: Path, block: str) -> None:
    """Replaces the README's table, whole or not at all."""
    write_text(path, replace_block(path.read_text(encoding="utf-8"), block))


def _about(result: Mapping[str, Any]) -> str:
    data, machine = result["data"], result["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    lines = [
        f"{data['description']}. {data['rows']:,} exposures, {data['days']}.",
        "",
        "| part | rows | clicks | conversions after a click | unclicked conversions |",
        "|---|---:|---:|---:|---:|",
    ]
    for part, facts in data["splits"].items():
        numbers = (facts[k] for k in ("rows", "clicks", "conversions", "probes"))
        lines.append(f"| {part} | " + " | ".join(f"{n:,}" for n in numbers) + " |")
    lines += [
        "",
        "`all_raw` counts a conversion also where nothing was clicked, `all_funnel` only after a "
        "click, `unclicked_raw` is the unclicked rows alone, `oracle` the simulator's potential "
        "conversion. On KuaiRand an unclicked like is a like within the first seconds of a video: "
        "a recorded conversion without a counted click. Training and selection never see it.",
        "",
        f"Command: `{result['command']}`. Machine: {machine['cpu']}, {machine['cores']} cores, "
        f"{versions}. Rows, configs and every metric: `{Path(result['page']).stem}.json`.",
    ]
    codes = sorted({row["code"] for row in result["rows"]})
    if len(codes) > 1:
        lines += ["", f"The rows come from {len(codes)} versions of the code: {', '.join(codes)}."]
    lines += ["", "What was expected, written before the first run: `benchmarks/README.md`."]
    return "\n".join(lines)


def _table(result: Mapping[str, Any], setting: str, backbone: str) -> str:
    methods = methods_of(result["rows"], setting, backbone)
    return _grid(result, setting, backbone, methods, _COLUMNS, published=True)


def _grid(
    result: Mapping[str, Any],
    setting: str,
    backbone: str,
    methods: Sequence[str],
    columns: Sequence[tuple[str, str, str]],
    published: bool = False,
) -> str:
    rows = result["rows"]
    present = [
        c for c in columns if any(values(rows, setting, backbone, m, c[1], c[2]) for m in methods)
    ]
    paper = {m: published_auc(result["name"], backbone, m) for m in methods}
    published = published and any(v is not None for v in paper.values())
    head = ["method", *(c[0] for c in present), *(["paper's AUC"] if published else []), "seeds"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for method in methods:
        cells, seeds = [VARIANTS[method].label], 0
        for _, space, metric in present:
            found = list(values(rows, setting, backbone, method, space, metric).values())
            cells.append(_mean(found))
            seeds = max(seeds, len(found))
        if published:
            value = paper[method]
            cells.append("" if value is None else f"{value:.4f}")
        lines.append("| " + " | ".join([*cells, str(seeds)]) + " |")
    return "\n".join(lines)


def _mean(found: Sequence[float]) -> str:
    if not found:
        return ""
    value = spread(found)
    return f"{value.mean:.4f}" + ("" if value.std is None else f" ± {value.std:.4f}")


def _differences(result: Mapping[str, Any], setting: str, backbone: str, reference: str) -> str:
    spaces = ("all_raw", "all_funnel", "unclicked_raw", "oracle")
    shown = [(space, "cvr_auc") for space in spaces]
    chosen = [
        d
        for d in result["differences"]
        if (d["setting"], d["backbone"], d["reference"]) == (setting, backbone, reference)
        and (d["space"], d["metric"]) in shown
    ]
    if not chosen:
        return ""
    lines = [
        "| method | CVR AUC in | difference | 95 % interval | t p | Holm p | Wilcoxon p | pairs |",
        "|---|---|---:|---|---:|---:|---:|---:|",
    ]
    for d in sorted(chosen, key=lambda d: shown.index((d["space"], d["metric"]))):
        interval = "" if d["low"] is None else f"{d['low']:+.4f} to {d['high']:+.4f}"
        ps = ("" if d[k] is None else f"{d[k]:.3f}" for k in ("t_p", "holm_p", "wilcoxon_p"))
        lines.append(
            f"| {VARIANTS[d['method']].label} | {d['space']} | {d['mean']:+.4f} | {interval} | "
            + " | ".join(ps)
            + f" | {d['seeds']} |"
        )
    return "\n".join(lines)


def _bootstrap(result: Mapping[str, Any], setting: str, backbone: str, reference: str) -> str:
    chosen = [
        d
        for d in result["bootstrap"]
        if (d["setting"], d["backbone"], d["reference"]) == (setting, backbone, reference)
    ]
    if not chosen:
        return ""
    lines = [
        "| method | CVR AUC in | difference | 95 % of draws | p | seeds |",
        "|---|---|---:|---|---:|---:|",
    ]
    lines += [
        f"| {VARIANTS[d['method']].label} | {d['space']} | {d['mean']:+.4f} | "
        f"{d['low']:+.4f} to {d['high']:+.4f} | {d['p']:.3f} | "
        f"{d['seeds']} |"
        for d in chosen
    ]
    return "\n".join(lines)


def _tuned(tuned: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str:
    judged = {entry["backbone"] for entry in tuned}
    others = {row["backbone"] for row in rows if row["setting"] == "equal"} - judged
    lent = f" {', '.join(sorted(others))} take the points of {', '.join(sorted(judged))}."
    lines = [
        "\n## What tuning chose\n",
        "The same grid and the same tuning seeds for every method, judged by mean validation CVR "
        "AUC in `all_funnel`; seeds of the tables are others. Controls that differ from "
        "AllNegative in labels or alpha alone take its point; the ablation and the skeletons that "
        f"of the method they change (PLE that of MMoE).{lent if others else ''}\n",
        "| backbone | method | choice | validation AUC | runner-up | tried |",
        "|---|---|---|---:|---:|---:|",
    ]
    for entry in tuned:
        second = entry.get("runner_up")
        choice = ", ".join(f"{k.rpartition('.')[2]} {v:g}" for k, v in entry["overrides"].items())
        lines.append(
            f"| {entry['backbone']} | {VARIANTS[entry['method']].label} | {choice} | "
            f"{entry['validation']:.4f} | {'' if second is None else f'{second:.4f}'} | "
            f"{entry['tried']} |"
        )
    return "\n".join(lines)


def _protocol() -> str:
    lines = [
        "\n## Beside the published numbers\n",
        "The column of the paper's AUC is CVR AUC on all exposures of the full data (Zhong et al., "
        "AAAI 2026, Table 1, five seeds). Only the order of the rows may be compared, and even "
        "that with care:\n",
        "| | published | here |",
        "|---|---|---|",
        *(f"| {what} | {there} | {here} |" for what, there, here in PROTOCOL),
        "\nStandard deviations are over seeds: they show how training varies, not how the test "
        "rows vary; the bootstrap draws both. p-values are two-sided; Holm's correction runs over "
        "the methods of one table.",
    ]
    return "\n".join(lines)
