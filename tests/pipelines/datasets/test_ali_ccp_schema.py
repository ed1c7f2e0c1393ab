"""Schemas for Ali-CCP that its files cannot fill."""

from pathlib import Path

import pytest

from idefn_tf.schema import Schema
from pipelines.prepare import prepare

SHIPPED = Schema.load(Path(__file__).parents[3] / "schemas" / "ali_ccp.yaml").model_dump(
    mode="json"
)
LINE = "1,1,0,a,2,205\x029\x031.0\x01210\x024\x031.0\n"


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (({"name": "a", "column": "999"},), "'a' needs the raw column '999', which no file holds"),
        (
            ({"name": "a", "column": "210"}, {"name": "b", "column": "210", "max_length": 3}),
            "'b' reads the field 210 otherwise than another feature",
        ),
    ],
)
def test_a_schema_that_the_files_cannot_fill_is_refused(tmp_path, features, message):
    raw = tmp_path / "raw"
    raw.mkdir()
    for origin in ("train", "test"):  # one user, one exposure, an item and a category
        (raw / f"common_features_{origin}.csv").write_text("a,1,101\x025\x031.0\n")
        (raw / f"sample_skeleton_{origin}.csv").write_text(LINE)
    base = {"dtype": "int64", "side": "item", "kind": "vocabulary"}
    columns = [{**base, **feature} for feature in features]
    schema = Schema.parse({**SHIPPED, "user_key": None, "features": columns})
    with pytest.raises(ValueError, match="schema: ") as caught:
        prepare("ali_ccp", raw, tmp_path / "out", schema=schema)
    assert message in str(caught.value)
