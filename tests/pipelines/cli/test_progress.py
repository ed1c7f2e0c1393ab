"""What training says while it runs: in plain words, in a log as on a terminal, nothing if quiet."""

import io
import re

import pytest

from pipelines.cli import progress as module
from pipelines.cli.console import Console
from pipelines.cli.progress import Progress, words


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


class Model:
    stop_training = False


LOGS = {
    "loss": 1.5,
    "val_all_funnel/cvr_auc": 0.71234,
    "val_clicked/cvr_auc": 0.65,
    "pseudo_positives": 708.0,
    "pseudo_positive_rate": 0.0195,
}


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def told(clock, seconds_a_step, steps=4, epochs=3, quiet=False, terminal=False, stop=False):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    console = Console(quiet, stream)
    progress = Progress(console, rows=4100, epochs=epochs, batch_size=1000)
    progress.set_params({"steps": steps})
    progress.set_model(Model())
    progress.on_train_begin()
    for epoch in range(2):
        progress.on_epoch_begin(epoch)
        for batch in range(steps):
            clock.now += seconds_a_step
            progress.on_train_batch_end(batch, {"pseudo_positive_rate": 0.0195})
        clock.now += 2.0  # validation
        progress.model.stop_training = stop
        progress.on_epoch_end(epoch, LOGS)
    progress.on_train_end()
    return stream.getvalue()


def test_a_log_has_one_line_an_epoch_with_rate_pseudo_positives_and_time_left(clock):
    lines = told(clock, 0.5).splitlines()
    assert lines[0] == (
        "does  epoch 1/3, loss 1.5000, validation CVR AUC all 0.7123, clicked 0.6500, relabelled "
        "708 rows (1.95% of the unclicked), 2,000 rows/s, about 10 seconds left at most"
    )
    assert len(lines) == 2
    assert lines[1].endswith("2,000 rows/s, a few seconds left at most")


def test_a_long_epoch_has_a_line_a_minute(clock):
    lines = told(clock, 40.0).splitlines()
    assert lines[0] == (
        "does  epoch 1/3, 50%, 25 rows/s, 1.95% of the unclicked relabelled, about 80 seconds left "
        "in this epoch"
    )


def test_on_a_terminal_the_bar_says_the_same(clock):
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", told(clock, 10.0, terminal=True))
    assert "about 3 minutes left at most" not in shown  # 84 s for two epochs to come
    assert "about 85 seconds left at most" in shown


def test_the_last_epoch_and_an_early_stop_promise_nothing(clock):
    assert "left" not in told(clock, 0.5, epochs=1).splitlines()[0]
    assert "stops early" in told(clock, 0.5, stop=True).splitlines()[1]


def test_a_quiet_console_says_nothing(clock):
    assert told(clock, 40.0, quiet=True) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1, "a few seconds"),
        (42, "about 40 seconds"),
        (89, "about 90 seconds"),
        (100, "about 2 minutes"),
        (3000, "about 50 minutes"),
        (5400, "about 2 hours"),
        (200_000, "about 2 days"),
    ],
)
def test_durations_are_words(seconds, said):
    assert words(seconds) == said
