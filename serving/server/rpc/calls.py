"""The calls of PredictionService and ModelService: a request's bytes to an answer's.

Checks, their order and their words are TensorFlow Serving's own.

Source: tensorflow_serving/servables/tensorflow/{classifier,regressor,get_model_metadata_impl}.cc
and model_servers/get_model_status_impl.cc, release 2.17.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from idefn_tf.export.serving_protos import message_class
from serving.server.codec import examples
from serving.server.errors import CODE_NAMES, StatusError, invalid_argument
from serving.server.flags import Limits
from serving.server.json_text import echo
from serving.server.metrics import Metrics
from serving.server.models.manager import ModelManager
from serving.server.rpc import multi_inference, predict_call
from serving.server.rpc.multi_inference import write_classes, write_values
from serving.server.rpc.parse import parse
from serving.server.rpc.predict_call import check_rows, name_version
from serving.server.runtime.batching import Batcher
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import Arrays, Signature

Call = Callable[[bytes, float], Awaitable[bytes]]
Outputs = Mapping[str, np.ndarray]

#: ModelVersionStatus.State by name.
_STATES = {"UNKNOWN": 0, "START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}
# What takes longer to read or to write than this is done in a thread.
_LARGE_BODY, _MANY_NUMBERS = 256 * 1024, 20_000


@dataclasses.dataclass(frozen=True)
class _Work:
    """A request on its way to the graph, and how its outputs become the answer's message."""

    runs: Sequence[tuple[str, Signature, Arrays]]  # for the metrics: Predict, Classify, Regress
    write: Callable[[Sequence[Outputs]], Any]


