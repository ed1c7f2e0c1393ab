"""One process of `benchmarks.training.memory`: its resident memory while it does one thing.

It runs in any checkout (``python -P FILE SCENARIO``, with the checkout as its folder and in
PYTHONPATH), so it asks for what every release has. It prints one line of JSON.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from serving.common.command_line import command_parser

FIELDS, IDS, WIDTH, BATCH = 20, 2_000, 16, 2048


def resident() -> float:
    """Returns this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2)


class _Allocated(ctypes.Structure):
    """What ``mallinfo2`` says, in its order."""

    _fields_: ClassVar = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def in_use() -> float:
    """Returns what the C library's allocator handed out and has not back, in MiB.

    Resident memory moves by what it keeps for later, too.
    """
    library = ctypes.CDLL("libc.so.6")
    library.mallinfo2.restype = _Allocated
    said = library.mallinfo2()
    return round((said.uordblks + said.hblkhd) / 2**20, 2)


def peak() -> float:
    """Returns the most that was resident, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def make_schema(fields: int = FIELDS) -> Any:
    """Returns a schema of fields of whole numbers."""
    from idefn_tf.schema import Schema

    field = {"dtype": "int64", "side": "user", "kind": "identity", "num_buckets": IDS}
    features = [{"name": f"f{i}", **field, "embedding": WIDTH} for i in range(fields)]
    labels = {"click": "click", "conversion": "conversion"}
    return Schema.parse({"name": "made", "labels": labels, "features": features})


def make_model(schema: Any, method: str = "all_negative", units: tuple[int, ...] = (64, 32)) -> Any:
    """Returns a compiled model."""
    from idefn_tf.backbones import MLP
    from idefn_tf.features import FeatureColumns
    from idefn_tf.models import get_method
    from idefn_tf.optimizers import RowSparseAdam

    model = get_method(method)(FeatureColumns.from_schema(schema, {}), MLP(units))
    model.compile(RowSparseAdam(1e-3))
    return model


def make_rows(rows: int, seed: int, fields: int = FIELDS) -> Any:
    """Returns exposures as a DataFrame."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    made = {f"f{i}": rng.integers(0, IDS, rows) for i in range(fields)}
    made["click"] = (rng.random(rows) < 0.3).astype(np.int64)
    made["conversion"] = made["click"] * (rng.random(rows) < 0.2)
    return pd.DataFrame(made)


def nothing(_: Path) -> dict[str, Any]:
    """Imports TensorFlow alone."""
    importlib.import_module("tensorflow")
    return {}


def training(folder: Path) -> dict[str, Any]:
    """Trains on Parquet files as `pipelines.train` opens them."""
    import keras

    from idefn_tf.data import open_dataset

    keras.utils.set_random_seed(0)
    schema = make_schema()
    model = make_model(schema)
    rows = open_dataset(
        schema, folder, batch_size=BATCH, shuffle=True, drop_remainder=True, encode=model.features
    )
    opened = peak()
    history = model.fit(rows, epochs=1, verbose=0).history
    return {"opened_mib": opened, "loss": float(history["loss"][-1]).hex()}


def over(turns: int, once: Callable[[int], float]) -> dict[str, Any]:
    """Does something several times and notes the memory after each, and the seconds it says."""
    sizes, used, seconds = [], [], []
    for turn in range(turns):
        seconds.append(round(once(turn), 3))
        gc.collect()
        sizes.append(resident())
        used.append(in_use())
    return {
        "resident_mib": sizes,
        "growth_after_the_third": round(sizes[-1] / sizes[2] - 1, 4),
        "in_use_mib": used,
        "processor_seconds": seconds,
    }


