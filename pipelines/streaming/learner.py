"""Learner: one model that a stream trains by the hour."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from idefn_tf.callbacks import SetEpoch, StopOnNonFinite
from idefn_tf.data.batch_sampler import BatchSampler
from idefn_tf.data.batches import Batches, EpochClock
from idefn_tf.data.dataset import feature_signature
from idefn_tf.models import EntireSpaceModel
from idefn_tf.models.batch import ARRIVAL
from idefn_tf.models.feedback import FEEDBACKS
from idefn_tf.schema import (
    CLICK,
    CONVERSION,
    CONVERSION_DELAY,
    CONVERSION_FINAL,
    ELAPSED,
    FEEDBACK_LABELS,
    Schema,
)
from pipelines.experiment.build import build_features, build_model
from pipelines.experiment.checkpoint import Snapshot, capture
from pipelines.experiment.config import Config
from pipelines.experiment.config_groups import NAMES
from pipelines.streaming.arrivals import Arrivals, Rule, check_reads_streams
from pipelines.streaming.stream_log import StreamLog

_CURE = "delete the stream's folder to begin anew"


class Learner:
    """A model, the rule by which it meets rows, and what encodes them.

    Args:
        config: the experiment.
        schema: what the columns are.
        vocabularies: those that the stream begins with.
    """

    def __init__(self, config: Config, schema: Schema, vocabularies: Mapping[str, Any]) -> None:
        self.config, self.schema = config, schema
        self.model: EntireSpaceModel = build_model(config, schema, vocabularies)
        self.model.optimizer.build(self.model.trainable_variables)
        self.rule = Rule.of(self.model.feedback, config.feedback.get("name", NAMES["feedback"]))
        self.encoder: Any = None
        self.know(vocabularies)

    def know(self, vocabularies: Mapping[str, Any]) -> None:
        """Encodes by these vocabularies from now on; known ids keep their rows."""
        self.encoder = build_features(self.config, self.schema, vocabularies)

    def pretrain(self, log: StreamLog, rows: Arrivals) -> None:
        """Trains on rows as they were known at a moment, over the config's epochs."""
        settings = self.config.training
        clock = EpochClock()
        batches = self._batches(log, rows, streamed=False, clock=clock)
        self.model.fit(
            batches,
            epochs=settings.epochs,
            verbose=0,
            callbacks=[SetEpoch(clock), StopOnNonFinite()],
        )

    def train(self, log: StreamLog, rows: Arrivals) -> None:
        """Trains once on what arrived, in the order of arrival; nothing where nothing did."""
        if len(rows):
            batches = self._batches(log, rows, streamed=True)
            self.model.fit(batches, epochs=1, verbose=0, callbacks=[StopOnNonFinite()])

    def score(self, log: StreamLog, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Scores exposures: {"ctr", "cvr", "ctcvr"}, float32 [rows]."""
        if not len(rows):
            return {name: np.empty(0, np.float32) for name in ("ctr", "cvr", "ctcvr")}
        held = {name: v for name, v in log.take(rows).items() if name in self.encoder.raw_names}
        scores = self.model.predict(self._dataset(held, 8192, labels=False), verbose=0)
        return {name: scores[name] for name in ("ctr", "cvr", "ctcvr")}

    def save(self, path: Path, hour: int) -> None:
        """Writes weights, moments, clocks and random states."""
        capture(self.model, hour, 0).save(path)

    def restore(self, path: Path) -> None:
        """Takes up what `save` wrote."""
        Snapshot.load(path, _CURE).restore(self.model)

    def begin_as(self, other: Learner) -> None:
        """Takes another's weights and moments, of all but its likelihood's own heads."""
        theirs = [v for v in _learned(other.model) if other.model.feedback.name not in v.path]
        ours = [v for v in _learned(self.model) if self.model.feedback.name not in v.path]
        for mine, given in zip(ours, theirs, strict=True):
            mine.assign(given)

    def final_model(self, vocabularies: Mapping[str, Any]) -> EntireSpaceModel:
        """Returns a model that knows the grown vocabularies, with what was learned."""
        grown = build_model(self.config, self.schema, vocabularies)
        grown.optimizer.build(grown.trainable_variables)
        capture(self.model, 0, 0).restore(grown)
        return grown

    def _batches(
        self, log: StreamLog, rows: Arrivals, streamed: bool, clock: EpochClock | None = None
    ) -> tf.data.Dataset:
        arrays = log.take(rows.row)
        arrays[CONVERSION] = rows.conversion
        arrays[ELAPSED], arrays[CONVERSION_DELAY] = rows.elapsed, rows.delay
        arrays[CONVERSION_FINAL] = log.times.final[rows.row].astype(np.float32)
        size = self.config.training.batch_size
        if not streamed:
            return self._dataset(arrays, size, True, FEEDBACK_LABELS, clock)
        arrays[ARRIVAL] = rows.kind.astype(np.float32)
        return self._dataset(_filled(arrays, size), size, True, (*FEEDBACK_LABELS, ARRIVAL))

    def _dataset(
        self,
        held: dict[str, np.ndarray],
        size: int,
        labels: bool,
        further: tuple[str, ...] = (),
        clock: EpochClock | None = None,
    ) -> tf.data.Dataset:
        return Batches(
            signature=feature_signature(self.schema),
            sampler=BatchSampler(size),
            rows=len(next(iter(held.values()))),
            held=held,
            chunks=lambda rng: iter(()),
            span=None,
            shuffle=clock is not None,
            seed=self.config.training.seed,
            clock=clock or EpochClock(),
            drop_remainder=clock is not None,
            shuffle_rows=0,
            labels=labels,
            encode=self.encoder,
            further=further,
        ).dataset()


def check_config(config: Config) -> None:
    """Refuses settings that a stream does not carry.

    Raises:
        ValueError: naming the key.
    """
    settings = config.training
    if settings.strategy != "none":
        raise ValueError(
            f"training.strategy: must be none in a stream, received {settings.strategy!r};\nset "
            "training.strategy=none"
        )
    if settings.positives_per_batch is not None:
        raise ValueError(
            "training.positives_per_batch: must be left out in a stream, whose batches are what "
            f"arrived, received {settings.positives_per_batch};\nremove it"
        )
    name = config.feedback.get("name", NAMES["feedback"])
    check_reads_streams(FEEDBACKS.get(name), name)


def _learned(model: keras.Model) -> list[Any]:
    listed = [*model.variables, *model.optimizer.variables]
    return list({id(variable): variable for variable in listed}.values())


def _filled(arrays: dict[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """Fills up the last batch with rows of weight 0, so that all batches have one size."""
    missing = -len(arrays[CLICK]) % size
    filled = {n: np.concatenate([v, np.repeat(v[-1:], missing, 0)]) for n, v in arrays.items()}
    if missing:
        filled["sample_weight"][-missing:] = 0.0
    return filled
