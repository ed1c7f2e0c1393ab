"""The published numbers that ours stand beside, and why the two are not comparable.

CVR AUC on all exposures, five seeds, mean; from Table 1 of Zhong et al., AAAI 2026 (IdeFN).
"""

from __future__ import annotations

#: {data: {backbone: {method: CVR AUC on all exposures}}} of the IdeFN paper.
IDEFN_AUC: dict[str, dict[str, dict[str, float]]] = {
    "kuairand": {
        "mlp": {
            "esmm": 0.8444,
            "mmoe": 0.8310,
            "escm2_ips": 0.8460,
            "escm2_dr": 0.7826,
            "dcmt": 0.8498,
            "nise": 0.8569,
            "idefn": 0.8739,
            "idefn_mmoe": 0.8672,
        },
        "deepfm": {
            "esmm": 0.8509,
            "mmoe": 0.8328,
            "escm2_ips": 0.8491,
            "escm2_dr": 0.8101,
            "dcmt": 0.8550,
            "nise": 0.8600,
            "idefn": 0.8779,
        },
        "dcnv2": {
            "esmm": 0.8436,
            "mmoe": 0.8373,
            "escm2_ips": 0.8449,
            "escm2_dr": 0.6442,
            "dcmt": 0.8519,
            "nise": 0.8588,
            "idefn": 0.8756,
        },
    },
    "ali_ccp": {
        "mlp": {
            "esmm": 0.6313,
            "mmoe": 0.6241,
            "escm2_ips": 0.6439,
            "escm2_dr": 0.6110,
            "dcmt": 0.6434,
            "nise": 0.6515,
            "idefn": 0.6656,
            "idefn_mmoe": 0.6641,
        },
        "deepfm": {
            "esmm": 0.6325,
            "mmoe": 0.6216,
            "escm2_ips": 0.6274,
            "escm2_dr": 0.6249,
            "dcmt": 0.6526,
            "nise": 0.6523,
            "idefn": 0.6622,
        },
        "dcnv2": {
            "esmm": 0.6295,
            "mmoe": 0.6266,
            "escm2_ips": 0.6344,
            "escm2_dr": 0.6302,
            "dcmt": 0.6448,
            "nise": 0.6528,
            "idefn": 0.6674,
        },
    },
}

#: What differs between the published protocol and this grid, for the page with the tables.
PROTOCOL: tuple[tuple[str, str, str], ...] = (
    ("data", "both standard logs, 1.4M exposures, one month", "the folder named above"),
    ("filter and split", "not published", "days, in the order of time; duplicates dropped first"),
    ("fields", "not published (41 in the table); numbers as ids", "schemas/, durations bucketized"),
    ("selection", "early stopping on the test set's CVR AUC", "on validation days, all_funnel"),
    ("likes without a click", "unclear whether dropped", "hidden in training, shown in all_raw"),
    ("weight decay", "L2 1e-5 on every row at every step", "see the setting"),
    ("last batch of an epoch", "kept", "dropped, so that shapes stay fixed"),
    ("seeds", "five", "as many as the table says"),
    ("IdeFN's marginals", "printed inconsistently", "both readings: R1 as printed, R2 as meant"),
    ("control without transport", "none", "AllNegative in every table"),
)


def published_auc(data: str, backbone: str, method: str) -> float | None:
    """Returns the IdeFN paper's CVR AUC on all exposures for a row of ours, or None.

    Args:
        data: our name of the data; its family is told by its beginning.
        backbone: mlp, deepfm or dcnv2.
        method: a variant's name; both readings of IdeFN stand beside the one published number.
    """
    family = next((name for name in IDEFN_AUC if data.startswith(name)), None)
    if family is None:
        return None
    method = "idefn" if method == "idefn_paper" else method
    return IDEFN_AUC[family].get(backbone, {}).get(method)
