"""Labels of delayed feedback of raw rows, as of a moment: hand values, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from idefn_tf.data import open_dataset
from idefn_tf.data.tensorflow_io_plugin import load_tensorflow_io
from idefn_tf.schema import DELAY_COLUMNS, Schema
from tests.idefn_tf.data.timed_rows import DAY, HOUR, START, timed_schema

try:
    load_tensorflow_io()
    LOADS = True
except ImportError:
    LOADS = False
needs_io = pytest.mark.skipif(not LOADS, reason="tensorflow-io does not load here")


def schema(**labels):
    return timed_schema(48, **labels)


def frame():
    """Hours of exposure, click and conversion; None where there was none."""
    rows = [(0, 1, 3), (0, 2, 51), (4, 5, 30), (6, 7, None), (8, None, None), (10, 40, 41)]
    table = pd.DataFrame(rows, columns=["shown_at", "clicked_at", "bought_at"], dtype="float64")
    table = (table * HOUR + START).astype("Int64")
    table["clicked"] = table["clicked_at"].notna().astype(int)
    table["bought"] = table["bought_at"].notna().astype(int)
    table["user"] = range(len(table))
    return table


def labels_of(table, as_of=START + DAY, made=None, **options):
    rows = open_dataset(made or schema(), table, feedback_labels=True, as_of=as_of, **options)
    batches = [labels for _, labels, _ in rows]
    return {name: np.concatenate([b[name].numpy() for b in batches]) for name in batches[0]}


@pytest.mark.parametrize("form", ["numbers", "dates", "zeros", "file", "files over batches", "csv"])
def test_a_table_is_told_as_of_a_moment_by_hand(form, tmp_path):
    table, options, made = frame(), {}, schema()
    if form == "dates":
        for name in made.labels.times:
            table[name] = pd.to_datetime(table[name].astype("float64"), unit="s")
    elif form == "zeros":  # where nothing happened
        table = table.fillna({"clicked_at": 0, "bought_at": -1})
    elif form != "numbers":
        path = tmp_path / ("rows.csv" if form == "csv" else "rows.parquet")
        table.to_csv(path, index=False) if form == "csv" else table.to_parquet(path)
        table = str(path)
        options = {"batch_size": 4} if "batches" in form else {}
    found = labels_of(table, "2024-05-02", **options)
    assert found["click"].tolist() == [1, 1, 1, 1, 0, 0]  # user 5 clicks at 40 h
    assert found["conversion"].tolist() == [1, 0, 0, 0, 0, 0]
    assert found["conversion_final"].tolist() == [1, 0, 1, 0, 0, 0]  # 49 h after a click: too late
    hours = np.array([23, 22, 19, 17, 0, 0])
    np.testing.assert_allclose(found["elapsed"], hours / 24, rtol=1e-6)
    np.testing.assert_allclose(found["conversion_delay"], [2 / 24, 0, 0, 0, 0, 0], rtol=1e-6)


@pytest.mark.parametrize(
    "as_of", [START + DAY, np.int64(START + DAY), "1714608000", pd.Timestamp("2024-05-02"),
              "2024-05-02T02:00:00+02:00"], ids=str,
)  # fmt: skip
def test_a_moment_may_be_a_number_a_text_or_a_datetime(as_of):
    assert labels_of(frame(), as_of)["elapsed"][0] == np.float32(23 / 24)


def test_the_window_opens_where_the_schema_says():
    made = schema(attribution={"window_hours": 30, "from": "exposure"})
    found = labels_of(frame(), START + 100 * HOUR, made)
    assert found["conversion_final"].tolist() == [1, 0, 1, 0, 0, 0]  # 26 h; 31 h from the exposure
    assert found["conversion"].tolist() == [1, 0, 1, 0, 0, 0]
    np.testing.assert_allclose(found["conversion_delay"][2], 25 / 24, rtol=1e-6)


def test_encoded_rows_keep_their_labels():
    class Users:
        raw_names = ("user",)

        def encode(self, features):
            return {"rows": {"user": features["user"]}}

    rows = open_dataset(
        schema(), frame(), feedback_labels=True, as_of=START + DAY, encode=Users(), batch_size=4
    )
    features, labels, _ = list(rows)[1]
    assert features["rows"]["user"].numpy().tolist() == [4, 5]
    assert labels["elapsed"].numpy().tolist() == [0, 0]


@pytest.mark.parametrize(
    ("row", "column", "value", "said"),
    [
        (0, "clicked_at", START - 5, "'clicked_at' must not lie before shown_at, received"),
        (2, "bought_at", START + 5 * HOUR - 1, "'bought_at' must not lie before clicked_at"),
        (2, "bought_at", None, "'bought_at' must hold a time where there is a conversion"),
        (1, "shown_at", None, "'shown_at' must hold a time on every row, received None"),
        (4, "shown_at", START + DAY + 1, "'shown_at' must not lie after as_of="),
        (1, "bought_at", 1000 * START, "'bought_at' must hold s since 1970"),
    ],
)
def test_times_that_no_funnel_has_are_refused_with_column_row_and_cure(row, column, value, said):
    table = frame()
    if row == 0:
        table.loc[0, "shown_at"] = START
    table.loc[row, column] = value
    with pytest.raises(ValueError) as caught:
        labels_of(table)
    assert said in str(caught.value)
    assert f"in row {row}; " in str(caught.value)


def test_a_moment_before_the_first_exposure_is_refused_with_both_cures():
    told = r"'shown_at' must not lie after as_of=1714521599, received 1714521600 in row 0; give a "
    with pytest.raises(ValueError, match=told + "later as_of, or leave out the row"):
        labels_of(frame(), START - 1)


def test_seconds_in_a_schema_of_milliseconds_are_refused():
    with pytest.raises(ValueError, match="in row 5; if these are seconds, set"):
        labels_of(frame(), made=schema(time_unit="ms"))


@pytest.mark.parametrize(
    ("options", "made", "said"),
    [
        ({"as_of": None}, {}, "as_of: must be given for rows without the columns"),
        ({"as_of": "soon"}, {}, "as_of: must be a moment such as 2024-05-08T06:00"),
        ({"feedback_labels": False}, {}, "as_of: must be None without feedback_labels"),
        ({"labels": False}, {}, "feedback_labels: must be False where labels is False"),
        ({}, {"click_time": None, "attribution": None}, "name the three columns of times"),
        ({}, {"click_time": "tapped_at"}, "column 'tapped_at' of times is missing"),
    ],
)
def test_what_is_asked_must_be_told_by_the_table(options, made, said):
    asked = {"feedback_labels": True, "as_of": START + DAY, **options}
    with pytest.raises(ValueError, match=said):
        open_dataset(schema(**made), frame(), **asked)


def prepared_frame(rows=40):
    """Rows as `prepare` writes them, labels of delays included."""
    rng = np.random.default_rng(3)
    click = rng.integers(0, 2, rows)
    final = click * rng.integers(0, 2, rows)
    known = final * rng.integers(0, 2, rows)
    return pd.DataFrame(
        {
            "user": np.arange(rows), "click": click, "conversion": known,
            "elapsed": (click * rng.uniform(0, 9, rows)).astype(np.float32),
            "conversion_delay": (known * rng.uniform(0, 3, rows)).astype(np.float32),
            "conversion_final": final.astype(np.float32),
        }
    )  # fmt: skip


def write_records(path, table):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in table.to_dict("records"):
            made = tf.train.Example()
            for name, value in row.items():
                kept = made.features.feature[name]
                whole = isinstance(value, int)
                (kept.int64_list if whole else kept.float_list).value.append(value)
            writer.write(made.SerializeToString())


@pytest.mark.parametrize("form", ["tfrecord", pytest.param("tensorflow-io", marks=needs_io)])
@pytest.mark.parametrize("cache", [1000, 10], ids=["held", "streamed"])
def test_every_reader_carries_prepared_labels(tmp_path, monkeypatch, form, cache):
    """The batches are those of pyarrow, conversions hidden and all."""
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", cache)
    table = prepared_frame()
    if form == "tfrecord":
        path, reader = tmp_path / "rows.tfrecord", "pyarrow"
        write_records(path, table)
    else:
        path, reader = tmp_path / "rows.parquet", "tensorflow-io"
        table.to_parquet(path)
    options = {"batch_size": 16, "feedback_labels": True}
    found = list(open_dataset(schema(), str(path), reader=reader, **options))
    expected = list(open_dataset(schema(), table, **options))
    assert len(found) == 3
    for (features, labels, weight), (right, known, one) in zip(found, expected, strict=True):
        assert features["user"].numpy().tolist() == right["user"].numpy().tolist()
        assert set(labels) == set(known) > {"elapsed", "conversion_delay", "conversion_final"}
        for name, values in known.items():
            np.testing.assert_array_equal(labels[name], values, err_msg=name)
        np.testing.assert_array_equal(weight, one)


def test_a_record_without_a_label_of_delays_is_named(tmp_path):
    write_records(tmp_path / "rows.tfrecord", prepared_frame().drop(columns="elapsed"))
    with pytest.raises(ValueError, match=r"cannot be read; .*elapsed"):
        list(open_dataset(schema(), str(tmp_path / "rows.tfrecord"), feedback_labels=True))


BROKEN = [
    ("elapsed", -1.0, "must hold days since the click, 0 or more"),
    ("conversion_delay", -0.5, "must hold days from the click to the conversion, 0 or more"),
    ("conversion_final", 2.0, "must hold 0 and 1"),
]


@pytest.mark.parametrize(("name", "value", "rule"), BROKEN)
def test_delays_that_no_likelihood_has_are_refused_with_column_row_and_cure(name, value, rule):
    """A delay below 0 would make the likelihood of delays grow without bound."""
    table = prepared_frame()
    table.loc[7, name] = value
    told = (
        rf"source: column '{name}' {rule}, received {value} in row 7; write 0 where there is none"
    )
    with pytest.raises(ValueError, match=told):
        open_dataset(schema(), table, feedback_labels=True)


@pytest.mark.parametrize(("name", "value", "rule"), BROKEN)
@pytest.mark.parametrize("form", ["tfrecord", pytest.param("tensorflow-io", marks=needs_io)])
@pytest.mark.parametrize("cache", [1000, 10], ids=["held", "streamed"])
def test_every_reader_refuses_them(tmp_path, monkeypatch, form, cache, name, value, rule):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", cache)
    table, options = prepared_frame(), {}
    table.loc[7, name] = value
    path = tmp_path / ("rows.tfrecord" if form == "tfrecord" else "rows.parquet")
    if form == "tfrecord":
        write_records(path, table)
    else:
        table.to_parquet(path)
        options["reader"] = form
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=f"{name}.+ {rule}"):
        list(open_dataset(schema(), str(path), feedback_labels=True, **options))


def test_raw_times_are_read_by_pyarrow_alone(tmp_path):
    path = tmp_path / "rows.parquet"
    frame().to_parquet(path)
    with pytest.raises(ValueError, match="as_of: must be None for parquet files read by tensor"):
        open_dataset(schema(), str(path), feedback_labels=True, as_of=START, reader="tensorflow-io")


@pytest.mark.parametrize("name", [*DELAY_COLUMNS, "clicked_at", "bought_at"])
@pytest.mark.parametrize("key", ["name", "column"])
def test_none_of_them_is_ever_a_feature(name, key):
    value = schema().model_dump(mode="json", by_alias=True, exclude_none=True)
    value["features"][0] |= {"name": "fine", key: name}
    with pytest.raises(ValueError, match=f"{name!r} is a label, a reserved or a forbidden column"):
        Schema.parse(value)


@pytest.mark.parametrize("name", [*DELAY_COLUMNS, "clicked", "bought", "clicked_at", "bought_at"])
def test_none_of_them_is_summed_into_a_history(name):
    """A past exposure is known at once, what came of it later: its sum would tell the future."""
    value = schema().model_dump(mode="json", by_alias=True, exclude_none=True)
    past = {"key": "user", "events": ["exposure"], "measures": ["sum"]}
    value["history"] = {"aggregates": [{**past, "value": name}]}
    told = rf"history\.aggregates\[0\]\.value: must not be a label, .* received '{name}'; sum anoth"
    with pytest.raises(ValueError, match=told):
        Schema.parse(value)
    value["history"] = {"aggregates": [{**past, "value": "price"}]}
    assert Schema.parse(value).generated == {"user__exposure_sum__all"}


def test_a_folder_of_before_that_sums_a_label_is_read(tmp_path):
    past = "history: {aggregates: [{key: user, events: [click], measures: [sum], value: bought}]}"
    text = (
        "name: s\nlabels: {click: clicked, conversion: bought, exposure_time: at}\n"
        "features: [{name: user, dtype: int64, side: user, kind: vocabulary}]\n" + past
    )
    (tmp_path / "schema.yaml").write_text(text)
    with pytest.raises(ValueError, match="must not be a label"):
        Schema.load(tmp_path / "schema.yaml")
    assert Schema.load(tmp_path / "schema.yaml", kept=True).generated == {"user__click_sum__all"}


def test_keep_needs_the_three_times():
    assert schema(immature="keep").labels.immature == "keep"
    with pytest.raises(ValueError, match="immature: must be drop or weight without exposure_time"):
        schema(immature="keep", conversion_time=None)
