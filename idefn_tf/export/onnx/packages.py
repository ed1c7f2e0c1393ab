"""What ONNX needs beside the library: packages of extras, asked for when they are needed."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


def import_packages(names: tuple[str, ...] = ("tf2onnx", "onnx", "onnxruntime")) -> None:
    """Imports the packages that an export to ONNX uses.

    Raises:
        ImportError: naming what is missing, and the command that installs it.
    """
    missing = [name for name in names if _missing(name)]
    if missing:
        raise ImportError(
            f"onnx: {', '.join(names)} must be installed, received none of {', '.join(missing)};\n"
            "run pip install 'idefn-tf[onnx]', or in a checkout pip install -r "
            "requirements/onnx-export.in"
        )


def runtime() -> Any:
    """Imports ONNX Runtime.

    Raises:
        ImportError: if it is missing, with the command that installs it.
    """
    import_packages(("onnxruntime",))
    module: ModuleType = importlib.import_module("onnxruntime")
    return module


def _missing(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return True
    return False
