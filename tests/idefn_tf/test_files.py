"""Atomic writing: a name holds the old whole or the new whole, whatever happens in between."""

import errno
import json
import math
import os
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from idefn_tf._files import atomic_folder, atomic_path, read_json, write_json, write_text

KILLED = """
import os, signal, sys
from idefn_tf._files import atomic_path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
with atomic_path(sys.argv[1]) as sibling:
    sibling.write_text("half")
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))
"""


def only(folder):
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": [1, 2', r"a.json: must be a whole JSON file, received 11 bytes that are none \("),
        (b"", r"must be a whole JSON file, received 0 bytes"),
        (b'{"a": "\xff"}', r"must be a whole JSON file, received 10 bytes that are none \('utf-8'"),
        (b"[1]", r"must hold a JSON object, received list; ask somebody"),
    ],
)
def test_a_damaged_file_is_named_with_its_cure(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_json(path, "ask somebody")
    assert str(raised.value).startswith(str(path))
    assert str(raised.value).endswith("; ask somebody")


def test_what_was_written_is_read(tmp_path):
    write_json(tmp_path / "a.json", {"é": [1, None]})
    assert read_json(tmp_path / "a.json") == {"é": [1, None]}


def test_the_same_value_gives_the_same_bytes(tmp_path):
    path = tmp_path / "new" / "found.json"
    write_json(path, {"rows": [1, 0.1], "é": None})
    assert path.read_bytes() == '{\n "rows": [\n  1,\n  0.1\n ],\n "é": null\n}\n'.encode()
    assert only(path.parent) == ["found.json"]


def test_the_sibling_is_hidden_and_ends_as_the_file(tmp_path):
    with atomic_path(tmp_path / "best.keras") as sibling:
        sibling.write_text("new")
        assert sibling.parent == tmp_path
        assert sibling.name.startswith(".tmp-")
        assert sibling.suffix == ".keras"


def broken_off(path, error, writer=atomic_path):
    with writer(path) as sibling:
        (sibling / "half" if sibling.is_dir() else sibling).write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_middle_leaves_the_old_file_and_no_sibling(tmp_path, error):
    path = tmp_path / "page.md"
    write_text(path, "old")
    with pytest.raises(error):
        broken_off(path, error)
    assert path.read_text() == "old"
    assert only(tmp_path) == ["page.md"]


def test_a_reader_of_the_old_file_reads_it_to_the_end(tmp_path):
    path = tmp_path / "page.md"
    write_text(path, "old, first line\nold, second line\n")
    with path.open() as file:
        assert next(file) == "old, first line\n"
        write_text(path, "new")
        file.seek(0)
        assert file.read() == "old, first line\nold, second line\n"
    assert path.read_text() == "new"


@pytest.mark.parametrize(("name", "left"), [("SIGKILL", 2), ("SIGINT", 1)])
def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path, name, left):
    """SIGKILL lets no code run: the sibling stays, hidden, and the next writer's is another."""
    path = tmp_path / "page.md"
    write_text(path, "old")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), name], capture_output=True, check=False
    )
    assert done.returncode != 0
    assert path.read_text() == "old"
    assert len(only(tmp_path)) == left
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_full_disk_is_told_with_the_files_name(tmp_path):
    path = tmp_path / "page.md"
    write_text(path, "old")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match=r"No space left.*what was there stays.*page\.md") as e:
        broken_off(path, full)
    assert e.value.errno == errno.ENOSPC
    assert e.value.filename == str(path)
    assert path.read_text() == "old"
    assert only(tmp_path) == ["page.md"]


def test_an_error_about_another_file_is_told_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError) as e, atomic_path(tmp_path / "page.md"):
        (tmp_path / "source.csv").read_text()
    assert e.value.filename == str(tmp_path / "source.csv")


def test_a_writer_that_writes_nothing_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"page\.md"), atomic_path(tmp_path / "page.md"):
        pass


def test_permission_bits_are_the_old_files_or_the_usual(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "new", "a")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    (tmp_path / "new").chmod(0o604)
    write_text(tmp_path / "new", "b")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o604


def test_a_number_that_json_has_not_leaves_the_old_file(tmp_path):
    path = tmp_path / "found.json"
    write_json(path, {"ms": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"ms": math.nan})
    assert path.read_text() == '{\n "ms": 1\n}\n'


def test_a_folder_is_replaced_whole_or_stays(tmp_path):
    out = tmp_path / "out"
    for text in ("first", "second"):
        with atomic_folder(out) as building:
            (building / text).write_text(text)
            assert building.name == f".tmp-out-{os.getpid()}"
        assert only(out) == [text]
    with pytest.raises(RuntimeError):
        broken_off(out, RuntimeError, atomic_folder)
    assert only(out) == ["second"]
    assert only(tmp_path) == ["out"]


def test_leftovers_of_the_dead_are_removed_and_of_the_living_kept(tmp_path):
    (tmp_path / ".tmp-out-99999999").mkdir()
    (tmp_path / f".tmp-out-{os.getppid()}").mkdir()
    with atomic_folder(tmp_path / "out"):
        pass
    assert sorted(only(tmp_path)) == [f".tmp-out-{os.getppid()}", "out"]


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
NESTED = st.recursive(
    PLAIN | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(NESTED)
@example({"kind": "vocabulary", "values": [], "capacity": 9})
@example({"kind": "vocabulary", "values": [7], "capacity": 9})
@example({"kind": "vocabulary", "values": [-3, 2**53 + 1], "capacity": 9})
@example({"kind": "vocabulary", "values": ["ü", 'a "quoted", b', "\n\u2028"], "capacity": 9})
def test_json_is_written_as_the_standard_librarys_indents_have_it(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json(path, value)
    written = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    assert path.read_bytes() == written.encode("utf-8", "surrogatepass")
