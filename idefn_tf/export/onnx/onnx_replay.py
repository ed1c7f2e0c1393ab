"""Replay in ONNX Runtime: the same rows must score as the SavedModel scores them.

A conversion that ends without an error says nothing. Scores are compared absolutely, as every
export is, and relatively too: a probability of a millionth may be wrong by half and still lie
within 1e-6. Numbers of any size are replayed, and float32 cannot hold 1e-6 of a score that hangs
on the last digits of a million: there the SavedModel's own answer to those digits is the measure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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


#: The share of themselves by which numbers are moved: what sums of float32 lose, in two orders.
MOVE = 5e-6
_LARGE, _DRAWS = 10**6, 16


def check(
    scorer: OnnxScorer,
    reference: Scorer,
    arrays: Mapping[str, np.ndarray],
    calibrator: Calibrator | None = None,
    numbers: Collection[str] = (),
) -> dict[str, Any]:
    """Replays rows and warm-up records through both formats.

    Args:
        scorer: the ONNX version.
        reference: the SavedModel of the same model, with its warm-up records.
        arrays: rows, the corner cases among them.
        calibrator: the fitted one behind "cvr_calibrated".
        numbers: names of numeric features. Where they are so large that the SavedModel's own
            score moves with their last digits (`MOVE`), a difference may be as large as that.

    Returns:
        {"rows", "warmup_records", "tolerance", "relative_tolerance", "largest_difference",
        "largest_relative_difference", "rows_beyond_float32"}: the last are such rows, which the two
        largest differences leave out.

    Raises:
        ValueError: if a score differs, naming signature, output and row.
    """
    signatures, records, beyond = scorer.signatures, 0, 0
    worst = np.zeros(2)

    def compare(where: str, signature: str, rows: Mapping[str, np.ndarray]) -> None:
        nonlocal beyond
        truth = reference.score(rows, signature=signature)
        found = scorer.score(rows, signature=signature)
        moves = _Moves(reference, signature, rows, numbers, truth)
        if calibrator is not None:
            # compared at the found cvr: a steep step would magnify the last digits of another one
            truth[CALIBRATED] = calibrator.transform(found["cvr"])
        excused = np.zeros(len(truth["cvr"]), bool)
        for name, right in truth.items():
            differences = _differences(found[name], right)
            _check(where, name, found[name], right, differences, moves, excused)
            kept = differences[:, ~excused]
            np.maximum(worst, kept.max(1, initial=0.0), out=worst)
        beyond += int(excused.sum())

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
        "largest_difference": float(worst[0]),
        "largest_relative_difference": float(worst[1]),
        "rows_beyond_float32": beyond,
    }


def _differences(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns absolute and relative differences, [2, rows]; a NaN of either is infinite."""
    one, other = found.astype(np.float64), right.astype(np.float64)
    # below LEAST both must be small, and how small says nothing
    relative = np.abs(np.maximum(one, LEAST) / np.maximum(other, LEAST) - 1)
    both = np.stack([np.abs(one - other), relative])
    return np.where(np.isnan(both), np.inf, both)


def _check(
    where: str,
    name: str,
    found: np.ndarray,
    right: np.ndarray,
    differences: np.ndarray,
    moves: _Moves,
    excused: np.ndarray,
) -> None:
    """Raises at a difference that nothing excuses, and marks rows that are excused."""
    for limit, values, how in zip(
        (TOLERANCE, RELATIVE), differences, ("", "relative "), strict=True
    ):
        wrong = np.flatnonzero(values > limit)
        if not len(wrong):
            continue
        wrong = wrong[np.argsort(-values[wrong])]
        least = differences[0][wrong]
        bad = wrong[~(least <= moves.of(name, wrong))]
        if len(bad):
            row = bad[0]
            raise ValueError(
                f"export: {where} in ONNX Runtime gives {name} = {found[row]:.9g} for replayed row "
                f"{row}, where the SavedModel gives {right[row]:.9g}; the {how}difference must be "
                f"at most {limit:g}. Nothing was published."
            )
        excused[wrong] = True


class _Moves:
    """How far the SavedModel's own scores move with the last digits of a row's numbers."""

    def __init__(
        self,
        reference: Scorer,
        signature: str,
        rows: Mapping[str, np.ndarray],
        numbers: Collection[str],
        truth: Mapping[str, np.ndarray],
    ) -> None:
        self._reference, self._signature, self._rows = reference, signature, rows
        self._numbers = [n for n in reference.inputs(signature) if n in numbers]
        self._truth = dict(truth)

    def of(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Returns the largest move of an output of some rows; 0 where there are no numbers."""
        most = np.zeros(len(rows))
        if not self._numbers or name not in self._truth:
            return most
        rng = np.random.default_rng(0)
        part = {key: np.asarray(values)[rows] for key, values in self._rows.items()}
        for _ in range(_DRAWS):
            moved = {key: _moved(part[key], rng) for key in self._numbers}
            scores = self._reference.score({**part, **moved}, signature=self._signature)
            move = np.abs(scores[name].astype(np.float64) - self._truth[name][rows])
            np.maximum(most, move, out=most)
        return most


def _moved(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Moves floats by a share of themselves, and integers of a million or more by one."""
    step = rng.choice([-1, 1], values.shape)
    if values.dtype.kind == "i":
        # towards 0 or not at all: the greatest integer has nowhere else to go
        large = (values >= _LARGE) | (values <= -_LARGE)
        return np.where(large, values - np.sign(values) * (step > 0), values)
    return (values * (1 + step * MOVE)).astype(values.dtype)
