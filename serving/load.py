"""Puts load on a model server over REST and reports latency and throughput.

    python -m serving.load --url http://127.0.0.1:8501 --model cvr --rows 100 --clients 8

Two kinds of load. Closed loop: N clients, each sends its next request when the last is answered;
this finds the throughput. Open loop (--rate): requests leave at fixed times whether or not the
server keeps up, and a latency counts from the time the request was due; this finds the latency that
users see.

With --pid the memory of that process is watched meanwhile (Linux); --requests 100000 is the run
that shows whether it grows.

Works against any server of TensorFlow Serving's REST protocol. The request's body comes from a
file, or is made up from the model's metadata.
"""

from __future__ import annotations

import argparse
import json
import ssl
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from idefn_tf._files import write_text
from serving.common.command_line import command_parser
from serving.common.load_generator import Load, Target, closed_loop, open_loop, run
from serving.common.load_memory import MemoryWatch

__all__ = ["Load", "Target", "closed_loop", "made_up_body", "main", "open_loop", "run"]

_MADE_UP: dict[str, Any] = {"DT_STRING": "1", "DT_BOOL": True, "DT_FLOAT": 0.5, "DT_DOUBLE": 0.5}


def made_up_body(
    metadata: dict[str, Any], rows: int, signature: str = "serving_default", columnar: bool = True
) -> bytes:
    """A predict request for a model whose metadata is known.

    Args:
        metadata: The answer to GET /v1/models/M/metadata.
        rows: How many rows.
        signature: Which signature.
        columnar: {"inputs": {name: [...]}}; else {"instances": [{name: ...}, ...]}.

    Returns:
        The body; whole numbers are 1, floats 0.5, strings "1", unknown inner sizes 2.

    Raises:
        ValueError: There is no such signature.
    """
    known = metadata["metadata"]["signature_def"]["signature_def"]
    if signature not in known:
        raise ValueError(f"signature: must be one of {sorted(known)}, received '{signature}'")
    row = {}
    for name, info in known[signature]["inputs"].items():
        value = _MADE_UP.get(info["dtype"], 1)
        for dim in reversed(info["tensor_shape"]["dim"][1:]):
            value = [value] * (2 if int(dim["size"]) < 0 else int(dim["size"]))
        row[name] = value
    body: dict[str, Any] = {"signature_name": signature}
    if columnar:
        body["inputs"] = {name: [value] * rows for name, value in row.items()}
    else:
        body["instances"] = [row] * rows
    return json.dumps(body).encode()


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("serving.load", "Load on a model server over REST.")
    parser.add_argument("--url", default="http://127.0.0.1:8501", help="the server")
    parser.add_argument("--model", required=True, help="the model's name")
    parser.add_argument("--version", help="a version's number; without it the newest")
    parser.add_argument("--signature", default="serving_default", help="for a made-up request")
    parser.add_argument("--body", help="file with the request; without it one is made up")
    parser.add_argument("--rows", type=int, default=1, help="rows per request")
    parser.add_argument("--form", choices=("columnar", "row"), default="columnar")
    parser.add_argument("--clients", type=int, default=8, help="closed loop: clients")
    parser.add_argument("--rate", type=float, help="open loop: requests per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long at most")
    parser.add_argument("--requests", type=int, help="closed loop: stop after this many")
    parser.add_argument("--pid", type=int, help="process on this machine whose memory is watched")
    parser.add_argument("--token", help="bearer token")
    parser.add_argument("--insecure", action="store_true", help="accept any certificate")
    parser.add_argument("--json", help="write the report as JSON to this file; - for the console")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the exit status is 1 if a request failed."""
    found = _parser().parse_args(argv)
    headers = {"Authorization": f"Bearer {found.token}"} if found.token else {}
    try:
        if found.body:
            body = Path(found.body).read_bytes()
        else:
            address = f"{found.url}/v1/models/{found.model}/metadata"
            context = ssl._create_unverified_context() if found.insecure else None
            with urllib.request.urlopen(
                urllib.request.Request(address, headers=headers), timeout=30, context=context
            ) as answer:
                metadata = json.load(answer)
            body = made_up_body(metadata, found.rows, found.signature, found.form == "columnar")
        version = f"/versions/{found.version}" if found.version else ""
        path = f"/v1/models/{found.model}{version}:predict"
        target = Target(found.url, path, body, headers, found.insecure)
        clients, seconds, rows = found.clients, found.seconds, found.rows
        with MemoryWatch(found.pid) as memory:
            if found.rate:
                load = run(open_loop(target, found.rate, seconds, rows))
            else:
                load = run(closed_loop(target, clients, seconds, rows, requests=found.requests))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"serving.load: {error}\n")
        return 2
    report = {**load.summary(), **memory.summary()}
    if found.json == "-":
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        if found.json:
            write_text(found.json, json.dumps(report, indent=2) + "\n")
        for name, value in report.items():
            sys.stdout.write(f"{name:>20}  {value}\n")
    return 1 if load.failed or not load.latencies else 0


if __name__ == "__main__":
    sys.exit(main())
