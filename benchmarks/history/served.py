"""One row over REST: without history, with 50 sent events, and with the snapshot in the version.

    python -m benchmarks.history.served [--rounds 30] [--requests 100]

Three versions of one model (nine features; DIN over the last 50 clicks with gaps) stand behind
embedded servers. One client asks each for one row, by turns, so that what disturbs one disturbs
all. Aims: sent events at most 1.5 times the p50 without them, the snapshot at most 1.1 times that
of sent events. Results: benchmarks/results/history/served.json.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from benchmarks.common.machine import machine_facts
from benchmarks.serving.processes import Process, start_server
from idefn_tf._files import write_json
from serving.common.command_line import command_parser

RESULT = Path(__file__).parents[1] / "results" / "history" / "served.json"
USERS, ITEMS, EVENTS = 2_000, 5_000, 60
DAY = 86_400
BEGIN = 1_700_006_400
#: The aims, as ratios of p50.
SENT, SNAPSHOT = 1.5, 1.1


def schema_of(sequence: bool) -> Any:
    """Returns the schema, with the last 50 clicks or without."""
    from idefn_tf.schema import Schema

    def feature(name: str, side: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "dtype": "int64", "side": side, "kind": "vocabulary", **more}

    value: dict[str, Any] = {
        "name": "served",
        "labels": {"click": "click", "conversion": "bought", "exposure_time": "at",
                   "time_unit": "s"},
        "user_key": "user",
        "embedding_width": 16,
        "features": [
            feature("user", "user"), feature("item", "item"), feature("shop", "item"),
            *(feature(f"of_user_{i}", "user") for i in range(3)),
            *(feature(f"of_item_{i}", "item", dtype="float32", kind="numeric") for i in range(3)),
        ],
    }  # fmt: skip
    if sequence:
        value["sequences"] = [
            {"name": "clicks", "key": "user", "condition": "clicked", "items": ["item", "shop"],
             "length": 50, "gap_hours": [1, 24, 168]}
        ]  # fmt: skip
    return Schema.parse(value)


def make(folder: Path) -> dict[str, dict[str, list[Any]]]:
    """Exports the three versions into folders of their names; returns a row for each."""
    import keras

    from idefn_tf.backbones import MLP
    from idefn_tf.encoders import DINEncoder
    from idefn_tf.export import export_model
    from idefn_tf.features import FeatureColumns
    from idefn_tf.history import event_log
    from idefn_tf.history.snapshot import take_snapshot
    from idefn_tf.models import ESMM

    rng = np.random.default_rng(0)
    rows = USERS * EVENTS
    columns: dict[str, Any] = {
        "user": np.repeat(np.arange(USERS), EVENTS),
        "item": rng.integers(0, ITEMS, rows),
        "shop": rng.integers(0, 300, rows),
        "at": BEGIN + rng.integers(0, 20 * DAY, rows),
        "click": np.ones(rows, np.int64),
        "bought": np.zeros(rows, np.int64),
    }
    columns |= {f"of_user_{i}": rng.integers(0, 50, rows) for i in range(3)}
    columns |= {f"of_item_{i}": rng.random(rows).astype(np.float32) for i in range(3)}
    log = pa.table(columns)
    known = {"user": USERS, "item": ITEMS, "shop": 300, **{f"of_user_{i}": 50 for i in range(3)}}
    vocabularies: dict[str, Any] = {n: {"values": list(range(k))} for n, k in known.items()}
    vocabularies |= {f"of_item_{i}": {"mean": 0.5, "std": 0.3} for i in range(3)}
    plain = {name: [int(rng.integers(size))] for name, size in known.items()}
    one: dict[str, list[Any]] = {**plain, **{f"of_item_{i}": [0.25] for i in range(3)}}
    events = {
        "clicks__item": [rng.integers(0, ITEMS, 50).tolist()],
        "clicks__shop": [rng.integers(0, 300, 50).tolist()],
        "clicks__gap": [rng.integers(0, 4, 50).tolist()],
    }
    for name, sequence in (("plain", False), ("sent", True), ("snapshot", True)):
        schema = schema_of(sequence)
        keras.utils.set_random_seed(0)
        encoder = DINEncoder((80, 40)) if sequence else None
        features = FeatureColumns.from_schema(schema, vocabularies, encoder=encoder)
        model = ESMM(features, MLP((128, 64)))
        taken = None
        if name == "snapshot":
            taken = take_snapshot(schema, event_log.from_table(schema, log), {})
        export_model(model, schema, folder / name, snapshot=taken)
    return {"plain": one, "sent": one | events, "snapshot": one}


def measure(
    folder: Path, rows: Mapping[str, Mapping[str, list[Any]]], rounds: int, requests: int
) -> dict[str, list[float]]:
    """Asks every server for one row, by turns; returns each round's p50 in milliseconds."""
    found: dict[str, list[float]] = {name: [] for name in rows}
    with ExitStack() as stack:
        asked = {}
        for name, row in rows.items():
            server: Process = stack.enter_context(start_server(name, folder / name))
            connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
            stack.callback(connection.close)
            asked[name] = (connection, json.dumps({"inputs": row}).encode())
        for turn in range(rounds + 1):
            for name, (connection, body) in asked.items():
                taken = [_ask(connection, name, body) for _ in range(requests)]
                if turn:  # the first round warms up
                    found[name].append(1000 * statistics.median(taken))
    return found


def _ask(connection: http.client.HTTPConnection, name: str, body: bytes) -> float:
    begun = time.perf_counter()
    connection.request("POST", f"/v1/models/{name}:predict", body)
    answer = connection.getresponse()
    said = answer.read()
    taken = time.perf_counter() - begun
    if answer.status != 200:
        raise RuntimeError(f"{name}: {answer.status} {said[:200]!r}")
    return taken


def summary(found: Mapping[str, list[float]]) -> dict[str, Any]:
    """The medians, and the ratios of each round with their quartiles."""

    def ratio(above: str, below: str) -> dict[str, float]:
        of = [a / b for a, b in zip(found[above], found[below], strict=True)]
        low, middle, high = np.quantile(of, [0.25, 0.5, 0.75])
        return {"median": float(middle), "quartile_1": float(low), "quartile_3": float(high)}

    return {
        "p50_ms": {name: statistics.median(values) for name, values in found.items()},
        "sent_over_plain": ratio("sent", "plain") | {"aim": SENT},
        "snapshot_over_sent": ratio("snapshot", "sent") | {"aim": SNAPSHOT},
    }


def main() -> int:
    """The command line."""
    parser = command_parser("benchmarks.history.served", __doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--requests", type=int, default=100, help="in a round, of each server")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = make(Path(folder))
        found = summary(measure(Path(folder), rows, given.rounds, given.requests))
    command = f"python -m benchmarks.history.served --rounds {given.rounds}"
    write_json(given.out, {"command": command, "machine": machine_facts(), **found})
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
