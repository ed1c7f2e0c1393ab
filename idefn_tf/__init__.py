"""idefn_tf: entire-space conversion-rate models for TensorFlow and Keras.

Every public name and submodule loads on first use, so that importing the package is cheap and
touches neither TensorFlow nor the network. Their table is generated: `idefn_tf._front_door`.
"""

from __future__ import annotations

import importlib
from typing import Any

from idefn_tf._homes import HOMES, SUBMODULES

__version__ = "0.1.0"

__all__ = ["__version__", *sorted(HOMES)]


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(importlib.import_module(HOMES[name]), name)
    if name in SUBMODULES:
        return importlib.import_module(f"idefn_tf.{name}")
    raise AttributeError(f"module 'idefn_tf' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted({*__all__, *SUBMODULES})
