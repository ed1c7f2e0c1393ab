"""MMoE: eight experts, and a CVR term over clicked rows with a stated divisor."""

from idefn_tf.models import MMoE, MMoETrunk


def test_loss_and_gradients_match_float64(make_model, hand):
    def terms(s, frozen):
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_loss": hand.mean(hand.phi(hand.r, s["cvr"]), hand.o),
        }

    hand.check(make_model("mmoe"), terms)


def test_divisor_clicks_averages_over_clicked_rows(make_model, hand):
    losses, _, _ = hand.run(make_model("mmoe", divisor="clicks"))
    assert abs(losses["cvr_loss"] - hand.mean_within(hand.phi(hand.r, hand.cvr), hand.o)) < 1e-5


def test_eight_experts_by_default(tiny_features):
    model = MMoE(tiny_features())
    assert isinstance(model.trunk, MMoETrunk)
    assert len(model.trunk.expert_layers) == 8
    assert set(model.trunk.gates) == {"ctr", "cvr"}
