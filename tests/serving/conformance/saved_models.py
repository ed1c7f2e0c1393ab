"""Writes the small SavedModels that the conformance cases ask for.

    python tests/serving/conformance/saved_models.py FOLDER

FOLDER gets one sub-folder per model with its numbered versions, and a `models.config` for all of
them. Each model shows one thing:

| model         | signatures                  | what it computes                                 |
|---------------|-----------------------------|--------------------------------------------------|
| half_plus_two | serving_default (any rank)  | y = x / 2 + 2 (version 1), + 3 (version 2)       |
| multi         | serving_default, only_price | cvr = age / 100 + price; tag_bytes = user + "!"  |
| examples      | serving_default, classify_x_to_y, regress_x_to_y: on tf.Example               |
|               |                             | scores [1-x, x] (with classes), x / 2 + 2        |
| dtypes        | serving_default             | every input back under its name + "_out"         |
| echo          | serving_default, as_bytes   | a string of any rank back as it is               |
| matrix        | serving_default, rows       | sums of the rows of [N, 3], and their total      |
"""

import sys
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

DTYPES = {
    "i32": tf.int32,
    "i64": tf.int64,
    "u8": tf.uint8,
    "b": tf.bool,
    "f32": tf.float32,
    "f64": tf.float64,
}


def vector(name: str, dtype: tf.DType, *inner: int) -> tf.TensorSpec:
    """A batch of values (or of fixed-size rows) of one named input."""
    return tf.TensorSpec([None, *inner], dtype, name=name)


def export(path: Path, **signatures: tuple[Callable[..., dict], list[tf.TensorSpec]]) -> None:
    """Saves functions as signatures; what a function closes over is tracked with the module."""
    module = tf.Module()
    # not as attributes of the module one by one: any signature name must be possible
    module.functions = {
        name: tf.function(function, input_signature=specs, autograph=False)
        for name, (function, specs) in signatures.items()
    }
    module.variables_used = [
        cell.cell_contents
        for function, _ in signatures.values()
        for cell in function.__closure__ or ()
        if isinstance(cell.cell_contents, tf.Variable)
    ]
    tf.saved_model.save(module, str(path), signatures=dict(module.functions))


def half_plus(path: Path, bias: float) -> None:
    slope, offset = tf.Variable(0.5), tf.Variable(bias)
    export(
        path,
        serving_default=(
            lambda x: {"y": slope * x + offset},
            [tf.TensorSpec(None, tf.float32, name="x")],
        ),
    )


def multi(path: Path) -> None:
    weight = tf.Variable(0.01)

    def score(user: tf.Tensor, age: tf.Tensor, price: tf.Tensor) -> dict:
        cvr = tf.cast(age, tf.float32) * weight + price
        return {"cvr": cvr, "tag_bytes": tf.strings.join([user, "!"])}

    export(
        path,
        serving_default=(
            score,
            [vector("user", tf.string), vector("age", tf.int64), vector("price", tf.float32)],
        ),
        only_price=(lambda price: {"twice": 2.0 * price}, [vector("price", tf.float32)]),
    )


def examples(path: Path) -> None:
    features = {
        "x": tf.io.FixedLenFeature([], tf.float32),
        "tag": tf.io.FixedLenFeature([], tf.string, default_value=""),
    }
    serialized = [vector("inputs", tf.string)]
    slope, offset = tf.Variable(0.5), tf.Variable(2.0)

    def scores(inputs: tf.Tensor) -> tf.Tensor:
        x = tf.io.parse_example(inputs, features)["x"]
        return tf.stack([1.0 - x, x], axis=1)

    def classify(inputs: tf.Tensor) -> dict:
        found = scores(inputs)
        labels = tf.tile([["neg", "pos"]], [tf.shape(found)[0], 1])
        return {"classes": labels, "scores": found}

    def regress(inputs: tf.Tensor) -> dict:
        x = tf.io.parse_example(inputs, features)["x"]
        return {"outputs": tf.expand_dims(slope * x + offset, 1)}

    export(
        path,
        serving_default=(lambda inputs: {"scores": scores(inputs)}, serialized),
        classify_x_to_y=(classify, serialized),
        regress_x_to_y=(regress, serialized),
    )


def dtypes(path: Path) -> None:
    def back(i32, i64, u8, b, f32, f64):
        given = {"i32": i32, "i64": i64, "u8": u8, "b": b, "f32": f32, "f64": f64}
        return {f"{name}_out": tf.identity(value) for name, value in given.items()}

    export(path, serving_default=(back, [vector(name, kind) for name, kind in DTYPES.items()]))


def echo(path: Path) -> None:
    anything = [tf.TensorSpec(None, tf.string, name="s")]
    export(
        path,
        serving_default=(lambda s: {"out": tf.identity(s)}, anything),
        as_bytes=(lambda s: {"out_bytes": tf.identity(s)}, anything),
    )


def matrix(path: Path) -> None:
    rows_of_three = [vector("m", tf.float32, 3)]
    export(
        path,
        serving_default=(
            lambda m: {"row_sum": tf.reduce_sum(m, 1), "total": tf.reduce_sum(m)},
            rows_of_three,
        ),
        rows=(lambda m: {"row_sum": tf.reduce_sum(m, 1)}, rows_of_three),
    )


def models_config(folder: Path) -> str:
    """The ModelServerConfig of all models; half_plus_two serves both versions, with labels."""
    text = "model_config_list {\n"
    for name in ("half_plus_two", "multi", "examples", "dtypes", "echo", "matrix"):
        text += f'  config {{\n    name: "{name}"\n    base_path: "{folder / name}"\n'
        text += '    model_platform: "tensorflow"\n'
        if name == "half_plus_two":
            text += "    model_version_policy { specific { versions: [1, 2] } }\n"
            text += '    version_labels { key: "stable" value: 1 }\n'
            text += '    version_labels { key: "canary" value: 2 }\n'
        text += "  }\n"
    return text + "}\n"


def write(folder: Path) -> None:
    """Writes all models and their configuration."""
    half_plus(folder / "half_plus_two/1", 2.0)
    half_plus(folder / "half_plus_two/2", 3.0)
    for model in (multi, examples, dtypes, echo, matrix):
        model(folder / model.__name__ / "1")
    (folder / "models.config").write_text(models_config(folder))


if __name__ == "__main__":
    write(Path(sys.argv[1]).resolve())
