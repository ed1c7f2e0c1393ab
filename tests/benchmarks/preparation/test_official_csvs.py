"""Raw files at the official size: every row several times, none of them a duplicate."""

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from benchmarks.preparation.official_csvs import LOGS, make


def test_every_row_stands_several_times_in_the_order_of_time(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    log = pa.table({"user_id": [1, 2, 3], "time_ms": [50, 10, 90]})
    pq.write_table(log, source / "log_standard_4_25_to_5_06_pure.parquet")
    for name in ("user_features_pure.csv", "video_features_basic_pure.csv"):
        (source / name).write_text(f"{name}\n1\n", encoding="utf-8")
    assert make(source, tmp_path / "raw", 2) == 6
    first, second = (pa.csv.read_csv(tmp_path / "raw" / name) for name in LOGS)
    rows = pa.concat_tables([first, second]).to_pydict()
    assert rows == {"user_id": [2, 2, 1, 1, 3, 3], "time_ms": [10, 11, 50, 51, 90, 91]}
    assert first.num_rows == 3
    copied = (tmp_path / "raw" / "user_features_pure.csv").read_text(encoding="utf-8")
    assert copied == "user_features_pure.csv\n1\n"


def test_a_folder_without_logs_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--kuairand: .* must hold log_standard_\* files"):
        make(tmp_path, tmp_path / "raw", 1)
