"""Versions appear by renaming, in order, and are removed from the oldest on."""

import multiprocessing
import os
import socket
import subprocess
import sys

import pytest

from idefn_tf.export import versions


def make(base, *numbers):
    for number in numbers:
        (base / str(number)).mkdir(parents=True)


def test_only_integer_folders_are_versions(tmp_path):
    make(tmp_path, 2, 10, "003", ".tmp-host-1", "latest", "-4", "1.5", "٣")
    (tmp_path / "7").write_text("a file")
    assert list(versions.list_versions(tmp_path)) == [2, 3, 10]
    assert versions.next_version(tmp_path) == 11
    assert versions.list_versions(tmp_path / "absent") == {}
    assert versions.next_version(tmp_path / "absent") == 1


def test_no_version_beyond_int64(tmp_path):
    make(tmp_path, 2**63 - 1)
    with pytest.raises(ValueError, match="highest that an int64 can name"):
        versions.next_version(tmp_path)


def test_error_removes_what_was_built(tmp_path):
    def build():
        with versions.building(tmp_path / "cvr") as folder:
            (folder / "variables").mkdir()
            (folder / "variables" / "half").write_text("x")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        build()
    assert list((tmp_path / "cvr").iterdir()) == []


def test_leftovers_of_dead_exports_go_and_those_of_others_stay(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    mine, gone = f".tmp-{host}-{os.getppid()}", f".tmp-{host}-{dead.pid}"
    make(tmp_path, mine, gone, f"{gone}-old", f".tmp-elsewhere-{dead.pid}")
    with versions.building(tmp_path):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [mine, f".tmp-elsewhere-{dead.pid}"]
    )


def publish_some(base, count):
    for _ in range(count):
        with versions.building(base) as folder:
            (folder / "saved_model.pb").write_text(str(os.getpid()))
            versions.publish(folder, base)


def test_exports_at_the_same_time_get_different_versions(tmp_path):
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=publish_some, args=(tmp_path, 10)) for _ in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * 4
    assert list(versions.list_versions(tmp_path)) == list(range(1, 41))
    owners = [(tmp_path / str(n) / "saved_model.pb").read_text() for n in range(1, 41)]
    assert sorted(map(owners.count, set(owners))) == [10] * 4


def test_prune_keeps_the_newest_and_the_protected(tmp_path):
    make(tmp_path, 1, 2, 3, 4, 10, ".tmp-x-1", "notes")
    assert versions.prune(tmp_path, 2, protect={1, 99}) == [2, 3]
    assert sorted(p.name for p in tmp_path.iterdir()) == [".tmp-x-1", "1", "10", "4", "notes"]
    assert versions.prune(tmp_path, 5) == []


def test_two_exports_that_clean_up_at_once(tmp_path):
    """Each removes what it finds first; what the other removed is no error."""
    make(tmp_path / "cvr", *range(1, 601))
    code = """
import sys
from idefn_tf.export import versions
print(*versions.prune(sys.argv[1], 1))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "cvr")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    removed = [process.communicate(timeout=120)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(int(number) for some in removed for number in some) == list(range(1, 600))
    assert [path.name for path in (tmp_path / "cvr").iterdir()] == ["600"]


def test_arguments_are_checked(tmp_path):
    with pytest.raises(ValueError, match="keep: must be 1 or more, received 0"):
        versions.prune(tmp_path, 0)
    with (
        pytest.raises(ValueError, match="local folder, received s3://"),
        versions.building("s3://bucket/cvr"),
    ):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="received a file"), versions.building(tmp_path / "file"):
        pass
