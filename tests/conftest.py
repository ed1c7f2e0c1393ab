"""Settings that every test shares: quiet TensorFlow, two threads, fixed seeds."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import pytest


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    import keras

    keras.utils.set_random_seed(0)
