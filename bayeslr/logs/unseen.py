"""What the first rates of a log leave open: a warm-up that was over before the first of them."""

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves.branches import logging_interval

__all__ = ["odd_start"]

_TELLING = 0.01
"""Share of the run, or of the sum of its rates, from which on a warm-up that nobody logged matters."""
_FIRST_ROW = 1.5
"""A log whose first rate comes within this many of its intervals begins with its run."""


def odd_start(
    loss_steps: NDArray[np.int64],
    rate_steps: NDArray[np.int64],
    rates: NDArray[np.float64],
    lr: NDArray[np.float64],
) -> str:
    """Look for a warm-up that may have ended before the first rate was logged, which is then lost.

    Parameters
    ----------
    loss_steps
        Steps of the losses, shape ``[m]``, m >= 1.
    rate_steps, rates
        Logged rates, shape ``[n]``, n >= 1.
    lr
        The rate of each update, as it is read from them.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    first, rate = int(rate_steps[0]), float(rates[0])
    # rates that begin with a rise are continued down to 0 at the first update
    if first <= 1 or rates.size < 2 or rate <= 0 or lr[0] < rate:
        return ""
    lost = 0.5 * first * rate / float(lr.sum())
    before = (loss_steps < first).sum() > 1 and first > _TELLING * max(loss_steps[-1], rate_steps[-1])
    begins = first <= _FIRST_ROW * logging_interval(rate_steps) and lost > _TELLING
    if not before and not begins:
        return ""
    return (
        f"the first rate is logged at step {first}{', after the first losses' if before else ''}, and the rates do not "
        f"rise from there: the rate is taken to be {rate:.4g} from the first update on. A warm-up before that step "
        f"would make the sum of the rates up to {lost:.1%} smaller; if there was one, give the `schedule` with its "
        "warmup_steps"
    )
