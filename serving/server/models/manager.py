"""The models being served: finding versions, loading, switching, unloading.

A manager thread polls the base paths. A new version is loaded while the old one answers; only when
it is ready does the manager publish it, in one assignment of a dict that request handlers read
without a lock. An old version closes when its last request has been answered. A version that fails
to load is reported in the model's status, and what was served goes on being served.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from serving.common.config import ModelConfig
from serving.server import errors
from serving.server.errors import StatusError
from serving.server.json_text import echo
from serving.server.models import folders
from serving.server.models.versions import Model, Version, load_error
from serving.server.runtime.servable import Servable

log = logging.getLogger("serving.server")

Loader = Callable[[str, int, Path], Servable]


class ModelManager:
    """Keeps the configured models loaded.

    Args:
        loader: Loads a version: (model name, version, folder) to a Servable, warmed up.
        max_load_retries: How often a failing version is tried again after the first failure.
        retry_seconds: The wait between two tries.
        labels_for_unavailable: Whether a new label may name a version that is not loaded yet.
    """

    def __init__(
        self,
        loader: Loader,
        max_load_retries: int = 5,
        retry_seconds: float = 60.0,
        labels_for_unavailable: bool = False,
    ) -> None:
        self._load = loader
        self._max_load_retries = max_load_retries
        self._retry_seconds = retry_seconds
        self._labels_for_unavailable = labels_for_unavailable
        self._models: dict[str, Model] = {}
        self._serving: Mapping[str, Mapping[int, Servable]] = {}
        self._labels: Mapping[str, Mapping[str, int]] = {}
        self._draining: list[tuple[Version, Servable]] = []
        self._lock = threading.RLock()  # held by whoever changes models; never by a request
        self._warned: set[str] = set()

    # What requests ask.

    def names(self) -> list[str]:
        """The names of the configured models."""
        return list(self._models)

    def acquire(self, name: str, version: int | None, label: str | None) -> Servable:
        """The version that answers a request; the caller must `release` it.

        Args:
            name: The model.
            version: A version's number; None for the newest.
            label: A label instead of a number.

        Raises:
            StatusError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        if label is not None:
            version = self._labels.get(name, {}).get(label)
            if version is None:
                raise errors.invalid_argument(f"Unrecognized servable version label: {echo(label)}")
        while available := self._serving.get(name):
            servable = available.get(max(available) if version is None else version)
            if servable is None:
                break
            if servable.acquire():
                return servable
            # closed between the look-up and here: a newer dict is already published
        shown = echo(name)
        wanted = f"Latest({shown})" if version is None else f"Specific({shown}, {version})"
        raise errors.not_found(f"Servable not found for request: {wanted}")

    def status(self, name: str, version: int | None) -> list[dict[str, object]]:
        """The states of a model's versions, newest first, as in the answer to GET /v1/models/M.

        Raises:
            StatusError: NOT_FOUND.
        """
        model = self._models.get(name)
        known = dict(model.versions) if model else {}
        if version is not None:
            if version not in known:
                raise errors.not_found(f"Could not find version {version} of model {echo(name)}")
            known = {version: known[version]}
        if not known:
            raise errors.not_found(f"Could not find any versions of model {echo(name)}")
        return [
            {
                "version": str(number),
                "state": known[number].state,
                "status": {
                    "error_code": error.code if (error := known[number].error) else "OK",
                    "error_message": error.message if error else "",
                },
            }
            for number in sorted(known, reverse=True)
        ]

    # What the manager does.

    def configure(self, configs: Sequence[ModelConfig]) -> None:
        """Takes a new list of models: adds, changes and removes; then polls once.

        Raises:
            StatusError: A label names a version that is not available.
        """
        with self._lock:
            wanted = {config.name: config for config in configs}
            models = dict(self._models)
            for name, config in wanted.items():
                if name in models:
                    models[name].config = config
                else:
                    models[name] = Model(config)
            gone = [models.pop(name) for name in set(models) - set(wanted)]
            self._models = models
            for model in gone:
                for entry in model.versions.values():
                    self._unload(entry)
            self.poll()
            self._assign_labels()

    def poll(self) -> None:
        """One round: load what is new, publish it, unload what is no longer wanted."""
        with self._lock:
            for model in list(self._models.values()):
                self._poll_model(model)
            self._publish()
            self._close_drained()

    def first_errors(self) -> list[str]:
        """Why models without an available version have none (checked once, at the start)."""
        problems = []
        for name, model in self._models.items():
            if self._serving.get(name):
                continue
            failed = [v for v in model.versions.values() if v.error]
            for entry in failed:
                problems.append(f"{name} version {entry.number}: {entry.error}")
            if not failed:
                problems.append(folders.why_none(name, model.config.base_path))
        return problems

    def close(self) -> None:
        """Unloads everything."""
        with self._lock:
            for model in self._models.values():
                for entry in model.versions.values():
                    self._unload(entry)
            self._publish()
            self._close_drained()

    def _poll_model(self, model: Model) -> None:
        name = model.config.name
        try:
            present = folders.find_versions(model.config.base_path)
        except OSError as error:
            self._warn_once(f"{name}: cannot list '{model.config.base_path}': {error.strerror}")
            return
        wanted = model.config.policy.choose(list(present))
        if not wanted:
            self._warn_once(f"No versions of servable {name} found under {model.config.base_path}")
            return
        for number in sorted(wanted):
            self._consider(model, number, present[number])
        serving = [v for v in model.versions.values() if v.state == "AVAILABLE"]
        if not any(v.number in wanted for v in serving):
            return  # keep the old version until a wanted one is there
        for entry in serving:
            if entry.number not in wanted:
                self._unload(entry)

    def _consider(self, model: Model, number: int, path: Path) -> None:
        entry = model.versions.get(number)
        if entry is not None and entry.state in ("AVAILABLE", "UNLOADING"):
            return
        stamp = folders.stamp_of(path)
        if entry is not None and entry.error is not None and entry.stamp == stamp:
            exhausted = entry.failures > self._max_load_retries
            if exhausted or time.monotonic() < entry.retry_at:
                return
        failures = entry.failures if entry is not None and entry.stamp == stamp else 0
        entry = Version(number, path, "LOADING", failures=failures, stamp=stamp)
        model.versions[number] = entry
        name = model.config.name
        started = time.monotonic()
        try:
            entry.servable = self._load(name, number, path)
        except Exception as error:  # noqa: BLE001 - whatever a broken folder raises is its status
            entry.error = load_error(error)
            entry.state = "END"
            entry.failures += 1
            entry.retry_at = time.monotonic() + self._retry_seconds
            log.error(
                "Loading servable: {name: %s version: %d} failed: %s", name, number, entry.error
            )
            return
        self._publish()
        entry.state = "AVAILABLE"  # said only once requests find it
        self._warned.clear()
        log.info(
            "Successfully loaded servable version {name: %s version: %d} in %.2f s",
            name, number, time.monotonic() - started,
        )  # fmt: skip

    def _unload(self, entry: Version) -> None:
        if entry.state != "AVAILABLE" or entry.servable is None:
            return
        servable, entry.servable = entry.servable, None
        entry.state = "UNLOADING"
        self._publish()  # the new one answers before the old one goes
        servable.retire()
        self._draining.append((entry, servable))

    def _publish(self) -> None:
        self._serving = {
            name: {
                number: entry.servable
                for number, entry in model.versions.items()
                if entry.servable is not None
            }
            for name, model in self._models.items()
        }

    def _close_drained(self) -> None:
        waiting = []
        for entry, servable in self._draining:
            if servable.close_if_idle():
                entry.state = "END"
                log.info("Done unloading {name: %s version: %d}", servable.name, servable.version)
                _give_back_memory()
            else:
                waiting.append((entry, servable))
        self._draining = waiting

    def _assign_labels(self) -> None:
        labels: dict[str, dict[str, int]] = {}
        for name, model in self._models.items():
            labels[name] = {}
            for label, version in model.config.labels:
                is_new = label not in self._labels.get(name, {})
                allowed = version in self._serving.get(name, {}) or (
                    self._labels_for_unavailable and is_new
                )
                if not allowed:
                    raise StatusError(
                        "FAILED_PRECONDITION",
                        f"Request to assign label to {version} of model {name}, which is not "
                        "currently available for inference",
                    )
                labels[name][label] = version
        self._labels = labels

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            log.warning("%s", message)


def _give_back_memory() -> None:
    """Frees an unloaded graph's objects, and returns the pages to the system where glibc can."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
