"""The whole road: what is asked for is checked before an hour is spent on it."""

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
