"""What is known of a model's versions: their states and failures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tensorflow as tf

from serving.common.config import ModelConfig
from serving.server import errors
from serving.server.errors import StatusError
from serving.server.runtime.servable import Servable


@dataclasses.dataclass
class Version:
    """What is known of one version of a model."""

    number: int
    path: Path
    state: str = "START"
    servable: Servable | None = None
    error: StatusError | None = None
    failures: int = 0
    retry_at: float = 0.0
    stamp: tuple[int, int] = (0, 0)


class Model:
    """One model's versions and labels."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.versions: dict[int, Version] = {}
        self.labels: dict[str, int] = {}


def load_error(error: Exception) -> StatusError:
    """What a failed load says in the model's status."""
    if isinstance(error, StatusError):
        return error
    if isinstance(error, tf.errors.OpError):
        return errors.from_tensorflow(error)
    if isinstance(error, OSError):
        return StatusError("NOT_FOUND", str(error))
    return StatusError("INTERNAL", f"{type(error).__name__}: {error}")
