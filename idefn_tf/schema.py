"""Schema: one YAML file says what every column of an exposure table is.

The same object drives parsing, validation, feature columns and the serving signature.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from idefn_tf import strict_yaml

DType = Literal["int64", "float32", "string"]
Side = Literal["user", "item", "context"]
Kind = Literal["identity", "hash", "vocabulary", "numeric", "bucketized"]

#: Names of the label columns in prepared files and in every batch.
CLICK, CONVERSION = "click", "conversion"
#: Columns that only reports may read; no feature may carry one of these names.
REPORT_COLUMNS = ("conversion_raw", "probe", "oracle_conversion", "oracle_probability")
#: Columns of a prepared file that are neither features nor labels.
RESERVED = (CLICK, CONVERSION, "row_id", "sample_weight", *REPORT_COLUMNS)

_DEFAULT_MISSING: dict[str, int | float | str] = {"int64": -1, "float32": 0.0, "string": ""}


class _Strict(BaseModel):
    """Base of the schema's parts: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Feature(_Strict):
    """One input column: where it comes from and how it becomes numbers.

    A value equal to -1 (int64) or "" (string) in a categorical feature means "absent" and gives
    the zero vector, as in ``tf.feature_column``; any other value of `missing` is a category.
    """

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$", description="name in batches and requests"
    )
    column: str | None = Field(None, description="raw column, where it differs from the name")
    dtype: DType
    side: Side
    kind: Kind
    missing: int | float | str | None = Field(
        None, description="value put where the raw one is null; default -1, 0.0 or ''"
    )
    num_buckets: int | None = Field(None, ge=1, description="identity: ids 0..n-1; hash: buckets")
    boundaries: tuple[float, ...] | None = Field(None, description="bucketized: rising cut points")
    min_count: int = Field(1, ge=1, description="vocabulary: rarer training values are left out")
    max_size: int | None = Field(None, ge=1, description="vocabulary: keep the most frequent")
    headroom: int = Field(0, ge=0, description="vocabulary: rows kept free for ids still to come")
    oov: Literal["bucket", "zero"] = Field(
        "bucket", description="unknown values: hashed to learned rows, or the zero vector"
    )
    oov_buckets: int = Field(1, ge=1, description="vocabulary: rows for unknown values")
    embedding: int | None = Field(None, ge=1, description="width; default: embedding_width")
    tied_to: str | None = Field(None, description="feature whose table and vocabulary this shares")
    max_length: int | None = Field(None, ge=1, description="multi-valued: the padded length")
    separator: str | None = Field(None, description="multi-valued string: splits the raw value")
    weights: str | None = Field(None, description="multi-valued: column of per-entry weights")
    combiner: Literal["mean", "sum", "sqrtn"] = "mean"
    log1p: bool = Field(False, description="numeric: log(1 + x) before standardization")
    standardize: bool = Field(True, description="numeric: zero mean, unit variance on train")
    train_only: bool = Field(False, description="absent at serving (position, tab of the page)")
    serving_value: int | float | str | None = Field(None, description="stands in at serving")
    minimum: float | None = Field(None, description="validation: least raw value")
    maximum: float | None = Field(None, description="validation: greatest raw value")
    max_missing_rate: float = Field(1.0, ge=0.0, le=1.0, description="validation")

    @model_validator(mode="after")
    def _check(self) -> Feature:
        need = {
            "identity": (self.num_buckets, "num_buckets"),
            "hash": (self.num_buckets, "num_buckets"),
            "bucketized": (self.boundaries, "boundaries"),
        }.get(self.kind)
        if need and not need[0]:
            raise ValueError(f"kind {self.kind} needs {need[1]}")
        if self.boundaries and list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError(f"boundaries must rise strictly, received {list(self.boundaries)}")
        allowed = {
            "identity": ("int64",),
            "numeric": ("int64", "float32"),
            "bucketized": ("int64", "float32"),
            "hash": ("int64", "string"),
            "vocabulary": ("int64", "string"),
        }[self.kind]
        if self.dtype not in allowed:
            raise ValueError(
                f"kind {self.kind} takes dtype {' or '.join(allowed)}, received {self.dtype}"
            )
        if self.multi_valued and self.kind in ("numeric", "bucketized"):
            raise ValueError(f"kind {self.kind} cannot be multi-valued; remove max_length")
        for key in ("weights", "separator"):
            if getattr(self, key) is not None and not self.multi_valued:
                raise ValueError(f"{key} needs max_length (a multi-valued feature)")
        if self.train_only and self.serving_value is None:
            raise ValueError("train_only needs serving_value, the value that serving uses")
        if self.tied_to is not None and self.kind in ("numeric", "bucketized"):
            raise ValueError(f"kind {self.kind} cannot be tied; remove tied_to")
        expected: Any = {"int64": int, "float32": (int, float), "string": str}[self.dtype]
        for key in ("missing", "serving_value"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, expected):
                raise ValueError(f"{key} must be of dtype {self.dtype}, received {value!r}")
        return self

    @property
    def multi_valued(self) -> bool:
        """Whether a row holds a padded list of values, not one."""
        return self.max_length is not None

    @property
    def categorical(self) -> bool:
        """Whether the feature is embedded."""
        return self.kind != "numeric"

    @property
    def source(self) -> str:
        """The raw column that holds the feature."""
        return self.column or self.name

    @property
    def fill(self) -> int | float | str:
        """The value that stands for a null."""
        return _DEFAULT_MISSING[self.dtype] if self.missing is None else self.missing

    @property
    def weights_name(self) -> str:
        """The name of the weights twin of a weighted list in batches and requests."""
        return f"{self.name}_weights"


