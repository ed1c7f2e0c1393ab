"""The error of a row that lacks an input stays short where there are many."""

import pytest

from idefn_tf.schema import Schema
from serving.common.missing_input import MissingInputError
from serving.common.request import RequestBuilder


def test_a_missing_input_of_many_is_told_without_all_the_others():
    many = [
        {"name": f"f{i:02}", "dtype": "int64", "side": "user", "kind": "vocabulary"}
        for i in range(60)
    ]
    schema = Schema.parse(
        {"name": "wide", "labels": {"click": "c", "conversion": "b"}, "features": many}
    )
    row = {f"f{i:02}": 1 for i in range(60) if i != 7} | {"F07": 1}
    with pytest.raises(MissingInputError) as caught:
        RequestBuilder.from_schema(schema).columns(row)
    assert str(caught.value) == (
        "rows: row 0 lacks f07; received F07, f00, f01, f02, f03, f04, f05, f06, f08, f09, f10, "
        "f11 and 48 more; did you mean 'F07'? Expected (--example prints a whole row; null where "
        'a value is unknown): {"f07": 1}'
    )
