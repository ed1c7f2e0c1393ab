"""Rates in closed form: CVR between the spaces of Eq. 15, and rates under down-sampling.

Eq. 15 weighs clicked rows with alpha and unclicked rows with 1 - alpha. For rows with click
probability c, click-space conversion probability p_O and a share q of pseudo-positives among the
unclicked ones, its CVR part is least at

    r = (alpha c p_O + (1 - alpha) (1 - c) q) / (alpha c + (1 - alpha) (1 - c)),

a mean of p_O and q with the weight that each side has in the loss. With q = 0 (AllNegative, or a
transport that relabels nothing) r is close to CTCVR, not to CVR. Solved for p_O, it gives back the
conversion probability after a click, with c from the CTR output.

All functions take NumPy arrays (checked, float64) or TensorFlow tensors (unchecked, their type).
"""

from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf._checks import every_row
from idefn_tf._rules import Number, checked

#: Click probabilities below this one are raised to it before dividing by them.
MIN_CTR = 1e-6


def entire_space_cvr(
    click_cvr: Any, ctr: Any, alpha: float, pseudo_positive_rate: Any = 0.0
) -> Any:
    """The CVR at which Eq. 15 is least, from the click-space CVR.

    r = (alpha c p_O + (1 - alpha) (1 - c) q) / (alpha c + (1 - alpha) (1 - c)).

    Args:
        click_cvr: p_O, conversion probability given a click, any shape.
        ctr: c, click probability, same shape; raised to 1e-6 where it is below.
        alpha: Weight of clicked rows in Eq. 15, in (0, 1].
        pseudo_positive_rate: q, share of unclicked rows labelled positive; a number or the shape
            of `ctr`. Defaults to 0.

    Returns:
        r, same shape and kind as the inputs.

    Raises:
        ValueError: On alpha outside (0, 1], and on arrays that are not probabilities.

    Example:
        >>> from idefn_tf.calibration import entire_space_cvr
        >>> round(float(entire_space_cvr(0.2, ctr=0.5, alpha=0.5)), 4)  # half are clicked
        0.1
    """
    alpha = _share("alpha", alpha)
    p, c = _probability("click_cvr", click_cvr), _clip(_probability("ctr", ctr), MIN_CTR, 1.0)
    q = _probability("pseudo_positive_rate", pseudo_positive_rate)
    clicked, unclicked = alpha * c, (1.0 - alpha) * (1.0 - c)
    return (clicked * p + unclicked * q) / (clicked + unclicked)


def click_space_cvr(cvr: Any, ctr: Any, alpha: float, pseudo_positive_rate: Any = 0.0) -> Any:
    """The click-space CVR, recovered from a CVR trained with Eq. 15.

    p_O = (r (alpha c + (1 - alpha) (1 - c)) - (1 - alpha) (1 - c) q) / (alpha c), clipped to
    [0, 1]. With q = 0 the factor is 1 + (1 - alpha) (1 - c) / (alpha c): 7 at alpha .8, c .04, so
    an error in c or r grows by as much. The form is exact at the optimum only; q must be the
    pseudo-positive rate of such rows, so with relabelling use it where q is near 0 or known.
    Dropped unclicked rows change c and r together: pass the CTR of the same training data, not a
    corrected one.

    Args:
        cvr: r, the model's CVR, any shape.
        ctr: c, the model's CTR, same shape; raised to 1e-6 where it is below.
        alpha: Weight of clicked rows in Eq. 15, in (0, 1].
        pseudo_positive_rate: q, share of unclicked rows labelled positive; a number or the shape
            of `ctr`. Defaults to 0.

    Returns:
        p_O, same shape and kind as the inputs.

    Raises:
        ValueError: On alpha outside (0, 1], and on arrays that are not probabilities.

    Example:
        >>> from idefn_tf.calibration import click_space_cvr
        >>> round(float(click_space_cvr(0.1, ctr=0.5, alpha=0.5)), 4)
        0.2
    """
    alpha = _share("alpha", alpha)
    r, c = _probability("cvr", cvr), _clip(_probability("ctr", ctr), MIN_CTR, 1.0)
    q = _probability("pseudo_positive_rate", pseudo_positive_rate)
    clicked, unclicked = alpha * c, (1.0 - alpha) * (1.0 - c)
    return _clip(r + (r - q) * (unclicked / clicked), 0.0, 1.0)


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

    Example:
        >>> from idefn_tf.calibration import correct_downsampling
        >>> round(float(correct_downsampling(0.5, keep_rate=0.1)), 4)  # odds 1 become 0.1
        0.0909
    """
    w = _share("keep_rate", keep_rate)
    p = _probability("p", p)
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

    Example:
        >>> from idefn_tf.calibration import apply_downsampling
        >>> round(float(apply_downsampling(1 / 11, keep_rate=0.1)), 4)
        0.5
    """
    w = _share("keep_rate", keep_rate)
    p = _probability("p", p)
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

    Example:
        >>> from idefn_tf.calibration import correct_funnel_downsampling
        >>> ctr, ctcvr = correct_funnel_downsampling(0.5, 0.1, keep_rate=0.1)
        >>> round(float(ctr), 4), round(float(ctcvr / ctr), 4)  # the CVR within clicks stays 0.2
        (0.0909, 0.2)
    """
    w = _share("keep_rate", keep_rate)
    c, joint = _probability("ctr", ctr), _probability("ctcvr", ctcvr)
    scale = c + (1.0 - c) / w
    return c / scale, joint / scale


def _probability(name: str, value: Any) -> Any:
    """Returns `value` as it is (tensors) or as float64 (the rest), refusing what is no probability.

    Args:
        name: The argument's name, for the message.
        value: A tensor of probabilities, or an array or number.

    Raises:
        ValueError: On an array that leaves [0, 1] or holds NaN; tensors are not looked at.
    """
    if tf.is_tensor(value):
        return value
    array = np.asarray(value, dtype=np.float64)
    bad = ~((array >= 0) & (array <= 1))
    cure = "apply the sigmoid to logits and remove NaN"
    every_row(name, bad, "hold probabilities in [0, 1]", cure)
    return array


def _share(name: str, value: float) -> float:
    """Returns `value`, refusing what does not lie in (0, 1]."""
    return float(checked(name, Number(above=0, most=1), value, "1 means no change"))


def _clip(value: Any, low: float, high: float) -> Any:
    """Clips a tensor or an array."""
    if tf.is_tensor(value):
        return tf.clip_by_value(value, tf.cast(low, value.dtype), tf.cast(high, value.dtype))
    return np.clip(value, low, high)
