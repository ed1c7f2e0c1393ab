"""A call in a process of its own: what it returns, how it fails, and that it never outlives us."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipelines.tuning.subprocess_call import Failed, Stopped, peak_mib, run_apart

ROOT = Path(__file__).resolve().parents[3]
ASKING = """
import signal, sys, time
from pipelines.tuning import subprocess_call
if __name__ == "__main__":
    # tests begun in a shell's background ignore Ctrl-C, and what they start inherits that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        subprocess_call.run_apart({function}, {argument})
    except subprocess_call.Stopped as reason:
        sys.exit(f"stopped: {{reason}}")
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")


def test_it_returns_what_another_process_returned():
    assert run_apart(math.hypot, 3.0, 4.0) == 5.0
    assert run_apart(os.getpid) not in {os.getpid(), run_apart(os.getpid)}


def test_what_it_raised_is_told_with_its_reason_last():
    with pytest.raises(Failed, match=r"Traceback(.|\n)*ValueError: math domain error\n$"):
        run_apart(math.sqrt, -1.0)


def test_a_process_ended_from_outside_is_an_error_that_says_so():
    with pytest.raises(RuntimeError, match="was ended, with status -9"):
        run_apart(signal.raise_signal, signal.SIGKILL)


def test_sigterm_to_the_other_process_stops():
    with pytest.raises(Stopped, match="goes on"):
        run_apart(signal.raise_signal, signal.SIGTERM)


def test_beside_a_main_thread_it_works_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(run_apart(math.sqrt, 4.0)))
    thread.start()
    thread.join()
    assert found == [2.0]


@needs_proc
def test_the_peak_of_memory_is_this_process_own():
    before = peak_mib()
    held = bytearray(b"x" * (300 << 20))
    assert peak_mib() > 290
    assert peak_mib() >= before
    assert run_apart(peak_mib) < 250  # what its parent held is not counted
    del held


# -- ends ----------------------------------------------------------------------------------------


def asking(tmp_path, processes, function="time.sleep", argument="600"):
    """Starts a process that asks another for a long call; returns it and the other's number."""
    path = tmp_path / "asking.py"
    path.write_text(ASKING.format(function=function, argument=argument), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (others := [pid for pid in processes.children(process) if sleeping(pid)]):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    return process, others[0]


def sleeping(pid):
    """Whether a process is within the call: the thread that watches its parent runs."""
    try:
        tasks = len(os.listdir(f"/proc/{pid}/task"))
        return tasks > 1 and "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_asked(tmp_path, processes, number):
    process, other = asking(tmp_path, processes)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert processes.gone(other)
    if number == signal.SIGTERM:
        assert process.returncode == 1
        assert said.startswith("stopped: SIGTERM")


def test_ctrl_c_in_a_terminal_reaches_both_and_only_we_answer(tmp_path, processes):
    process, other = asking(tmp_path, processes)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert processes.gone(other)
    assert process.returncode == -signal.SIGINT
    assert said.count("KeyboardInterrupt") == 1
