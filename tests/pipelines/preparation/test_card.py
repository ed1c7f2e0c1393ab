"""Old folders go on working when a schema's keys grow: fingerprints and comparisons."""

import json

import pandas as pd
import pytest
import yaml

from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.preparation import card
from pipelines.prepare import prepare

#: schema.yaml of a folder that was prepared before time_zone, attribution, exposure_probability,
#: history and sequences were keys.
OLD = """name: shop
labels:
  click: is_click
  conversion: bought
  exposure_time: shown_at
  attribution_window_hours: 24.0
features:
- name: user
  dtype: int64
  side: user
  kind: vocabulary
- name: price
  dtype: float32
  side: item
  kind: numeric
"""
#: What that release computed for the schema above, with its window and without.
OLD_HASHES = {24.0: "60751f7c93bc", None: "ebe6e4750913"}
OLD_FINGERPRINTS = {
    24.0: "c4b0da134290b5b2e58b8b6ffa8f5c3e52a3032177614e81e33f57673ea8395a",
    None: "e5f905e68bf0fc161d7fb1aa66567552981cb8611b251434c9d97fbfebc1b729",
}


def old(hours=None):
    value = yaml.safe_load(OLD)
    value["labels"]["attribution_window_hours"] = hours
    return value


def spelled_out(hours=None):
    """The same with every key of today at what it means by default."""
    value = old(hours)
    window = {"window_hours": hours, "from": "exposure"} if hours else None
    value["labels"] |= {"time_zone": "UTC", "attribution": window, "exposure_probability": None}
    del value["labels"]["attribution_window_hours"]
    return {**value, "history": None, "sequences": []}


@pytest.mark.parametrize("hours", [24.0, None])
@pytest.mark.parametrize("spelling", [old, spelled_out])
def test_the_fingerprints_of_an_earlier_release_hold(hours, spelling, monkeypatch):
    monkeypatch.setattr(card.idefn_tf, "__version__", "0.1.0")
    schema = Schema.parse(spelling(hours))
    assert schema == Schema.parse(old(hours))
    assert schema.hash == OLD_HASHES[hours]
    options = {"split": "auto", "part_rows": 100}
    assert card.fingerprint(schema, options, []) == OLD_FINGERPRINTS[hours]


def test_a_fingerprint_changes_with_what_could_change_the_rows():
    schema = Schema.parse(old())
    asked = card.fingerprint(schema, {"split": "auto"}, [])
    assert card.fingerprint(Schema.parse(old(24.0)), {"split": "auto"}, []) != asked
    assert card.fingerprint(schema, {"split": "all"}, []) != asked
    assert card.fingerprint(schema, {"split": "auto"}, [{"file": "a"}]) != asked


@pytest.mark.job
def test_an_old_folder_is_found_prepared_and_can_be_continued(tmp_path, capsys):
    frame = pd.DataFrame(
        {
            "shown_at": [day * 86_400_000 for day in range(10) for _ in range(4)],
            "user": [0, 1, 2, 3] * 10,
            "price": 1.5,
            "is_click": [0, 1, 1, 0] * 10,
            "bought": [0, 1, 0, 0] * 10,
        }
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    folder = tmp_path / "out"
    prepare("table", tmp_path / "log.csv", folder, schema=Schema.parse(old(24.0)))
    (folder / "schema.yaml").write_text(OLD, encoding="utf-8")  # as the earlier release wrote it
    listed = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    for entry in listed["files"]:
        entry["bytes"] = (folder / entry["file"]).stat().st_size
    (folder / "card.json").write_text(json.dumps(listed), encoding="utf-8")

    today = Schema.parse(spelled_out(24.0))
    prepare("table", tmp_path / "log.csv", folder, schema=today, console=Console())
    assert "already prepared" in capsys.readouterr().err
    assert (folder / "schema.yaml").read_text(encoding="utf-8") == OLD
    later = prepare("table", tmp_path / "log.csv", tmp_path / "more", schema=today, base=folder)
    assert later.schema == today
    assert later.card["immature"]["window_hours"] == 24.0
    other = Schema.parse(old(25.0))
    with pytest.raises(ValueError, match="another schema"):
        prepare("table", tmp_path / "log.csv", tmp_path / "x", schema=other, base=folder)
