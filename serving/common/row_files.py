"""Rows and bodies of files that the client's command line sends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from idefn_tf.schema import Schema


def read_rows(path: str, count: int, schema: Schema | None) -> list[dict[str, Any]]:
    """Reads the first rows of a CSV or Parquet file, or of the first Parquet file in a folder.

    Raises:
        ValueError: if there is no such file.
    """
    from idefn_tf.data.files import iterate_tables

    file = Path(path)
    if file.is_dir():
        found = sorted(file.rglob("*.parquet"))
        if not found:
            raise ValueError(f"--data: {path} holds no Parquet file")
        file = found[0]
    if not file.is_file() or file.suffix not in (".csv", ".parquet"):
        raise ValueError(f"--data: {path} must be a CSV or Parquet file; check the path")
    rows: list[dict[str, Any]] = []
    for table in iterate_tables([str(file)], schema):
        rows += table.slice(0, count - len(rows)).to_pylist()
        if len(rows) >= count:
            break
    return rows


def read_json(path: str) -> Any:
    """Reads rows, or a whole request body, from a JSON file; "-" is standard input.

    Raises:
        ValueError: if there is no such file, or it holds no JSON.
    """
    if path == "-":
        where, text = "standard input", sys.stdin.read()
    else:
        try:
            where, text = path, Path(path).read_text("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"--json: must be JSON in UTF-8, received {path}: {error}") from None
        except OSError as error:
            raise ValueError(
                f"--json: must be a file, or - for standard input, received {path:.80}: "
                f"{error.strerror or error};\nsend a text by echo TEXT | ... --json -"
            ) from None
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"--json: must be JSON, received {where}: {error}") from None
