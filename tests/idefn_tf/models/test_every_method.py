"""What every method must do: finite losses on odd batches, configs, fits, saved files."""

import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import idefn_tf.backbones
import idefn_tf.models
import idefn_tf.models.trunks
from idefn_tf.backbones import MLP, DCNv2, DeepFM
from idefn_tf.models import METHODS, Batch, Outputs
from idefn_tf.optimizers import RowSparseAdam

pytestmark = pytest.mark.usefixtures("one_by_one")
NAMES = sorted(METHODS)
#: One method per kind of program, for what costs a compilation.
FAMILIES = (
    ("escm2_dr", {"compatibility": "nise_code"}),
    ("ddpo", {}),
    ("escim_ratio", {}),
    ("nearest_positive", {}),
    ("random_relabel", {}),
    ("all_negative", {"backbone": DeepFM((4,)), "trunk": "mmoe"}),
)

#: (click, conversion, weight) of batches that some divisor or choice of rows may trip over.
ODD = {
    "no click": ([0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]),
    "no conversion": ([1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]),
    "no unclicked row": ([1, 1, 1, 1], [0, 1, 0, 1], [1, 1, 1, 1]),
    "all converted": ([1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]),
    "one row": ([1], [1], [1]),
    "one unclicked row": ([0], [0], [1]),
    "zero weights": ([1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]),
    "clicks of weight zero": ([1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 1]),
}


@pytest.fixture(scope="module")
def built(make_model):
    models = {}

    def get(name):
        if name not in models:
            models[name] = make_model(name)
            models[name].build()
        return models[name]

    return get


def losses_and_gradients(model, click, conversion, weight, logit):
    rows = len(click)
    rng = np.random.default_rng(0)
    z = tf.constant(rng.normal(size=(rows, model.features.output_width)), tf.float32)
    logits = {t: tf.constant(np.full(rows, logit), tf.float32) for t in model.tasks}
    hidden = {t: tf.constant(rng.normal(size=(rows, 4)), tf.float32) for t in model.tasks}
    labels = [tf.constant(v, tf.float32) for v in (click, conversion, weight)]
    extra = {name: tf.ones([rows]) for name in model.extra_labels}
    with tf.GradientTape() as tape:
        tape.watch(logits)
        outputs = Outputs(z, dict(logits), hidden, training=True)
        losses = model.compute_losses(outputs, Batch(*labels, extra))
        total = tf.add_n(list(losses.values()))
    gradients = tape.gradient(total, logits, unconnected_gradients="zero")
    return losses, gradients, outputs.monitor


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients_are_finite_on_odd_batches(built, name):
    model = built(name)
    for case, (click, conversion, weight) in ODD.items():
        for logit in (-0.5, 120.0, -120.0):
            losses, gradients, monitor = losses_and_gradients(
                model, click, conversion, weight, logit
            )
            assert set(losses) == set(model.loss_names), case
            for values in (losses, gradients, monitor):
                for key, value in values.items():
                    assert np.all(np.isfinite(value)), (case, logit, key)


