"""tensorflow-io's native operations: loaded where they load, refused with the cure elsewhere."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def load_tensorflow_io() -> Any:
    """Imports tensorflow-io with its native operations.

    Raises:
        ImportError: with the cure, where it is absent or its natives do not load.
    """
    try:
        import tensorflow_io as tfio

        # the natives are loaded on first use: one cheap call tells
        tfio.experimental.serialization.decode_json  # noqa: B018
        tfio.IODataset.from_parquet  # noqa: B018
    except (ImportError, NotImplementedError, AttributeError, tf.errors.NotFoundError) as error:
        raise ImportError(
            f"tensorflow-io cannot be used with TensorFlow {tf.__version__}: {error}. Its last "
            "release, 0.37.1, loads on TensorFlow 2.16 and 2.17 only; install "
            "'tensorflow==2.17.1 tensorflow-io==0.37.1', or read with reader='pyarrow'."
        ) from None
    return tfio
