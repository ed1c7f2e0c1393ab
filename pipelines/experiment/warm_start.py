"""Warm starts: a run on a new day's data begins with the model that an earlier run selected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from idefn_tf._files import write_json
from idefn_tf.export.run_files import read_vocabularies
from idefn_tf.models import EntireSpaceModel
from pipelines.experiment.checkpoint import capture
from pipelines.experiment.config import Config
from pipelines.experiment.label_feedback import same_heads
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

#: What must not change between the two runs: the form of the model and of its state.
_FORM = ("method", "model", "backbone", "trunk", "encoder", "features")


def start_from(model: EntireSpaceModel, base: Run, config: Config, data: Prepared) -> None:
    """Puts an earlier run's selected model into a new one: weights, moments, positive memory.

    Ids known to the earlier run keep their rows; ids that the data's vocabularies have added since
    find rows of the headroom as they were initialized. The learning rate is the new config's, and
    the optimizer's step count goes on.

    Args:
        model: built and compiled for `config` and the vocabularies of `data`.
        base: the earlier run.
        config: of the new run.
        data: what the new run trains on, prepared with ``--base``.

    Raises:
        ValueError: if config, schema or vocabularies do not continue those of `base`.
    """
    check_continues(base, config, data)
    model.optimizer.build(model.trainable_variables)
    former = capture(base.load_model(), 0, 0)
    former.restore(model, leave=("learning_rate",))


def check_continues(base: Run, config: Config, data: Prepared) -> None:
    """Checks that a run on `data` can go on from `base`.

    Raises:
        ValueError: naming what differs.
    """
    earlier = base.config()
    differing = [key for key in _FORM if getattr(earlier, key) != getattr(config, key)]
    if not same_heads(earlier.feedback, config.feedback):
        differing.append("feedback")
    if earlier.optimizer.get("name") != config.optimizer.get("name"):
        differing.append("optimizer.name")
    if differing:
        raise ValueError(
            f"--from: {base.root} was trained with another {', '.join(differing)}; a run goes on "
            "with the same model (epochs, batch size and learning rate may change)"
        )
    if base.schema() != data.schema:
        raise ValueError(f"--from: {data.place} was prepared with another schema than {base.root}")
    before, after = read_vocabularies(base.vocabularies), read_vocabularies(data.vocabularies)
    for name, learned in before.items():
        found = after.get(name, {})
        same: Any = found == learned
        if "values" in learned:
            same = found.get("values", ())[: len(learned["values"])] == learned["values"]
            same = same and (found == learned or "capacity" in found)
        if not same:
            raise ValueError(
                f"--from: the vocabulary of {name!r} in {data.place} does not continue that of "
                f"{base.root}; prepare the data with --base and the folder that the run was "
                "trained on"
            )


def note_origin(run: Run, base: Run) -> None:
    """Writes from.json: which run, and which of its epochs, a run began with."""
    select = (base.load_state() or {}).get("select") or {}
    write_json(
        run.root / "from.json",
        {"run": str(Path(base.root).resolve()), "best_epoch": select.get("best_epoch")},
    )
