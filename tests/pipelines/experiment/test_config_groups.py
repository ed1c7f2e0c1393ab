"""Every key of every shipped config, given what it cannot be, is told with its place and name."""

import copy
import re
from pathlib import Path

import pytest

from idefn_tf._options import problems
from idefn_tf.schema import strict_yaml
from pipelines.experiment.build import make_optimizer
from pipelines.experiment.config import Config
from pipelines.experiment.config_groups import (
    features_options,
    known_names,
    named_record,
    optimizer_class,
)
from pipelines.experiment.config_origin import Origin

CONFIGS = sorted((Path(__file__).parents[3] / "pipelines" / "configs").glob("*/*.yaml"))
#: Of no type that a key takes, or out of every range.
WRONG = [float("nan"), float("-inf"), -1e300, 10**400, [[]], [[None]], {"": 1}, {1: 2}, "\x00", ""]


def keys_of(value, path=()):
    """Every key of nested groups, innermost last."""
    for key, inner in value.items():
        yield (*path, key)
        if isinstance(inner, dict):
            yield from keys_of(inner, (*path, key))


def changed(value, path, put):
    """A copy in which `put(group, key)` changed the group that holds the key."""
    changes = copy.deepcopy(value)
    group = changes
    for key in path[:-1]:
        group = group[key]
    put(group, path[-1])
    return changes


def refusal(value, document):
    """What checking the values says; anything but a ValueError with a line is a fault."""
    with pytest.raises(ValueError) as caught:
        Config.parse(value, Origin(document))
    assert type(caught.value) is ValueError, value
    said = str(caught.value)
    assert re.match(rf"{re.escape(document.path)}:\d+: [a-z]", said), said
    return said


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_no_value_of_any_key_ends_in_another_exception(path):
    document = strict_yaml.read(path)
    value = document.value
    for at in keys_of(value):
        for wrong in WRONG:
            if at[:2] == ("tuning", "objective") and wrong == "":
                continue
            broken = changed(value, at, lambda group, key, put=wrong: group.update({key: put}))
            assert at[0] in refusal(broken, document)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_neighbour_of_every_name_is_told_with_the_name(path):
    document = strict_yaml.read(path)
    value = document.value
    for at in keys_of(value):
        if at[:2] in (("tuning", "space"), ("tuning", "objective")) and len(at) > 2:
            continue  # names that a search makes up, held by test_tuning_config

        def rename(group, key):
            group[f"{key}x"] = group.pop(key)

        said = refusal(changed(value, at, rename), document)
        assert f"{at[-1]}x" in said
        if len(at) > 1 or at[0] != "method":
            assert f"did you mean {at[-1]!r}?" in said


@pytest.mark.parametrize("group", ["model", "backbone", "trunk", "optimizer"])
def test_every_record_takes_its_own_defaults(group):
    for name in known_names(group):
        record = named_record(group, name)
        fields = record.model_fields.items()
        needed = dict.fromkeys((key for key, field in fields if field.is_required()))
        given = {key: field.default for key, field in fields if not field.is_required()}
        assert not problems(record, {**given, **needed}), name


def test_an_optimizer_has_the_name_that_keras_gives_it_in_any_case():
    assert optimizer_class("adam").__name__ == "Adam"
    assert optimizer_class("AdamW").__name__ == "AdamW"
    assert optimizer_class("row_sparse_adam").__name__ == "RowSparseAdam"
    for name in ("Dense", "dense", "", None, 3, ["adam"], {}):
        assert optimizer_class(name) is None


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"embedding_width": 0}, "embedding_width"),
        ({"embedding_width": 8.5}, "embedding_width"),
        ({"shards": [1]}, "shards"),
        ({"shards": 0}, "shards"),
        ({"dtype": "float3"}, "dtype"),
        ({"trainable": "no"}, "trainable"),
        ({"columns": []}, "columns"),
    ],
)
def test_features_take_what_the_layer_takes(given, key):
    assert [at for at, _ in problems(features_options(), given)] == [(key,)]
    good = {"embedding_width": 8, "shards": ["GPU:0"], "dtype": "float32", "trainable": False}
    assert not problems(features_options(), good)


def test_an_encoder_among_the_features_keys_is_sent_to_its_place():
    with pytest.raises(ValueError, match=r"features\.encoder: must stand at the top level"):
        Config.parse({"method": "esmm", "features": {"encoder": "din"}})


@pytest.mark.parametrize(
    ("old", "new"),
    [("kuairand_idefn", "kuairand/idefn"), ("simulated_idefn_tune", "simulated/idefn.tune")],
)
def test_the_path_that_a_config_once_had_is_answered_with_its_own(old, new):
    folder = CONFIGS[0].parents[1]
    assert (folder / f"{new}.yaml").is_file()
    with pytest.raises(ValueError) as refused:
        Config.load(folder / f"{old}.yaml")
    assert str(refused.value) == f"{folder}/{old}.yaml: has moved; give {folder}/{new}.yaml"


def test_an_optimizer_that_is_none_is_told_with_those_there_are():
    with pytest.raises(ValueError, match=r"^name: must be one of \[.*'row_sparse_adam'.*'adm'$"):
        make_optimizer({"name": "adm"})
