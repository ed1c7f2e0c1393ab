"""What fit, evaluate and predict take: data sets, or dicts of arrays; the rest is refused here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import tensorflow as tf

from idefn_tf._checks import every_row
from idefn_tf.schema import CLICK, CONVERSION

_FIT = inspect.signature(keras.Model.fit)
_ARRAYS = (np.ndarray, pd.Series)
_WAY = "open_dataset(schema, frame) makes a data set of a table"


def check_inputs(x: Any, y: Any = None, sample_weight: Any = None, name: str = "x") -> None:
    """Refuses forms of data that Keras would fail on deep inside.

    Args:
        x: features.
        y: labels.
        sample_weight: weights.
        name: of `x`, for the message.

    Raises:
        ValueError: in one sentence, with the way.
    """
    if isinstance(x, (pd.DataFrame, pd.Series, pa.Table)):
        raise ValueError(
            f"{name}: must be a data set, or features by name, received {_kind(x)}, whose columns' "
            f"meaning the model does not know;\n{_WAY}"
        )
    if isinstance(x, (np.ndarray, tf.Tensor, list)):
        raise ValueError(
            f"{name}: must be features by name, received {_kind(x)};\npass a dict of arrays, or "
            "what open_dataset gives"
        )
    if isinstance(y, (pd.DataFrame, pa.Table)):
        raise ValueError(
            f"y: must be a dict with 'click' and 'conversion', received {_kind(y)};\npass "
            f"{{'click': frame['click'], 'conversion': frame['conversion']}}; {_WAY}"
        )
    spec = getattr(x, "element_spec", None)
    if isinstance(spec, tuple) and len(spec) > 2 and sample_weight is None:
        sample_weight = spec[2]
    if isinstance(sample_weight, Mapping):
        raise ValueError(
            "sample_weight: must be one array [rows], for an exposure weighs once, received a "
            f"dict of {sorted(sample_weight)};\nweigh the terms of the loss by "
            "compile(loss_weights=...)"
        )
    given = {name: x, "y": y}
    for argument, parts in given.items():
        for key, values in parts.items() if isinstance(parts, Mapping) else ():
            _check_array(f"{argument}[{key!r}]", values)
    _check_array("sample_weight", sample_weight)
    if isinstance(y, Mapping):
        _check_labels(y)
    if isinstance(sample_weight, _ARRAYS):
        every_row(
            "sample_weight",
            ~(np.asarray(sample_weight, np.float64) >= 0),
            "be 0 or more",
            "give rows that are not to count a weight of 0",
        )


def _check_array(name: str, values: Any) -> None:
    """Refuses what Keras takes for something else than an array, or for no array at all.

    Raises:
        ValueError: naming the argument and its key.
    """
    told = None
    if isinstance(values, (list, tuple)):
        told = _kind(values)
    elif isinstance(values, pd.Series) and not isinstance(values.dtype, np.dtype):
        told = f"a Series of dtype {values.dtype}"
    if told is not None:
        raise ValueError(
            f"{name}: must be an array of NumPy's dtypes, received {told};\npass "
            f"np.asarray(...) of it; {_WAY}"
        )


def _check_labels(labels: Mapping[str, Any]) -> None:
    """Refuses arrays of labels that data sets of tables could not hold either.

    Raises:
        ValueError: naming the label, and how many rows are wrong.
    """
    for name in (CLICK, CONVERSION):
        if isinstance(labels.get(name), _ARRAYS):
            wrong = ~np.isin(np.asarray(labels[name]), (0, 1))
            every_row(f"y[{name!r}]", wrong, "hold 0 and 1", "write 0 where there was none")


def fit_arguments(
    args: Sequence[Any], kwargs: Mapping[str, Any], compiled: bool = True
) -> dict[str, Any]:
    """Returns the arguments of ``keras.Model.fit`` by name, checked; of a compiled model.

    Raises:
        ValueError: in one sentence, with the way.
    """
    check_compiled(compiled)
    given = _FIT.bind(None, *args, **kwargs).arguments
    named = {name: value for name, value in given.items() if name != "self"}
    check_class_weight(named.get("class_weight"))
    check_inputs(named.get("x"), named.get("y"), named.get("sample_weight"))
    if named.get("validation_data") is not None:
        check_validation(named["validation_data"])
    return named


def features_of(dataset: Any) -> Mapping[str, Any] | None:
    """Returns the specification of a data set's features by name, or None if it has none."""
    if not isinstance(dataset, tf.data.Dataset):
        return None
    spec = dataset.element_spec
    features = spec[0] if isinstance(spec, tuple) else spec
    return features if isinstance(features, Mapping) else None


def check_validation(data: Any) -> None:
    """Refuses what `check_inputs` does in `fit`'s validation_data, and data without a batch.

    Raises:
        ValueError: in one sentence, with the way.
    """
    if isinstance(data, tf.data.Dataset):
        check_any_batch(int(data.cardinality()) != 0, "validation_data")
    parts = data if isinstance(data, (list, tuple)) else (data,)
    x, y, weight = (*parts, None, None)[:3]
    check_inputs(x, y, weight, "validation_data")


def check_class_weight(class_weight: Any) -> None:
    """Refuses class weights: there are two labels, and which is meant is not said.

    Raises:
        ValueError: with the ways to weigh rows and terms.
    """
    if class_weight is not None:
        raise ValueError(
            "class_weight: must be left out, for click and conversion are two labels, received "
            f"{class_weight!r};\nweigh rows by sample_weight, terms by compile(loss_weights=...)"
        )


def check_compiled(compiled: bool) -> None:
    """Refuses to train a model without an optimizer.

    Raises:
        ValueError: with the call that lacks.
    """
    if not compiled:
        raise ValueError(
            "fit: must come after compile, received a model that is not compiled;\n"
            "call model.compile(RowSparseAdam(1e-3)) first"
        )


def keras_file(path: Any) -> Any:
    """Returns the path of a file to save a model in.

    Raises:
        ValueError: for the older HDF5 format, from which it could not be loaded again.
    """
    if str(path).endswith((".h5", ".hdf5")):
        raise ValueError(
            f"filepath: must end in .keras, received {str(path)!r};\nHDF5 holds no layers of one's "
            "own; weights alone go into model.save_weights('NAME.weights.h5')"
        )
    return path


def check_any_batch(any_batch: bool, name: str = "x") -> None:
    """Refuses data without a batch, from which Keras goes on without a number.

    Raises:
        ValueError: with what leads to it.
    """
    if not any_batch:
        raise ValueError(
            f"{name}: must give at least one batch, received none;\ngive it rows; with "
            "drop_remainder=True they must be batch_size or more"
        )


def predicted(predict: Callable[..., Any], data: Any, *args: Any, **kwargs: Any) -> Any:
    """Returns ``keras.Model.predict`` of data.

    Raises:
        ValueError: if they give no batch.
    """
    try:
        return predict(data, *args, **kwargs)
    except UnboundLocalError:  # Keras' own, where there is no batch
        check_any_batch(next(iter(data), None) is not None)
        raise


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"
