"""Cells of a study: a training each, of which the CVR of some parts' rows is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.paper.oracle_rows import open_with_truth
from idefn_tf._files import atomic_path
from idefn_tf.data import to_arrays
from idefn_tf.evaluation.resampling import find_items
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.evaluation import predict
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import train


def keep_scores(path: Path, config: Config, prepared: Prepared, parts: Sequence[str]) -> None:
    """Trains, and writes the CVR of every row of the parts, by part, whole or not at all.

    Rows hold the truth whatever the method: all but the oracle's leave that label aside.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent.parent) as folder:
        quiet, place = Console(quiet=True), Path(folder) / "run"
        done = train(config, prepared, place, quiet, open_with_truth, evaluate=False)
        model = done.load_model()
    scores = {p: predict(model, prepared.schema, prepared.table(p))["cvr"] for p in parts}
    with atomic_path(path) as sibling, sibling.open("wb") as file:
        np.savez_compressed(file, **{p: np.ravel(s).astype(np.float32) for p, s in scores.items()})


def users_and_items(prepared: Prepared, option: str, given: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns user and item of every test row, which intervals are over.

    Args:
        prepared: the data.
        option: what named them, and `given`, the folder that it named, for the error.
        given: see there.

    Raises:
        ValueError: if the schema tells no users or items apart.
    """
    arrays = to_arrays(prepared.schema, prepared.table("test"))
    item, user = find_items(prepared.schema, arrays), prepared.schema.user_key
    if item is None or user is None:
        raise ValueError(
            f"{option}: must tell users and items apart, received {given} that does not"
        )
    return arrays[user], arrays[item]
