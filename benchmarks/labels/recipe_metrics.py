"""What a recipe is compared by: validation days, observed labels.

* ``all_funnel``: AUC of CVR over all exposures against click x conversion. It counts every
  unclicked exposure as a negative: it rewards AllNegative by construction and can show harm only.
* ``clicked``: AUC of CVR on clicked rows.
* ``everywhere``, ``unclicked``: clicked rows again, weighted by 1 / ctr and by (1 - ctr) / ctr,
  with ctr the run's own CTR output. If a conversion, given the features, does not depend on the
  click, these estimate the AUC over all exposures and over the unclicked ones without a label of
  either. That assumption fails where users convert because they clicked; both are estimates.
"""

from __future__ import annotations

import numpy as np

from benchmarks.paper.bootstrap import Ranking
from idefn_tf.data import to_arrays
from pipelines.experiment.evaluation import predict
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

JUDGES = {
    "all_funnel": "all exposures, observed labels",
    "clicked": "clicked",
    "everywhere": "clicked, weighted to all exposures",
    "unclicked": "clicked, weighted to the unclicked",
}
#: Clicks less likely than this count as if they were this likely, which bounds a row's weight.
LEAST_CTR = 0.02


def run_metrics(run: Run, data: Prepared) -> dict[str, float]:
    """Returns every judge's AUC for a run's selected model."""
    table = data.table("validation")
    arrays = to_arrays(data.schema, table)
    scores = predict(run.load_model(), data.schema, table)
    return score_metrics(
        scores["cvr"].reshape(-1),
        scores["ctr"].reshape(-1),
        arrays["click"].astype(np.float64),
        arrays["conversion"].astype(np.float64),
    )


def score_metrics(
    cvr: np.ndarray, ctr: np.ndarray, click: np.ndarray, conversion: np.ndarray
) -> dict[str, float]:
    """Returns every judge's AUC.

    Args:
        cvr: predicted conversion rate, [rows].
        ctr: predicted click rate, [rows].
        click: 0 or 1, [rows].
        conversion: 0 or 1, [rows]; one without a click does not count.

    Returns:
        {judge: AUC}, nan where a space lacks a class.
    """
    label = click * conversion
    clicked = click > 0.5
    likely = np.clip(ctr[clicked].astype(np.float64), LEAST_CTR, 1.0)
    within = Ranking(label[clicked], cvr[clicked])
    return {
        "all_funnel": Ranking(label, cvr).auc(np.ones(len(label))),
        "clicked": within.auc(np.ones(int(clicked.sum()))),
        "everywhere": within.auc(1.0 / likely),
        "unclicked": within.auc((1.0 - likely) / likely),
    }
