"""What preparation refuses before it begins, and what it finds already done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import ibis.expr.types as ir

from idefn_tf.schema import RESERVED, Schema
from idefn_tf.schema.labels import EXPOSURE_TIME
from pipelines.cli.console import Console
from pipelines.preparation import card as cards
from pipelines.preparation.prepared_folder import CARD, Prepared


def grouped(files: Sequence[Path]) -> list[tuple[str, int]]:
    """Names the files with their bytes; numbered files of one name stand together."""
    sizes: dict[str, int] = {}
    for file in files:
        name = str(file.with_name(re.sub(r"-\d{5}\.", "-*.", file.name)))
        sizes[name] = sizes.get(name, 0) + file.stat().st_size
    return list(sizes.items())


def check_schema(schema: Schema) -> None:
    """Refuses names that preparation keeps to itself, and names that differ in case only."""
    taken = {EXPOSURE_TIME, "part"} & {feature.name.lower() for feature in schema.features}
    if taken:
        raise ValueError(f"schema: preparation keeps the names {sorted(taken)} to itself; rename")
    seen = {name.lower(): name for name in RESERVED}
    for name in (n for f in schema.features for n in (f.name, f.weights and f.weights_name) if n):
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise ValueError(
                f"schema: the names {other!r} and {name!r} must differ in more than case for "
                "preparation; give one another `name`, and its column as `column`"
            )


def check_apart(raw: Path, out: Path) -> None:
    """Refuses to write where the raw folder lies."""
    here = raw.resolve()
    if out.resolve() in (here, *here.parents):
        raise ValueError(f"--out: {out} must not hold the raw folder {raw}; choose another")


def check_labels(table: ir.Table, schema: Schema) -> None:
    """Refuses a schema whose label columns no file holds."""
    time = schema.labels.exposure_time
    needed = (*schema.labels.columns, *((time,) if time else ()))
    absent = [name for name in needed if name not in table.columns]
    if absent:
        raise ValueError(
            f"schema: `labels` names the raw columns {absent}, which no file holds; correct "
            f"`labels`, the log has {sorted(table.columns)}"
        )


def is_current(out: Path, fingerprint: str) -> bool:
    """Whether a folder holds the whole result of the same preparation."""
    try:
        card = Prepared.open(out).card
    except ValueError:
        return False
    return card.get("fingerprint") == fingerprint and cards.complete(out, card)


def tell_of_replaced(out: Path, replace: bool, console: Console) -> None:
    """Says that another preparation is replaced, or refuses it.

    Args:
        out: the folder.
        replace: whether it may be replaced.
        console: takes the warning.

    Raises:
        ValueError: if it holds another preparation and may not be replaced.
    """
    if not (out / CARD).is_file():
        return
    if not replace:
        raise ValueError(
            f"--out: {out} must hold what is prepared from the same files, schema and options, "
            "received another preparation, which runs were trained on;\n"
            "give a new folder, or delete this one"
        )
    console.warn(
        f"{out} held what was prepared from other files, another schema or other options: it is "
        "replaced, and a run that was trained on it cannot go on with it"
    )
