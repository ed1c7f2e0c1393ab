"""Undo the effect of training on a share of the negatives.

All functions take NumPy arrays (checked, float64) or TensorFlow tensors (unchecked, their type).
"""

from typing import Any

from idefn_tf.calibration._checks import probability, share


def correct_downsampling(p: Any, keep_rate: float) -> Any:
    """Probability in the full data, from one trained with a share of the negatives.

    p_true = p / (p + (1 - p) / w), w the keep rate: the odds times w.

    Args:
        p: Predicted probability, any shape. For CTR where unclicked rows were dropped at random.
        keep_rate: w, share of negatives kept, in (0, 1].

    Returns:
        The corrected probability, same shape and kind.

    Raises:
        ValueError: On a keep rate outside (0, 1], and on arrays that are not probabilities.
    """
    w = share("keep_rate", keep_rate)
    p = probability("p", p)
    return p / (p + (1.0 - p) / w)


def apply_downsampling(p: Any, keep_rate: float) -> Any:
    """Inverse of `correct_downsampling`: p / (p + (1 - p) w).

    Args:
        p: Probability in the full data, any shape.
        keep_rate: w, share of negatives kept, in (0, 1].

    Returns:
        The probability in the down-sampled data, same shape and kind.

    Raises:
        ValueError: On a keep rate outside (0, 1], and on arrays that are not probabilities.
    """
    w = share("keep_rate", keep_rate)
    p = probability("p", p)
    return p / (p + (1.0 - p) * w)


def correct_funnel_downsampling(ctr: Any, ctcvr: Any, keep_rate: float) -> tuple[Any, Any]:
    """CTR and CTCVR in the full data, where unclicked rows were kept with a rate.

    CTR as in `correct_downsampling`. CTCVR shrinks by the same factor, ctcvr / (ctr + (1 - ctr) /
    w), because clicked rows without a conversion were all kept: treating it as a probability of
    its own, with the formula above, would be wrong. The click-space CVR, their quotient, does not
    change.

    Args:
        ctr: Predicted CTR, any shape.
        ctcvr: Predicted CTCVR, same shape.
        keep_rate: w, share of unclicked rows kept, in (0, 1].

    Returns:
        (ctr, ctcvr), corrected, same shape and kind.

    Raises:
        ValueError: On a keep rate outside (0, 1], and on arrays that are not probabilities.
    """
    w = share("keep_rate", keep_rate)
    c, joint = probability("ctr", ctr), probability("ctcvr", ctcvr)
    scale = c + (1.0 - c) / w
    return c / scale, joint / scale
