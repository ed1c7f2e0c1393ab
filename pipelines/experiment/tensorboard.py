"""Tracking as the jobs switch it on: --tensorboard and --profile, and HParams of a search."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from idefn_tf.data import open_dataset
from idefn_tf.tensorboard import TensorBoardTracking, require_tensorboard
from pipelines.preparation.prepared_folder import Prepared

#: The folder of TensorBoard's files in a run's.
FOLDER = "tensorboard"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Gives a training job's parser the options of tracking."""
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help=f"writes OUT/{FOLDER} (history.csv is always written)",
    )
    parser.add_argument(
        "--profile",
        metavar="FROM,TO",
        help="profiles these training steps, e.g. 20,30, for TensorBoard's Profile tab",
    )


def make_callbacks(given: argparse.Namespace, data: Prepared) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that the options ask for.

    Args:
        given: the job's arguments.
        data: what the job trains on.

    Raises:
        ValueError: if --profile is no pair of steps, or tensorboard is not installed.
    """
    if not given.tensorboard and not given.profile:
        return []
    rows = open_dataset(data.schema, data.files("validation"), batch_size=8192)
    folder = Path(given.out) / FOLDER
    return [TensorBoardTracking(folder, rows, profile=_steps(given.profile))]


def _steps(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, last = text.partition(",")
    if not (first.strip().isdigit() and last.strip().isdigit()):
        raise ValueError(f"--profile: must be two steps such as 20,30, received {text!r}")
    return int(first), int(last)


class HParams:
    """Writes a search's trials for TensorBoard's HParams tab; a listener of `pipelines.tune`.

    Args:
        folder: TensorBoard's folder.

    Raises:
        ValueError: if tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        require_tensorboard()
        self.folder = folder

    def __call__(self, values: Mapping[str, Any], results: Mapping[str, float], run: Path) -> None:
        """Writes one finished trial: its values, and its goal and terms as scalars."""
        from tensorboard.plugins.hparams import api

        plain = {
            key: value if isinstance(value, int | float | str | bool) else str(value)
            for key, value in values.items()
        }
        name = run.parent.name
        with tf.summary.create_file_writer(str(self.folder / name)).as_default():
            api.hparams(plain, trial_id=name)
            for metric, number in results.items():
                tf.summary.scalar(metric, float(number), step=0)
