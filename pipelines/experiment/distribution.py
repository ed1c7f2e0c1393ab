"""Cluster: who trains together, from `training.strategy` and TF_CONFIG."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

#: The exit status of a worker that lost the others: try again (EX_TEMPFAIL).
WORKER_LOST = 75

Name = Literal["none", "mirrored", "multi_worker", "table_servers"]
#: The type of a table server's task in TF_CONFIG.
TABLE_SERVER = "ps"


class WorkerLost(ConnectionError):  # noqa: N818  (what happened, in two words)
    """Another worker died or cannot be reached; the run can be taken up by starting all again."""


@dataclass(frozen=True)
class Cluster:
    """The devices and processes of one training.

    Attributes:
        strategy: TensorFlow's strategy, or None for one device.
        workers: how many processes.
        index: which of them this is; the chief is 0.
        table_servers: the devices of processes that hold the embedding tables, by turns.
    """

    strategy: Any = None
    workers: int = 1
    index: int = 0
    table_servers: tuple[str, ...] = ()

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.index == 0

    @property
    def replicas(self) -> int:
        """How many devices hold a copy of the model."""
        return 1 if self.strategy is None else int(self.strategy.num_replicas_in_sync)

    @property
    def shard(self) -> tuple[int, int]:
        """Which share of the training rows this process opens: (index, count)."""
        return self.index, self.workers

    def scope(self) -> Any:
        """Returns the context in which the model must be made."""
        return contextlib.nullcontext() if self.strategy is None else self.strategy.scope()

    def check_batch(self, batch_size: int) -> None:
        """Refuses batches that do not divide evenly.

        Raises:
            ValueError: if `batch_size` is no multiple of the number of replicas.
        """
        if batch_size % self.replicas:
            raise ValueError(
                f"training.batch_size: is the batch of all replicas and must be a multiple of "
                f"their number {self.replicas}, received {batch_size}"
            )

    def distribute(self, dataset: tf.data.Dataset, sharded: bool = False) -> Any:
        """Gives every replica its share of every batch.

        Args:
            dataset: batches of all replicas' rows, which every worker draws alike: it keeps its
                own rows of each, in order. The union of the shares is, row by row, the batch that
                a single process would train on.
            sharded: whether `dataset` holds this worker's share alone already (`shard`).
        """
        if self.strategy is None:
            return dataset
        if self.workers == 1:
            return self.strategy.experimental_distribute_dataset(dataset)

        def share(context: tf.distribute.InputContext) -> tf.data.Dataset:
            if sharded:
                return dataset
            worker, workers = context.input_pipeline_id, context.num_input_pipelines

            def cut(*batch: Any) -> Any:
                rows = tf.shape(tf.nest.flatten(batch)[0])[0]
                first, end = rows * worker // workers, rows * (worker + 1) // workers
                return tf.nest.map_structure(lambda values: values[first:end], batch)

            return dataset.map(cut, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

        # shares are cut here: TensorFlow would leave out other batches on every worker
        return self.strategy.distribute_datasets_from_function(share)

    @contextlib.contextmanager
    def explaining_loss(self) -> Iterator[None]:
        """Turns the errors of a broken connection between processes into `WorkerLost`."""
        try:
            yield
        except _BROKEN as error:
            if self.workers == 1 and not self.table_servers:
                raise
            first = str(error.message).strip().splitlines()[0][:200]
            who, all_of = f"worker {self.index} of {self.workers}: another worker", "workers"
            if self.table_servers:
                who, all_of = f"one of {len(self.table_servers)} table servers", "machines"
            raise WorkerLost(
                f"{who} stopped or cannot be reached ({first}); start the same command on all "
                f"{all_of} again, and the run goes on from where it was last saved"
            ) from error

    def any(self, flag: bool) -> bool:
        """Whether any worker raises the flag; all of them must ask."""
        if self.workers == 1:
            return flag
        strategy = self.strategy
        value = strategy.run(lambda: tf.constant([float(flag)]))
        return bool(strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)[0] > 0)


#: What TensorFlow raises when a worker is gone.
_BROKEN = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


def open_cluster(name: Name) -> Cluster:
    """Opens the strategy that a config names; call it before anything else of TensorFlow.

    Args:
        name: "none"; "mirrored" for all devices of this machine (its GPUs, else its logical
            CPUs); "multi_worker" for the processes that TF_CONFIG lists; "table_servers" for one
            process that trains, with the tables on those that TF_CONFIG lists as "ps".

    Raises:
        ValueError: if TF_CONFIG is missing or cannot be read, or a worker sees several devices.
        WorkerLost: if a table server does not answer.
    """
    if name == "none":
        return Cluster()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return Cluster(tf.distribute.MirroredStrategy([device.name for device in devices]))
    if name == "table_servers":
        return _connect()
    workers, index = _task()
    # no timeout_seconds: for every message TensorFlow starts a thread that sleeps until then; its
    # own heartbeat finds who is gone
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    if len(strategy.extended.worker_devices) > 1:
        raise ValueError(
            "training.strategy: multi_worker takes one device a process, this one sees "
            f"{len(strategy.extended.worker_devices)}; start a process for each (with "
            "CUDA_VISIBLE_DEVICES) and list them all in TF_CONFIG"
        )
    return Cluster(strategy, workers, index)


#: Seconds that a process waits for a table server to listen before it gives up.
_PATIENCE = 600.0


def _connect() -> Cluster:
    """Connects to the table servers that TF_CONFIG lists (they run `pipelines.table_server`)."""
    cluster, kind, index = read_cluster(TABLE_SERVER)
    if (kind, index) != ("chief", 0):
        raise ValueError(
            "TF_CONFIG: the task that trains with table_servers must be {'type': 'chief', 'index': "
            f"0}}, received {kind!r} and {index}; the others run python -m pipelines.table_server"
        )
    servers = [f"/job:{TABLE_SERVER}/task:{i}/device:CPU:0" for i in range(len(cluster["ps"]))]
    _wait_for(cluster["ps"])
    found = Cluster(table_servers=tuple(servers))
    with found.explaining_loss():
        tf.config.experimental_connect_to_cluster(
            tf.train.ClusterSpec(cluster), job_name="chief", task_index=0
        )
        tf.config.list_logical_devices()  # connects here and now
    return found


def _wait_for(addresses: Sequence[str]) -> None:
    """Waits until somebody listens at every address; TensorFlow would wait for ever.

    Raises:
        WorkerLost: if one does not answer in time.
    """
    deadline = time.monotonic() + _PATIENCE
    for address in addresses:
        host, _, port = address.rpartition(":")
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=5.0).close()
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise WorkerLost(
                        f"TF_CONFIG: the table server {address} does not answer ({error}); start "
                        "python -m pipelines.table_server there"
                    ) from None
                time.sleep(0.2)


def is_follower(strategy: str) -> bool:
    """Whether this is a worker whose chief writes the run."""
    return strategy == "multi_worker" and _task()[1] != 0


def _task() -> tuple[int, int]:
    """Returns how many workers TF_CONFIG lists and which of them this process is."""
    cluster, kind, index = read_cluster("worker")
    chiefs = len(cluster.get("chief", ()))
    return chiefs + len(cluster["worker"]), index + (chiefs if kind == "worker" else 0)


def read_cluster(job: str) -> tuple[dict[str, list[str]], str, int]:
    """Reads TF_CONFIG.

    Args:
        job: the processes that there must be beside a chief: "worker" or `TABLE_SERVER`.

    Returns:
        The addresses by job, and the type and index of this process.

    Raises:
        ValueError: if it is missing, cannot be read, or lists no such process.
    """
    try:
        value = json.loads(os.environ.get("TF_CONFIG", ""))
        cluster, task = value["cluster"], value["task"]
        kind, index = str(task["type"]), int(task["index"])
        known = kind in ("chief", job) and 0 <= index < len(cluster[kind])
        known = known and len(cluster.get(job, ())) > 0
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        chief = "" if job == "worker" else '"chief": ["host0:port"], '
        raise ValueError(
            "TF_CONFIG: training.strategy multi_worker and table_servers need it; it must look "
            f'like {{"cluster": {{{chief}"{job}": ["host1:port", "host2:port"]}}, "task": '
            f'{{"type": "{job}", "index": 0}}}}, the same lists in every process'
        )
    return cluster, kind, index
