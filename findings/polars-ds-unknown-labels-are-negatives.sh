#!/usr/bin/env bash
# polars-ds: a row whose label is missing is a negative in its confusion matrix; its AUC refuses such rows.
#
# Guess:  a row without a label is left out, as Polars' own sums and means do, or refused, as query_roc_auc does.
# Found:  polars-ds 0.13.0, polars 2.1.0: each of them is a true negative or a false positive. 20,000 clicks, half of
#         them too young to have their label: precision .44 instead of .90, MCC of the matrix .61 for .89, accuracy .94
#         for .98; the four counts sum to all rows. query_mcc counts them as true negatives whatever was guessed
#         and says .90. query_roc_auc raises on the same frame.
#         A label that is null until it is known (delayed conversions, a left join that found nothing) makes a good
#         model look imprecise, the more so the younger the log. No message.
# Cure:   filter(pl.col("label").is_not_null()) before both.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check polars-ds==0.13.0 polars==2.1.0 numpy==2.2.6
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import polars as pl
import polars_ds as pds

CLICKS = 20_000
draw = np.random.default_rng(0)
bought = (draw.random(CLICKS) < 0.1).astype(int)
guess = np.where(draw.random(CLICKS) < np.where(bought == 1, 0.9, 0.011), 1, 0)
known = draw.random(CLICKS) < 0.5
log = pl.DataFrame({"label": [int(b) if k else None for b, k in zip(bought, known)], "guess": guess})


def measured(frame):
    counts = frame.select(pds.query_confusion_matrix("label", "guess", all_metrics=True)).item()
    found = {name: round(float(counts[name]), 2) for name in ("precision", "acc", "mcc")}
    rows = sum(int(counts[name]) for name in ("tn", "fp", "fn", "tp"))
    return found | {"query_mcc": round(frame.select(pds.query_mcc("label", "guess")).item(), 2), "rows": rows}


whole, dropped = measured(log), measured(log.drop_nulls())
try:
    log.select(pds.query_roc_auc("label", "guess"))
    refused = False
except pl.exceptions.ComputeError:
    refused = True
print("with missing labels", whole)
print("without", dropped, "query_roc_auc refuses them:", refused)
assert dropped["rows"] == known.sum() and dropped["precision"] > 0.85, "known labels"
assert whole["rows"] == CLICKS, "rows without a label are left out now"
assert whole["precision"] < 0.6 and whole["mcc"] < dropped["mcc"] - 0.15, "they are no negatives now"
assert dropped["query_mcc"] == dropped["mcc"] and whole["query_mcc"] > whole["mcc"] + 0.1, "the two agree now"
assert refused, "the AUC takes them now"
PY
