"""Learner: one model that a stream trains by the hour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from idefn_tf._rules import nearest
from idefn_tf.callbacks import SetEpoch, StopOnNonFinite
from idefn_tf.data.batch_sampler import BatchSampler
from idefn_tf.data.batches import Batches, EpochClock
from idefn_tf.data.dataset import feature_signature
from idefn_tf.data.encoded_rows import EncodedRows
from idefn_tf.models import EntireSpaceModel
from idefn_tf.models.batch import ARRIVAL
from idefn_tf.models.feedback import FEEDBACKS
from idefn_tf.optimizers import catch_up_rows, rows_wait
from idefn_tf.schema import (
    CLICK,
    CONVERSION,
    CONVERSION_DELAY,
    CONVERSION_FINAL,
    ELAPSED,
    FEEDBACK_LABELS,
    Schema,
)
from idefn_tf.tables import SEQUENCES
from pipelines.experiment.build import build_features, build_model
from pipelines.experiment.checkpoint import Snapshot, capture
from pipelines.experiment.config import Config
from pipelines.experiment.config_groups import NAMES
from pipelines.streaming.arrivals import Arrivals, Rule, check_reads_streams
from pipelines.streaming.row_delta import RowDelta
from pipelines.streaming.stream_log import StreamLog

#: Rows that are scored at a time.
_SCORED = 8192


class Learner:
    """A model, the rule by which it meets rows, and what encodes them.

    Args:
        config: the experiment.
        schema: what the columns are.
        vocabularies: those that the stream begins with.
    """

    def __init__(self, config: Config, schema: Schema, vocabularies: Mapping[str, Any]) -> None:
        self._saved_at, self._brought = 0, dict[int, np.ndarray]()
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
        """Trains once on what arrived, in the order of arrival; nothing where nothing did.

        Rows of tables that no batch reads wait, as in `rows_wait`.
        """
        if len(rows):
            batches = self._batches(log, rows, streamed=True)
            with rows_wait(self.model.optimizer):
                self.model.fit(batches, epochs=1, verbose=0, callbacks=[StopOnNonFinite()])

    def score(self, log: StreamLog, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Scores exposures: {"ctr", "cvr", "ctcvr"}, float32 [rows]."""
        count = len(rows)
        if not count:
            return {name: np.empty(0, np.float32) for name in ("ctr", "cvr", "ctcvr")}
        held = {name: v for name, v in log.take(rows).items() if name in self.encoder.raw_names}
        size = min(1 << (count - 1).bit_length(), _SCORED)
        encoded = self._encoded(_filled(held, size))
        for name, table in self.model.features.tables.items():
            self._bring(table, _rows_read(encoded, name))
        batches = tf.data.Dataset.from_tensor_slices((_in_batches(encoded, size),))
        with rows_wait(self.model.optimizer):
            scores = self.model.predict(batches, verbose=0)
        return {name: scores[name][:count] for name in ("ctr", "cvr", "ctcvr")}

    def _bring(self, table: keras.Variable, rows: np.ndarray) -> None:
        """Brings rows up to date that are about to be read, and remembers them."""
        asked = np.zeros(int(table.shape[0]), bool)
        asked[rows] = True
        before = self._brought.get(id(table))
        found = np.flatnonzero(asked)
        catch_up_rows(self.model.optimizer, table, found)
        self._brought[id(table)] = found if before is None else np.union1d(before, found)

    def state(self, hour: int) -> Snapshot:
        """Returns weights, moments, clocks and random states."""
        return capture(self.model, hour, 0)

    def changes(self, hour: int) -> RowDelta:
        """Returns what changed since the last `restore` or `was_saved`."""
        return RowDelta.of(self.model, hour, self._saved_at, self._brought)

    def was_saved(self) -> None:
        """Begins to note changes anew."""
        self._saved_at = int(self.model.optimizer.iterations.numpy())
        self._brought = {}

    def restore(self, state: Snapshot) -> None:
        """Takes up what `state` returned, or what the disk made of it."""
        state.restore(self.model)
        self.was_saved()

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
            return self._shuffled(arrays, size, clock or EpochClock())
        arrays[ARRIVAL] = rows.kind.astype(np.float32)
        filled = _filled(arrays, size)
        if missing := -len(rows) % size:
            filled["sample_weight"][-missing:] = 0.0
        labels = {name: filled[name] for name in (CLICK, CONVERSION, *FEEDBACK_LABELS, ARRIVAL)}
        told = (self._encoded(filled), labels, filled["sample_weight"])
        return tf.data.Dataset.from_tensor_slices(_in_batches(told, size))

    def _encoded(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Encodes rows at once: a program for each hour's vocabularies would cost more."""
        raw = {name: tf.convert_to_tensor(arrays[name]) for name in self.encoder.raw_names}
        encoded: dict[str, Any] = self.encoder.encode(raw)
        return encoded

    def _shuffled(
        self, held: dict[str, np.ndarray], size: int, clock: EpochClock
    ) -> tf.data.Dataset:
        rows = len(held[CLICK])
        targets = (CLICK, CONVERSION, *FEEDBACK_LABELS, "sample_weight")
        return Batches(
            signature=feature_signature(self.schema),
            sampler=BatchSampler(size),
            rows=rows,
            held=None,
            chunks=lambda rng: iter(()),
            span=None,
            shuffle=True,
            seed=self.config.training.seed,
            clock=clock,
            drop_remainder=True,
            shuffle_rows=0,
            labels=True,
            encoded=EncodedRows.of([held], self.encoder, (), targets, rows),
            further=FEEDBACK_LABELS,
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
    if name not in FEEDBACKS:
        raise ValueError(
            f"feedback: must be one of {sorted(FEEDBACKS)}, received {name!r}"
            f"{nearest(name, FEEDBACKS)}"
        )
    check_reads_streams(FEEDBACKS[name], name)


def _rows_read(encoded: Mapping[str, Any], table: str) -> np.ndarray:
    """Returns the rows of a table that features ask for, and events of sequences."""
    parts = [encoded["rows"][table]]
    parts += [rows[table] for rows in encoded.get(SEQUENCES, {}).values() if table in rows]
    return np.concatenate([part.numpy().ravel() for part in parts])


def _learned(model: keras.Model) -> list[Any]:
    listed = [*model.variables, *model.optimizer.variables]
    return list({id(variable): variable for variable in listed}.values())


def _filled(arrays: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """Fills up the last batch by the last row, so that all batches have one size."""
    missing = -len(next(iter(arrays.values()))) % size
    return {n: np.concatenate([v, np.repeat(v[-1:], missing, 0)]) for n, v in arrays.items()}


def _in_batches(rows: Any, size: int) -> Any:
    """Cuts rows into batches: [n, ...] into [n / size, size, ...]."""
    return tf.nest.map_structure(lambda part: tf.reshape(part, [-1, size, *part.shape[1:]]), rows)
