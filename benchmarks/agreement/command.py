"""Do the doors agree? Rows of strange cells through every door of one exported model.

``python -m benchmarks.agreement --rows 20000``

Cells are drawn with what they mean: missing values in every spelling, integers up to the ends of
int64, floats that look like integers, text with blanks, quotes and other scripts, booleans,
decimals, NumPy's scalars, pandas' own types, Arrow's, lists in every form. Rows are scored through
``predict(open_dataset(DataFrame))``, the client (a DataFrame and dictionaries) over a socket, and
plain REST (rows and columns) of the typed meaning. Scores more than 1e-6 apart, and refusals, are
printed with their cells; the status is then 1.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.agreement import shop
from benchmarks.agreement.doors import Batch, Difference, Doors, draw, refusals
from idefn_tf.export import export_model
from pipelines.run import embedded_server
from serving.client import Client
from serving.common.command_line import command_parser

#: Cells that mean nothing in a feature of that dtype, behind every door.
WRONG = {
    "int64": ("x", "4.5", 4.5, "1_0", "0x10", 2**63, "9223372036854775808", math.inf, 1e300,
              2.0**53 + 2, pd.Timestamp("2024-05-01"), np.datetime64("2024-05-01", "ns"),
              np.timedelta64(5, "ns"), [4], {"a": 1}, 4 + 1j, b"\xff"),
    "float32": ("x", "inf", math.inf, 1e39, "1e400", "1,5", pd.Timestamp("2024-05-01"),
                np.datetime64("2024-05-01", "ns"), np.timedelta64(5, "ns"), [1.5], {"a": 1},
                4 + 1j, "true"),
    "string": (4.5, math.inf, pd.Timestamp("2024-05-01"), np.datetime64("2024-05-01", "ns"),
               np.timedelta64(5, "ns"), ["a"], {"a": 1}, 4 + 1j, 1e300),
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws rows and compares.

    Returns:
        0; 1 if any door gives other scores.
    """
    options = _parser().parse_args(arguments)
    model = shop.train()
    rows = differences = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        version = export_model(model, shop.SCHEMA, Path(folder) / "cvr")
        with embedded_server("cvr", version.parent) as url, Client(url, "cvr", shop.SCHEMA) as at:
            doors = Doors(model, shop.SCHEMA, at)
            for seed in range(options.seed, options.seed + -(-options.rows // options.batch)):
                batch = draw(shop.SCHEMA, np.random.default_rng(seed), options.batch)
                for found in doors.compare(batch):
                    differences += 1
                    if differences <= options.show:
                        print(_told(seed, batch, found))
                rows += options.batch
                if seed % 50 == 0:
                    print(f"{rows} rows, {differences} differences", flush=True)
            wrong = _wrong(doors, options.show)
    print(f"{rows} rows, {differences} differences above 1e-6, {wrong} wrong cells taken")
    return int(differences + wrong > 0)


def _wrong(doors: Doors, show: int) -> int:
    """Plants every wrong cell in every feature of its type; returns how many were taken."""
    count = 0
    plain = shop.exposures(3).drop(columns=["position", "click", "buy"])
    for feature in shop.SCHEMA.features:
        if feature.train_only or feature.multi_valued:
            continue
        for cell in WRONG[feature.dtype]:
            for door in refusals(doors, plain, feature.name, cell):
                count += 1
                if count <= show:
                    print(f"{door} takes {cell!r} for {feature.name} ({feature.dtype})")
    return count


def _told(seed: int, batch: Batch, found: Difference) -> str:
    where = f"batch {seed}, {found.door}: {found.said[:600]}"
    if found.row is None:
        return where
    lines = [
        f"  {name} ({batch.forms[name]}): {batch.frame.iloc[found.row, place]!r:.100} means "
        f"{batch.typed[name][found.row]!r:.100}"
        for place, name in enumerate(batch.typed)
    ]
    return "\n".join([where, *lines])


def _parser() -> argparse.ArgumentParser:
    made = command_parser("benchmarks.agreement", __doc__)
    made.add_argument("--rows", type=int, default=20_000, help="how many rows to draw")
    made.add_argument("--batch", type=int, default=50, help="rows that share their columns' forms")
    made.add_argument("--seed", type=int, default=0, help="of the first batch")
    made.add_argument("--show", type=int, default=20, help="differences to print")
    return made


if __name__ == "__main__":
    sys.exit(main())
