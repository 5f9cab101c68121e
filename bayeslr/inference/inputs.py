"""What can be fitted: losses and rates on which the law and its priors are numbers."""

from typing import Final

import numpy as np

from bayeslr.curves import CurveSet
from bayeslr.errors import ModelError

__all__ = ["MAX_DRAWS", "require_fittable"]

MAX_DRAWS: Final = 400_000
"""Most draws of a fit, all chains together: one with a hundred numbers a draw takes 0.3 GB."""
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
