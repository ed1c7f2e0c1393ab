"""Between the optimum of Eq. 15 and the click-space CVR.

Eq. 15 weighs clicked rows with alpha and unclicked rows with 1 - alpha. For rows with click
probability c, click-space conversion probability p_O and a share q of pseudo-positives among the
unclicked ones, its CVR part is least at

    r = (alpha c p_O + (1 - alpha) (1 - c) q) / (alpha c + (1 - alpha) (1 - c)),

a mean of p_O and q with the weight that each side has in the loss. With q = 0 (AllNegative, or a
transport that relabels nothing) r is close to CTCVR, not to CVR. Solved for p_O, it gives back the
conversion probability after a click, with c from the CTR output.

Both functions take NumPy arrays (checked, float64) or TensorFlow tensors (unchecked, their type).
"""

from typing import Any

from idefn_tf.calibration._checks import clip, probability, share

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
    """
    alpha = share("alpha", alpha)
    p, c = probability("click_cvr", click_cvr), clip(probability("ctr", ctr), MIN_CTR, 1.0)
    q = probability("pseudo_positive_rate", pseudo_positive_rate)
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
    """
    alpha = share("alpha", alpha)
    r, c = probability("cvr", cvr), clip(probability("ctr", ctr), MIN_CTR, 1.0)
    q = probability("pseudo_positive_rate", pseudo_positive_rate)
    clicked, unclicked = alpha * c, (1.0 - alpha) * (1.0 - c)
    return clip(r + (r - q) * (unclicked / clicked), 0.0, 1.0)
