"""The reader of TensorFlow's profiles: by hand on a made XSpace, and on one that fit wrote."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks.training import profile as profiles
from benchmarks.training.profile import MARK, Profiled, Span, Timeline

STEP = "while/body/_1/StatefulPartitionedCall"


def space(**lines):
    """An XSpace whose host has these threads: (name, begin, end) in milliseconds each."""
    made = xplane_pb2.XSpace()
    made.planes.add(name="/host:metadata")
    plane = made.planes.add(name="/host:CPU")
    plane.stat_metadata[1].name = "name"
    for number, (name, events) in enumerate(lines.items()):
        # threads begin to be recorded at times of their own
        line = plane.lines.add(id=number, name=name, timestamp_ns=5_000_000 + number * 1_000_000)
        for what, begin, end in events:
            known = {data.name: key for key, data in plane.event_metadata.items()}
            called = "ExecutorState::ProcessAsync::Start" if "Call" in what else what
            key = known.get(called, len(known) + 1)
            plane.event_metadata[key].name = called
            event = line.events.add(
                metadata_id=key,
                offset_ps=round((begin - number) * 1e9),
                duration_ps=round((end - begin) * 1e9),
            )
            if called != what:
                event.stats.add(metadata_id=1, str_value=what)
    return made


@pytest.fixture
def profile(tmp_path):
    """Two batches of ten milliseconds, of which the iterator keeps fit waiting for three."""
    made = space(
        python=[(MARK, 2, 12), (MARK, 12, 22)],
        tf_data_iterator_get_next=[
            ("IteratorGetNextAsOptionalOp::DoCompute", 1, 4),  # one of its ms before the mark
            ("Iterator::Root", 1.5, 4),  # inside of it
            ("IteratorGetNextAsOptionalOp::DoCompute", 12, 13),
            ("IteratorGetNextAsOptionalOp::DoCompute", 30, 40),  # after the last mark
        ],
        tf_Compute=[
            ("ExecutorState::Process", 4, 12),
            ("Gather:ResourceGather", 4, 6),
            (f"{STEP}/up_to_date/PartitionedCall", 6, 7),
            ("ctr_tower/Relu:_MklNativeFusedMatMul", 7, 11.5),
            (f"{STEP}/update/StatefulPartitionedCall", 13, 17),
            ("ResourceScatterUpdate:ResourceScatterUpdate", 17, 19),
        ],
        tf_Compute_2=[
            ("cvr_tower/Relu:_MklNativeFusedMatMul", 7, 9.5),
            (f"{STEP}/StatefulPartitionedCall_1", 9.5, 11.5),
        ],
    )
    place = tmp_path / "plugins" / "profile" / "now"
    place.mkdir(parents=True)
    (place / "host.xplane.pb").write_bytes(made.SerializeToString())
    return tmp_path


def test_waiting_is_the_wall_time_of_get_next_between_the_marks(profile):
    found = Timeline.read(profile, 2).waiting()
    assert found == {
        "waiting_share": 0.15,  # 2 + 1 of 20 ms
        "waiting_ms": 1.5,
        "step_ms": 8.5,
        "batches": 2,
    }


def test_parts_share_the_wall_and_add_up_to_it(profile):
    parts = Timeline.read(profile, 2).parts()
    assert parts == {
        "towers": pytest.approx((2.5 + 1) / 2),  # from 9.5 on beside the losses
        "merge, dense and row update": 2.0,
        "Python and Keras' loop": 1.5,  # 19 to 22
        "waiting for input": 1.5,
        "read rows": 1.0,
        "write rows": 1.0,
        "bring rows up to date": 0.5,
        "losses and metrics": 0.5,
        "executor": 0.25,  # what a span leaves to those inside of it is its own
    }
    assert sum(parts.values()) == pytest.approx(10)


def test_calls_that_overlap_count_once():
    spans = [
        Span("a", "x", 0, 4),
        Span("b", "x", 3, 5),
        Span("b", "x", 4, 4.5),
        Span("a", "x", 7, 8),
    ]
    assert profiles.covered(spans) == 6
    assert profiles.covered([]) == 0


def test_what_it_cannot_read_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"must hold a \*.xplane.pb"):
        Timeline.read(tmp_path, 1)
    with pytest.raises(ValueError, match="'benchmark_steps' around at least one batch"):
        Timeline([Span("a", "IteratorGetNextOp::DoCompute", 0, 1)], 1)
    with pytest.raises(ValueError, match="GetNext, received none"):
        Timeline([Span("a", MARK, 0, 1)], 1)


@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_the_profiler_sees_an_input_that_is_slow(tmp_path, steps_per_execution):
    """Every batch sleeps for .05 s, many times what a step of this model takes.

    On a busy machine the input runs ahead while a step waits for a core.
    """

    def sleep():
        time.sleep(0.05)
        return np.int64(0)

    def slowly(x):
        with tf.control_dependencies([tf.numpy_function(sleep, [], tf.int64)]):
            return tf.identity(x), x

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=steps_per_execution)
    dataset = tf.data.Dataset.from_tensor_slices(np.zeros((24, 2), "float32")).batch(1).map(slowly)
    eyes = Profiled(tmp_path, first=8, batches=12)
    model.fit(dataset, shuffle=False, verbose=0, callbacks=[eyes])
    found = eyes.timeline().waiting()
    assert found["batches"] == 12
    assert found["waiting_ms"] >= 25


def test_a_profile_that_training_cuts_short_holds_what_there_was(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    eyes = Profiled(tmp_path, first=3, batches=100)
    dataset = tf.data.Dataset.from_tensors((np.zeros((4, 2), "float32"),) * 2).repeat(5)
    model.fit(dataset, shuffle=False, verbose=0, callbacks=[eyes])
    timeline = eyes.timeline()
    assert timeline.batches == 2
    assert sum(timeline.parts().values()) == pytest.approx(
        (timeline.end - timeline.begin) / 2, abs=0.01
    )
