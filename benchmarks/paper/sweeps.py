"""Figure 4: how CVR AUC moves with alpha, gamma and kappa, with AllNegative as the control.

alpha and gamma belong to Eq. 15, which AllNegative has too; only kappa belongs to the transport. A
curve of IdeFN that AllNegative shares says nothing of the transport.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.paper.grid import Cell
from benchmarks.paper.settings import make_config

#: The paper's values, by dotted key of the config.
VALUES: dict[str, tuple[float, ...]] = {
    "model.alpha": (0.6, 0.7, 0.8, 0.9),
    "model.gamma": (10, 20, 30, 40, 50, 60, 70),
    "model.kappa": (1e-3, 2e-3, 3e-3, 1e-2, 2e-2, 3e-2),
}
#: Which methods have which parameter.
METHODS: dict[str, tuple[str, ...]] = {
    "model.alpha": ("all_negative", "idefn"),
    "model.gamma": ("all_negative", "idefn"),
    "model.kappa": ("idefn",),
}


def sweep_cells(
    out: Path,
    setting: str,
    backbone: str,
    seeds: Sequence[int],
    family: str,
    tuned: Mapping[str, Mapping[str, float]] | None = None,
) -> list[Cell]:
    """Returns the cells of the three curves, seed by seed.

    Args:
        out: where the runs go.
        setting: of `benchmarks.paper.settings`.
        backbone: mlp, deepfm or dcnv2.
        seeds: to be run.
        family: which shipped configs.
        tuned: by method, what tuning chose.
    """
    cells = []
    for seed in seeds:
        for key, values in VALUES.items():
            for method in METHODS[key]:
                base = dict((tuned or {}).get(method, {}))
                for value in values:
                    config = make_config(
                        setting, method, backbone, seed, family, {**base, key: value}
                    )
                    name = f"{key.rpartition('.')[2]}={value:g}"
                    folder = out / "sweeps" / setting / backbone / method / name / f"seed{seed}"
                    point = {key: value}
                    cells.append(Cell(setting, method, backbone, seed, config, folder, point))
    return cells
