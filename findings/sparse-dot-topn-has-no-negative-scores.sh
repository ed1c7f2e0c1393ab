#!/usr/bin/env bash
# sparse_dot_topn: the two best of the scores 2, -1, -4 are one, if they are floats; as integers they are 2 and -1.
#
# Guess:  sp_matmul_topn without a threshold gives the greatest n of each row, whatever their sign and their type.
# Found:  sparse-dot-topn 1.2.0, SciPy 1.15.3, NumPy 2.2.6: float32 and float64 products of 0 or less are never
#         returned, int32 and int64 ones are; the same numbers, with threshold=-inf, come back in full. 500 users
#         and 200 items of a factor model with a bias of -3, as logits of a rare event have: all ten by the threshold,
#         none for any user without it, and no message; "nothing similar" and "all unlikely" look alike. With a
#         smaller bias the lists are short, not empty.
# Cure:   threshold=-numpy.inf.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check sparse-dot-topn==1.2.0 scipy==1.15.3 numpy==2.2.6
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from scipy.sparse import csr_matrix
from sparse_dot_topn import sp_matmul_topn

row, items = np.array([[1.0]]), np.array([[2.0, -1.0, -4.0]])
for kind in (np.float32, np.float64, np.int32, np.int64):
    best = sp_matmul_topn(csr_matrix(row.astype(kind)), csr_matrix(items.astype(kind)), top_n=2, sort=True)
    print(kind.__name__, best.data)
    assert best.nnz == (1 if np.issubdtype(kind, np.floating) else 2), "floats below zero are returned now"

draw = np.random.default_rng(0)
users = np.c_[draw.normal(0, 0.3, (500, 8)), np.ones(500)]
goods = np.c_[draw.normal(0, 0.3, (200, 8)), np.full(200, -3.0)].T
exact = np.sort(users @ goods, axis=1)[:, ::-1][:, :10]


def answered(**options):
    return sp_matmul_topn(csr_matrix(users), csr_matrix(goods.copy()), top_n=10, sort=True, **options)


plain, free = answered(), answered(threshold=-np.inf)
print("items for each user", np.bincount(np.diff(plain.indptr)), "with threshold", set(np.diff(free.indptr).tolist()))
assert np.allclose(free.data.reshape(500, 10), exact), "the greatest ten"
assert (np.diff(plain.indptr) == 0).mean() > 0.5, "users have items now"
PY
