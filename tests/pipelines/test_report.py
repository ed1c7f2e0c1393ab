"""The report as a reader meets it: whole, true to the run's numbers, readable without sight."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.metrics import exact
from pipelines import report as reports
from pipelines import train
from pipelines.config import Config
from pipelines.console import Console
from pipelines.datasets import simulated_funnel
from pipelines.datasets.funnel_world import Options
from pipelines.datasets.preparation import prepare
from pipelines.prepared import Prepared
from pipelines.reports import gain, intervals, loss_rows, material, plan, reliability, style
from pipelines.reports.batch import draw_batch
from pipelines.reports.embedding import principal_axes
from pipelines.reports.page import Cell, table
from pipelines.reports.slices import find_slices
from pipelines.runs import Run

QUIET = Console(quiet=True)
SMALL = {
    "backbone": {"name": "mlp", "units": [16, 8]},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.003},
    "training": {"batch_size": 512, "epochs": 2, "patience": 4, "jit_compile": False},
}
SECTIONS = {
    "metrics", "compare", "data", "losses", "learning", "reliability", "scores", "gain", "audit",
    "plan", "map", "slices", "settings",
}  # fmt: skip


class Page(HTMLParser):
    """Collects what the tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.labelled, self.figures = [], [], [], []
        self.headings, self.cells, self.text, self.tags = [], {}, {}, []
        self._open, self._section, self._cell = [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        if "aria-labelledby" in found:
            self.labelled += found["aria-labelledby"].split()
        if tag == "section":
            self._section = found["id"]
        if tag == "figure":
            self.figures.append({"id": found["id"], "caption": "", "title": "", "desc": ""})
        if tag == "svg":
            self.figures[-1]["role"] = found.get("role")
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)
        if tag == "td" and "data-key" in found:
            self._cell = found["data-key"]
            value = found.get("data-value")
            self.cells[self._cell] = [None if value is None else float(value), ""]
        if tag not in ("meta", "link", "path", "use", "rect", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in self._open:
            while self._open.pop() != tag:
                pass
        if tag == "td":
            self._cell = None

    def handle_data(self, data):
        if self._open and self._open[-1] == "style":
            return
        self.text[self._section] = self.text.get(self._section, "") + data
        within = self._open[-1] if self._open else ""
        if self.figures and "figure" in self._open:
            if within == "strong":
                self.figures[-1]["caption"] += data
            elif within in ("title", "desc"):
                self.figures[-1][within] += data
        if self._cell and within == "td":
            self.cells[self._cell][1] += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def data(folder):
    options = Options(exposures=8000, preset="easy", seed=1)
    simulated_funnel.simulate(folder / "raw", options, QUIET)
    return prepare("simulated_funnel", folder / "raw", folder / "data")


@pytest.fixture(scope="module")
def runs(data, folder):
    found = {}
    for method, model in (("idefn", {"kappa": 0.05, "rule": "top_k"}), ("esmm", {})):
        config = Config.parse({"method": method, "model": model, **SMALL})
        found[method] = train.train(config, data.root, folder / method, QUIET)
    return found


@pytest.fixture(scope="module")
def path(runs, data):
    return reports.report(runs["idefn"].root, QUIET, data=data.root, compare=[runs["esmm"].root])


@pytest.fixture(scope="module")
def page(path):
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def gathered(runs, data):
    return material.gather(runs["idefn"], Prepared.open(data.root), [])


def metrics_of(run):
    return json.loads(run.metrics_path.read_text(encoding="utf-8"))


# -- the page ----------------------------------------------------------------------------------


def test_the_page_lies_in_the_runs_folder_and_needs_nothing_else(path, runs):
    assert path == runs["idefn"].root / "report.html"
    text = path.read_text(encoding="utf-8")
    outside = set(re.findall(r'(?:src|href)="([^"#][^"]*)"', text))
    assert all(link.startswith("data:") for link in outside)
    assert "<script" not in text
    assert "url(http" not in text
    assert "@import" not in text
    assert len(text) < 3e6


def test_every_section_is_there_in_landmarks_and_headings(page):
    assert {found["id"] for tag, found in page.tags if tag == "section"} == SECTIONS
    assert page.headings.count("h1") == 1
    assert page.headings.count("h2") == len(SECTIONS)
    tags = [tag for tag, _ in page.tags]
    assert {"header", "nav", "main", "footer"} <= set(tags)
    assert dict(page.tags)["html"]["lang"] == "en"
    viewport = [f for tag, f in page.tags if tag == "meta" and f.get("name") == "viewport"]
    assert viewport[0]["content"] == "width=device-width, initial-scale=1"


def test_ids_are_unique_and_references_resolve(page):
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert set(page.labelled) <= set(page.ids)


def test_every_figure_has_a_title_and_an_alternative_in_words(page):
    assert len(page.figures) >= 20
    for figure in page.figures:
        assert figure["role"] == "img", figure["id"]
        assert figure["caption"].strip(), figure["id"]
        assert figure["title"] == figure["caption"]
        assert len(figure["desc"]) > 30, figure["id"]
        assert "nan" not in figure["desc"], figure


def test_every_number_is_that_of_metrics_json(page, runs):
    metrics = metrics_of(runs["idefn"])
    compared = 0
    for part, spaces in metrics.items():
        for space, values in spaces.items():
            for name, value in values.items():
                shown, text = page.cells[f"{part}/{space}/{name}"]
                compared += 1
                if value is None:
                    assert text == "-"
                else:
                    assert shown == value
                    written = float(text.replace(",", ""))
                    assert written == pytest.approx(value, abs=5.1e-5), (part, space, name)
    assert compared > 80


def test_numbers_of_the_compared_run_are_its_own(page, runs):
    metrics = metrics_of(runs["esmm"])["test"]
    for space in metrics:
        shown, _ = page.cells[f"esmm/test/{space}/cvr_auc"]
        assert shown == metrics[space]["cvr_auc"]


def test_the_counts_of_the_card_are_on_the_page(page, data):
    train_part = data.card["splits"]["train"]
    assert page.cells["card/train/rows"][0] == train_part["rows"]
    assert page.cells["card/train/conversions"][0] == train_part["conversions"]


def test_the_plan_names_exposures_with_raw_features(page):
    assert "user_id" in page.text["plan"]
    assert "item_id" in page.text["plan"]
    assert "potential conversion" in page.text["plan"]
    assert any(figure["id"] == "plan-heat-map" for figure in page.figures)
    assert any(figure["id"] == "audit-precision" for figure in page.figures)


def test_the_page_warns_where_the_control_is_missing(page):
    assert "all_negative" in page.text["compare"]


def test_esmm_has_a_page_that_says_why_it_has_no_plan(runs, data, tmp_path):
    out = reports.report(runs["esmm"].root, QUIET, data=data.root, out=tmp_path / "esmm.html")
    found = Page(out.read_text(encoding="utf-8"))
    assert {f["id"] for tag, f in found.tags if tag == "section"} == SECTIONS
    assert "esmm moves nothing" in found.text["plan"]
    assert "no audit.csv" in found.text["audit"]
    assert not any(figure["id"].startswith(("plan", "audit")) for figure in found.figures)
    assert "ctcvr_loss: CVR tower" in found.text["losses"]


def test_without_data_the_page_holds_what_the_files_say(runs, tmp_path, capsys):
    copy = tmp_path / "elsewhere" / "run"
    shutil.copytree(runs["idefn"].root, copy)
    state = json.loads((copy / "checkpoints" / "state.json").read_text())
    state.pop("data", None)
    (copy / "checkpoints" / "state.json").write_text(json.dumps(state))
    assert reports.main(["--run", str(copy)]) == 0
    assert "no prepared data" in capsys.readouterr().err
    found = Page((copy / "report.html").read_text(encoding="utf-8"))
    value = metrics_of(runs["idefn"])["test"]["clicked"]["cvr_auc"]
    assert found.cells["test/clicked/cvr_auc"][0] == value
    assert "give --data" in found.text["slices"]
    assert any(figure["id"] == "learning-auc" for figure in found.figures)


def test_the_same_run_gives_the_same_page(path, runs, data, tmp_path):
    again = reports.report(
        runs["idefn"].root, QUIET, data=data.root, compare=[runs["esmm"].root],
        out=tmp_path / "again.html",
    )  # fmt: skip

    def body(file):
        text = file.read_text(encoding="utf-8")
        return text[: text.index("<footer>")]

    assert body(path) == body(again)


def test_training_from_the_command_line_ends_with_a_report(runs, data, folder):
    run = runs["esmm"]  # finished: training is not repeated
    (run.root / "report.html").unlink(missing_ok=True)
    command = ["--config", str(run.config_path), "--data", str(data.root), "--out", str(run.root)]
    assert train.main([*command, "--quiet", "--no-report"]) == 0
    assert not (run.root / "report.html").exists()
    assert train.main([*command, "--quiet"]) == 0
    assert "esmm on simulated_funnel" in (run.root / "report.html").read_text(encoding="utf-8")


def test_a_finished_run_remembers_where_its_data_are(runs, data, tmp_path):
    copy = tmp_path / "moved"
    shutil.copytree(runs["idefn"].root, copy)
    assert material.find_data(Run.open(copy)).root == data.root.resolve()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "{folder}/nowhere"], "run"),
        (["--run", "{run}", "--data", "{folder}/nowhere"], "data"),
        (["--run", "{run}", "--part", "moon"], "part"),
        (["--run", "{unfinished}"], "finish training"),
    ],
)
def test_a_wrong_request_is_one_clear_message(runs, folder, capsys, arguments, message):
    unfinished = folder / "unfinished"
    if not unfinished.exists():
        shutil.copytree(runs["esmm"].root, unfinished)
        (unfinished / "checkpoints" / "best.keras").unlink()
    names = {"folder": folder, "run": runs["idefn"].root, "unfinished": unfinished}
    assert reports.main([a.format(**names) for a in arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_text_from_the_data_cannot_become_markup():
    made = table("a <b>", ["<i>"], [["x"], [Cell('"<script>', small="<u>")]])
    assert "<script" not in made
    assert "&lt;script&gt;" in made
    assert "a &lt;b&gt;" in made


# -- numbers behind it -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_draws_auc_and_ks_are_the_exact_ones(seed):
    rng = np.random.default_rng(seed)
    label = (rng.random(300) < 0.2).astype(float)
    score = np.round(rng.random(300), 1 + seed % 3)  # ties
    weight = rng.integers(0, 4, 300).astype(float)
    auc, ks = intervals.Ranked(label, score).auc_ks(weight)
    assert auc == pytest.approx(exact.auc(label, score, weight), abs=1e-12)
    assert ks == pytest.approx(exact.ks(label, score, weight), abs=1e-12)


def test_a_draw_takes_whole_users_and_as_many_as_there_are():
    users = np.array([7, 7, 3, 9, 9, 9])
    for weight in intervals.resample(users, 6, 50, seed=3):
        assert weight[0] == weight[1]
        assert weight[3] == weight[4] == weight[5]
        assert weight[0] + weight[2] + weight[3] == 3


def test_bootstrap_intervals_match_theory_where_rows_are_independent():
    rng = np.random.default_rng(0)
    n = 4000
    label = (rng.random(n) < 0.3).astype(float)
    score = np.full(n, 0.3)
    scores = {"ctr": score, "cvr": score, "ctcvr": score}
    columns = {"click": np.ones(n), "conversion": label}
    draws = intervals.bootstrap(scores, columns, np.ones(n), None, replicates=400)
    low, high = intervals.interval(draws["clicked", "cvr_pcoc"])
    rate = label.mean()
    spread = 1.96 * np.sqrt((1 - rate) / rate / n) * 0.3 / rate
    assert (high - low) / 2 == pytest.approx(spread, rel=0.12)
    assert low < 0.3 / rate < high
    assert intervals.interval(draws["clicked", "cvr_auc"]) == (0.5, 0.5)


def test_intervals_hold_the_runs_own_numbers(gathered, runs):
    for space, values in metrics_of(runs["idefn"])["test"].items():
        for metric in ("cvr_auc", "cvr_logloss", "cvr_ks"):
            bounds = gathered.main.interval(space, metric)
            assert (bounds is None) == (values[metric] is None)
            if bounds is not None:
                assert bounds[0] <= values[metric] <= bounds[1]
                assert bounds[1] - bounds[0] < 0.5
    assert values["cvr_auc"] is not None  # the oracle's, the last space


def test_reliability_bins_hold_equal_mass_and_the_means():
    score = np.repeat([0.1, 0.2, 0.4, 0.8], 25)
    label = np.tile([1, 0, 0, 0, 0], 20).astype(float)
    bins = reliability.reliability(score, label, np.ones(100), bins=4)
    assert [b.predicted for b in bins] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert [b.observed for b in bins] == pytest.approx([0.2] * 4)
    assert [b.rows for b in bins] == [25] * 4
    assert all(b.low < 0.2 < b.high for b in bins)


def test_gain_by_hand():
    score = np.array([0.9, 0.8, 0.5, 0.5, 0.1])
    label = np.array([1, 0, 1, 0, 0])
    found = gain.gain(score, label, np.ones(5), [0.2, 0.4, 0.6, 0.8, 1.0])
    assert found == pytest.approx([0.5, 0.5, 0.75, 1.0, 1.0])


def test_principal_axes_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    z = np.random.default_rng(0).normal(size=(200, 6)) * [5, 3, 1, 1, 1, 1]
    points, shares = principal_axes(z)
    other = PCA(2).fit(z)
    assert np.abs(points) == pytest.approx(np.abs(other.transform(z)), abs=1e-8)
    assert shares == pytest.approx(other.explained_variance_ratio_)


def test_slices_are_large_enough_and_their_auc_is_exact(gathered):
    found = list(find_slices(gathered))
    assert found
    rows = gathered.rows
    label = rows.columns["click"] * rows.columns["conversion"]
    for one in found:
        assert one.positives >= 20
        assert one.auc == pytest.approx(
            exact.auc(label[one.mask], gathered.main.scores["cvr"][one.mask])
        )
    names = {feature.name for feature in gathered.main.schema.features}
    assert {one.feature for one in found} <= names
    assert len({(one.feature, one.value) for one in found}) == len(found)


def test_losses_reach_the_rows_that_the_formulas_name(gathered, runs, data):
    idefn = draw_batch(gathered)
    model = gathered.main.model
    terms, kinds = loss_rows.feeds(model, idefn), loss_rows.row_kinds(idefn)
    assert set(terms) == {
        ("ctr_loss", "ctr"), ("cvr_clicked_loss", "cvr"), ("cvr_unclicked_loss", "cvr"),
    }  # fmt: skip
    unclicked = terms["cvr_unclicked_loss", "cvr"]
    assert (unclicked[kinds["unclicked, relabelled"]] < 0).all()
    assert (unclicked[kinds["unclicked, not relabelled"]] > 0).all()
    assert (unclicked[idefn.click > 0.5] == 0).all()
    clicked = terms["cvr_clicked_loss", "cvr"]
    assert (clicked[kinds["clicked, converted"]] < 0).all()
    assert (clicked[idefn.click < 0.5] == 0).all()
    other = material.gather(runs["esmm"], Prepared.open(data.root), [])
    batch = draw_batch(other)
    both = loss_rows.feeds(other.main.model, batch)
    assert set(both) == {("ctr_loss", "ctr"), ("ctcvr_loss", "ctr"), ("ctcvr_loss", "cvr")}
    assert (both["ctcvr_loss", "cvr"][batch.click < 0.5] > 0).all()


def test_the_shown_part_of_the_plan_is_the_plans(gathered):
    batch = draw_batch(gathered)
    shown = plan.best_part(batch)
    whole = np.asarray(batch.matches.plan.real_rows)
    column = np.asarray(batch.matches.plan.problem.column_mass)
    assert (batch.conversion[shown.positives] == 1).all()
    assert (batch.click[shown.unclicked] == 0).all()
    order = {int(at): i for i, at in enumerate(np.asarray(batch.matches.rows))}
    for i, positive in enumerate(shown.positives):
        for j, at in enumerate(shown.unclicked):
            expected = whole[order[int(positive)], at] / column[at]
            assert shown.share[i, j] == pytest.approx(expected)
    assert (shown.best == shown.share.argmax(axis=0)).all()
    assert batch.relabelled[shown.unclicked].all()


def test_a_batch_is_judged_as_training_deals_it(gathered):
    batch = draw_batch(gathered)
    assert len(batch) == 512
    assert batch.relabelled.sum() == tf.reduce_sum(batch.matches.pseudo_positives)


def test_colours_stand_out_from_white():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    def contrast(colour):
        return 1.05 / (luminance(colour) + 0.05)

    assert all(contrast(colour) >= 3 for colour in style.PALETTE)
    assert all(contrast(colour) >= 4.5 for colour in (style.INK, style.MUTED))
    lights = [luminance(colour) for colour in style.RAMP]
    assert lights == sorted(lights, reverse=True)
    assert len(style.PALETTE) == len(style.DASHES) == len(style.MARKERS)


# -- in a browser ------------------------------------------------------------------------------

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PROBE = """<script>
addEventListener("load", () => {
  const box = (e) => { const r = e.getBoundingClientRect(); return [r.width, r.height]; };
  const figures = [...document.querySelectorAll("figure")].map((f) => {
    const svg = f.querySelector("svg");
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const texts = [...svg.querySelectorAll("text")].map(
      (t) => parseFloat(getComputedStyle(t).fontSize) * scale);
    return {id: f.id, size: box(svg), shapes: svg.querySelectorAll("path,use,text").length,
            drawn: [...svg.querySelectorAll("path,use")].filter((e) => box(e).some((n) => n > 0))
              .length, least: Math.min(...texts)};
  });
  const out = {figures, inner: innerWidth, wide: document.documentElement.scrollWidth,
               tables: [...document.querySelectorAll("table")].map((t) => {
                 const p = t.closest(".scroll").getBoundingClientRect(); return p.right; })};
  parent.postMessage(JSON.stringify(out), "*");
});
</script></body>"""
#: A window may not be narrower than 500 pixels; a frame may.
FRAME = """<!DOCTYPE html><link rel="icon" href="data:,"><body style="margin:0"><script>
addEventListener("message", (event) => {
  const pre = document.createElement("pre");
  pre.id = "probe"; pre.textContent = event.data; document.body.appendChild(pre);
});
</script><iframe src="probed.html" style="border:0" width="WIDTH" height="2400"></iframe></body>"""


def browse(file, width, tmp_path, *arguments):
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--enable-logging=stderr", f"--user-data-dir={tmp_path / f'profile-{width}'}",
        f"--window-size={width},2400", "--virtual-time-budget=10000", *arguments, file.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_every_figure_without_an_error(path, page, tmp_path, width):
    copy = tmp_path / "probed.html"
    copy.write_text(path.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    finished = browse(frame, max(width, 500), tmp_path, "--dump-dom")
    assert "CONSOLE" not in finished.stderr
    found = re.search(r'<pre id="probe">(.*?)</pre>', finished.stdout, re.DOTALL)
    seen = json.loads(found.group(1).replace("&gt;", ">").replace("&lt;", "<"))
    assert seen["inner"] == width
    assert seen["wide"] <= width  # only the boxes of tables and of wide figures scroll
    assert all(right <= width for right in seen["tables"])
    assert [figure["id"] for figure in seen["figures"]] == [f["id"] for f in page.figures]
    for figure in seen["figures"]:
        assert min(figure["size"]) > 100, figure
        assert figure["drawn"] > 10, figure
        assert figure["least"] > 7, figure  # text that can be read


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_a_screenshot_is_not_blank(path, tmp_path):
    from matplotlib.image import imread

    shot = tmp_path / "shot.png"
    browse(path, 800, tmp_path, f"--screenshot={shot}")
    pixels = imread(shot)[..., :3]
    assert pixels.std() > 0.05
