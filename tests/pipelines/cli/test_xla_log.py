"""What XLA writes at its start, seen from outside of a process that compiles."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
#: A job's table with a compiled program in the middle.
SCRIPT = """
import sys
import pipelines
from pipelines.cli.xla_log import start_xla
import tensorflow as tf
start_xla()
print("before", file=sys.stderr)
print(float(tf.function(lambda x: x * 2.0, jit_compile=True)(tf.constant(3.0))), file=sys.stderr)
print("after", file=sys.stderr)
"""


@pytest.mark.process
@pytest.mark.parametrize("level", [None, "0", "2"])
def test_nothing_stands_between_two_lines_of_a_job(level):
    """From cold, for the level is read when TensorFlow is imported; a user's own one is kept."""
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT)}
    env.pop("TF_CPP_MIN_LOG_LEVEL", None)
    env.pop("IDEFN_TF_JIT", None)
    if level is not None:
        env["TF_CPP_MIN_LOG_LEVEL"] = level
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    if level == "0":
        assert "Compiled cluster using XLA" in done.stderr
    else:
        lines = done.stderr.splitlines()
        assert lines[lines.index("before") :] == ["before", "6.0", "after"]
        assert "XLA" not in done.stderr
        assert "absl" not in done.stderr
