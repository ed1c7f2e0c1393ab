"""The format of an exported version: a SavedModel, or ONNX with Triton's configuration."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from idefn_tf.export.onnx.convertible import require_convertible
from idefn_tf.export.onnx.triton import write_config
from idefn_tf.export.open_version import FORMATS, ONNX, SAVED_MODEL
from idefn_tf.features import FeatureColumns
from pipelines.cli.console import Console


@dataclass(frozen=True)
class VersionFormat:
    """How a version is written.

    Attributes:
        name: "saved-model" or "onnx".
        triton: whether config.pbtxt is written beside the versions.

    Raises:
        ValueError: for Triton's configuration of another format.
    """

    name: str = SAVED_MODEL
    triton: bool = False

    def __post_init__(self) -> None:
        if self.triton and self.name != ONNX:
            raise ValueError(
                f"--triton: must stand beside --format onnx, received {self.name};\nTriton "
                "dropped its TensorFlow backend: add --format onnx, or leave it out"
            )

    @property
    def title(self) -> str:
        """What is written, for the console."""
        return "SavedModel" if self.name == SAVED_MODEL else "SavedModel and ONNX"

    def require(self, features: FeatureColumns) -> None:
        """Refuses before any work what has no such form, a missing package among the reasons.

        Raises:
            ValueError: with the cure.
        """
        if self.name != ONNX:
            return
        try:
            require_convertible(features)
        except ImportError as error:
            raise ValueError(str(error)) from None

    def configure(self, version: Path, console: Console) -> None:
        """Writes what stands beside a published version."""
        if not self.triton:
            return
        written, path = write_config(version)
        if written:
            console.wrote(path)
        else:
            console.warn(f"{path} was edited and stays; see whether it still fits {version}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a format to a command."""
    parser.add_argument(
        "--format", choices=FORMATS, default=SAVED_MODEL, help="of the version (saved-model)"
    )
    parser.add_argument(
        "--triton", action="store_true", help="with --format onnx: Triton's config.pbtxt, too"
    )
