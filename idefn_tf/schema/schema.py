"""Schema: the whole description of an exposure table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from idefn_tf._registry import register
from idefn_tf._rules import nearest
from idefn_tf.schema import cells, history_features, strict_yaml, ties
from idefn_tf.schema import history as histories
from idefn_tf.schema.explain import explain
from idefn_tf.schema.feature import Feature
from idefn_tf.schema.history import BehaviourSequence, History
from idefn_tf.schema.labels import DELAY_COLUMNS, EXPOSURE_PROBABILITY, RESERVED, Labels
from idefn_tf.schema.strict import Strict


@register("class")
class Schema(Strict):
    """The whole description of an exposure table.

    Attributes:
        name: the data set's name; `pipelines.prepare` finds its reader by it.
        labels: click and conversion columns.
        features: the inputs, in the order of z within each side; those that `history` and
            `sequences` make are added to the ones that are listed (`recorded`).
        never_features: columns that no feature may read, for they are known only after the
            exposure, or say the label.
        user_key: the feature by which GAUC groups rows.
        embedding_width: the width of embeddings that name none.
        missing_words: text that stands for a missing value in every feature, those of text too.
        history: past events of a key as numbers.
        sequences: the last events of a key themselves.

    Example:
        >>> from idefn_tf.schema import Schema
        >>> user = {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}
        >>> labels = {"click": "is_click", "conversion": "bought"}
        >>> schema = Schema.parse({"name": "shop", "labels": labels, "features": [user]})
        >>> schema.width(schema.feature("user")), schema.hash
        (16, '63cd5f46987a')
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str = ""
    labels: Labels
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    never_features: tuple[str, ...] = ()
    user_key: str | None = None
    embedding_width: int = Field(16, ge=1)
    missing_words: tuple[str, ...] = Field(
        (), description="text that is no value in any feature, such as NA (trimmed)"
    )
    history: History | None = None
    sequences: tuple[BehaviourSequence, ...] = ()

    @field_validator("missing_words", mode="before")
    @classmethod
    def _quoted(cls, words: Any) -> Any:
        if isinstance(words, list | tuple) and None in words:
            raise ValueError(
                "must hold words, received null, which YAML makes of a bare NULL; write it in "
                'quotes: "NULL"'
            )
        return words

    @field_validator("missing_words")
    @classmethod
    def _trimmed(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            if word != word.strip(cells.BLANKS) or not word:
                raise ValueError(
                    f"must be words without blanks around them, received {word!r}; blank text is "
                    "missing anyway"
                )
        return words

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Schema:
        seen: dict[str, int] = {}
        kept = bool(info.context and info.context.get("kept"))
        forbidden = {*self.labels.columns, *self.never_features, *RESERVED}
        if kept:  # names that were free when the folder was made
            free = set() if self.labels.delayed else set(DELAY_COLUMNS)
            if self.labels.exposure_probability is None:
                free.add(EXPOSURE_PROBABILITY)
            forbidden -= free
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
        recorded = ties.resolve(self.features, self.embedding_width, kept)
        # the instance is being made: what comes after sees it frozen
        object.__setattr__(self, "features", recorded)
        names = [feature.name for feature in self.features]
        if self.user_key is not None and self.user_key not in names:
            cure = nearest(self.user_key, names) or f"; take one of {', '.join(names)}"
            raise ValueError(f"user_key: must name a feature, received {self.user_key!r}{cure}")
        histories.check(
            self.history,
            self.sequences,
            self.features,
            {*seen, *forbidden},
            self.labels.exposure_time is not None,
        )
        made = history_features.generated(self.history, self.sequences, recorded)
        if made:
            whole = ties.resolve((*recorded, *made), self.embedding_width, kept)
            object.__setattr__(self, "features", whole)
        self._check_labels_use(kept)
        return self

    def _check_labels_use(self, kept: bool) -> None:
        """Refuses a window without its times, and sums of what is never a feature.

        Sums in folders of earlier releases, `kept`, may add up labels.
        """
        window = self.labels.attribution
        if window is not None and window.from_ == "click" and self.labels.click_time is None:
            raise ValueError(
                "labels.attribution.from: must be exposure without labels.click_time, received "
                "'click'; name the column of clicks' times, or write `from: exposure`"
            )
        shown = self.labels.probability_column
        labels = set() if kept else {*self.labels.columns, *RESERVED}
        for i, aggregate in enumerate(self.past.aggregates):
            if shown is not None and aggregate.value == shown:
                raise ValueError(
                    f"history.aggregates[{i}].value: must not be labels.exposure_probability, "
                    f"which is never a feature, received {shown!r}; sum another column"
                )
            if aggregate.value in labels:
                raise ValueError(
                    f"history.aggregates[{i}].value: must not be a label, its time or a delay, "
                    "which are known later than the row that holds them, received "
                    f"{aggregate.value!r}; sum another column, or count clicks or conversions"
                )

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

    @property
    def past(self) -> History:
        """`history`, or its defaults where sequences alone look back."""
        return self.history or History()

    @property
    def generated(self) -> frozenset[str]:
        """Names of the features that `history` and `sequences` make."""
        made = [aggregate.names for aggregate in self.past.aggregates]
        made += [sequence.names for sequence in self.sequences]
        return frozenset(name for names in made for name in names)

    @property
    def parts_by_sequence(self) -> dict[str, list[Feature]]:
        """The features that an event consists of, by sequence, of those that are there."""
        named = {feature.name: feature for feature in self.features}
        found = {s.name: [named[n] for n in s.names if n in named] for s in self.sequences}
        return {name: parts for name, parts in found.items() if parts}

    @property
    def recorded(self) -> tuple[Feature, ...]:
        """The features that the schema lists: raw tables hold these."""
        made = self.generated
        return tuple(feature for feature in self.features if feature.name not in made)

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
        """Returns the plain values that digests are made of.

        Keys that came after the first prepared folders are no part of it where they are at their
        default, so that an old folder's digest stays what it was.
        """
        value = self._as_written().model_dump(mode="json")
        for key in ("history", "sequences", "missing_words"):
            if getattr(self, key) == type(self).model_fields[key].default:
                del value[key]
        for key in ("time_zone", "attribution", "exposure_probability"):
            if getattr(self.labels, key) == Labels.model_fields[key].default:
                del value["labels"][key]
        if self.labels.attribution_window_hours is not None:  # which says the same
            del value["labels"]["attribution"]
        return value

    def _as_written(self) -> Schema:
        return self.model_copy(update={"features": self.recorded})

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
            raise ValueError(explain(error, cls, place, "schema")) from None

    def save(self, path: str | Path) -> None:
        """Writes the schema as YAML, beside and then renamed; `load` gives an equal one."""
        value = self._as_written().model_dump(mode="json", exclude_defaults=True)
        if "attribution" in value["labels"]:
            value["labels"].pop("attribution_window_hours", None)  # the same, written the older way
        strict_yaml.write(path, value)
