r"""Lends this machine's memory to a training elsewhere: shares of its tables, and their moments.

    TF_CONFIG='{"cluster": {"chief": ["host0:7000"], "ps": ["host1:7000", "host2:7000"]},
                "task": {"type": "ps", "index": 0}}' python -m pipelines.table_server

Start one for each entry of "ps", with its own index, and then the training as "chief" with
training.strategy=table_servers. A server keeps nothing: what the chief saves is the run's. It
serves until it is stopped (SIGTERM); after a training has failed, start servers and chief again.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from pipelines.cli import console as consoles
from pipelines.cli.arguments import job_parser
from pipelines.cli.console import Console
from pipelines.experiment.distribution import TABLE_SERVER, read_cluster


def serve() -> None:
    """Serves what TF_CONFIG says, for ever.

    Raises:
        ValueError: if TF_CONFIG is missing, cannot be read or names another task.
        OSError: if the port is taken.
    """
    cluster, kind, index = read_cluster(TABLE_SERVER)
    if kind != TABLE_SERVER:
        raise ValueError(
            f"TF_CONFIG: the task of a table server must be of type {TABLE_SERVER!r}, received "
            f"{kind!r}; the chief is python -m pipelines.train"
        )
    try:
        server = tf.distribute.Server(
            tf.train.ClusterSpec(cluster), job_name=TABLE_SERVER, task_index=index, protocol="grpc"
        )
    except tf.errors.OpError as error:
        address = cluster[TABLE_SERVER][index]
        raise OSError(f"TF_CONFIG: {address} cannot be served; {error.message}") from None
    server.join()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = job_parser("table_server", __doc__)
    return consoles.run_job(serve, Console(parser.parse_args(arguments).quiet))


if __name__ == "__main__":
    raise SystemExit(main())
