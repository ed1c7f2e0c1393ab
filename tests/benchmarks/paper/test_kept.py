"""What is kept of an earlier result: rows of the same config, choices, the richer bootstrap."""

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks.paper.grid import Cell
from benchmarks.paper.kept import Kept, read_kept
from benchmarks.paper.settings import make_config
from benchmarks.paper.tuning import points, tuning_cells

FACTS = {"dataset": "made", "rows": 9, "days": "train 1; test 2", "splits": {"test": {"rows": 3}}}


def cell(folder, method="esmm", seed=0, **overrides):
    config = make_config("fixed", method, "mlp", seed, overrides=overrides)
    return Cell("fixed", method, "mlp", seed, config, Path(folder) / f"{seed}", overrides)


def row(of, auc=0.5):
    return {
        "setting": of.setting,
        "backbone": of.backbone,
        "method": of.variant,
        "seed": of.seed,
        "overrides": dict(of.overrides),
        "metrics": {"all_raw": {"cvr_auc": auc}},
    }


def configs(*cells):
    found = {}
    for of in cells:
        plain = of.config.model_dump(mode="json")
        plain["training"].pop("seed")
        found[f"{of.setting}/{of.backbone}/{of.variant}"] = plain
    return found


def test_a_kept_row_needs_no_run_and_the_others_do(tmp_path):
    first, second = cell(tmp_path), cell(tmp_path, seed=1)
    kept = Kept([row(first)], configs(first))
    assert kept.missing([first, second]) == [second]
    assert kept.read_rows([first, second]) == [row(first)]
    assert Kept().missing([first, second]) == [first, second]


def test_a_row_of_another_config_is_run_anew(tmp_path):
    one = cell(tmp_path)
    changed = json.loads(json.dumps(configs(one)))
    changed["fixed/mlp/esmm"]["optimizer"]["l2"] = 1e-4
    for of in (changed, {}):
        kept = Kept([row(one)], of)
        assert kept.missing([one]) == [one]
        assert kept.read_rows([one]) == []


def test_a_row_of_figure_4_is_told_by_its_point(tmp_path):
    base = cell(tmp_path, "all_negative")
    here, there = ({"model.alpha": alpha} for alpha in (0.6, 0.7))
    swept = [cell(tmp_path, "all_negative", **point) for point in (here, there)]
    kept = Kept([row(swept[0])], configs(base))
    assert kept.missing([base, *swept]) == [base, swept[1]]
    assert kept.configs == configs(base)  # the point was put into a copy


def test_the_folder_at_hand_goes_before_what_was_kept(tmp_path):
    one = cell(tmp_path)
    one.folder.mkdir()
    found = {"best_epoch": 1, "epochs": 2, "seconds": 3.0, "code": "c", "metrics": {}}
    (one.folder / "cell.json").write_text(json.dumps(found))
    (own,) = Kept([row(one)], configs(one)).read_rows([one])
    assert own["code"] == "c"


def test_choices_of_tuning_are_kept_by_method_and_the_rest_is_tuned(tmp_path):
    cells = tuning_cells(tmp_path, ["mlp"], ["esmm", "nise"], 1, "kuairand")
    grid = [{**point, "validation": 0.7} for point in points()]
    budget = {"overrides": points()[0], "tried": len(grid), "grid": grid}
    chosen = {"backbone": "mlp", "method": "nise", **budget}
    other = {"backbone": "dcnv2", "method": "esmm", **budget}
    found, rest = Kept(tuned=[chosen, other]).split_tuning(cells)
    assert found == [chosen]
    assert [c.variant for c in rest] == ["esmm"] * len(points())
    for change in ({"tried": 2 * len(grid)}, {"grid": grid[1:]}):  # not the same budget
        found, rest = Kept(tuned=[{**chosen, **change}]).split_tuning(cells)
        assert found == []
        assert rest == cells


def drawn(seeds, mean, method="esmm"):
    names = {"setting": "fixed", "backbone": "mlp", "space": "all_raw", "method": method}
    return {**names, "reference": "all_negative", "mean": mean, "seeds": seeds}


@pytest.mark.parametrize(("new", "wins"), [(2, False), (3, True), (7, True)])
def test_the_bootstrap_over_more_seeds_stays(tmp_path, new, wins):
    cells = [cell(tmp_path, method) for method in ("all_negative", "esmm", "nise")]
    held = [drawn(3, 0.1), drawn(3, 0.4, "nise")]
    kept = Kept([row(c) for c in cells], configs(*cells), bootstrap=held)
    merged = kept.merge_bootstrap(cells, [drawn(new, 0.2), drawn(1, 0.3, "mmoe")])
    assert [(m["method"], m["mean"]) for m in merged] == [
        ("esmm", 0.2 if wins else 0.1),
        ("nise", 0.4),
        ("mmoe", 0.3),
    ]


def test_a_difference_goes_with_the_rows_it_was_drawn_from(tmp_path):
    cells = [cell(tmp_path, method) for method in ("all_negative", "esmm")]
    rows, held = [row(c) for c in cells], [drawn(3, 0.1)]
    assert Kept(rows, configs(*cells), bootstrap=held).merge_bootstrap(cells, []) == held
    changed = Kept(rows, configs(cells[1]), bootstrap=held)  # the reference is trained otherwise
    assert changed.merge_bootstrap(cells, []) == []
    narrower = Kept(rows, configs(*cells), bootstrap=held)
    assert narrower.merge_bootstrap(cells[:1], []) == []  # esmm is not asked for


def test_a_result_of_other_rows_is_refused_and_another_fingerprint_is_not(tmp_path):
    path, one = tmp_path / "paper_made.json", cell(tmp_path)
    with pytest.raises(ValueError, match=r"--keep: there is no result .* is missing; leave"):
        read_kept(path, FACTS)
    result = {"data": {**FACTS, "fingerprint": "a"}, "rows": [row(one)], "sweeps": []}
    path.write_text(json.dumps({**result, "configs": configs(one), "tuned": [], "bootstrap": []}))
    assert read_kept(path, {**FACTS, "fingerprint": "b"}).missing([one]) == []
    with pytest.raises(ValueError, match=r"its rows are 9, received 8; leave --keep out"):
        read_kept(path, {**FACTS, "rows": 8})


def test_a_seed_is_no_part_of_the_config(tmp_path):
    one = cell(tmp_path)
    twin = dataclasses.replace(cell(tmp_path, seed=4), folder=one.folder)
    kept = Kept([row(one), row(twin)], configs(one))
    assert kept.missing([one, twin]) == []
