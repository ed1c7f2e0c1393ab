"""Trunks against NumPy: what the gates weigh, which experts a task reads, how widths are set."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP, DeepFM
from idefn_tf.models import ESMM, MMoETrunk, PLETrunk, trunks

Z = np.random.default_rng(3).normal(size=(5, 9)).astype(np.float32)


def built(trunk, features, tasks=("ctr", "cvr"), backbone=None):
    made = trunk.for_tasks(tasks, backbone or MLP((4,), batch_norm=False), features)
    made.build((None, features.output_width))
    return made


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def expert_of(layer, x):
    (kernel, bias) = (v.numpy().astype(np.float64) for v in layer.blocks[0].weights)
    return np.maximum(x @ kernel + bias, 0)


def gate_of(gate, x):
    return softmax(x @ gate.scores.kernel.numpy().astype(np.float64))


def test_mmoe_is_a_gated_sum_of_experts(tiny_features):
    trunk = built(MMoETrunk(experts=3, expert_units=(6,)), tiny_features())
    outputs = trunk(tf.constant(Z))
    assert set(outputs) == {"ctr", "cvr"}
    experts = np.stack([expert_of(e, Z) for e in trunk.expert_layers], 1)
    for task, output in outputs.items():
        weights = gate_of(trunk.gates[task], Z)
        np.testing.assert_allclose(output, np.einsum("be,bew->bw", weights, experts), rtol=1e-4)


def test_ple_reads_own_and_shared_experts_level_by_level(tiny_features):
    trunk = built(PLETrunk(shared=2, specific=1, levels=2, expert_units=(6,)), tiny_features())
    e, g = trunk.expert_layers, trunk.gates
    x = dict.fromkeys(("ctr", "cvr", "shared"), Z.astype(np.float64))
    for level in (0, 1):
        shared = [expert_of(e[f"shared_expert_{level}_{i}"], x["shared"]) for i in (0, 1)]
        own = {t: [expert_of(e[f"{t}_expert_{level}_0"], x[t])] for t in ("ctr", "cvr")}
        read = {t: own[t] + shared for t in own}
        if level == 0:
            read["shared"] = own["ctr"] + own["cvr"] + shared
        x = {
            owner: np.einsum("be,bew->bw", gate_of(g[f"{owner}_gate_{level}"], x[owner]),
                             np.stack(experts, 1))
            for owner, experts in read.items()
        }  # fmt: skip
    assert "shared_gate_1" not in g
    for task, output in trunk(tf.constant(Z)).items():
        np.testing.assert_allclose(output, x[task], rtol=1e-4, atol=1e-6)


def test_batch_norm_gate_normalizes_before_the_softmax(tiny_features):
    trunk = built(MMoETrunk(experts=3, gate="batch_norm"), tiny_features())
    gate = trunk.gates["ctr"]
    scores = Z.astype(np.float64) @ gate.scores.kernel.numpy()
    normal = (scores - scores.mean(0)) / np.sqrt(scores.var(0) + 1e-5)
    np.testing.assert_allclose(gate(tf.constant(Z), training=True), softmax(normal), rtol=1e-3)


def test_a_trunk_is_cloned_for_each_model(tiny_features):
    trunk = MMoETrunk(experts=2, expert_units=(4,), tower_units=(3,))
    first, second = (ESMM(tiny_features(), MLP((4,)), trunk=trunk) for _ in range(2))
    assert first.trunk is not second.trunk
    assert trunk.expert_layers == []
    assert {tower.units for tower in first.towers.values()} == {(3,)}
    assert all(e.units == (4,) for e in first.trunk.expert_layers)


def test_experts_are_of_the_backbones_kind_and_towers_are_perceptrons(tiny_features):
    backbone = DeepFM((4,), activation="tanh", parity="published")
    model = ESMM(tiny_features(), backbone, trunk="mmoe")
    assert {type(e) for e in model.trunk.expert_layers} == {DeepFM}
    assert {type(t) for t in model.towers.values()} == {MLP}
    assert {t.activation for t in model.towers.values()} == {"tanh"}
    assert {t.parity for t in model.towers.values()} == {"published"}
    model.build()
    assert model.trunk.output_width == 4  # the embeddings' width


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: MMoETrunk(experts=0), "experts"),
        (lambda: PLETrunk(levels=0), "levels"),
        (lambda: MMoETrunk(expert_units=()), "expert_units"),
        (lambda: PLETrunk(gate="sigmoid"), "gate"),
        (lambda: trunks.get("moe"), "trunk"),
    ],
)
def test_bad_options_are_named(make, word):
    with pytest.raises(ValueError, match=f"{word}: must"):
        make()
