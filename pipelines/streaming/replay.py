"""Replay: a stream's learners go through a log hour by hour.

An hour is one transaction: its exposures are scored by what was learned until then, its ids enter
the vocabularies, what arrived in it is trained on, and all of it takes its name at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from idefn_tf.models.feedback import FEEDBACKS
from pipelines.experiment.config import Config
from pipelines.experiment.config_groups import NAMES
from pipelines.streaming import curves
from pipelines.streaming.arrivals import Arrivals, Rule, Times, arrivals, as_known
from pipelines.streaming.growth import Growth
from pipelines.streaming.hours import Hours, write_changes, write_hour, write_state
from pipelines.streaming.learner import Learner
from pipelines.streaming.row_delta import nbytes
from pipelines.streaming.stream_log import StreamLog

METHOD = "method"


@dataclass
class Replay:
    """One stream.

    Attributes:
        config: the experiment.
        log: its rows.
        origin: the moment at which the stream begins.
        hours: where hours lie.
        controls: whether the pretrained model and the oracle go beside.
    """

    config: Config
    log: StreamLog
    origin: int
    hours: Hours
    controls: bool
    growth: Growth = field(init=False)
    learners: dict[str, Learner] = field(init=False)
    frozen: Learner | None = field(init=False, default=None)
    next_hour: int = field(init=False, default=0)
    offsets: dict[str, int] = field(init=False)
    _found: dict[Rule, tuple[Times, Arrivals]] = field(init=False, default_factory=dict)

    def begin(self, say: Callable[[str], None]) -> None:
        """Pretrains, or takes the stream up after its last whole hour.

        Args:
            say: is told what is done.

        Raises:
            ValueError: if there is nothing to pretrain on, or the log is not the one of before.
        """
        state = self.hours.latest()
        keras.utils.set_random_seed(self.config.training.seed)
        if state is None:
            self._pretrain(say)
            state = -1
        schema, hours = self.log.schema, self.hours
        first = Growth.load(schema, hours.start)
        self.growth = hours.growth(schema, state)
        self.learners = {METHOD: Learner(self.config, schema, first.learned)}
        if self.controls:
            self.learners[curves.ORACLE] = self._with("oracle", first)
            self.frozen = Learner(self.config, schema, first.learned)
            self.frozen.restore(hours.restored(METHOD, -1))
        for name, learner in self.learners.items():
            learner.restore(hours.restored(name, state))
            learner.know(self.growth.learned)
        told = hours.told(hours.place(state))
        self.next_hour, self.offsets = state + 1, told["offsets"]
        if state >= 0:
            say(f"goes on with hour {self.next_hour}")

    def _pretrain(self, say: Callable[[str], None]) -> None:
        schema, log = self.log.schema, self.log
        shown = np.flatnonzero(log.times.shown < self.origin)
        if not len(shown):
            raise ValueError(
                "--pretrain-days: must leave exposures to pretrain on, received none before the "
                "stream;\ngive more days"
            )
        growth = Growth.begin(schema, log.take(shown))
        learner = Learner(self.config, schema, growth.learned)
        rows = as_known(log.times, learner.rule, self.origin)
        say(f"pretrains on {len(rows):,} rows, as they were known when the stream begins")
        learner.pretrain(log, rows)
        learners = {METHOD: learner}
        if self.controls:
            oracle = learners[curves.ORACLE] = self._with("oracle", growth)
            if learner.model.feedback.corrects:  # its tower says something else than a rate
                learner = self._with("observed", growth)
                learner.pretrain(log, rows)
            oracle.begin_as(learner)
        offsets = {n: self._arrivals(x).before(self.origin) for n, x in learners.items()}
        states = {name: learner.state(-1) for name, learner in learners.items()}
        saved = {"base": -1, "bytes": sum(map(nbytes, states.values())), "since_base": 0}
        told = {"hour": -1, "offsets": offsets, "rows": len(rows), "saved": saved}
        with self.hours.transaction(self.hours.start) as folder:
            write_state(folder, states, growth)
            write_hour(folder, told, {})

    def _with(self, feedback: str, growth: Growth) -> Learner:
        config = self.config.model_copy(update={"feedback": {"name": feedback}})
        return Learner(config, self.log.schema, growth.learned)

    def _arrivals(self, learner: Learner) -> Arrivals:
        """Returns all arrivals, found anew when files have landed."""
        times, found = self._found.get(learner.rule, (None, None))
        if found is None or times is not self.log.times:
            found = arrivals(self.log.times, learner.rule)
            self._found[learner.rule] = (self.log.times, found)
        return found

    def span(self, hour: int) -> tuple[int, int]:
        """Returns when an hour begins and ends."""
        start = self.origin + hour * self.log.hour
        return start, start + self.log.hour

    def run_hour(self, further: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the next hour.

        Args:
            further: what else the hour says of itself.

        Returns:
            What hour.json holds.

        Raises:
            ValueError: if the log is not the one of before.
        """
        hour = self.next_hour
        start, end = self.span(hour)
        exposed = self.log.times.exposed
        rows = np.flatnonzero((exposed >= start) & (exposed < end))
        scores: dict[str, np.ndarray] = {"row": rows}
        for name, learner in self._scoring().items():
            for score, values in learner.score(self.log, rows).items():
                scores[f"{name}/{score}"] = values
        said = self.growth.take(self.log.take(rows)) if len(rows) else {}
        trained, offsets = {}, {}
        for name, learner in self.learners.items():
            if any(found["new"] for found in said.values()):
                learner.know(self.growth.learned)
            every = self._arrivals(learner)
            if every.before(start) != self.offsets[name]:
                raise ValueError(
                    f"data: must be the log that the stream began with, received one with "
                    f"{every.before(start):,} arrivals before hour {hour} where "
                    f"{self.offsets[name]:,} were trained on;\ngive that log, or a new folder"
                )
            offsets[name] = every.before(end)
            some = every.part(self.offsets[name], offsets[name])
            learner.train(self.log, some)
            trained[name] = some.count()
        told = {
            "hour": hour,
            "begins": start,
            "exposures": len(rows),
            "trained": trained,
            "offsets": offsets,
            "vocabularies": said,
            **(further or {}),
        }
        changes = {name: learner.changes(hour) for name, learner in self.learners.items()}
        changed = sum(delta.nbytes for delta in changes.values())
        whole = sum(delta.whole_nbytes for delta in changes.values())
        told["saved"] = self.hours.saved(hour, changed, whole)
        with self.hours.transaction(self.hours.place(hour)) as folder:
            if told["saved"]["base"] == hour:
                states = {name: learner.state(hour) for name, learner in self.learners.items()}
                write_state(folder, states, self.growth)
            else:
                write_changes(folder, changes, self.growth)
            write_hour(folder, told, scores)
        self.hours.prune()
        for learner in self.learners.values():
            learner.was_saved()
        self.next_hour, self.offsets = hour + 1, offsets
        return told

    def _scoring(self) -> dict[str, Learner]:
        frozen = {} if self.frozen is None else {curves.PRETRAINED: self.frozen}
        return {**frozen, **self.learners}

    def scored(self, hours: Sequence[int]) -> list[dict[str, dict[str, np.ndarray]]]:
        """Returns the scores of hours with the labels of today, by learner."""
        weight, times = self.log.weight, self.log.times
        found = []
        for hour in hours:
            scores = self.hours.scores(hour)
            row = scores.pop("row")
            labels = {
                "click": times.click[row],
                "conversion": times.final[row] & times.click[row],
                "weight": weight[row],
            }
            names = dict.fromkeys(name.partition("/")[0] for name in scores)
            found.append(
                {n: {**labels, **{s: scores[f"{n}/{s}"] for s in ("cvr", "ctcvr")}} for n in names}
            )
        return found


def notes(config: Config) -> list[str]:
    """Says what a likelihood does not do inside a stream."""
    name = config.feedback.get("name", NAMES["feedback"])
    likelihood = FEEDBACKS[name]
    if likelihood.heads and not likelihood.learns_in_streams:
        return [
            f"{name} learns its heads in pretraining alone, from clicks whose window is over by "
            "then; inside the stream they stay as they are"
        ]
    return []
