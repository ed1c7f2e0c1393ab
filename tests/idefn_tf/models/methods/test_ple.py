"""PLE: four shared and four specific experts per task, loss as in MMoE."""

from idefn_tf.models import PLE, PLETrunk


def test_loss_and_gradients_match_float64(make_model, hand):
    def terms(s, frozen):
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_loss": 3.0 * hand.mean_within(hand.phi(hand.r, s["cvr"]), hand.o),
        }

    hand.check(make_model("ple", cvr_weight=3.0, divisor="clicks"), terms)


def test_four_shared_and_four_specific_experts_by_default(tiny_features):
    model = PLE(tiny_features())
    assert isinstance(model.trunk, PLETrunk)
    owners = [name.split("_")[0] for name in model.trunk.expert_layers]
    assert {owner: owners.count(owner) for owner in owners} == {"ctr": 4, "cvr": 4, "shared": 4}
