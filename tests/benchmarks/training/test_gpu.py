"""The GPU's script where there is none: it says so, and the processor can stand in for a trial."""

import sys

import pytest
import tensorflow as tf

from benchmarks.training import gpu


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_without_a_gpu_it_says_why_it_skips(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(tmp_path / "gpu.json")])
    assert gpu.main() == 0
    assert capsys.readouterr().out.startswith("skipped: TensorFlow sees no GPU here")
    assert not (tmp_path / "gpu.json").exists()


def test_the_processor_is_measured_beside_what_is_asked_for():
    assert gpu.devices("CPU:0") == ["CPU:0"]
    assert gpu.devices("GPU:0") == ["CPU:0", "GPU:0"]
