"""User modules: what a config's ``imports:`` names is imported, so that its classes register."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def import_modules(names: Sequence[str]) -> None:
    """Imports modules by their dotted names; the current directory is looked into, too.

    Args:
        names: as an import statement writes them, e.g. "shop_models.towers".

    Raises:
        ValueError: if one cannot be imported, with the reason.
    """
    here = os.getcwd()
    if names and not {"", here} & set(sys.path):
        sys.path.append(here)
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  (another's code may raise anything)
            raise ValueError(
                f"imports: must name modules that can be imported, received {name!r}; "
                f"{_reason(name, error)}"
            ) from None


def import_first(value: Any, place: Callable[[tuple[str, ...]], str] | None) -> None:
    """Imports what a config's plain values name, before the rest of them is checked.

    What is no list of names is left to the field's own rule.

    Args:
        value: the plain values.
        place: says in which file and line a key stands, if that is known.

    Raises:
        ValueError: if a module cannot be imported.
    """
    names = value.get("imports") if isinstance(value, Mapping) else None
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return
    try:
        import_modules(names)
    except ValueError as error:
        raise ValueError(f"{place(('imports',))}: {error}" if place else str(error)) from None


def _reason(name: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
        if name.endswith(".py"):
            return f"leave the ending out: {name.removesuffix('.py')}"
        return f"no module {error.name!r} in {os.getcwd()} or on PYTHONPATH"
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if "importlib" not in frame.filename]
    where = f" ({inside[-1].filename}:{inside[-1].lineno})" if len(inside) > 1 else ""
    return f"{type(error).__name__}: {error}{where}"