@pytest.mark.parametrize("name", NAMES)
def test_options_may_be_written_as_whole_numbers(make_model, name):
    """A config says `cap: 50`; YAML then gives an int where the option is a float."""
    options = inspect.signature(METHODS[name].__init__).parameters.values()
    fractional = [o for o in options if isinstance(o.default, float)]
    whole = {o.name: int(o.default) for o in fractional if o.default >= 1}
    model = make_model(name, **whole)
    model.build()
    rows = ([1, 0, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1])
    losses, *_ = losses_and_gradients(model, *rows, logit=-0.5)
    same = make_model(name, **{name: float(value) for name, value in whole.items()})
    expected, *_ = losses_and_gradients(same, *rows, logit=-0.5)
    for loss, value in losses.items():
        np.testing.assert_allclose(value, expected[loss], rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_weight_zero_change_nothing(built, name):
    """Padding a batch with rows of weight 0, even with a NaN logit in them, leaves every loss."""
    if name == "random_relabel":
        pytest.skip("draws anew at every call")
    model = built(name)
    rng = np.random.default_rng(1)
    z = rng.normal(size=(6, model.features.output_width)).astype(np.float32)
    logits = {t: rng.normal(size=6).astype(np.float32) for t in model.tasks}
    click, conversion = np.float32([1, 1, 0, 0, 0, 0]), np.float32([1, 0, 0, 0, 0, 0])

    def losses(pad, garbage):
        def more(values, with_):
            return tf.constant(np.concatenate([values, np.full(pad, with_, np.float32)]))

        far = np.full((pad, z.shape[1]), 0.1, np.float32)
        hidden = {t: tf.zeros([6 + pad, 4]) for t in model.tasks}
        outputs = Outputs(
            tf.constant(np.concatenate([z, far])),
            {t: more(v, garbage) for t, v in logits.items()},
            hidden,
            training=False,
        )
        weight = more(np.ones(6, np.float32), 0.0)
        extra = {label: more(click, 1.0) for label in model.extra_labels}
        batch = Batch(more(click, 0.0), more(conversion, 0.0), weight, extra)
        return {k: float(v) for k, v in model.compute_losses(outputs, batch).items()}

    assert losses(2, float("nan")) == pytest.approx(losses(0, 0.0), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_config_round_trip_through_json_without_custom_objects(built, name):
    model = built(name)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    again = keras.saving.deserialize_keras_object(config)
    again.build()
    assert type(again) is type(model)
    assert keras.saving.serialize_keras_object(again) == keras.saving.serialize_keras_object(model)
    shapes = [[tuple(v.shape) for v in m.trainable_variables] for m in (model, again)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", NAMES)
def test_options_survive_the_round_trip(name):
    """Every option of a method's constructor is in its config."""
    cls = METHODS[name]
    accepted = {
        parameter
        for base in cls.__mro__
        if base.__module__.startswith("idefn_tf") and "__init__" in base.__dict__
        for parameter, kind in inspect.signature(base.__init__).parameters.items()
        if kind.kind not in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD) and parameter != "self"
    }
    source = "".join(
        inspect.getsource(base.get_config)
        for base in cls.__mro__
        if base.__module__.startswith("idefn_tf") and "get_config" in base.__dict__
    )
    missing = {option for option in accepted if f'"{option}"' not in source}
    assert not missing


def fit(model, dataset, epochs=3, **options):
    model.compile(RowSparseAdam(0.02), **options)
    return model.fit(dataset, epochs=epochs, verbose=0).history


@pytest.mark.parametrize("name", NAMES)
def test_a_short_training_reduces_the_loss(make_model, tiny_dataset, name):
    """Steps of `train_step` itself on one batch, which cost less than a fit."""
    model = make_model(name)
    model.compile(RowSparseAdam(0.02), jit_compile=False, run_eagerly=True)
    model.build()
    model.optimizer.build(model.trainable_variables)
    batch = next(iter(tiny_dataset))
    history = []
    for _ in range(9):
        for metric in model.metrics:
            metric.reset_state()
        history.append(float(model.train_step(batch)["loss"]))
    assert np.all(np.isfinite(history))
    # the relabelling controls change their labels from step to step, hence means of three
    assert np.mean(history[-3:]) < np.mean(history[:3])


@pytest.mark.xla
@pytest.mark.parametrize(("name", "options"), FAMILIES)
def test_xla_compiles_the_family(make_model, tiny_dataset, name, options):
    history = fit(make_model(name, **options), tiny_dataset, epochs=2)
    assert np.all(np.isfinite(history["loss"]))


@pytest.mark.parametrize(
    ("method", "backbone", "trunk"),
    [
        ("esmm", DeepFM((4,), parity="published"), None),
        ("escm2_dr", DCNv2((4,), batch_norm=True), "ple"),
        ("escim_ratio", DeepFM((4,)), "mmoe"),
        ("ddpo", DCNv2((4,), projection_dim=2), None),
        ("idefn", MLP((4,)), "mmoe"),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
def test_a_saved_model_predicts_alike_without_custom_objects(
    make_model, tiny_dataset, tmp_path, method, backbone, trunk
):
    model = make_model(method, backbone, trunk)
    model.compile()
    model.build()
    model.optimizer.build(model.trainable_variables)
    for variable in model.variables:  # also those that start at 0, and BatchNorm's
        if variable.dtype == "float32":
            variable.assign(tf.random.stateless_uniform(variable.shape, [1, 2], 0.02, 0.2))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    features = next(iter(tiny_dataset))[0]
    before, after = model(features), again(features)
    for task in ("ctr", "cvr", "ctcvr"):
        assert np.ptp(before[task]) > 0
        np.testing.assert_array_equal(before[task], after[task])


@pytest.mark.parametrize(
    ("backbone", "trunk"), [(DeepFM, None), (DCNv2, None), (MLP, "mmoe"), (MLP, "ple")]
)
@pytest.mark.parametrize("name", NAMES)
def test_every_variable_learns_on_every_backbone_and_trunk(make_model, name, backbone, trunk):
    model = make_model(name, backbone((4,), activation="tanh"), trunk)
    model.build()
    rows = 32
    click = tf.cast(tf.range(rows) % 4 < 2, tf.float32)
    conversion = click * tf.cast(tf.range(rows) % 2 == 0, tf.float32)
    extra = dict.fromkeys(model.extra_labels, conversion)
    z = tf.random.stateless_normal([rows, model.features.output_width], seed=[1, 2])
    tables = {id(table) for table in model.features.tables.values()}
    variables = [v for v in model.trainable_variables if id(v) not in tables]
    with tf.GradientTape() as tape:
        batch = Batch(click, conversion, tf.ones([rows]), extra)
        losses = model.compute_losses(model.forward(z, training=True), batch)
        total = tf.add_n(list(losses.values()))
    assert np.isfinite(total)
    gradients = tape.gradient(total, [v.value for v in variables])
    still = [
        v.path
        for v, g in zip(variables, gradients, strict=True)
        if g is None or not np.any(g.numpy())
    ]
    if name == "idefn_t":  # this ablation has no CTR loss
        still = [path for path in still if "ctr" not in path]
    assert not still, "every variable takes part in some loss"


def public_classes():
    for module in (idefn_tf.models, idefn_tf.backbones, idefn_tf.models.trunks):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) and issubclass(value, keras.layers.Layer):
                yield value


def test_every_public_layer_is_registered_and_documented():
    models = idefn_tf.models
    bases = {models.EntireSpaceModel, models.trunks.Trunk, models.LabelLikelihood}
    classes = set(public_classes()) - bases
    assert len(classes) > 20
    for cls in classes:
        name = keras.saving.get_registered_name(cls)
        assert name == f"idefn_tf>{cls.__name__}"
        assert keras.saving.get_registered_object(name) is cls
        assert cls.__doc__
        assert "get_config" in dir(cls)


def test_every_method_names_its_class_and_says_its_formula():
    for name, cls in METHODS.items():
        assert cls.method_name == name
        text = "".join(base.__doc__ or "" for base in cls.__mro__[:2])
        assert "Eq." in text or "Formula" in text


def test_an_unknown_method_is_told_with_those_that_exist():
    with pytest.raises(ValueError, match=r"^method: must be one of \['all_negative', .*'esmn'"):
        idefn_tf.models.get_method("esmn")
