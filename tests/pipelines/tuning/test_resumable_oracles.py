"""Oracles taken up after a kill go on where they were."""

import pytest

from idefn_tf.tuning import SearchSpace
from pipelines.tuning.resumable_oracles import TUNERS, make_oracle

SPACE = SearchSpace.model_validate(
    {
        "optimizer.learning_rate": {"low": 0.001, "high": 0.03, "log": True, "steps": 4},
        "backbone.units": {"values": [[8], [16, 8]]},
        "features.embedding_width": {"values": [4, 8]},
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("name", TUNERS)
def test_an_oracle_taken_up_again_goes_on_where_it_was(name, tmp_path):
    space = SPACE

    def oracle():
        made = make_oracle(name, space, 9, 4, seed=3)
        made.verbose = 0
        made._set_project_dir(str(tmp_path), "p")
        return made

    first = oracle()
    for i in range(3):
        trial = first.create_trial("tuner0")
        first.update_trial(trial.trial_id, {"goal": 0.1 * i})
        trial.status = "COMPLETED"
        first.end_trial(trial)
    running = first.create_trial("tuner0")  # and here it is killed
    second = oracle()
    second.reload()
    again = second.create_trial("tuner0")
    assert again.trial_id == running.trial_id
    assert again.hyperparameters.values == running.hyperparameters.values
    assert len(second.trials) == 4


def test_a_trial_killed_before_it_was_noted_is_given_again(tmp_path):
    def oracle():
        made = make_oracle("random", SPACE, 9, 4, seed=3)
        made.verbose = 0
        made._set_project_dir(str(tmp_path), "p")
        return made

    first = oracle()
    first.save()
    state = (tmp_path / "p" / "oracle.json").read_bytes()
    trial = first.create_trial("tuner0")
    (tmp_path / "p" / "oracle.json").write_bytes(state)  # the kill came between the two files
    second = oracle()
    second.reload()
    again = second.create_trial("tuner0")
    assert (again.trial_id, again.hyperparameters.values) == (
        trial.trial_id,
        trial.hyperparameters.values,
    )


def test_a_tuner_that_is_none_and_a_space_of_one_point_are_refused():
    told = r"^--tuner: must be one of \['random', 'grid', .*\], received 'genetic'$"
    with pytest.raises(ValueError, match=told):
        make_oracle("genetic", SPACE, 9, 4, seed=3)
    fixed = SearchSpace.model_validate({"model.kappa": {"values": [0.01]}})
    with pytest.raises(ValueError, match=r"^tuning\.space: every key has one value; there is noth"):
        make_oracle("random", fixed, 9, 4, seed=3)
