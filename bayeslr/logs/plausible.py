"""Whether a column of losses can be one: overflows, single wild rows, jumps of the unit, sums and perplexities.

What is certainly no loss is dropped and counted; what only looks odd is named with its row, so that the reader decides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslr.logs.limits import ARE, counted

__all__ = ["Judged", "base_of", "judged"]

_NO_TOKEN = 12.5
"""Nats a token that a trained model cannot have: the logarithm of the largest vocabularies is 12.5."""
_LONG = 4
_NO_BEGINNING = 15.0
"""Nats a token above those of the first losses of any model: the logarithm of three million tokens."""
_TOO_LOW = 0.05
"""A loss below this throughout is hardly one of a model that is still learning."""
_JUMP = 1.9
"""A loss that stays this many times higher or lower from one row to the next has another unit."""
_WILD = 4.0
"""A loss this many times larger than both neighbours is in no way one of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """What was found in a series of losses.

    Parameters
    ----------
    keep
        True for each value that may be a loss, shape ``[n]``.
    notes
        What was dropped and what is odd.
    diverged
        Whether two or more at the end are 0, as after an overflow.
    """

    keep: NDArray[np.bool_]
    notes: tuple[str, ...]
    diverged: bool = False


def judged(steps: NDArray[np.int64], values: NDArray[np.float64], numbers: NDArray[np.int64], *, unit: str) -> Judged:
    """Look for values that are no losses.

    Parameters
    ----------
    steps, values
        The losses with strictly increasing steps, shape ``[n]``, finite.
    numbers
        Numbers by which messages name the rows.
    unit
        What they count.

    Returns
    -------
    Judged
        Which to keep, and what to say.
    """
    notes: list[str] = []
    keep, diverged = np.ones(values.size, dtype=bool), False
    for empty, why in ((0.0, "as after an overflow"), (-1.0, "as where nothing was measured")):
        blank = values == empty
        others = values[~blank & keep]
        if blank.any() and others.size and others.min() >= 0 and others.max() > 0:
            keep &= ~blank
            first = int(np.flatnonzero(blank)[0])
            over = empty == 0.0 and bool(blank[-2:].all())
            diverged |= over
            notes.append(
                f"{counted(int(blank.sum()), 'loss', ARE)} {empty}, {why} (first at step {steps[first]}, {unit} "
                f"{numbers[first]}): dropped" + ("; so are the last: the run diverged" if over else "")
            )
    held, measured = _held(values, keep)
    if held > 1:
        keep &= measured
        notes.append(
            f"each loss stands in {held} rows, as one that is repeated until the next is measured: the first row counts"
        )
    for odd, what in (
        (_wild(values, keep), "many times its neighbours"),
        (_low(values, keep), "far below its neighbours"),
    ):
        if odd.size:
            keep[odd] = False
            notes.append(
                f"a loss of {values[odd[0]]:.6g} at step {steps[odd[0]]} ({unit} {numbers[odd[0]]}) is {what}: "
                f"dropped{f', with {odd.size - 1} more' if odd.size > 1 else ''}"
            )
    at = np.flatnonzero(keep)
    rest = values[at]
    jump = _jump(rest)
    if jump is not None:
        before, after = float(np.median(rest[max(0, jump - 2) : jump + 1])), float(np.median(rest[jump + 1 : jump + 4]))
        factor = after / before
        said = f"{factor:.3g} times higher" if factor > 1 else f"{1 / factor:.3g} times lower"
        notes.append(
            f"the loss jumps from {rest[jump]:.4g} at step {steps[at[jump]]} to {rest[jump + 1]:.4g} at step "
            f"{steps[at[jump + 1]]} ({unit} {numbers[at[jump + 1]]}) and stays {said}: "
            + ("did the run diverge, or is it " if factor > 1 and after < _NO_TOKEN else "")
            + "another unit from there on, such as the accumulation steps?"
        )
    elif rest.size >= 3 and float(np.median(rest[-max(3, rest.size // 4) :])) > _NO_TOKEN:
        notes.append(
            f"the loss ends at {rest[-1]:.4g}, which is no loss in nats per token: a perplexity, a sum over tokens or "
            "over accumulation steps? Give its unit with `loss_unit` (--loss-unit), or divide it"
        )
    elif rest.size >= 3 and float(rest[:3].min()) > _NO_BEGINNING:
        notes.append(
            f"the loss begins at {rest[0]:.4g}, far above the logarithm of any vocabulary: a perplexity, or a sum over "
            "accumulation steps or bytes? Give its unit with `loss_unit` (--loss-unit), or divide it"
        )
    elif rest.size >= 3 and 0 < float(rest.max()) < _TOO_LOW:
        notes.append(
            f"all losses are below {_TOO_LOW}, the largest is {rest.max():.3g}: are these rates, or another unit?"
        )
    return Judged(keep=keep, notes=tuple(notes), diverged=diverged)


def _held(values: NDArray[np.float64], keep: NDArray[np.bool_]) -> tuple[int, NDArray[np.bool_]]:
    """Return in how many rows each value stands if that is the same number throughout, else 1, and its first rows."""
    every = np.ones(values.size, dtype=bool)
    if values.size < 8 or not keep.all():
        return 1, every
    starts = np.append(0, np.flatnonzero(np.diff(values) != 0) + 1)
    lengths = np.diff(np.append(starts, values.size))
    inner = lengths[1:-1]
    if inner.size < 3:
        return 1, every
    usual = int(np.median(inner))
    # two evaluations in turn may have the same value, after rounding
    times = np.maximum((inner / usual).round(), 1).astype(int)
    several = usual >= _LONG and times.sum() <= 1.5 * inner.size
    single = inner - (times - 1) * usual if several else inner
    if lengths[0] > max((1 + several) * usual, int(single.max())) or (lengths[-1] > single.max() and not several):
        return 1, every
    # evaluations do not always fall on a logged row
    if not (single.min() == single.max() >= 2 or (single.min() >= _LONG and np.ptp(single) <= 1)):
        return 1, every
    first = np.zeros(values.size, dtype=bool)
    first[starts] = True
    if several:
        for start, length in zip(starts[1:], lengths[1:], strict=True):
            # a length that is off by one is still one evaluation, but at the end, where all others are exact
            more = length - (0 if start == starts[-1] and np.ptp(single) == 0 else 2)
            first[start + usual : start + max(more, 0) : usual] = True
    return usual, first


def _wild(values: NDArray[np.float64], keep: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return up to three values in a row that are many times those beside them and beyond any loss.

    Among losses there may be several such places; where the others are beyond any loss too (sums, perplexities) there
    are few, or none at all.
    """
    at = np.flatnonzero(keep)
    if at.size < 5:
        return np.empty(0, dtype=np.intp)
    inner = values[at]
    found = np.zeros(at.size, dtype=bool)
    for length in (1, 2, 3) if at.size >= 10 else (1,):
        lowest = np.lib.stride_tricks.sliding_window_view(inner, length).min(axis=1)
        before = np.append(np.inf if length > 1 else inner[1], inner[: lowest.size - 1])
        after = np.append(inner[length:], np.inf if length > 1 else inner[-2])
        around = np.maximum(before, after)
        for start in np.flatnonzero((lowest > _WILD * around) & (around > 0) & (lowest > 2 * _NO_TOKEN)):
            found[start : start + length] = True
    sane = bool(np.median(inner[~found]) < _NO_TOKEN) if not found.all() else False
    most = max(3, at.size // 10) if sane else max(1, at.size // 50)
    return at[found] if found.sum() <= most else np.empty(0, dtype=np.intp)


def _low(values: NDArray[np.float64], keep: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return single values far below both their neighbours in a smooth series; few, or none at all."""
    at = np.flatnonzero(keep)
    if at.size < 8:
        return np.empty(0, dtype=np.intp)
    inner = values[at]
    level = float(np.median(inner))
    around = np.minimum(inner[2:], inner[:-2])
    found = 1 + np.flatnonzero((inner[1:-1] < around / _WILD) & (around > 0))
    smooth = level > 0 and float(np.median(np.abs(np.diff(inner)))) < 0.05 * level
    few = 0 < found.size <= max(1, at.size // 50)
    return at[found] if smooth and few else np.empty(0, dtype=np.intp)


def _jump(values: NDArray[np.float64]) -> int | None:
    """Return the last index before the level of the loss changes by a factor from one row to the next, if it does."""
    if values.size < 6 or (values <= 0).any():
        return None
    logs = np.log(values)
    best, where = 0.0, None
    for i in np.flatnonzero(np.abs(np.diff(logs)) > np.log(_JUMP)):
        before, after = logs[max(0, i - 4) : i + 1], logs[i + 1 : i + 6]
        if before.size < 2 or after.size < 2:
            continue
        # both sides have to be flat beside the step between them; at the beginning a loss may fall as fast
        step = abs(float(np.median(after) - np.median(before)))
        spread = max(float(np.ptp(before)), float(np.ptp(after)))
        if step > np.log(_JUMP) and spread < 0.25 * step and step > best:
            best, where = step, int(i)
    return where


def base_of(loss: NDArray[np.float64], perplexity: NDArray[np.float64]) -> float | None:
    """Return the base of the logarithm that a loss is of its perplexity.

    Parameters
    ----------
    loss, perplexity
        Pairs of values, shape ``[n]``.

    Returns
    -------
    float or None
        2 or e where at least four pairs in five agree with it to 3%; else None.
    """
    good = np.isfinite(loss) & np.isfinite(perplexity) & (perplexity > 1.05) & (loss > 0.05) & (loss < 500)
    if good.sum() < 2:
        return None
    for base in (2.0, float(np.e)):
        agrees = np.abs(loss[good] * np.log(base) - np.log(perplexity[good])) < 0.03
        if agrees.mean() >= 0.8:
            return base
    return None
