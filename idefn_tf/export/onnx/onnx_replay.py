"""Replay in ONNX Runtime: the same rows must score as the SavedModel scores them.

A conversion that ends without an error says nothing. Scores are compared absolutely, as every
export is, and relatively too: a probability of a millionth may be wrong by half and still lie
within 1e-6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from idefn_tf.export.onnx.onnx_scorer import OnnxScorer
from idefn_tf.export.replay import TOLERANCE
from idefn_tf.export.scorer import Scorer
from idefn_tf.export.signatures import CALIBRATED
from idefn_tf.export.warmup_records import parse_record, read_records

if TYPE_CHECKING:
    from idefn_tf.calibration import Calibrator

#: Largest relative difference of scores, which also keeps their order up to such differences.
RELATIVE = 1e-4
#: The least score that is compared relatively: that of a logit of -20.
LEAST = float(1 / (1 + np.exp(np.float64(20))))


def check(
    scorer: OnnxScorer,
    reference: Scorer,
    arrays: Mapping[str, np.ndarray],
    calibrator: Calibrator | None = None,
) -> dict[str, Any]:
    """Replays rows and warm-up records through both formats.

    Args:
        scorer: the ONNX version.
        reference: the SavedModel of the same model, with its warm-up records.
        arrays: rows, the corner cases among them.
        calibrator: the fitted one behind "cvr_calibrated".

    Returns:
        {"rows", "warmup_records", "tolerance", "relative_tolerance", "largest_difference",
        "largest_relative_difference"}.

    Raises:
        ValueError: if a score differs, naming signature, output and row.
    """
    worst, signatures, records = [0.0, 0.0], scorer.signatures, 0

    def compare(where: str, signature: str, rows: Mapping[str, np.ndarray]) -> None:
        truth = reference.score(rows, signature=signature)
        found = scorer.score(rows, signature=signature)
        if calibrator is not None:
            # compared at the found cvr: a steep step would magnify the last digits of another one
            truth[CALIBRATED] = calibrator.transform(found["cvr"])
        _compare(where, found, truth, worst)

    for signature in signatures:
        compare(signature, signature, arrays)
        few = {name: arrays[name][:1] for name in scorer.inputs(signature)}
        compare(f"{signature}, one row,", signature, few)
    for data in read_records(reference.path):
        request = parse_record(data)
        if request is None or request.tensors is None or request.signature not in signatures:
            continue  # over serialized examples, which ONNX cannot parse
        records += 1
        compare(f"warm-up record {records}", request.signature, request.tensors)
    return {
        "rows": len(next(iter(arrays.values()))),
        "warmup_records": records,
        "tolerance": TOLERANCE,
        "relative_tolerance": RELATIVE,
        "largest_difference": worst[0],
        "largest_relative_difference": worst[1],
    }


def _compare(
    where: str,
    found: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    worst: list[float],
) -> None:
    for name, right in truth.items():
        if not right.size:
            continue
        given, right = found[name].astype(np.float64), right.astype(np.float64)
        absolute = np.abs(given - right)
        # below LEAST both must be small, and how small says nothing
        relative = np.abs(np.maximum(given, LEAST) / np.maximum(right, LEAST) - 1)
        for kind, (limit, values) in enumerate(((TOLERANCE, absolute), (RELATIVE, relative))):
            row = int(np.argmax(np.where(np.isnan(values), np.inf, values)))
            if not values[row] <= limit:
                how = "relative " if kind else ""
                raise ValueError(
                    f"export: {where} in ONNX Runtime gives {name} = {given[row]:.9g} for replayed "
                    f"row {row}, where the SavedModel gives {right[row]:.9g}; the {how}difference "
                    f"must be at most {limit:g}. Nothing was published."
                )
            worst[kind] = max(worst[kind], float(values[row]))
