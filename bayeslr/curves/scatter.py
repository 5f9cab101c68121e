"""How far losses scatter from one observation to the next, by third differences, which hardly see the curve."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["ORDER", "WHITE_NOISE", "differences"]

ORDER = 3
"""Order of the differences."""

WHITE_NOISE = 0.6745 * 20.0**0.5
"""Median of :func:`differences` of white noise, in its standard deviations: their variance is twenty times its own."""


def differences(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the absolute third differences of losses ``[n]``, ``[n - 3]``."""
    return np.asarray(np.abs(np.diff(loss, ORDER)))
