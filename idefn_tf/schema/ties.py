"""Ties: a feature that shares another's table takes from its owner what decides an id's row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idefn_tf.schema.feature import Feature

#: By kind, what decides which row an id has; a tied feature that leaves it out takes its owner's.
ROW_KEYS: Mapping[str, tuple[str, ...]] = {
    "identity": ("num_buckets",),
    "hash": ("num_buckets",),
    "vocabulary": ("oov", "oov_buckets"),
}
#: What is read from the owner alone: how its table is learned and how large it is.
OWNER_KEYS = ("embedding", "headroom", "max_size", "min_count")
_CURE = "give both the same, or leave the key out, and the owner's is taken"


def resolve(
    features: tuple[Feature, ...], embedding_width: int, kept: bool = False
) -> tuple[Feature, ...]:
    """Returns the features with what tied ones take from their owners.

    Args:
        features: of one schema.
        embedding_width: of embeddings that name none.
        kept: whether the schema lies in a folder made with it. There a key that was never read
            from the tied feature may differ, for it did no harm.

    Raises:
        ValueError: naming the key, both values and the cure, for a pair that does not fit.
    """
    by_name = {feature.name: feature for feature in features}
    return tuple(
        feature
        if feature.tied_to is None
        else _take(i, feature, by_name.get(feature.tied_to), embedding_width, kept)
        for i, feature in enumerate(features)
    )


def left_out(features: Any) -> list[tuple[str, str]]:
    """Lists what tied features of a plain, valid schema leave to owners with an unusual value.

    Releases before ties were resolved took the default there, and read rows of other ids; a schema
    that was written since states the value.
    """
    owners = {feature["name"]: feature for feature in features}
    return [
        (feature["name"], key)
        for feature in features
        if feature.get("tied_to") and feature["kind"] == "vocabulary"
        for key in _differing(
            {"oov": "bucket", "oov_buckets": 1, **owners[feature["tied_to"]]}, feature
        )
    ]


def _differing(owner: Mapping[str, Any], tied: Mapping[str, Any]) -> list[str]:
    """Keys that `tied` leaves out though its owner's value is not the default."""
    if owner["oov"] == "zero":
        return [] if "oov" in tied else ["oov"]
    return [] if "oov_buckets" in tied or owner["oov_buckets"] == 1 else ["oov_buckets"]


def _take(
    i: int, feature: Feature, owner: Feature | None, embedding_width: int, kept: bool
) -> Feature:
    at = f"features[{i}]"
    if owner is None or owner.tied_to is not None or owner is feature:
        raise ValueError(
            f"{at}.tied_to: {feature.tied_to!r} must name a feature that is not itself tied"
        )
    if (owner.kind, owner.dtype) != (feature.kind, feature.dtype):
        raise ValueError(
            f"{at}.tied_to: {feature.name!r} and {owner.name!r} must have the same kind and dtype, "
            f"received {feature.kind} {feature.dtype} and {owner.kind} {owner.dtype}"
        )
    taken: dict[str, Any] = {}
    for key in ROW_KEYS[feature.kind]:
        mine, theirs = getattr(feature, key), getattr(owner, key)
        if mine == theirs or (key == "oov_buckets" and owner.oov == "zero"):
            continue
        if key not in feature.model_fields_set or mine is None:
            taken[key] = theirs
        elif feature.kind != "identity" or mine > theirs:  # the first ids are the owner's too
            raise ValueError(_refusal(at, key, owner.name, theirs, mine) + _OLD * kept)
    for key in () if kept else OWNER_KEYS:
        mine, theirs = getattr(feature, key), getattr(owner, key)
        if key == "embedding":
            theirs = theirs or embedding_width
        if mine not in (Feature.model_fields[key].default, theirs):
            raise ValueError(_refusal(at, key, owner.name, theirs, mine))
    if not taken:
        return feature
    resolved = feature.model_copy(update=taken)
    try:
        resolved.check_stand_in()
    except ValueError as error:
        raise ValueError(f"{at}.{error}") from None
    return resolved


_OLD = (
    ". What was made with this schema read the rows of other ids: mend the schema, then prepare "
    "and train anew"
)


def _refusal(at: str, key: str, owner: str, theirs: Any, mine: Any) -> str:
    return (
        f"{at}.{key}: must be {theirs!r}, as {owner!r} has it, whose table it shares, "
        f"received {mine!r}; {_CURE}"
    )
