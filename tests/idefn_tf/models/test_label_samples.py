"""Label likelihoods inside methods: expectations over a known law, and who sees a duplicate."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.models import METHODS, Batch, EntireSpaceModel, Outputs, feedback
from idefn_tf.models.batch import SAMPLE_WEIGHT
from idefn_tf.rates import entire_space_cvr

pytestmark = pytest.mark.usefixtures("one_by_one")
#: The law: click rate, rate after a click, of these within the wait; window and wait in days.
C, P, EARLY, W, WAIT = 0.4, 0.3, 0.6, 7.0, 0.1
DELAYED = P * (1 - EARLY)
#: Two methods whose rows are drawn or counted by what is known so far.
BY_KNOWN = {"escim_ratio", "idefn", "idefn_t", "nearest_positive", "random_relabel", "top_k_cvr"}
NAMES = sorted(METHODS)


def logit(p):
    return float(np.log(p / (1 - p)))


#: Kinds of exposures with their probabilities: immediate and delayed conversion, none, unclicked.
ALL = {
    "click": [1, 1, 1, 0, 0],
    "conversion": [1, 1, 0, 0, 0],
    "weight": [C * P * EARLY, C * DELAYED, C * (1 - P), 0.5 * (1 - C), 0.5 * (1 - C)],
    "elapsed": [30, 30, 30, 0, 0],
    "conversion_delay": [0.05, 2.0, 0, 0, 0],
    "conversion_final": [1, 1, 0, 0, 0],
}
#: The same where windows are open: hazard 1 a day, two days after the click.
SEEN = (1 - np.exp(-2.0)) / (1 - np.exp(-W))
OPEN = {
    **ALL,
    "conversion": [1, 0, 0, 0, 0],
    "weight": [C * P * SEEN, C * P * (1 - SEEN), C * (1 - P), 0.5 * (1 - C), 0.5 * (1 - C)],
    "elapsed": [2, 2, 2, 0, 0],
    "conversion_delay": [1.0, 0, 0, 0, 0],
}
#: Heads at the truth.
TRUE_HEADS = {
    "delayed_positive": logit(DELAYED),
    "real_negative": logit((1 - P) / (1 - P + DELAYED)),
    "hazard": 0.0,
    **{f"arrived_{i}": logit(EARLY) for i in range(2)},
    **{f"believed_{i}": logit(P * (1 - EARLY) / (1 - P * EARLY)) for i in range(2)},
}
#: Of the open windows: nothing has come after the wait, SEEN after a day.
OPEN_HEADS = {
    **TRUE_HEADS,
    "arrived_0": -30.0,
    "arrived_1": logit(SEEN),
    "believed_0": logit(P),
    "believed_1": logit(P * (1 - SEEN) / (1 - P * SEEN)),
}


def batch_of(rows, names=()):
    columns = {k: tf.constant(v, tf.float32) for k, v in rows.items()}
    weight, extra = columns["weight"], {n: columns[n] for n in names}
    extra["oracle_conversion"] = tf.constant([1, 1, 0, 1, 0, 0, 0, 0], tf.float32)[: len(weight)]
    if "arrival" in columns:
        extra["arrival"], extra[SAMPLE_WEIGHT] = columns["arrival"], weight
        weight = tf.where(columns["arrival"] > 0, 0.0, weight)
    return Batch(columns["click"], columns["conversion"], weight, extra)


def likelihood(name):
    cls = feedback.FEEDBACKS[name]
    options = {"window": W} if issubclass(cls, feedback.WindowedLikelihood) else {}
    if name in ("es_dfm", "defer", "defuse"):
        options["wait"] = WAIT
    if name == "trace":
        options["horizons"] = (WAIT, 1.0)
    return cls(**options)


def outputs_of(model: EntireSpaceModel, rows, **logits):
    values = {"ctr": logit(C), "cvr": logit(P), **dict.fromkeys(model.tasks[2:], 0.4)}
    if hasattr(model, "alpha"):
        values["cvr"] = logit(entire_space_cvr(P, C, model.alpha))
    if "conversion" in model.tasks:
        values["conversion"] = logit(P)
    values |= logits
    z = tf.random.stateless_normal([rows, model.features.output_width], [1, 2])
    hidden = dict.fromkeys(model.tasks, z[:, :4])
    return Outputs(z, {t: tf.fill([rows], values[t]) for t in model.tasks}, hidden, training=True)


def pulls(model, rows, heads=TRUE_HEADS, **logits):
    """Returns the sum of the gradient in every task's logit, and the losses."""
    model.build()
    if model.feedback.heads and heads:
        last = model.feedback.network[-1]
        last.kernel.assign(tf.zeros_like(last.kernel))
        last.bias.assign([heads[name] for name in model.feedback.heads])
    outputs = outputs_of(model, len(rows["click"]), **logits)
    with tf.GradientTape() as tape:
        tape.watch(outputs.logits)
        losses = model.compute_losses(outputs, batch_of(rows, model.feedback.labels))
        total = tf.add_n(list(losses.values()))
    gradients = tape.gradient(total, outputs.logits, unconnected_gradients="zero")
    return {k: float(tf.reduce_sum(v)) for k, v in gradients.items()}, losses


