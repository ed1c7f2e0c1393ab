"""The whole road: what is asked for is checked before an hour is spent on it."""

import json

import pytest

from pipelines import run


def test_only_a_trained_method_can_be_served(tmp_path, capsys):
    out = tmp_path / "demo"
    assert run.main(["--out", str(out), "--methods", "esmm", "--serve", "idefn"]) == 2
    assert "--serve: must be of --methods ['esmm'], received 'idefn'" in capsys.readouterr().err
    assert not out.exists()


def test_a_schema_needs_a_table(tmp_path, capsys):
    assert run.main(["--out", str(tmp_path / "mine"), "--schema", "schema.yaml"]) == 2
    assert "give --raw too" in capsys.readouterr().err


@pytest.mark.parametrize("family", ["simulated", "kuairand", "table"])
def test_every_family_has_the_configs_of_the_road(family):
    for method in run.DEMO_METHODS:
        assert (run.ROOT / "configs" / family / f"{method}.yaml").is_file()
    assert run.SERVED in run.DEMO_METHODS


def test_the_demo_looks_back_on_what_users_and_items_did():
    schema = run._demo_schema()
    assert schema.sequences == ()
    keys = [aggregate.key for aggregate in schema.history.aggregates]
    assert keys == ["user_id", "item_id", ("user_id", "item_category")]


def test_what_ranks_best_is_named_where_another_is_served(tmp_path, capsys):
    runs = {}
    for method, auc in (("esmm", 0.81), ("all_negative", 0.77)):
        runs[method] = run.Run(tmp_path / method)
        runs[method].root.mkdir()
        found = {"validation": {"all_funnel": {"cvr_auc": auc}}}
        (runs[method].root / "metrics.json").write_text(json.dumps(found))
    run._tell_of_better(runs, "all_negative", run.Console())
    said = " ".join(capsys.readouterr().err.split())
    assert "esmm ranks best on validation (CVR AUC 0.8100, all_negative 0.7700)" in said
    run._tell_of_better(runs, "esmm", run.Console())
    assert capsys.readouterr().err == ""
