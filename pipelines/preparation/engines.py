"""The engines by their addresses: DuckDB on this machine, Spark here or on a cluster."""

from __future__ import annotations

from pathlib import Path

from pipelines.preparation.engine import Engine


def connect(address: str, work: Path, memory: str, threads: int | None) -> Engine:
    """Opens an engine.

    Args:
        address: "duckdb", "spark" (the master that Spark's own settings name, else this machine)
            or a cluster's master, such as "spark://HOST:PORT", "yarn" or "k8s://HOST:PORT".
        work: an existing folder for temporary files.
        memory: the most memory the engine may hold here.
        threads: worker threads on this machine; all cores by default.

    Raises:
        ValueError: if there is no such engine, or it cannot be opened.
    """
    if address == "duckdb":
        return Engine(work, memory, threads)
    if address in ("spark", "yarn") or address.startswith(("spark://", "k8s://", "local[")):
        from pipelines.preparation.spark import SparkEngine  # PySpark is optional

        return SparkEngine(work, memory, threads, None if address == "spark" else address)
    raise ValueError(f"--engine: must be duckdb, spark or spark://HOST:PORT, received {address!r}")
