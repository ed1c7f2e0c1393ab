"""Logs with late conversions, and what of them is known when the test days begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.feedback.planted_delays import plant
from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.datasets.registry import SCHEMAS, prepare
from pipelines.datasets.simulated_funnel import simulated_funnel
from pipelines.datasets.simulated_funnel.delay_law import LAWS, DelayLaw
from pipelines.datasets.simulated_funnel.funnel_world import Options
from pipelines.preparation.split import Split

CONFIGS = Path(__file__).parents[2] / "pipelines" / "configs"
Write = Callable[[str, Path, "Path | None"], Schema]


@dataclass(frozen=True)
class Log:
    """A log whose conversions come late by a law.

    Attributes:
        reader: of the data set.
        configs: the folder of its shipped configs.
        laws: of delays that it is made with.
        as_of: the moment, where the test days begin.
        split: days of train and validation; test days are all later ones.
        mean_delay: in days, what `weigh` is told.
        write: (law, folder to write, raw folder to begin with) -> the schema.
    """

    reader: str
    configs: Path
    laws: tuple[str, ...]
    as_of: str
    split: Split
    mean_delay: float
    write: Write

    def prepare(self, law: str, work: Path, raw: Path | None) -> None:
        """Writes a law's log and prepares it as known at the moment, and as it ended."""
        if (work / "final" / law / "card.json").exists():
            return
        folder = work / "raw" / law
        given: dict[str, Any] = {"schema": self.write(law, folder, raw), "console": Console()}
        moment = int(datetime.fromisoformat(self.as_of).timestamp() * 1000)
        known = work / "known" / law
        prepare(self.reader, folder, known, split=self.split, as_of=moment, **given)
        prepare(self.reader, folder, work / "final" / law, **given)


def _split(first: date, last: date, validation: date, end: date) -> Split:
    return Split({"train": (first, last), "validation": (validation, end)})


def delayed_schema(window_hours: float) -> Schema:
    """The shipped schema of delays, with a window that closes within a short log."""
    value = yaml.safe_load((SCHEMAS / "simulated_funnel_delay.yaml").read_text(encoding="utf-8"))
    value["labels"]["attribution"] = {"window_hours": window_hours, "from": "click"}
    return Schema.parse(value)


def _simulate(law: str, folder: Path, raw: Path | None) -> Schema:
    """60,000 exposures in ten days, delays of three days in the mean, a window of five."""
    options = Options(exposures=60_000, delay=law, delay_days=3.0, delay_spread=0.5)
    simulated_funnel.simulate(folder, options, Console())
    return delayed_schema(120)


def _plant(law: str, folder: Path, raw: Path | None) -> Schema:
    """Likes come after two days in the mean, by their author's scale; a window of five days."""
    if raw is None:
        raise ValueError("--raw: must be a folder of KuaiRand-Pure for --log kuairand, not given")
    plant(raw, folder, DelayLaw(law, 2.0, 0.8), 0, 120.0)
    return Schema.load(folder / "schema.yaml")


_MARCH = [date(2024, 3, day) for day in (1, 7, 8, 8)]
_SLICE = [date(2022, 4, 25), date(2022, 5, 2), date(2022, 5, 3), date(2022, 5, 4)]
SIMULATED = Log(
    "simulated_funnel", CONFIGS / "simulated", tuple(law for law in LAWS if law != "none"),
    "2024-03-09T00:00+00:00", _split(*_MARCH), 3.0, _simulate,
)  # fmt: skip
KUAIRAND = Log(
    "kuairand_pure", CONFIGS / "kuairand", ("exponential",),
    "2022-05-05T00:00+08:00", _split(*_SLICE), 2.0, _plant,
)  # fmt: skip
LOGS = {"simulated": SIMULATED, "kuairand": KUAIRAND}