def seeded(name):
    return {"seed": 1} if name == "random_relabel" else {}


@pytest.mark.parametrize("name", NAMES)
def test_in_expectation_every_method_is_pulled_as_by_final_labels(make_model, name):
    """At the true rate, when every duplicate has come: exact sums over the law, no sampling."""
    expected, _ = pulls(make_model(name, feedback="oracle", **seeded(name)), ALL)
    for kind in ("observed", "wait", "weigh", "fnw", "es_dfm", "defer", "defuse", "dfm", "trace"):
        model = make_model(name, feedback=likelihood(kind), **seeded(name))
        found, _ = pulls(model, ALL)
        assert found == pytest.approx(expected, rel=2e-4, abs=1e-5), kind


@pytest.mark.parametrize("name", sorted(set(NAMES) - BY_KNOWN))
def test_the_posterior_of_silence_stands_in_for_what_is_still_to_come(make_model, name):
    expected, _ = pulls(make_model(name, feedback="oracle"), OPEN)
    for kind in ("dfm", "trace"):
        model = make_model(name, feedback=likelihood(kind))
        found, _ = pulls(model, OPEN, heads=OPEN_HEADS)
        assert found == pytest.approx(expected, rel=2e-4, abs=1e-5), kind
    if name != "oracle_relabel":  # and without it the gradient is another
        blind, _ = pulls(make_model(name), OPEN)
        assert blind != pytest.approx(expected, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("kind", ["fnw", "es_dfm", "defer", "defuse"])
def test_published_weights_stand_still_at_the_true_rate_alone(make_model, kind):
    """Clicked rows by themselves (ClickOnly): zero at P, and the right sign on both sides."""
    model = make_model("click_only", feedback=likelihood(kind))
    assert pulls(model, ALL)[0]["cvr"] == pytest.approx(0, abs=1e-6)
    assert pulls(model, ALL, cvr=logit(0.5))[0]["cvr"] > 0.1
    assert pulls(model, ALL, cvr=logit(0.1))[0]["cvr"] < -0.1


def test_shares_of_one_click_keep_the_product_where_it_belongs(make_model):
    """ESMM at o^ r^ = C P: the CTCVR term is stationary; with published weights it is not."""
    model = make_model("esmm", feedback="fnw")
    found, _ = pulls(model, ALL)
    assert found["cvr"] == pytest.approx(0, abs=1e-6)
    outputs = outputs_of(model, 5)
    samples = model.samples(outputs, batch_of(ALL))
    a, b, n = samples.weights
    np.testing.assert_allclose(samples.weights.positive[:3], [1, 1, 0])
    product, weight = C * P, np.array(ALL["weight"])
    slope = np.where([1, 1, 1, 0, 0], -n * a / product + n * b / (1 - product), 1 / (1 - product))
    assert float(np.sum(weight * slope)) < -0.1


#: The same law as rows of a stream: a click without conversion, its late positive, an early one.
STREAM = {
    "click": [1, 1, 1, 1, 0, 0],
    "conversion": [1, 0, 1, 0, 0, 0],
    "weight": [C * P * EARLY, C * DELAYED, C * DELAYED, C * (1 - P), 0.5 * (1 - C), 0.5 * (1 - C)],
    "elapsed": [0.2, 0.2, 2.0, 0.2, 0, 0],
    "conversion_delay": [0.05, 0, 2.0, 0, 0, 0],
    "conversion_final": [1, 1, 1, 0, 0, 0],
    "arrival": [0, 0, 1, 0, 0, 0],
}


@pytest.mark.parametrize("name", sorted(set(NAMES) - BY_KNOWN))
def test_a_duplicate_counts_in_the_likelihood_alone(make_model, name):
    """A stream of es_dfm pulls as final labels do: CTR term, divisors and the rest see one row."""
    expected, losses = pulls(make_model(name, feedback="oracle"), ALL)
    if name == "oracle_relabel":
        return  # its labels of unclicked rows stand at other places
    found, streamed = pulls(make_model(name, feedback=likelihood("es_dfm")), STREAM)
    assert found == pytest.approx(expected, rel=2e-4, abs=1e-5)
    if "ctr_loss" in losses:
        assert float(streamed["ctr_loss"]) == pytest.approx(float(losses["ctr_loss"]), rel=1e-6)


#: Hazard a day of `dfm` at which EARLY of the conversions have come after the .2 days of STREAM.
HAZARD = -np.log(1 - EARLY) / 0.2
STREAM_HEADS = {**TRUE_HEADS, "hazard": 12 * np.arctanh(np.log(HAZARD) / 12)}  # bounded at 12


@pytest.mark.parametrize("name", ["all_negative", "esmm", "click_only"])
def test_a_second_look_completes_a_click(make_model, name):
    """All clicks but the late one are looked at again after their window.

    Beside unclicked rows the two rows of a click count as one; alone, as the two samples they are.
    """
    rows = {k: list(v) for k, v in STREAM.items()}
    for at in (0, 3):
        for key, values in rows.items():
            values.insert(4, {"arrival": 2, "elapsed": 8.0}.get(key, values[at]))
    expected, _ = pulls(make_model(name, feedback="oracle"), ALL)
    for kind in ("defer", "wait", "dfm", "trace"):
        model = make_model(name, feedback=likelihood(kind))
        found, _ = pulls(model, rows, heads=STREAM_HEADS)
        assert found == pytest.approx(expected, rel=2e-4, abs=1e-5), kind


def test_a_duplicate_is_no_known_conversion(make_model):
    model = make_model("idefn", feedback=likelihood("es_dfm"), kappa=0.5)
    model.build()
    batch = batch_of(STREAM, model.feedback.labels)
    outputs = outputs_of(model, 6)
    assert model.samples(outputs, batch).known.numpy().tolist() == [1, 0, 0, 0, 0, 0]
    assert float(model.match(outputs, batch).positives) == 1


def test_final_labels_are_known_to_the_transport_of_the_oracle(make_model):
    model = make_model("idefn", feedback="oracle")
    known = model.samples(outputs_of(model, 5), batch_of(OPEN, model.feedback.labels)).known
    assert known.numpy().tolist() == [1, 1, 0, 0, 0]


def test_a_correction_of_predictions_ends_at_the_true_rate(make_model):
    """FNC: the tower stands still at P / (1 + P), and P is what the model says."""
    model = make_model("multi_ipw", feedback="fnc")
    tower = logit(P / (1 + P))
    assert pulls(model, ALL, cvr=tower)[0]["cvr"] == pytest.approx(0, abs=1e-6)
    scores = model.predictions(outputs_of(model, 1, cvr=tower))
    assert float(scores["cvr"][0]) == pytest.approx(P, rel=1e-6)
    assert float(scores["ctcvr"][0]) == pytest.approx(C * P, rel=1e-6)


@pytest.mark.parametrize("name", ["all_negative", "esmm", "escm2_ips", "idefn", "dcmt"])
def test_a_correction_beside_unclicked_rows_is_refused_by_name(make_model, name):
    told = rf"feedback: must be no FNCFeedback for {METHODS[name].__name__}, .*\n.*choose fnw"
    with pytest.raises(ValueError, match=told):
        make_model(name, feedback="fnc")


@pytest.mark.parametrize("kind", sorted(set(feedback.FEEDBACKS) - {"fnc"}))
def test_odd_batches(make_model, kind):
    """Every number is finite; the heads' term is 0 without a click."""
    odd = {
        "no click": ([0, 0], [0, 0]),
        "no conversion": ([1, 0], [0, 0]),
        "no unclicked row": ([1, 1], [1, 0]),
        "all converted": ([1, 1], [1, 1]),
        "one row": ([1], [1]),
        "one unclicked row": ([0], [0]),
    }
    models = [make_model(name, feedback=likelihood(kind)) for name in ("esmm", "all_negative")]
    for case, (click, conversion) in odd.items():
        rows = {k: np.zeros(len(click)) for k in ALL} | {"click": click, "conversion": conversion}
        rows["weight"], rows["conversion_final"] = np.ones(len(click)), conversion
        for elapsed in (0.0, 3.0, 30.0):
            rows["elapsed"] = np.full(len(click), elapsed)
            for model in models:
                for value in (0.0, 60.0, -60.0):
                    found, losses = pulls(model, rows, cvr=value)
                    assert np.all(np.isfinite(list(found.values()))), case
                    assert np.all(np.isfinite(list(losses.values()))), case
                outputs = outputs_of(model, len(click))
                further = model.further_losses(outputs, batch_of(rows, model.feedback.labels))
                assert all(np.isfinite(value) for value in further.values())
                if case == "no click":
                    assert all(float(value) == 0 for value in further.values())


@pytest.mark.parametrize("kind", ["observed", "wait", "weigh", "es_dfm", "defer", "dfm"])
def test_where_everything_has_arrived_losses_are_the_oracles_bit_by_bit(make_model, kind):
    rows = {**ALL, "conversion_delay": [0.05, 0.05, 0, 0, 0]}
    heads = {"delayed_positive": -1e9, "real_negative": 1e9, "hazard": 0.0}
    for name in ("click_only", "esmm", "all_negative", "multi_dr"):
        _, expected = pulls(make_model(name, feedback="oracle"), rows)
        model = make_model(name, feedback=likelihood(kind))
        model.build()
        if model.feedback.heads:
            last = model.feedback.network[-1]
            last.kernel.assign(tf.zeros_like(last.kernel))
            last.bias.assign([heads[head] for head in model.feedback.heads])
        _, found = pulls(model, rows, heads=None)
        twice = 2 if (kind, name) == ("defer", "click_only") else 1  # as published: two samples
        for term, value in expected.items():
            times = 1 if term == "ctr_loss" else twice
            assert float(found[term]) == times * float(value), (name, term)


def test_labels_that_evaluation_lacks_are_as_observed(make_model):
    model = make_model("esmm", feedback=likelihood("dfm"))
    model.build()
    outputs = outputs_of(model, 5)
    plain = Batch(*(tf.constant(OPEN[k], tf.float32) for k in ("click", "conversion", "weight")))
    assert model.samples(outputs, plain).weights is None
    assert float(model.further_losses(outputs, plain)["feedback_loss"]) == 0


@pytest.mark.job
def test_the_page_tells_which_method_takes_which_likelihood(make_model):
    """docs/choose-a-method.md: every method and likelihood, and a dash where a pair is refused."""
    text = (Path(__file__).parents[3] / "docs/choose-a-method.md").read_text(encoding="utf-8")
    lines = text.partition("## Delayed feedback")[2].splitlines()
    head, _, *rows = [line.strip("| ").split("|") for line in lines if line.startswith("|")]
    kinds = [cell.strip(" `") for cell in head[1:]]
    told = {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}
    assert sorted(kinds) == sorted(feedback.FEEDBACKS)
    assert set(told) == {n for n in NAMES if METHODS[n].__module__.startswith("idefn_tf")}
    for name, cells in told.items():
        for kind, cell in zip(kinds, cells, strict=True):
            refused = pytest.raises(ValueError, match="feedback: must be")
            with refused if cell == "-" else contextlib.nullcontext():
                make_model(name, feedback=likelihood(kind), **seeded(name))
