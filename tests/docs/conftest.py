"""The README's example with the two files that it reads."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def readme_example(tmp_path):
    """The example, made smaller; exposures.parquet and schema.yaml are in tmp_path."""
    rng = np.random.default_rng(0)
    rows = 1000
    click = (rng.random(rows) < 0.4).astype(int)
    made = {
        "user": rng.integers(0, 90, rows),
        "item": rng.integers(0, 30, rows),
        "click": click,
        "bought": click * (rng.random(rows) < 0.3),
    }
    pd.DataFrame(made).to_parquet(tmp_path / "exposures.parquet")
    features = [
        {"name": side, "dtype": "int64", "side": side, "kind": "vocabulary"}
        for side in ("user", "item")
    ]
    labels = {"click": "click", "conversion": "bought"}
    schema = {"name": "made", "labels": labels, "features": features}
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(schema), encoding="utf-8")
    page = README.read_text(encoding="utf-8")
    (text,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return text.replace("80_000", "800").replace("epochs=3", "epochs=1, verbose=0")
