"""REST with history beside REST without: what the ratios are made of."""

import pytest

from benchmarks.history.served import summary


def test_ratios_are_of_one_round_each():
    found = summary(
        {"plain": [1.0, 2.0, 4.0], "sent": [1.5, 2.4, 6.0], "snapshot": [1.5, 3.0, 3.0]}
    )
    assert found["p50_ms"] == {"plain": 2.0, "sent": 2.4, "snapshot": 3.0}
    sent = found["sent_over_plain"]  # 1.5, 1.2 and 1.5
    assert (sent["median"], sent["quartile_1"], sent["aim"]) == pytest.approx((1.5, 1.35, 1.5))
    assert found["snapshot_over_sent"]["median"] == pytest.approx(1.0)  # 1, 1.25 and .5
