"""What ONNX needs beside the library: packages of extras, asked for when they are needed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

_TO_EXPORT = (
    "run pip install 'idefn-tf[onnx]', or in a checkout pip install -r requirements/onnx-export.in "
    "-c requirements/default.lock"
)
_TO_SCORE = (
    "run pip install onnxruntime, or in a checkout make an environment of requirements/onnx.lock"
)


def import_packages(
    names: Sequence[str] = ("tf2onnx", "onnx", "onnxruntime"), cure: str = _TO_EXPORT
) -> None:
    """Imports packages; by default those that an export to ONNX uses.

    Raises:
        ImportError: naming what is missing, and the command that installs it.
    """
    missing = [name for name in names if _missing(name)]
    if missing:
        raise ImportError(
            f"onnx: {', '.join(names)} must be installed, received an environment without "
            f"{', '.join(missing)};\n{cure}"
        )


def runtime() -> Any:
    """Imports ONNX Runtime.

    Raises:
        ImportError: if it is missing, with the command that installs it.
    """
    import_packages(("onnxruntime",), _TO_SCORE)
    return importlib.import_module("onnxruntime")


def _missing(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return True
    return False
