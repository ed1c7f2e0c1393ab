"""Whether XLA compiles the programs on rows."""

import pytest

from idefn_tf.optimizers.row_sparse import RowSparse


@pytest.fixture
def row_programs(request, monkeypatch):
    """XLA compiles the programs on rows, as in users' models, in tests that are marked `xla`."""
    compiled = request.node.get_closest_marker("xla") is not None
    monkeypatch.setattr(RowSparse, "jit_rows", compiled)
