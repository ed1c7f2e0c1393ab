"""The decorator: names in configs, names in saved files, and names that are taken."""

import sys
import types

import keras
import pytest

import idefn_tf.calibration
import idefn_tf.metrics
import idefn_tf.models
import idefn_tf.optimizers
import idefn_tf.transport
from idefn_tf._registry import METHODS, REGISTRIES, register
from idefn_tf.backbones import BACKBONES
from idefn_tf.models.registry import get_method, method
from idefn_tf.models.trunks import TRUNKS
from idefn_tf.optimizers import OPTIMIZERS

#: Names that saved files of earlier releases hold.
SAVED_NAMES = """
    AdamL2 AllNegative AttentionTransfer BinaryMetrics ClickOnly DCMT DCNv2 DDPO DeepFM ECE
    ESCIMRatio ESCM2DR ESCM2IPS ESMM FeatureColumns GAUC Gate HistogramAUC HistogramKS IdeFN IdeFNT
    LogLoss MLP MMoE MMoETrunk MultiDR MultiIPW NISE NearestPositive OracleRelabel PCOC PLE PLETrunk
    PiecewiseLinear PlattScaling PositiveMemory PublishedDense RPOT RandomRelabel RowSparseAdagrad
    RowSparseAdam RunningMean TopKCVR
"""


@pytest.fixture
def own():
    """A module outside the library; what it registers is forgotten afterwards."""
    module = types.ModuleType("shop_models.towers")
    before = {kind: dict(known) for kind, known in REGISTRIES.items()}
    saved = set(keras.saving.get_custom_objects())
    sys.modules[module.__name__] = module

    def define(name="Tower", where="shop_models.towers", base=keras.layers.Layer):
        return type(base)(name, (base,), {"__module__": where, "__qualname__": name})

    yield define
    del sys.modules[module.__name__]
    for kind, known in REGISTRIES.items():
        known.clear()
        known.update(before[kind])
    for name in set(keras.saving.get_custom_objects()) - saved:
        del keras.saving.get_custom_objects()[name]


@pytest.mark.parametrize("name", SAVED_NAMES.split())
def test_saved_files_of_earlier_releases_find_their_classes(name):
    cls = keras.saving.get_registered_object(f"idefn_tf>{name}")
    assert cls.__name__ == name
    assert cls.__module__.startswith("idefn_tf.")


def test_the_dicts_by_kind_are_those_that_users_know():
    assert idefn_tf.models.METHODS is METHODS is REGISTRIES["method"] is REGISTRIES["control"]
    assert sorted(BACKBONES) == ["dcnv2", "deepfm", "mlp"]
    assert sorted(TRUNKS) == ["mmoe", "ple"]
    assert sorted(OPTIMIZERS) == ["adam_l2", "row_sparse_adagrad", "row_sparse_adam"]
    assert METHODS["top_k_cvr"] is idefn_tf.models.TopKCVR
    assert len([c for c in METHODS.values() if c.__module__.startswith("idefn_tf.")]) == 19


def test_anothers_class_is_saved_under_its_own_package(own):
    cls = register("backbone", "tower")(own())
    assert BACKBONES["tower"] is cls
    assert keras.saving.get_registered_name(cls) == "shop_models>Tower"
    assert keras.saving.get_registered_object("shop_models>Tower") is cls
    assert not hasattr(cls, "method_name")


def test_a_name_that_keras_has_for_a_class_stays(own):
    cls = own("Softened", base=idefn_tf.models.ESMM)
    keras.saving.register_keras_serializable(package="my_package")(cls)
    assert method("softened")(cls) is cls
    assert keras.saving.get_registered_name(cls) == "my_package>Softened"
    assert keras.saving.get_registered_object("shop_models>Softened") is None
    assert (get_method("softened"), cls.method_name) == (cls, "softened")


def test_a_name_taken_by_another_class_is_refused_with_both_named(own):
    first = register("method", "softened")(own())
    told = "method 'softened'.*shop_models.towers.Other beside shop_models.towers.Tower"
    with pytest.raises(ValueError, match=told):
        register("method", "softened")(own("Other"))
    with pytest.raises(ValueError, match=r"control 'esmm'.*beside idefn_tf.models.methods.esmm"):
        register("control", "esmm")(own("Another"))
    assert METHODS["softened"] is first


def test_a_saved_name_taken_by_another_class_is_refused(own):
    register("layer")(own())
    told = "saved name 'shop_models>Tower'.*shop_models.heads.Tower beside shop_models.towers"
    with pytest.raises(ValueError, match=told):
        register("layer")(own(where="shop_models.heads"))


def test_the_same_class_of_a_module_that_runs_again_takes_its_own_place(own):
    register("trunk", "tower")(own())
    again = register("trunk", "tower")(own())
    assert TRUNKS["tower"] is again
    assert keras.saving.get_registered_object("shop_models>Tower") is again


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("methods", "x", "kind: must be one of .*'method'.* received 'methods'"),
        ("method", None, "name: must be the name that configs use, received None"),
        ("layer", "x", "name: must be left out for a layer, received 'x'"),
        ("function", "x", "name: must be left out for a function, received 'x'"),
    ],
)
def test_what_the_decorator_refuses(kind, name, told):
    with pytest.raises(ValueError, match=told):
        register(kind, name)


def test_what_is_only_marked_is_handed_back_as_it_is():
    def solve():
        pass

    assert register("function")(solve) is solve
    assert keras.saving.get_registered_name(solve) == "solve"
