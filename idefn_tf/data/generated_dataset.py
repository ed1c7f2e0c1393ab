"""Generator data sets: what Python yields, by one program for every data set of one form.

tf.data traces the functions of ``from_generator`` and ``map`` anew for each data set, and
TensorFlow keeps what a generator's functions hold until the process ends. Here a program takes what
a data set is made of and returns the data set: it is traced once for each form. The generator is
found by its number and goes with its data set.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

#: What yields the elements of the data sets that are alive, by number.
_generators: dict[int, Callable[[], Iterator[Any]]] = {}
_numbers = itertools.count()
#: The programs that make data sets, by form.
_programs: dict[str, Any] = {}
#: The specification of a whole number.
NUMBER = tf.TensorSpec([], tf.int64)


def generated(
    signature: Any, generator: Callable[[], Iterator[Any]], count: int | None = None
) -> tf.data.Dataset:
    """Returns what a generator yields as a data set, prefetched.

    Args:
        signature: of an element, as `tf.data.Dataset.from_generator` takes it.
        generator: called at the beginning of every epoch.
        count: how many elements it yields, where known.

    Example:
        >>> from idefn_tf.data.generated_dataset import generated
        >>> ones = generated(tf.TensorSpec([], tf.int64), lambda: iter([1, 1, 1]), 3)
        >>> [int(one) for one in ones], int(ones.cardinality())
        ([1, 1, 1], 3)
    """
    known = count is not None

    def make() -> Any:
        return lambda number, count: finished(yielded(number, signature), count if known else None)

    program = shared(f"generated {known} {signature!r}", make, (NUMBER, NUMBER))
    return opened(program, generator, tf.constant(count or 0, tf.int64))


def shared(form: str, make: Callable[[], Any], signature: Any) -> Any:
    """Returns the program that makes the data sets of one form; `make` gives its function once."""
    if form not in _programs:
        _programs[form] = tf.function(make(), input_signature=signature, autograph=False)
    return _programs[form]


def opened(program: Any, generator: Callable[[], Iterator[Any]], *args: Any) -> tf.data.Dataset:
    """Returns the data set that a program makes of a generator's number and further arguments.

    The generator is there as long as the data set, or one that is made of it, is.
    """
    number = next(_numbers)
    dataset = program(tf.constant(number, tf.int64), *args)
    _generators[number] = generator
    weakref.finalize(dataset, _generators.pop, number, None).atexit = False
    return dataset


def yielded(number: tf.Tensor, signature: Any) -> tf.data.Dataset:
    """Returns, within a program, what the generator of a number yields."""
    return tf.data.Dataset.from_generator(_elements, args=(number,), output_signature=signature)


def finished(dataset: tf.data.Dataset, count: tf.Tensor | None) -> tf.data.Dataset:
    """Returns, within a program, a data set that prefetches and knows its length, if given."""
    if count is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    return dataset.prefetch(tf.data.AUTOTUNE)


def made_of(program: Any, dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the data set that a program makes of another, which lives as long as it does."""
    made = program(dataset)
    made.made_of = dataset
    return made


def _elements(number: np.ndarray) -> Iterator[Any]:
    """Yields the elements of one epoch.

    Raises:
        ValueError: if the data set is gone, of which another is all that TensorFlow has.
    """
    generator = _generators.get(int(number))
    if generator is None:
        raise ValueError(
            "dataset: must live as long as what is made of it, received one that was deleted; keep "
            "what open_dataset returned in a variable"
        )
    yield from generator()
