"""Scores of one forecast run: coverage, sharpness, and both in one number.

*Coverage* says how often the observed loss lies in the band: of 90% bands nine in ten should hold it. Wide bands cover
everything, so *width* has to be read beside it. The interval score and the CRPS (continuous ranked probability score)
weigh the two against each other; smaller is better, and neither can be improved by claiming to know more or less than
one does (Gneiting and Raftery 2007, "Strictly proper scoring rules, prediction, and estimation", JASA 102, 359-378).
Both come from scoringrules and are in units of loss.

Everything is pointwise: a run's score is the mean over its observations.
"""

from dataclasses import asdict, dataclass

import numpy as np
import scoringrules
from numpy.typing import ArrayLike, NDArray

from bayeslr.errors import PosteriorError

__all__ = ["LEVELS", "PairScore", "RunScore", "score_pair", "score_run"]

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Probabilities of the bands whose coverage is reported."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RunScore:
    """Scores of the forecast of one run with ``n`` observations.

    A forecast of a single draw has no band: what describes the band is not a number then.

    Parameters
    ----------
    n
        Number of observations.
    coverage_50, coverage_80, coverage_90, coverage_95
        Share of the observations in the equal-tailed band of that probability.
    final_in_90
        1 if the last observation lies in its 90% band, else 0.
    final_error
        Median of the last prediction minus the last observation, in units of loss.
    final_width_90
        Width of the 90% band there.
    crps
        Mean continuous ranked probability score, in units of loss. Of a single draw: the mean absolute error.
    interval_score
        Mean interval score of the 90% band: its width, plus 20 times what an observation lies outside.
    mae
        Mean absolute error of the median.
    mape
        The same as a percentage of the observed loss.
    width_90
        Mean width of the 90% band.
    pit
        Probability integral transform of each observation, ``[n]``: the share of draws below it. Uniform between 0 and
        1 over many independent observations if the forecast is calibrated.
    """

    n: int
    coverage_50: float
    coverage_80: float
    coverage_90: float
    coverage_95: float
    final_in_90: float
    final_error: float
    final_width_90: float
    crps: float
    interval_score: float
    mae: float
    mape: float
    width_90: float
    pit: NDArray[np.float64]

    def numbers(self) -> dict[str, float]:
        """Return every score but the pointwise `pit`, by name."""
        return {name: value for name, value in asdict(self).items() if name != "pit"}


def score_run(draws: ArrayLike, observed: ArrayLike, *, seed: int = 0) -> RunScore:
    """Score the forecast of a run.

    Parameters
    ----------
    draws
        Draws of the loss as it would be measured, ``[draws, n]``.
    observed
        The loss that was measured, ``[n]``, in the order of the steps.
    seed
        Where draws tie with an observation, its place among them in `pit` is drawn; nothing else is random.

    Returns
    -------
    RunScore
        The scores.

    Raises
    ------
    PosteriorError
        If the shapes do not fit together or a number is not finite.
    """
    forecast, truth = np.asarray(draws, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    if forecast.ndim != 2 or truth.ndim != 1 or truth.size == 0 or forecast.shape != (len(forecast), truth.size):
        raise PosteriorError(
            f"score: draws of shape {forecast.shape}, observations of shape {truth.shape}; allowed: [draws, n] and [n]"
        )
    if not (len(forecast) and np.isfinite(forecast).all() and np.isfinite(truth).all()):
        raise PosteriorError("score: there are no draws, or a number is not finite; allowed: finite numbers")
    middle = np.median(forecast, axis=0)
    error = np.abs(middle - truth)
    banded = len(forecast) > 1
    bounds = {level: np.quantile(forecast, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0) for level in LEVELS}
    inside = {level: (lower <= truth) & (truth <= upper) for level, (lower, upper) in bounds.items()}
    coverage = {f"coverage_{100 * level:.0f}": _mean(hits, banded) for level, hits in inside.items()}
    lower, upper = bounds[0.9]
    # the backend is named because another one, where it is installed, would be taken by itself
    interval = scoringrules.interval_score(truth, lower, upper, 0.1, backend="numpy")
    crps = scoringrules.crps_ensemble(truth, forecast, m_axis=0, backend="numpy")
    return RunScore(
        n=truth.size,
        **coverage,
        final_in_90=_mean(inside[0.9][-1:], banded),
        final_error=float(middle[-1] - truth[-1]),
        final_width_90=_mean((upper - lower)[-1:], banded),
        crps=float(np.mean(crps)),
        interval_score=_mean(np.asarray(interval), banded),
        mae=float(error.mean()),
        mape=float(100.0 * np.mean(error / np.abs(truth))),
        width_90=_mean(upper - lower, banded),
        pit=_pit(forecast, truth, seed) if banded else np.full(truth.size, np.nan),
    )


@dataclass(frozen=True, kw_only=True)
class PairScore:
    """Scores of the forecast of a difference, the final loss of one run minus that of another.

    Parameters
    ----------
    observed
        The difference that was measured, in units of loss.
    predicted
        Median of the predicted difference.
    in_90
        1 if the measured difference lies in the equal-tailed 90% interval, else 0.
    width_90
        Width of that interval.
    sign
        1 if the predicted difference has the sign of the measured one, else 0.
    """

    observed: float
    predicted: float
    in_90: float
    width_90: float
    sign: float


def score_pair(draws: ArrayLike, observed: float) -> PairScore:
    """Score the forecast of a difference.

    Parameters
    ----------
    draws
        Draws of the difference, ``[draws]``, at least two.
    observed
        The difference that was measured.

    Returns
    -------
    PairScore
        The scores.
    """
    lower, middle, upper = np.quantile(np.asarray(draws, dtype=np.float64), [0.05, 0.5, 0.95])
    return PairScore(
        observed=observed,
        predicted=float(middle),
        in_90=float(lower <= observed <= upper),
        width_90=float(upper - lower),
        sign=float(np.sign(middle) == np.sign(observed)),
    )


def _mean(values: NDArray[np.float64] | NDArray[np.bool_], defined: bool) -> float:
    return float(np.mean(values)) if defined else float("nan")


def _pit(forecast: NDArray[np.float64], truth: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    below, equal = np.mean(forecast < truth, axis=0), np.mean(forecast == truth, axis=0)
    place: NDArray[np.float64] = below + equal * np.random.default_rng(seed).random(truth.size)
    return place
