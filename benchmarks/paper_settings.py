"""Settings of the comparison: which config a method gets under which rules.

* ``shipped``: the configs that the project ships (pipelines/configs), as the README shows them.
* ``fixed``: the paper's setting. Every method has the weights of its own publication, towers
  [512, 256, 128, 64] with BatchNorm and the published initializers, Adam at 1e-3 with L2 of 1e-5
  inside the gradient of every weight and every row. The loss of the Eq. 15 family is then about
  thirty times ESMM's, so the same L2 means something else for each.
* ``equal``: the same scale of the conversion loss for every method, the shipped towers, and the
  same budget of tuning (see `benchmarks.paper_tuning`).
* ``one_point``: the same at one point of that grid for all, where tuning every method on every
  data set would cost more than it tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from idefn_tf import strict_yaml
from pipelines.config import Config

CONFIGS = Path(__file__).resolve().parent.parent / "pipelines" / "configs"
SETTINGS = ("shipped", "fixed", "equal", "one_point")
BACKBONES = ("mlp", "deepfm", "dcnv2")


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
        tuned_as: the variant whose tuned point it takes under ``equal``, for controls that differ
            from it in labels alone; none is tuned itself.
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
#: What the search of recipes left standing (docs/does-the-transport-help.md): labels worth a tenth
#: of a conversion, matched on the hidden layer after an epoch, with a memory of positives.
_LIGHT = {
    **_EQ15,
    "kappa": "auto",
    "marginals": "proportion",
    "rule": "top_k",
    "representation": "hidden",
    "transport": {"memory": 128, "warmup_steps": 64, "normalize": True, "label_value": 0.1},
}
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
        Variant("idefn_t", "IdeFN-T (no CTR loss)", "idefn_t", _IDEFN, relabels=True),
        Variant("click_only", "ClickOnly (IdeFN-R)", "click_only", {"cvr_weight": CLICKED_SCALE}),
        Variant("all_negative", "AllNegative", "all_negative", _EQ15),
        Variant(
            "all_negative_90",
            "AllNegative, alpha .9",
            "all_negative",
            {**_EQ15, "alpha": 0.9},
            tuned_as="all_negative",
        ),
        Variant("idefn_mmoe", "IdeFN on MMoE", "idefn", _IDEFN, trunk="mmoe", relabels=True),
        Variant("idefn_ple", "IdeFN on PLE", "idefn", _IDEFN, trunk="ple", relabels=True),
        Variant("all_negative_mmoe", "AllNegative on MMoE", "all_negative", _EQ15, trunk="mmoe"),
        Variant("all_negative_ple", "AllNegative on PLE", "all_negative", _EQ15, trunk="ple"),
        Variant("ple", "PLE", "ple", {"cvr_weight": 1}, {"cvr_weight": CLICKED_SCALE}, trunk="ple"),
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
    "nise",
    "all_negative",
    "all_negative_90",
    "random_relabel",
    "top_k_cvr",
    "nearest_positive",
    "idefn",
    "idefn_light",
    "oracle_relabel",
)
#: The rows of the README's table, and of ``shipped``.
README_METHODS = ("click_only", "esmm", "all_negative", "idefn")

_FIXED: dict[str, Any] = {
    "units": [512, 256, 128, 64],
    "batch_norm": True,
    "parity": "published",
}
_EQUAL: dict[str, Any] = {"units": [128, 64]}


def get_variant(name: str) -> Variant:
    """Returns a row's variant.

    Raises:
        ValueError: if the name is unknown, naming those that exist.
    """
    if name not in VARIANTS:
        raise ValueError(f"--methods: must be of {sorted(VARIANTS)}, received {name!r}")
    return VARIANTS[name]


def is_shipped(name: str, family: str) -> bool:
    """Whether the project ships this variant at the scale and L2 of the others.

    The preset idefn-paper has the published network and weights: ``fixed`` compares it.
    """
    return name in README_METHODS and (CONFIGS / f"{family}_{name}.yaml").is_file()


def make_config(
    setting: str,
    variant: str,
    backbone: str,
    seed: int,
    family: str = "kuairand",
    overrides: Mapping[str, Any] | None = None,
) -> Config:
    """Builds the config of one cell.

    Args:
        setting: one of `SETTINGS`.
        variant: a name of `VARIANTS`.
        backbone: one of `BACKBONES`.
        seed: of initial weights and of the order of rows.
        family: which shipped configs, "kuairand" or "simulated"; used by ``shipped`` alone.
        overrides: by dotted key, such as {"optimizer.l2_rows": 0.003}, put on top.

    Raises:
        ValueError: if a name is unknown, or nothing is shipped for the variant.
    """
    chosen = get_variant(variant)
    for name, value, known in (("settings", setting, SETTINGS), ("backbones", backbone, BACKBONES)):
        if value not in known:
            raise ValueError(f"--{name}: must be of {list(known)}, received {value!r}")
    if setting == "shipped":
        plain = _shipped(chosen, backbone, family)
    else:
        plain = _fixed(chosen, backbone) if setting == "fixed" else _equal(chosen, backbone)
    plain.setdefault("training", {}).update(seed=seed, audit=False)
    for key, value in (overrides or {}).items():
        _put(plain, key, value)
    return Config.parse(plain)


def _shipped(variant: Variant, backbone: str, family: str) -> dict[str, Any]:
    path = CONFIGS / f"{family}_{variant.name}.yaml"
    if not path.is_file():
        names = sorted(p.stem.removeprefix(f"{family}_") for p in CONFIGS.glob(f"{family}_*.yaml"))
        raise ValueError(
            f"--methods: the setting 'shipped' has configs for {names}, received {variant.name!r}; "
            "choose --settings fixed or equal"
        )
    plain: dict[str, Any] = strict_yaml.read(path).value
    if plain.get("backbone", {}).get("name") != backbone:
        plain["backbone"] = {**plain.get("backbone", {}), "name": backbone}
    return plain


def _fixed(variant: Variant, backbone: str) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "method": variant.method,
        "model": dict(variant.published),
        "backbone": {"name": backbone, **_FIXED},
        "features": {"embedding_stddev": 1e-4},
        "optimizer": {"name": "adam_l2", "learning_rate": 0.001, "l2": 1e-5},
        "training": {"batch_size": 2048, "epochs": 10, "patience": 3},
    }
    if variant.trunk:
        plain["trunk"] = {"name": variant.trunk}
    return plain


def _equal(variant: Variant, backbone: str) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "method": variant.method,
        "model": {**variant.published, **variant.equal},
        "backbone": {"name": backbone, **_EQUAL},
        "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.001, "l2_rows": 0.01},
        "training": {"batch_size": 2048, "epochs": 10, "patience": 2},
    }
    if variant.trunk:
        plain["trunk"] = {"name": variant.trunk}
    return plain


def _put(plain: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        plain = plain.setdefault(part, {})
    plain[last] = value
