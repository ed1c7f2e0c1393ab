"""Trains by the hour on what arrived in it, and scores each hour before it is learned.

    python -m pipelines.stream --config CONFIG --data PREPARED --out RUN --feedback fnw --controls

The log of PREPARED is replayed: its first days are pretrained on, then every hour's exposures are
scored against their final labels, and what arrived in the hour is trained on: exposures, clicks,
and conversions as they come. With --follow DIR files of raw rows are taken as they land.

Stopped at any moment, the same command goes on after the last whole hour. SIGTERM ends it after
the hour in progress, with status 143.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from idefn_tf._files import read_json, write_json, write_text
from idefn_tf.export.run_files import CALIBRATION
from idefn_tf.export.user_modules import import_modules
from idefn_tf.history.kept_history import PRIORS
from pipelines.cli import console as consoles
from pipelines.cli.arguments import job_parser
from pipelines.cli.console import Console
from pipelines.cli.folder_owner import one_owner
from pipelines.experiment.config import Config
from pipelines.experiment.interruption import TERMINATED, heeding_sigterm
from pipelines.experiment.run_folder import Run
from pipelines.preparation.object_store import on_disk
from pipelines.preparation.prepared_folder import Prepared
from pipelines.reports.page import number
from pipelines.streaming import curves
from pipelines.streaming.curves import IMPROVING
from pipelines.streaming.hours import Hours
from pipelines.streaming.landing import Landing
from pipelines.streaming.learner import check_config
from pipelines.streaming.replay import METHOD, Replay, notes
from pipelines.streaming.stream_log import StreamLog, late_priors

#: What a stream leaves beside its hours; `report` reads the second.
SETTINGS, RESULT, PAGE = "stream_settings.json", "stream.json", "stream.html"
#: Seconds between two looks at a folder that is followed.
POLL = 2.0


@one_owner("stream")
def stream(
    config: Config,
    data_dir: str | Path | Prepared,
    out: str | Path,
    console: Console,
    *,
    pretrain_days: float | None = None,
    hours: int | None = None,
    controls: bool = False,
    follow: str | Path | None = None,
    key: str | None = None,
    draw: bool = True,
) -> int:
    """Replays a log by the hour, and follows a folder where one is given.

    Args:
        config: the experiment; `training.epochs` are those of pretraining.
        data_dir: a prepared folder that holds the whole log, with the times of everything.
        out: the stream's folder; a stream of the same config and data goes on.
        console: says what is done.
        pretrain_days: how much of the log comes before the stream; by default half of its hours,
            or with `follow` all of it.
        hours: ends after so many hours; by default with the log, or with `follow` never.
        controls: whether the pretrained model and the oracle go beside, so that relative
            improvements are told.
        follow: a folder that files of raw rows land in.
        key: the raw column that tells exposures apart, so that conversions may land later.
        draw: whether to write the page.

    Returns:
        0, or 143 after SIGTERM.

    Raises:
        ValueError: if the config, the data or the folder do not fit.
    """
    import_modules(config.imports)
    config = config.model_copy(update={"tuning": None})
    check_config(config)
    data = Prepared.open(data_dir)
    console.reading("prepared data", data.place)
    log = StreamLog.of(data)
    landing = None if follow is None else Landing(Path(follow), key)
    origin = _origin(log, pretrain_days, landing is not None)
    run, folder = Run(Path(out)), Hours(Path(out) / "hours")
    _begin(run, config, data, {"origin": origin, "controls": controls, "key": key})
    for note in notes(config):
        console.note(note)
    if said := late_priors(data, origin):
        console.warn(said)
    replay = Replay(config, log, origin, folder, controls)
    if landing is not None:  # before anything is compared with the log
        for hour in folder.done():
            files = folder.told(folder.place(hour)).get("files", {})
            replay.log = landing.again(replay.log, files, replay.span(hour)[0])
    replay.begin(console.step)
    first, full = replay.next_hour, set[str]()
    with heeding_sigterm() as alarm:
        while not alarm.rung and (hours is None or replay.next_hour < hours):
            start, end = replay.span(replay.next_hour)
            if landing is not None:
                _take(landing, replay, start, console)
            newest = int(replay.log.times.exposed.max())
            if newest < (end if landing is not None else start):
                if landing is None:
                    break
                time.sleep(POLL)
                continue
            files = {} if landing is None else landing.fresh()
            if replay.next_hour == first:  # before an hour is whole: a kill may come after it
                _forget(run, console)
            told = replay.run_hour({"files": files} if landing is not None else None)
            _say(told, console, full)
            if landing is not None:
                write_json(run.root / RESULT, result(replay))
    if replay.next_hour > first:
        _forget(run, console)
    _finish(replay, run, data.vocabularies / PRIORS, console, draw)
    return TERMINATED if alarm.rung else 0


def _origin(log: StreamLog, days: float | None, follows: bool) -> int:
    """Returns when the stream begins, a whole number of hours after the log."""
    begins, last = log.begins(), int(log.times.shown.max())
    span = (last - begins) // log.hour + 1
    if days is None:
        return int(begins + (span if follows else span // 2) * log.hour)
    hours = round(days * 24)
    if hours < 1 or (hours >= span and not follows):
        raise ValueError(
            f"--pretrain-days: must leave hours of the log on both sides, which has {span} of "
            f"them, received {days:g} days;\ngive between 0.05 and {(span - 1) / 24:.2f}"
        )
    return begins + hours * log.hour


def _begin(run: Run, config: Config, data: Prepared, settings: dict[str, Any]) -> None:
    """Writes what the stream is, or checks that it is the one of before."""
    settings = {
        "config": config.model_dump(mode="json"),
        "fingerprint": data.card.get("fingerprint"),
        **settings,
    }
    path = run.root / SETTINGS
    if path.is_file() and Hours(run.root / "hours").latest() is not None:
        before = read_json(path, "delete the stream's folder to begin anew")
        if differing := [name for name in settings if before.get(name) != settings[name]]:
            raise ValueError(
                f"--out: {run.root} holds a stream with another {', '.join(differing)};\ngive the "
                "same options, or a new folder"
            )
        return
    if run.root.is_dir() and any(run.root.iterdir()) and not path.is_file():
        raise ValueError(
            f"--out: {run.root} must be new or hold a stream, received other files;\ngive another "
            "folder"
        )
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    data.schema.save(run.schema_path)
    write_json(run.card_path, data.card)
    config.save(run.config_path)
    write_json(path, settings)


def _take(landing: Landing, replay: Replay, moment: int, console: Console) -> None:
    names = landing.ready()
    if not names:
        return
    replay.log, counts = landing.take(replay.log, names, moment)
    console.reading(f"{len(names)} files", f"with {counts['rows']:,} rows")
    if counts["clicks_left_out"]:
        console.warn(
            f"{counts['clicks_left_out']:,} clicks came after their exposure's row and are left "
            "out; let rows land with their click"
        )


def _say(told: dict[str, Any], console: Console, full: set[str]) -> None:
    trained = told["trained"][METHOD]
    console.step(
        f"hour {told['hour']}: {told['exposures']:,} exposures scored; {trained['first']:,} first, "
        f"{trained['late']:,} late and {trained['revisit']:,} revisited rows trained on"
    )
    for name, found in told["vocabularies"].items():
        if found["no_place"] and not found["places_left"] and name not in full:
            full.add(name)  # once is enough; every hour's number stands in its hour.json
            console.warn(
                f"the headroom of {name!r} is full: {found['no_place']:,} ids stay unknown from "
                f"hour {told['hour']} on; give it more headroom and begin anew"
            )


def result(replay: Replay) -> dict[str, Any]:
    """Returns what stream.json holds: the curves of all hours that are done."""
    done = replay.hours.done()
    found = curves.summarize(replay.scored(done))
    told = [replay.hours.told(replay.hours.place(hour)) for hour in done]
    second = replay.log.hour // 3600
    begins = datetime.fromtimestamp(replay.origin // second, UTC)
    followed = any("files" in hour for hour in told)
    rows = [replay.hours.scores(hour)["row"] for hour in done]
    undecided = 0 if followed else sum(map(replay.log.undecided, rows))
    label = "what is known by now" if followed else "final"
    if undecided:
        label = f"known at the log's end, when {undecided:,} clicks of these hours could convert"
    metrics = found.pop("hours")
    return {
        "method": replay.config.method,
        "feedback": replay.config.feedback.get("name", "observed"),
        "begins": begins.isoformat(timespec="seconds"),
        "label": label,
        "undecided_clicks": undecided,
        "hours": [{**h, "metrics": m} for h, m in zip(told, metrics, strict=True)],
        **found,
    }


def _forget(run: Run, console: Console) -> None:
    """Removes what other jobs found out about the model of an earlier hour."""
    cures = {
        run.root / CALIBRATION: "run pipelines.calibrate again",
        run.metrics_path: "pipelines.evaluate measures the model of now",
    }
    for path, cure in cures.items():
        if path.is_file():
            path.unlink()
            console.warn(f"{path.name} was of the model before these hours and is removed; {cure}")


def _finish(replay: Replay, run: Run, priors: Path, console: Console, draw: bool) -> None:
    """Writes the curves, the page, and a run that other jobs read."""
    found = result(replay)
    write_json(run.root / RESULT, found)
    if found["undecided_clicks"]:
        console.note(f"labels are {found['label']} still, and count as none")
    model = replay.learners[METHOD].final_model(replay.growth.learned)
    shutil.rmtree(run.vocabularies, ignore_errors=True)
    for name, learned in replay.growth.learned.items():
        write_json(run.vocabularies / f"{name}.json", learned)
    if priors.is_file():  # of history's rates
        shutil.copyfile(priors, run.vocabularies / PRIORS)
    run.checkpoints.mkdir(exist_ok=True)
    model.save(run.best_path)
    drawn = bool(found["hours"]) and draw
    if drawn:
        from pipelines.streaming.stream_page import stream_page  # matplotlib, for those who draw

        write_text(run.root / PAGE, stream_page(found))
    if found["hours"]:
        _show("rate after a click, mean of the hours", found["mean"], (*IMPROVING, "pcoc"), console)
    if "ri" in found:
        _show("relative improvement of these", found["ri"]["mean"], IMPROVING, console)
    files = [RESULT, *([PAGE] if drawn else []), "checkpoints/best.keras"]
    console.wrote(run.root, f"({', '.join(files)})")


def _show(title: str, told: dict[str, Any], metrics: Sequence[str], console: Console) -> None:
    rows = [[n, *(number(values["clicked"][m]) for m in metrics)] for n, values in told.items()]
    console.table(title, ["learner", *metrics], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = job_parser("stream", __doc__, "overrides a key of the config; repeatable")
    parser.add_argument("--config", required=True, help="an experiment's YAML file")
    parser.add_argument("--data", required=True, help="a prepared log with the times of clicks")
    parser.add_argument("--out", required=True, help="the stream's folder, new or to go on with")
    parser.add_argument("--feedback", metavar="NAME", help="in place of the config's feedback")
    parser.add_argument(
        "--pretrain-days", type=float, metavar="N", help="days before the stream (default: half)"
    )
    parser.add_argument("--hours", type=int, metavar="N", help="ends after N hours of the stream")
    parser.add_argument(
        "--controls", action="store_true", help="the pretrained model and the oracle beside"
    )
    parser.add_argument("--follow", metavar="DIR", help="takes files of raw rows as they land")
    parser.add_argument("--key", metavar="COLUMN", help="with --follow: tells exposures apart")
    parser.add_argument("--no-report", action="store_true", help="leaves stream.html out")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> int:
        config = Config.load(given.config, given.set)
        if given.feedback is not None:
            config = config.model_copy(update={"feedback": {"name": given.feedback}})
        on_disk(given.out, "--out")
        if given.hours is not None and given.hours < 1:
            raise ValueError(f"--hours: must be at least 1, received {given.hours}; give more")
        if given.key is not None and given.follow is None:
            raise ValueError(f"--key: must go with --follow, received {given.key!r} alone")
        return stream(
            config,
            given.data,
            given.out,
            console,
            pretrain_days=given.pretrain_days,
            hours=given.hours,
            controls=given.controls,
            follow=given.follow,
            key=given.key,
            draw=not given.no_report,
        )

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