class Calls:
    """Answers calls in the event loop, as REST does, from the same batching queue.

    Args:
        manager: the models.
        batcher: runs signatures.
        metrics: counters.
        limits: what a request may cost.
        threads: for large messages, at most.
        content: whether answers hold raw tensor content.
        check_method: whether classify and regress insist on the signature's method name.
    """

    def __init__(
        self,
        manager: ModelManager,
        batcher: Batcher,
        metrics: Metrics,
        limits: Limits,
        threads: int = 16,
        content: bool = False,
        check_method: bool = False,
    ) -> None:
        self._manager, self._batcher, self._metrics = manager, batcher, metrics
        self._limits, self._content, self._check_method = limits, content, check_method
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="grpc")

    def by_name(self) -> Mapping[str, Call]:
        """The calls by their full name; each takes the request and the seconds it may take."""
        prediction, model = (
            "tensorflow.serving.PredictionService",
            "tensorflow.serving.ModelService",
        )
        return {
            f"/{prediction}/Predict": self._counted("Predict", "PredictEntries", self._predict),
            f"/{prediction}/Classify": self._counted("Classify", "ExampleRequest", self._classify),
            f"/{prediction}/Regress": self._counted("Regress", "ExampleRequest", self._regress),
            f"/{prediction}/MultiInference": self._counted(
                "MultiInference", "MultiInferenceRequest", self._tasks
            ),
            f"/{prediction}/GetModelMetadata": self._metadata,
            f"/{model}/GetModelStatus": self._status,
        }

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=False)

    def _counted(
        self, api: str, kind: str, prepare: Callable[[Any, bytes, Servable], _Work]
    ) -> Call:
        async def counted(body: bytes, seconds: float) -> bytes:
            started, code = time.perf_counter(), "INTERNAL"
            large = len(body) > _LARGE_BODY
            request = parse(kind, body) if not large else await self._aside(parse, kind, body)
            asked = request
            if api == "MultiInference":
                asked = request.tasks[0] if request.tasks else message_class("InferenceTask")()
            name = asked.model_spec.name
            try:
                servable = self._acquire(asked)
                try:
                    answer = await self._answer(prepare, request, body, servable, seconds)
                finally:
                    servable.release()
                code = "OK"
                return answer
            except StatusError as error:
                code = error.code
                raise
            except asyncio.CancelledError:  # the client's doing, or its deadline's: no fault here
                code = "CANCELLED"
                raise
            finally:
                if name in self._manager.names():
                    self._metrics.count(name, code)
                    if code == "OK":
                        taken = time.perf_counter() - started
                        self._metrics.request(name, api.lower(), taken)

        return counted

    async def _answer(
        self,
        prepare: Callable[[Any, bytes, Servable], _Work],
        request: Any,
        body: bytes,
        servable: Servable,
        seconds: float,
    ) -> bytes:
        deadline = asyncio.get_running_loop().time() + min(seconds, self._limits.timeout_seconds)
        large = len(body) > _LARGE_BODY
        if large:
            work = await self._aside(prepare, request, body, servable)
        else:
            work = prepare(request, body, servable)
        runs = [
            self._batcher.run(servable, signature, arrays, deadline, api)
            for api, signature, arrays in work.runs
        ]
        outputs: Sequence[Any]
        if len(runs) == 1:
            outputs = [await runs[0]]
        else:
            outputs = await asyncio.gather(*runs, return_exceptions=True)  # none is left behind
            for found in outputs:
                if isinstance(found, BaseException):
                    raise found
        sizes = [array.size for found in outputs for array in found.values()]
        many = large or sum(sizes) > _MANY_NUMBERS
        answer = await self._aside(work.write, outputs) if many else work.write(outputs)
        return bytes(answer.SerializeToString())

    async def _aside(self, function: Callable[..., Any], *given: Any) -> Any:
        """Calls a function that may take long in a thread, so that others get their turn."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *given)

    # -- PredictionService ---------------------------------------------------------------------

    def _predict(self, request: Any, body: bytes, servable: Servable) -> _Work:
        signature = predict_call.signature_of(request, servable)
        arrays = predict_call.inputs_of(request, body, signature, self._limits)
        return _Work(
            [("Predict", signature, arrays)],
            lambda found: predict_call.answer_of(request, servable, found[0], self._content),
        )

    def _classify(self, request: Any, body: bytes, servable: Servable) -> _Work:
        return self._task(request, servable, "Classify", "ClassificationResponse", write_classes)

    def _regress(self, request: Any, body: bytes, servable: Servable) -> _Work:
        return self._task(request, servable, "Regress", "RegressionResponse", write_values)

    def _task(
        self, request: Any, servable: Servable, api: str, kind: str, write: Callable[..., None]
    ) -> _Work:
        signature, given = self._examples(request, servable, api.lower())

        def answer_of(found: Sequence[Outputs]) -> Any:
            answer = message_class(kind)()
            name_version(answer.model_spec, servable, signature.name)
            write(answer.result, found[0], len(given))
            return answer

        return _Work([(api, signature, {"inputs": given})], answer_of)

    def _tasks(self, request: Any, body: bytes, servable: Servable) -> _Work:
        tasks = multi_inference.tasks_of(request, servable)
        given = examples.of_input(request.input)
        check_rows(len(given), self._limits)
        return _Work(
            [(task.verb.capitalize(), task.signature, {"inputs": given}) for task in tasks],
            lambda found: multi_inference.answer_of(tasks, servable, found, len(given)),
        )

    def _examples(
        self, request: Any, servable: Servable, verb: str
    ) -> tuple[Signature, np.ndarray]:
        name = request.model_spec.signature_name
        signature = examples.find(verb, servable, name, self._check_method)
        given = examples.of_input(request.input)
        check_rows(len(given), self._limits)
        return signature, given

    async def _metadata(self, body: bytes, seconds: float) -> bytes:
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
            name_version(answer.model_spec, servable, "")
            packed = answer.metadata["signature_def"]
            packed.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
            packed.value = found.SerializeToString()
            written: bytes = answer.SerializeToString()
            return written
        finally:
            servable.release()

    # -- ModelService --------------------------------------------------------------------------

    async def _status(self, body: bytes, seconds: float) -> bytes:
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

    def _acquire(self, request: Any) -> Servable:
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        spec = request.model_spec
        chosen = spec.WhichOneof("version_choice")
        version = spec.version.value if chosen == "version" else None
        label = spec.version_label if chosen == "version_label" else None
        return self._manager.acquire(spec.name, version, label)
