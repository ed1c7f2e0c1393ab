"""What TensorFlow's profiler saw of ``fit``: how long it waits for input, and where the rest goes.

`Profiled` is a Keras callback that profiles a stretch of steps; `Timeline` reads the XSpace that
the profiler wrote (``*.xplane.pb``). The messages are those that TensorFlow itself ships; nothing
in the library needs them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

#: What marks, in a profile, the stretch from one return to Python to the next.
MARK = "benchmark_steps"
#: What the profiler calls an iterator that is asked for a batch: the time until it is there.
GET_NEXT = re.compile(r"^IteratorGetNext(AsOptional|Sync)?Op::DoCompute$")
#: Threads that run the step's operations.
COMPUTE = "tf_Compute"
#: The parts of a step by what its operations are called, "<name>:<type>"; the first one holds.
PARTS = (
    ("read rows", re.compile(r":ResourceGather$|ParallelFor$")),
    ("bring rows up to date", re.compile(r"up_to_date/(Stateful)?PartitionedCall")),
    ("merge, dense and row update", re.compile(r"update/(Stateful)?PartitionedCall")),
    ("write rows", re.compile(r":(ResourceScatterUpdate|StridedSlice)$")),
    ("losses and metrics", re.compile(r"StatefulPartitionedCall.*/(Stateful)?PartitionedCall")),
    ("executor", re.compile(r"^Executor|StatefulPartitionedCall$|while/")),
)
TOWERS = re.compile(r"tower|MatMul|Relu|BiasAdd|AddN")
WAITING, IDLE, OTHER = "waiting for input", "Python and Keras' loop", "other"


class Span(NamedTuple):
    """Something that ran on a thread from `begin` to `end`, in milliseconds."""

    thread: str
    name: str
    begin: float
    end: float


class Profiled(keras.callbacks.Callback):
    """Profiles steps of ``fit`` once it is warm.

    Args:
        folder: where the profiler writes.
        first: batches before it begins.
        batches: how many it sees; fewer where ``fit`` ends before.
    """

    def __init__(self, folder: Path, first: int, batches: int) -> None:
        super().__init__()
        self.folder, self.first, self.last = folder, first, first + batches
        self.batches = 0
        self._mark: Any = None
        self._began: int | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Starts the profiler, and marks every return to Python while it runs."""
        if self._began is None and batch >= self.first:
            options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=2)
            tf.profiler.experimental.start(str(self.folder), options=options)
            self._began = batch
        if self._running():
            self._mark = tf.profiler.experimental.Trace(MARK, step_num=batch)
            self._mark.__enter__()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Ends the mark, and after the last batch the profile."""
        if not self._running():
            return
        self._mark.__exit__(None, None, None)
        self.batches = batch + 1 - self._begin()
        if batch + 1 >= self.last:
            self.last = 0
            tf.profiler.experimental.stop()

    def on_train_end(self, logs: Any = None) -> None:
        """Ends a profile that the end of training cut short."""
        if self._running():
            self.last = 0
            tf.profiler.experimental.stop()

    def timeline(self) -> Timeline:
        """Returns what the profiler wrote."""
        return Timeline.read(self.folder, self.batches)

    def _running(self) -> bool:
        return self._began is not None and self.last > 0

    def _begin(self) -> int:
        return 0 if self._began is None else self._began


class Timeline:
    """The host's threads in a profile, between the first and the last mark.

    Args:
        spans: what ran.
        batches: how many batches were trained meanwhile.

    Raises:
        ValueError: if no stretch is marked, or nothing asked an iterator for a batch.
    """

    def __init__(self, spans: Sequence[Span], batches: int) -> None:
        marks = [s for s in spans if s.name == MARK]
        if not marks or batches < 1:
            raise ValueError(
                f"spans: must hold {MARK!r} around at least one batch, received {len(marks)} of "
                f"them and {batches} batches; give fit more batches than come before the profile."
            )
        begin, end = min(s.begin for s in marks), max(s.end for s in marks)
        self.batches, self.begin, self.end = batches, begin, end
        self.spans = [
            s._replace(begin=max(s.begin, begin), end=min(s.end, end))
            for s in spans
            if s.end > begin and s.begin < end
        ]
        self._asked = [s for s in self.spans if GET_NEXT.match(s.name)]
        if not self._asked:
            raise ValueError(
                "spans: must hold the iterator's GetNext, received none; this TensorFlow's "
                f"profiler calls it otherwise than {GET_NEXT.pattern}."
            )

    @classmethod
    def read(cls, folder: Path, batches: int) -> Timeline:
        """Reads the newest profile below a folder.

        Raises:
            ValueError: if there is none.
        """
        files = sorted(folder.rglob("*.xplane.pb"))
        if not files:
            raise ValueError(f"folder: must hold a *.xplane.pb, received {folder}; profile first.")
        space = xplane_pb2.XSpace()
        space.ParseFromString(files[-1].read_bytes())
        return cls(list(host_spans(space)), batches)

    def waiting(self) -> dict[str, Any]:
        """Returns the share of time in GetNext, and milliseconds a batch of it and of the rest.

        Times are of the wall: GetNext calls that overlap count once. What a step computes
        meanwhile is not deducted, so that the share is an upper bound.
        """
        whole = self.end - self.begin
        waited = covered(self._asked)
        return {
            "waiting_share": round(waited / whole, 4),
            "waiting_ms": round(waited / self.batches, 3),
            "step_ms": round((whole - waited) / self.batches, 2),
            "batches": self.batches,
        }

    def parts(self) -> dict[str, float]:
        """Returns milliseconds of the wall a batch by part; they add up to the whole.

        Where two threads compute at once, each part has half of the time.
        """
        on_threads = defaultdict(list)
        for span in self.spans:
            if span.thread.startswith(COMPUTE):
                on_threads[span.thread].append(span)
        pieces = [(s.begin, s.end, part_of(s.name)) for t in on_threads.values() for s in own(t)]
        pieces += [(s.begin, s.end, WAITING) for s in self._asked]
        pieces.append((self.begin, self.end, IDLE))
        times = shared(pieces, last=(WAITING, IDLE))
        return {
            part: round(time / self.batches, 3)
            for part, time in sorted(times.items(), key=lambda item: -item[1])
        }


def host_spans(space: Any) -> Iterable[Span]:
    """Yields what ran on the host's threads, of an XSpace."""
    for plane in space.planes:
        if not plane.name.startswith("/host:CPU"):
            continue
        stats = {number: stat.name for number, stat in plane.stat_metadata.items()}
        for line in plane.lines:
            thread = f"{line.name}#{line.id}"
            for event in line.events:
                if not event.duration_ps and not event.offset_ps:
                    continue
                name = plane.event_metadata[event.metadata_id].name
                if name == "ExecutorState::ProcessAsync::Start":  # named by the operation
                    said = {stats.get(s.metadata_id): s for s in event.stats}
                    if "name" in said:
                        name = said["name"].str_value or stats.get(said["name"].ref_value, name)
                begin = line.timestamp_ns * 1e-6 + event.offset_ps * 1e-9
                yield Span(thread, name, begin, begin + event.duration_ps * 1e-9)


