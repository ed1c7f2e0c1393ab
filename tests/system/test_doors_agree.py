"""Strange cells: one score through a table, the client and plain REST (`benchmarks.agreement`)."""

import numpy as np
import pytest

from benchmarks.agreement import shop
from benchmarks.agreement.command import WRONG
from benchmarks.agreement.doors import Doors, draw, refusals
from idefn_tf.export import export_model
from pipelines.run import embedded_server
from serving.client import Client

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    model = shop.train()
    version = export_model(model, shop.SCHEMA, tmp_path_factory.mktemp("models") / "cvr")
    with embedded_server("cvr", version.parent) as url, Client(url, "cvr", shop.SCHEMA) as client:
        yield Doors(model, shop.SCHEMA, client)


@pytest.mark.parametrize("seed", range(8))
def test_scores_of_strange_cells_are_equal(doors, seed):
    batch = draw(shop.SCHEMA, np.random.default_rng(seed), 25)
    assert list(doors.compare(batch)) == []
    scores = doors.table(batch.frame)["cvr"]
    assert np.mean((scores > 0.001) & (scores < 0.999)) > 0.8  # a difference would show
    assert len(np.unique(scores)) > 20


@pytest.mark.parametrize("name", ["shelf", "rating", "code"])
def test_cells_that_mean_nothing_are_refused_by_every_door(doors, name):
    plain = shop.exposures(3).drop(columns=["position", "click", "buy"])
    taken = {
        repr(cell): found
        for cell in WRONG[shop.SCHEMA.feature(name).dtype]
        if (found := refusals(doors, plain, name, cell))
    }
    assert taken == {}
