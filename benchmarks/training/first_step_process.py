"""One process of `benchmarks.training.first_step`: a job's way to its first trained step, by stage.

It runs in any checkout (``python -P FILE --data PREPARED`` with the checkout as its folder and in
PYTHONPATH), so it asks for what every release has. The variable BENCHMARK_STARTED holds the moment
at which the process was started.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from pathlib import Path
from typing import Any

from serving.common.command_line import command_parser

#: (stage, when it ended), in seconds since 1970.
MARKS: list[tuple[str, float]] = []


def mark(stage: str) -> None:
    """Notes that a stage has ended."""
    MARKS.append((stage, time.time()))


class Traces:
    """Counts the graphs that TensorFlow draws from Python functions, and the seconds it takes."""

    def __init__(self) -> None:
        from tensorflow.python.framework import func_graph

        self.count, self.seconds, self._depth = 0, 0.0, 0
        draw = func_graph.func_graph_from_py_func

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            self._depth += 1
            begun = time.perf_counter()
            try:
                return draw(*args, **kwargs)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - begun

        func_graph.func_graph_from_py_func = counted

    def since(self, before: int) -> int:
        """Returns how many graphs were drawn since there were `before`."""
        return self.count - before


def first_steps(data: Any, config: Any, steps: int, traces: Traces) -> dict[str, Any]:
    """Builds, opens and trains; returns the losses of the first steps and the traces of each part.

    Args:
        data: a prepared folder.
        config: the experiment.
        steps: how many to take.
        traces: what counts.
    """
    import keras

    from idefn_tf.data import EpochClock, open_dataset
    from idefn_tf.export.run_files import read_vocabularies
    from pipelines.experiment.build import build_model
    from pipelines.train import open_train

    keras.utils.set_random_seed(config.training.seed)
    model = build_model(config, data.schema, read_vocabularies(data.vocabularies))
    mark("model built")
    dataset = open_train(data, config.training, EpochClock(), encode=model.features)
    mark("rows read and encoded")
    counts, losses = {"data set": traces.count}, []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 0:
                mark("first step")
                counts["first step"] = traces.since(counts["data set"])
            losses.append(float(logs["loss"]).hex())
            self.model.stop_training = len(losses) >= steps

    model.fit(dataset, epochs=100, verbose=0, callbacks=[Watch()])
    mark("further steps")
    counts["fit"] = traces.since(counts["data set"])
    for turn in range(2):  # every one is a new data set
        for name in ("predict", "evaluate", "fit"):
            before = traces.count
            encode = model.features if name == "fit" else None
            rows = open_dataset(
                data.schema, data.files("validation"), batch_size=2048, encode=encode
            ).take(2)
            if name == "fit":
                model.fit(rows, verbose=0)
            else:
                getattr(model, name)(rows, verbose=0)
            counts[f"{name} on data set {turn + 1}"] = traces.since(before)
    return {"losses": losses, "traces": counts}


def main() -> None:
    """The command line; prints one line of JSON."""
    parser = command_parser("benchmarks.training.first_step_process", __doc__)
    parser.add_argument("--data", type=Path, required=True, help="a prepared folder")
    parser.add_argument("--config", default="pipelines/configs/kuairand/idefn.yaml")
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    started = float(os.environ["BENCHMARK_STARTED"])
    mark("Python started")
    importlib.import_module("pipelines")  # sets what TensorFlow reads at its import
    importlib.import_module("tensorflow")
    mark("TensorFlow imported")
    importlib.import_module("keras")
    mark("Keras imported")
    importlib.import_module("pipelines.train")
    from pipelines.experiment.config import Config
    from pipelines.preparation.prepared_folder import Prepared

    mark("library imported")
    traces = Traces()
    config, data = Config.load(given.config), Prepared.open(given.data)
    mark("config and folder read")
    found = first_steps(data, config, given.steps, traces)
    ends = [started, *(when for _, when in MARKS)]
    stages = {name: round(end - ends[i], 3) for i, (name, end) in enumerate(MARKS)}
    at = dict(MARKS)
    print(
        json.dumps(
            {
                "stages": stages,
                "tensorflow_to_first_step": round(at["first step"] - at["TensorFlow imported"], 3),
                "start_to_first_step": round(at["first step"] - started, 3),
                "tracing_seconds": round(traces.seconds, 3),
                **found,
            }
        )
    )


if __name__ == "__main__":
    main()
