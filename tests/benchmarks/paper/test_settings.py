"""Every cell has a config that training accepts, and the settings keep their promises."""

import pytest

from benchmarks.paper.published import published_auc
from benchmarks.paper.settings import BACKBONES, make_config
from benchmarks.paper.sweeps import sweep_cells
from benchmarks.paper.tuning import choices, choose, points, tuning_cells
from benchmarks.paper.variants import SHIPPED, TABLES, VARIANTS, get_variant


@pytest.mark.parametrize("setting", ["fixed", "equal"])
@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_variant_has_a_config_that_differs_by_its_seed_alone(setting, name):
    first, second = (make_config(setting, name, "mlp", seed).model_dump() for seed in (0, 7))
    assert (first["training"].pop("seed"), second["training"].pop("seed")) == (0, 7)
    assert first == second
    assert first["method"] == VARIANTS[name].method


@pytest.mark.parametrize(
    ("family", "name"), [(family, name) for family, names in SHIPPED.items() for name in names]
)
def test_shipped_is_what_the_project_ships(family, name):
    from benchmarks.paper.settings import CONFIGS
    from pipelines.experiment.config import Config

    shipped = Config.load(CONFIGS / family / f"{SHIPPED[family][name]}.yaml").model_dump()
    made = make_config("shipped", name, "mlp", shipped["training"]["seed"], family).model_dump()
    for value in (shipped, made):
        value["training"].pop("audit")
    assert made == shipped


def test_the_preset_idefn_is_the_recipe_that_was_measured():
    preset = make_config("shipped", "idefn_light_50", "mlp", 0, "kuairand")
    measured = make_config(
        "equal",
        "idefn_light_50",
        "mlp",
        0,
        overrides={"optimizer.l2_rows": 0.1, "optimizer.learning_rate": 3e-4},
    )
    assert preset == measured


@pytest.mark.parametrize("family", ["kuairand", "simulated"])
@pytest.mark.parametrize(("end", "marginals"), [("", "literal"), ("_r2", "proportion")])
def test_the_preset_idefn_paper_is_the_fixed_setting(family, end, marginals):
    from benchmarks.paper.settings import CONFIGS
    from pipelines.experiment.config import Config

    preset = Config.load(CONFIGS / f"{family}/idefn.paper{end}.yaml").model_dump()
    fixed = make_config("fixed", "idefn_paper", "mlp", 0, family).model_dump()
    fixed["model"]["marginals"] = marginals
    fixed["training"]["audit"] = preset["training"]["audit"]
    assert preset == fixed


def test_the_fixed_setting_is_the_papers():
    for backbone in BACKBONES:
        config = make_config("fixed", "esmm", backbone, 0)
        assert config.backbone["units"] == [512, 256, 128, 64]
        assert (config.backbone["parity"], config.backbone["batch_norm"]) == ("published", True)
        assert config.optimizer["learning_rate"] == 1e-3
        assert config.features["embedding_stddev"] == 1e-4
        assert config.model["ctcvr_weight"] == 1
    assert make_config("fixed", "idefn_paper", "mlp", 0).model["rule"] == "argmax"


def test_the_equal_setting_gives_every_method_the_same_network_and_optimizer():
    configs = [make_config("equal", name, "mlp", 0) for name in TABLES[1]]
    assert all(c.backbone == configs[0].backbone for c in configs)
    assert all(c.optimizer == configs[0].optimizer for c in configs)
    assert all(c.training == configs[0].training for c in configs)
    assert make_config("equal", "esmm", "mlp", 0).model["ctcvr_weight"] == 30


def test_a_point_of_the_grid_goes_on_top():
    config = make_config("equal", "esmm", "mlp", 0, overrides={"optimizer.l2_rows": 0.1})
    assert config.optimizer["l2_rows"] == 0.1
    with pytest.raises(ValueError, match="unknown key"):
        make_config("equal", "esmm", "mlp", 0, overrides={"model.kappa": 0.1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("odd", "esmm", "mlp", 0), "--settings"),
        (("fixed", "odd", "mlp", 0), "--methods"),
        (("fixed", "esmm", "odd", 0), "--backbones"),
        (("shipped", "idefn_ple", "mlp", 0), "choose --settings fixed or equal"),
    ],
)
def test_wrong_names_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_config(*arguments)


def test_every_row_of_every_table_has_a_config_in_both_settings():
    for name in {name for rows in TABLES.values() for name in rows}:
        for setting in ("fixed", "equal"):
            assert make_config(setting, name, "mlp", 0).method == get_variant(name).method


def test_tuning_spends_the_same_budget_on_every_method_with_seeds_of_its_own(tmp_path):
    cells = tuning_cells(tmp_path, ["mlp"], ["esmm", "idefn"], 2, "kuairand")
    assert len(cells) == 2 * 2 * len(points())
    assert min(cell.seed for cell in cells) > 100
    assert len({cell.folder for cell in cells}) == len(cells)
    assert choose(cells) == []  # nothing is finished: no part of a budget counts
    assert choices([]) == {}


