"""Encoding: features of a batch as what a model's tables read, in the input pipeline or at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf

from idefn_tf.data.any_rows import AnyRows
from idefn_tf.data.generated_dataset import made_of
from idefn_tf.data.label_checks import check_labels

#: The attribute of an encoder that holds its programs.
_KEPT_AS = "_encoding_programs"
#: What a class declares, itself, whose objects encode alike for as long as they live.
UNCHANGING = "encodes_alike_for_life"


class Encoder(Protocol):
    """What turns raw features into what a model's tables read, as `FeatureColumns` does.

    Example:
        >>> from idefn_tf.data import open_dataset
        >>> class Prices:
        ...     raw_names = ("price",)
        ...     def encode(self, features):
        ...         return {"rows": {}, "coefficients": {}, "numbers": features["price"][:, None]}
        >>> encoded, *_ = next(iter(open_dataset(schema, table, batch_size=8, encode=Prices())))
        >>> sorted(encoded), encoded["numbers"].shape.as_list()
        (['coefficients', 'numbers', 'rows'], [8, 1])
    """

    @property
    def raw_names(self) -> Sequence[str]:
        """Names of the raw features that `encode` reads."""
        ...

    def encode(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the encoded features of a batch, dicts of tensors in dicts."""
        ...


class EncodingPrograms:
    """The programs of one encoder, traced once for every form of data.

    They are kept with the encoder where its class declares that it does not change. Any other is
    traced anew for every data set, for what it reads may be another by then.

    Attributes:
        rows: raw features of some rows to encoded ones.
    """

    def __init__(self, layer: Encoder) -> None:
        self._encode: Any = layer.encode
        self.rows = AnyRows(tf.function(layer.encode, autograph=False))
        self._datasets: dict[tuple[str, ...], Any] = {}

    @classmethod
    def of(cls, layer: Any) -> EncodingPrograms:
        """Returns the programs of an encoder: its own, if it keeps them, else new ones."""
        if not vars(type(layer)).get(UNCHANGING, False):  # a subclass may encode otherwise
            return cls(layer)
        made: EncodingPrograms | None = vars(layer).get(_KEPT_AS)
        if made is None or made._encode.__self__ is not layer:  # a copy has its original's
            made = cls(layer)
            setattr(layer, _KEPT_AS, made)
        return made

    def dataset(self, keep: tuple[str, ...]) -> Any:
        """Returns what makes a data set of raw batches one of encoded ones."""
        if keep not in self._datasets:

            @tf.autograph.experimental.do_not_convert
            def encode(*element: Any) -> Any:
                given = element[0]
                with tf.control_dependencies(check_labels(*element[1:3])):
                    encoded = {**{name: given[name] for name in keep}, **self._encode(given)}
                return (encoded, *element[1:]) if len(element) > 1 else encoded

            def program(dataset: tf.data.Dataset) -> tf.data.Dataset:
                mapped = dataset.map(encode, num_parallel_calls=tf.data.AUTOTUNE)
                return mapped.prefetch(tf.data.AUTOTUNE)

            self._datasets[keep] = tf.function(program, autograph=False)
        return self._datasets[keep]


def encode_dataset(
    dataset: tf.data.Dataset, layer: Encoder, keep: Sequence[str] = ()
) -> tf.data.Dataset:
    """Returns the data set with its features encoded by `layer`, batch by batch.

    It does so in every epoch; `open_dataset` with ``encode=layer`` encodes rows in memory once.

    Args:
        dataset: of (features,), (features, labels, sample_weight) or features alone.
        layer: what encodes.
        keep: raw features that stay beside the encoded ones.

    Example:
        >>> from idefn_tf.data import encode_dataset
        >>> encoded = next(iter(encode_dataset(data, features)))[0]
        >>> sorted(encoded), encoded["rows"]["4"].shape.as_list()
        (['coefficients', 'numbers', 'rows'], [8, 2])
    """
    return made_of(EncodingPrograms.of(layer).dataset(tuple(keep)), dataset)
