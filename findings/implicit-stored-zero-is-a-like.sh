#!/usr/bin/env bash
# implicit takes a stored zero for a like: BPR on a log of labels learns what was shown, not what was bought.
#
# Guess:  csr_matrix((labels, (users, items))) means the same with its zeros stored or not; SciPy finds the two equal.
# Found:  implicit 0.7.3, SciPy 1.15.3; users of two tastes, shown 20 of 60 items each, who buy by taste:
#           share of one's own taste in BPR's ten best   zeros stored .50, which is chance; dropped .99
#         ranking_metrics_at_k counts stored zeros of the test matrix as hits: precision .91 where it is 0.
#         BPR reads the places of the matrix, not its values, and so do filters of "already liked"; its
#         documentation says that non-zero entries are the likes. No message.
# Cure:   matrix.eliminate_zeros() on both matrices.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check implicit==0.7.3 scipy==1.15.3 numpy==2.2.6
OPENBLAS_NUM_THREADS=1 "$work/v/bin/python" -W error - <<'PY'
import numpy as np
import scipy.sparse as sp
from implicit.bpr import BayesianPersonalizedRanking
from implicit.evaluation import ranking_metrics_at_k

USERS, ITEMS, SHOWN = 400, 60, 20
draw = np.random.default_rng(0)
taste = np.arange(USERS) % 2
users = np.repeat(np.arange(USERS), SHOWN)
items = np.concatenate([draw.choice(ITEMS, SHOWN, replace=False) for _ in range(USERS)])
likely = np.where(items % 2 == taste[users], 0.5, 0.02)
labels = (draw.uniform(size=len(users)) < likely).astype("float32")
stored = sp.csr_matrix((labels, (users, items)), shape=(USERS, ITEMS))
dropped = stored.copy()
dropped.eliminate_zeros()
print(f"{stored.nnz} places, {dropped.nnz} bought; places that differ: {(stored != dropped).nnz}")


def trained(matrix):
    model = BayesianPersonalizedRanking(factors=8, iterations=100, random_state=0, num_threads=1)
    model.fit(matrix, show_progress=False)
    best, _ = model.recommend(np.arange(USERS), matrix, N=10)
    return model, float((best % 2 == taste[:, None]).mean())


(model, with_zeros), (_, without) = trained(stored), trained(dropped)
print(f"own taste among the ten best: zeros stored {with_zeros:.2f}, dropped {without:.2f}")
none = sp.csr_matrix((USERS, ITEMS), dtype="float32")
best, _ = model.recommend(np.arange(2), none[:2], N=10, filter_already_liked_items=False)
missed = int(np.setdiff1d(np.arange(ITEMS), best[0])[0])
places = np.r_[0, np.ones(10, int)], np.r_[missed, best[1]]
test = sp.csr_matrix((np.r_[1, np.zeros(10)].astype("float32"), places), shape=(USERS, ITEMS))
bought = test.copy()
bought.eliminate_zeros()
hits = [ranking_metrics_at_k(model, none, t, K=10, show_progress=False)["precision"] for t in (test, bought)]
print(f"precision, one purchase that is not among the ten: zeros stored {hits[0]:.2f}, dropped {hits[1]:.2f}")
assert (stored != dropped).nnz == 0
assert without > 0.9, "the cure"
assert 0.4 < with_zeros < 0.6, "a stored zero is no like"
assert hits[1] == 0 and round(hits[0], 2) == 0.91, "a stored zero of the test matrix is no hit"
PY
