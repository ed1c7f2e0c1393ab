"""Lines of the raw Ali-CCP files, one by one and in blocks."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.datasets.ali_ccp import ali_ccp_lines as lines
from pipelines.datasets.ali_ccp.ali_ccp_files import Conversion, drawn
from pipelines.datasets.ali_ccp.ali_ccp_lines import Column, Layout

SKELETON = Layout(
    lines.SKELETON_HEAD,
    ("205", "206", "210", "508", "853", "301"),
    (
        Column("205"),
        Column("508", values=True),
        Column("210", entries=3),
        Column("853", ids=False, values=True, entries=2),
    ),
)
COMMON = Layout(
    lines.COMMON_HEAD,
    ("101", "109_14"),
    (Column("101"), Column("109_14", values=True, entries=2)),
)


def rows(block, layout=SKELETON):
    table, tally = lines.parse(block, layout)
    return table.to_pylist(), tally


def test_the_two_forms_as_their_description_gives_them():
    block = (
        b"84dceed2e3a667f8,3,101\x0231319\x031.0\x01109_14\x023438774\x030.69315"
        b"\x01109_14\x023716224\x031.94591\n"
        b"0000000000000001,0,\n"
    )
    table, tally = lines.parse(block, COMMON)
    assert (tally.lines, tally.malformed) == (2, 0)
    first, second = table.to_pylist()
    assert first == {
        "common_feature_index": "84dceed2e3a667f8",
        "101": 31319,
        "109_14": [3716224, 3438774],
        "109_14_value": [np.float32(1.94591), np.float32(0.69315)],
    }
    assert second == {
        "common_feature_index": "0000000000000001", "101": None, "109_14": [], "109_14_value": []
    }  # fmt: skip
    found, _ = rows(b"7,1,0,84dceed2e3a667f8,2,508\x0212\x032.5\x01210\x025\x031.0\n")
    assert found == [
        {
            "sample_id": 7, "click": 1, "conversion": 0,
            "common_feature_index": "84dceed2e3a667f8",
            "205": None, "508": 12, "508_value": 2.5, "210": [5], "853_value": [],
        }
    ]  # fmt: skip


def test_lists_are_cut_to_their_heaviest_entries_and_equal_ones_stand_by_id():
    entries = [("9", "1.0"), ("3", "2"), ("1", "1.0"), ("8", "1e0")]
    text = "\x01".join(f"210\x02{i}\x03{value}" for i, value in entries)
    found, _ = rows(f"1,0,0,k,4,{text}\n".encode())
    assert found[0]["210"] == [3, 1, 8]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", lines.FORM),
        (b"junk", lines.FORM),
        (b"1,0,0,k", lines.FORM),
        (b"1,0,0,k,1", lines.FORM),
        (b"1,0,0,k,0,,", lines.FORM),
        (b"1,0,0,k,1,205", lines.FORM),
        (b"1,0,0,k,1,205\x0212", lines.FORM),
        (b"1,0,0,k,1,205\x0312\x021.0", lines.FORM),
        (b"1,0,0,k,1,205\x0212\x031.0\x01", lines.FORM),
        (b"1,0,0,k,2,205\x0212\x031.0\x01\x01206\x021\x031.0", lines.FORM),
        (b"1,0,0,k,1,205\x0212\x03\xff1.0", lines.FORM),
        (b"1,0,0,k,1,205\x020x12\x031.0", lines.FORM),
        (b"1,0,0,k,1,205\x02 12\x031.0", lines.FORM),
        (b"1,0,0,k,1,205\x0212\r\x031.0", lines.FORM),
        (b"1,0,0,,1,205\x0212\x031.0", lines.NUMBER),
        (b",0,0,k,1,205\x0212\x031.0", lines.NUMBER),
        (b"1,no,0,k,1,205\x0212\x031.0", lines.NUMBER),
        (b"1,0,0,k,one,205\x0212\x031.0", lines.NUMBER),
        (b"1,0,0,k,1,205\x02\x031.0", lines.NUMBER),
        (b"1,0,0,k,1,205\x02-12\x031.0", lines.NUMBER),
        (b"1,0,0,k,1,205\x0212.5\x031.0", lines.NUMBER),
        (b"1,0,0,k,1,205\x021234567890123456789\x031.0", lines.NUMBER),
        (b"1,0,0,k,1,205\x0299999999999999999999\x031.0", lines.NUMBER),
        (b"1,0,0,k,1,205\x0212\x03", lines.NUMBER),
        (b"1,0,0,k,1,205\x0212\x03one", lines.NUMBER),
        (b"1,0,0,k,1,205\x0212\x03-1.0", lines.NUMBER),
        (b"1,0,0,k,1,205\x0212\x03nan", lines.NUMBER),
        (b"1,0,0,k,1,205\x0212\x03inf", lines.NUMBER),
        (b"1,0,0,k,1,206\x0212\x03inf", lines.NUMBER),  # a field that is not asked for
        (b"1,0,0,k,1,", lines.COUNTED),
        (b"1,0,0,k,2,205\x0212\x031.0", lines.COUNTED),
    ],
)
def test_a_malformed_line_is_set_aside_with_its_reason_and_the_others_are_read(line, reason):
    good = b"5,1,0,key,1,205\x0277\x031.0\n"
    found, tally = rows(good + line + b"\n" + good + line + b"\r\n" + good)
    # a line end of two bytes is no fault of the line
    assert [row["205"] for row in found] == [77] * 3
    assert (tally.lines, tally.malformed) == (5, 2)
    assert [(n, why) for n, why, _ in tally.examples] == [(2, reason), (4, reason)]
    assert tally.examples[0][2] == ascii(line.decode("latin-1"))


def test_different_faults_in_one_block_are_told_in_the_order_of_the_lines():
    good = b"5,1,0,key,1,205\x0277\x031.0"
    block = [good, b"1,0,0,k,2,205\x0212\x031.0", b"junk", b"x" * 300, good, b"1,0,0,k,y,", good]
    found, tally = rows(b"\n".join(block) + b"\n")
    assert len(found) == 3
    assert [n for n, *_ in tally.examples] == [2, 3, 4]
    assert tally.malformed == 4
    assert tally.examples[2][2] == ascii("x" * 100) + "..."


def test_repeated_and_unknown_fields_are_counted():
    found, tally = rows(
        b"1,0,0,k,3,205\x024\x031.0\x01205\x025\x031.0\x01205\x025\x031.0\n"
        b"2,0,0,k,2,101\x024\x031.0\x01205\x026\x031.0\n"
    )
    assert [row["205"] for row in found] == [4, 6]
    assert tally.repeated == {"205": 1}
    assert tally.unknown == {"101": 1}


FEATURES = st.tuples(
    st.sampled_from(["205", "206", "210", "508", "853", "301", "9"]),
    st.integers(0, 10**18 - 1),
    st.floats(0, 1e17, allow_subnormal=False),
)
LINES = st.tuples(
    st.integers(0, 10**18 - 1), st.text("0123456789abcdef", min_size=1, max_size=16),
    st.lists(FEATURES, max_size=8),
)  # fmt: skip


@given(st.lists(LINES, max_size=20))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(made):
    texts = []
    for sample, key, features in made:
        joined = "\x01".join(f"{field}\x02{i}\x03{value!r}" for field, i, value in features)
        texts.append(f"{sample},1,0,{key},{len(features)},{joined}\n")
    found, tally = rows("".join(texts).encode())
    assert (tally.lines, tally.malformed) == (len(made), 0)
    assert [(row["sample_id"], row["common_feature_index"]) for row in found] == [
        (sample, key) for sample, key, _ in made
    ]
    for row, (_, _, features) in zip(found, made, strict=True):
        first = next(((i, v) for f, i, v in features if f == "508"), (None, None))
        assert row["508"] == first[0]
        assert row["508_value"] == (None if first[1] is None else np.float32(first[1]))
        entries = sorted((-value, i) for field, i, value in features if field == "210")
        assert row["210"] == [i for _, i in entries][:3]
        entries = sorted((-value, i) for field, i, value in features if field == "853")
        assert row["853_value"] == [np.float32(-value) for value, _ in entries][:2]


def conversion(path, block, threads=1, share=1.0):
    def complete(table, before):
        number = pa.array(range(before, before + table.num_rows), pa.int64())
        return table.append_column("row_id", number)

    return Conversion(path, SKELETON, share, complete, threads, block)


@pytest.mark.parametrize("ending", [b"\n", b""])
def test_blocks_of_any_size_give_the_same_rows_and_line_numbers(tmp_path, ending):
    path = tmp_path / "skeleton.csv"
    texts = [
        b"%d,0,0,k,1,205\x02%d\x031.0" % (i, i) if i % 7 else b"junk %d" % i for i in range(90)
    ]
    path.write_bytes(b"\n".join(texts) + ending)
    read = []
    for block, threads in ((1 << 20, 1), (64, 2), (5, 3)):
        size = []
        tally = conversion(path, block, threads).run(tmp_path / "out.parquet", size.append)
        table = pq.read_table(tmp_path / "out.parquet")
        read.append(table)
        assert table.equals(read[0])
        assert (tally.lines, tally.malformed) == (90, 13)
        assert [(n, text) for n, _, text in tally.examples] == [
            (1, "'junk 0'"), (8, "'junk 7'"), (15, "'junk 14'")
        ]  # fmt: skip
        assert sum(size) == len(path.read_bytes()) + (not ending)
    assert read[0]["205"].to_pylist() == [i for i in range(90) if i % 7]
    assert read[0]["row_id"].to_pylist() == list(range(77))


def test_a_file_of_another_kind_is_given_up_at_once(tmp_path):
    path = tmp_path / "skeleton.csv"
    path.write_bytes(b"junk\n" * 5000)
    read = []
    with pytest.raises(
        ValueError, match=r"skeleton\.csv: 1,000 of 1,000 lines \(100.00%\) are malformed"
    ):
        conversion(path, 20, share=0.5).run(tmp_path / "out.parquet", read.append)
    assert sum(read) < 5000


def test_a_share_is_drawn_evenly_and_by_the_id_alone():
    ids = np.arange(200_000)
    first = drawn(ids, 0.1, 0)
    assert first.mean() == pytest.approx(0.1, abs=0.003)
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.01
    np.testing.assert_array_equal(drawn(ids[::-1], 0.1, 0), first[::-1])
    other = drawn(ids, 0.1, 1)
    assert (first & other).mean() == pytest.approx(0.01, abs=0.002)
    assert (drawn(ids, 0.3, 0) >= first).all()  # a larger share draws the smaller one's too
    # the reference outputs of SplitMix64 from state 0 and 1234567
    known = np.array([0xE220A8397B1DCDAF / 2**64, 6457827717110365317 / 2**64])
    states = np.array([0, 1234567])
    for share, expected in zip(known, [[True, False], [False, True]], strict=True):
        above = np.nextafter(share, 1) + 2**-53
        at = [drawn(states[[i]], above, 0)[0] and not drawn(states[[i]], share - 2**-52, 0)[0]
              for i in range(2)]  # fmt: skip
        assert at == expected


def test_conversions_may_run_beside_each_other(tmp_path):
    paths = []
    for n in range(3):
        paths.append(tmp_path / f"{n}.csv")
        paths[-1].write_bytes(b"1,0,0,k,1,205\x02%d\x031.0\n" % n * 50)
    with ThreadPoolExecutor(3) as pool:
        jobs = [
            pool.submit(conversion(p, 100, 2).run, p.with_suffix(".parquet"), lambda size: None)
            for p in paths
        ]
        assert [job.result().lines for job in jobs] == [50] * 3
