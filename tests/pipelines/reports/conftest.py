"""Two small runs, their report, and a reader of pages, for every test of the report."""

import json
from html.parser import HTMLParser

import pytest

from pipelines import report as reports
from pipelines import train
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.preparation.prepared_folder import Prepared
from pipelines.reports import material

QUIET = Console(quiet=True)
SMALL = {
    "backbone": {"name": "mlp", "units": [16, 8]},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.003},
    "training": {"batch_size": 512, "epochs": 2, "patience": 4, "jit_compile": False},
}


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


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="session")
def data(folder, simulated):
    return simulated(folder, 6000)


@pytest.fixture(scope="session")
def runs(data, folder):
    found = {}
    for method, model in (
        ("idefn", {"kappa": 0.05, "rule": "top_k", "transport": {"steps": 50}}),
        ("esmm", {}),
    ):
        config = Config.parse({"method": method, "model": model, **SMALL})
        found[method] = train.train(config, data.root, folder / method, QUIET)
    return found


@pytest.fixture(scope="session")
def path(runs, data):
    return reports.report(runs["idefn"].root, QUIET, data=data.root, compare=[runs["esmm"].root])


@pytest.fixture(scope="session")
def page(path):
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def gathered(runs, data):
    return material.gather(runs["idefn"], Prepared.open(data.root), [])


@pytest.fixture(scope="session")
def read_page():
    """Reads a page's text."""
    return Page


@pytest.fixture(scope="session")
def metrics_of():
    """Reads a run's metrics.json."""
    return lambda run: json.loads(run.metrics_path.read_text(encoding="utf-8"))
