"""What can be fitted: losses and rates on which the law and its priors are numbers."""

import warnings
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves import CurveSet
from bayeslr.errors import DataWarning, ModelError

__all__ = ["MAX_DRAWS", "bounded", "require_finite", "require_fittable", "without_spikes"]

MAX_DRAWS: Final = 400_000
"""Most draws of a fit, all chains together: one with a hundred numbers a draw takes 0.3 GB."""
_KEPT: Final = (1_000_000, 10_000, 256)
"""Observations that a posterior keeps: of all runs together, of a run, and of a run however many there are."""
_LOSS: Final = (1e-12, 1e12)
_RATE: Final = (1e-20, 1e6)


def require_fittable(curves: CurveSet) -> None:
    """Refuse curves on which a fit could only end in numbers that mean nothing.

    Noise above the signal is no reason: it is inferred, and bands are as wide as it makes them.

    Parameters
    ----------
    curves
        The curves.

    Raises
    ------
    ModelError
        If a loss is not positive (a priori the law's parameters are shares of the lowest loss), a loss or a rate is of
        a size that no training has, or all losses are equal.
    """
    for curve in curves:
        wrong = np.flatnonzero((curve.loss < _LOSS[0]) | (curve.loss > _LOSS[1]))
        if wrong.size:
            place = int(wrong[0])
            raise ModelError(
                f"fit: run {curve.name!r} has the loss {curve.loss[place]:.6g} at step {curve.steps[place]}; allowed: "
                f"positive losses such as cross-entropies, {_LOSS[0]:g} to {_LOSS[1]:g}"
            )
        peak = curve.schedule.peak_lr
        if not _RATE[0] <= peak <= _RATE[1]:
            raise ModelError(
                f"fit: run {curve.name!r} has the peak rate {peak:.6g}; allowed: {_RATE[0]:g} to {_RATE[1]:g}"
            )
    lowest, highest = (f(f(curve.loss) for curve in curves) for f in (min, max))
    if lowest == highest:
        raise ModelError(
            f"fit: all losses are {lowest:.6g}; allowed: losses that fall, from which something is learned"
        )


def bounded(curves: CurveSet, max_points_per_run: int | None) -> CurveSet:
    """Leave out observations of very long logs, which a fit would not use and a posterior would have to keep.

    Parameters
    ----------
    curves
        The curves.
    max_points_per_run
        Observations of a run that are to be fitted; none: the default.

    Returns
    -------
    CurveSet
        The curves as they are where no run has more than 10,000 observations (a million divided by the number of runs,
        where that is less), else so many of each after its warm-up, where they tell most.
    """
    of_all, of_run, least = _KEPT
    most = max(least, min(of_run, of_all // len(curves)), max_points_per_run or 0)
    return curves.thin(most) if max(map(len, curves)) > most else curves


def without_spikes(curves: CurveSet) -> CurveSet:
    """Leave out single losses that stand far out of their curves, and say which.

    Parameters
    ----------
    curves
        The curves.

    Returns
    -------
    CurveSet
        The curves, as they are where there is no such loss.
    """
    marked = curves.spikes()
    several = [(curve, mask) for curve, mask in zip(curves, marked, strict=True) if mask.any()]
    if not several:
        return curves
    curve, mask = several[0]
    distinct = {one for c, m in several for one in zip(c.steps[m].tolist(), c.loss[m].tolist(), strict=True)}
    count, where = len(distinct), f" of {len(several)} runs" if len(several) > 1 else ""
    found = f"{count} losses stand" if count > 1 else "1 loss stands"
    first = f"{curve.loss[mask][0]:.4g} at step {curve.steps[mask][0]} of run {curve.name!r}"
    warnings.warn(
        f"{found} far out of the curves{where} and {'are' if count > 1 else 'is'} left out of the fit: {first}"
        f"{' and others' if count > 1 else ''}; to keep such losses, fit with keep_spikes=True (--keep-spikes)",
        DataWarning,
        stacklevel=3,
    )
    return curves.without(marked)


def require_finite(draws: Mapping[str, NDArray[np.float64]], curves: CurveSet) -> None:
    """Refuse draws that are no numbers, before they are kept.

    Parameters
    ----------
    draws
        Draws by name.
    curves
        The fitted curves.

    Raises
    ------
    ModelError
        If a draw is not finite: the line names the run whose loss rises most, which is most likely to be the cause.
    """
    wrong = [name for name, array in draws.items() if not np.isfinite(array).all()]
    if wrong:
        curve = max(curves, key=lambda one: float(one.loss.max() / one.loss.min()))
        low, high = int(curve.loss.argmin()), int(curve.loss.argmax())
        raise ModelError(
            f"fit: {', '.join(wrong[:3])} came out as no finite number, so these losses do not follow a law; the loss "
            f"of {curve.name!r} goes from {curve.loss[low]:.6g} at step {curve.steps[low]} to {curve.loss[high]:.6g} "
            f"at step {curve.steps[high]}; allowed: runs that did not diverge, or their steps before they did"
        )
