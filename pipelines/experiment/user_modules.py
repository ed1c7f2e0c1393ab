"""User modules: what a config's ``imports:`` names is imported, so that its classes register."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence


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


def _reason(name: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
        if name.endswith(".py"):
            return f"leave the ending out: {name.removesuffix('.py')}"
        return f"no module {error.name!r} in {os.getcwd()} or on PYTHONPATH"
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if "importlib" not in frame.filename]
    where = f" ({inside[-1].filename}:{inside[-1].lineno})" if len(inside) > 1 else ""
    return f"{type(error).__name__}: {error}{where}"
