"""Errors of a schema: each names key, rule, what was received and the nearest name."""

import pytest

from idefn_tf.schema import Schema

USER = {"name": "user", "dtype": "string", "side": "user", "kind": "vocabulary"}
LABELS = {"click": "is_click", "conversion": "bought"}
WINDOW = {"window_hours": 24, "from": "exposure"}
TIMED = {**LABELS, "exposure_time": "t"}
A_KEY = "must be a key of the schema"
GOOD = {"name": "shop", "labels": LABELS, "features": [USER]}


def said(**changes):
    with pytest.raises(ValueError) as caught:
        Schema.parse({**GOOD, **changes})
    return str(caught.value).split("\n")


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {"namee": 1},
            ["namee: must be a key of the schema, received 'namee'; did you mean 'name'?"],
        ),
        (
            {"features": [{**USER, "Dtype": "int64"}]},
            [f"features[0].Dtype: {A_KEY}, received 'Dtype'; did you mean 'dtype'?"],
        ),
        (
            {"features": [{**USER, "dtype": "strng"}]},
            [
                "features[0].dtype: must be 'int64', 'float32' or 'string', received 'strng'; "
                "did you mean 'string'?"
            ],
        ),
        (
            {"features": [{k: v for k, v in USER.items() if k != "side"}]},
            [
                "features[0].side: must be given, received nothing; add it, one of user, item, "
                "context"
            ],
        ),
        ({"features": []}, ["features: must be a list of 1 or more, received []"]),
        ({"features": 3}, ["features: must be a list, received 3"]),
        (
            {"user_key": "User"},
            ["schema: user_key: must name a feature, received 'User'; did you mean 'user'?"],
        ),
        (
            {
                "labels": {
                    **LABELS,
                    "exposure_time": "t",
                    "attribution": {**WINDOW, "window_hours": 0},
                }
            },
            ["labels.attribution.window_hours: must be above 0, received 0"],
        ),
        (
            {"labels": {**TIMED, "attribution": {**WINDOW, "from": "clik"}}},
            [
                "labels.attribution.from: must be 'click' or 'exposure', received 'clik'; "
                "did you mean 'click'?"
            ],
        ),
        (
            {"features": [{**USER, "min_count": "x"}]},
            ["features[0].min_count: must be a whole number, received 'x'"],
        ),
    ],
)
def test_one_fault_is_one_sentence(changes, lines):
    assert said(**changes) == lines


def test_a_key_unlike_any_other_is_told_which_there_are():
    (line,) = said(labels={**LABELS, "attribution": {**WINDOW, "zzz": 1}, "exposure_time": "t"})
    assert line == (
        "labels.attribution.zzz: must be a key of the schema, received 'zzz'; remove it, or take "
        "one of from, window_hours"
    )


def test_a_misspelled_key_is_told_the_one_that_lacks():
    lines = said(labels={"clik": "is_click", "conversion": "bought"})
    assert lines == [
        "labels.click: must be given, received nothing; add it",
        "labels.clik: must be a key of the schema, received 'clik'; did you mean 'click'?",
    ]


def test_long_values_are_cut():
    (line,) = said(name="A" * 1000)
    assert len(line) < 160
    assert line.startswith("name: must be text of the form ")
