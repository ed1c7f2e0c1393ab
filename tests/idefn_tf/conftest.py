"""Small features for the tests of backbones and methods."""

from collections.abc import Callable

import pytest

from idefn_tf.features import FeatureColumns
from idefn_tf.features.field import Field


@pytest.fixture(scope="session")
def tiny_features() -> Callable[[], FeatureColumns]:
    """Makes a layer of two embedded fields of width 4 and a number between: z has 9 columns."""

    def make() -> FeatureColumns:
        return FeatureColumns(
            [
                Field("user", "identity", "int64", 4, known=20, table="user", side="user"),
                Field("price", "numeric", "float32", 1, table="price"),
                Field("item", "identity", "int64", 4, known=10, table="item", side="item"),
            ],
            embedding_stddev=0.5,
        )

    return make
