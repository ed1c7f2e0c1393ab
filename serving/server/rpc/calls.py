"""The calls of PredictionService and ModelService: a request's bytes to an answer's.

Checks, their order and their words are TensorFlow Serving's own.

Source: tensorflow_serving/servables/tensorflow/{predict_util,classifier,regressor,
get_model_metadata_impl}.cc and model_servers/get_model_status_impl.cc, release 2.17.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from idefn_tf.export.serving_protos import message_class
from serving.common.tensor_protos import TensorError, fill, from_message
from serving.server.codec import examples
from serving.server.errors import CODE_NAMES, StatusError, invalid_argument
from serving.server.flags import Limits
from serving.server.json_text import echo
from serving.server.metrics import Metrics
from serving.server.models.manager import ModelManager
from serving.server.rpc.parse import parse
from serving.server.runtime.batching import Batcher
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import DEFAULT, Arrays, Signature

#: ModelVersionStatus.State by name.
_STATES = {"UNKNOWN": 0, "START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}


class Calls:
    """Answers calls on threads of gRPC's own; signatures run in the batcher's queue.

    Args:
        manager: the models.
        batcher: runs signatures, for `loop`.
        metrics: counters.
        limits: what a request may cost.
        loop: the event loop that the batcher belongs to.
        content: whether answers hold raw tensor content.
        check_method: whether classify and regress insist on the signature's method name.
    """

    def __init__(
        self,
        manager: ModelManager,
        batcher: Batcher,
        metrics: Metrics,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        content: bool = False,
        check_method: bool = False,
    ) -> None:
        self._manager, self._batcher, self._metrics = manager, batcher, metrics
        self._limits, self._loop = limits, loop
        self._content, self._check_method = content, check_method

    def by_name(self) -> Mapping[str, Callable[[bytes, float], bytes]]:
        """The calls by their full name; each takes the request and the seconds it may take."""
        prediction, model = (
            "tensorflow.serving.PredictionService",
            "tensorflow.serving.ModelService",
        )
        return {
            f"/{prediction}/Predict": self._counted("Predict", "TensorsRequest", self._predict),
            f"/{prediction}/Classify": self._counted("Classify", "ExampleRequest", self._classify),
            f"/{prediction}/Regress": self._counted("Regress", "ExampleRequest", self._regress),
            f"/{prediction}/GetModelMetadata": self._metadata,
            f"/{model}/GetModelStatus": self._status,
        }

    def _counted(
        self, api: str, kind: str, call: Callable[[Any, float], Any]
    ) -> Callable[[bytes, float], bytes]:
        def counted(body: bytes, seconds: float) -> bytes:
            started, code = time.perf_counter(), "INTERNAL"
            request = parse(kind, body)
            name = request.model_spec.name
            try:
                answer: bytes = call(request, seconds).SerializeToString()
                code = "OK"
                return answer
            except StatusError as error:
                code = error.code
                raise
            finally:
                if name in self._manager.names():
                    self._metrics.count(name, code)
                    if code == "OK":
                        taken = time.perf_counter() - started
                        self._metrics.request(name, api.lower(), taken)

        return counted

    # -- PredictionService ---------------------------------------------------------------------

    def _predict(self, request: Any, seconds: float) -> Any:
        servable = self._acquire(request)
        try:
            name = request.model_spec.signature_name or DEFAULT
            signature = servable.signatures.get(name)
            if signature is None or not signature.inputs:
                raise StatusError(
                    "FAILED_PRECONDITION", f'Serving signature key "{echo(name)}" not found.'
                )
            _check_names(request.inputs, signature)
            _check_filter(request.output_filter, signature)
            arrays = {key: self._array(key, request.inputs[key]) for key in signature.inputs}
            _check_types(arrays, signature)
            _check_rows(arrays, self._limits.max_rows)
            outputs = self._run(servable, signature, arrays, seconds, "Predict")
            answer = message_class("TensorsResponse")()
            _name(answer.model_spec, servable, name)
            for key in request.output_filter or outputs:
                fill(answer.outputs[key], outputs[key], self._content)
            return answer
        finally:
            servable.release()

    def _array(self, key: str, tensor: Any) -> np.ndarray:
        try:
            return from_message(tensor, self._limits.max_body_bytes)
        except TensorError as error:
            raise invalid_argument(f"tensor parsing error: {echo(key)}: {error}") from None

    def _classify(self, request: Any, seconds: float) -> Any:
        servable, signature, outputs, count = self._examples(request, seconds, "classify")
        classes, scores = examples.classes_of(outputs, count)
        answer = message_class("ClassificationResponse")()
        _name(answer.model_spec, servable, signature.name)
        rows = classes if classes is not None else scores
        for i in range(len(rows) if rows is not None else 0):
            row = answer.result.classifications.add()
            for j in range(rows.shape[1]):  # type: ignore[union-attr]
                made = row.classes.add()
                if classes is not None:
                    made.label = bytes(classes[i, j]).decode("utf-8", "replace")
                if scores is not None:
                    made.score = float(scores[i, j])
        return answer

    def _regress(self, request: Any, seconds: float) -> Any:
        servable, signature, outputs, count = self._examples(request, seconds, "regress")
        values = examples.values_of(outputs, count)
        answer = message_class("RegressionResponse")()
        _name(answer.model_spec, servable, signature.name)
        for value in values.tolist():
            answer.result.regressions.add(value=value)
        return answer

    def _examples(
        self, request: Any, seconds: float, verb: str
    ) -> tuple[Servable, Signature, Arrays, int]:
        servable = self._acquire(request)
        try:
            signature = examples.find(
                verb, servable, request.model_spec.signature_name, self._check_method
            )
            given = examples.of_input(request.input)
            if len(given) > self._limits.max_rows:
                raise _too_many(self._limits.max_rows)
            outputs = self._run(servable, signature, {"inputs": given}, seconds, verb.capitalize())
            return servable, signature, outputs, len(given)
        finally:
            servable.release()

    def _metadata(self, body: bytes, seconds: float) -> bytes:
        request = parse("GetModelMetadataRequest", body)
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid_argument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid_argument(f"Metadata field {echo(field)} is not supported")
        servable = self._acquire(request)
        try:
            found = message_class("SignatureDefMap")()
            for name, definition in servable.definitions.items():
                found.signature_def[name] = definition
            answer = message_class("GetModelMetadataResponse")()
            _name(answer.model_spec, servable, "")
            packed = answer.metadata["signature_def"]
            packed.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
            packed.value = found.SerializeToString()
            written: bytes = answer.SerializeToString()
            return written
        finally:
            servable.release()

    # -- ModelService --------------------------------------------------------------------------

    def _status(self, body: bytes, seconds: float) -> bytes:
        request = parse("GetModelStatusRequest", body)
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        answer = message_class("GetModelStatusResponse")()
        for state in reversed(self._manager.status(spec.name, version)):
            status: Any = state["status"]
            answer.model_version_status.add(
                version=int(str(state["version"])),
                state=_STATES[str(state["state"])],
                status={
                    "error_code": CODE_NAMES.index(status["error_code"]),
                    "error_message": status["error_message"],
                },
            )
        written: bytes = answer.SerializeToString()
        return written

    # -- what calls share ----------------------------------------------------------------------

    def _acquire(self, request: Any) -> Servable:
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        spec = request.model_spec
        chosen = spec.WhichOneof("version_choice")
        version = spec.version.value if chosen == "version" else None
        label = spec.version_label if chosen == "version_label" else None
        return self._manager.acquire(spec.name, version, label)

    def _run(
        self, servable: Servable, signature: Signature, arrays: Arrays, seconds: float, api: str
    ) -> dict[str, np.ndarray]:
        deadline = self._loop.time() + min(seconds, self._limits.timeout_seconds)
        work = self._batcher.run(servable, signature, arrays, deadline, api)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _name(spec: Any, servable: Servable, signature: str) -> None:
    spec.name, spec.signature_name = servable.name, signature
    spec.version.value = servable.version


def _check_names(inputs: Mapping[str, Any], signature: Signature) -> None:
    sent, wanted = set(inputs), set(signature.inputs)
    if len(sent) != len(wanted):
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({{{_listed(sent)}}}) != len({{{_listed(wanted)}}}). "
            f"Sent extra: {{{_listed(sent - wanted)}}}. "
            f"Missing but required: {{{_listed(wanted - sent)}}}."
        )
    if sent != wanted:
        raise invalid_argument(
            f"Signature input {min(wanted - sent)} was not found in the request; "
            f"sent: {{{_listed(sent)}}}"
        )


def _listed(names: set[str]) -> str:
    return echo(",".join(sorted(names)))


def _check_filter(asked: Sequence[str], signature: Signature) -> None:
    seen: set[str] = set()
    for alias in asked:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {echo(alias)} Outputs expected to "
                f"be in the set {{{','.join(sorted(signature.outputs))}}}."
            )
        if alias in seen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        seen.add(alias)


def _check_types(arrays: Arrays, signature: Signature) -> None:
    for key, spec in signature.inputs.items():
        given = "string" if arrays[key].dtype == object else arrays[key].dtype.name
        if given != spec.type:
            raise invalid_argument(f"Expects arg[{key}] to be {spec.type} but {given} is provided")


def _check_rows(arrays: Arrays, most: int) -> None:
    if any(array.ndim and array.shape[0] > most for array in arrays.values()):
        raise _too_many(most)


def _too_many(most: int) -> StatusError:
    return invalid_argument(f"Request has more rows than the server accepts: {most}")
