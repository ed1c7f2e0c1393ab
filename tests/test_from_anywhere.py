"""`pytest` alone finds the project, from any folder, as an editor calls it.

That it does in the root is what `make test` shows by running at all.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_pytest_alone_runs_a_file_from_any_folder(tmp_path, monkeypatch):
    """The command without `python -m`, which would put its own folder on the path."""
    command = Path(sys.executable).with_name("pytest")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    tests = ("tests/idefn_tf/test_losses.py", "tests/idefn_tf/test_registry.py")
    given = [str(ROOT / test) for test in tests]
    done = subprocess.run(
        [command, "-q", "-p", "no:cacheprovider", *given],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