def fit_and_export(method: str, fields: int, units: tuple[int, ...], seed: int) -> float:
    """Builds, fits for two steps, exports and deletes one model; the seconds until it is fitted."""
    from idefn_tf.data import open_dataset
    from idefn_tf.export import export_model

    schema, rows = make_schema(fields), make_rows(2 * BATCH, seed, fields)
    begun = time.process_time()
    model = make_model(schema, method, units)
    model.fit(open_dataset(schema, rows, batch_size=BATCH, encode=model.features), verbose=0)
    seconds = time.process_time() - begun
    with tempfile.TemporaryDirectory() as base:
        export_model(model, schema, Path(base) / "cvr")
    return seconds


def one_form(_: Path) -> dict[str, Any]:
    """Twenty models of one form, one after the other."""
    return over(20, lambda turn: fit_and_export("all_negative", FIELDS, (64, 32), turn))


def one_form_idefn(_: Path) -> dict[str, Any]:
    """The same with IdeFN, whose transport is the largest program."""
    return over(20, lambda turn: fit_and_export("idefn", FIELDS, (64, 32), turn))


def forms(_: Path) -> dict[str, Any]:
    """Twenty models, each of another form."""
    return over(20, lambda turn: fit_and_export("all_negative", 1 + turn, (64, 32), turn))


def on_data_sets(
    use: Callable[[Any, Any], Any],
    rows: Callable[[int], int],
    turns: int,
    method: str = "all_negative",
) -> dict[str, Any]:
    """One model that is used on new data sets, of so many rows each.

    Args:
        use: (model, data set) -> anything.
        rows: how many there are, by turn.
        turns: how many data sets.
        method: of the model.
    """
    from idefn_tf.data import open_dataset

    schema = make_schema()
    model = make_model(schema, method)

    def once(turn: int) -> float:
        made, begun = make_rows(rows(turn), turn), time.process_time()
        use(model, open_dataset(schema, made, batch_size=BATCH))
        return time.process_time() - begun

    return over(turns, once)


def _longer(turn: int) -> int:
    """Three full batches, and one that is a row longer at every turn."""
    return 3 * BATCH + turn


def _predict(model: Any, rows: Any) -> None:
    model.predict(rows, verbose=0)


def _evaluate(model: Any, rows: Any) -> None:
    model.evaluate(rows, verbose=0)


def _fit(model: Any, rows: Any) -> None:
    model.fit(rows, verbose=0)


def data_sets(_: Path) -> dict[str, Any]:
    """One model that predicts on a hundred new data sets, each a row longer."""
    return on_data_sets(_predict, _longer, 100)


def equal_data_sets(_: Path) -> dict[str, Any]:
    """The same, with as many rows in each."""
    return on_data_sets(_predict, lambda _: 3 * BATCH, 100)


def short_data_sets(_: Path) -> dict[str, Any]:
    """The same, with one batch in each, of 1 to 2,047 rows drawn anew."""
    drawn = np.random.default_rng(0).integers(1, BATCH, 100)
    return on_data_sets(_predict, lambda turn: int(drawn[turn]), 100)


def evaluated_data_sets(_: Path) -> dict[str, Any]:
    """One model that evaluates a hundred new data sets, each a row longer."""
    return on_data_sets(_evaluate, _longer, 100)


def evaluated_by_idefn(_: Path) -> dict[str, Any]:
    """Twenty of these, with IdeFN, whose transport is compiled for every size."""
    return on_data_sets(_evaluate, _longer, 20, method="idefn")


def fitted_data_sets(_: Path) -> dict[str, Any]:
    """One model that is fitted to twenty new data sets, each a row longer."""
    return on_data_sets(_fit, _longer, 20)


SCENARIOS = {
    f.__name__: f
    for f in (
        *(nothing, training, one_form, one_form_idefn, forms),
        *(data_sets, equal_data_sets, short_data_sets),
        *(evaluated_data_sets, evaluated_by_idefn, fitted_data_sets),
    )
}


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.training.memory_process", __doc__)
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    parser.add_argument("--rows", type=Path, required=True, help="a folder of Parquet files")
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    found = SCENARIOS[given.scenario](given.rows)
    print(json.dumps({**found, "peak_mib": peak()}))


if __name__ == "__main__":
    main()
