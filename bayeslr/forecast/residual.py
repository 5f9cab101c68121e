"""Draws of the residual process: of a run, and of what runs of one schedule have in common of it."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["CommonResidual", "residual_process"]

type Draws = NDArray[np.float64]

_WAVES: Final = 512
"""Waves of a random function: correlations are exact to a fiftieth on average, to a tenth at worst (tested)."""


@dataclass(frozen=True)
class CommonResidual:
    """What is left over of schedules, one random function of log area and exposure a draw.

    Two schedules that hardly differ hardly differ in what the law leaves over. So this is a Gaussian process whose
    correlation is ``exp(-|a - a'| / length)`` in log area, as along a run, times ``exp(-|m - m'|^2 / (2 likeness^2))``
    in the memories' shares of what was removed. It is drawn by random Fourier features (Rahimi and Recht 2007), so that
    schedules that are asked about one by one belong together. Nothing is drawn before it is asked for.

    Parameters
    ----------
    length
        Correlation length in log area.
    likeness
        Distance of exposures.
    num_draws
        Number of functions.
    seed
        Seed of the functions.
    """

    length: float
    likeness: float
    num_draws: int
    seed: tuple[int, ...]

    @cached_property
    def weights(self) -> Draws:
        """Standard normal draws, ``[draws, 2 * 512]``."""
        return np.random.default_rng(self.seed).standard_normal((self.num_draws, 2 * _WAVES))

    def at(self, log_area: Draws, memory: Draws) -> Draws:
        """Return the functions, of variance one, at places ``[n]`` with exposures ``[k, n]``: ``[draws, n]``."""
        waves = _waves(1 + len(memory))
        angles = waves[:, :1] * log_area / self.length + waves[:, 1:] @ memory / self.likeness
        values: Draws = self.weights @ np.concatenate([np.cos(angles), np.sin(angles)]) / _WAVES**0.5
        return values


@lru_cache(maxsize=4)
def _waves(dimensions: int) -> Draws:
    """Return frequencies, ``[512, dimensions]``: of the spectrum of an exponential correlation, and Gaussian ones."""
    # evenly spread, as multiples of powers of the root of x^(d + 1) = x + 1 are (a generalised golden ratio)
    golden = float(np.roots([1.0, *[0.0] * (dimensions - 1), -1.0, -1.0]).real.max())
    even = (0.5 + np.outer(np.arange(1, _WAVES + 1), golden ** -np.arange(1.0, dimensions + 1))) % 1.0
    return np.column_stack([np.tan(np.pi * (even[:, 0] - 0.5)), ndtri(even[:, 1:])])


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
