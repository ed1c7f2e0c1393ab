"""Promotes versions by label, and rolls back, in a models.config.

    python -m serving.promote init     --config models.config --model cvr --model-base DIR
    python -m serving.promote show     --config models.config
    python -m serving.promote set      --config models.config --model cvr --label stable --version 3
    python -m serving.promote rollback --config models.config --model cvr --label stable
    python -m serving.promote remove   --config models.config --model cvr --label canary

TensorFlow Serving gives a label only to a version that is already loaded. `set` therefore pins the
version first; with --url it waits until the server has loaded it, moves the label, and waits until
the server answers by it. Without --url it stops after the first step (status 3) and the same
command does the second. The version that had the label stays loaded, so that a rollback takes
effect at once.

The server must re-read the file: start it with --model_config_file_poll_wait_seconds=5.
With --rows, the gate compares the version with the one that has the label, on these rows.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from idefn_tf.export.versions import list_versions
from serving.common.await_server import Server, wait_until_available, wait_until_labelled
from serving.common.command_line import command_parser
from serving.common.models_config import ModelsConfig

log = logging.getLogger("serving.promote")
#: Exit status of `set` that has only pinned the version.
UNFINISHED = 3


def set_label(
    config: ModelsConfig,
    model: str,
    label: str,
    version: int,
    *,
    server: Server | None = None,
    timeout: float = 120.0,
    at_once: bool = False,
    action: str = "set",
) -> bool:
    """Moves a label to a version in the order that TensorFlow Serving needs.

    Args:
        config: the models.config.
        model: the model's name.
        label: the label, e.g. "stable" or "canary".
        version: its new version.
        server: one that reads the file; None if none can be asked.
        timeout: seconds for the server to load the version.
        at_once: pin and label in one step, for a server that is not running yet or was started
            with --allow_version_labels_for_unavailable_models.
        action: "set" or "rollback", for the history.

    Returns:
        Whether the label has moved; False means that the version is only pinned yet.

    Raises:
        ValueError: if the server does not load the version, or take the label, in time.
    """
    pinned = config.pin(model, {version})
    if pinned:
        log.info("pinned version %d of %s: servers load it now", version, model)
    if server is not None:
        wait_until_available(server, model, version, timeout)
    elif pinned and not at_once:
        return False
    before = config.label(model, label, version, action)
    if server is not None:
        wait_until_labelled(server, model, label, version, timeout)
    was = "no version" if before is None else f"version {before}"
    log.info("%s of %s: %s -> version %d", label, model, was, version)
    config.pin(model, set())  # drop what no label needs any more
    return True


def find_version(base: Path, text: str) -> int:
    """Returns the version meant by a number or "latest".

    Raises:
        ValueError: if the folder does not hold it.
    """
    versions = list_versions(base)
    if not versions:
        raise ValueError(
            f"model_base: {base} holds no version; export one, or say where the versions lie here "
            "with --model-base"
        )
    if text == "latest":
        return max(versions)
    if not text.isdigit() or int(text) not in versions:
        raise ValueError(f"version: {base} holds {list(versions)}, received {text!r}")
    return int(text)


def _init(config: ModelsConfig, given: argparse.Namespace) -> int:
    base = Path(given.model_base)
    version = find_version(base, given.version)
    ModelsConfig.create(given.config, given.model, base, given.label, version)
    log.info("wrote %s: version %d of %s is %s", given.config, version, given.model, given.label)
    return 0


def _gate(config: ModelsConfig, base: Path, version: int, given: argparse.Namespace) -> None:
    """Compares with the version that has the label now."""
    from idefn_tf.evaluation.mature_rows import said
    from idefn_tf.export.card import read_schema
    from idefn_tf.export.gate import Gate, require

    served = dict(config.model(given.model).labels).get(given.label)
    if served is None or served == version:
        log.info("gate: no version has the label %s yet", given.label)
        return
    candidate = base / str(version)
    schema = read_schema(candidate)
    gate = Gate(metric=given.metric, whole_log=given.whole_log)
    report = gate.compare(candidate, base / str(served), schema, given.rows)
    if report["open_rows"]:
        log.info("gate: %s", said(report["rows"], report["open_rows"]))
    log.info("gate: %s", json.dumps(report, indent=1))
    if report["refusals"] and given.force:
        log.warning("gate refused, and --force was given: %s", "; ".join(report["refusals"]))
    else:
        require(report)


def _server(given: argparse.Namespace) -> Server | None:
    """The server of --url, if one is given."""
    if given.url is None:
        return None
    token = Path(given.token_file).read_text(encoding="utf-8").strip() if given.token_file else None
    return Server(given.url, token, given.ca_file)


def _set(config: ModelsConfig, given: argparse.Namespace) -> int:
    base = Path(given.model_base or config.model(given.model).base_path)
    version = find_version(base, given.version)
    if given.rows:
        _gate(config, base, version, given)
    moved = set_label(
        config, given.model, given.label, version,
        server=_server(given), timeout=given.timeout, at_once=given.at_once,
    )  # fmt: skip
    if not moved:
        log.warning(
            "version %d is pinned but not labelled yet: run the same command again once the server "
            "has loaded it, or give --url", version,
        )  # fmt: skip
    return 0 if moved else UNFINISHED


def _rollback(config: ModelsConfig, given: argparse.Namespace) -> int:
    before = config.history(given.model, given.label)
    if not before or before[-1] is None:
        raise ValueError(
            f"label: {given.label!r} of {given.model} has no version before to roll back to"
        )
    moved = set_label(
        config, given.model, given.label, before[-1],
        server=_server(given), timeout=given.timeout, at_once=given.at_once, action="rollback",
    )  # fmt: skip
    return 0 if moved else UNFINISHED


def _remove(config: ModelsConfig, given: argparse.Namespace) -> int:
    if config.label(given.model, given.label, None) is None:
        raise ValueError(f"label: {given.model} has no label {given.label!r}")
    config.pin(given.model, set())
    return 0


def _show(config: ModelsConfig, given: argparse.Namespace) -> int:
    shown: dict[str, Any] = {}
    for name, model in config.models.items():
        policy = model.policy
        choice = {"latest": policy.count, "specific": list(policy.versions), "all": True}
        shown[name] = {
            "base_path": model.base_path,
            "versions": list(list_versions(model.base_path)),
            "policy": {policy.kind: choice[policy.kind]},
            "labels": dict(model.labels),
            "rolls_back_to": {
                label: before[-1]
                for label, _ in model.labels
                if (before := config.history(name, label)) and before[-1] is not None
            },
        }
    sys.stdout.write(json.dumps(shown, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    made = command_parser("serving.promote", __doc__)
    commands = made.add_subparsers(dest="command", required=True)
    jobs = {
        "init": (_init, "write a models.config with one model and one label"),
        "show": (_show, "print versions, labels, and what they roll back to"),
        "set": (_set, "move a label to a version"),
        "rollback": (_rollback, "move a label back to the version before"),
        "remove": (_remove, "take a label away"),
    }
    for name, (job, text) in jobs.items():
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(job=job)
        command.add_argument("--config", required=True, help="the models.config")
        if name == "show":
            continue
        command.add_argument("--model", required=True, help="the model's name")
        if name == "init":
            command.add_argument("--label", default="stable", help="label of the version")
            command.add_argument("--version", default="latest", help="a number, or latest")
            command.add_argument("--model-base", required=True, help="the versions' folder")
            continue
        command.add_argument("--label", required=True, help="e.g. stable or canary")
        if name == "remove":
            continue
        command.add_argument("--url", help="REST address of the server, e.g. http://127.0.0.1:8501")
        command.add_argument("--token-file", help="file with the server's bearer token")
        command.add_argument("--ca-file", help="PEM file of the server's certificate authority")
        command.add_argument("--timeout", type=float, default=120.0, help="seconds to wait for it")
        command.add_argument(
            "--at-once", action="store_true", help="no server runs yet: label without waiting"
        )
        if name == "set":
            command.add_argument("--version", required=True, help="a number, or latest")
            command.add_argument("--model-base", help="the versions' folder, if base_path is not")
            command.add_argument("--rows", help="labelled rows for the gate: a file or a folder")
            command.add_argument(
                "--whole-log", action="store_true",
                help="the rows' log was not down-sampled, training's was",
            )  # fmt: skip
            command.add_argument("--metric", default="all_funnel/cvr_auc", help="of the gate")
            command.add_argument("--force", action="store_true", help="pass in spite of the gate")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0; 2 after an error of the user's; 3 if `set` has only pinned the version.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    given = _parser().parse_args(arguments)
    try:
        status: int = given.job(ModelsConfig(given.config), given)
    except (ValueError, OSError) as error:
        log.error("error: %s", error)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
