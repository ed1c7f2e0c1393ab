"""Writes the tables of config keys and schema fields: python -m docs.key_tables [--check].

Rules and defaults come from the records that check them, meanings from docstrings and fields.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from idefn_tf._options import options_of, rule_of
from idefn_tf._rules import Rule
from idefn_tf.backbones import BACKBONES
from idefn_tf.encoders import ENCODERS
from idefn_tf.features import FeatureColumns
from idefn_tf.models import METHODS
from idefn_tf.models.feedback import FEEDBACKS
from idefn_tf.models.trunks import TRUNKS
from idefn_tf.optimizers import OPTIMIZERS
from idefn_tf.optimizers.keras_options import keras_optimizers, optimizer_options
from idefn_tf.schema import (
    Attribution,
    BehaviourSequence,
    Feature,
    History,
    HistoryAggregate,
    Labels,
    Schema,
)
from idefn_tf.transport import TransportOptions
from idefn_tf.tuning import Dimension
from pipelines.experiment.config import Checkpoint, Config, Monitor, Training
from pipelines.experiment.config_groups import features_options

#: Of Keras' layers, and what configs add.
_KERAS = {
    "dtype": "Keras' dtype or policy of the layer.",
    "trainable": "whether training changes the layer's variables.",
    "embedding_width": "in place of the schema's.",
    "windows": "of the history's aggregates those that are read; default all that the schema has.",
}
#: Those that every version of Keras here has, and that stand alone.
_OPTIMIZERS_OF_KERAS = (
    "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "Nadam",
    "RMSprop", "SGD",
)  # fmt: skip
#: Groups whose keys depend on a name.
_NAMED: dict[str, Any] = {
    "backbone": BACKBONES,
    "trunk": TRUNKS,
    "encoder": ENCODERS,
    "feedback": FEEDBACKS,
    "optimizer": OPTIMIZERS,
}
_SECTION = re.compile(r"^(?:Args|Attributes):\n((?: {4}.*\n?|\n)+)", re.M)
_ENTRY = re.compile(r"^ {4}([a-z_, 0-9]+): ((?:.*\n?)(?: {8}.*\n?)*)", re.M)
HERE = Path(__file__).parent / "reference"


def main(arguments: list[str] | None = None) -> int:
    """Writes both pages, or says which is stale."""
    parser = argparse.ArgumentParser(prog="python -m docs.key_tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether a page is stale")
    given = parser.parse_args(arguments)
    stale = []
    for name, text in (("config-keys.md", config_page()), ("schema-fields.md", schema_page())):
        path = HERE / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not given.check:
                path.write_text(text, encoding="utf-8")
    if stale and given.check:
        sys.stderr.write(f"stale: {stale}; run python -m docs.key_tables\n")
    return int(bool(stale and given.check))


def config_page() -> str:
    """The page of config keys."""
    parts = [
        "# Config keys",
        "Every key of an experiment's YAML file, with the rule that it is checked by. `--set "
        "model.kappa=0.01` sets one of them; [Tune and track](../tune.md) says how to search them.",
        _table("The file", Config),
        _table("`training`", Training),
        _table("`training.monitor`", Monitor),
        _table("`training.checkpoint`", Checkpoint),
        _table("`features`", features_options(), FeatureColumns),
        "## `model`\n\nWhich keys there are depends on `method`. `preset: idefn` (or another of "
        "`idefn_tf.models.presets`) stands for a set of them; further keys go before it.",
        *(_table(f"`method: {name}`", options_of(METHODS[name]), METHODS[name], "###")
          for name in sorted(METHODS)),
        _table("`model.transport`", TransportOptions),
        "## `backbone`, `trunk`, `encoder`, `feedback`, `optimizer`\n\nEach is `{name: ..., and "
        "its keys}`. Any optimizer of Keras is taken by its class's name, with its arguments (the "
        "last table).",
        *(_table(f"`{group}: {{name: {name}}}`", options_of(cls), cls, "###")
          for group, known in _NAMED.items()
          for name, cls in sorted(known.items())),
        _optimizers_of_keras(),
        _table("`tuning.space.KEY`", Dimension),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _optimizers_of_keras() -> str:
    """The keys of Keras' own optimizers: those of all, and what each has besides."""
    keys = {
        name: list(optimizer_options(cls).model_fields)
        for name, cls in keras_optimizers().items()
        if name in _OPTIMIZERS_OF_KERAS
    }
    shared = [key for key in keys["Adam"] if all(key in own for own in keys.values())]
    lines = [
        "### Optimizers of Keras",
        "",
        f"All of them take {', '.join(f'`{key}`' for key in shared)}.",
        "",
        "| name | keys besides |",
        "|---|---|",
        *(
            f"| `{name}` | {', '.join(f'`{key}`' for key in own if key not in shared)} |"
            for name, own in sorted(keys.items())
        ),
    ]
    return "\n".join(lines)