def part_of(name: str) -> str:
    """Returns the part of a step that an operation belongs to."""
    if TOWERS.search(name):
        return "towers"
    return next((part for part, known in PARTS if known.search(name)), OTHER)


def covered(spans: Iterable[Span]) -> float:
    """Returns how long at least one of the spans lasts."""
    total, reached = 0.0, float("-inf")
    for span in sorted(spans, key=lambda s: s.begin):
        total += max(0.0, span.end - max(span.begin, reached))
        reached = max(reached, span.end)
    return total


def own(spans: Iterable[Span]) -> list[Span]:
    """Cuts a thread's nested spans into pieces: at every moment the innermost one."""
    pieces: list[Span] = []
    open_: list[Span] = []
    at = float("-inf")

    def until(moment: float) -> None:
        nonlocal at
        while open_ and open_[-1].end <= moment:
            last = open_.pop()
            if last.end > at:
                pieces.append(last._replace(begin=at))
                at = last.end
        if open_ and moment > at:
            pieces.append(open_[-1]._replace(begin=at, end=moment))
        at = max(at, moment)

    for span in sorted(spans, key=lambda s: (s.begin, -s.end)):
        until(span.begin)
        open_.append(span)
    until(float("inf"))
    return [p for p in pieces if p.end > p.begin]


def shared(pieces: Iterable[tuple[float, float, str]], last: Sequence[str]) -> dict[str, float]:
    """Gives time to what runs in it: equally to those at once, to those in `last` if alone.

    Args:
        pieces: (begin, end, name).
        last: names that count only where no other runs, the first of them first.
    """
    turns = sorted(
        turn for begin, end, name in pieces for turn in ((begin, 1, name), (end, -1, name))
    )
    running: dict[str, int] = defaultdict(int)
    times: dict[str, float] = defaultdict(float)
    before = turns[0][0] if turns else 0.0
    for moment, change, name in turns:
        if moment > before:
            first = {n: k for n, k in running.items() if k > 0 and n not in last}
            first = first or {next((n for n in last if running.get(n, 0) > 0), ""): 1}
            for one, count in first.items():
                times[one] += (moment - before) * count / sum(first.values())
        before = moment
        running[name] += change
    times.pop("", None)
    return dict(times)
