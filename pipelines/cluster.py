"""Cluster: who trains together, from `training.strategy` and TF_CONFIG."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

#: The exit status of a worker that lost the others: try again (EX_TEMPFAIL).
WORKER_LOST = 75

Name = Literal["none", "mirrored", "multi_worker"]


class WorkerLost(ConnectionError):  # noqa: N818  (what happened, in two words)
    """Another worker died or cannot be reached; the run can be taken up by starting all again."""


@dataclass(frozen=True)
class Cluster:
    """The devices and processes of one training.

    Attributes:
        strategy: TensorFlow's strategy, or None for one device.
        workers: how many processes.
        index: which of them this is; the chief is 0.
    """

    strategy: Any = None
    workers: int = 1
    index: int = 0

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
            dataset: batches of all replicas' rows, which every worker deals alike: it keeps its
                own rows of each, in order. The union of the shares is, row by row, the batch that
                a single process would train on.
            sharded: whether `dataset` deals this worker's share alone already (`shard`).
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
        """Turns the errors of a broken connection between workers into `WorkerLost`."""
        try:
            yield
        except _BROKEN as error:
            if self.workers == 1:
                raise
            first = str(error.message).strip().splitlines()[0][:200]
            raise WorkerLost(
                f"worker {self.index} of {self.workers}: another worker stopped or cannot be "
                f"reached ({first}); start the same command on all workers again, and the run "
                "goes on from where it was last saved"
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
            CPUs); "multi_worker" for the processes that TF_CONFIG lists.

    Raises:
        ValueError: if TF_CONFIG is missing or cannot be read, or a worker sees several devices.
    """
    if name == "none":
        return Cluster()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return Cluster(tf.distribute.MirroredStrategy([device.name for device in devices]))
    workers, index = _task()
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=_PATIENCE)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    if len(strategy.extended.worker_devices) > 1:
        raise ValueError(
            "training.strategy: multi_worker takes one device a process, this one sees "
            f"{len(strategy.extended.worker_devices)}; start a process for each (with "
            "CUDA_VISIBLE_DEVICES) and list them all in TF_CONFIG"
        )
    return Cluster(strategy, workers, index)


#: Seconds that a worker waits for the others within one step before it gives up.
_PATIENCE = 600.0


def _task() -> tuple[int, int]:
    """Returns how many workers TF_CONFIG lists and which of them this process is."""
    text = os.environ.get("TF_CONFIG", "")
    cure = (
        'it must look like {"cluster": {"worker": ["host1:port", "host2:port"]}, '
        '"task": {"type": "worker", "index": 0}}, the same list on every worker'
    )
    try:
        value = json.loads(text)
        cluster, task = value["cluster"], value["task"]
        chiefs = len(cluster.get("chief", ()))
        workers = chiefs + len(cluster.get("worker", ()))
        index = int(task["index"]) + (chiefs if task["type"] == "worker" else 0)
        known = task["type"] in ("chief", "worker") and 0 <= index < workers
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise ValueError(f"TF_CONFIG: training.strategy multi_worker needs it; {cure}")
    return workers, index
