"""Load a saved Keras model: every class of the library is registered before the file is read."""

from __future__ import annotations

import importlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idefn_tf._homes import SAVED_IN
from idefn_tf._registry import register

if TYPE_CHECKING:
    import keras

#: Where Keras' messages begin to echo a whole config, vocabularies included.
_ECHO = re.compile(r"(using |full |full object |received: )?config\s*[=:]", re.IGNORECASE)
#: Packages whose classes need no registration.
_BUILT_IN = ("keras", "builtins", "tensorflow")


def register_all() -> None:
    """Imports every module of the library whose classes a saved file may name."""
    for module in SAVED_IN:
        importlib.import_module(module)


@register("function")
def load_model(
    path: str | Path,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> keras.Model:
    """Loads a model that ``model.save("name.keras")`` wrote, whatever else is imported.

    Args:
        path: a .keras file, such as a run's ``checkpoints/best.keras``.
        custom_objects: as `keras.saving.load_model`; a class under `idefn_tf.register` needs none.
        compile: whether the optimizer and its state are loaded too.
        safe_mode: as `keras.saving.load_model`.

    Raises:
        ValueError: if there is no such file, it is no Keras file, or it names a class that no
            imported module has registered.
    """
    import keras

    found = _check_file(path)
    register_all()
    if found is not None:
        missing = _missing_class(found, custom_objects or {})
        if missing is not None:
            raise ValueError(
                f"path: {path} must name classes that are registered, received {missing!r}; import "
                "its module first (in a run's config: imports: [module])"
            )
    try:
        return keras.saving.load_model(path, custom_objects, compile, safe_mode)
    except (TypeError, ValueError) as error:
        if _ECHO.search(str(error)) is None:
            raise
        raise ValueError(
            f"path: {path} must hold a model that its classes can build; {_without_configs(error)}"
        ) from None


def _check_file(path: str | Path) -> dict[str, Any] | None:
    """Returns the config of a .keras file; None where Keras reads another form, or from afar."""
    if "://" in str(path):
        return None
    local = Path(path)
    if not local.exists():
        raise ValueError(
            f"path: must be a .keras file, received {path}, which is not there; write one with "
            'model.save("name.keras")'
        )
    if local.is_dir() and (local / "saved_model.pb").is_file():
        raise ValueError(
            f"path: must be a .keras file, received {path}, an exported SavedModel; load that with "
            "idefn_tf.Scorer or tf.saved_model.load"
        )
    if local.is_dir() or local.suffix in (".h5", ".hdf5"):
        return None
    try:
        with zipfile.ZipFile(local) as archive:
            config: dict[str, Any] = json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        raise ValueError(
            f"path: must be a .keras file, received {path}, which is none; save the model with "
            'model.save("name.keras")'
        ) from None
    return config


def _missing_class(config: Any, custom_objects: Mapping[str, Any]) -> str | None:
    """Returns the first class of a saved config that nothing registered, as module.Class."""
    import keras

    for entry in _entries(config):
        module, name = entry.get("module"), entry["class_name"]
        saved_as = entry.get("registered_name") or name
        if not module or module.partition(".")[0] in _BUILT_IN:
            continue
        if not {saved_as, name} & set(custom_objects) and (
            keras.saving.get_registered_object(saved_as) is None
        ):
            return f"{module}.{name}"
    return None


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    """Every serialized object inside a config, the outer before the inner."""
    if isinstance(value, dict):
        if "class_name" in value and "registered_name" in value:
            yield value
        for inner in value.values():
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)


def _without_configs(error: BaseException) -> str:
    """What failed and why, in one line, without the configs that Keras' message echoes."""
    text = str(error)
    parts = (text, text.rpartition("Exception encountered:")[2])
    lines = [" ".join(_ECHO.split(part)[0].split()).rstrip(" .,;\\") for part in parts]
    return ": ".join(dict.fromkeys(line for line in lines if line))
