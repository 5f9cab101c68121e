"""Spikes: single losses that stand far out of their curve, of which no law of the schedule knows.

A bad batch, a checkpoint that was read half, a validation on other data: one loss jumps, and the next are where they
would have been. One such loss of 2 nats in a curve whose noise is a thousandth of that makes the noise of all of it
large, and with it every band.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.curves.curve import LossCurve
from bayeslr.curves.scatter import WHITE_NOISE, differences

__all__ = ["spikes"]

_OUT = 10.0
"""How far a spike is out, in standard deviations of the scatter around it: noise is not, in a thousand years."""
_LEAST = 0.005
"""The same as a share of the loss."""
_DECIMALS = 3
"""The same in units of the last decimal that is written."""
_SLOPING = 0.5
"""Share of it that the loss may have risen by before it, or, where it is below, after it: else it is a hill."""
_JITTER = 1e-3
"""Share by which rates may go back and still rise, or fall."""
_AROUND = 21
"""Observations by which the scatter is measured."""
_FEWEST = 16
"""Observations without which no scatter is known."""
_MOST = 0.1
"""Share of a curve's observations that may be spikes; of more, they are its noise."""
_STEADY = 3
"""Observations before it from which on the rate may not turn: a loss answers a rate that rises and falls again."""


def spikes(curves: Sequence[LossCurve]) -> tuple[NDArray[np.bool_], ...]:
    """Mark the losses that stand out of their curves.

    A spike is above both of its neighbours, or below both, by more than ten times the scatter around it and half a
    percent of the loss, where neither the rate turns nor the loss itself. What falls back over several observations is
    taken off from the top. Where more than a tenth of a curve's observations stand out, none are spikes, and neither
    are the first and the last, or any of fewer than 16: nothing says what they stand out of.

    Parameters
    ----------
    curves
        The curves.

    Returns
    -------
    tuple of numpy.ndarray
        Bool, one array of shape ``[n]`` a curve, False inside the warm-up. A measurement that curves of a size share,
        with the one before it, is a spike in all of them.
    """
    marked = [_of_curve(curve) for curve in curves]
    if not any(mask.any() for mask in marked):
        return tuple(marked)
    measured = [_measurements(curve) for curve in curves]
    found = {one for mask, own in zip(marked, measured, strict=True) for one in np.array(own, dtype=object)[mask]}
    return tuple(np.array([one in found for one in own], dtype=bool) for own in measured)


def _measurements(curve: LossCurve) -> list[str]:
    """Name each measurement by its size, step and loss and those before it, which single losses share by chance."""
    pairs = [f"{step} {loss!r}" for step, loss in zip(curve.steps.tolist(), curve.loss.tolist(), strict=True)]
    label = f"{curve.size} {curve.params}"
    return [f"{label}: {before}, {here}" for before, here in zip(["", *pairs[:-1]], pairs, strict=True)]


def _of_curve(curve: LossCurve) -> NDArray[np.bool_]:
    none = np.zeros(len(curve), dtype=bool)
    kept = np.flatnonzero(curve.past_warmup)
    count = len(kept)
    if count < _FEWEST:
        return none
    while (found := _standing_out(curve.steps[kept], curve.loss[kept], curve.schedule.lr)).size:
        kept = np.delete(kept, found)
        if count - len(kept) > _MOST * count:
            return none
    marked = curve.past_warmup
    marked[kept] = False
    return marked


def _standing_out(steps: NDArray[np.int64], loss: NDArray[np.float64], lr: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of the losses that are above, or below, both neighbours by far."""
    before, here, after = loss[:-2], loss[1:-1], loss[2:]
    up, down = here - np.maximum(before, after), np.minimum(before, after) - here
    out = np.maximum(up, down)
    # a hill rises before its top, and a valley after its bottom; where nothing tells, it may be one
    sloping = np.where(
        up > down, np.append(np.inf, before[1:] - before[:-1]), np.append(after[1:] - after[:-1], np.inf)
    )
    scatter = pd.Series(differences(loss) / WHITE_NOISE)
    around = scatter.rolling(_AROUND, center=True, min_periods=1).median().to_numpy()
    around = np.maximum(around, float(scatter.median()))
    # as many as there are places: those at the ends have the scatter beside them
    around = np.concatenate([around, around[-1:]])
    # beside a spike a loss may be out for its sake alone
    away = np.concatenate([[0.0], np.abs(here - 0.5 * (before + after)), [0.0]])
    most = (away[1:-1] >= away[:-2]) & (away[1:-1] >= away[2:]) & (sloping < _SLOPING * out)
    # losses that are written with few decimals jump by one of the last
    written = float(np.diff(np.unique(loss)).min(initial=np.inf))
    least = np.maximum(_LEAST * np.minimum(before, after), _DECIMALS * written)
    places = np.flatnonzero(most & (out > np.maximum(_OUT * around, least))) + 1
    first, last = steps[np.maximum(places - _STEADY, 0)] - 1, steps[places + 1]
    steady = [_one_way(lr[begin:end]) for begin, end in zip(first.tolist(), last.tolist(), strict=True)]
    return np.asarray(places[np.array(steady, dtype=bool)])


def _one_way(rates: NDArray[np.float64]) -> bool:
    """Whether rates only fall or only rise, but for what they jitter by."""
    most = _JITTER * float(rates.max())
    risen = float((rates - np.minimum.accumulate(rates)).max())
    fallen = float((np.maximum.accumulate(rates) - rates).max())
    return min(risen, fallen) <= most
