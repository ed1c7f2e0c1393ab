"""The page and the README's table: numbers, headings, what is said about them."""

import json

import pytest
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer

from benchmarks.common.machine import code_fingerprint, machine_facts
from benchmarks.paper import plots, report
from benchmarks.paper.result import ABLATION, write
from benchmarks.paper.summary import compare, summarise

SPACES = ("all_raw", "all_funnel", "clicked", "unclicked_raw")


def made(settings=("shipped",)):
    rows = []
    for setting in settings:
        for m, method in enumerate(("click_only", "esmm", "all_negative", "idefn")):
            for seed in range(3):
                metrics = {
                    s: {"cvr_auc": 0.7 + 0.01 * m + 0.001 * seed, "cvr_ks": 0.4} for s in SPACES
                }
                metrics["all_funnel"]["ctr_auc"] = 0.72
                rows.append(
                    {
                        "setting": setting,
                        "method": method,
                        "backbone": "mlp",
                        "seed": seed,
                        "overrides": {},
                        "code": "abc",
                        "metrics": metrics,
                    }
                )
    part = {"rows": 1000, "clicks": 400, "conversions": 30, "conversions_raw": 40, "probes": 10}
    return {
        "name": "kuairand_made",
        "page": "benchmarks/results/paper_kuairand_made.md",
        "command": "python -m benchmarks.paper --data DIR --name kuairand_made",
        "data": {
            "description": "made rows",
            "rows": 3000,
            "days": "train d1; test d2",
            "splits": {p: dict(part) for p in ("train", "validation", "test")},
        },
        "machine": machine_facts(),
        "rows": rows,
        "summary": summarise(rows),
        "differences": compare(rows),
        "bootstrap": [],
        "sweeps": [],
        "tuned": [],
        "pictures": {},
        "figures": {},
    }


def test_the_page_tells_means_spreads_differences_and_the_papers_numbers():
    page = report.markdown(made())
    assert "| AllNegative | 0.7210 ± 0.0010 |" in page
    assert "| IdeFN (R2, top-k) | all_raw | +0.0100 |" in page
    assert "0.8739" in page  # the paper's IdeFN on the MLP
    assert "early stopping on the test set's CVR AUC" in page
    assert "Paired differences to ESMM" in page
    assert "versions of the code" not in page


def test_rows_of_two_versions_of_the_code_are_told():
    result = made()
    result["rows"][0]["code"] = "xyz"
    assert "2 versions of the code: abc, xyz" in report.markdown(result)


def test_the_readmes_table_has_the_four_methods_and_says_what_it_is_not():
    result = made()
    keys = {"setting": "shipped", "backbone": "mlp", "space": "all_raw", "p": 0.004, "seeds": 3}
    told = {"reference": "all_negative", "mean": -0.0091, "low": -0.0137, "high": -0.0045}
    result["bootstrap"] = [{**keys, **told, "method": "idefn"}]
    block = report.readme_block(result, "shipped", "mlp")
    words = " ".join(block.split())
    assert "-0.0091 in `all_raw` (-0.0137 to -0.0045 in 95 % of bootstrap draws" in words
    assert [line.split("|")[1].strip() for line in block.splitlines() if line.startswith("| ")] == [
        "method",
        "ClickOnly (IdeFN-R)",
        "ESMM",
        "AllNegative",
        "IdeFN (R2, top-k)",
    ]
    assert "over 3 seeds" in words
    assert "not comparable with the paper's" in words
    assert "--name kuairand_made" in block
    assert "CTR AUC" in block


def test_the_readme_is_replaced_between_its_marks_only(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{report.START}\nold\n{report.END}\nafter\n")
    for block in ("one", "two"):
        report.write_readme(path, block)
    assert path.read_text() == f"before\n{report.START}\ntwo\n{report.END}\nafter\n"
    with pytest.raises(ValueError, match="each once"):
        report.replace_block("no marks here", "block")


def test_pictures_are_the_same_bytes_for_the_same_rows(tmp_path):
    rows = made()["rows"]
    for name in ("a.png", "b.png"):
        figure = plots.table_picture(rows, "shipped", "mlp", "title")
        plots.save(figure, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    figure = plots.ablation_picture(rows, "shipped", "mlp", ("idefn", "click_only"), "t")
    assert plots.save(figure, tmp_path / "c.png").stat().st_size > 1000


def test_figure_5_shows_every_bar_whole_in_one_colour_a_method():
    rows = made()["rows"]
    rows[-1]["metrics"]["all_raw"]["cvr_auc"] = 0.9  # one seed far off: a long error bar
    figure = plots.ablation_picture(rows, "shipped", "mlp", ABLATION, "made")
    axis = figure.axes[0]
    low, high = axis.get_ylim()
    (errors,) = (c for c in axis.containers if isinstance(c, ErrorbarContainer))
    for bar in errors.lines[2][0].get_segments():
        assert low < bar[:, 1].min() < bar[:, 1].max() < high
    # IdeFN-T was not run: the others keep the colours that they have beside it
    colours = [to_hex(patch.get_facecolor()).upper() for patch in axis.patches]
    assert colours == [plots.COLOURS[i] for i in (0, 2, 3)]


@pytest.mark.job
def test_figure_5_is_drawn_where_every_part_was_run(tmp_path):
    sweep = {"overrides": {"model.kappa": 0.01}, "seed": 0, "method": "idefn"}
    result = {**made(), "sweeps": [{**made()["rows"][0], **sweep}]}
    names = {path.name for path in write(result, tmp_path, (4, 5))}
    assert "paper_kuairand_made_figure4.png" in names
    assert not any("figure5" in name for name in names)
    rows = made()["rows"]
    whole = [*rows, *({**r, "method": "idefn_t"} for r in rows if r["method"] == "idefn")]
    names = {path.name for path in write({**made(), "rows": whole}, tmp_path, (5,))}
    assert "paper_kuairand_made_figure5_shipped_mlp.png" in names


def test_a_sweeps_points_are_gathered_by_value_over_seeds(tmp_path):
    rows = [
        {
            "method": "idefn",
            "overrides": {"model.kappa": kappa},
            "metrics": {"all_raw": {"cvr_auc": kappa + seed, "cvr_ks": 0.1}},
        }
        for seed in (0, 1)
        for kappa in (0.01, 0.001)
    ]
    found = plots.sweep_points(rows, "idefn", "model.kappa", "all_raw", "cvr_auc")
    assert found == {0.01: [0.01, 1.01], 0.001: [0.001, 1.001]}
    picture = plots.sweep_picture(rows, "t")
    assert plots.save(picture, tmp_path / "s.png").stat().st_size > 1000


def test_the_machine_is_described_without_naming_it():
    import getpass
    import socket

    text = json.dumps(machine_facts())
    assert {"cpu", "cores", "versions", "load"} <= set(machine_facts())
    assert socket.gethostname() not in text
    assert f'"{getpass.getuser()}"' not in text
    assert "/" not in text.replace("/s", "").replace("CPU @", "")


def test_the_codes_fingerprint_follows_the_code():
    assert code_fingerprint("idefn_tf") == code_fingerprint("idefn_tf")
    assert code_fingerprint("idefn_tf") != code_fingerprint("pipelines")
