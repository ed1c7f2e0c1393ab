"""Command lines: the head of every command's parser, `python -m NAME`."""

from __future__ import annotations

import argparse
from typing import Any


def command_parser(name: str, description: str | None, **options: Any) -> argparse.ArgumentParser:
    """Returns a command's parser, with its description as it is written.

    Args:
        name: the module that is run, such as "serving.client".
        description: the module's docstring.
        options: `argparse.ArgumentParser`'s own.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )
