"""Settings of the comparison: which config a method gets under which rules.

* ``shipped``: the configs that the project ships (pipelines/configs), as the README shows them.
* ``fixed``: the paper's setting. Every method has the weights of its own publication, towers
  [512, 256, 128, 64] with BatchNorm and the published initializers, Adam at 1e-3 with L2 of 1e-5
  inside the gradient of every weight and every row. The loss of the Eq. 15 family is then about
  thirty times ESMM's, so the same L2 means something else for each.
* ``equal``: the same scale of the conversion loss for every method, the shipped towers, and the
  same budget of tuning (see `benchmarks.paper.tuning`).
* ``one_point``: the same at one point of that grid for all, where tuning every method on every
  data set would cost more than it tells.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.paper.variants import SHIPPED, Variant, get_variant
from idefn_tf.schema import strict_yaml
from pipelines.experiment.config import Config

CONFIGS = Path(__file__).resolve().parents[2] / "pipelines" / "configs"
SETTINGS = ("shipped", "fixed", "equal", "one_point")
BACKBONES = ("mlp", "deepfm", "dcnv2")


_FIXED: dict[str, Any] = {
    "units": [512, 256, 128, 64],
    "batch_norm": True,
    "parity": "published",
}
_EQUAL: dict[str, Any] = {"units": [128, 64]}


def is_shipped(name: str, family: str) -> bool:
    """Whether the project ships this variant at the scale and L2 of the others.

    The preset idefn-paper has the published network and weights: ``fixed`` compares it.
    """
    return name in SHIPPED.get(family, {})


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
        put(plain, key, value)
    return Config.parse(plain)


def _shipped(variant: Variant, backbone: str, family: str) -> dict[str, Any]:
    if not is_shipped(variant.name, family):
        raise ValueError(
            f"--methods: the setting 'shipped' has configs for {list(SHIPPED.get(family, {}))}, "
            f"received {variant.name!r}; choose --settings fixed or equal"
        )
    path = CONFIGS / family / f"{SHIPPED[family][variant.name]}.yaml"
    plain: dict[str, Any] = strict_yaml.read(path).value
    if plain.get("backbone", {}).get("name") != backbone:
        plain["backbone"] = {**plain.get("backbone", {}), "name": backbone}
    return plain


def _fixed(variant: Variant, backbone: str) -> dict[str, Any]:
    model = copy.deepcopy(dict(variant.published))
    if "alpha" in model:  # Eq. 15: the paper multiplies the two outputs
        model["ctcvr"] = "product"
    plain: dict[str, Any] = {
        "method": variant.method,
        "model": model,
        "backbone": {"name": backbone, **_FIXED},
        "features": {"embedding_stddev": 1e-4},
        "optimizer": {"name": "adam_l2", "learning_rate": 0.001, "l2": 1e-5},
        "training": {"batch_size": 2048, "epochs": 10, "patience": 4},
    }
    if variant.trunk:
        plain["trunk"] = {"name": variant.trunk}
    return plain


def _equal(variant: Variant, backbone: str) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "method": variant.method,
        # a copy to the bottom: an override of model.transport.* must not reach the next config
        "model": copy.deepcopy({**variant.published, **variant.equal}),
        "backbone": {"name": backbone, **_EQUAL},
        "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.001, "l2_rows": 0.01},
        "training": {"batch_size": 2048, "epochs": 10, "patience": 3},
    }
    if variant.trunk:
        plain["trunk"] = {"name": variant.trunk}
    return plain


def put(plain: dict[str, Any], key: str, value: Any) -> None:
    """Sets a dotted key, such as "model.alpha", of a plain config."""
    *path, last = key.split(".")
    for part in path:
        plain = plain.setdefault(part, {})
    plain[last] = value
