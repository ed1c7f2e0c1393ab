"""History that a proposed schema could have, where the table has user, item and time."""

import numpy as np
import pyarrow as pa
import pytest
import yaml

from idefn_tf.schema import Schema
from pipelines.schema_inference.proposal import propose
from pipelines.schema_inference.proposal_yaml import as_yaml
from pipelines.schema_inference.proposed_history import proposed_history


def table(rows=400, **more):
    rng = np.random.default_rng(0)
    item = rng.integers(0, 40, rows)
    click = rng.integers(0, 2, rows)
    columns = {
        "user_id": rng.integers(0, 50, rows),
        "item_id": item,
        "shop": np.array([f"shop {i % 7}" for i in item]),
        "price": rng.lognormal(size=40)[item],
        "tags": np.array(["a|b", "c", "a|c|d", "b"])[item % 4],
        "shown_at": 1_714_521_600_000 + np.arange(rows) * 1_700_000,
        "click": click,
        "bought": click * rng.integers(0, 2, rows),
    }
    return pa.table(columns | more)


@pytest.fixture(scope="module")
def proposal():
    return propose(table(), "click", "bought")


def test_user_item_and_their_pair_are_aggregated_and_clicks_listed(proposal):
    found = proposed_history(proposal)
    assert [a["key"] for a in found["history"]["aggregates"]] == [
        "user_id", "item_id", ["user_id", "shop"],
    ]  # fmt: skip
    (clicks,) = found["sequences"]
    assert (clicks["key"], clicks["items"]) == ("user_id", ["item_id", "shop"])


def test_what_is_proposed_is_a_schema(proposal):
    schema = Schema.parse(proposal.as_dict() | proposed_history(proposal))
    assert "user_id__click_rate__7d" in schema.generated
    assert "clicks__gap" in schema.generated


def test_the_file_holds_it_as_a_comment_that_can_be_uncommented(proposal):
    text = as_yaml(proposal, "log.parquet")
    assert Schema.parse(yaml.safe_load(text)) == proposal.schema()
    begin = text.index("# history:")
    opened = text[:begin] + "\n".join(line[2:] for line in text[begin:].splitlines())
    schema = Schema.parse(yaml.safe_load(opened))
    assert schema == Schema.parse(proposal.as_dict() | proposed_history(proposal))
    assert schema.generated


@pytest.mark.parametrize("column", ["user_id", "item_id", "shown_at"])
def test_without_user_item_or_time_there_is_none(column):
    bare = propose(table().drop_columns([column]), "click", "bought")
    assert proposed_history(bare) == {}
    assert "history" not in as_yaml(bare, "log.parquet")
