"""A row without an input: which, what is near it, and the JSON that is expected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from idefn_tf._rules import nearest

#: Names that a message shows of many.
_SHOWN = 12


class MissingInputError(ValueError):
    """A row lacks inputs; the message shows the JSON that is expected."""

    @classmethod
    def of(
        cls, at: int, missing: Sequence[str], row: Mapping[str, Any], example: Mapping[str, Any]
    ) -> MissingInputError:
        """Builds the error of one row.

        Args:
            at: the row's number.
            missing: the inputs that it lacks, at least one.
            row: what was given.
            example: a valid row; of many inputs, those that lack are shown.
        """
        shown = example
        if len(example) > _SHOWN:
            shown = {name: example[name] for name in missing[:_SHOWN]}
        return cls(
            f"rows: row {at} lacks {_listed(missing)}; received {_listed(sorted(row))}"
            f"{nearest(missing[0], row) or '.'} Expected (--example prints a whole row; null where "
            f"a value is unknown): {json.dumps(shown)}"
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more if names else "nothing"
