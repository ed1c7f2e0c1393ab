"""Partial optimal transport between positives and unclicked rows: problem, solver, plan.

`match` is the door for everyday use; `partial_problem`, `solve` and `SolverOptions` are what it is
made of, usable inside compiled graphs; `RPOT` is the layer for a train step. Where the paper's
equations are:

    problem                Eq. 4-5    cost, marginals, the virtual row
    proximal               Eq. 6-7    the outer loop, by few long steps (the default)
    sinkhorn               Eq. 8-10   the scalings of rows and columns
    newton, kernel                    the same scalings, faster, for `proximal`
    literal, greenkhorn    Eq. 6-10   the loops as printed (Algorithm 1), `whole` beside them
    exact                  Eq. 4-5    the linear program itself, by POT
    plan, status                      what comes out
    relabel (in idefn_tf)  Eq. 13-14  pseudo-labels
"""

from idefn_tf.transport.costs import COSTS, cosine, cost_scale, squared_euclidean
from idefn_tf.transport.match import TIGHT, match, solve
from idefn_tf.transport.options import SOLVERS, SolverOptions, TransportOptions
from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import TransportProblem, partial_problem
from idefn_tf.transport.reference.greenkhorn import greenkhorn
from idefn_tf.transport.reference.proximal_loop import proximal_literal
from idefn_tf.transport.rpot.matches import Matches
from idefn_tf.transport.rpot.positive_memory import PositiveMemory
from idefn_tf.transport.rpot.rpot import RPOT
from idefn_tf.transport.solvers.exact import exact
from idefn_tf.transport.solvers.proximal import proximal
from idefn_tf.transport.solvers.sinkhorn import sinkhorn
from idefn_tf.transport.status import Status

__all__ = [
    "COSTS",
    "RPOT",
    "SOLVERS",
    "TIGHT",
    "Matches",
    "Plan",
    "PositiveMemory",
    "SolverOptions",
    "Status",
    "TransportOptions",
    "TransportProblem",
    "cosine",
    "cost_scale",
    "exact",
    "greenkhorn",
    "match",
    "partial_problem",
    "proximal",
    "proximal_literal",
    "sinkhorn",
    "solve",
    "squared_euclidean",
]
