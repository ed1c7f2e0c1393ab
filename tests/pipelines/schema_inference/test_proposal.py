"""What each column of a user's own table is taken for, and why."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from idefn_tf.schema import Schema
from pipelines import schema as command
from pipelines.schema_inference.proposal import propose


def guess(proposal, column):
    return next(g for g in proposal.guesses if g.column == column)


@pytest.mark.parametrize(
    ("column", "side", "settings"),
    [
        ("member_id", "user", {"dtype": "int64", "kind": "vocabulary"}),
        ("sku", "item", {"dtype": "string", "kind": "vocabulary"}),
        ("category", "item", {"dtype": "string", "kind": "vocabulary"}),
        ("price", "item", {"dtype": "float32", "kind": "numeric", "log1p": True}),
        ("tags", "item", {"kind": "vocabulary", "max_length": 3, "separator": "|"}),
        ("member_age", "user", {"dtype": "float32", "kind": "numeric"}),
        ("position", "context", {"kind": "vocabulary", "train_only": True}),
        ("watch_hint", "context", {"kind": "numeric"}),
    ],
)
def test_columns_become_the_features_they_are(proposal, column, side, settings):
    found = guess(proposal, column)
    assert found.role == "feature"
    assert found.entry["side"] == side
    assert settings.items() <= found.entry.items()
    assert found.why


def test_a_number_with_gaps_is_left_to_the_models_mean(proposal):
    entry = guess(proposal, "member_age").entry
    assert entry["dtype"] == "float32"
    assert "missing" not in entry


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("dwell_seconds", "known only after the click"),
        ("order_value", "known only after the click"),
        ("bought_again", "the same as the conversion"),
        ("score_of_clicks", "predicts the click"),
    ],
)
def test_columns_that_know_the_label_are_kept_out(proposal, column, reason):
    found = guess(proposal, column)
    assert found.entry is None
    assert reason in found.why
    assert found.warning.startswith("LEAK")
    assert column in proposal.schema().never_features


def test_a_name_that_sounds_like_a_label_is_pointed_at_and_kept(proposal):
    found = guess(proposal, "watch_hint")
    assert found.role == "feature"
    assert "watch" in found.warning


def test_what_is_of_no_use_is_left_out_with_its_reason(proposal):
    assert "one value only" in guess(proposal, "currency").why
    assert "identifier" in guess(proposal, "exposure uuid").why
    assert guess(proposal, "shown_at").role == "time"
    assert proposal.labels["exposure_time"] == "shown_at"


def test_names_that_are_no_names_are_mended(proposal):
    entry = guess(proposal, "Shop Name").entry
    assert (entry["name"], entry["column"]) == ("Shop_Name", "Shop Name")


def test_the_user_is_found(proposal):
    assert proposal.schema().user_key == "member_id"


def test_the_written_file_is_the_proposal_with_a_reason_for_every_entry(schema_path):
    schema = Schema.load(schema_path)
    lines = schema_path.read_text(encoding="utf-8").splitlines()
    entries = [i for i, line in enumerate(lines) if line.startswith("  - ")]
    assert len(entries) == len(schema.features) + len(schema.never_features)
    assert all(lines[i - 1].startswith("  # ") for i in entries)
    assert schema.labels.click == "clicked"
    assert "bought_again" in schema.never_features


def test_the_command_shows_guesses_warnings_and_what_comes_next(folder, tmp_path, capsys):
    arguments = ["infer", str(folder / "shop.csv"), "--click", "clicked", "--conversion", "bought"]
    assert command.main([*arguments, "--out", str(tmp_path / "s.yaml")]) == 0
    said = capsys.readouterr().err
    assert "warning dwell_seconds: LEAK" in said
    assert "one value for 100% of sku" in " ".join(said.split())
    assert "pipelines.run --raw" in said
    assert "pipelines.prepare table --raw" in said
    assert "pipelines.train --config" in said


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("clicked", "--click: 'clicked' must hold 0 or 1 on every row, received none on 2"),
        ("bought", "'bought' must hold 0 or 1 on every clicked row, received none on 1"),
    ],
)
def test_a_label_that_is_missing_is_refused_as_preparation_does(tmp_path, capsys, column, message):
    rows = pd.DataFrame({"user": [*range(40)], "clicked": [1, 0] * 20, "bought": [1, 0, 0, 0] * 10})
    rows[column] = rows[column].astype("Int64").where(rows.index > 1)  # a click and none
    rows.to_csv(tmp_path / "shop.csv", index=False)
    words = ["--click", "clicked", "--conversion", "bought", "--out", str(tmp_path / "s.yaml")]
    assert command.main(["infer", str(tmp_path / "shop.csv"), *words, "--quiet"]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--click", "click", "--conversion", "bought"], "did you mean 'clicked'"),
        (["--click", "clicked", "--conversion", "price"], "must hold 0 and 1"),
        (["--click", "clicked", "--conversion", "clicked"], "another column"),
        (["--click", "clicked", "--conversion", "bought", "--time", "price"], "--time"),
        (["--click", "clicked", "--conversion", "bought", "--user", "currenc"], "--user"),
        (
            ["--click", "clicked", "--conversion", "bought", "--user", "bought"],
            "--user: 'bought' must be a column that may be a feature; it is a label",
        ),
        (
            ["--click", "clicked", "--conversion", "bought", "--user", "sku", "--item", "sku"],
            "--item: must be another column than --user, received 'sku'",
        ),
    ],
)
def test_a_wrong_request_is_one_clear_message(folder, tmp_path, capsys, arguments, message):
    out = ["--out", str(tmp_path / "s.yaml"), "--quiet"]
    assert command.main(["infer", str(folder / "shop.csv"), *arguments, *out]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "s.yaml").exists()


def test_a_schema_that_is_there_is_never_overwritten(folder, schema_path, capsys):
    arguments = ["infer", str(folder / "shop.csv"), "--click", "clicked", "--conversion", "bought"]
    assert command.main([*arguments, "--out", str(schema_path)]) == 2
    assert "exists" in capsys.readouterr().err


def test_a_table_of_clicks_alone_is_refused(frame):
    clicked = pa.Table.from_pandas(frame[frame["clicked"] == 1], preserve_index=False)
    with pytest.raises(ValueError, match="unclicked"):
        propose(clicked, "clicked", "bought")


def test_conversions_without_clicks_are_counted(frame):
    other = frame.assign(bought=np.where(np.arange(len(frame)) % 50 == 0, 1, frame["bought"]))
    found = propose(pa.Table.from_pandas(other, preserve_index=False), "clicked", "bought")
    alone = int(((other["clicked"] == 0) & (other["bought"] == 1)).sum())
    assert any(f"{alone:,} rows hold a conversion without a click" in w for w in found.warnings)


@pytest.mark.parametrize(("rows", "said"), [(199, True), (200, False)])
def test_a_table_too_short_to_guess_from_is_pointed_at(frame, rows, said):
    few = pa.Table.from_pandas(frame[:rows], preserve_index=False)
    found = propose(few, "clicked", "bought")
    assert any(f"only {rows} rows: " in warning for warning in found.warnings) == said


@pytest.mark.parametrize(("offset", "says"), [("", True), ("+09:00", False)])
def test_times_with_and_without_an_offset_are_times(frame, offset, says):
    shown = frame["shown_at"].str.replace(" ", "T") + offset
    found = propose(pa.Table.from_pandas(frame.assign(shown_at=shown)), "clicked", "bought")
    assert found.schema().labels.exposure_time == "shown_at"
    why = next(guess.why for guess in found.guesses if guess.role == "time")
    assert ("labels.time_zone" in why) == says


def test_a_name_that_preparation_keeps_is_not_proposed_as_the_time(frame):
    days = [f"2024-05-{1 + i * 9 // len(frame):02d}" for i in range(len(frame))]
    frame = frame.drop(columns="shown_at").assign(day=days)
    proposal = propose(pa.Table.from_pandas(frame), "clicked", "bought")
    assert "exposure_time" not in proposal.labels
    assert "'day' looks like the time of the exposure" in " ".join(proposal.warnings)
    with pytest.raises(ValueError, match=r"--time: must be another name than row_id or day"):
        propose(pa.Table.from_pandas(frame), "clicked", "bought", time="day")
