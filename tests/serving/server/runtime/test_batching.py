"""Micro-batching over real signatures: who is mixed with whom, and what each request gets back."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.common.config import BatchingConfig
from serving.server.errors import StatusError
from serving.server.metrics import Metrics
from serving.server.runtime import row_independence
from serving.server.runtime.batching import Batcher
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import Signature


@pytest.fixture(scope="module")
def odd_models(saved_models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models whose rows depend on each other, or fail, or take long."""
    folder = tmp_path_factory.mktemp("odd")
    vector, export = saved_models.vector, saved_models.export

    def checked(x: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([tf.debugging.assert_less(x, 1000.0)]):
            return {"y": 2.0 * x}

    def loop(steps: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tf.reduce_max(steps)
        turns = tf.while_loop(lambda i: i < count, lambda i: (i + 1,), (tf.constant(0, tf.int64),))
        return {"done": tf.maximum(steps, turns[0] - count)}

    numbers = [vector("x", tf.float32)]
    export(
        folder / "1",
        serving_default=(lambda x: {"y": 2.0 * x}, numbers),
        softmax=(lambda x: {"y": tf.nn.softmax(x)}, numbers),
        centred=(lambda x: {"y": x - tf.reduce_mean(x)}, numbers),
        checked=(checked, numbers),
        slow=(loop, [vector("steps", tf.int64)]),
        lists=(
            lambda ids, weights: {"sum": tf.reduce_sum(tf.cast(ids, tf.float32) * weights, 1)},
            [
                tf.TensorSpec([None, None], tf.int64, name="ids"),
                tf.TensorSpec([None, None], tf.float32, name="weights"),
            ],
        ),
        three=(
            lambda a, b, c: {"sum": a + b + c, "first": tf.strings.as_string(a)},
            [vector(name, tf.int64) for name in "abc"],
        ),
        total=(lambda x: {"y": x, "total": tf.reduce_sum(x)}, numbers),
    )
    return folder


@pytest.fixture(scope="module")
def servable(odd_models: Path) -> Iterator[Servable]:
    found = Servable("odd", 1, odd_models / "1")
    yield found
    found.retire()
    assert found.close_if_idle()


class Spy:
    """Counts the calls into a session and the rows of each."""

    def __init__(self, signature: Signature, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        fetch = signature._fetch

        def counted(call: Callable[..., Any], feeds: Any) -> Any:
            self.rows.append(feeds[0].shape[-1] if feeds[0].ndim else 0)
            return fetch(call, feeds)

        monkeypatch.setattr(signature, "_fetch", counted)


def run(servable: Servable, name: str, requests: list[dict[str, Any]], **options: Any) -> list[Any]:
    """Sends requests at once through a batcher; results or refusals in order."""
    signature = servable.signatures[name]
    seconds = options.pop("seconds", 20.0)
    batcher = Batcher(Metrics(), **options)

    async def all_of_them() -> list[Any]:
        deadline = asyncio.get_running_loop().time() + seconds
        return await asyncio.gather(
            *[batcher.run(servable, signature, arrays, deadline, "Predict") for arrays in requests],
            return_exceptions=True,
        )

    try:
        return asyncio.run(all_of_them())
    finally:
        batcher.close()


ONE_THREAD = BatchingConfig(num_batch_threads=1)


@pytest.mark.parametrize(
    ("name", "independent"),
    [
        ("serving_default", True),
        ("three", True),
        ("lists", True),
        ("checked", True),
        ("slow", True),  # the largest number of steps only prolongs the loop
        ("softmax", False),
        ("centred", False),
        ("total", False),
    ],
)
def test_dependent_rows_are_found_out(servable: Servable, name: str, independent: bool) -> None:
    signature = servable.signatures[name]
    assert row_independence.rows_independent(signature) is independent


def test_waiting_requests_run_together(servable: Servable, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(servable.signatures["serving_default"], monkeypatch)
    requests = [{"x": np.arange(n, n + 3, dtype=np.float32)} for n in range(20)]
    found = run(servable, "serving_default", requests, config=ONE_THREAD, mixing="always")
    for number, outputs in enumerate(found):
        np.testing.assert_array_equal(outputs["y"], 2 * np.arange(number, number + 3))
    assert spy.rows[0] == 3  # the first found the thread free
    assert sum(spy.rows) == 60
    assert len(spy.rows) == 2


def test_requests_are_kept_apart_without_proof(
    servable: Servable, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(servable.signatures["softmax"], monkeypatch)
    servable.signatures["softmax"].row_independent = False
    requests = [{"x": np.float32([1, 2])}] * 8
    found = run(servable, "softmax", requests)
    for outputs in found:
        np.testing.assert_allclose(outputs["y"], [0.26894143, 0.7310586], rtol=1e-6)
    assert spy.rows == [2] * 8


def test_never_means_never(servable: Servable, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(servable.signatures["serving_default"], monkeypatch)
    run(servable, "serving_default", [{"x": np.float32([1])}] * 6, mixing="never")
    assert spy.rows == [1] * 6


def test_a_scalar_output_forbids_mixing(
    servable: Servable, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(servable.signatures["total"], monkeypatch)
    requests = [{"x": np.float32([n, n])} for n in range(5)]
    found = run(servable, "total", requests, config=ONE_THREAD, mixing="always")
    assert [float(outputs["total"]) for outputs in found] == [0, 2, 4, 6, 8]
    assert spy.rows == [2] * 5


def test_only_equal_inner_shapes_are_mixed(servable: Servable) -> None:
    requests = [
        {"ids": np.full((2, width), 3), "weights": np.full((2, width), 0.5, np.float32)}
        for width in (1, 4, 1, 2, 4, 1)
    ]
    found = run(servable, "lists", requests, config=ONE_THREAD, mixing="always")
    assert [outputs["sum"].tolist() for outputs in found] == [
        [1.5 * width] * 2 for width in (1, 4, 1, 2, 4, 1)
    ]


def test_only_the_guilty_request_fails(servable: Servable) -> None:
    values = [1.0, 2.0, 5000.0, 3.0]
    requests = [{"x": np.float32([value])} for value in values]
    found = run(servable, "checked", requests, config=ONE_THREAD, mixing="always")
    assert isinstance(found[2], StatusError)
    assert found[2].http_status == 400
    assert [found[index]["y"].tolist() for index in (0, 1, 3)] == [[2.0], [4.0], [6.0]]


def test_rows_that_differ_between_inputs_go_alone(servable: Servable) -> None:
    """TensorFlow broadcasts one row against many; such a request must not shift its neighbours."""
    one, many = np.array([5]), np.array([1, 2, 3])
    requests = [
        {"a": one, "b": one, "c": one},
        {"a": one, "b": many, "c": many},
        {"a": many, "b": many, "c": many},
        {"a": many, "b": np.array([1, 2]), "c": many},
    ]
    found = run(servable, "three", requests, config=ONE_THREAD, mixing="always")
    assert found[0]["sum"].tolist() == [15]
    assert found[1]["sum"].tolist() == [7, 9, 11]
    assert found[2]["sum"].tolist() == [3, 6, 9]
    assert found[2]["first"].tolist() == [b"1", b"2", b"3"]
    assert isinstance(found[3], StatusError)
    assert found[3].http_status == 400
    assert "Traceback" not in found[3].message


def test_no_rows_at_all(servable: Servable) -> None:
    nothing = np.array([], np.int64)
    (found,) = run(servable, "three", [dict.fromkeys("abc", nothing)])
    assert found["sum"].shape == (0,)


def test_max_batch_size_and_padding(servable: Servable, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(servable.signatures["serving_default"], monkeypatch)
    config = BatchingConfig(num_batch_threads=1, max_batch_size=8, allowed_batch_sizes=(4, 8))
    requests = [{"x": np.full(3, n, np.float32)} for n in range(5)]
    found = run(servable, "serving_default", requests, config=config, mixing="always")
    assert [outputs["y"].tolist() for outputs in found] == [[2.0 * n] * 3 for n in range(5)]
    assert spy.rows == [4, 8, 8]  # 3 rows padded to 4, then twice 6 rows to 8

    (refused,) = run(
        servable,
        "serving_default",
        [{"x": np.zeros(9, np.float32)}],
        config=config,
        mixing="always",
    )
    assert refused.message == "Task size 9 is larger than maximum input batch size 8"
    config = BatchingConfig(max_batch_size=8, split_large=True)
    (taken,) = run(
        servable,
        "serving_default",
        [{"x": np.zeros(9, np.float32)}],
        config=config,
        mixing="always",
    )
    assert taken["y"].shape == (9,)


def test_a_large_request_is_run_in_parts(
    servable: Servable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As TensorFlow Serving's max_execution_batch_size: 37 rows in runs of 16, 16 and 5 to 8."""
    spy = Spy(servable.signatures["serving_default"], monkeypatch)
    config = BatchingConfig(
        num_batch_threads=1,
        max_batch_size=128,
        split_large=True,
        max_execution_batch_size=16,
        allowed_batch_sizes=(8, 16),
    )
    x = np.arange(37, dtype=np.float32)
    options = {"config": config, "mixing": "always"}
    (found,) = run(servable, "serving_default", [{"x": x}], **options)
    np.testing.assert_array_equal(found["y"], 2.0 * x)
    assert spy.rows == [16, 16, 8]


def test_a_large_request_whose_outputs_are_not_by_row_is_run_whole(servable: Servable) -> None:
    config = BatchingConfig(max_batch_size=4, split_large=True, max_execution_batch_size=2)
    options = {"config": config, "mixing": "always"}
    (found,) = run(servable, "total", [{"x": np.arange(4, dtype=np.float32)}], **options)
    assert float(found["total"]) == 6.0


def test_batch_timeout_gathers_company(servable: Servable, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(servable.signatures["serving_default"], monkeypatch)
    config = BatchingConfig(num_batch_threads=2, batch_timeout_micros=50_000)
    requests = [{"x": np.float32([n])} for n in range(5)]
    found = run(servable, "serving_default", requests, config=config, mixing="always")
    assert [outputs["y"].tolist() for outputs in found] == [[2.0 * n] for n in range(5)]
    assert spy.rows == [5]


def test_a_full_queue_refuses(servable: Servable) -> None:
    slow = {"steps": np.array([20_000])}
    found = run(servable, "slow", [slow] * 6, config=ONE_THREAD, mixing="never", max_pending=2)
    refused = [outcome for outcome in found if isinstance(outcome, StatusError)]
    assert [error.http_status for error in refused] == [503] * 3  # one runs, two wait
    assert "queue to which this task was submitted is full" in refused[0].message


def test_time_over_while_running_and_while_waiting(servable: Servable) -> None:
    slow = {"steps": np.array([100_000])}
    found = run(servable, "slow", [slow] * 3, config=ONE_THREAD, mixing="never", seconds=0.1)
    assert [error.http_status for error in found] == [504] * 3


def test_wrong_shape_is_refused_before_it_reaches_a_batch(servable: Servable) -> None:
    requests = [{"x": np.float32([1])}, {"x": np.float32([[1]])}, {"x": np.float32(1)}]
    found = run(servable, "serving_default", requests, mixing="always")
    assert found[0]["y"].tolist() == [2.0]
    assert found[1].message.startswith("Cannot feed value of shape (1, 1) for Tensor ")
    assert found[2].message.endswith("which has shape (None,)")


def test_stacked_inputs_give_what_single_ones_give(odd_models: Path, servable: Servable) -> None:
    """Against the SavedModel called plainly, in TensorFlow 2."""
    plain = tf.saved_model.load(str(odd_models / "1"))
    generator = np.random.default_rng(3)
    for name, rows in (("three", 5), ("lists", 4), ("three", 1)):
        signature = servable.signatures[name]
        arrays = {
            key: row_independence.made_up(spec, rows, generator)
            for key, spec in signature.inputs.items()
        }
        expected = plain.signatures[name](**{k: tf.constant(v) for k, v in arrays.items()})
        found = signature.run(arrays)
        assert found.keys() == expected.keys()
        for key, array in found.items():
            np.testing.assert_array_equal(array, expected[key].numpy())
