"""The result of a grid as one value, and its files: JSON, page, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.machine import machine_facts
from benchmarks.paper import plots, report, summary
from benchmarks.paper.bootstrap import DRAWS, bootstrap
from benchmarks.paper.grid import Cell
from benchmarks.paper.kept import Kept
from idefn_tf._files import write_json, write_text
from pipelines.preparation.prepared_folder import Prepared

#: The rows of figure 5: IdeFN without its parts.
ABLATION = ("idefn", "idefn_t", "click_only", "all_negative")


def collect(
    name: str,
    data: Prepared,
    cells: Sequence[Cell],
    command: str,
    sweeps: Sequence[Cell] = (),
    tuned: Sequence[Mapping[str, Any]] = (),
    draws: int = DRAWS,
    kept: Kept | None = None,
) -> dict[str, Any]:
    """Reads the finished cells and computes what the page says.

    Args:
        name: of the results.
        data: the prepared folder.
        cells: the tables' grid.
        command: gives the same results again.
        sweeps: the cells of figure 4.
        tuned: what tuning chose, from `benchmarks.paper.tuning.choose`.
        draws: of the bootstrap over users and items.
        kept: an earlier result's rows, for cells whose folders are not at hand.
    """
    kept = kept or Kept()
    rows = kept.read_rows(cells)
    return {
        "name": name,
        "page": f"benchmarks/results/paper/paper_{name}.md",
        "command": command,
        "data": data_facts(data),
        "machine": machine_facts(),
        "rows": rows,
        "summary": summary.summarise(rows),
        "differences": summary.compare(rows),
        "bootstrap": kept.merge_bootstrap(cells, bootstrap(cells, data, draws)),
        "sweeps": kept.read_rows(sweeps),
        "tuned": list(tuned),
        "configs": _configs(cells),
        "pictures": {},
        "figures": {},
    }


def path_of(results: Path, name: str) -> Path:
    """Returns where the result of that name lies."""
    return results / f"paper_{name}.json"


def data_facts(data: Prepared) -> dict[str, Any]:
    """Returns what a reader must know of the data: sizes, days, fingerprint."""
    card = data.card
    days = card.get("days") or {}
    keys = ("rows", "clicks", "conversions", "conversions_raw", "probes")
    return {
        "dataset": card["dataset"],
        "description": card.get("description", card["dataset"]),
        "fingerprint": card["fingerprint"],
        "rows": sum(part["rows"] for part in card["splits"].values()),
        "days": "; ".join(f"{part} {span}" for part, span in days.items()),
        "splits": {
            part: {key: facts.get(key, 0) for key in keys} for part, facts in card["splits"].items()
        },
    }


def write(result: dict[str, Any], results: Path, figures: Sequence[int]) -> list[Path]:
    """Draws the pictures and writes page and JSON; returns their paths."""
    base = path_of(results, result["name"]).with_suffix("")
    paths = []
    for setting, backbone in summary.groups(result["rows"]):
        title = f"{result['name']}, setting {setting}, {backbone}: dots are seeds"
        picture = plots.table_picture(result["rows"], setting, backbone, title)
        paths.append(plots.save(picture, _beside(base, f"{setting}_{backbone}.png")))
        result["pictures"][f"{setting}/{backbone}"] = paths[-1].name
        whole = set(ABLATION) <= set(summary.methods_of(result["rows"], setting, backbone))
        if 5 in figures and whole:
            title = f"{result['name']}: IdeFN without its parts ({setting}, {backbone})"
            picture = plots.ablation_picture(result["rows"], setting, backbone, ABLATION, title)
            name = f"figure5_{setting}_{backbone}.png"
            paths.append(plots.save(picture, _beside(base, name)))
            result["figures"][f"Figure 5, {setting}, {backbone}: ablation"] = paths[-1].name
    if 4 in figures and result["sweeps"]:
        title = f"{result['name']}: {_seeds(result['sweeps'])}"
        picture = plots.sweep_picture(result["sweeps"], title)
        paths.append(plots.save(picture, _beside(base, "figure4.png")))
        result["figures"]["Figure 4: alpha, gamma and kappa"] = paths[-1].name
    write_json(base.with_suffix(".json"), result)
    write_text(base.with_suffix(".md"), report.markdown(result))
    return [base.with_suffix(".md"), base.with_suffix(".json"), *paths]


def _seeds(rows: Sequence[Mapping[str, Any]]) -> str:
    count = len({row["seed"] for row in rows})
    return "one seed" if count == 1 else f"mean and range over {count} seeds"


def _beside(base: Path, end: str) -> Path:
    return base.with_name(f"{base.name}_{end}")


def _configs(cells: Sequence[Cell]) -> dict[str, Any]:
    """Returns every config once, without its seed, by "setting/backbone/method"."""
    found: dict[str, Any] = {}
    for cell in cells:
        found.setdefault(cell.config_key, cell.plain_config())
    return found
