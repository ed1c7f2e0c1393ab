"""Comparisons where the truth is known: cells, what each row changes, differences, the page."""

import json

import numpy as np
import pytest

from benchmarks.labels import known_taste
from benchmarks.labels.hidden_clicks import settings
from benchmarks.labels.known_truth import ROWS, Cell, cells, compare, config_of, to_markdown
from benchmarks.paper.variants import VARIANTS
from pipelines.experiment.evaluation import report_columns


def test_an_early_end_leaves_whole_seeds_of_all_worlds():
    found = list(cells(["a", "b"], [0, 1]))
    assert len(found) == 4 * len(ROWS)
    assert {cell.seed for cell in found[: 2 * len(ROWS)]} == {0}
    assert {cell.world for cell in found[: 2 * len(ROWS)]} == {"a", "b"}
    assert Cell("a", "recipe", 3).name == "a-recipe-3"
    assert [cell.row for cell in cells(["a"], [0, 1], ["oracle_relabel"])] == ["oracle_relabel"] * 2


def plain(row, family="simulated", given=None):
    return config_of(Cell("a", row, 2), family, given or {}).model_dump(mode="json")


def test_rows_are_variants_and_differ_from_their_reference_in_what_they_say():
    assert {row.variant for row in ROWS.values()} <= set(VARIANTS)
    assert {row.reference for row in ROWS.values()} == {"all_negative", "all_negative_attended"}
    recipe = plain("recipe")
    assert (recipe["optimizer"]["l2_rows"], recipe["training"]["seed"]) == (0.01, 2)
    assert recipe["model"]["representation"] == "hidden"
    for name, changed in {
        "recipe_history": {"representation": "history"},
        "recipe_click_layer": {"representation": "hidden_ctr"},
        "recipe_prices": {"rule": "matched_fraction"},
    }.items():
        other = plain(name)
        apart = {k for k in recipe["model"] if recipe["model"][k] != other["model"][k]}
        assert {k: other["model"][k] for k in apart - {"transport"}} == changed
        assert {**other, "model": None} == {**recipe, "model": None}
    assert plain("recipe_prices")["model"]["transport"] == {
        **recipe["model"]["transport"],
        "rejection_price": "auto",
    }
    assert plain("recipe_attended")["encoder"] == plain("all_negative_attended")["encoder"]
    assert plain("recipe_attended")["encoder"]["name"] == "din"
    for name in ("top_k_cvr", "escm2_dr", "dcmt", "nise", "oracle_relabel"):
        other = plain(name)
        assert other["method"] == name
        assert all(other[k] == recipe[k] for k in ("backbone", "optimizer", "encoder", "training"))


def test_the_slices_settings_are_the_history_studys_for_every_row():
    for row in ROWS:
        found = plain(row, "kuairand", settings())
        assert (found["optimizer"]["l2_rows"], found["training"]["epochs"]) == (4.0, 12)
        assert found["backbone"]["units"] == [256, 128, 64]
        assert found["features"]["embedding_width"] == 4


def test_differences_are_to_the_rows_own_reference(simulated, tmp_path):
    data = simulated(tmp_path / "worlds", 4000)
    world = data.root  # a folder called "data"
    (tmp_path / "scores").mkdir()
    truth = report_columns(data, "test")["oracle_conversion"].astype(float)
    noise = np.random.default_rng(0).random(len(truth))
    scores = {"all_negative": noise, "all_negative_attended": 1 - truth, "recipe_attended": truth}
    for row, values in scores.items():
        np.savez(tmp_path / "scores" / f"data-{row}-0.npz", test=values.astype(np.float32))
    rows = compare(world, tmp_path, draws=10)["rows"]
    assert rows["recipe_attended"]["mean"] == 1.0
    assert rows["recipe_attended"]["gain"]["mean"] == pytest.approx(1.0)  # 1 less 0
    own = rows["all_negative"]["mean"]
    assert rows["all_negative_attended"]["gain"]["mean"] == pytest.approx(-own)
    assert rows["all_negative"]["gain"] is None


def test_the_page_tells_means_and_differences():
    gain = {"mean": 0.004, "low": 0.001, "high": 0.007, "seeds": 1}
    rows = {
        "all_negative": {"mean": 0.9, "std": 0.002, "seeds": 3, "gain": None},
        "oracle_relabel": {"mean": 0.904, "std": 0.001, "seeds": 1, "gain": gain},
    }
    world = {"world": "selection_0", "rows": rows, "ceiling": {"oracle/cvr_auc": 0.95}}
    page = to_markdown({"worlds": [world], "command": "command", "title": "made"})
    assert "| AllNegative | 0.9000 ± 0.0020 (3 seeds) |" in page
    assert "| the truth relabelled | +0.0040 (+0.0010 to +0.0070; 1 seed) |" in page
    assert "nearest positive" not in page
    assert "0.9500" in page
    unknown = to_markdown({"worlds": [{**world, "ceiling": None}], "command": "c", "title": "t"})
    assert "best that features" not in unknown


def test_a_folder_without_worlds_is_named(tmp_path, capsys):
    given = ["run", "--worlds", str(tmp_path), "--out", str(tmp_path / "out"), "--quiet"]
    assert known_taste.main(given) != 0
    assert "--worlds: must hold prepared folders" in capsys.readouterr().err
    assert known_taste.main(given[:3]) != 0
    assert "--out: must be given with run and table" in capsys.readouterr().err


def test_the_committed_numbers_are_those_of_the_page():
    from benchmarks.labels.known_truth_command import RESULTS

    for path in (RESULTS / "known_taste_1.json", RESULTS / "hidden_clicks_kuairand_slice.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        mean = found["worlds"][0]["rows"]["all_negative"]["mean"]
        assert f"| AllNegative | {mean:.4f} " in path.with_suffix(".md").read_text(encoding="utf-8")
