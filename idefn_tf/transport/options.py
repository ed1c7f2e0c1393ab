"""TransportOptions, SolverOptions: the settings of the transport, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import model_validator

from idefn_tf._options import Record, check_arguments
from idefn_tf._registry import register
from idefn_tf._rules import NONE, Either, Number, OneOf
from idefn_tf._schedule import SCHEDULE
from idefn_tf._types import Count, CountOrNone, CountOrZero, Positive, Seed, Switch
from idefn_tf.transport.costs import COSTS, SCALES
from idefn_tf.transport.problem import MARGINALS
from idefn_tf.transport.relabel import RULES

SOLVERS = ("proximal", "newton", "sinkhorn", "proximal_literal", "greenkhorn", "exact")

#: Why a compiled step refuses the exact solver.
EXACT_NEEDS_NO_JIT = (
    "solver: must be one that XLA compiles, such as 'proximal' or 'newton', received 'exact'; it "
    "is a network simplex in NumPy, for idefn_tf.transport.match, or where jit_compile is false"
)

Solver = Annotated[str, OneOf(SOLVERS)]
Scale = Annotated[str, OneOf(SCALES)]
Cost = Annotated[str, OneOf(tuple(COSTS))]
Marginals = Annotated[str, OneOf(MARGINALS)]
Relabelling = Annotated[str, OneOf(tuple(RULES))]
Kappa = Annotated[Any, Either((Number(least=0, most=1), OneOf(("auto",)), SCHEDULE))]
_LabelValue = Annotated[float | str, Either((Number(above=0, most=1), OneOf(("calibrated",))))]
_Price = Annotated[float | str | None, Either((Number(above=0), OneOf(("auto",)), NONE))]
_Holdout = Annotated[float | None, Either((Number(least=0, below=1), NONE))]


@check_arguments
@register("class")
@dataclass(frozen=True)
class SolverOptions:
    """How to solve; immutable, so that one compiled program serves one set of options.

    Attributes:
        solver: "proximal" (default: sharp plans, Eq. 6-7), "newton" (one entropic solve, fast),
            "sinkhorn" (one entropic solve by alternating sweeps, Eq. 8-10), "proximal_literal" (the
            outer loop as printed, one sweep per step), "greenkhorn" (Algorithm 1 as printed, for
            one step), "exact" (network simplex, CPU).
        epsilon: Entropic weight relative to the scale of the cost.
        steps: Proximal steps T; the plan is as sharp as one entropic solve at epsilon / T.
        scale: "median", "mean" or "none": what epsilon is relative to, of the costs as they are. A
            large constant in all of them changes no exact plan but blurs this one: subtract it.
        tolerance: Largest L1 marginal error, as a share of the positives' mass.
        max_iterations: Most Newton steps, sweeps, greedy updates or pivots in all; None takes the
            solver's own default (for "proximal_literal" one sweep per step).

    Raises:
        ValueError: naming the option, its rule and what was received.

    Example:
        >>> from idefn_tf.transport import SolverOptions, partial_problem, solve
        >>> options = SolverOptions(solver="proximal", epsilon=0.1)
        >>> plan = solve(partial_problem([[0.0, 1.0]], kappa=0.5), options)
        >>> int(plan.status), bool(plan.marginal_error < options.tolerance), options.steps
        (0, True, 500)
    """

    solver: Solver = "proximal"
    epsilon: Positive = 0.05
    steps: Count = 500
    scale: Scale = "median"
    tolerance: Positive = 1e-3
    max_iterations: CountOrNone = None


@register("class")
class TransportOptions(Record):
    """What `RPOT` takes beside kappa, marginals and rule; IdeFN's `transport`.

    Attributes:
        label_value: 1.0 or another number in (0, 1] that a relabelled row's label takes; or
            "calibrated": recall of held-out positives x estimated prior / match rate (see
            `holdout_positives`).
        holdout_positives: share of the batch's positives hidden among the unclicked to estimate
            recall; by default 0, and .1 where `label_value` is "calibrated", which needs it.
        rejection_price: a price of rejection per unclicked row in place of one mass budget
            (`rejection_prices`): the level, relative to the cost's scale, of the price
            level x (1 - click probability), within which a row must lie of a positive; or "auto",
            the level at which a share kappa of the unclicked rows does. Best with the rule
            "matched_fraction". None: kappa alone is the budget.
        capacity: most positives of a batch that take part; more are counted as overflow.
        memory: places of the positive memory; 0 for none.
        memory_age: training steps after which a memory entry no longer takes part.
        warmup_steps: training steps before the first label.
        cost: "squared_euclidean" or "cosine".
        normalize: scales each z to length one first.
        epsilon: entropic weight relative to the cost's scale.
        scale: "median", "mean" or "none".
        steps: proximal steps; the plan is as sharp as one entropic solve at epsilon / steps.
        solver: one of `SOLVERS`; "exact" runs only where nothing is compiled by XLA.
        seed: of the choice of held-out positives.
        jit_compile: whether XLA compiles the solver also where the caller's step is not compiled;
            a model that was compiled with ``jit_compile=False`` says no for its layer.

    Raises:
        ValueError: naming the option, its rule and what was received.

    Example:
        >>> from idefn_tf.transport import TransportOptions
        >>> TransportOptions(label_value="calibrated").held_out
        0.1
    """

    renamed = {"spies": "holdout_positives"}
    elsewhere = dict.fromkeys(
        ("kappa", "marginals", "rule"), "write it beside `transport`, not in it"
    )

    label_value: _LabelValue = 1.0
    holdout_positives: _Holdout = None
    rejection_price: _Price = None
    capacity: Count = 64
    memory: CountOrZero = 0
    memory_age: CountOrNone = None
    warmup_steps: CountOrZero = 0
    cost: Cost = "squared_euclidean"
    normalize: Switch = False
    epsilon: Positive = 0.05
    scale: Scale = "median"
    steps: Count = 500
    solver: Solver = "proximal"
    seed: Seed = 0
    jit_compile: Switch = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.label_value == "calibrated" and self.holdout_positives == 0:
            raise ValueError(
                "holdout_positives: must be above 0 where label_value is 'calibrated', received "
                f"{self.holdout_positives!r}; leave it out for 0.1"
            )
        return self

    @property
    def held_out(self) -> float:
        """The share of positives that is held out."""
        default = 0.1 if self.label_value == "calibrated" else 0.0
        return default if self.holdout_positives is None else self.holdout_positives

    @property
    def solver_options(self) -> SolverOptions:
        """The solver's part."""
        return SolverOptions(
            solver=self.solver, epsilon=self.epsilon, steps=self.steps, scale=self.scale
        )
