"""The report as a reader meets it: whole, true to the run's numbers, readable without sight."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from pipelines import report as reports
from pipelines import train
from pipelines.cli.console import Console
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared
from pipelines.reports import material
from pipelines.reports.page import Cell, table
from pipelines.reports.sections import by_space, pseudo_labels

pytestmark = pytest.mark.job

QUIET = Console(quiet=True)
SECTIONS = {
    "metrics", "compare", "data", "losses", "learning", "reliability", "scores", "gain", "audit",
    "plan", "map", "importance", "slices", "settings",
}  # fmt: skip


def test_the_page_lies_in_the_runs_folder_and_needs_nothing_else(path, runs):
    assert path == runs["idefn"].root / "report.html"
    text = path.read_text(encoding="utf-8")
    outside = set(re.findall(r'(?:src|href)="([^"#][^"]*)"', text))
    assert all(link.startswith("data:") for link in outside)
    assert "<script" not in text
    assert "url(http" not in text
    assert "@import" not in text
    assert len(text) < 3e6


def test_every_section_is_there_in_landmarks_and_headings(page):
    assert {found["id"] for tag, found in page.tags if tag == "section"} == SECTIONS
    assert page.headings.count("h1") == 1
    assert page.headings.count("h2") == len(SECTIONS)
    tags = [tag for tag, _ in page.tags]
    assert {"header", "nav", "main", "footer"} <= set(tags)
    assert dict(page.tags)["html"]["lang"] == "en"
    viewport = [f for tag, f in page.tags if tag == "meta" and f.get("name") == "viewport"]
    assert viewport[0]["content"] == "width=device-width, initial-scale=1"


def test_numbers_that_look_alarming_have_a_sentence_below(page):
    for start in ("PCOC: predicted over", "KS: largest gap", "ECE: mean distance"):
        assert page.text["metrics"].count(start) == 1


def test_ids_are_unique_and_references_resolve(page):
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert set(page.labelled) <= set(page.ids)


def test_every_figure_has_a_title_and_an_alternative_in_words(page):
    assert len(page.figures) >= 20
    for figure in page.figures:
        assert figure["role"] == "img", figure["id"]
        assert figure["caption"].strip(), figure["id"]
        assert figure["title"] == figure["caption"]
        assert len(figure["desc"]) > 30, figure["id"]
        assert "nan" not in figure["desc"], figure


def test_every_number_is_that_of_metrics_json(page, runs, metrics_of):
    metrics = metrics_of(runs["idefn"])
    compared = 0
    for part, spaces in metrics.items():
        for space, values in spaces.items():
            for name, value in values.items():
                shown, text = page.cells[f"{part}/{space}/{name}"]
                compared += 1
                if value is None:
                    assert text == "-"
                else:
                    assert shown == value
                    written = float(text.replace(",", ""))
                    assert written == pytest.approx(value, abs=5.1e-5), (part, space, name)
    assert compared > 80


def test_numbers_of_the_compared_run_are_its_own(page, runs, metrics_of):
    metrics = metrics_of(runs["esmm"])["test"]
    for space in metrics:
        shown, _ = page.cells[f"esmm/test/{space}/cvr_auc"]
        assert shown == metrics[space]["cvr_auc"]


def test_the_counts_of_the_card_are_on_the_page(page, data):
    train_part = data.card["splits"]["train"]
    assert page.cells["card/train/rows"][0] == train_part["rows"]
    assert page.cells["card/train/conversions"][0] == train_part["conversions"]


def test_the_plan_names_exposures_with_raw_features(page):
    assert "user_id" in page.text["plan"]
    assert "item_id" in page.text["plan"]
    assert "potential conversion" in page.text["plan"]
    assert any(figure["id"] == "plan-heat-map" for figure in page.figures)
    assert any(figure["id"] == "audit-precision" for figure in page.figures)


def test_the_page_warns_where_the_control_is_missing(page):
    assert "all_negative" in page.text["compare"]


def test_esmm_has_a_page_that_says_why_it_has_no_plan(runs, data, tmp_path, read_page):
    out = reports.report(runs["esmm"].root, QUIET, data=data.root, out=tmp_path / "esmm.html")
    found = read_page(out.read_text(encoding="utf-8"))
    assert {f["id"] for tag, f in found.tags if tag == "section"} == SECTIONS
    assert "esmm moves nothing" in found.text["plan"]
    assert "no audit.csv" in found.text["audit"]
    assert not any(figure["id"].startswith(("plan", "audit")) for figure in found.figures)
    assert "ctcvr_loss: CVR tower" in found.text["losses"]


def test_an_audit_without_recorded_conversions_shows_dashes(runs, data, tmp_path):
    copy = tmp_path / "unrecorded"
    shutil.copytree(runs["idefn"].root, copy)
    audit = pd.read_csv(copy / "audit.csv")
    unknown = [n for n in audit if n.startswith(("precision", "lift", "recall"))]
    audit[["true", "prevalence"]] = 0
    audit[unknown] = np.nan
    audit.to_csv(copy / "audit.csv", index=False)
    run = material.gather(Run.open(copy), Prepared.open(data.root), [])
    html = "".join(pseudo_labels.section(run).body)
    rows = re.findall(r'<tr><th scope="row">(.*?)</tr>', html)
    cells = [re.findall(r"<td[^>]*>([^<]*)", row) for row in rows]
    assert len(cells) == len(audit)
    for row, (_, kept) in zip(cells, audit.iterrows(), strict=True):
        assert row[:2] == [f"{int(kept['unclicked']):,}", f"{int(kept['relabelled']):,}"]
        assert row[2:7] == ["-"] * 5  # of them true, precision, prevalence, lift, recall


def test_spaces_that_are_the_same_are_said_to_be(runs, data):
    run = material.gather(Run.open(runs["idefn"].root), Prepared.open(data.root), [])
    said = "all_raw and all_funnel are the same on test"
    spaces = run.main.metrics["test"]
    for positives, shown in ((spaces["all_funnel"]["positives"], True), (99, False)):
        spaces["all_raw"] = {**spaces["all_funnel"], "positives": positives}
        assert (said in "".join(by_space.section(run).body)) == shown


def test_without_data_the_page_holds_what_the_files_say(
    runs, tmp_path, capsys, read_page, metrics_of
):
    copy = tmp_path / "elsewhere" / "run"
    shutil.copytree(runs["idefn"].root, copy)
    state = json.loads((copy / "checkpoints" / "state.json").read_text())
    state.pop("data", None)
    (copy / "checkpoints" / "state.json").write_text(json.dumps(state))
    assert reports.main(["--run", str(copy)]) == 0
    assert "no prepared data" in capsys.readouterr().err
    found = read_page((copy / "report.html").read_text(encoding="utf-8"))
    value = metrics_of(runs["idefn"])["test"]["clicked"]["cvr_auc"]
    assert found.cells["test/clicked/cvr_auc"][0] == value
    assert "give --data" in found.text["slices"]
    assert any(figure["id"] == "learning-auc" for figure in found.figures)


def test_the_same_run_gives_the_same_page(path, runs, data, tmp_path):
    again = reports.report(
        runs["idefn"].root, QUIET, data=data.root, compare=[runs["esmm"].root],
        out=tmp_path / "again.html",
    )  # fmt: skip

    def body(file):
        text = file.read_text(encoding="utf-8")
        return text[: text.index("<footer>")]

    assert body(path) == body(again)


def test_training_from_the_command_line_ends_with_a_report(runs, data, folder):
    run = runs["esmm"]  # finished: training is not repeated
    (run.root / "report.html").unlink(missing_ok=True)
    command = ["--config", str(run.config_path), "--data", str(data.root), "--out", str(run.root)]
    assert train.main([*command, "--quiet", "--no-report"]) == 0
    assert not (run.root / "report.html").exists()
    assert train.main([*command, "--quiet"]) == 0
    assert "esmm on simulated_funnel" in (run.root / "report.html").read_text(encoding="utf-8")


def test_a_finished_run_remembers_where_its_data_are(runs, data, tmp_path):
    copy = tmp_path / "moved"
    shutil.copytree(runs["idefn"].root, copy)
    assert material.find_data(Run.open(copy)).root == data.root.resolve()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "{folder}/nowhere"], "run"),
        (["--run", "{run}", "--data", "{folder}/nowhere"], "data"),
        (["--run", "{run}", "--part", "moon"], "part"),
        (["--run", "{unfinished}"], "finish training"),
    ],
)
def test_a_wrong_request_is_one_clear_message(runs, folder, capsys, arguments, message):
    unfinished = folder / "unfinished"
    if not unfinished.exists():
        shutil.copytree(runs["esmm"].root, unfinished)
        (unfinished / "checkpoints" / "best.keras").unlink()
    names = {"folder": folder, "run": runs["idefn"].root, "unfinished": unfinished}
    assert reports.main([a.format(**names) for a in arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_text_from_the_data_cannot_become_markup():
    made = table("a <b>", ["<i>"], [["x"], [Cell('"<script>', small="<u>")]])
    assert "<script" not in made
    assert "&lt;script&gt;" in made
    assert "a &lt;b&gt;" in made
