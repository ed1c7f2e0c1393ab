"""History in requests: rows and columns over a socket, examples, and lists cut event by event."""

import json

import numpy as np
import pandas as pd
import pytest

from idefn_tf.export import Scorer
from idefn_tf.export.corner_cases import edge_rows
from idefn_tf.export.replay import python_scores, request_arrays
from idefn_tf.export.tf_examples import to_examples
from serving.client import Client
from serving.common.request import RequestBuilder

LENGTH = 3


@pytest.fixture(scope="module")
def expected(past, past_model):
    arrays = request_arrays(past.SCHEMA, past.make_frame())
    return python_scores(past_model, past.SCHEMA, arrays)["cvr"]


def test_rows_columns_and_examples_equal_python(past, past_url, past_base, expected):
    frame = past.make_frame()
    assert np.ptp(expected) > 1e-3
    with Client(past_url, "past", past.SCHEMA) as client:
        columns = client.predict(frame)["cvr"]
        body = client.builder.columns(frame[:20])
        rows = [
            json.loads(json.dumps({name: values[i] for name, values in body.items()}))
            for i in range(20)
        ]
        answers = client.send({"instances": rows})["predictions"]
    np.testing.assert_allclose(columns, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose([a["cvr"] for a in answers], expected[:20], rtol=0, atol=1e-6)
    examples = np.asarray(to_examples(past.SCHEMA, request_arrays(past.SCHEMA, frame)), object)
    with Scorer(past_base / "1") as scorer:
        found = scorer.run({"inputs": examples}, "predict_examples")["cvr"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_history_moves_the_score(past, past_url, expected):
    other = past.make_frame().assign(user__click_count__all=40.0)
    other["clicks__video"] = [[1] * len(listed) for listed in other["clicks__video"]]
    with Client(past_url, "past", past.SCHEMA) as client:
        found = client.predict(other)["cvr"]
    assert np.abs(np.asarray(found) - expected).max() > 1e-3


def a_row(past):
    return past.make_frame().iloc[-1].to_dict()


def test_lists_of_a_sequence_are_cut_to_the_newest_and_ordinary_ones_to_the_first(past):
    row = a_row(past) | {
        "clicks__video": [9, 8, 7, 6, 5],
        "clicks__tag": ["a", "b", "c", "d", "e"],
        "clicks__gap": [2, 2, 1, 1, 0],
    }
    made = RequestBuilder.from_schema(past.SCHEMA).columns(row)
    assert made["clicks__video"] == [[7, 6, 5]]
    assert made["clicks__tag"] == [["c", "d", "e"]]
    assert made["clicks__gap"] == [[1, 1, 0]]
    tags = past.SCHEMA.feature("clicks__tag").model_copy(update={"name": "plain"})
    plain = past.SCHEMA.model_copy(update={"features": (tags,), "sequences": (), "history": None})
    found = RequestBuilder.from_schema(plain).columns({"plain": ["a", "b", "c", "d"]})
    assert found == {"plain": [["a", "b", "c"]]}


def test_an_event_that_lacks_a_part_is_left_out_whole(past):
    row = a_row(past) | {"clicks__video": [9, None, 7], "clicks__tag": ["a", "b", "c"]}
    made = RequestBuilder.from_schema(past.SCHEMA).columns(row | {"clicks__gap": [2, 1, 0]})
    assert made["clicks__video"] == [[9, 7, -1]]
    assert made["clicks__tag"] == [["a", "c", ""]]
    assert made["clicks__gap"] == [[2, 0, -1]]


def test_lists_of_different_length_are_refused_with_both_lengths(past):
    row = a_row(past) | {"clicks__video": [9, 8, 7], "clicks__tag": ["a", "b", "c"]}
    builder = RequestBuilder.from_schema(past.SCHEMA)
    with pytest.raises(ValueError, match=r"clicks__gap: must hold .* received 2 beside 3 in row 1"):
        builder.columns([a_row(past), row | {"clicks__gap": [1, 0]}])


def test_the_graph_takes_lists_of_different_length_and_a_gap_alone(past, past_url):
    with Client(past_url, "past", past.SCHEMA) as client:
        body = client.builder.columns(past.make_frame()[-1:])
        body["clicks__gap"] = [[1, 0, -1]]
        scores = client.send({"inputs": body})["outputs"]["cvr"]
        body |= {"clicks__video": [[-1] * LENGTH], "clicks__tag": [[""] * LENGTH]}
        scores += client.send({"inputs": body})["outputs"]["cvr"]
    assert np.isfinite(scores).all()


def test_made_rows_hold_no_event_all_events_and_repeated_and_unknown_ids(past, past_model):
    made = edge_rows(past.SCHEMA, past_model.features.fields)
    there = {name: made[f"clicks__{name}"] != fill
             for name, fill in (("video", -1), ("tag", b""), ("gap", -1))}  # fmt: skip
    lengths = there["video"].sum(axis=1)
    for name in ("tag", "gap"):
        np.testing.assert_array_equal(there[name].sum(axis=1), lengths)
    assert {0, LENGTH} <= set(lengths)
    full = made["clicks__video"][lengths == LENGTH]
    assert (full == full[:, :1]).all(axis=1).sum() >= 4
    assert b"never seen" in made["clicks__tag"]
    assert (made["clicks__video"] == 2**53 + 1).any()


def test_python_cuts_a_logged_list_as_the_client_does(past):
    row = a_row(past) | {
        "clicks__video": [9, 8, 7, 6, 5],
        "clicks__tag": ["a", "b", "c", "d", "e"],
        "clicks__gap": [2, 2, 1, 1, 0],
    }
    arrays = request_arrays(past.SCHEMA, pd.DataFrame([row]))
    assert arrays["clicks__video"].tolist() == [[7, 6, 5]]
    assert arrays["clicks__tag"].tolist() == [[b"c", b"d", b"e"]]
