"""From a request's body to the arrays that the graph takes, and how its outputs are written."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np

from serving.server import json_text
from serving.server.codec import document, examples, format, tensors
from serving.server.errors import invalid_argument
from serving.server.flags import Limits
from serving.server.models.manager import ModelManager
from serving.server.rest.routes import Route
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import Arrays, Signature


@dataclasses.dataclass(slots=True)
class PreparedRequest:
    """A request on its way to the graph, and how its outputs are written."""

    servable: Servable
    signature: Signature
    arrays: Arrays
    write: Callable[[Mapping[str, np.ndarray]], bytes]


class Preparation:
    """Reads requests for the graph.

    Args:
        manager: The models.
        limits: What a request may cost.
        check_method: Whether classify and regress insist on the signature's method name.
    """

    def __init__(self, manager: ModelManager, limits: Limits, check_method: bool) -> None:
        self._manager, self._limits, self._check_method = manager, limits, check_method

    def prepare(self, route: Route, body: bytes) -> PreparedRequest:
        """Does everything up to the graph; the caller must release the version.

        Args:
            route: Where the request was sent: to predict, classify or regress.
            body: Its body, decompressed.

        Raises:
            StatusError: In TensorFlow Serving's order of checks and words.
        """
        request = document.parse(body, self._limits.max_depth)
        most = self._limits.max_rows
        if len(body) > most and tensors.row_count(request) > most:  # a row takes a byte or more
            raise invalid_argument(f"Request has more rows than the server accepts: {most}")
        name = request.get("signature_name", "")
        if type(name) is not str:
            raise invalid_argument(
                f"JSON Value: {json_text.quote(request)} not formatted correctly. "
                "'signature_name' key must be a string value."
            )
        predict = route.verb == "predict"
        serialized = None if predict else examples.serialize(request)
        servable = self._manager.acquire(route.model, route.version, route.label)
        try:
            if serialized is not None:
                signature = examples.find(route.verb, servable, name, self._check_method)
                write = functools.partial(examples.results, route.verb, count=len(serialized))
                return PreparedRequest(servable, signature, {"inputs": serialized}, write)
            signature = servable.find(name)
            arrays, rows = tensors.from_request(
                request, signature.inputs, signature.alike, signature.feeds_alike
            )
            answer = format.predictions if rows else format.columns
            return PreparedRequest(servable, signature, arrays, answer)
        except BaseException:
            servable.release()
            raise
