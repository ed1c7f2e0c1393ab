"""What a step costs when the tables' rows are sharded over devices or table servers.

    python -m benchmarks.distribution.shards

The ESMM of `benchmarks.training` (20 fields, 10^6 ids of width 16, batch 2,048) through ``fit``,
with its table whole, sharded over 2 and 4 logical devices of this machine's CPU, and on 2 table
servers that it reaches by loopback. Cells take turns; a figure is the median over rounds of the
median step of a stretch. All devices share the same cores here: what is measured is the price of
sharding, not what more memory or bandwidth would bring. The gate comes first: every cell begins
with the same table and must end its first stretch with the same loss.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from benchmarks.common.free_ports import free_addresses
from benchmarks.common.machine import code_fingerprint, machine_facts
from benchmarks.common.step_times import Steps
from benchmarks.training import rows
from benchmarks.training.ours import frame, schema
from idefn_tf._files import write_json
from idefn_tf.backbones import MLP
from idefn_tf.data import open_dataset
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM
from idefn_tf.optimizers import RowSparseAdam
from pipelines.experiment.distribution import open_cluster
from serving.common.command_line import command_parser

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "distribution" / "shards.json"
TABLE_ROWS = 1_000_000
#: How far the cells' losses may lie apart: float32 sums in another order.
_TOLERANCE = 1e-4


def make(devices: Sequence[str]) -> ESMM:
    """Builds the model with its tables on some devices; none leaves them whole."""
    keras.utils.set_random_seed(0)
    features = FeatureColumns.from_schema(schema(TABLE_ROWS), {}, shards=list(devices) or 1)
    model = ESMM(features, MLP(rows.TOWERS, batch_norm=False))
    model.compile(RowSparseAdam(rows.RATE))
    model.build()
    return model


def measure(cells: Mapping[str, Sequence[str]], rounds: int, stretch: int) -> dict[str, Any]:
    """Trains every cell by turns.

    Args:
        cells: devices by name; the first cell's table is everyone's.
        rounds: how many stretches each cell trains after one that is not timed.
        stretch: steps of each.

    Raises:
        ValueError: if the cells' first losses differ.
    """
    table = frame(rows.make(rows.BATCH * stretch, TABLE_ROWS))
    models = {name: make(devices) for name, devices in cells.items()}
    first = next(iter(models.values()))
    width = str(rows.WIDTH)
    for model in models.values():
        model.features.set_table(width, first.features.table(width))
        for name, tower in model.towers.items():
            tower.set_weights(first.towers[name].get_weights())
    data = {
        name: open_dataset(schema(TABLE_ROWS), table, batch_size=rows.BATCH, encode=model.features)
        for name, model in models.items()
    }
    losses = {n: m.fit(data[n], verbose=0).history["loss"][0] for n, m in models.items()}
    if max(losses.values()) - min(losses.values()) > _TOLERANCE * min(losses.values()):
        raise ValueError(f"gate: the cells' losses must be one, received {losses}")
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            steps = Steps()
            model.fit(data[name], verbose=0, callbacks=[steps])
            times[name].append(steps.median())
    return {
        name: {
            "step_ms": round(statistics.median(found), 2),
            "rounds": [round(t, 2) for t in found],
        }
        for name, found in times.items()
    }


@contextmanager
def table_servers(count: int) -> Iterator[list[str]]:
    """Starts table servers on free ports and connects to them; yields their devices."""
    chief, *servers = free_addresses(count + 1)
    cluster = {"chief": [chief], "ps": servers}
    started = []
    try:
        for index in range(count):
            task = {"cluster": cluster, "task": {"type": "ps", "index": index}}
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "pipelines.table_server"],
                    cwd=ROOT,
                    env={**os.environ, "TF_CONFIG": json.dumps(task)},
                )
            )
        task = {"cluster": cluster, "task": {"type": "chief", "index": 0}}
        os.environ["TF_CONFIG"] = json.dumps(task)
        yield list(open_cluster("table_servers").table_servers)
    finally:
        for process in started:
            process.kill()
            process.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command_parser("benchmarks.distribution.shards", __doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--stretch", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", choices=("devices", "servers"), help="one part alone, printed")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args(arguments)
    if given.part is None:
        found: dict[str, Any] = {}
        for part in ("devices", "servers"):  # devices are set before TensorFlow starts
            words = [f"--{n}={getattr(given, n)}" for n in ("rounds", "stretch", "threads")]
            command = [
                sys.executable,
                "-m",
                "benchmarks.distribution.shards",
                "--part",
                part,
                *words,
            ]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found[part] = json.loads(said.splitlines()[-1])
        command_line = f"python -m benchmarks.distribution.shards --rounds {given.rounds}"
        facts = {"machine": machine_facts(), "code": code_fingerprint("idefn_tf")}
        write_json(given.out, {"command": command_line, **facts, **found})
        return
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    if given.part == "devices":
        cpu = tf.config.list_physical_devices("CPU")[0]
        four = [tf.config.LogicalDeviceConfiguration()] * 4
        tf.config.set_logical_device_configuration(cpu, four)
        cells = {"1": [], **{str(n): [f"CPU:{k}" for k in range(n)] for n in (2, 4)}}
        print(json.dumps(measure(cells, given.rounds, given.stretch)))
        return
    with table_servers(2) as devices:
        print(json.dumps(measure({"1": [], "2": devices}, given.rounds, given.stretch)))


if __name__ == "__main__":
    main()
