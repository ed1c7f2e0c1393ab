"""A process that prepares with a checkout's code and says how much processor time its stages took.

    python -P benchmarks/preparation/stage_times_process.py ali-ccp --raw RAW --out OUT

It times functions that every release has, those that the main thread calls; what other threads do
meanwhile counts for the function that waits for them. The last line is JSON.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

#: Stage: the functions that it consists of, by module; those that a release lacks are left out.
STAGES = {
    "reads the raw lines": [
        ("pipelines.datasets.ali_ccp.ali_ccp_files", "Conversion.run"),
        ("pipelines.preparation.engine", "Engine.read"),
    ],
    "types, drops duplicates, numbers rows": [
        ("pipelines.preparation.checks", "typed"),
        ("pipelines.preparation.engine", "Engine.keep"),
    ],
    "checks every rule": [("pipelines.preparation.checks", "validate")],
    "joins, sorts and writes rows": [("pipelines.preparation.parquet_slices", "Slices.write")],
    "vocabularies and card": [
        ("pipelines.preparation.vocabularies", "learn"),
        ("pipelines.preparation.vocabularies", "describe"),
    ],
    "hashes the raw files": [("pipelines.preparation.card", "describe_sources")],
}
REST = "starts, and the rest"


def timed(function: Callable[..., Any], took: dict[str, float], stage: str) -> Callable[..., Any]:
    """Returns a function that adds its processor time to its stage's.

    Args:
        function: to call.
        took: seconds by stage; a stage called by another one counts for itself alone.
        stage: of the function.
    """

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return function(*arguments, **options)
        begun, others = time.process_time(), sum(took.values())
        try:
            return function(*arguments, **options)
        finally:
            inside = sum(took.values()) - others
            took[stage] += time.process_time() - begun - inside

    return call


def main() -> int:
    """Prepares as the command line says."""
    prepare = importlib.import_module("pipelines.prepare")
    took = dict.fromkeys(STAGES, 0.0)
    for stage, functions in STAGES.items():
        for module, path in functions:
            *owners, name = path.split(".")
            owner = functools.reduce(getattr, owners, importlib.import_module(module))
            setattr(owner, name, timed(getattr(owner, name), took, stage))
    status = prepare.main(sys.argv[1:])
    took[REST] = time.process_time() - sum(took.values())
    print(json.dumps(took))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
