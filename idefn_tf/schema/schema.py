"""Schema: the whole description of an exposure table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidationInfo, model_validator

from idefn_tf._registry import register
from idefn_tf.schema import strict_yaml, ties
from idefn_tf.schema.feature import Feature
from idefn_tf.schema.labels import RESERVED, Labels
from idefn_tf.schema.strict import Strict

#: Keys of `labels` that came after the first prepared folders: at their default they are no part of
#: a digest, so that an old folder's stays what it was.
_LATER_LABELS = ("time_zone",)


@register("class")
class Schema(Strict):
    """The whole description of an exposure table.

    Attributes:
        name: the data set's name; `pipelines.prepare` finds its reader by it.
        labels: click and conversion columns.
        features: the inputs, in the order of z within each side.
        never_features: columns known only after the exposure, or leaking the label.
        user_key: the feature by which GAUC groups rows.
        embedding_width: the width of embeddings that name none.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str = ""
    labels: Labels
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    never_features: tuple[str, ...] = ()
    user_key: str | None = None
    embedding_width: int = Field(16, ge=1)

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Schema:
        seen: dict[str, int] = {}
        forbidden = {*self.labels.columns, *self.never_features, *RESERVED}
        for i, feature in enumerate(self.features):
            for name in (feature.name, *((feature.weights_name,) if feature.weights else ())):
                if name in seen:
                    raise ValueError(
                        f"features[{i}].name: {name!r} is already features"
                        f"[{seen[name]}]; names must be unique"
                    )
                seen[name] = i
            for key, name in (
                ("name", feature.name),
                ("column", feature.source),
                ("weights", feature.weights),
            ):
                if name in forbidden:
                    raise ValueError(
                        f"features[{i}].{key}: {name!r} is a label, a reserved or a "
                        "forbidden column and can never be a feature; remove it"
                    )
        kept = bool(info.context and info.context.get("kept"))
        # the instance is being made: what comes after sees it frozen
        object.__setattr__(
            self, "features", ties.resolve(self.features, self.embedding_width, kept)
        )
        if self.user_key is not None and self.user_key not in {f.name for f in self.features}:
            raise ValueError(f"user_key: {self.user_key!r} must name a feature")
        return self

    def feature(self, name: str) -> Feature:
        """Returns the feature called `name`.

        Raises:
            ValueError: if there is none.
        """
        for feature in self.features:
            if feature.name == name:
                return feature
        raise ValueError(
            f"name: the schema has no feature {name!r}; it has {[f.name for f in self.features]}"
        )

    def width(self, feature: Feature) -> int:
        """Returns how many numbers of z the feature fills."""
        if not feature.categorical:
            return 1
        if feature.tied_to is not None:
            return self.width(self.feature(feature.tied_to))
        return feature.embedding or self.embedding_width

    @property
    def ordered(self) -> tuple[Feature, ...]:
        """The features in the order of z: user block, item block, context."""
        return tuple(
            f for side in ("user", "item", "context") for f in self.features if f.side == side
        )

    @property
    def hash(self) -> str:
        """Twelve hex digits that change with any meaning of the schema."""
        text = json.dumps(self.digested(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def digested(self) -> dict[str, Any]:
        """Returns the plain values that digests are made of."""
        value = self.model_dump(mode="json")
        for key in _LATER_LABELS:
            if value["labels"][key] == Labels.model_fields[key].default:
                del value["labels"][key]
        return value

    @classmethod
    def load(cls, path: str | Path, kept: bool = False) -> Schema:
        """Reads a schema from a YAML file.

        Args:
            path: the file.
            kept: whether it lies in a prepared folder, a run or an export, made with an earlier
                release perhaps. Keys of a tied feature that nothing reads may then differ.

        Raises:
            ValueError: naming file, line, key and rule, for anything wrong in it.
        """
        document = strict_yaml.read(path)
        return cls.parse(document.value, document.place, kept)

    @classmethod
    def parse(cls, value: Any, place: Any = None, kept: bool = False) -> Schema:
        """Builds a schema from plain values, with errors that name the key at fault.

        Args:
            value: the schema's keys.
            place: gives "file:line" of a key, for errors; None for no file.
            kept: as in `load`.
        """
        if not isinstance(value, Mapping):
            raise ValueError(f"schema: must be a mapping of keys, received {type(value).__name__}")
        try:
            return cls.model_validate(value, context={"kept": kept})
        except ValidationError as error:
            raise ValueError(strict_yaml.explain(error, place, "schema")) from None

    def save(self, path: str | Path) -> None:
        """Writes the schema as YAML, beside and then renamed; `load` gives an equal one."""
        strict_yaml.write(path, self.model_dump(mode="json", exclude_defaults=True))
