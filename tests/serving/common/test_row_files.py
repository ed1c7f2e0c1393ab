"""Rows of a file for a request: from where they are taken, and what is no such file."""

import pandas as pd
import pytest

from serving.common.row_files import read_rows


def test_the_first_parquet_file_of_a_folder_is_read(tmp_path):
    for name, first in (("b", 10), ("a", 1)):
        pd.DataFrame({"user": [first, first + 1]}).to_parquet(tmp_path / f"{name}.parquet")
    assert read_rows(str(tmp_path), 1, None) == [{"user": 1}]
    assert read_rows(str(tmp_path / "b.parquet"), 5, None) == [{"user": 10}, {"user": 11}]


def test_a_folder_without_one_and_another_form_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^--data: .* holds no Parquet file$"):
        read_rows(str(tmp_path), 1, None)
    (tmp_path / "rows.json").write_text("[]")
    for name in ("rows.json", "absent.csv"):
        with pytest.raises(ValueError, match=rf"^--data: .*{name} must be a CSV or Parquet file;"):
            read_rows(str(tmp_path / name), 1, None)
