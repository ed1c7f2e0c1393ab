"""Plants known faults, one at a time, and asks whether the tests that ought to find each do.

    python -m tests.planted_faults --checkout DIR --out faults.json
    python -m tests.planted_faults --faults 3,7
    python -m tests.planted_faults --sound          the same tests on the code as it is

A faster suite has lost nothing if it still finds them all. Each fault is one line of one source
file, edited in place and put back, also after Ctrl-C and SIGTERM; what a kill leaves is put back by
the next run. A fault whose line stands in none of its files is "moved": no proof of anything.
Faults that are done in --out, planted and tested as they are written here, are not run again.

Exit status: 0 if all that ran were found (with --sound: if all tests pass), 1 if not, 2 after an
error.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from idefn_tf._files import write_json

#: What is added to a file's name while it holds a fault: the file as it was.
ASIDE = ".as-it-was"
#: Seconds after which tests are ended; their fault does not count as found.
PATIENCE = 300
#: What pytest's exit status says.
OUTCOMES = {0: "not found", 1: "found", 2: "not collected", 4: "no such tests", 5: "no such tests"}
#: Outcomes after which a fault is not run again.
DONE = ("found", "not found")
#: What they are called where the tests run without the fault.
SOUND = {"found": "failing", "not found": "passing"}
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


class Fault(NamedTuple):
    """One line that is wrong.

    Attributes:
        kind: what is wrong with it.
        files: where the line stands; the first of those that hold it is taken.
        line: a fragment of the line as it is, which stands once in the file.
        wrong: the fragment as the fault has it.
        tests: what pytest is given: files, node ids, options.
    """

    kind: str
    files: tuple[str, ...]
    line: str
    wrong: str
    tests: tuple[str, ...]


def read_faults(path: Path = Path(__file__).parent / "data" / "planted_faults.yaml") -> list[Fault]:
    """Reads the faults, in the order of their numbers."""
    faults = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        tests = [f"tests/{name}" for name in entry["tests"]]
        tests += ["-k", entry["some"]] if "some" in entry else []
        faults.append(
            Fault(entry["kind"], tuple(entry["files"]), entry["line"], entry["wrong"], tuple(tests))
        )
    return faults


FAULTS = read_faults()


@dataclass
class Book:
    """What is known so far, kept in a file from fault to fault.

    Attributes:
        path: the file, or None.
        entries: by the fault's number as text.
    """

    path: Path | None
    entries: dict[str, dict[str, Any]]

    @classmethod
    def open(cls, path: Path | None) -> Book:
        """Opens what an earlier run wrote, if there is any."""
        if path is None or not path.is_file():
            return cls(path, {})
        return cls(path, json.loads(path.read_text(encoding="utf-8"))["faults"])

    def done(self, number: int, told: dict[str, Any], sound: bool) -> bool:
        """Whether this very fault has been run to its end."""
        entry = self.entries.get(str(number), {})
        outcomes = tuple(SOUND.values()) if sound else DONE
        return entry.get("outcome") in outcomes and all(entry[key] == told[key] for key in told)

    def note(self, number: int, entry: dict[str, Any], about: dict[str, Any]) -> None:
        """Adds a fault's entry and writes the file, whole or not at all."""
        self.entries[str(number)] = entry
        if self.path is None:
            return
        listed = dict(sorted(self.entries.items(), key=lambda item: int(item[0])))
        write_json(self.path, {**about, "faults": listed})


@contextlib.contextmanager
def alone(checkout: Path) -> Iterator[None]:
    """Keeps other runs out of the checkout, and puts back what a killed one left.

    Raises:
        ValueError: if it is no checkout, or another run is in it.
    """
    if not (checkout / "idefn_tf").is_dir():
        raise ValueError(f"--checkout: {checkout} must be a checkout of this repository")
    folder = os.open(checkout, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"--checkout: another run is at work in {checkout}") from None
        for name in {name for fault in FAULTS for name in fault.files}:
            aside = checkout / (name + ASIDE)
            if aside.exists():
                aside.replace(checkout / name)
        yield
    finally:
        os.close(folder)


def place_of(fault: Fault, checkout: Path) -> Path | None:
    """Returns the file that holds the line once, None if none holds it.

    Raises:
        ValueError: if a file holds it more than once.
    """
    for name in fault.files:
        path = checkout / name
        count = path.read_text(encoding="utf-8").count(fault.line) if path.is_file() else 0
        if count > 1:
            raise ValueError(f"{name}: must hold {fault.line!r} once, holds it {count} times")
        if count:
            return path
    return None


