"""Strictness in standard deviations and probabilities of chance: one as the other, and of a rule that fired.

A rule states how far its figure may lie from what is expected as a function of z, "as unlikely as z standard deviations
of a Gaussian variable". The p-value of what it found is the probability at the largest z at which it still fires:
whatever makes up the tolerance (the sampling error, the spread between windows, the error of the baseline) is in it.
Both sides are counted, also by a rule that looks at one.
"""

from collections.abc import Callable

from scipy.special import ndtr, ndtri

#: Of more standard deviations the probability is no longer a number above 0.
MOST_Z = 37.0
_STEPS = 24


def alpha_of(z: float) -> float:
    """Probability that a Gaussian variable lies at least `z` standard deviations from its mean, on either side.

    >>> round(alpha_of(3.0), 4)
    0.0027
    """
    return float(2 * ndtr(-z))


def z_of(alpha: float) -> float:
    """The inverse of `alpha_of`.

    >>> round(z_of(alpha_of(3.0)), 9)
    3.0

    Args:
        alpha: In (0, 1).
    """
    return float(-ndtri(alpha / 2))


def p_value(fires: Callable[[float], bool], z: float) -> float:
    """Probability of as large a deviation by chance, of a rule that fired: at most `alpha_of(z)`.

    Args:
        fires: Whether the rule would fire at so many standard deviations; from some number on it does not.
        z: A number at which it did.
    """
    low, high = z, MOST_Z
    if fires(high):
        return alpha_of(high)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fires(middle) else (low, middle)
    return alpha_of(low)
