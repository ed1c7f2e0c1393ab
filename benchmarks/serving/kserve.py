"""The rival of benchmarks.serving: the same SavedModel in KServe's Python server.

Runs in an environment of its own (kserve and tensorflow), not in the project's:

    python serving_kserve.py MODEL_NAME VERSION_FOLDER PORT

It is what its documentation shows: a subclass of kserve.Model whose predict calls the SavedModel's
signature and answers in the V1 protocol's row form.
"""

from __future__ import annotations

import sys
from typing import Any

import kserve
import numpy as np
import tensorflow as tf


class SavedModel(kserve.Model):
    """A SavedModel behind KServe's V1 protocol."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self.loaded = tf.saved_model.load(path)
        self.signature = self.loaded.signatures["serving_default"]
        _, self.inputs = self.signature.structured_input_signature
        self.ready = True

    async def predict(
        self, payload: dict[str, Any], headers: Any = None, response_headers: Any = None
    ) -> dict[str, Any]:
        """Answers {"instances": [{name: value}, ...]}."""
        rows = payload["instances"]
        columns = {
            name: tf.constant(np.array([row[name] for row in rows], spec.dtype.as_numpy_dtype))
            for name, spec in self.inputs.items()
        }
        outputs = {
            name: value.numpy().tolist() for name, value in self.signature(**columns).items()
        }
        names = list(outputs)
        values = zip(*outputs.values(), strict=True)
        return {"predictions": [dict(zip(names, row, strict=True)) for row in values]}


if __name__ == "__main__":
    served = SavedModel(sys.argv[1], sys.argv[2])
    kserve.ModelServer(http_port=int(sys.argv[3]), enable_grpc=False, workers=1).start([served])