@contextlib.contextmanager
def planted(path: Path, fault: Fault) -> Iterator[None]:
    """Gives the file its fault, and in the end the very file back that was there."""
    aside = path.with_name(path.name + ASIDE)
    text = path.read_text(encoding="utf-8")
    try:
        path.rename(aside)
        path.write_text(text.replace(fault.line, fault.wrong), encoding="utf-8")
        yield
    finally:
        if aside.exists():
            aside.replace(path)


def run_tests(checkout: Path, tests: Sequence[str]) -> tuple[str, str | None]:
    """Runs tests until the first that fails.

    Returns:
        The outcome, and the first failing test or what else pytest said last.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    # no compiled file of a fault may outlive it
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        command,
        cwd=checkout,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return "out of time", None
    finally:  # with servers and workers that a failing test may have left
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    outcome = OUTCOMES.get(process.returncode, f"pytest ended with {process.returncode}")
    failed = _FAILED.search(said)
    last = said.strip().rpartition("\n")[2]
    return outcome, failed[1] if failed else None if outcome == "not found" else last


def try_fault(checkout: Path, fault: Fault, path: Path | None, sound: bool) -> dict[str, Any]:
    """Runs a fault's tests with it, or without if only their soundness is asked for."""
    if path is None:
        return {"outcome": "moved", "seconds": 0.0, "first": None}
    began = time.monotonic()
    with contextlib.nullcontext() if sound else planted(path, fault):
        outcome, first = run_tests(checkout, fault.tests)
    if sound:
        outcome = SOUND.get(outcome, outcome)
    return {"outcome": outcome, "seconds": round(time.monotonic() - began, 1), "first": first}


def commit_of(checkout: Path) -> str:
    """Returns the checkout's commit, with a mark where files differ from it."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _chosen(text: str | None) -> list[int]:
    numbers = range(1, len(FAULTS) + 1)
    if text is None:
        return list(numbers)
    try:
        chosen = [int(piece) for piece in text.split(",")]
    except ValueError:
        chosen = [0]
    if not set(chosen) <= set(numbers):
        raise ValueError(f"--faults: must be numbers from 1 to {len(FAULTS)}, received {text!r}")
    return chosen


def check(checkout: Path, chosen: Sequence[int], book: Book, sound: bool) -> list[str]:
    """Runs faults one after the other; returns their outcomes."""
    places = {number: place_of(FAULTS[number - 1], checkout) for number in chosen}
    about = {"commit": commit_of(checkout)}
    outcomes = []
    for number in chosen:
        fault, path = FAULTS[number - 1], places[number]
        told: dict[str, Any] = {"kind": fault.kind, "line": fault.line, "wrong": fault.wrong}
        told |= {"tests": list(fault.tests)}
        if not book.done(number, told, sound):
            entry = {
                **told,
                "file": str(path.relative_to(checkout)) if path else fault.files[0],
                **try_fault(checkout, fault, path, sound),
            }
            book.note(number, entry, about)
        entry = book.entries[str(number)]
        outcomes.append(entry["outcome"])
        print(
            f"{number:3d} {entry['outcome']:10s} {entry['seconds']:6.1f} s  {entry['file']}: "
            f"{fault.kind}; {entry['first'] or '-'}",
            flush=True,
        )
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the top of this file for its exit status."""
    made = argparse.ArgumentParser(
        prog="python -m tests.planted_faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    here = Path(__file__).resolve().parents[1]
    made.add_argument("--checkout", type=Path, default=here, help="where to plant; default: here")
    made.add_argument("--out", type=Path, help="JSON to write, and to go on from")
    made.add_argument("--faults", help="numbers such as 3,7; default: all")
    made.add_argument("--sound", action="store_true", help="run the tests without the faults")
    given = made.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: what is planted goes
    checkout = given.checkout.resolve()
    try:
        with alone(checkout):
            chosen = _chosen(given.faults)
            outcomes = check(checkout, chosen, Book.open(given.out), given.sound)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; every file is as it was", file=sys.stderr)
        return 130
    wanted = "passing" if given.sound else "found"
    counts = {outcome: outcomes.count(outcome) for outcome in dict.fromkeys(outcomes)}
    print("; ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 0 if counts.keys() == {wanted} else 1


if __name__ == "__main__":
    sys.exit(main())
