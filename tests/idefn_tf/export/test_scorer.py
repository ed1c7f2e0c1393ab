"""Scoring a version: what it has not, and what it is not given, is told by name."""

import numpy as np
import pytest

from idefn_tf.export import Scorer, card, serving_schema


def test_a_signature_that_the_version_has_not_is_told_with_those_it_has(version):
    told = r"^signature: .* has none called 'clasify', only \['classify', .*'serving_default'\]$"
    with Scorer(version) as scorer, pytest.raises(ValueError, match=told):
        scorer.run({}, "clasify")


def test_inputs_that_are_not_given_are_told(version):
    with Scorer(version) as scorer:
        given = {name: np.zeros(1) for name in scorer.inputs("serving_default")}
        del given["price"], given["age"]
        told = r"^inputs: \['age', 'price'\] are missing; serving_default takes all of them$"
        with pytest.raises(ValueError, match=told):
            scorer.run(given, "serving_default")


def test_a_folder_that_is_no_version_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^path: .* must be a version's folder with saved_model"):
        Scorer(tmp_path)
    with pytest.raises(ValueError, match=r"model_card\.json; it was not exported by idefn_tf\.exp"):
        card.read(tmp_path)


def test_a_schema_that_serving_would_see_nothing_of_is_refused(tiny):
    kept = tuple(feature for feature in tiny.SCHEMA.features if feature.train_only)
    assert [feature.name for feature in kept] == ["position"]
    with pytest.raises(ValueError, match=r"^schema: every feature is train_only, so a request wou"):
        serving_schema(tiny.SCHEMA.model_copy(update={"features": kept}))
