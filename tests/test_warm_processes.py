"""Processes started warm are as those that `subprocess` starts: status, streams, environment."""

import json
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


def python(code, *words):
    return [sys.executable, "-c", code, *map(str, words)]


@pytest.fixture(params=["cold", "warm"])
def processes(request):
    """`subprocess` itself, and what stands in for it."""
    return subprocess if request.param == "cold" else request.getfixturevalue("warm_processes")


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [("print('out')", 0, ""), ("import sys; print('out'); sys.exit(3)", 3, ""),
     ("print('out'); raise SystemExit('gone')", 1, "gone\n"),
     ("import os; print('out', flush=True); os._exit(4)", 4, ""),
     ("import os, signal; print('out', flush=True); os.kill(os.getpid(), signal.SIGKILL)",
      -signal.SIGKILL, ""),
     ("print('out'); raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt\n"),
     ("print('out'); 1 / 0", 1, "ZeroDivisionError: division by zero\n")],
)  # fmt: skip
def test_exit_status_and_streams(processes, code, status, said):
    done = processes.run(python(code), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (status, "out\n")
    assert done.stderr.endswith(said)
    assert done.stderr.startswith("Traceback" if "Error" in said or "Interrupt" in said else said)
    assert ('File "<string>", line 1, in <module>' in done.stderr) == ("Traceback" in done.stderr)


def test_environment_folder_arguments_and_input(processes, tmp_path, monkeypatch):
    code = (
        "import json, os, subprocess, sys, tempfile, atexit\n"
        "atexit.register(print, 'at the end')\n"
        "print(json.dumps([os.getcwd(), sys.argv, sys.path[0], os.getenv('HERE'), os.getenv('NO'),"
        " tempfile.gettempdir(), __name__, sys.stdin.read(), os.getpid(),"
        " [m for m in sys.modules if m.startswith(('idefn_tf', 'pipelines', 'serving'))],"
        " subprocess.run(['printenv', 'HERE'], capture_output=True, text=True).stdout]))\n"
    )
    monkeypatch.setenv("NO", "left out")
    env = {k: v for k, v in os.environ.items() if k != "NO"}
    env |= {"HERE": "é", "TMPDIR": str(tmp_path)}
    out = tmp_path / "out.txt"
    with (
        out.open("wb") as file,
        processes.Popen(
            python(code, "a b", "-c"), cwd=tmp_path, env=env, stdin=subprocess.PIPE,
            stdout=file, stderr=subprocess.STDOUT, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.communicate("asked\n", timeout=60) == (None, None)
    first, last = out.read_text().splitlines()
    assert json.loads(first) == [
        str(tmp_path), ["-c", "a b", "-c"], "", "é", None, str(tmp_path), "__main__", "asked\n",
        process.pid, [], "é\n",
    ]  # fmt: skip
    assert last == "at the end"


def test_a_module_and_a_file(processes, tmp_path):
    (tmp_path / "job.py").write_text(
        "import sys, pickle\nclass A: pass\npickle.dumps(A())\n"
        "print(__name__, __file__, sys.argv, sys.path[0])\nsys.exit(5)\n"
    )
    path = str(tmp_path / "job.py")
    for words in (["-m", "job"], [path]):
        done = processes.run(
            [sys.executable, *words, "x"], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 5, done.stderr
        assert done.stdout == f"__main__ {path} {[path, 'x']} {tmp_path}\n"
    done = processes.run([sys.executable, "-m", "no_such"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "No module named" in done.stderr


def test_two_at_once_with_tensorflow_and_signals(warm_processes):
    code = (
        "import os, sys, time, tensorflow as tf\n"
        "print(float(tf.reduce_sum(tf.ones((3, int(sys.argv[1]))))), flush=True)\n"
        "time.sleep(600)"
    )
    started = [warm_processes.Popen(python(code, n), **PIPES) for n in (2, 3)]
    assert [p.stdout.readline() for p in started] == ["6.0\n", "9.0\n"]
    assert started[0].pid != started[1].pid
    assert [p.poll() for p in started] == [None, None]
    with pytest.raises(subprocess.TimeoutExpired):
        started[0].wait(0.01)
    with pytest.raises(subprocess.TimeoutExpired):
        started[0].communicate(timeout=0.01)
    started[0].kill()
    started[1].terminate()
    assert started[0].communicate() == ("", "")
    assert started[1].communicate() == ("", "")
    assert [p.returncode for p in started] == [-signal.SIGKILL, -signal.SIGTERM]
    for process in started:
        process.kill()  # there is nobody any more
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)


def test_random_numbers_differ_between_children(warm_processes):
    code = "import random, numpy; print(random.random(), numpy.random.random())"
    said = [warm_processes.run(python(code), capture_output=True).stdout.split() for _ in range(2)]
    assert len({*said[0], *said[1], str(random.random()).encode()}) == 5


def test_a_run_that_fails_or_takes_too_long(processes):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        processes.run(python("print(1); exit(2)"), check=True, capture_output=True)
    assert (failed.value.returncode, failed.value.stdout) == (2, b"1\n")
    with pytest.raises(subprocess.TimeoutExpired):
        processes.run(python("import time; time.sleep(600)"), timeout=0.1)


def test_what_it_cannot_start_is_said(warm_processes):
    for words, message in (
        (["ls"], "must begin with"),
        ([sys.executable, "-I", "x"], "go on with"),
    ):
        with pytest.raises(ValueError, match=message):
            warm_processes.Popen(words)


def test_variables_read_at_the_import_get_a_parent_of_their_own(warm_processes):
    code = "import os; print(os.getenv('TF_A'), os.getppid())"
    with type(warm_processes)(preload=()) as starter:
        said = [
            starter.run(
                python(code), env={**os.environ, **more}, capture_output=True, text=True
            ).stdout.split()
            for more in ({}, {"TF_CONFIG": "{}"}, {"TF_A": "1"})
        ]
    assert [name for name, _ in said] == ["None", "None", "1"]
    assert said[0][1] == said[1][1] != said[2][1]


def test_all_ends_when_the_starter_is_killed():
    """As when pytest is killed: its sockets close, and neither parent nor child stays."""
    code = (
        "import importlib.util, sys, time\n"
        "spec = importlib.util.spec_from_file_location('warm_processes', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "starter = module.WarmProcesses(preload=())\n"
        "child = starter.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    file = Path(__file__).parent / "warm_processes.py"
    with subprocess.Popen(python(code, file), stdout=subprocess.PIPE, text=True) as starter:
        child = os.pidfd_open(int(starter.stdout.readline()))
        starter.kill()
    try:
        assert select.select([child], [], [], 60)[0]  # readable when it has ended
    finally:
        os.close(child)
