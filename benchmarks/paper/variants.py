"""Rows of the comparison: every method with its arguments, and which rows a table has.

Where a variant has two sets of arguments, `published` are those of its own publication and `equal`
changes them so that every method's conversion loss has one scale (`benchmarks.paper.settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from idefn_tf.models.presets import get_preset


@dataclass(frozen=True)
class Variant:
    """One row of a table: a method with its arguments.

    Attributes:
        name: how the command line and results call it.
        label: how tables call it.
        method: a name of `idefn_tf.models.METHODS`.
        published: model arguments of its own publication.
        equal: those that change where every method's conversion loss has one scale.
        trunk: experts between embeddings and towers, or none.
        relabels: whether the audit of pseudo-labels has anything to judge.
        tuned_as: the variant whose tuned point it takes under ``equal``: for controls that differ
            from it in labels alone, its ablation, and its skeletons; none is tuned itself.
    """

    name: str
    label: str
    method: str
    published: Mapping[str, Any] = field(default_factory=dict)
    equal: Mapping[str, Any] = field(default_factory=dict)
    trunk: str | None = None
    relabels: bool = False
    tuned_as: str | None = None


_EQ15 = {"alpha": 0.8, "gamma": 30}
_COUNTED = {**_EQ15, "kappa": 0.02}
_IDEFN = {**_EQ15, "kappa": 0.02, "marginals": "proportion", "rule": "top_k"}
_LITERAL = {**_EQ15, "kappa": 0.02, "marginals": "literal", "rule": "argmax"}
_CODE = {"compatibility": "nise_code"}
#: What the search of recipes left standing (docs/does-the-transport-help.md).
_LIGHT: dict[str, Any] = {**_EQ15, **get_preset("idefn")}
#: Scale of the conversion loss under ``equal``: gamma over all exposures, gamma alpha where the
#: term counts clicked rows alone.
SCALE, CLICKED_SCALE = 30, 24


def _control(name: str, label: str, arguments: Mapping[str, Any]) -> Variant:
    """Eq. 15 with labels from elsewhere: tuned as AllNegative is."""
    return Variant(name, label, name, arguments, tuned_as="all_negative")


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(
            "esmm",
            "ESMM",
            "esmm",
            {"ctr_weight": 1, "ctcvr_weight": 1},
            {"ctcvr_weight": SCALE},
        ),
        # its CTR term is a dial, too: without weight the CTR output follows the CTCVR term
        Variant(
            "esmm_30",
            "ESMM, both terms times 30",
            "esmm",
            {"ctr_weight": 1, "ctcvr_weight": 1},
            {"ctr_weight": SCALE, "ctcvr_weight": SCALE},
        ),
        Variant(
            "mmoe", "MMoE", "mmoe", {"cvr_weight": 1}, {"cvr_weight": CLICKED_SCALE}, trunk="mmoe"
        ),
        Variant(
            "escm2_ips",
            "ESCM2-IPS",
            "escm2_ips",
            {"cvr_weight": 1, "ctcvr_weight": 1, **_CODE},
            {"cvr_weight": SCALE, "ctcvr_weight": SCALE, "compatibility": None},
        ),
        Variant(
            "escm2_dr",
            "ESCM2-DR",
            "escm2_dr",
            {"cvr_weight": 1, "ctcvr_weight": 1, **_CODE},
            {"cvr_weight": SCALE, "ctcvr_weight": SCALE, "compatibility": None},
        ),
        Variant("dcmt", "DCMT", "dcmt", {"prior_weight": 1e-3, **_CODE}, {"compatibility": None}),
        Variant("nise", "NISE", "nise", {"scale": 1, "cap": 50}),
        Variant("idefn", "IdeFN (R2, top-k)", "idefn", _IDEFN, relabels=True),
        Variant("idefn_paper", "IdeFN (R1, argmax)", "idefn", _LITERAL, relabels=True),
        Variant(
            "idefn_light",
            "IdeFN, labels worth .1",
            "idefn",
            _LIGHT,
            relabels=True,
            tuned_as="all_negative",
        ),
        Variant(
            "idefn_t",
            "IdeFN-T (no CTR loss)",
            "idefn_t",
            _IDEFN,
            relabels=True,
            tuned_as="idefn",
        ),
        Variant("click_only", "ClickOnly (IdeFN-R)", "click_only", {"cvr_weight": CLICKED_SCALE}),
        Variant("all_negative", "AllNegative", "all_negative", _EQ15),
        Variant(
            "ple",
            "PLE",
            "ple",
            {"cvr_weight": 1},
            {"cvr_weight": CLICKED_SCALE},
            trunk="ple",
            tuned_as="mmoe",
        ),
        Variant("multi_ipw", "Multi-IPW", "multi_ipw", {"cvr_weight": 1}, {"cvr_weight": SCALE}),
        Variant("multi_dr", "Multi-DR", "multi_dr", {"cvr_weight": 1}, {"cvr_weight": SCALE}),
        Variant("ddpo", "DDPO", "ddpo", {"cvr_weight": 1}, {"cvr_weight": SCALE}),
        Variant("escim_ratio", "ESCIM-ratio", "escim_ratio", {}, relabels=True),
        _control("random_relabel", "random relabelling", _COUNTED),
        _control("top_k_cvr", "top-k by CVR", _COUNTED),
        _control("nearest_positive", "nearest positive", _COUNTED),
        _control("oracle_relabel", "oracle relabelling", _EQ15),
    )
}


def _at_alpha(name: str, alpha: float) -> Variant:
    """A variant with another alpha, tuned as it is."""
    base = VARIANTS[name]
    return replace(
        base,
        name=f"{name}_{100 * alpha:.0f}",
        label=f"{base.label}, alpha {alpha:g}".replace(" 0.", " ."),
        published={**base.published, "alpha": alpha},
        tuned_as=base.tuned_as or name,
    )


#: The skeletons of Table 2: the same method behind experts, tuned as it is without them.
for _name, _label in (("idefn", "IdeFN"), ("all_negative", "AllNegative")):
    for _trunk in ("mmoe", "ple"):
        _end = VARIANTS[_trunk].label
        VARIANTS[f"{_name}_{_trunk}"] = replace(
            VARIANTS[_name],
            name=f"{_name}_{_trunk}",
            label=f"{_label} on {_end}",
            trunk=_trunk,
            tuned_as=_name,
        )

#: What a label is worth, at alpha .5; and as much label mass drawn blindly.
VARIANTS["idefn_third_50"] = Variant(
    "idefn_third_50",
    "IdeFN, labels worth .3, alpha .5",
    "idefn",
    {**_LIGHT, "alpha": 0.5, "transport": {**_LIGHT["transport"], "label_value": 0.3}},
    relabels=True,
    tuned_as="all_negative",
)
VARIANTS["random_light_50"] = Variant(
    "random_light_50",
    "as much label mass drawn blindly, alpha .5",
    "random_relabel",
    {**_EQ15, "alpha": 0.5, "kappa": 0.0016},
    tuned_as="all_negative",
)
for _name, _alpha in (
    ("all_negative", 0.5),
    ("all_negative", 0.9),
    ("idefn_light", 0.5),
    ("oracle_relabel", 0.5),
):
    _variant = _at_alpha(_name, _alpha)
    VARIANTS[_variant.name] = _variant

#: The rows of the paper's tables, and the controls without which no row can be read.
TABLES: dict[int, tuple[str, ...]] = {
    1: (
        "esmm",
        "mmoe",
        "escm2_ips",
        "escm2_dr",
        "dcmt",
        "nise",
        "idefn_paper",
        "idefn",
        "click_only",
        "all_negative",
    ),
    2: (
        "esmm",
        "all_negative",
        "idefn",
        "mmoe",
        "all_negative_mmoe",
        "idefn_mmoe",
        "ple",
        "all_negative_ple",
        "idefn_ple",
    ),
}
#: Table 1 with every further rival and control: what any claim about the transport must beat.
CONTROLS = (
    "random_relabel",
    "top_k_cvr",
    "nearest_positive",
    "oracle_relabel",
    "multi_ipw",
    "multi_dr",
    "ddpo",
    "escim_ratio",
)
TABLES[3] = ("esmm", "all_negative", "idefn", *CONTROLS)
#: Does the transport help? What docs/does-the-transport-help.md compares.
TABLES[4] = (
    "click_only",
    "esmm",
    "esmm_30",
    "nise",
    "all_negative",
    "all_negative_50",
    "all_negative_90",
    "random_relabel",
    "top_k_cvr",
    "nearest_positive",
    "idefn",
    "idefn_light",
    "idefn_light_50",
    "oracle_relabel",
    "oracle_relabel_50",
)
#: What the project ships a config of, by family: the variant, and that config's name.
SHIPPED = {
    # a like needs no click there: alpha .5, as validation chose
    "kuairand": {
        "click_only": "click_only",
        "esmm": "esmm",
        "all_negative_50": "all_negative",
        "idefn_light_50": "idefn",
    },
    "simulated": {
        "click_only": "click_only",
        "esmm_30": "esmm",
        "all_negative": "all_negative",
        "idefn_light": "idefn",
    },
}
#: The rows of the README's table.
README_METHODS = (
    "click_only",
    "esmm",
    "esmm_30",
    "nise",
    "all_negative",
    "idefn",
    "idefn_light",
    "all_negative_50",
    "idefn_light_50",
)


def get_variant(name: str) -> Variant:
    """Returns a row's variant.

    Raises:
        ValueError: if the name is unknown, naming those that exist.
    """
    if name not in VARIANTS:
        raise ValueError(f"--methods: must be of {sorted(VARIANTS)}, received {name!r}")
    return VARIANTS[name]
