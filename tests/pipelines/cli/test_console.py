"""What jobs say, where they say it, and how they end."""

import io

import pytest

from pipelines.cli.console import USER_ERROR, Console, run_job


def said(speak, **options):
    stream = io.StringIO()
    speak(Console(stream=stream, **options))
    return stream.getvalue()


def test_plain_lines_where_there_is_no_terminal():
    def speak(console):
        console.reading("/a/log.csv", "(1.0 MB)")
        console.step("counts [rows]")
        console.wrote("/b")
        with console.progress("writes", total=2) as advance:
            advance(1)
            advance(1)

    assert said(speak).splitlines() == [
        "reads /a/log.csv (1.0 MB)",
        "does  counts [rows]",
        "wrote /b",
        "does  writes",
    ]


def test_quiet_keeps_warnings_errors_and_loud_tables():
    def speak(console):
        console.step("counts")
        console.note("by the way")
        console.table("hidden", ["a"], [["1"]])
        console.warn("odd [x]")
        console.error("wrong")
        console.table("shown", ["a"], [["1"]], loud=True)
        with console.progress("writes") as advance:
            advance(1)

    text = said(speak, quiet=True)
    assert text.startswith("warning odd [x]\nerror wrong\n")
    assert "shown" in text
    assert not {"counts", "hidden", "writes", "by the way"} & set(text.split())


def test_tables_hold_whole_cells_in_log_files():
    days = "2022-04-25..2022-05-02"
    text = said(lambda c: c.table("t", ["part", "days", "rows"], [["train", days, f"{131474:,}"]]))
    assert days in text
    assert "131,474" in text


def test_long_paths_are_not_broken():
    path = "/" + "deep/" * 60 + "out"
    assert path in said(lambda c: c.wrote(path))


@pytest.mark.parametrize(
    ("job", "status"),
    [(lambda: None, 0), (lambda: True, 1), (lambda: 3, 3), (lambda: "text", 0)],
)
def test_a_jobs_own_status_is_kept(job, status):
    assert run_job(job, Console()) == status


def test_users_errors_are_one_message_and_status_two(capsys):
    def fails():
        raise ValueError("--raw: must be a folder")

    def misses():
        raise FileNotFoundError(2, "No such file", "x.csv")

    assert run_job(fails, Console(quiet=True)) == USER_ERROR == 2
    assert run_job(misses, Console(quiet=True)) == USER_ERROR
    error = capsys.readouterr().err
    assert error.splitlines() == [
        "error --raw: must be a folder",
        "error [Errno 2] No such file: 'x.csv'",
    ]


def test_the_traceback_can_be_asked_for(capsys, monkeypatch):
    def fails():
        raise ValueError("why")

    monkeypatch.setenv("IDEFN_TRACEBACK", "1")
    assert run_job(fails, Console(quiet=True)) == USER_ERROR
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_and_a_defect_are_told_apart(capsys):
    def stops():
        raise KeyboardInterrupt

    def defect():
        raise ZeroDivisionError

    assert run_job(stops, Console(quiet=True)) == 130
    assert "nothing half-written" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        run_job(defect, Console(quiet=True))
