"""A folder has one owner: a second process is told who holds it, and a kill frees it."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from pipelines import prepare, run
from pipelines.cli.folder_owner import one_owner, owned

HOLD = """
import sys, time
from pipelines.cli.folder_owner import owned
with owned(sys.argv[1], "train"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds tmp_path/run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_told_who_holds_the_folder(holder, tmp_path):
    message = (
        rf"--out: .*run must be written by one job .* in use by train \(process {holder.pid} on"
    )
    with pytest.raises(ValueError, match=message), owned(tmp_path / "run", "train"):
        pytest.fail("two owners")
    with owned(tmp_path / "other", "train"):  # another folder is free
        pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_kill_frees_it(holder, tmp_path, number):
    holder.send_signal(number)
    holder.wait(20)
    with owned(tmp_path / "run", "tune"):
        owner = json.loads((tmp_path / ".run.owner").read_text())
        assert (owner["job"], owner["pid"]) == ("tune", os.getpid())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", owner["start"])
    assert not (tmp_path / ".run.owner").exists()


def test_jobs_inside_one_another_hold_it_along(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "run", target_is_directory=True)
    with owned(tmp_path / "run", "train"), owned(link, "report"):
        assert json.loads((tmp_path / ".run.owner").read_text())["job"] == "train"
    with pytest.raises(RuntimeError), owned(tmp_path / "run", "train"):
        raise RuntimeError
    with owned(tmp_path / "run", "train"):  # an error frees it, too
        pass


def test_many_takers_one_at_a_time(tmp_path):
    """Owners that come and go remove their file; nobody may lock the removed one."""
    code = """
import sys, time
from pathlib import Path
from pipelines.cli.folder_owner import owned
mine = Path(sys.argv[2])
for _ in range(150):
    try:
        with owned(sys.argv[1], "train"):
            mine.mkdir()
            mine.rmdir()
    except ValueError:
        time.sleep(0.001)
"""
    arguments = [sys.executable, "-c", code, str(tmp_path / "run"), str(tmp_path / "alone")]
    many = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in many:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error


def test_a_job_names_its_option(holder, tmp_path):
    @one_owner("report", "run_dir")
    def report(run_dir, page="x"):
        return page

    with pytest.raises(ValueError, match=r"^--run: "):
        report(tmp_path / "run")
    assert report(tmp_path / "free") == "x"

    @one_owner("train", unless=lambda given: given["follows"])
    def train(out, follows):
        return follows

    assert train(tmp_path / "run", follows=True) is True
    with pytest.raises(ValueError, match=r"^--out: "):
        train(tmp_path / "run", follows=False)


def test_a_simulation_is_not_replaced_under_the_preparation_that_reads_it(holder, tmp_path, capsys):
    command = ["simulated-funnel", "--exposures", "2000", "--quiet"]
    assert prepare.main([*command, "--out", str(tmp_path / "run")]) == 2
    assert not (tmp_path / "run_raw").exists()
    assert "--out: " in capsys.readouterr().err
    assert prepare.main([*command, "--raw", str(tmp_path / "run"), "--out", str(tmp_path / "b")])
    assert "--raw: " in capsys.readouterr().err


def test_the_whole_way_has_one_owner(holder, tmp_path, capsys):
    assert run.main(["--out", str(tmp_path / "run"), "--methods", "esmm"]) == 2
    assert "in use by train" in capsys.readouterr().err
