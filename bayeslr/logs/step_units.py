"""Whether steps count updates, or tokens and samples."""

import numpy as np
from numpy.typing import NDArray

from bayeslr.logs.columns import words_of

__all__ = ["odd_unit"]

_BATCHES = 1000
"""Samples between two rows, at least: ten updates of a hundred."""
_LONG = 250_000
"""More updates than nearly all runs have."""
_NO_UPDATES = {"tokens", "samples", "sequences", "examples", "words", "images", "epoch", "epochs"}


def odd_unit(name: str, steps: NDArray[np.int64]) -> str:
    """Look for what shows that steps are tokens or samples.

    Parameters
    ----------
    name
        The column of the steps.
    steps
        Its values, shape ``[n]``.

    Returns
    -------
    str
        The beginning of a sentence, or nothing.
    """
    if set(words_of(name)) & _NO_UPDATES:
        return f"the steps are called {name!r}"
    if steps.size < 3:
        return ""
    common = int(np.gcd.reduce(steps))
    # logging intervals are round numbers of tens; batches and sequences are powers of two
    samples = common >= _BATCHES and steps[-1] >= _LONG and steps.size >= 20 and not _round(common)
    if (common >= 4096 and common % 256 == 0) or samples:
        return f"all steps are multiples of {common} in {name!r}"
    return f"the steps end at {steps[-1]} in {name!r}" if steps[-1] > 5_000_000 else ""


def _round(interval: int) -> bool:
    """Return whether an interval is one at which people log: a round number, or a power of two."""
    if interval & (interval - 1) == 0:
        return True
    while interval % 10 == 0:
        interval //= 10
    return interval in (1, 2, 3, 4, 5, 6, 8, 12, 15, 25, 75, 125)
