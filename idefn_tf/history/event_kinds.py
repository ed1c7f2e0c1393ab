"""Event kinds: exposures, clicks and conversions of one log, told by as few time lines as will do.

Most logs hold one time a row: a click is known with its exposure, or a conversion a window later.
Then the sorted exposures of a key serve all of them, shifted by the window and flagged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from idefn_tf.history.as_of import NEVER
from idefn_tf.history.event_log import RATED, EventLog

#: An event, and what is asked of it: that it is "known", that its outcome is "final", or that it
#: counts among those final ("hit").
Asked = tuple[str, str]


@dataclass(frozen=True)
class Kind:
    """Events of one kind.

    Attributes:
        line: the time line that tells when, a number in `EventKinds.lines`.
        shift: how much later than the line says.
        flags: which events of the line are meant, bool [n]; None for all.
    """

    line: int
    shift: int
    flags: np.ndarray | None


@dataclass(frozen=True)
class EventKinds:
    """The kinds of events in a log.

    Attributes:
        lines: times, int64 [n] each, `NEVER` where nothing happened.
        kinds: by event and what is asked of it.
    """

    lines: tuple[np.ndarray, ...]
    kinds: Mapping[Asked, Kind]

    @classmethod
    def of(cls, events: EventLog) -> EventKinds:
        """Finds them."""
        times: dict[Asked, np.ndarray] = {("exposure", "known"): events.known["exposure"]}
        for event in RATED:
            known, final = events.known[event], events.final[event]
            hit = np.where(events.happened[event], np.maximum(final, known), NEVER)
            times |= {(event, "final"): final, (event, "known"): known, (event, "hit"): hit}
        lines: list[np.ndarray] = []
        kinds: dict[Asked, Kind] = {}
        for asked, moments in times.items():
            kinds[asked] = _told_by(lines, moments)
        return cls(tuple(lines), kinds)


def _told_by(lines: list[np.ndarray], moments: np.ndarray) -> Kind:
    """Returns a kind on a line that is there, or on a new one."""
    there = moments != NEVER
    for number, line in enumerate(lines):
        if not there.any():
            return Kind(number, 0, there)
        apart = np.where(there, moments - line, 0)[there]
        if (line[there] != NEVER).all() and (apart == apart[0]).all():
            whole = bool((there | (line == NEVER)).all())
            return Kind(number, int(apart[0]), None if whole else there)
    lines.append(moments)
    return Kind(len(lines) - 1, 0, None)
