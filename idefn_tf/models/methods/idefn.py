"""IdeFN: Eq. 15 with pseudo-labels from partial optimal transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import NonNegative, ShareBelowOne
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.entire_space_model import EntireSpaceModel
from idefn_tf.models.methods.all_negative import AllNegative
from idefn_tf.models.presets import get_preset
from idefn_tf.models.representation import AVERAGE, Representation
from idefn_tf.models.slow_tower import SlowTower
from idefn_tf.rates import click_space_cvr
from idefn_tf.transport import RPOT, Status, TransportOptions
from idefn_tf.transport.options import EXACT_NEEDS_NO_JIT, Kappa, Marginals, Relabelling
from idefn_tf.transport.rpot.rpot import translate_options


@register("method", "idefn")
class IdeFN(AllNegative):
    """Identifying False Negatives: unclicked rows matched to conversions become pseudo-positives.

    Formula (Eq. 15)::

        L = mean_D phi(o, o^) + gamma (alpha S_O + (1 - alpha) S_N)
        S_O = (1/|D|) sum_O phi(r, r^)        S_N = (1/|D|) sum_N phi(r~, r^)

    with r~ from the transport (RPOT, Eq. 4-10) between the batch's converted rows and its
    unclicked rows on stop-gradient z, by a relabelling rule (SRM, Eq. 13-14). Both sums divide by
    |D|. With kappa = 0, or where nothing is matched, this is `AllNegative`.

    Args:
        kappa: share of the unclicked rows that may be matched ("proportion"), a number, a schedule
            of the step, or "auto".
        marginals: "proportion" (R2) or "literal" (R1: the formula as printed, which labels nothing
            below 1/kappa positives a batch).
        rule: "top_k" (by matched fraction), "argmax" (Eq. 13-14, which fires only where kappa N_U
            is above N_P), "matched_fraction" or "soft".
        representation: what rows are compared by: "embeddings" (z itself), "hidden" (the CVR
            tower's last hidden layer), "hidden_average" (that of a slowly following copy of the
            tower), "hidden_ctr" (the CTR tower's), "cvr" (its logit), "history", "sequences", a
            feature's name, or a list of these (see `Representation`).
        average_decay: of that copy (`SlowTower`).
        transport: `idefn_tf.transport.TransportOptions`, or a mapping of its fields (epsilon,
            solver, memory, capacity, normalize, warmup_steps, ...).
        **kwargs: of `AllNegative` (alpha, gamma, ctr_weight) and `EntireSpaceModel`.

    Raises:
        ValueError: if an argument is out of its range.

    Source: Zhong et al., AAAI 2026 (10.1609/aaai article 38690).

    Example:
        >>> from idefn_tf.models import IdeFN
        >>> model = IdeFN(features, MLP((8,)), kappa=0.5)  # one of two unclicked rows
        >>> model.build()
        >>> model.pseudo_labels(outputs, batch).numpy().tolist()
        [0.0, 0.0, 1.0, 0.0]
    """

    monitors = {
        "pseudo_positives": "sum",
        "pseudo_positive_rate": "mean",
        "transport_status": "max",
        "transport_converged": "mean",
        "transport_iterations": "mean",
        "transport_marginal_error": "max",
        "transport_positives": "mean",
        "transport_overflow": "sum",
        "transport_kappa": "mean",
        "pseudo_label_value": "mean",
    }

    def __init__(
        self,
        *args: Any,
        kappa: Kappa = 0.02,
        marginals: Marginals = "proportion",
        rule: Relabelling = "top_k",
        representation: str | Sequence[str] = "embeddings",
        average_decay: ShareBelowOne = 0.99,
        transport: TransportOptions | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.representation = Representation(representation, self.features)
        self.average_decay = average_decay
        self.slow = None
        if AVERAGE in self.representation.names:
            if self.trunk is not None:
                raise ValueError(
                    f"representation: {AVERAGE!r} follows a tower that reads z itself, received "
                    f"the trunk {self.trunk.name!r}; leave the trunk out, or choose 'hidden'"
                )
            self.slow = SlowTower(self.towers["cvr"], self.features, average_decay)
        given = (
            transport.model_dump(exclude_unset=True)
            if isinstance(transport, TransportOptions)
            else transport
        )
        self.transport_options = dict(given or {})
        self.rpot = RPOT(
            kappa=kappa, marginals=marginals, rule=rule, name="rpot", **self.transport_options
        )
        if self.rpot.rejection_price is not None and self.ctr_weight == 0:
            raise ValueError(
                "transport.rejection_price: must be left out where ctr_weight is 0, for it reads a "
                f"trained CTR, received {self.rpot.rejection_price!r}; give kappa alone"
            )

    @classmethod
    def from_preset(cls, name: str, *args: Any, **kwargs: Any) -> Self:
        """Returns a model with a preset's arguments.

        Args:
            name: "idefn" (the recipe that a search left standing), "idefn-paper" or
                "idefn-paper-r2" (the published setting; its network, optimizer and L2 are in
                pipelines/configs/kuairand/idefn.paper.yaml).
            *args: the features and the backbone.
            **kwargs: further arguments, which go before the preset's; `transport` is merged.

        Raises:
            ValueError: if there is no such preset.
        """
        preset = get_preset(name)
        if "transport" in kwargs and "transport" in preset:
            kwargs["transport"] = {**preset["transport"], **kwargs["transport"]}
        return cls(*args, **{**preset, **kwargs})

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Configures training; ``jit_compile=False`` holds for the transport, too."""
        super().compile(*args, **kwargs)
        self.rpot.jit_allowed = self._jit
        if self._jit and self.rpot.options.solver == "exact":
            raise ValueError(f"transport.{EXACT_NEEDS_NO_JIT}")

    def build_method(self, shapes: Any) -> None:
        """Builds the transport layer for the chosen representation, and the slow tower."""
        if self.slow is not None:
            self.slow.build(shapes)
            self.slow.start_from(self.towers["cvr"])
        self.rpot.build((None, self.representation.width(self.towers["cvr"].hidden_width)))

    @property
    def warming_up(self) -> bool:
        """Whether no step so far could label a row (``transport={"warmup_steps": ...}``)."""
        return self.rpot.warmup_steps > 0 and self.rpot.warming_up

    @property
    def label_floor(self) -> float:
        """One half of what a soft label can be, for those are nowhere quite 0; else 0."""
        value = self.rpot.label_value
        most = value if isinstance(value, float | int) else 1.0
        return 0.5 * most if self.rpot.rule == "soft" else 0.0

    def match(self, outputs: Outputs, batch: Batch) -> Any:
        """Runs RPOT and SRM on one batch; returns `idefn_tf.transport.Matches`."""
        if self.slow is not None:
            hidden = {**outputs.hidden, AVERAGE: self.slow(outputs.z)}
            if outputs.training:
                self.slow.follow(self.towers["cvr"])
            outputs = replace(outputs, hidden=hidden)
        z = self.representation(outputs)
        rate = self.unclicked_rate(outputs, batch) if self.rpot.needs_rate else None
        known = self.samples(outputs, batch).known
        priced = self.rpot.rejection_price is not None
        return self.rpot(
            z,
            batch.click,
            known,
            rate=rate,
            training=outputs.training,
            propensity=outputs.probability("ctr") if priced else None,
        )

    def unclicked_rate(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        """Estimates the mean conversion rate of the batch's unclicked rows, scalar.

        The model's own CVR calls unclicked rows negative and would drive kappa to zero, so the
        click-space CVR is recovered from Eq. 15's optimum first, with q the rate of pseudo-labels
        that the model has lately been given.
        """
        cvr = tf.stop_gradient(outputs.probability("cvr"))
        ctr = tf.stop_gradient(outputs.probability("ctr"))
        given = self.rpot.match_rate.mean if self.rpot.holdout_positives else self.rpot.kappa_now()
        recovered = click_space_cvr(cvr, ctr, self.alpha, given)
        return batch.mean_within(recovered, batch.unclicked)

    def pseudo_labels(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        """Returns r~ [B], and reports what the transport did."""
        found = self.match(outputs, batch)
        unclicked = tf.reduce_sum(batch.unclicked)
        outputs.monitor.update(
            pseudo_positives=found.pseudo_positives,
            pseudo_positive_rate=tf.math.divide_no_nan(found.pseudo_positives, unclicked),
            transport_status=tf.cast(found.status, tf.float32),
            transport_converged=tf.cast(found.status == int(Status.CONVERGED), tf.float32),
            transport_iterations=tf.cast(found.iterations, tf.float32),
            transport_marginal_error=found.marginal_error,
            transport_positives=found.positives,
            transport_overflow=found.overflow,
            transport_kappa=found.kappa,
            pseudo_label_value=found.label_value,
        )
        return found.labels

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EntireSpaceModel:
        """Rebuilds a saved model, also one of an earlier release."""
        options = translate_options(config.get("transport") or {})
        return super().from_config({**config, "transport": options})

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "kappa": self.rpot.get_config()["kappa"],
            "marginals": self.rpot.marginals,
            "rule": self.rpot.rule,
            "representation": self.representation.as_config(),
            "average_decay": self.average_decay,
            "transport": self.transport_options,
        }


@register("method", "idefn_t")
class IdeFNT(IdeFN):
    """The ablation IdeFN-T: IdeFN without the CTR loss (gamma then only rescales).

    Source: Zhong et al., AAAI 2026, ablation study. Its CTR output is untrained.

    Example:
        >>> from idefn_tf.models import IdeFNT
        >>> model = IdeFNT(features, MLP((8,)), kappa=0.5)  # one of two unclicked rows
        >>> model.build()
        >>> model.pseudo_labels(outputs, batch).numpy().tolist()
        [0.0, 0.0, 1.0, 0.0]
    """

    def __init__(self, *args: Any, ctr_weight: NonNegative = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, ctr_weight=ctr_weight, **kwargs)


@register("function")
def explain_regime(
    kappa: float, positives: float, unclicked: float, marginals: str, rule: str
) -> str | None:
    """Says in plain words why a setting cannot relabel anything, or returns None.

    What matters is how many unclicked rows a positive may fill: kappa N_U / N_P under
    "proportion", kappa under "literal". Below a half, no conversion fills half of a row.

    Args:
        kappa: the setting.
        positives: expected N_P of a batch (memory included).
        unclicked: expected N_U of a batch.
        marginals: "proportion" or "literal".
        rule: the relabelling rule.

    Example:
        >>> from idefn_tf.models import explain_regime
        >>> explain_regime(0.02, positives=1, unclicked=100, marginals="proportion", rule="top_k")
        >>> explain_regime(0.02, 1, 100, "literal", "top_k")
        "nothing can be relabelled: ... needs more than 50 positives a batch ... about 1; ..."
    """
    if not isinstance(kappa, int | float) or kappa <= 0 or rule == "soft":
        return None
    if marginals == "literal":
        # argmax: some single entry (at most kappa) must beat the virtual row's 1 - kappa N_P;
        # top_k: the matched mass, kappa N_P columns, must fill a whole one
        needed = 1.0 / kappa - (0.0 if rule == "top_k" else 1.0)
        if positives > needed:
            return None
        return (
            f"nothing can be relabelled: marginals='literal' with kappa {kappa:g} needs more than "
            f"{needed:.0f} positives a batch and there are about {positives:.0f}; use "
            "marginals='proportion', a larger batch or a positive memory"
        )
    if rule == "top_k":
        return None
    filled = kappa * unclicked / max(positives, 1e-9)
    if filled > 0.5:
        return None
    return (
        f"hardly anything can be relabelled: kappa N_U = {kappa * unclicked:.1f} unclicked rows "
        f"share {positives:.0f} positives, {filled:.2f} rows each, so none fills half a row; "
        f"use rule='top_k', or kappa of {positives / max(unclicked, 1):.3f}"
    )
