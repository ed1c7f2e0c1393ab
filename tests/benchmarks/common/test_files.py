"""Results are written whole, or what was there before stays."""

import math

import pytest

from benchmarks.common.files import write_json_whole, write_text_whole, written_beside


def test_the_same_value_gives_the_same_bytes(tmp_path):
    path = tmp_path / "new" / "found.json"
    write_json_whole(path, {"rows": [1, 0.1]})
    assert path.read_text() == '{\n "rows": [\n  1,\n  0.1\n ]\n}\n'


def test_a_number_that_json_has_not_leaves_the_old_file(tmp_path):
    path = tmp_path / "found.json"
    write_json_whole(path, {"ms": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json_whole(path, {"ms": math.nan})
    assert path.read_text() == '{\n "ms": 1\n}\n'


def test_an_error_half_way_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "page.md"
    write_text_whole(path, "old")

    def die_half_way():
        with written_beside(path) as beside:
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        die_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