def test_a_choice_is_the_best_mean_on_validation_all_funnel(tmp_path):
    import json

    cells = tuning_cells(tmp_path, ["mlp"], ["esmm"], 2, "kuairand")
    best = points()[3]
    for cell in cells:
        right = dict(cell.overrides) == best
        spread = 0.05 if cell.seed % 2 else -0.05
        test = {"all_raw": {"cvr_auc": 0.1 if right else 0.9}}  # not to be looked at
        validation = {
            "all_funnel": {"cvr_auc": (0.8 if right else 0.78) + spread},
            "all_raw": {"cvr_auc": 0.1 if right else 0.9},
        }
        cell.folder.mkdir(parents=True)
        found = {
            "best_epoch": 1,
            "epochs": 2,
            "seconds": 1.0,
            "code": "0",
            "metrics": {"test": test, "validation": validation},
        }
        (cell.folder / "cell.json").write_text(json.dumps(found))
    (chosen,) = choose(cells)
    assert chosen["overrides"] == best
    assert chosen["validation"] == pytest.approx(0.8)
    assert chosen["tried"] == len(cells)
    assert choices([chosen]) == {("mlp", "esmm"): best}


def test_sweeps_change_one_parameter_and_have_their_control(tmp_path):
    cells = sweep_cells(tmp_path, "fixed", "mlp", range(2), "kuairand")
    for cell in cells:
        ((key, value),) = cell.overrides.items()
        assert cell.config.model[key.removeprefix("model.")] == value
    assert {c.variant for c in cells if "model.alpha" in c.overrides} == {"all_negative", "idefn"}
    assert len({cell.folder for cell in cells}) == len(cells)


def test_published_numbers_stand_beside_their_family_alone():
    assert published_auc("kuairand_slice", "mlp", "idefn") == 0.8739
    assert published_auc("kuairand_slice", "mlp", "idefn_paper") == 0.8739
    assert published_auc("ali_ccp", "dcnv2", "nise") == 0.6528
    assert published_auc("simulated_kuai", "mlp", "esmm") is None
    assert published_auc("kuairand_slice", "mlp", "all_negative") is None


def test_controls_take_the_point_of_the_method_whose_labels_alone_they_change(tmp_path):
    cells = tuning_cells(tmp_path, ["mlp"], ["nearest_positive", "oracle_relabel"], 1, "kuairand")
    assert {cell.variant for cell in cells} == {"all_negative"}
    chosen = {"backbone": "mlp", "method": "all_negative", "overrides": {"optimizer.l2_rows": 0.1}}
    found = choices([chosen])
    alike = ("nearest_positive", "oracle_relabel", "all_negative_50", "idefn_light")
    for name in (*alike, "idefn_light_50", "oracle_relabel_50"):
        assert found["mlp", name] == chosen["overrides"]
    assert ("mlp", "idefn") not in found  # a method of its own, tuned like the rest


def test_skeletons_and_ablation_take_the_point_of_the_method_they_change(tmp_path):
    changed = ["idefn_mmoe", "all_negative_ple", "idefn_t", "ple"]
    cells = tuning_cells(tmp_path, ["mlp"], changed, 1, "kuairand")
    assert {cell.variant for cell in cells} == {"idefn", "all_negative", "mmoe"}
    assert get_variant("idefn_mmoe").label == "IdeFN on MMoE"
    assert make_config("equal", "all_negative_ple", "mlp", 0).trunk == {"name": "ple"}


def test_other_backbones_take_the_points_of_the_one_that_was_tuned():
    point = {"optimizer.l2_rows": 0.1}
    chosen = {"backbone": "mlp", "method": "all_negative", "overrides": point}
    own = {**chosen, "backbone": "dcnv2", "overrides": {"optimizer.l2_rows": 0.01}}
    assert ("deepfm", "all_negative") not in choices([chosen])
    found = choices([chosen], ["mlp", "deepfm"])
    assert found["deepfm", "all_negative"] == found["deepfm", "idefn_light"] == point
    assert choices([own, chosen], ["dcnv2"])["dcnv2", "all_negative"] == own["overrides"]


def test_another_alpha_is_the_same_variant_otherwise():
    base, other = get_variant("idefn_light"), get_variant("idefn_light_50")
    assert other.label == "IdeFN, labels worth .1, alpha .5"
    assert {**other.published, "alpha": 0.8} == base.published
    assert (other.method, other.relabels) == (base.method, True)
    assert make_config("equal", "all_negative_90", "mlp", 0).model["alpha"] == 0.9


@pytest.mark.parametrize("setting", ["equal", "one_point", "fixed"])
def test_an_override_does_not_reach_the_next_config(setting):
    plain = make_config(setting, "idefn_light", "mlp", 0).model_dump(mode="json")
    key = "model.transport.label_value"
    changed = make_config(setting, "idefn_light", "mlp", 0, overrides={key: "calibrated"})
    assert changed.model_dump(mode="json")["model"]["transport"]["label_value"] == "calibrated"
    again = make_config(setting, "idefn_light", "mlp", 0).model_dump(mode="json")
    assert again == plain
    assert again["model"]["transport"]["label_value"] == 0.1
