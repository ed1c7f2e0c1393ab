"""The report's section of late conversions says what the data card says."""

import pytest

from pipelines.reports.page import page as whole_page
from pipelines.reports.sections import delays
from tests.pipelines.preparation.timed_shop import DAY, START, prepared, schema


def shown(card, read_page):
    section = delays.from_card(card, schema().labels)
    return section and read_page(whole_page("t", [], [section], "now"))


def test_both_shares_and_what_was_left_out_are_the_cards(tmp_path, read_page):
    card = prepared(tmp_path, as_of=START + 6 * DAY + 90 * 60).card
    page = shown(card, read_page)
    for hours in ("1", "6", "24", "72", "168"):
        for name in ("known", "estimated"):
            value, text = page.cells[f"delays/{hours}/{name}"]
            assert value == card["delays"][f"{name}_after_hours"][hours]
            assert float(text.rstrip("%\u00a0 ")) == pytest.approx(100 * value, abs=0.051)
    text = page.text["delays"]
    assert "Labels as of 2024-05-07 01:30:00 UTC." in text
    assert "0 clicks and 1 conversions of train and validation hidden" in text
    assert "Delay of 19 conversions from their click" in text
    assert "a click was watched, 144.5 h" in text


def test_what_has_no_times_has_no_section(read_page):
    assert shown({}, read_page) is None
    at = {"as_of": START, "after_as_of": {"exposures": 3, "clicks": 2, "conversions": 1}}
    page = shown({"immature": at}, read_page)
    assert "3 exposures left out" in page.text["delays"]
    assert "No conversion has a time" in page.text["delays"]
