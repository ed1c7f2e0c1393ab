"""Plants delays into the likes of a KuaiRand-Pure log, by author and by a stated law.

    python -m benchmarks.feedback.planted_delays --raw DIR --out LATE --law exponential --days 1
    python -m pipelines.prepare kuairand-pure --raw LATE --schema LATE/schema.yaml --as-of T --out O

The log's clicks and likes stay as they are, exact duplicates aside. A click comes with its
exposure; a like of a clicked row comes after it by a delay drawn from the law (`delay_law`), with a
scale for each author, lognormal of mean 1. A like without a click keeps the time of its exposure.
So which likes are not known at a moment, and the law of their delays, are known exactly:
LATE/planted.json states it, and LATE/authors.parquet the scales.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from idefn_tf._files import write_json
from idefn_tf.schema import Schema
from pipelines.datasets.kuairand_pure import sources
from pipelines.datasets.registry import SCHEMAS
from pipelines.datasets.simulated_funnel.delay_law import LAWS, DelayLaw
from serving.common.command_line import command_parser

CLICK_TIME, LIKE_TIME = "click_time_ms", "like_time_ms"
_DAY = 86_400_000
_AUTHORS, _DELAYS = 1, 2  # the purposes of the random streams


def plant(raw: Path, out: Path, law: DelayLaw, seed: int, window_hours: float) -> dict[str, object]:
    """Writes a raw folder with times of clicks and likes, its schema, and what was planted.

    Args:
        raw: a folder as the reader of KuaiRand-Pure takes it.
        out: the folder to write.
        law: of the delays.
        seed: of authors' scales and of delays.
        window_hours: the schema's attribution window, from the click.

    Returns:
        What planted.json says.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = sources(raw, {"logs": None})
    logs = [path for path in files if path.name.startswith("log_")]
    sides = [path for path in files if path not in logs]
    videos = _read(next(path for path in sides if path.stem == "video_features_basic_pure"))
    authors, place = np.unique(videos["author_id"].to_numpy(), return_inverse=True)
    scales = law.scales(np.random.default_rng([seed, _AUTHORS]), len(authors))
    order = np.argsort(videos["video_id"].to_numpy(), kind="stable")
    known = videos["video_id"].to_numpy()[order]
    likes = late = 0
    for number, path in enumerate(logs):
        table = _read(path)
        table = table.filter(pa.array(~table.to_pandas().duplicated().to_numpy()))
        video = table["video_id"].to_numpy()
        at = np.minimum(np.searchsorted(known, video), len(known) - 1)
        scale = np.where(known[at] == video, scales[place[order][at]], 1.0)
        rng = np.random.default_rng([seed, _DELAYS, number])
        days = law.draw(rng, scale)
        shown = table["time_ms"].to_numpy()
        click, like = (table[name].to_numpy() == 1 for name in ("is_click", "is_like"))
        delay = np.where(click, np.floor(days * _DAY), 0).astype(np.int64)
        table = table.append_column(CLICK_TIME, pa.array(shown, mask=~click))
        table = table.append_column(LIKE_TIME, pa.array(shown + delay, mask=~like))
        pq.write_table(table, out / f"{path.stem}.parquet")
        likes += int((click & like).sum())
        late += int((click & like & (delay > window_hours * 3_600_000)).sum())
    for path in sides:
        shutil.copyfile(path, out / path.name)
    pq.write_table(pa.table({"author_id": authors, "scale": scales}), out / "authors.parquet")
    _schema(window_hours).save(out / "schema.yaml")
    said: dict[str, object] = {
        "law": law.name,
        "mean_days": law.mean,
        "spread_over_authors": law.spread,
        "seed": seed,
        "window_hours": window_hours,
        "likes_after_a_click": likes,
        "of_these_after_the_window": late,
    }
    write_json(out / "planted.json", said)
    return said


def _schema(window_hours: float) -> Schema:
    shipped = Schema.load(SCHEMAS / "kuairand_pure.yaml")
    value = shipped.model_dump(mode="json", by_alias=True, exclude_unset=True)
    value["labels"] |= {
        "click_time": CLICK_TIME,
        "conversion_time": LIKE_TIME,
        "attribution": {"window_hours": window_hours, "from": "click"},
        "immature": "keep",
    }
    return Schema.parse(value)


def _read(path: Path) -> pa.Table:
    return pq.read_table(path) if path.suffix == ".parquet" else pc.read_csv(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("benchmarks.feedback.planted_delays", __doc__)
    parser.add_argument("--raw", type=Path, required=True, help="a KuaiRand-Pure folder")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--law", choices=LAWS[1:], default="exponential")
    parser.add_argument("--days", type=float, default=1.0, help="mean of the law")
    parser.add_argument("--spread", type=float, default=0.8, help="of authors' scales, in logs")
    parser.add_argument("--window-hours", type=float, default=72.0, help="attribution window")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    law = DelayLaw(given.law, given.days, given.spread)
    said = plant(given.raw, given.out, law, given.seed, given.window_hours)
    sys.stdout.write(f"{given.out}: {said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
