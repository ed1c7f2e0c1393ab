#!/usr/bin/env bash
# delta-rs: filters=[("score", "<=", 1.0)] returns the rows whose score is NaN; the Parquet file alone does not.
#
# Guess:  a filter of a table means the same as of its files, in memory, and in delta-rs' own SQL: NaN <= 1 is false.
# Found:  deltalake 1.6.6, pyarrow 26.0.1: the log's least and greatest value leave NaN out, and they are handed to
#         pyarrow as a promise that every row keeps. score <= 1 and score >= 0 are then "always true", and nobody looks
#         at the rows: scores .01, .02, NaN, .03 give 4 rows for 3, and the mean is NaN. score > .02 reads the rows
#         and leaves NaN out.
#         A file of NaN alone (a day of a broken model) is skipped by score != .5, which holds for each of its rows.
#         The answer changes as soon as one file holds a score that the filter refuses.
# Cure:   store missing scores as null; or filter the Arrow table after reading.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    deltalake==1.6.6 pyarrow==26.0.1 pandas==2.3.3 numpy==2.4.6
cd "$work"
"$work/v/bin/python" -W ignore - <<'PY'
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable, QueryBuilder, write_deltalake

NAN = float("nan")
score = ds.field("score")
log = pa.table({"row": [0, 1, 2, 3], "score": [0.01, 0.02, NAN, 0.03]})
write_deltalake("scores", log)
table = DeltaTable("scores")
files = ds.dataset(table.file_uris())
sql = pa.table(QueryBuilder().register("t", table).execute("SELECT row FROM t WHERE score <= 1").read_all())
print("delta-rs' SQL, score <= 1:", sql["row"].to_pylist())
for name, sign, bound, rule in (("<= 1", "<=", 1.0, score <= 1), (">= 0", ">=", 0.0, score >= 0)):
    plain, memory = files.to_table(filter=rule)["row"].to_pylist(), log.filter(rule)["row"].to_pylist()
    read = table.to_pyarrow_table(filters=[("score", sign, bound)])
    print("score", name, "memory", memory, "Parquet", plain, "Delta", read["row"].to_pylist(), end=" ")
    print("mean", pc.mean(read["score"]).as_py())
    assert memory == plain == sql["row"].to_pylist() == [0, 1, 3], "NaN is below 1 elsewhere"
    assert read["row"].to_pylist() == [0, 1, 2, 3], "NaN stays out"
above = table.to_pyarrow_table(filters=[("score", ">", 0.02)])["row"].to_pylist()
print("score > .02 Delta", above)
write_deltalake("broken", pa.table({"row": [0, 1], "score": [NAN, NAN]}))
write_deltalake("broken", pa.table({"row": [2], "score": [0.3]}), mode="append")
broken = DeltaTable("broken")
other = broken.to_pyarrow_table(filters=[("score", "!=", 0.5)])["row"].to_pylist()
true = sorted(broken.to_pyarrow_table().filter(score != 0.5)["row"].to_pylist())
print("a file of NaN, score != .5: Delta", other, "memory", true)
assert above == [3], "NaN is above .02"
assert other == [2] and true == [0, 1, 2], "the file is read"
PY
