#!/usr/bin/env bash
# Voyager's E4M3 inner product refuses every further item once a long one was offered, taken or not.
#
# Guess:  a vector with a number above 448 is refused with an error, and the index is as it was before.
# Found:  voyager 2.2.3, NumPy 2.1.3: after one refused vector (600, 0, 0, 0) an index of 1,000 good items takes no
#         more: (.25, 0, 0, 0) is "outside of [-448, 448]" as well, for good, after saving and loading too.
#         (300, 300, 300, 300), each number within bounds, is taken, and ends the index in the same way: inner product
#         stores one number more with each vector, which makes up for the greatest length that was ever offered.
#         Float32 and the two other distances go on. A feed that skips refused items and counts them serves the
#         catalogue of that day from then on, and the count of skips looks like bad data.
# Cure:   check the length, not the numbers, before add_item; after a refusal start from the saved index.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check voyager==2.2.3 numpy==2.1.3
cd "$work"
"$work/v/bin/python" -W error - <<'PY'
import numpy as np
from voyager import Index, Space, StorageDataType


def taken(index, vector):
    """Whether the index takes the vector."""
    try:
        index.add_item(np.array(vector, np.float32))
    except ValueError as error:
        return str(error)[:55]
    return True


def after(space, kind, refused):
    """An index of 1,000 good items is given one vector and then a good one again."""
    draw = np.random.default_rng(0)
    index = Index(space, 4, storage_data_type=kind)
    index.add_items(draw.uniform(-0.9, 0.9, (1_000, 4)).astype(np.float32))
    first = taken(index, refused)
    again = taken(index, [0.25, 0, 0, 0])
    index.save("index.voy")
    return first, again, taken(Index.load("index.voy"), [0.25, 0, 0, 0]), len(index)


far, inside = [600, 0, 0, 0], [300, 300, 300, 300]
inner = after(Space.InnerProduct, StorageDataType.E4M3, far)
bounds = after(Space.InnerProduct, StorageDataType.E4M3, inside)
others = {
    "Float32": after(Space.InnerProduct, StorageDataType.Float32, far),
    "E4M3, distance": after(Space.Euclidean, StorageDataType.E4M3, far),
    "E4M3, cosine": after(Space.Cosine, StorageDataType.E4M3, far),
}
print("E4M3, inner product:", inner)
print("numbers within bounds:", bounds)
for name, line in others.items():
    print(name, line)
assert inner[0] is not True and inner[1] is not True and inner[2] is not True, "it goes on"
assert inner[3] == 1_000 and bounds[1] is not True, "the length does not matter"
assert all(line[1] is True and line[2] is True for line in others.values()), "the other types"
PY
