"""What a solver says about its own answer.

A plan is never returned without a status, and a status never without a cure:
numerical trouble is data that the caller can act upon, not a NaN or a printed line.
"""

from __future__ import annotations

import enum

from idefn_tf._registry import register


@register("class")
class Status(enum.IntEnum):
    """Outcome of a transport solve; the integer travels inside compiled graphs.

    Example:
        >>> from idefn_tf.transport import Status, match
        >>> status = Status(int(match([[0.0, 1.0]], kappa=0.5).status))
        >>> status.name, int(status)
        ('CONVERGED', 0)
    """

    CONVERGED = 0
    ITERATION_LIMIT = 1
    INFEASIBLE = 2
    NOTHING_TO_MATCH = 3
    NOT_FINITE = 4

    @property
    def message(self) -> str:
        """The meaning of the status and what to do about it, in one sentence each."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.CONVERGED: "Both marginals hold within the tolerance.",
    Status.ITERATION_LIMIT: (
        "The iteration limit came before the tolerance; the plan is the best one reached and "
        "`marginal_error` says how far off it is. Raise `max_iterations`, raise `epsilon` or lower "
        "`steps` (a sharper plan needs more work), or accept a larger `tolerance`."
    ),
    Status.INFEASIBLE: (
        "No plan has these marginals: the rows ask for more mass than the columns that they may be "
        "matched to hold (infinite costs forbid a pair), or a mass is negative. Nothing was "
        "matched. Lower the rows' masses or kappa, or forbid fewer pairs."
    ),
    Status.NOTHING_TO_MATCH: (
        "There is no positive row, no unclicked column, or no mass to move (kappa is 0), so every "
        "column belongs to the virtual row. This is the right answer for such a batch; a positive "
        "memory (`RPOT(memory=...)`) makes it rarer."
    ),
    Status.NOT_FINITE: (
        "The cost, a mass, kappa or epsilon is NaN or infinite where it may not be, or epsilon is "
        "not positive. Nothing was matched. Look for NaN in the embeddings (a diverged training "
        "run) and at the scale of the cost."
    ),
}
