"""Loading: nothing else need be imported, and what cannot be loaded is told in one sentence."""

import copy
import pickle
import sys
import zipfile

import keras
import numpy as np
import pytest

import idefn_tf
from idefn_tf._homes import SAVED_IN

SECRET = "user-4711-of-the-vocabulary"


class Unregistered(keras.layers.Dropout):
    """A layer that no decorator has named."""


class Picky(keras.layers.Dropout):
    """A layer whose constructor refuses what was saved."""

    refuses = False

    def __init__(self, rate=0.5, words=(), **kwargs):
        super().__init__(rate, **kwargs)
        if self.refuses:
            raise ValueError("words: must be longer")
        self.words = list(words)

    def get_config(self):
        return {**super().get_config(), "words": self.words}


def saved(layer, path):
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Dense(1)(layer(inputs))).save(path)
    return path


def test_a_model_loads_where_nothing_else_was_imported(tmp_path, tiny_features, warm_processes):
    model = idefn_tf.AllNegative(tiny_features(), idefn_tf.DeepFM((4,)))
    model.compile(idefn_tf.RowSparseAdagrad(0.01), jit_compile=False)
    model.build()
    model.save(tmp_path / "model.keras")
    code = (
        "import sys, idefn_tf\n"
        "assert 'idefn_tf.models' not in sys.modules\n"
        "model = idefn_tf.load_model(sys.argv[1])\n"
        "print(type(model).__name__, type(model.optimizer).__name__)\n"
        f"assert not set({SAVED_IN!r}) - set(sys.modules)\n"
    )
    told = warm_processes.run(
        [sys.executable, "-c", code, str(tmp_path / "model.keras")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["AllNegative", "RowSparseAdagrad"]
    again = idefn_tf.load_model(tmp_path / "model.keras", compile=False)
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)


REPLICAS = """
import idefn_tf

model = get_method("esmm")(FeatureColumns.from_schema(schema, {}), MLP([8]))
model.compile(RowSparseAdam(0.01, weight_decay=0.01), jit_compile=False)
data = open_dataset(schema, frame, batch_size=64, drop_remainder=True, encode=model.features)
model.fit(data, verbose=0)
model.save(sys.argv[1])
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    again = idefn_tf.load_model(sys.argv[1])
held = [(m.weights + m.optimizer.variables) for m in (model, again)]
for one, other in zip(*held, strict=True):
    np.testing.assert_array_equal(one, other, err_msg=one.path)
expected = model.fit(data, verbose=0).history
found = again.fit(strategy.experimental_distribute_dataset(data), verbose=0).history
for name in ("loss", "all_funnel/ctr_logloss"):
    np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
print("REPLICAS", type(again.optimizer.iterations.value).__name__)
"""


def test_a_model_of_one_device_goes_on_on_two(on_two_devices, toy_log, tmp_path):
    said = on_two_devices(toy_log + REPLICAS, str(tmp_path / "model.keras"))
    assert said.strip().endswith("REPLICAS MirroredVariable")


def saved_and_loaded(model, path):
    model.save(path)
    return idefn_tf.load_model(path)


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
@pytest.mark.parametrize("tables", [False, True])
@pytest.mark.parametrize(
    "copied",
    [
        lambda model, _: copy.deepcopy(model),
        lambda model, _: pickle.loads(pickle.dumps(model)),
        saved_and_loaded,
    ],
    ids=["deepcopy", "pickle", "save"],
)
def test_a_model_without_variables_is_copied_as_it_is(tmp_path, tiny_features, copied, tables):
    model = idefn_tf.AllNegative(tiny_features(), idefn_tf.MLP((4,)), alpha=0.3)
    model.compile(idefn_tf.RowSparseAdam(0.02), jit_compile=False, metrics={"cvr": ["auc"]})
    if tables:
        model.features.build()
    again = copied(model, tmp_path / "model.keras")
    assert not again.built
    assert not again.optimizer.built
    assert again.get_config() == model.get_config()
    assert again.get_compile_config() == model.get_compile_config()
    for a, b in zip(model.features.weights, again.features.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    again.build_all()
    assert len(again.optimizer.variables) > 2


def test_a_missing_file_is_told(tmp_path):
    told = r"path: must be a \.keras file, received .*none\.keras, which is not there; write one"
    with pytest.raises(ValueError, match=told):
        idefn_tf.load_model(tmp_path / "none.keras")


@pytest.mark.parametrize("content", [b"", b"exposures,clicks\n", "zip", "broken zip"])
def test_a_file_that_is_no_keras_file_is_told(tmp_path, content):
    path = tmp_path / "model.keras"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt" if content == "zip" else "config.json", "{not json")
    with pytest.raises(ValueError, match=r"must be a \.keras file.*which is none; save the model"):
        idefn_tf.load_model(path)


def test_an_exported_version_is_told(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ValueError, match=r"an exported SavedModel; load that with idefn_tf.Scorer"):
        idefn_tf.load_model(tmp_path)


def test_an_unknown_class_is_named_with_the_cure_and_nothing_else(tmp_path):
    path = saved(Unregistered(0.5), tmp_path / "model.keras")
    with pytest.raises(ValueError) as told:
        idefn_tf.load_model(path)
    assert str(told.value) == (
        f"path: {path} must name classes that are registered, received "
        f"'{Unregistered.__module__}.Unregistered'; import its module first (in a run's config: "
        "imports: [module])"
    )
    custom = {"Unregistered": Unregistered}
    assert len(idefn_tf.load_model(path, custom_objects=custom).layers) == 3


def test_what_a_class_refuses_is_told_without_its_config(tmp_path, monkeypatch):
    path = saved(Picky(words=[SECRET]), tmp_path / "model.keras")
    monkeypatch.setattr(Picky, "refuses", True)
    with pytest.raises(ValueError, match="words: must be longer") as told:
        idefn_tf.load_model(path, custom_objects={"Picky": Picky})
    assert SECRET not in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500


@keras.saving.register_keras_serializable(package="shop")
def twice(x):
    """An activation of the user's own."""
    return 2 * x


def test_a_function_that_is_missing_is_named_without_any_config(tmp_path, monkeypatch):
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(2, activation=twice)(Picky(words=[SECRET])(inputs))
    keras.Model(inputs, hidden).save(tmp_path / "model.keras")
    custom = {"Picky": Picky}
    assert len(idefn_tf.load_model(tmp_path / "model.keras", custom_objects=custom).layers) == 3
    monkeypatch.delitem(keras.saving.get_custom_objects(), "shop>twice")
    with pytest.raises(ValueError, match=r"Could not locate function 'shop>twice'") as told:
        idefn_tf.load_model(tmp_path / "model.keras", custom_objects=custom)
    assert SECRET not in str(told.value)
    assert "\n" not in str(told.value)
