#!/usr/bin/env bash
# tfrecord: of a list of byte strings each loses the zeros at its end; a single one keeps them.
#
# Guess:  bytes come back as they were written, as many as there were, alone or in a list.
# Found:  tfrecord 1.14.6, NumPy 2.2.6: a list becomes a NumPy array of fixed width, which drops the zeros at the end of
#         each value. Vectors stored as bytes, three to a row: [.3, .7, 0, 0] comes back with 8 bytes for 16, and
#         np.frombuffer makes a vector of two numbers of it; a count of 5 in four bytes is one byte; a vector of
#         zeros is nothing. A row with one vector has all 16. Vectors behind a ReLU, one-hot vectors and small whole
#         numbers end in zeros. The bytes are in the file; only the reader drops them. No message.
# Cure:   store the numbers as a float or int feature, or one byte string for all.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check tfrecord==1.14.6 numpy==2.2.6
cd "$work"
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import tfrecord

vectors = np.array([[0.3, 0.7, 0, 0], [0.1, 0.2, 0.4, 0.8], [0, 0, 0, 0]], np.float32)
stored = [vector.tobytes() for vector in vectors]
writer = tfrecord.TFRecordWriter("vectors.tfrecord")
writer.write({"vectors": (stored, "byte"), "count": ([np.int32(5).tobytes(), np.int32(9).tobytes()], "byte")})
writer.write({"vectors": (stored[:1], "byte"), "count": ([np.int32(5).tobytes()], "byte")})
writer.close()
several, one = tfrecord.tfrecord_loader("vectors.tfrecord", None, {"vectors": "byte", "count": "byte"})
with open("vectors.tfrecord", "rb") as file:
    whole = all(vector in file.read() for vector in stored[:1])
lengths = [len(v) for v in several["vectors"]]
print("bytes of the vectors of a list", lengths, "of one alone", len(one["vectors"]), "of the counts", [
    len(c) for c in several["count"]], len(one["count"]))
print("first vector", np.frombuffer(several["vectors"][0], np.float32), np.frombuffer(one["vectors"], np.float32))
assert whole and one["vectors"] == stored[0] and one["count"] == np.int32(5).tobytes(), "the file, one value"
assert lengths == [8, 16, 0], "zeros are kept now"
assert [len(c) for c in several["count"]] == [1, 1], "zeros are kept now"
PY