class Labels(_Strict):
    """The label columns, their optional times, and the share of negatives that was kept."""

    click: str
    conversion: str
    exposure_time: str | None = None
    click_time: str | None = None
    conversion_time: str | None = None
    time_unit: Literal["ms", "s"] = "ms"
    attribution_window_hours: float | None = Field(None, gt=0)
    negative_keep_rate: float = Field(1.0, gt=0.0, le=1.0)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column named here; none of them may be a feature."""
        named = (self.click, self.conversion, self.click_time, self.conversion_time)
        return tuple(name for name in named if name)

    def resolve(self, columns: Iterable[str]) -> tuple[str, str]:
        """Returns the click and the conversion column among `columns`.

        Prepared files call them "click" and "conversion"; raw tables use the schema's names.

        Raises:
            ValueError: if neither pair is there.
        """
        names = set(columns)
        for pair in ((CLICK, CONVERSION), (self.click, self.conversion)):
            if names.issuperset(pair):
                return pair
        raise ValueError(
            f"labels: the table must hold the columns {self.click!r} and {self.conversion!r} "
            f"(or 'click' and 'conversion'), received {sorted(names)}; name the label columns "
            "of your table under `labels` in the schema."
        )


class Schema(_Strict):
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
    def _check(self) -> Schema:
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
        by_name = {feature.name: feature for feature in self.features}
        for i, feature in enumerate(self.features):
            if feature.tied_to is None:
                continue
            other = by_name.get(feature.tied_to)
            if other is None or other.tied_to is not None or other is feature:
                raise ValueError(
                    f"features[{i}].tied_to: {feature.tied_to!r} must name a feature "
                    "that is not itself tied"
                )
            if (other.kind, other.dtype) != (feature.kind, feature.dtype):
                raise ValueError(
                    f"features[{i}].tied_to: {feature.name!r} and {other.name!r} must "
                    "have the same kind and dtype"
                )
        if self.user_key is not None and self.user_key not in by_name:
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
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Reads a schema from a YAML file.

        Raises:
            ValueError: naming file, line, key and rule, for anything wrong in it.
        """
        document = strict_yaml.read(path)
        return cls.parse(document.value, document.place)

    @classmethod
    def parse(cls, value: Any, place: Any = None) -> Schema:
        """Builds a schema from plain values, with errors that name the key at fault."""
        if not isinstance(value, Mapping):
            raise ValueError(f"schema: must be a mapping of keys, received {type(value).__name__}")
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise ValueError(strict_yaml.explain(error, place, "schema")) from None

    def save(self, path: str | Path) -> None:
        """Writes the schema as YAML, beside and then renamed; `load` gives an equal one."""
        strict_yaml.write(path, self.model_dump(mode="json", exclude_defaults=True))