def schema_page() -> str:
    """The page of schema fields."""
    parts = [
        "# Schema fields",
        "Every field of `schema.yaml`. [Your own data](../your-own-data.md) says how to get one.",
        _table("The file", Schema),
        _table("`labels`", Labels),
        _table("`labels.attribution`", Attribution),
        _table("Each entry of `features`", Feature),
        _table("`history`", History),
        _table("Each entry of `history.aggregates`", HistoryAggregate),
        _table("Each entry of `sequences`", BehaviourSequence),
    ]
    return "\n\n".join(parts) + "\n"


def _table(title: str, record: type[BaseModel], cls: Any = None, level: str = "##") -> str:
    meanings = _meanings(cls or record)
    lines = [f"{level} {title}", "", "| key | value | default | meaning |", "|---|---|---|---|"]
    for own, field in record.model_fields.items():
        name = field.alias or own
        if cls is FeatureColumns and name == "encoder":  # a group of its own in a config
            continue
        default = field.default
        if default is PydanticUndefined:
            default = field.default_factory() if field.default_factory else None  # type: ignore[call-arg]
            needed = field.is_required()
        else:
            needed = False
        meaning = field.description or meanings.get(own, "")
        cells = (f"`{name}`", _rule(field), "needed" if needed else _shown(default), meaning)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _rule(field: Any) -> str:
    """What a field takes, in the words that an error has."""
    found = [part for part in field.metadata if isinstance(part, Rule)]
    words = found[0].words if found else rule_of(field.annotation).words
    if words == "anything":
        kind = field.annotation
        text = kind.__name__ if inspect.isclass(kind) else str(kind)
        words = re.sub(r"\b(typing|idefn_tf|pipelines)\.([a-z_]+\.)*", "", text)
        words = "a list, or nothing" if words.startswith("tuple[Any") else words
    if not found and not any(hasattr(part, "min_length") for part in field.metadata):
        words = words.replace(" of at least one entry", "")
    for part in field.metadata:
        for attribute, word in (
            ("ge", "at least"),
            ("gt", "above"),
            ("le", "at most"),
            ("lt", "below"),
        ):
            if not isinstance(part, Rule) and hasattr(part, attribute):
                words += f", {word} {getattr(part, attribute)}"
    words = re.sub(r" from (\d+) to (?:2147483647|4294967295)", r", at least \1", words)
    return re.sub(r"\[([^]]*)\]", lambda m: m[1].replace("'", "`"), words)


def _shown(default: Any) -> str:
    if isinstance(default, BaseModel):
        return "its own"
    return f"`{default!r}`" if default not in (None, (), {}) else "none"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _meanings(cls: Any) -> dict[str, str]:
    """Returns {argument: meaning} of a class's docstring and of those it extends."""
    found = {} if issubclass(cls, BaseModel) else dict(_KERAS)
    for base in getattr(cls, "__mro__", (cls,)):
        text = inspect.cleandoc(base.__doc__ or "")
        for section in _SECTION.findall(text):
            for names, meaning in _ENTRY.findall(section):
                for name in names.split(","):
                    found.setdefault(name.strip(), meaning.strip())
    return found


if __name__ == "__main__":
    raise SystemExit(main())
