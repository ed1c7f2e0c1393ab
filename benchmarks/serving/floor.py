"""What a call of the model costs in process, without any server: the floor of benchmarks.serving.

    python -m benchmarks.serving.floor VERSION_FOLDER '[1, 10]' SECONDS

Three ways to call the same signature are timed: as a function of TensorFlow 2, which is what a
Python program would do; as a session's callable, one array per input; and as the embedded server
calls it, inputs of one type in one array.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from serving.server.runtime.row_independence import made_up
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import DEFAULT


def percentiles(call: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Calls for some seconds and returns the milliseconds of a call."""
    for _ in range(20):
        call()
    found, end = [], time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        call()
        found.append(time.perf_counter() - begun)
    found.sort()
    last = len(found) - 1
    return {
        f"p{q}_ms": round(1000 * found[min(last, len(found) * q // 100)], 3) for q in (50, 95, 99)
    }


def plain_session(version: str) -> Callable[..., Any]:
    """Returns the default signature as a session's callable, inputs in the order of their names."""
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], version)
    definition = loaded.signature_def[DEFAULT]
    tensor = session.graph.get_tensor_by_name
    found: Callable[..., Any] = session.make_callable(
        [tensor(info.name) for _, info in sorted(definition.outputs.items())],
        [tensor(info.name) for _, info in sorted(definition.inputs.items())],
    )
    return found


def measure(version: str, rows: list[int], seconds: float) -> dict[str, Any]:
    """Times a version's default signature.

    Args:
        version: its folder.
        rows: rows per call.
        seconds: per way and number of rows.

    Returns:
        By number of rows and way, p50, p95 and p99 in milliseconds.
    """
    function = tf.saved_model.load(version).signatures[DEFAULT]
    servable = Servable("floor", 1, version)
    signature = servable.signatures[DEFAULT]
    session = plain_session(version)
    generator = np.random.default_rng(0)
    report: dict[str, Any] = {}
    for count in rows:
        arrays = {key: made_up(spec, count, generator) for key, spec in signature.inputs.items()}
        feeds = [arrays[key] for key in signature.inputs]

        def as_function(arrays: dict[str, np.ndarray] = arrays) -> dict[str, np.ndarray]:
            outputs = function(**{key: tf.constant(value) for key, value in arrays.items()})
            return {key: value.numpy() for key, value in outputs.items()}

        report[str(count)] = {
            "function": percentiles(as_function, seconds),
            "session": percentiles(lambda feeds=feeds: session(*feeds), seconds),  # type: ignore[misc]
            "stacked_session": percentiles(lambda arrays=arrays: signature.run(arrays), seconds),  # type: ignore[misc]
        }
    return report


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    found = measure(sys.argv[1], json.loads(sys.argv[2]), float(sys.argv[3]))
    sys.stdout.write(json.dumps(found) + "\n")
