"""Asks a served model: over TensorFlow Serving's REST protocol, or gRPC; or an ONNX file.

    python -m serving.client --url http://127.0.0.1:8501 --model cvr --data FILE --rows 3
    python -m serving.client --onnx models/cvr/1/model.onnx --data FILE --rows 3

``--example`` prints a valid request body, ``--json`` sends a file: rows, or a whole body. With
``--schema RUN/schema.yaml`` missing values become the schema's, and CSV is read by its types.
``--history PREPARED_FOLDER`` fills in the history of rows from that folder's events, as of now or
``--at TIME``; without it, a version with a snapshot inside looks history up.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from idefn_tf.schema import Schema
from serving.common.command_line import command_parser
from serving.common.connect import connect
from serving.common.connection import (
    ConnectionFailedError,
    DeniedError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    Rest,
    ServingError,
    TimeoutExpiredError,
)
from serving.common.event_lists import DEFAULT, WITH_HISTORY, holds_history
from serving.common.onnx_connection import SCHEME, Onnx, rows_of
from serving.common.request import Columns, MissingInputError, RequestBuilder, Rows
from serving.common.row_files import read_json, read_rows

__all__ = [
    "Client",
    "ConnectionFailedError",
    "DeniedError",
    "InvalidRequestError",
    "MissingInputError",
    "NotFoundError",
    "OverloadedError",
    "ServingError",
    "TimeoutExpiredError",
]


class Client:
    """A model behind TensorFlow Serving or the embedded server, or in a file; one per thread.

    Requests are columnar: a tenth of the size of rows. Unknown keys are dropped, nulls become the
    schema's missing values, lists are padded.

    Args:
        url: "http://host:8501" for REST, "grpc://host:8500" for gRPC; https and grpcs for TLS;
            "onnx:VERSION/model.onnx" runs an exported ONNX version in this process.
        model: the model's name.
        schema: the schema, or the path of one; without it that in an ONNX version, or the inputs
            are asked from the server (REST only), and nulls become -1, NaN or "".
        version: ask this version; default the newest.
        label: ask the version that has this label.
        timeout: seconds for an answer.
        token: bearer token.
        verify: for HTTPS: whether to check the certificate, or a file of authorities.
        max_rows: larger requests are sent in parts.
        history: a prepared folder, from whose events the history of rows is filled in; needs the
            schema. Rows without history are left to the snapshot in the served version.
        at: as of which moment: a number in the schema's unit, or a time; default now.

    Example::

        client = Client("http://127.0.0.1:8501", "cvr", "runs/demo/all_negative/schema.yaml")
        client.predict({"user_id": 7, ...})  # {"ctr": [0.12], "cvr": [0.03], "ctcvr": [0.0036]}

    Raises:
        ValueError: if both version and label are given, or the address is of another kind.
        ImportError: for gRPC without grpcio, for ONNX without onnxruntime.
    """

    def __init__(
        self,
        url: str,
        model: str,
        schema: Schema | str | Path | None = None,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 10.0,
        token: str | None = None,
        verify: bool | str = True,
        max_rows: int = 1000,
        history: str | Path | None = None,
        at: str | None = None,
    ) -> None:
        if version is not None and label is not None:
            raise ValueError(f"version, label: give one of them, received {version} and {label!r}")
        if max_rows < 1:
            raise ValueError(f"max_rows: must be 1 or more, received {max_rows}")
        self.model, self.version, self.label, self.max_rows = model, version, label, max_rows
        self._connection = connect(url, timeout, token, verify)
        if schema is None and isinstance(self._connection, Onnx):
            schema = self._connection.schema
        if isinstance(schema, str | Path):
            schema = Schema.load(schema, kept=True)
        self._builder = None if schema is None else RequestBuilder.from_schema(schema)
        self._schema = schema
        self._looks_up: bool | None = None
        self._plain: RequestBuilder | None = None
        self._fill: Callable[[Rows], Rows] | None = None
        if history is not None:
            if schema is None:
                raise ValueError("history: needs the schema, received none;\ngive the run's schema")
            from serving.common.history_requests import HistoryFill

            self._fill = HistoryFill(schema, history, at)
        elif at is not None:
            raise ValueError(f"at: must stand beside history, received {at!r} alone;\ngive both")

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    @property
    def schema(self) -> Schema | None:
        """The schema of the rows, where it is known."""
        return self._schema

    @property
    def builder(self) -> RequestBuilder:
        """What turns rows into requests; without a schema it is asked from the server."""
        if self._builder is None:
            self._builder = RequestBuilder.from_metadata(self.metadata())
        return self._builder

    def predict(self, rows: Rows) -> dict[str, list[Any]]:
        """Scores rows.

        Args:
            rows: one row, a list of rows, or a DataFrame.

        Returns:
            By output name (ctr, cvr, ctcvr, and cvr_calibrated where there is one), one score a
            row.

        Raises:
            MissingInputError: if a row lacks an input, with the JSON that is expected.
            ValueError: if a value has the wrong type.
            ServingError: if the server gives no scores; its class says why.
        """
        if self._fill is not None:
            rows = self._fill(rows)
        builder, signature = self._asked(rows)
        columns = builder.columns(rows)
        count = len(next(iter(columns.values())))
        scores: dict[str, list[Any]] = {}
        for at in range(0, count, self.max_rows):
            part = {name: values[at : at + self.max_rows] for name, values in columns.items()}
            for name, values in self._predict(part, builder, signature).items():
                scores.setdefault(name, []).extend(values)
        return scores

    @property
    def looks_up(self) -> bool:
        """Whether the served version holds a snapshot of history (REST; over gRPC it is taken so).

        It is asked once.
        """
        if self._looks_up is None:
            taken: Iterable[str] = ()
            if isinstance(self._connection, Onnx):
                taken = self._connection.takes(DEFAULT)
            elif isinstance(self._connection, Rest) and self._schema is not None:
                signatures = self.metadata()["metadata"]["signature_def"]["signature_def"]
                taken = signatures.get(DEFAULT, {}).get("inputs", {})
            self._looks_up = self._schema is None or self._schema.generated.isdisjoint(taken)
        return self._looks_up

    def _asked(self, rows: Rows) -> tuple[RequestBuilder, str]:
        """Returns what makes the request of rows, and the signature that takes it."""
        schema = self._schema
        if schema is None or not schema.generated:
            return self.builder, DEFAULT
        if holds_history(schema.generated, rows) or not self.looks_up:
            return self.builder, WITH_HISTORY
        if self._plain is None:
            kept = schema.model_copy(update={"features": schema.recorded, "sequences": ()})
            self._plain = RequestBuilder.from_schema(kept)
        return self._plain, DEFAULT

    def _predict(
        self, columns: Columns, builder: RequestBuilder, signature: str
    ) -> dict[str, list[Any]]:
        if not isinstance(self._connection, Rest):
            dtypes = {item.name: item.dtype for item in builder.inputs}
            inputs = {name: (dtypes[name], values) for name, values in columns.items()}
            return self._connection.predict(inputs, self.model, signature, self.version, self.label)
        which = {} if signature == DEFAULT else {"signature_name": signature}
        outputs = self.send({**which, "inputs": columns})["outputs"]
        return outputs if isinstance(outputs, dict) else {"outputs": outputs}

    def send(self, body: Mapping[str, Any], verb: str = "predict") -> Any:
        """Sends a body as it is and returns the answer.

        Args:
            body: what the REST protocol wants.
            verb: predict, classify or regress.

        Raises:
            ServingError: with the server's message.
        """
        return self._require_rest("send").post(f"{self._path()}:{verb}", body)

    def status(self) -> list[dict[str, Any]]:
        """Returns the versions and their states, newest first."""
        answer = self._require_rest("status").get(self._path())
        listed: list[dict[str, Any]] = answer["model_version_status"]
        return listed

    def metadata(self) -> dict[str, Any]:
        """Returns the model's signatures."""
        answer: dict[str, Any] = self._require_rest("metadata").get(f"{self._path()}/metadata")
        return answer

    def _require_rest(self, what: str) -> Rest:
        if not isinstance(self._connection, Rest):
            raise ValueError(f"url: {what} needs REST; give the schema, and rows")
        return self._connection

    def _path(self) -> str:
        which = "" if self.version is None else f"/versions/{self.version}"
        which = which if self.label is None else f"/labels/{self.label}"
        return f"/v1/models/{self.model}{which}"


