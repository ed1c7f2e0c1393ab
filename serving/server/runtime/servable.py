"""One loaded version of a model, a SavedModel or ONNX: session, signatures, who is using it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from idefn_tf.export.open_version import ONNX, format_of
from serving.server import errors, json_text
from serving.server.runtime import signature, stacking
from serving.server.runtime.onnx_session import OnnxSession


class Servable:
    """A loaded version.

    Use it between `acquire` and `release`; after `retire` it closes when the last user has gone.

    Args:
        name: The model's name.
        version: The version's number.
        path: Its folder.
        tags: The tags of the graph to load.
        session_config: Threads of the session; None for TensorFlow's choice.
    """

    def __init__(
        self,
        name: str,
        version: int,
        path: str | Path,
        tags: Sequence[str] = ("serve",),
        session_config: Any = None,
    ) -> None:
        self.name = name
        self.version = version
        self.path = Path(path)
        self._lock = threading.Lock()
        self._users = 0
        self._retired = False
        self._closed = False
        self._session: Any = None
        self.signatures: dict[str, signature.Signature] = {}
        if format_of(self.path) == ONNX:
            definitions = self._load_onnx(session_config)
        else:
            definitions = self._load_saved_model(tags, session_config)
        spec = {"name": name, "signature_name": "", "version": str(version)}
        self.definitions = {
            key: definition.SerializeToString() for key, definition in definitions.items()
        }
        self.metadata = json_text.proto_json(
            {"model_spec": spec, "metadata": signature.metadata(definitions)}
        )

    def _load_onnx(self, session_config: Any) -> Mapping[str, Any]:
        threads = session_config.intra_op_parallelism_threads if session_config else 0
        session = self._session = OnnxSession(self.path, threads)
        for key, definition in session.definitions.items():
            found = self.signatures[key] = signature.Signature(key, definition, bounded=True)
            found.bind_call(session.call(key, list(found.inputs)))
        return session.definitions

    def _load_saved_model(self, tags: Sequence[str], session_config: Any) -> Mapping[str, Any]:
        graph = tf.Graph()
        with graph.as_default():
            self._session = tf.compat.v1.Session(graph=graph, config=session_config)
            try:
                plan = stacking.meta_graph(self.path, set(tags))
                stacks, replaced = stacking.build(stacking.groups(plan))
                bounded = not stacking.has_loops(plan)
                loaded = tf.compat.v1.saved_model.load(
                    self._session, list(tags), str(self.path), input_map=replaced or None
                )
                for key, definition in loaded.signature_def.items():
                    found = signature.Signature(key, definition, bounded)
                    self.signatures[key] = found
                    if found.inputs:
                        found.bind(self._session, stacks.get(key, ()))
            except BaseException:
                self._session.close()
                raise
        definitions: Mapping[str, Any] = loaded.signature_def
        return definitions

    def find(self, signature_name: str) -> signature.Signature:
        """The signature of a predict request.

        Args:
            signature_name: Its name; "" for serving_default.

        Raises:
            StatusError: INVALID_ARGUMENT, there is none of this name, or it has no inputs.
        """
        wanted = signature_name or signature.DEFAULT
        found = self.signatures.get(wanted)
        if found is None:
            raise errors.invalid_argument(
                f'Serving signature name: "{json_text.echo(wanted)}" not found in signature def'
            )
        if not found.inputs:
            raise errors.invalid_argument(
                f"Failed to get input map for signature: {signature_name or 'DEFAULT'}"
            )
        return found

    def acquire(self) -> bool:
        """Counts a user in; False if the version has been closed in between."""
        with self._lock:
            if self._closed:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """Counts a user out."""
        with self._lock:
            self._users -= 1

    def retire(self) -> None:
        """No new requests are meant to come."""
        with self._lock:
            self._retired = True

    def close_if_idle(self) -> bool:
        """Closes a retired version that is not in use; returns whether it is closed."""
        with self._lock:
            if self._closed:
                return True
            if not self._retired or self._users:
                return False
            self._closed = True
        for found in self.signatures.values():
            found.unbind()
        self._session.close()
        return True
