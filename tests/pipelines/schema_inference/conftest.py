"""A made shop: exposures with the traps of real tables, their proposal and schema."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipelines import schema as command
from pipelines.schema_inference.proposal import propose

ROWS = 8000


def made(rows=ROWS, seed=0):
    """A shop's exposures with the traps that real tables hold."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 600, rows), rng.integers(0, 200, rows)
    quality, taste = rng.normal(0, 1, 200), rng.normal(0, 1, 600)

    def happens(logit):
        return (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)

    click = happens(-0.6 + 0.9 * quality[items] + 0.4 * taste[users])
    bought = happens(-1.2 + 1.4 * quality[items] - 0.8 * taste[users]) * click
    price = np.round(np.exp(rng.normal(3, 1.2, 200)), 2)[items]
    ages = rng.integers(18, 80, 600).astype(float)
    ages[rng.random(600) < 0.1] = np.nan
    names = ["sale", "new", "eco", "kids", "red"]
    tags = np.array(
        ["|".join(rng.choice(names, rng.integers(1, 4), replace=False)) for _ in range(200)]
    )
    seconds = np.sort(rng.integers(0, 8 * 86400, rows))
    shown = pd.Timestamp("2024-05-01") + pd.to_timedelta(seconds, unit="s")
    return pd.DataFrame(
        {
            "exposure uuid": [f"{i:08x}-e" for i in rng.permutation(rows)],
            "shown_at": shown.strftime("%Y-%m-%d %H:%M:%S"),
            "member_id": users + 100000,
            "sku": [f"{i:05d}" for i in items],
            "category": np.array(["shoes", "bags", "toys", "books"])[items % 4],
            "Shop Name": np.array([f"shop {i % 17}" for i in items]),
            "price": price,
            "tags": tags[items],
            "member_age": ages[users],
            "is_prime": np.where(users % 3 == 0, "True", "False"),
            "position": rng.integers(1, 11, rows),
            "dwell_seconds": np.where(click == 1, rng.integers(3, 200, rows), 0),
            "order_value": np.where(bought == 1, price, np.nan),
            "bought_again": bought,
            "score_of_clicks": click + rng.normal(0, 0.05, rows),
            "watch_hint": rng.normal(0, 1, rows),
            "currency": "EUR",
            "clicked": click,
            "bought": bought,
        }
    )


@pytest.fixture(scope="module")
def frame():
    return made()


@pytest.fixture(scope="module")
def proposal(frame):
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return propose(table, "clicked", "bought", name="shop")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, frame):
    root = tmp_path_factory.mktemp("own")
    frame.to_csv(root / "shop.csv", index=False)
    return root


@pytest.fixture(scope="module")
def schema_path(folder):
    out = folder / "schema.yaml"
    arguments = ["infer", str(folder / "shop.csv"), "--click", "clicked", "--conversion", "bought"]
    assert command.main([*arguments, "--out", str(out), "--quiet"]) == 0
    return out
