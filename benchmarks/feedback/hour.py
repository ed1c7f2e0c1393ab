"""What an hour of a stream costs beside the bare steps, and what its save writes.

    python -m benchmarks.feedback.hour --out benchmarks/results/feedback/hour.json

Made logs. `kuairand` has the features of `schemas/kuairand_pure.yaml` at the sizes of that data
set, and 50,000 exposures an hour; `million` a vocabulary of 10^6 ids and 10,000 exposures. An hour
of `pipelines.stream` scores its exposures, lets new ids in, trains on what arrived and saves what
changed. The bare steps are the same model's compiled training step over as many batches, which lie
encoded in memory with their distinct rows found: nothing is read, scored or written. Both take
turns, hour by hour, and the ratio is the median over hours, by the clock and in time of the
processor. The first two hours, which trace and
compile, are not timed. Beside each delta a whole state is saved, through the same writer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.common.machine import code_fingerprint, machine_facts
from idefn_tf._files import write_json
from idefn_tf.schema import Feature, Schema
from idefn_tf.tables import look_ahead
from pipelines.datasets.registry import SCHEMAS
from pipelines.experiment.config import Config
from pipelines.streaming.arrivals import ALWAYS, Arrivals, Times, arrivals
from pipelines.streaming.hours import DELTA, Hours, write_changes, write_state
from pipelines.streaming.learner import Learner
from pipelines.streaming.replay import METHOD, Replay
from pipelines.streaming.row_delta import RowDelta
from pipelines.streaming.stream_log import StreamLog
from serving.common.command_line import command_parser

RESULTS = Path(__file__).parents[1] / "results" / "feedback"
#: Hours that trace and compile.
_WARM = 2
CONFIG = Path(__file__).parents[2] / "pipelines" / "configs" / "kuairand" / "all_negative.yaml"
#: Distinct values of the features of KuaiRand-Pure that have many; all others have a dozen.
KUAIRAND = {"user_id": 27_285, "video_id": 7_583, "author_id": 6_000, "server_width": 700,
            "server_height": 1_200, "onehot_feat3": 1_300, "onehot_feat8": 500}  # fmt: skip
DAY, HOUR = 86_400_000, 3_600_000


@dataclass(frozen=True)
class Size:
    """A made log.

    Attributes:
        values: distinct values by feature.
        exposures: an hour.
        before: hours before the stream.
    """

    values: dict[str, int]
    exposures: int
    before: int


SIZES = {"kuairand": Size(KUAIRAND, 50_000, 6), "million": Size({"user_id": 1_000_000}, 50_000, 20)}


def schema_of(name: str) -> Schema:
    """The schema of KuaiRand-Pure with delays, or one of two ids with 10^6 users."""
    value = Schema.load(SCHEMAS / "kuairand_pure.yaml").model_dump(
        mode="json", by_alias=True, exclude_unset=True
    )
    value["labels"] |= {
        "click_time": "click_ms", "conversion_time": "like_ms",
        "attribution": {"window_hours": 72, "from": "click"}, "immature": "keep",
    }  # fmt: skip
    if name == "million":
        kept = ("user_id", "video_id", "hour")
        value["features"] = [f for f in value["features"] if f["name"] in kept]
        value["features"][0] |= {"min_count": 1}
    return Schema.parse(value)


def make_log(name: str, hours: int, seed: int = 0) -> StreamLog:
    """Makes a log: ids by a power law, a third clicked, a tenth of these converts within hours."""
    size, schema, rng = SIZES[name], schema_of(name), np.random.default_rng(seed)
    rows = size.exposures * (size.before + hours)
    arrays = {f.name: _values(f, size.values.get(f.name, 12), rows, rng) for f in schema.features}
    if name == "million":  # every id comes before the stream
        ids = rng.permutation(size.values["user_id"])
        arrays["user_id"][: len(ids)] = ids[:rows]
    shown = np.sort(rng.integers(0, (size.before + hours) * HOUR, rows))
    click = rng.random(rows) < 0.33
    final = click & (rng.random(rows) < 0.1)
    clicked = shown + click * rng.integers(1_000, 60_000, rows)
    converted = clicked + (rng.exponential(6 * HOUR, rows) + 1).astype(np.int64)
    always = np.full(rows, ALWAYS)
    arrays |= {"click": click.astype(np.float32), "sample_weight": np.ones(rows, np.float32)}
    times = Times(DAY, shown, click, clicked, final, converted, always, always)
    return StreamLog(schema, arrays, times)


def _values(feature: Feature, count: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Values of one feature; those of small ranks are frequent."""
    shape = (rows, feature.max_length) if feature.max_length else rows
    if feature.kind == "bucketized":
        return rng.integers(0, 300_000, shape).astype(np.float32)
    count = feature.num_buckets or count
    drawn = np.floor(count * rng.random(shape) ** 1.5).astype(np.int64)
    if feature.dtype == "string":
        return np.char.add("v", drawn.astype(str)).astype("S")
    return drawn


