"""A grid goes on from the file beside its table."""

import json

from benchmarks.feedback.kept_cells import keep_cells, restore_cells


def test_what_a_folder_lacks_is_restored_and_what_it_has_stays(tmp_path):
    first, second, path = tmp_path / "first", tmp_path / "second", tmp_path / "table.json"
    assert restore_cells(path, first) == 0  # nothing was kept yet
    for name, value in (("b", 2), ("a", 1)):
        (first / f"{name}.json").write_text(json.dumps({"auc": value}))
    keep_cells(first, path)
    assert json.loads(path.read_text()) == {"a": {"auc": 1}, "b": {"auc": 2}}
    second.mkdir()
    (second / "a.json").write_text('{"auc": 7}')
    (second / "c.json").write_text('{"auc": 3}')
    assert restore_cells(path, second) == 1
    assert json.loads((second / "a.json").read_text()) == {"auc": 7}
    assert json.loads((second / "b.json").read_text()) == {"auc": 2}
    keep_cells(second, path)
    assert list(json.loads(path.read_text())) == ["a", "b", "c"]
