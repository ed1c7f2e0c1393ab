"""What an evaluation says beside its numbers."""

import io

import pytest

from pipelines.cli.console import Console
from pipelines.experiment.evaluation_notes import say_seen, say_weights

#: A tenth of the unclicked rows was kept: of 10,000 rows with 1,000 clicks, 900 unclicked.
SAMPLED = {"splits": {"train": {"rows": 1_900, "clicks": 1_000}}}
DAYS = {
    "days": {"train": "2024-05-01..2024-05-03", "test": "2024-05-05..2024-05-06"},
    "sources": [{"file": "may.csv", "sha256": "aa"}],
}


def said(say, *arguments):
    stream = io.StringIO()
    say(*arguments, Console(stream=stream))
    return " ".join(stream.getvalue().split())


@pytest.mark.parametrize(
    ("counts", "whole_log", "warned"),
    [
        ((1_900, 1_000), False, None),  # the same kind of log
        ((10_000, 1_000), False, "give --whole-log if so"),  # all rows of it
        ((10_000, 1_000), True, None),
        ((1_900, 1_000), True, "leave --whole-log out"),
        ((5_000, 2_000), False, None),  # odds .67 for 1.11: nearer to the sampled log
        ((5_000, 1_000), False, "give --whole-log if so"),  # odds .25: nearer to the whole one
        ((20, 2), False, None),  # so few rows may be that way by chance
        ((50, 0), False, None),
        ((50, 50), True, None),
        ((0, 0), False, None),
    ],
)
def test_the_share_of_clicks_tells_which_log_it_is(counts, whole_log, warned):
    told = said(say_weights, SAMPLED, 0.1, counts, whole_log)
    assert ("warning" in told) == (warned is not None)
    assert warned is None or warned in told
    assert ("counts once" if whole_log else "counts 10 times") in told


def test_the_warning_names_both_shares():
    told = said(say_weights, SAMPLED, 0.1, (10_000, 1_000), False)
    assert "10.00% of the rows are clicked, 52.63% in training" in told


def test_a_log_that_kept_all_rows_needs_no_word():
    assert said(say_weights, SAMPLED, 1.0, (10_000, 1_000), False) == ""
    assert "was not down-sampled" in said(say_weights, SAMPLED, 1.0, (10_000, 1_000), True)
    assert "warning" not in said(say_weights, {}, 0.1, (10_000, 1_000), False)  # no card


@pytest.mark.parametrize(
    ("data", "part", "days"),
    [
        ({"days_found": ["2024-04-30", "2024-05-03", "2024-05-04"]}, "all", "2024-05-03;"),
        ({"days_found": ["2024-04-30", "2024-05-04"]}, "all", None),  # on both sides
        ({"days": {"test": "2024-05-02..2024-05-04"}}, "test", "2024-05-02, 2024-05-03;"),
        (DAYS, "test", None),
        (DAYS, "train", "2024-05-01, 2024-05-02, 2024-05-03;"),
        ({"days": {"test": "the last 10 %"}}, "test", None),
        ({}, "all", None),
    ],
)
def test_days_of_training_are_named(data, part, days):
    told = said(say_seen, DAYS, data, part)
    assert ("warning" in told) == (days is not None)
    assert days is None or f"{part}: holds days that the run was trained on, {days}" in told


def test_many_days_are_counted():
    run = {"days": {"train": "2024-01-01..2024-01-31"}}
    told = said(say_seen, run, {"days": {"all": "2024-01-20..2024-02-20"}}, "all")
    assert "2024-01-29 and 2 more" in told  # ten of twelve


def test_without_days_the_same_file_is_known_by_its_bytes():
    run = {**DAYS, "days": {"train": "the first 80%"}}
    assert "trained on rows of again.csv;" in said(
        say_seen, run, {"sources": [{"file": "again.csv", "sha256": "aa"}]}, "all"
    )
    assert said(say_seen, run, {"sources": [{"file": "may.csv", "sha256": "bb"}]}, "all") == ""
    assert said(say_seen, run, {"sources": [{"file": "may.csv", "sha256": "aa"}]}, "test") == ""
