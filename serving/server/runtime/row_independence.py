"""Does each row of a batch get the answer it would get alone? Tried out when a version is loaded.

Mixing requests into one batch is safe only then. A model may relate the rows of a batch to each
other (a softmax over candidates, a normalisation), and its shapes do not show it. So a few made-up
rows are run together and one by one: if the outputs agree, requests may be mixed. The trial is also
the first run of the graph, which is the slow one.
"""

from __future__ import annotations

import numpy as np

from serving.server.errors import StatusError
from serving.server.runtime.signature import Signature, TensorSpec

_ROWS = 4
# Kernels add up in another order for another number of rows; dependent rows differ by far more.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6


def made_up(spec: TensorSpec, rows: int, generator: np.random.Generator) -> np.ndarray:
    """Rows for an input: small numbers, numbers as text, booleans; unknown inner sizes are 2."""
    shape = (rows, *[2 if size == -1 else size for size in (spec.shape or (-1,))[1:]])
    small = generator.integers(0, 8, shape)
    name = spec.dtype.name
    if name == "string":
        return np.array([str(n).encode() for n in small.ravel()] + [None], object)[:-1].reshape(
            shape
        )
    if name == "bool":
        return small % 2 == 1
    if spec.dtype.is_integer:
        return small.astype(spec.dtype.as_numpy_dtype)
    return generator.random(shape).astype(spec.dtype.as_numpy_dtype)


def rows_independent(signature: Signature) -> bool:
    """Tries a signature.

    Args:
        signature: A bound signature.

    Returns:
        True if made-up rows run together and alone gave the same; False if they did not, if the
        graph refuses made-up values, or if the shapes leave no meaning to a batch.
    """
    if not signature.stackable:
        return False
    generator = np.random.default_rng(0)
    try:
        rows = {name: made_up(spec, _ROWS, generator) for name, spec in signature.inputs.items()}
        together = signature.run(rows)
        for index in range(_ROWS):
            alone = signature.run({name: a[index : index + 1] for name, a in rows.items()})
            for name, array in together.items():
                if array.ndim == 0 or array.shape[0] != _ROWS:
                    return False
                if not _same(array[index : index + 1], alone[name]):
                    return False
    except (StatusError, TypeError, ValueError):
        return False
    return True


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind == "f":
        return bool(np.allclose(one, other, _RELATIVE, _ABSOLUTE, equal_nan=True))
    return bool(np.array_equal(one, other))
