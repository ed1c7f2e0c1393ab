"""Settings of a config: windows and lengths of history; keys that stand outside of their group."""

from pathlib import Path

import pytest
import yaml

from idefn_tf.schema import Schema
from pipelines.experiment.build import build_model
from pipelines.experiment.config import Config

ROOT = Path(__file__).parents[3]
SHIPPED = str(ROOT / "pipelines" / "configs" / "simulated" / "idefn.yaml")


def test_windows_and_length_of_history_are_settings_that_a_search_may_choose():
    """The data hold every window and 50 events; a trial reads fewer."""
    value = yaml.safe_load((ROOT / "schemas" / "simulated_funnel_history.yaml").read_text())
    for feature in value["features"]:
        if feature["kind"] == "vocabulary":
            del feature["min_count" if "min_count" in feature else "headroom"]
    schema = Schema.parse(value)
    learned = {
        f.name: {"kind": "vocabulary", "values": ["a", "b"] if f.dtype == "string" else [1, 2]}
        if f.kind == "vocabulary"
        else {"kind": "numeric", "mean": 0.0, "std": 1.0}
        for f in schema.features
        if f.kind in ("vocabulary", "numeric")
    }
    config = {"method": "esmm", "features": {"windows": ["all"], "sequence_length": 10}}
    settings = Config.parse({**config, "tuning": {"space": {
        "features.windows": {"values": [["1d"], ["all"], ["1d", "all"]]},
        "features.sequence_length": {"values": [10, 50]},
        "encoder.name": {"values": ["mean", "din"]},
    }}})  # fmt: skip
    model = build_model(settings, schema, learned)
    names = model.features.raw_names
    assert "user_id__click_count__all" in names
    assert "user_id__click_count__1d" not in names
    assert "user_id_x_item_category__click_hours_since__all" in names
    assert {s.name: s.length for s in model.features._sequences} == {"clicks": 10, "bought": 10}
    with pytest.raises(ValueError, match=r"features.windows: .*\['1d', 'all'\], received '9d'"):
        build_model(Config.parse({**config, "features": {"windows": ["9d"]}}), schema, learned)


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("alpha=0.5", "model.alpha"),
        ("learning_rate=0.1", "optimizer.learning_rate"),
        ("batch_size=7", "training.batch_size"),
        ("sequence_length=7", "features.sequence_length"),
        ("units=[3]", "backbone.units"),
    ],
)
def test_a_key_outside_of_its_group_is_told_the_group(option, meant):
    with pytest.raises(
        ValueError, match=rf"--set {option.partition('=')[0]}.*; did you mean '{meant}'"
    ):
        Config.load(SHIPPED, [option])
