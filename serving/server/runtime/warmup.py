"""Runs a version's warm-up records before it is published, as TensorFlow Serving does.

A record that fails makes the load fail.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from idefn_tf.export.warmup_records import MOST_RECORDS, parse_record, read_records
from serving.server.errors import StatusError, from_tensorflow, invalid_argument
from serving.server.runtime.servable import Servable


def warm_up(servable: Servable, iterations: int = 1) -> int:
    """Runs the warm-up records of a version.

    Args:
        servable: The loaded version.
        iterations: How often each record is run.

    Returns:
        The number of records; 0 if there is no file.

    Raises:
        StatusError: A record cannot be read or run, or there are more than 1,000.
    """
    count = 0
    try:
        for record in read_records(servable.path):
            count += 1
            if count > MOST_RECORDS:
                raise invalid_argument(f"there are more than {MOST_RECORDS} records")
            _run(servable, record, iterations)
    except StatusError as error:
        raise StatusError(error.code, f"Warm-up record {count}: {error.message}") from None
    except NotImplementedError as error:
        raise StatusError("UNIMPLEMENTED", f"Warm-up record {count}: {error}") from None
    except tf.errors.OpError as error:
        raise from_tensorflow(error) from None
    except (ValueError, KeyError, TypeError) as error:
        raise invalid_argument(f"Warm-up record {count} cannot be read: {error}") from None
    return count


def _run(servable: Servable, record: bytes, iterations: int) -> None:
    request = parse_record(record)
    if request is None:
        return
    signature = servable.find(request.signature)
    arrays = request.inputs(signature.inputs)
    if arrays.keys() != signature.inputs.keys():
        raise invalid_argument(
            f"inputs {sorted(arrays)} are not those of signature {signature.name}"
        )
    signature.check_shapes(arrays)
    typed = {
        name: np.asarray(array, signature.inputs[name].dtype.as_numpy_dtype)
        for name, array in arrays.items()
    }
    for _ in range(iterations):
        signature.run(typed)
