"""The comparison on simulated taste: its cells, what each row changes, the page."""

from benchmarks.labels.known_taste import ROWS, Cell, cells, overrides, to_markdown
from benchmarks.paper.settings import make_config
from benchmarks.paper.variants import VARIANTS
from idefn_tf.schema import Schema


def test_an_early_end_leaves_whole_seeds_of_all_worlds():
    found = list(cells(["a", "b"], [0, 1]))
    assert len(found) == 4 * len(ROWS)
    assert {cell.seed for cell in found[: 2 * len(ROWS)]} == {0}
    assert {cell.world for cell in found[: 2 * len(ROWS)]} == {"a", "b"}
    assert Cell("a", "recipe", 3).name == "a-recipe-3"
    assert [cell.row for cell in cells(["a"], [0, 1], ["oracle_relabel"])] == ["oracle_relabel"] * 2


def test_rows_are_variants_and_change_what_they_say():
    schema = Schema.load("schemas/simulated_funnel_history.yaml")
    assert {variant for _, variant in ROWS.values()} <= set(VARIANTS)
    changed = overrides("recipe_history", schema)
    past = changed["model.representation"]
    assert "user_id__conversion_rate__all" in past
    assert not [name for name in past if name.startswith(("clicks", "bought", "user_segment"))]
    for row, (_, variant) in ROWS.items():
        made = make_config("one_point", variant, "mlp", 0, "simulated", overrides(row, schema))
        assert made.model_dump(mode="json")["optimizer"]["l2_rows"] == 0.01
    assert made.method == "oracle_relabel"


def test_the_page_tells_means_and_differences():
    gain = {"mean": 0.004, "low": 0.001, "high": 0.007}
    rows = {
        "all_negative": {"mean": 0.9, "std": 0.002, "seeds": 3, "gain": None},
        "oracle_relabel": {"mean": 0.904, "std": 0.001, "seeds": 3, "gain": gain},
    }
    world = {"world": "selection_0", "rows": rows, "ceiling": {"oracle/cvr_auc": 0.95}}
    page = to_markdown({"worlds": [world], "command": "command"})
    assert "| AllNegative | 0.9000 ± 0.0020 (3 seeds) |" in page
    assert "| the truth relabelled | +0.0040 (+0.0010 to +0.0070) |" in page
    assert "nearest positive" not in page
    assert "0.9500" in page
