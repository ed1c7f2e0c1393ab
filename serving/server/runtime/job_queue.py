"""The queue before a signature: its jobs, and what is known of how long they take."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import math
from collections.abc import Callable

import numpy as np

from serving.server.errors import StatusError
from serving.server.runtime.signature import Arrays, Signature

# A batch of at most so many input values is small; a signature is quick after so many small runs,
# the slowest of late (each run fades the memory of those before) below so many seconds.
SMALL, _PROOF, _QUICK_SECONDS, _FADING = 2_000, 16, 0.002, 0.98
# Jobs come in company if two wait, or batches of late had more jobs than this on average; then so
# many turns of the event loop without a further one end the wait.
_COMPANY, _TURNS = 1.5, 16


Outcome = dict[str, np.ndarray] | StatusError


@dataclasses.dataclass(eq=False, slots=True)
class Job:
    """One request's arrays on their way through a signature.

    Attributes:
        signature: What runs them.
        model: The model's name, for the metrics.
        api: "Predict", "Classify" or "Regress", for the metrics.
        arrays: The inputs.
        numbers: How many input values there are.
        reply: Gets the outcome, once, in the event loop's thread; must not raise.
        deadline: When to give up, on the event loop's clock.
        rows: How many rows the inputs have.
        shapes: Inner shapes, group by group; None if the job is not to be mixed.
        outcome: What the run gave.
        over: Whether `reply` was called, or nobody waits for it any more.
        timer: Set while the deadline is watched.
    """

    signature: Signature
    model: str
    api: str
    arrays: Arrays
    numbers: int
    reply: Callable[[Outcome], None]
    deadline: float = math.inf
    rows: int = 1
    shapes: tuple[tuple[int, ...], ...] | None = None
    outcome: Outcome | None = None
    over: bool = False
    timer: asyncio.TimerHandle | None = None

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends the job with DEADLINE_EXCEEDED when its time is over."""
        if self.timer is None:
            self.timer = loop.call_at(self.deadline, give_up, self)

    def drop(self) -> None:
        """The outcome is not wanted any more."""
        self.over = True
        if self.timer is not None:
            self.timer.cancel()

    def end(self, outcome: Outcome) -> None:
        """Hands out the outcome, unless the job is over."""
        if not self.over:
            self.drop()
            self.reply(outcome)


@dataclasses.dataclass
class Lane:
    """The jobs waiting for one signature, and how many batches of it are running.

    Attributes:
        waiting: Oldest first.
        running: Batches in threads.
        timer: Set while the oldest job waits for company.
        due: Whether a run in the event loop's thread is coming up.
        company: Jobs a batch in the event loop's thread, of late.
        arrived: Jobs of this turn of the event loop, while lone ones run at once.
        small_runs: How many small batches have run.
        slowest: Seconds of the slowest small run of late.
    """

    waiting: collections.deque[Job] = dataclasses.field(default_factory=collections.deque)
    running: int = 0
    timer: asyncio.TimerHandle | None = None
    due: bool = False
    small_runs: int = 0
    slowest: float = 0.0
    company: float = 1.0
    arrived: int = 0
    _seen: int = 0
    _turns: int = 0

    def expects_more(self) -> bool:
        """Whether the next turn of the event loop may bring a job worth waiting for."""
        count = len(self.waiting)
        if not count or (count < 2 and self.company <= _COMPANY):
            return False
        self._turns = 0 if count > self._seen else self._turns + 1
        self._seen = count
        return self._turns < _TURNS and count * self.waiting[0].numbers < SMALL

    def may_run_at_once(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether a new job need not wait: none is there, and those of late had no company.

        The first of a turn of the event loop only: more than one in a turn is company, and one
        connection that sends many requests in a piece must not hold up the others.
        """
        if self.due or self.waiting or self.company > _COMPANY:
            return False
        if not self.arrived:
            loop.call_soon(self._end_turn)
        self.arrived += 1
        return self.arrived == 1

    def _end_turn(self) -> None:
        self.company += 0.1 * (self.arrived - self.company)
        self.arrived = 0

    def note_company(self, jobs: int) -> None:
        """Remembers how many jobs a batch had."""
        self._seen = self._turns = 0
        self.company += 0.1 * (jobs - self.company)

    def note(self, numbers: int, seconds: float) -> None:
        """Remembers how long a batch of so many numbers took."""
        if numbers <= SMALL:
            self.small_runs += 1
            self.slowest = max(seconds, _FADING * self.slowest)

    @property
    def quick(self) -> bool:
        """Whether a small batch has no need of a thread."""
        return self.small_runs >= _PROOF and self.slowest < _QUICK_SECONDS


def resolve(batch: list[Job], lane: Lane, seconds: float) -> None:
    """Hands out what a batch gave."""
    lane.note(sum([job.numbers for job in batch]), seconds)
    for job in batch:
        if job.outcome is not None:
            job.end(job.outcome)


def give_up(job: Job) -> None:
    """The time of a job is over."""
    job.end(StatusError("DEADLINE_EXCEEDED", "Timed out waiting for notification"))
