"""MultiInference: several classify and regress signatures of one model over the same examples.

Checks, their order and their words are TensorFlow Serving's own; there all signatures must share
one input tensor, which signatures written by TensorFlow 2 never do, so here they need not.

Source: tensorflow_serving/servables/tensorflow/multi_inference.cc, release 2.17.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from idefn_tf.export.serving_protos import message_class
from serving.server.codec import examples
from serving.server.errors import StatusError, invalid_argument
from serving.server.json_text import echo
from serving.server.rpc.predict_call import name_version
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import CLASSIFY, DEFAULT, REGRESS, Signature

Outputs = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Task:
    """One signature to run.

    Attributes:
        verb: "classify" or "regress".
        signature: The signature.
        asked: Its name as the request has it; "" for serving_default.
    """

    verb: str
    signature: Signature
    asked: str


def tasks_of(request: Any, servable: Servable) -> list[Task]:
    """Reads the tasks of a MultiInferenceRequest.

    Raises:
        StatusError: INVALID_ARGUMENT or UNIMPLEMENTED with TensorFlow Serving's message.
    """
    found: list[Task] = []
    for task in request.tasks:
        spec = task.model_spec
        if not spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if spec.name != request.tasks[0].model_spec.name:
            raise invalid_argument(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = spec.signature_name or DEFAULT
        if any(known.signature.name == name for known in found):
            raise invalid_argument(f"Duplicate evaluation of signature: {name}")
        if name not in servable.signatures:
            raise invalid_argument(f"Requested signature not found in model graph: {echo(name)}")
        verb = {CLASSIFY: "classify", REGRESS: "regress"}.get(task.method_name)
        if verb is None:
            raise StatusError(
                "UNIMPLEMENTED", f"Unsupported signature method_name: {echo(task.method_name)}"
            )
        signature = examples.find(verb, servable, name, check_method=False)
        found.append(Task(verb, signature, spec.signature_name))
    return found


def answer_of(tasks: Sequence[Task], servable: Servable, outputs: Sequence[Outputs], n: int) -> Any:
    """Writes a MultiInferenceResponse.

    Args:
        tasks: The tasks.
        servable: The version that answered.
        outputs: What it gave, task by task.
        n: The number of examples.
    """
    answer = message_class("MultiInferenceResponse")()
    for task, found in zip(tasks, outputs, strict=True):
        result = answer.results.add()
        name_version(result.model_spec, servable, task.asked)
        if task.verb == "classify":
            write_classes(result.classification_result, found, n)
        else:
            write_values(result.regression_result, found, n)
    return answer


def write_classes(result: Any, outputs: Outputs, count: int) -> None:
    """Writes a ClassificationResult.

    Raises:
        StatusError: The outputs have another shape or type.
    """
    classes, scores = examples.classes_of(outputs, count)
    rows = classes if classes is not None else scores
    result.SetInParent()
    for i in range(len(rows) if rows is not None else 0):
        row = result.classifications.add()
        for j in range(rows.shape[1]):  # type: ignore[union-attr]
            made = row.classes.add()
            if classes is not None:
                made.label = bytes(classes[i, j]).decode("utf-8", "replace")
            if scores is not None:
                made.score = float(scores[i, j])


def write_values(result: Any, outputs: Outputs, count: int) -> None:
    """Writes a RegressionResult.

    Raises:
        StatusError: The outputs have another shape or type.
    """
    result.SetInParent()
    for value in examples.values_of(outputs, count).tolist():
        result.regressions.add(value=value)
