"""Polling and reloading: new versions, models.config, a renewed token or certificate."""

from __future__ import annotations

import argparse
import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from serving.common import config
from serving.server import settings as settings_of
from serving.server.errors import StatusError
from serving.server.models.manager import ModelManager
from serving.server.rest import tls
from serving.server.settings import Settings

log = logging.getLogger("serving.server")


class Reloader:
    """Looks for what changed while the server runs, on a thread of its own.

    Versions are polled whatever the other files say. A file is read again when its bytes change (at
    each poll, or at once on SIGHUP); one that cannot be used is told once, and what was, stays.

    Args:
        settings: the command line and what its files said at the start.
        manager: the models.
        use_token: takes a renewed bearer token.
    """

    def __init__(
        self, settings: Settings, manager: ModelManager, use_token: Callable[[str], None]
    ) -> None:
        self._flags, self._tls, self._manager = settings.flags, settings.tls, manager
        self._use_token = use_token
        self._seen = {path: _bytes(path) for path in self._files()}
        self._told: str | None = None
        self._hurry, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch-models", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stop.set()
        self._hurry.set()
        self._thread.join(timeout=5)

    def now(self) -> None:
        """Reads every file again that changed, and looks for versions, without waiting (SIGHUP)."""
        self._hurry.set()

    def _run(self) -> None:
        found = self._flags
        every = found.file_system_poll_wait_seconds
        config_every = found.model_config_file_poll_wait_seconds if found.model_config_file else 0
        step = min((value for value in (every, config_every) if value), default=None)
        waited = 0.0
        while True:
            asked = self._hurry.wait(step)
            self._hurry.clear()
            if self._stop.is_set():
                return
            waited += step or 0.0
            if asked or (config_every and waited >= config_every):
                waited = 0.0
                self._guarded(self._read_models)
            if asked or every:
                self._guarded(self._read_token)
                self._guarded(self._read_certificate)
                self._guarded(self._poll)

    def _guarded(self, task: Callable[[], None]) -> None:
        """Runs a task; what goes wrong is told and ends nothing else."""
        try:
            task()
        except (StatusError, config.ConfigError) as error:
            log.error("%s", error)
        except Exception:
            log.exception("%s failed", task.__name__.strip("_"))

    def _poll(self) -> None:
        try:
            self._manager.poll()
        except (StatusError, config.ConfigError) as error:
            if str(error) != self._told:  # not at each poll
                self._told = str(error)
                raise
        else:
            self._told = None

    def _read_models(self) -> None:
        if not self._changed(self._flags.model_config_file):
            return
        try:
            self._manager.configure(settings_of.models(self._flags))
        except UnicodeDecodeError as error:
            path = self._flags.model_config_file
            raise config.ConfigError(
                f"model_config_file: '{path}' is not UTF-8 ({error})"
            ) from None
        log.info("Re-read model_config_file")

    def _read_token(self) -> None:
        if self._changed(self._flags.bearer_token_file):
            self._use_token(settings_of.token(self._flags.bearer_token_file) or "")
            log.info("Re-read bearer_token_file")

    def _read_certificate(self) -> None:
        changed = [self._changed(path) for path in tls.files(self._flags)]
        if any(changed) and self._tls is not None:
            tls.renew(self._tls, self._flags)
            log.info("Re-read the certificate and its key")

    def _changed(self, path: str) -> bool:
        """Whether a file's bytes are others than at the last look; one that is gone has not."""
        now = _bytes(path)
        if now is None or now == self._seen.get(path):
            return False
        self._seen[path] = now
        return True

    def _files(self) -> list[str]:
        found: argparse.Namespace = self._flags
        listed = [found.model_config_file, found.bearer_token_file, *tls.files(found)]
        return [path for path in listed if path]


def _bytes(path: str) -> bytes | None:
    with contextlib.suppress(OSError):
        return Path(path).read_bytes() if path else None
    return None
