"""Option records: one rule a value, in constructors, records and JSON Schema alike."""

import inspect
import pickle
from collections.abc import Sequence
from dataclasses import MISSING
from fractions import Fraction
from typing import Any, Literal

import jsonschema
import keras
import numpy as np
import pytest

from idefn_tf import _rules as rules
from idefn_tf import _types as kinds
from idefn_tf._options import check_arguments, dotted, options_of, problems, rule_of
from idefn_tf._schedule import SCHEDULE, schedule_of
from idefn_tf.backbones import MLP, DCNv2
from idefn_tf.models import ESMM, METHODS, IdeFN, IdeFNT, MMoETrunk
from idefn_tf.optimizers import OPTIMIZERS, RowSparseAdam
from idefn_tf.optimizers.keras_options import keras_optimizers, optimizer_options
from idefn_tf.transport import RPOT, SolverOptions, TransportOptions

NAN, INF = float("nan"), float("inf")
DECAY = {
    "class_name": "CosineDecay",
    "config": {"initial_learning_rate": 0.001, "decay_steps": 10},
}


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (kinds.Positive, [1e-300, 1, np.float32(2), Fraction(1, 3)], [0, -1, NAN, INF, 10**400]),
        (kinds.Positive, [], [True, "1", "1e-3", None, [1], {}, 1j, np.ones(2)]),
        (kinds.NonNegative, [0, 0.0, 5], [-1e-9, -INF]),
        (kinds.Share, [0, 1, 0.5], [-0.1, 1.1]),
        (kinds.OpenShare, [0.5], [0, 1, 1.0]),
        (kinds.ShareAboveZero, [1, 0.1], [0, 1.1]),
        (kinds.ShareBelowOne, [0, 0.9], [1, -0.1]),
        (kinds.Count, [1, np.int64(4), 2**31 - 1], [0, 1.0, 2.5, True, "1", 2**31]),
        (kinds.CountOrZero, [0], [-1]),
        (kinds.Seed, [0, 2**32 - 1], [-1, 2**32]),
        (kinds.Switch, [True, False], [0, 1, "true", None]),
        (kinds.Text, ["a"], [1, None]),
        (kinds.Widths, [[1], (4, 2)], [[], [0], "12", 4, [1.5], [True], [None], [[1]]]),
        (kinds.CountOrNone, [None, 3], [0, "none"]),
        (Literal["a", "b"] | None, ["a", None], ["c", 1, ["a"], {}]),
        (int | Sequence[str], [3, ["a"]], ["a", [3], 1.5]),
        (dict[str, Any] | None, [{}, None], [5, [1], "a"]),
        (keras.layers.Layer | str | None, [5, object()], []),  # nothing is known of a layer
    ],
)
def test_a_rule_takes_what_it_says_and_nothing_else(annotation, good, bad):
    rule = rule_of(annotation)
    for value in good:
        assert rule.check(value) is value
    for value in bad:
        with pytest.raises(ValueError, match=r"must be .*, received "):
            rule.check(value)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (kinds.Positive, "a finite number above 0"),
        (kinds.Share, "a finite number from 0 to 1"),
        (kinds.OpenShare, "a finite number above 0 and below 1"),
        (kinds.Count, "a whole number from 1 to 2147483647"),
        (kinds.CountOrNone, "a whole number from 1 to 2147483647 or none"),
        (Literal["a", "b"], "one of ['a', 'b']"),
        (Literal["a"] | None, "'a' or none"),
        (kinds.Widths, "a list of at least one entry, each a whole number from 1 to 2147483647"),
    ],
)
def test_a_rule_in_words(annotation, words):
    assert rule_of(annotation).words == words


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP((4, 0)), "units: must be a list of at least one entry, each a whole number"),
        (lambda: MLP([4], True, "rel"), "activation: must be an activation of Keras, such as 're"),
        (lambda: MLP(parity="kers"), "parity: must be one of ['keras', 'published'], received 'k"),
        (lambda: MLP(parity="kers"), "received 'kers'; did you mean 'keras'?"),
        (lambda: DCNv2(dropout=1), "dropout: must be a finite number at least 0 and below 1, rece"),
        (lambda: MMoETrunk("8"), "experts: must be a whole number from 1 to 2147483647, received "),
        (lambda: RowSparseAdam(0), "learning_rate: must be a finite number above 0 or a schedule"),
        (lambda: RowSparseAdam("1e-3"), "received '1e-3'; leave it out for 0.001"),
        (lambda: SolverOptions(epsilon=True), "epsilon: must be a finite number above 0, receive"),
        (lambda: RPOT(kappa=NAN), "kappa: must be a finite number from 0 to 1 or 'auto' or a sche"),
        (lambda: RPOT(epsilonn=1), "epsilonn: unknown key, must be one of ['capacity', 'cost', "),
        (lambda: RPOT(epsilonn=1), "received 'epsilonn'; did you mean 'epsilon'?"),
        (lambda: RPOT(spies=0.1), "spies: must be called 'holdout_positives', received 'spies'"),
    ],
)
def test_a_constructor_says_the_argument_the_rule_and_what_was_received(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert message in str(caught.value)


def test_a_models_constructor_says_the_same_as_its_record(tiny_features):
    features = tiny_features()
    for options in (
        {"gamma": "abc"},
        {"alpha": 1},
        {"transport": 5},
        {"transport": {"epsilonn": 1}},
        {"transport": {"solver": "exat", "kappa": 0.01}},
        {"transport": {"label_value": "calibrated", "holdout_positives": 0}},
    ):
        told = "\n".join(
            f"{dotted(at)}: {rule}" for at, rule in problems(options_of(IdeFN), options)
        )
        with pytest.raises(ValueError) as caught:
            IdeFN(features, MLP((4,)), **options)
        assert str(caught.value) == told
    assert told == (
        "transport.holdout_positives: must be above 0 where label_value is 'calibrated', received "
        "0; leave it out for 0.1"
    )


def test_a_record_and_a_mapping_make_the_same_model(tiny_features):
    given = {"memory": 8, "label_value": 0.5}
    plain = IdeFN(tiny_features(), MLP((4,)), transport=given)
    typed = IdeFN(tiny_features(), MLP((4,)), transport=TransportOptions(**given))
    assert typed.get_config()["transport"] == plain.get_config()["transport"] == given
    assert typed.rpot.memory == 8
    assert typed.rpot.label_value == 0.5
    assert typed.rpot.capacity == TransportOptions().capacity == 64


def test_the_exact_solver_is_refused_where_a_step_is_compiled(tiny_features, monkeypatch):
    monkeypatch.delenv("IDEFN_TF_JIT", raising=False)
    model = IdeFN(tiny_features(), MLP((4,)), transport={"solver": "exact"})
    with pytest.raises(ValueError, match=r"transport\.solver: must be one that XLA compiles.*simp"):
        model.compile(RowSparseAdam(1e-3))
    model.compile(RowSparseAdam(1e-3), jit_compile=False)
    layer = RPOT(solver="exact")
    z, ones = np.ones((4, 2), np.float32), np.array([1, 0, 0, 0], np.float32)
    with pytest.raises(ValueError, match="solver: must be one that XLA compiles"):
        layer(z, ones, ones)
    assert RPOT(solver="exact", jit_compile=False)(z, ones, ones).labels.shape == (4,)


def test_a_record_has_the_arguments_of_every_class_it_extends():
    taken = options_of(IdeFN).model_fields
    assert set(taken) == {
        "kappa", "marginals", "rule", "representation", "average_decay", "transport",
        "alpha", "gamma", "ctr_weight", "ctcvr", "negative_keep_rate",
    }  # fmt: skip
    assert taken["ctr_weight"].default == 1.0
    assert options_of(IdeFNT).model_fields["ctr_weight"].default == 0.0
    assert options_of(IdeFN) is options_of(IdeFN)
    assert problems(options_of(ESMM), {"kappa": 1, "ctr_weight": 2}) == [
        (
            ("kappa",),
            "unknown key, must be one of ['ctcvr_weight', 'ctr_weight', 'negative_keep_rate', "
            "'stop_ctr_gradient'] (ESMM), received 'kappa'",
        )
    ]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_no_argument_of_a_method_is_without_a_rule(name):
    for key, field in options_of(METHODS[name]).model_fields.items():
        assert not isinstance(field.metadata[0], rules.Anything), key


def test_checking_keeps_the_signature_and_is_done_once():
    @check_arguments
    class Made:
        def __init__(self, a: kinds.Count, b: kinds.Switch = True, *rest: int, c: "Nowhere" = 1):  # noqa: F821
            self.given = (a, b, rest, c)

    assert list(inspect.signature(Made.__init__).parameters) == ["self", "a", "b", "rest", "c"]
    assert Made(2, False, 7, c=[]).given == (2, False, (7,), [])
    assert Made.__init__ is check_arguments(Made).__init__
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        Made()
    with pytest.raises(ValueError, match=r"a: must be a whole number from 1 to \d+, received 0$"):
        Made(0)
    assert options_of(Made).model_fields["a"].is_required()

    class Own(Made):
        """Without a constructor."""

    assert "__init__" not in vars(check_arguments(Own))


def test_a_record_of_a_users_own_class_takes_its_arguments():
    class Mine(ESMM):
        def __init__(self, *args, weight: float = 2.0, odd=MISSING, **kwargs):
            super().__init__(*args, **kwargs)

    assert problems(options_of(Mine), {"weight": "x", "odd": "anything", "ctr_weight": 1}) == [
        (("weight",), "must be a finite number, received 'x'; leave it out for 2.0")
    ]


def test_options_are_immutable_and_survive_pickling():
    options = TransportOptions(memory=4)
    with pytest.raises(ValueError, match="frozen"):
        options.memory = 5
    assert pickle.loads(pickle.dumps(options)) == options
    assert hash(SolverOptions()) == hash(SolverOptions())


def test_schedules_are_what_keras_makes_of_them():
    rate = schedule_of(DECAY)
    assert isinstance(rate, keras.optimizers.schedules.CosineDecay)
    assert float(rate(0)) == pytest.approx(0.001)
    assert SCHEDULE.accepts(DECAY)
    assert SCHEDULE.accepts(rate)
    for bad in ({}, {"class_name": "Cosine", "config": {}}, {"class_name": "Adam", "config": {}}):
        assert not SCHEDULE.accepts(bad)
    assert not SCHEDULE.accepts({**DECAY, "config": {**DECAY["config"], "decay_steps": "ten"}})
    assert not SCHEDULE.accepts({**DECAY, "config": {**DECAY["config"], "alpha": NAN}})
    endless = {**DECAY["config"], "initial_learning_rate": float("inf")}
    assert not SCHEDULE.accepts({**DECAY, "config": endless})
    assert float(RowSparseAdam(rate).learning_rate) == pytest.approx(0.001)


@pytest.mark.parametrize("cls", [*OPTIMIZERS.values(), *keras_optimizers().values()])
def test_every_optimizer_has_a_record_that_takes_its_defaults(cls):
    record = optimizer_options(cls)
    defaults = {
        key: field.default for key, field in record.model_fields.items() if not field.is_required()
    }
    needed = {key: None for key, field in record.model_fields.items() if field.is_required()}
    assert not problems(record, {**defaults, **needed})
    assert problems(record, {**needed, "learning_rte": 1})


@pytest.mark.parametrize(
    ("key", "value"),
    [("learning_rate", INF), ("clipnorm", -1), ("use_ema", 3), ("beta_1", 1), ("rho", "x")],
)
def test_what_kerass_signature_tells_is_checked(key, value):
    cls = keras.optimizers.RMSprop if key == "rho" else keras.optimizers.Adam
    assert [at for at, _ in problems(optimizer_options(cls), {key: value})] == [(key,)]


def test_the_json_schema_says_what_the_record_does():
    schema = options_of(IdeFN).model_json_schema()
    good = {"gamma": 3, "kappa": "auto", "transport": {"memory": 4}, "representation": ["hidden"]}
    jsonschema.validate(good, schema)
    assert not problems(options_of(IdeFN), good)
    for bad in ({"gamma": 0}, {"kappa": "some"}, {"transport": {"memry": 4}}, {"alpha": "x"}):
        assert problems(options_of(IdeFN), bad)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
