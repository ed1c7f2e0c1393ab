"""Processes of this project's checkouts, an earlier release's among them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def told_by(
    checkout: Path, script: Path, *options: str, variables: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Runs a script with a checkout's packages and returns what its last line says, in JSON.

    Args:
        checkout: whose packages are imported; the process runs there.
        script: the file to run, of whichever checkout.
        options: of the command line.
        variables: of the environment, beside this process's own.
    """
    done = subprocess.run(
        [sys.executable, "-P", str(script), *options],
        cwd=checkout,
        env={**os.environ, **(variables or {}), "PYTHONPATH": str(checkout)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
