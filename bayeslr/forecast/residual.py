"""Draws of the residual process of a run."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["residual_process"]

type Draws = NDArray[np.float64]


def residual_process(
    sd: Draws,
    log_area: Draws,
    length: float,
    rng: np.random.Generator,
    *,
    start: tuple[float, Draws, Draws] | None = None,
) -> Draws:
    """Draw the residual process of a run.

    Parameters
    ----------
    sd
        Its standard deviation, ``[draws, n]``.
    log_area
        Where it is wanted, ascending, ``[n]``.
    length
        Correlation length in log S1.
    rng
        Source of randomness.
    start
        What is known of the process at an earlier place: the place, and mean and variance there in units of its
        standard deviation, each ``[draws]``. Default: nothing.

    Returns
    -------
    numpy.ndarray
        ``[draws, n]``.
    """
    fresh = rng.standard_normal(sd.shape)
    place, state = -np.inf, np.zeros(len(sd))
    if start is not None:
        place, mean, variance = start
        state = mean + np.sqrt(variance) * rng.standard_normal(len(sd))
    # from one place to the next the process keeps exp(-distance / length) of its value
    kept = np.exp(-np.abs(np.diff(log_area, prepend=place)) / length)
    values = np.empty_like(sd)
    for k, share in enumerate(kept):
        state = share * state + np.sqrt(1.0 - share**2) * fresh[:, k]
        values[:, k] = state
    return values * sd
