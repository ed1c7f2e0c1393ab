"""The table of metrics in the terminal, and its legend."""

import io

from pipelines.cli.console import Console
from pipelines.cli.metric_table import legend, show_metrics
from pipelines.reports.sections.by_space import METRICS


def test_numbers_that_look_alarming_have_a_sentence_below():
    said = io.StringIO()
    values = {"rows": 26683, "positives": 325, "cvr_auc": 0.80371, "cvr_ks": 0.0, "cvr_pcoc": 7.7}
    show_metrics({"test": {"all_funnel": values}}, Console(stream=said), "runs/x: idefn")
    table, _, below = said.getvalue().partition("PCOC")
    row = next(line for line in table.splitlines() if "all_funnel" in line)
    assert [cell for cell in row.split() if cell[0].isdigit()] == [
        "26,683", "325", "0.8037", "0.0000", "7.7000"
    ]  # fmt: skip
    assert below.startswith(": predicted over observed conversions; 1 is calibrated")
    for part in ("between .5 and 1 (.8 in the shipped", "rank by it", "pipelines.calibrate"):
        assert part in " ".join(below.split())
    assert "KS: largest gap" in below
    assert "ECE" not in below  # a column that the table lacks


def test_a_quiet_job_says_none_of_it():
    said = io.StringIO()
    show_metrics({"test": {"clicked": {"cvr_pcoc": 7.7}}}, Console(True, said), "runs/x: idefn")
    assert said.getvalue() == ""


def test_a_table_gets_the_sentences_of_its_columns():
    assert [text.split(":")[0] for text in legend(METRICS)] == ["PCOC", "KS", "ECE"]
    assert [text.split(":")[0] for text in legend(["share", "precision"])] == ["precision"]
    assert legend(["rows", "cvr_auc"]) == []
