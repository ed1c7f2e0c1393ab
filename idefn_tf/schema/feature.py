"""Feature: what one input column is."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from idefn_tf.schema.strict import Strict

DType = Literal["int64", "float32", "string"]
Side = Literal["user", "item", "context"]
Kind = Literal["identity", "hash", "vocabulary", "numeric", "bucketized"]

_DEFAULT_MISSING: dict[str, int | float | str] = {"int64": -1, "float32": 0.0, "string": ""}


class Feature(Strict):
    """One input column: where it comes from and how it becomes numbers.

    A value equal to -1 (int64) or "" (string) in a categorical feature means "absent" and gives
    the zero vector, as in ``tf.feature_column``; any other value of `missing` is a category.

    Example:
        >>> from idefn_tf.schema import Feature
        >>> tags = Feature(name="tags", dtype="int64", side="item", kind="vocabulary", max_length=3)
        >>> tags.multi_valued, tags.categorical, tags.fill
        (True, True, -1)
    """

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$", description="name in batches and requests"
    )
    column: str | None = Field(None, description="raw column, where it differs from the name")
    dtype: DType
    side: Side
    kind: Kind
    missing: int | float | str | None = Field(
        None,
        description="value put where the raw one is missing; default -1 or '', for float32 numbers "
        "the mean of training (kind numeric) or the bucket of 0.0 (bucketized)",
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
    tied_to: str | None = Field(
        None, description="feature whose table, vocabulary, num_buckets and oov this shares"
    )
    max_length: int | None = Field(None, ge=1, description="multi-valued: the padded length")
    separator: str | None = Field(
        None, description="multi-valued text: what splits it; default a comma"
    )
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
        if need and not need[0] and self.tied_to is None:  # a tied one takes its owner's
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
        if None not in (self.minimum, self.maximum) and self.minimum > self.maximum:  # type: ignore[operator]
            raise ValueError(
                f"minimum must not exceed maximum, received {self.minimum} and {self.maximum}"
            )
        self.check_stand_in()
        self._check_meaningless()
        expected: Any = {"int64": int, "float32": (int, float), "string": str}[self.dtype]
        for key in ("missing", "serving_value"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, expected):
                raise ValueError(f"{key} must be of dtype {self.dtype}, received {value!r}")
        return self

    def check_stand_in(self) -> None:
        """Checks that an identity's serving_value has a row.

        Raises:
            ValueError: if it lies outside of 0..num_buckets - 1.
        """
        stand_in, buckets = self.serving_value, self.num_buckets
        if self.kind != "identity" or buckets is None or not isinstance(stand_in, int):
            return
        if not 0 <= stand_in < buckets:
            raise ValueError(f"serving_value must lie in 0..{buckets - 1}, received {stand_in}")

    def _check_meaningless(self) -> None:
        """Refuses keys that the kind does not read, so that none seems to act."""
        readers = {
            "min_count": ("vocabulary",),
            "max_size": ("vocabulary",),
            "headroom": ("vocabulary",),
            "oov_buckets": ("vocabulary",),
            "boundaries": ("bucketized",),
            "num_buckets": ("identity", "hash"),
            "log1p": ("numeric",),
            "standardize": ("numeric",),
            "embedding": ("identity", "hash", "vocabulary", "bucketized"),
        }
        for key, kinds in readers.items():
            default = type(self).model_fields[key].default
            if self.kind not in kinds and getattr(self, key) != default:
                raise ValueError(
                    f"{key} means nothing for kind {self.kind} "
                    f"(it is read for {', '.join(kinds)}); remove it"
                )

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
        """The value that stands for a missing one: NaN where the model itself puts the mean in."""
        if self.missing is None and self.kind == "numeric" and self.dtype == "float32":
            return math.nan
        return _DEFAULT_MISSING[self.dtype] if self.missing is None else self.missing

    @property
    def needs_moments(self) -> bool:
        """Whether mean and deviation are learnt: to standardize, or for missing numbers."""
        unfilled = self.dtype == "float32" and self.missing is None
        return self.kind == "numeric" and (self.standardize or unfilled)

    @property
    def weights_name(self) -> str:
        """The name of the weights twin of a weighted list in batches and requests."""
        return f"{self.name}_weights"
