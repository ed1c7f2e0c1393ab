"""Moments and times that tell nothing are refused, with column, rows and cure, on both engines."""

import pytest

from tests.pipelines.preparation.timed_shop import (
    DAY,
    ENGINES,
    HOUR,
    START,
    frame,
    prepared,
    schema,
    settings,
)  # fmt: skip

pytestmark = pytest.mark.job


def test_a_moment_before_the_first_exposure_is_refused(tmp_path):
    with pytest.raises(ValueError) as caught:
        prepared(tmp_path, as_of=START - 1)
    said = str(caught.value)
    assert said.startswith("--as-of: must not lie before the first exposure, shown_at=1714521600")
    assert "which leaves none of 42 rows; give a later moment" in said


def test_what_no_column_tells_is_refused(tmp_path):
    made = schema("weight", click_time=None, conversion_time=None, attribution=None)
    with pytest.raises(ValueError, match="no column tells when conversions came, received"):
        prepared(tmp_path, made=made, as_of=START + DAY)
    table = frame()
    table["bought_at"] = table["bought_at"].mask(
        (table["user"] == 3) & (table["shown_at"] == START)
    )
    assert prepared(tmp_path, table).table("train").num_rows == 24
    with pytest.raises(ValueError, match=r"(?s)a conversion must have its time.*1 rows break it"):
        prepared(tmp_path, table, as_of=START + 6 * DAY)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("clicked_at", START - 1, r"clicked_at: a click must not come before its exposure \(shown"),
        ("bought_at", START + HOUR - 1, r"bought_at: a conversion must not come before its click"),
        ("bought_at", 1000 * START, r"bought_at: must hold seconds since 1970 .*are milliseconds"),
        ("bought_at", None, r"bought_at: a conversion must have its time"),
        ("as_of", START - 1, r"--as-of: must not lie before the first exposure, shown_at="),
    ],
)
def test_times_that_no_funnel_has_are_refused_with_column_rows_and_cure(
    tmp_path, engine, column, value, said
):
    table, as_of = frame(), START + 6 * DAY
    if column == "as_of":
        as_of = value
    else:
        table.loc[0, column] = value
    with pytest.raises(ValueError, match=said) as caught:
        prepared(tmp_path, table, as_of=as_of, settings=settings(engine))
    cures = ("correct the rows or the schema", "give a later moment", "set labels.time_unit: ms")
    assert any(cure in str(caught.value) for cure in cures)
    assert str(value) in str(caught.value)


def test_a_part_that_lies_after_the_moment_is_told_so(tmp_path):
    with pytest.raises(
        ValueError, match=r"test would hold no exposure; .*leaves out 12 later ones"
    ):
        prepared(tmp_path, as_of=START + 4 * DAY)


def test_a_stray_time_far_ahead_ends_no_log(tmp_path):
    table = frame()
    table.loc[0, "bought_at"] = START + 5000 * DAY
    found = prepared(tmp_path, table)
    # the last conversion that counts: user 3 of day 6, 72 h after the exposure
    assert found.card["immature"]["as_of"] == START + 6 * DAY + 72 * HOUR
    assert found.card["immature"]["late_conversions"] == 1
