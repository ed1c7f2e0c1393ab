"""Compiled programs are kept where they can run again, and only if that was asked for."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from pipelines.cli import xla_cache
from pipelines.cli.xla_cache import keep_programs

ROOT = Path(__file__).resolve().parents[3]
#: A job that compiles one program and adds one line to its table.
SCRIPT = """
import sys
import pipelines
from pipelines.cli.xla_log import start_xla
import tensorflow as tf
start_xla()
print(float(tf.function(lambda x: x * 2.0, jit_compile=True)(tf.constant(3.0))), file=sys.stderr)
"""


def test_nothing_is_kept_unless_asked():
    environment = {"TF_XLA_FLAGS": "--tf_xla_enable_xla_devices"}
    assert keep_programs(environment) is None
    assert environment == {"TF_XLA_FLAGS": "--tf_xla_enable_xla_devices"}


def test_the_folder_is_added_to_the_flags_once(tmp_path):
    environment = {"IDEFN_TF_XLA_CACHE": str(tmp_path), "TF_XLA_FLAGS": "--a=1"}
    folder = keep_programs(environment)
    assert folder.parent == tmp_path
    assert folder.name.startswith(f"tensorflow-{metadata.version('tensorflow')}-")
    assert environment["TF_XLA_FLAGS"] == f"--a=1 --tf_xla_persistent_cache_directory={folder}"
    assert keep_programs(environment) is None  # a process started by this one


def test_other_processors_and_other_flags_have_other_folders(tmp_path, monkeypatch):
    def folder(features, flags=""):
        (tmp_path / "cpuinfo").write_text(f"model name : x\nflags\t\t: {features}\n")
        monkeypatch.setattr(xla_cache, "_CPUINFO", tmp_path / "cpuinfo")
        return keep_programs({"IDEFN_TF_XLA_CACHE": "/c", "XLA_FLAGS": flags})

    assert folder("avx2 fma") == folder("fma avx2")
    assert len({folder("avx2 fma"), folder("avx2"), folder("avx2", "--xla_x=1")}) == 3


def test_a_folder_that_tensorflow_could_not_use_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for asked in (f"{tmp_path}/my cache", f"{tmp_path}/file"):
        environment = {"IDEFN_TF_XLA_CACHE": asked}
        with pytest.raises(ValueError, match=r"^IDEFN_TF_XLA_CACHE: must be a folder whose path"):
            keep_programs(environment)
        assert "TF_XLA_FLAGS" not in environment
    done = subprocess.run(
        [sys.executable, "-c", "import pipelines"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "IDEFN_TF_XLA_CACHE": f"{tmp_path}/file"}, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error IDEFN_TF_XLA_CACHE: must be")
    assert "Traceback" not in done.stderr


@pytest.mark.process
def test_the_second_process_finds_what_the_first_compiled_and_says_nothing_of_it(tmp_path):
    """From cold: TensorFlow reads its flags when it starts."""
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT)}
    env |= {"IDEFN_TF_XLA_CACHE": str(tmp_path / "cache")}
    for name in ("TF_CPP_MIN_LOG_LEVEL", "IDEFN_TF_JIT"):
        env.pop(name, None)
    kept = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], cwd=ROOT, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stderr.splitlines() == ["6.0"]
        files = sorted((tmp_path / "cache").glob("tensorflow-*/*.pb"))
        kept.append([(file.name, file.stat().st_mtime_ns) for file in files])
    assert len(kept[0]) == 2
    assert kept[1] == kept[0]