class BareSteps:
    """The same model's compiled step over batches that lie encoded in memory."""

    def __init__(self, replay: Replay) -> None:
        self.learner = Learner(replay.config, replay.log.schema, replay.growth.learned)
        self.log = replay.log
        self.step = tf.function(self.learner.model.train_step, autograph=False)

    def run(self, rows: Arrivals) -> tuple[float, float]:
        """Trains on what arrived; returns the steps' seconds by the clock and of the processor."""
        batches = list(look_ahead(self.learner._batches(self.log, rows, streamed=True)))
        begun = _now()
        for batch in batches:
            logs = self.step(batch)
        float(logs["loss"])
        return _since(begun)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(begun: tuple[float, float]) -> tuple[float, float]:
    clock, processor = _now()
    return clock - begun[0], processor - begun[1]


def measure(name: str, hours: int, folder: Path) -> dict[str, Any]:
    """Runs a stream, and the bare steps beside each of its hours."""
    log = make_log(name, _WARM + hours)
    config = Config.load(CONFIG, ["feedback.name=fnw", "training.epochs=1"])
    replay = Replay(config, log, SIZES[name].before * HOUR, Hours(folder / "hours"), False)
    replay.begin(lambda text: None)
    bare, found = BareSteps(replay), defaultdict[str, list[float]](list)
    rule = replay.learners[METHOD].rule
    every = arrivals(log.times, rule)
    for hour in range(_WARM + hours):
        start, end = replay.span(hour)
        steps = bare.run(every.part(every.before(start), every.before(end)))
        begun = _now()
        told = replay.run_hour()
        taken = _since(begun)
        whole, whole_seconds = _save_whole(replay, folder)
        if hour >= _WARM:
            for i, kind in enumerate(("", "processor_")):
                found[f"{kind}bare_steps_s"].append(steps[i])
                found[f"{kind}hour_s"].append(taken[i])
                found[f"{kind}ratio"].append(taken[i] / steps[i])
            found["written_mb"].append(_size(replay.hours.place(hour)))
            found["is_delta"].append(float(told["saved"]["base"] != hour))
            found["whole_mb"].append(whole)
            found["whole_s"].append(whole_seconds)
            found["save_s"].append(_save_again(replay, hour, folder))
            found["arrivals"].append(sum(told["trained"][METHOD].values()))
    tables = replay.learners[METHOD].model.features.table_shapes
    return {"tables": {k: list(v) for k, v in tables.items()}, **_told(found)}


def _save_whole(replay: Replay, folder: Path) -> tuple[float, float]:
    """Saves a whole state as an hour would; returns its megabytes and seconds."""
    begun = time.perf_counter()
    with replay.hours.transaction(folder / "whole") as building:
        states = {n: learner.state(0) for n, learner in replay.learners.items()}
        write_state(building, states, replay.growth)
    return _size(folder / "whole"), time.perf_counter() - begun


def _save_again(replay: Replay, hour: int, folder: Path) -> float:
    """Writes an hour's changes once more; returns the seconds."""
    place = replay.hours.place(hour)
    loaded = {
        path.name.removesuffix(DELTA): RowDelta.load(path, "") for path in place.glob(f"*{DELTA}")
    }
    begun = time.perf_counter()
    with replay.hours.transaction(folder / "again") as building:
        write_changes(building, loaded, replay.growth)
    return time.perf_counter() - begun


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _told(found: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Median, least and greatest of every series."""
    return {
        name: {
            "median": round(float(np.median(values)), 3),
            "least": round(min(values), 3),
            "greatest": round(max(values), 3),
        }
        for name, values in found.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command_parser("benchmarks.feedback.hour", __doc__)
    parser.add_argument("--sizes", nargs="+", choices=[*SIZES], default=[*SIZES])
    parser.add_argument("--hours", type=int, default=10, help="hours that are timed")
    parser.add_argument("--out", type=Path, default=RESULTS / "hour.json")
    given = parser.parse_args(arguments)
    found: dict[str, Any] = {
        "command": f"python -m benchmarks.feedback.hour --hours {given.hours}",
        "machine": machine_facts(),
        "code": code_fingerprint("idefn_tf", "pipelines"),
    }
    for name in given.sizes:
        with TemporaryDirectory() as folder:
            found[name] = measure(name, given.hours, Path(folder))
        found[name]["load_after"] = machine_facts()["load"]
    write_json(given.out, found)


if __name__ == "__main__":
    main()
