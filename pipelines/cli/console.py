"""What every job says while it runs: what it reads, how far it is, where it wrote.

All of it goes to standard error, so that standard output stays free for results (``--json -``).
On a terminal there are colours and progress bars; in a log file plain lines; with ``--quiet``
only warnings and errors.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console as RichConsole
from rich.console import JustifyMethod
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

#: The exit status of a job that was asked for something it cannot do.
USER_ERROR = 2
#: The width of tables where there is no terminal to ask.
_FILE_WIDTH = 140


class Console:
    """A job's voice.

    Args:
        quiet: say nothing but warnings and errors.
        stream: where to write; standard error by default.
    """

    def __init__(self, quiet: bool = False, stream: object = None) -> None:
        self.quiet = quiet
        self._rich = RichConsole(
            file=stream or sys.stderr,  # type: ignore[arg-type]
            soft_wrap=True,
            highlight=False,
        )
        if not self._rich.is_terminal:
            self._rich.width = _FILE_WIDTH

    @property
    def lively(self) -> bool:
        """Whether bars may move: a terminal, and not quiet."""
        return self._rich.is_terminal and not self.quiet

    def reading(self, what: str, where: str | Path = "") -> None:
        """Says what is read."""
        self._line("cyan", "reads", f"{what} {where}".rstrip())

    def step(self, text: str) -> None:
        """Says what is done now."""
        self._line("blue", "does", text)

    def wrote(self, where: str | Path, what: str = "") -> None:
        """Says where something was written."""
        self._line("green", "wrote", f"{where} {what}".rstrip())

    def note(self, text: str) -> None:
        """Says something worth knowing."""
        self._line("dim", "note", text)

    def warn(self, text: str) -> None:
        """Says what is probably not wanted; also when quiet."""
        self._rich.print(f"[yellow]warning[/] {escape(text)}")

    def error(self, text: str) -> None:
        """Says what went wrong; also when quiet."""
        self._rich.print(f"[bold red]error[/] {escape(text)}")

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        loud: bool = False,
    ) -> None:
        """Prints a table; numbers are aligned right. `loud` prints it also when quiet."""
        cells = [[str(cell) for cell in row] for row in rows]
        if self.quiet and not loud:
            return
        table = Table(title=escape(title), title_justify="left", title_style="bold")
        for i, column in enumerate(columns):
            numeric = bool(cells) and all(_numeric(row[i]) for row in cells)
            justify: JustifyMethod = "right" if numeric else "left"
            table.add_column(escape(column), justify=justify, overflow="fold")
        for row in cells:
            table.add_row(*(escape(cell) for cell in row))
        self._rich.print(table, soft_wrap=False)

    @contextmanager
    def progress(self, text: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
        """Shows a bar; the value it gives is called with each amount of progress."""
        if not self.lively:
            self.step(text)
            yield lambda amount: None
            return
        columns = (
            TextColumn("[blue]does[/]  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._rich, transient=False) as progress:
            task = progress.add_task(escape(text), total=total)
            yield lambda amount: progress.advance(task, amount)

    def _line(self, style: str, word: str, text: str) -> None:
        if not self.quiet:
            self._rich.print(f"[{style}]{word:<5}[/] {escape(text)}")


def _numeric(cell: str) -> bool:
    return cell.replace(",", "").replace("%", "").replace(".", "").lstrip("-").isdigit() or not cell


def run_job(job: Callable[[], object], console: Console) -> int:
    """Runs a job and turns a user's error into one clear message.

    Returns:
        0, or the job's own integer; `USER_ERROR` (2) after a ValueError or OSError, whose message
        is printed without a traceback (set IDEFN_TRACEBACK=1 to see it); 130 after an interrupt.
        Any other exception is a defect and keeps its traceback.
    """
    global _status
    _status = 1  # until it is known better
    _status = _run(job, console)
    return _status


#: What `run_job` last said, for `_leave`.
_status: int | None = None


def _leave() -> None:
    """Ends a process that has read s3:// through tensorflow-io, whose teardown aborts (134).

    Registered when this module is imported, so that it runs after what jobs registered later;
    files are closed by then, and the streams are flushed here.
    """
    remote = sys.modules.get("idefn_tf.data.object_store")
    if _status is None or remote is None or not remote.aborts_at_exit():
        return
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(_status)


atexit.register(_leave)


def _run(job: Callable[[], object], console: Console) -> int:
    try:
        status = job()
    except (ValueError, OSError) as error:
        if os.environ.get("IDEFN_TRACEBACK"):
            traceback.print_exc()
        console.error(str(error))
        return USER_ERROR
    except KeyboardInterrupt:
        console.error("interrupted; nothing half-written was left behind")
        return 130
    return status if isinstance(status, int) else 0