def _answer(given: argparse.Namespace) -> Any:
    schema = Schema.load(given.schema, kept=True) if given.schema else None
    if given.example and schema is not None:  # needs no server
        which = {"signature_name": WITH_HISTORY} if schema.generated else {}
        return which | RequestBuilder.from_schema(schema).example_body()
    token = Path(given.token_file).read_text(encoding="utf-8").strip() if given.token_file else None
    with Client(
        given.url, given.model, schema, version=given.version, label=given.label,
        timeout=given.timeout, token=token, verify=given.ca_file or True,
        history=given.history, at=given.at,
    ) as client:  # fmt: skip
        if given.example:
            return client.builder.example_body()
        if given.status:
            return client.status()
        if given.data:
            return client.predict(read_rows(given.data, given.rows, client.schema))
        body = read_json(given.json)
        if isinstance(body, dict) and {"inputs", "instances"} & set(body):
            return client.predict(rows_of(body)) if given.onnx else client.send(body)
        return client.predict(body)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0; 1 if the server gives no scores; 2 after an error in what was asked.
    """
    made = command_parser("serving.client", __doc__)
    where = made.add_mutually_exclusive_group()
    where.add_argument(
        "--url", default="http://127.0.0.1:8501", help="REST address; or grpc://host:8500"
    )
    where.add_argument("--onnx", metavar="FILE", help="an ONNX version, run in this process")
    made.add_argument("--model", default="cvr", help="the model's name")
    made.add_argument("--schema", help="schema.yaml; default: the inputs that the server names")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, help="ask this version")
    which.add_argument("--label", help="ask the version with this label")
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--example", action="store_true", help="print a valid request body")
    what.add_argument("--status", action="store_true", help="print the versions and their states")
    what.add_argument("--json", help="file with rows or a whole body; - for standard input")
    what.add_argument("--data", help="CSV or Parquet file, or a folder of Parquet files")
    made.add_argument("--rows", type=int, default=1, help="with --data: how many, from the top")
    made.add_argument("--history", help="prepared folder whose events give the rows' history")
    made.add_argument("--at", metavar="TIME", help="with --history: as of then (default: now)")
    made.add_argument("--timeout", type=float, default=10.0, help="seconds for an answer")
    made.add_argument("--token-file", help="file with the bearer token")
    made.add_argument("--ca-file", help="authorities to check the server's certificate with")
    given = made.parse_args(arguments)
    given.url = SCHEME + given.onnx if given.onnx else given.url
    try:
        sys.stdout.write(json.dumps(_answer(given), indent=1, ensure_ascii=False) + "\n")
    except NotFoundError as error:
        asked = "--model" if given.version is None else "--model, --version"
        version = "" if given.version is None else f", {given.version}"
        sys.stderr.write(
            f"error: {asked}: must be served at {given.url}, received {given.model!r}{version};\n"
            f"{error}\n"
        )
        return 1
    except (ServingError, ImportError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
