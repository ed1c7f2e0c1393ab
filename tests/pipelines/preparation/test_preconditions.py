"""Runs that end early, runs that repeat, and folders that are not ours."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.datasets.simulated_funnel.funnel_world import Options
from pipelines.datasets.simulated_funnel.simulated_funnel import simulate
from pipelines.preparation.prepared_folder import replacing
from pipelines.prepare import Settings, main, prepare

pytestmark = pytest.mark.job

ROOT = Path(__file__).parents[3]
MADE = ROOT / "tests" / "data" / "kuairand_made"
SCHEMA = Schema.load(ROOT / "schemas" / "kuairand_pure.yaml")
SMALL = SCHEMA.model_copy(
    update={"features": tuple(SCHEMA.feature(name) for name in ("user_id", "video_id", "tag"))}
)


def digest(folder):
    """Every file's name, content and time of writing."""
    return {
        str(p.relative_to(folder)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def content(folder):
    return {name: sha for name, (sha, _) in digest(folder).items()}


def again(out, **changes):
    return prepare("kuairand_pure", MADE, out, **{"schema": SMALL, **changes})


def test_running_again_touches_nothing(tmp_path, capsys):
    SMALL.save(tmp_path / "small.yaml")
    arguments = ["kuairand-pure", "--raw", str(MADE), "--out", str(tmp_path / "out")]
    arguments += ["--schema", str(tmp_path / "small.yaml")]
    assert main(arguments) == 0
    before = digest(tmp_path / "out")
    assert main(arguments) == 0
    assert "is already prepared" in capsys.readouterr().err
    assert digest(tmp_path / "out") == before


def test_two_preparations_are_the_same_bytes(tmp_path):
    one = again(tmp_path / "one", settings=Settings(threads=1, part_rows=100))
    two = again(tmp_path / "two", settings=Settings(threads=3, part_rows=100))
    assert content(one.root) == content(two.root)


@pytest.mark.parametrize("what", ["schema", "options", "settings", "raw", "damage"])
def test_anything_that_matters_makes_it_anew(tmp_path, what):
    out = tmp_path / "out"
    before = content(again(out).root)
    changes = {
        "schema": {"schema": SMALL.model_copy(update={"embedding_width": 4})},
        "options": {"options": {"logs": "all"}},
        "settings": {"settings": Settings(part_rows=99)},
    }.get(what, {})
    if what == "raw":
        raw = tmp_path / "raw"
        raw.mkdir()
        for path in MADE.iterdir():
            lines = path.read_text().splitlines()
            (raw / path.name).write_text("\n".join(lines[:-1] if "log" in path.name else lines))
        prepare("kuairand_pure", raw, out, schema=SMALL)
    elif what == "damage":
        (out / "train" / "part-00000.parquet").unlink()
        again(out)
    else:
        again(out, **changes)
    assert (content(out) == before) == (what == "damage")
    assert {p.name for p in tmp_path.iterdir()} <= {"out", "raw"}


@pytest.mark.parametrize("there_before", [False, True])
def test_a_killed_run_leaves_what_was_there_and_the_next_one_cleans_up(
    tmp_path, warm_processes, there_before
):
    raw, out = tmp_path / "raw", tmp_path / "out"
    simulate(raw, Options(exposures=20_000, preset="easy"))
    before = {}
    if there_before:
        again(out)
        before = digest(out)
    command = [sys.executable, "-m", "pipelines.prepare", "simulated-funnel", "--raw", str(raw)]
    command += ["--out", str(out), "--exposures", "20000", "--preset", "easy", "--part-rows", "20"]
    job = warm_processes.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    half = tmp_path / f".tmp-out-{job.pid}" / "train" / "part-00100.parquet"
    try:
        while not half.exists():
            assert job.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()
    assert (tmp_path / f".tmp-out-{job.pid}").exists()  # it was in the middle
    assert (digest(out) if out.exists() else {}) == before
    again(out)
    # the killed run's lock of the raw folder is the next simulation's to remove
    assert {p.name for p in tmp_path.iterdir()} - {".raw.owner"} == {"raw", "out"}
    assert json.loads((out / "card.json").read_text())["dataset"] == "kuairand_pure"


def test_an_error_in_the_middle_leaves_what_was_there(tmp_path):
    out = tmp_path / "out"
    again(out)
    before = digest(out)

    def fails():
        with replacing(out) as building:
            (building / "half").write_text("half")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fails()
    assert digest(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_replacing_swaps_whole_folders(tmp_path):
    out = tmp_path / "out"
    for text in ("one", "two"):
        with replacing(out) as building:
            (building / "card.json").write_text(text)
            (building / text).mkdir()
            if text == "two":
                assert (out / "card.json").read_text() == "one"
        assert (out / "card.json").read_text() == text
    assert sorted(p.name for p in out.iterdir()) == ["card.json", "two"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_the_folder_of_a_run_still_alive_is_left_alone(tmp_path):
    living = tmp_path / f".tmp-out-{os.getppid()}"
    dead = tmp_path / ".tmp-out-99999999"
    living.mkdir()
    dead.mkdir()
    with replacing(tmp_path / "out") as building:
        (building / "card.json").write_text("{}")
    assert living.exists()
    assert not dead.exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_not_ours_is_never_replaced(tmp_path, capsys, kind):
    out = tmp_path / "precious"
    if kind == "folder":
        out.mkdir()
        (out / "thesis.tex").write_text("years of work")
    else:
        out.write_text("years of work")
    before = digest(tmp_path)
    assert main(["kuairand-pure", "--raw", str(MADE), "--out", str(out)]) == 2
    assert "is no folder made by this job" in capsys.readouterr().err
    assert main(["simulated-funnel", "--out", str(out)]) == 2
    assert digest(tmp_path) == before


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "out").mkdir()
    assert again(tmp_path / "out").parts == ("train", "validation", "test")


def test_the_raw_folder_is_never_written_over(tmp_path):
    out = tmp_path / "out"
    again(out)
    raw = out / "raw"
    raw.mkdir()
    for path in MADE.iterdir():
        (raw / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="must not hold the raw folder"):
        prepare("kuairand_pure", raw, out, schema=SMALL, settings=Settings(part_rows=7))
    assert len(list(raw.iterdir())) == 4


def test_part_rows_must_be_positive():
    with pytest.raises(ValueError, match="part_rows: must be at least 1, received 0"):
        Settings(part_rows=0)


def test_another_preparation_is_replaced_with_a_word_or_not_at_all(tmp_path, capsys):
    out = tmp_path / "out"
    prepare("kuairand_pure", MADE, out, schema=SMALL)
    before = digest(out)
    other = SMALL.model_copy(update={"embedding_width": 8})
    with pytest.raises(ValueError, match=r"received another preparation.*\n.*give a new folder"):
        prepare("kuairand_pure", MADE, out, schema=other, settings=Settings(replace=False))
    assert digest(out) == before
    prepare("kuairand_pure", MADE, out, schema=SMALL, settings=Settings(replace=False))  # the same
    assert digest(out) == before
    prepare("kuairand_pure", MADE, out, schema=other, console=Console())
    assert "is replaced, and a run that was trained on it" in " ".join(
        capsys.readouterr().err.split()
    )
    assert digest(out) != before


def test_a_table_without_rows_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "empty.csv").write_text("user,at,is_click,bought\n")
    user = {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}
    labels = {"click": "is_click", "conversion": "bought", "exposure_time": "at"}
    Schema.parse({"name": "shop", "labels": labels, "features": [user]}).save(tmp_path / "s.yaml")
    given = ["--raw", str(tmp_path / "empty.csv"), "--schema", str(tmp_path / "s.yaml")]
    assert main(["table", *given, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "must hold" in said
    assert "Traceback" not in said
