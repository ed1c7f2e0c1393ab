"""Mixed precision: every method trains and evaluates under both policies, in finite numbers."""

import keras
import numpy as np
import pytest

from idefn_tf.backbones import MLP
from idefn_tf.models import ESMM, METHODS
from idefn_tf.optimizers import RowSparseAdam

#: What the transport keeps between steps: running means and a memory.
STATE = {"kappa": "auto", "transport": {"memory": 8, "label_value": "calibrated", "steps": 20}}
CASES = [(name, {}) for name in sorted(METHODS)] + [("idefn", STATE), ("idefn_t", STATE)]


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize(("name", "options"), CASES)
def test_it_trains_and_evaluates(make_model, tiny_dataset, policy, name, options):
    model = make_model(name, **options)
    model.compile(RowSparseAdam(0.02), jit_compile=False, run_eagerly=True)
    model.build()
    model.optimizer.build(model.trainable_variables)
    assert model.towers["cvr"].compute_dtype == policy.removeprefix("mixed_")
    batch = next(iter(tiny_dataset))
    before = [np.array(v) for v in model.trainable_variables]
    for _ in range(8):  # a loss scale that is too high at first skips a step and halves
        results = {**model.train_step(batch), **model.test_step(batch)}
        after = model.trainable_variables
        if any(not np.array_equal(a, v) for a, v in zip(before, after, strict=True)):
            break
    else:
        pytest.fail("nothing was trained")
    assert all(np.isfinite(results[loss]) for loss in ("loss", *model.loss_names))
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    scores = model(batch[0])
    assert all(np.isfinite(score).all() for score in scores.values())


@pytest.mark.job
def test_mixed_precision_trains_with_tables_and_logits_in_float32(tiny_features, tiny_dataset):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = ESMM(tiny_features(), MLP((8,)))
        model.compile(RowSparseAdam(0.02), jit_compile=False)
        history = model.fit(tiny_dataset, epochs=4, verbose=0).history
        assert model.towers["ctr"].blocks[0].compute_dtype == "bfloat16"
        scores = model.predict(tiny_dataset, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    assert history["loss"][-1] < history["loss"][0]
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert scores["cvr"].dtype == np.float32
