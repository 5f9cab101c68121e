"""Regression on draws: what losses that could be seen say of losses that are asked about.

Every prediction is for draws that the regression was not fitted to, so that many inputs gain nothing by themselves.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["decided", "explained", "penalty"]

_FOLDS = 5

type Draws = NDArray[np.float64]


def explained(seen: Draws, wanted: Draws) -> Draws:
    """Regress on what a run would log; each draw is predicted by the others."""
    inputs = np.column_stack([np.ones(len(seen)), (seen - seen.mean(axis=0)) / seen.std(axis=0)])
    found = np.empty_like(wanted)
    for fold in range(_FOLDS):
        left_out = np.arange(len(seen)) % _FOLDS == fold
        weights, *_ = np.linalg.lstsq(inputs[~left_out], wanted[~left_out], rcond=None)
        found[left_out] = inputs[left_out] @ weights
    return found


def penalty(count: int, inputs: int) -> float:
    """Return by how much larger a regression on few draws makes squared errors than the true one does."""
    fitted = count - count // _FOLDS
    return 1.0 + (inputs + 1.0) / max(fitted - inputs - 2.0, 1.0)


def decided(losses: Draws, known: Draws) -> dict[str, float]:
    """Return the expected regret of a decision now, and once it can follow what was seen."""
    now = float(losses.mean(axis=0).min() - losses.min(axis=1).mean())
    chosen = losses[np.arange(len(losses)), known.argmin(axis=1)]
    after = float(chosen.mean() - losses.min(axis=1).mean())
    return {"regret": now, "regret_after": min(after, now)}
