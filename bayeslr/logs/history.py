"""The one history that a log with repetitions, restarts and disorder tells.

Steps that go back mean different things. A run that crashed and was resumed from a checkpoint writes steps again that
it has written before: the later rows count. A counter that starts again, with every epoch or in every process, goes on
counting the same run: its steps are added to those before. A single row in the wrong place is sorted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import LogError
from bayeslr.logs.among import regular
from bayeslr.logs.limits import ARE, DO, counted

__all__ = ["Offsets", "aligned", "epoch_offsets", "history", "resume_offsets"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Offsets:
    """What has to be added to the steps of a counter that starts again.

    Parameters
    ----------
    rows
        Positions of the rows at which it starts again, increasing.
    added
        What is added from each of them on.
    note
        What was done.
    """

    rows: NDArray[np.int64]
    added: NDArray[np.int64]
    note: str

    def applied(self, rows: NDArray[np.int32], steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the steps of some rows as steps of the run.

        Parameters
        ----------
        rows
            Positions of the rows.
        steps
            Steps as they were logged.

        Returns
        -------
        numpy.ndarray
            Steps from the beginning of the run.
        """
        starts = np.flatnonzero(np.diff(steps) < 0) + 1
        # a series that starts again as often has its own rows for it, a little before or after those of the others
        own = rows[starts] if starts.size == self.rows.size else self.rows
        added = np.concatenate([[0], self.added]).astype(np.int64)
        moved: NDArray[np.int64] = steps + added[np.searchsorted(own, rows, side="right")]
        return moved


def epoch_offsets(
    rows: NDArray[np.int32], steps: NDArray[np.int64], epochs: NDArray[np.float64], *, where: str, column: str
) -> Offsets | None:
    """Return the offsets of a counter that starts again with each epoch.

    Parameters
    ----------
    rows
        Positions of the rows that have a value, shape ``[n]``.
    steps
        Steps there, as they were logged.
    epochs
        Epochs there; NaN where none was logged.
    where
        The log, for messages.
    column
        The column of the steps, for messages.

    Returns
    -------
    Offsets or None
        None if the steps do not go back, or not with the epochs.

    Raises
    ------
    LogError
        If they do, and the number of steps of an epoch cannot be told.
    """
    starts = np.flatnonzero(np.diff(steps) < 0) + 1
    whole = np.floor(epochs)
    if not starts.size or np.isnan(epochs).any() or (np.diff(whole) < 0).any():
        return None
    if (epochs != whole).any():
        return _fractions(rows, steps, epochs, starts, column)
    if not (whole[starts] > whole[starts - 1]).all() or steps.size < 4:
        return None
    parts = np.split(steps, starts)
    complete = parts[:-1]
    lasts = {int(part[-1]) for part in complete}
    interval = int(np.median(np.concatenate([np.zeros(0), *(np.diff(part) for part in parts)]))) if len(lasts) else 0
    first, last = int(parts[1][0]), max(lasts)
    if any(int(part[0]) > max(2 * interval, 1) for part in parts[1:]):
        return None  # they do not start again, so the run was resumed somewhere
    number = whole[np.concatenate([[0], starts])]
    if len(lasts) > 1 or interval <= 0 or first > interval or (np.diff(number) > 1).any() or number[0] > 1:
        raise LogError(
            f"{where}: the steps in {column!r} go back where an epoch begins ({_times(starts.size)}, first from "
            f"{int(parts[0][-1])} to {first}): they count within each epoch, of a length that is not clear, or the run "
            "was restarted; allowed: a column of steps since the beginning, named by `step` (--step)"
        )
    length = last + interval if first == 0 else last + 1 if first == interval - 1 else last
    return Offsets(
        rows=rows[starts].astype(np.int64),
        added=length * np.arange(1, starts.size + 1, dtype=np.int64),
        note=(
            f"the steps in {column!r} count within each epoch: {length} updates an epoch are assumed, so that they end "
            f"at {starts.size * length + int(steps[-1])}"
        ),
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _fractions(
    rows: NDArray[np.int32],
    steps: NDArray[np.int64],
    epochs: NDArray[np.float64],
    starts: NDArray[np.intp],
    column: str,
) -> Offsets | None:
    """Return the offsets where the epochs have fractions, which say how many steps one has."""
    rising = (np.diff(steps) > 0) & (np.diff(epochs) > 0)
    if not rising.any():
        return None
    length = round(float(np.median(np.diff(steps)[rising] / np.diff(epochs)[rising])))
    added = length * np.arange(starts.size + 1, dtype=np.int64)
    moved = steps + np.repeat(added, np.diff([0, *starts.tolist(), steps.size]))
    if length < 1 or np.ptp(moved - length * epochs) > max(2.0, 0.02 * length):
        return None
    return Offsets(
        rows=rows[starts].astype(np.int64),
        added=added[1:],
        note=(
            f"the steps in {column!r} count within each epoch: one has {length} updates, as its fractions show, so "
            f"that the steps end at {moved[-1]}"
        ),
    )


def resume_offsets(
    rows: NDArray[np.int32], steps: NDArray[np.int64], values: NDArray[np.float64], *, column: str, what: str = "loss"
) -> Offsets | None:
    """Return the offsets of a counter that starts again while the loss, or the rate, goes on.

    Parameters
    ----------
    rows
        Positions of the rows that have a loss, shape ``[n]``.
    steps
        Steps there, as they were logged.
    values
        Losses there, finite.
    column
        The column of the steps, for messages.
    what
        What the values are, for messages. Default: the loss.

    Returns
    -------
    Offsets or None
        None if the steps do not go back to their beginning, or the values go back with them.
    """
    starts = np.flatnonzero(np.diff(steps) < 0) + 1
    if not starts.size or 2 * starts.size > steps.size:
        return None
    bounds = [0, *starts.tolist(), steps.size]
    added: list[int] = []
    for begin, start, end in zip(bounds, bounds[1:], bounds[2:], strict=False):
        before, after = steps[begin:start], steps[start:end]
        if before.size < 3 or after[0] > before[0] + np.median(np.diff(before)):
            return None
        few = slice(start, min(start + 3, end))
        again = float(np.median(values[few]))
        there = float(np.median(np.interp(steps[few], before, values[begin:start])))
        latest = float(np.median(values[max(begin, start - 3) : start]))
        noise = float(np.median(np.abs(np.diff(values[begin + before.size // 2 : start]))))
        # a run from scratch begins with the loss of a run from scratch, so that half way between tells the two apart
        if abs(again - latest) > 0.5 * abs(again - there) or abs(again - there) <= max(4 * noise, 1e-3 * abs(there)):
            return None
        last = int(before[-1])
        added.append((added[-1] if added else 0) + last)
    return Offsets(
        rows=rows[starts].astype(np.int64),
        added=np.array(added, dtype=np.int64),
        note=(
            f"the steps in {column!r} start again at {steps[starts[0]]} while the {what} goes on (a resume that "
            f"counts its own steps): they are counted on from {', '.join(map(str, added[:4]))}"
        ),
    )


def aligned(
    found: Offsets, rows: NDArray[np.int32], steps: NDArray[np.int64], rates: NDArray[np.float64], *, column: str
) -> Offsets:
    """Return offsets that make the rates after each restart those that were logged before at the same step.

    A run that crashed after its last checkpoint repeats the rates of the steps between.

    Parameters
    ----------
    found
        Offsets that count on from the last step.
    rows
        Positions of the rows that have a rate, shape ``[n]``.
    steps
        Steps there, as they were logged.
    rates
        Rates there, finite.
    column
        The column of the steps, for messages.

    Returns
    -------
    Offsets
        The same, where the rates do not repeat or are constant.
    """
    starts = np.flatnonzero(np.diff(steps) < 0) + 1
    if starts.size != found.rows.size:
        return found
    bounds = [0, *starts.tolist(), steps.size]
    added, repeated = [0], False
    for begin, start, end in zip(bounds, bounds[1:], bounds[2:], strict=False):
        before, after = rates[begin:start], rates[start:end]
        shift = added[-1] + int(steps[start - 1])
        same = np.flatnonzero(np.abs(before - after[0]) <= 1e-6 * rates.max())
        if same.size == 1 and after.size > 1 and np.unique(before).size == before.size:
            i, next_one = int(same[0]), int(same[0]) + 1
            if next_one < before.size and abs(before[next_one] - after[1]) <= 1e-6 * rates.max():
                shift, repeated = added[-1] + int(steps[begin + i] - steps[start]), True
        added.append(shift)
    if not repeated:
        return found
    return Offsets(
        rows=found.rows,
        added=np.array(added[1:], dtype=np.int64),
        note=(
            f"the steps in {column!r} start again at {steps[starts[0]]} while the loss and the rate go on (a resume "
            f"that counts its own steps): they are counted on from {', '.join(map(str, added[1:5]))}, where the rates "
            "are the same"
        ),
    )


def history(steps: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[NDArray[np.intp], list[str]]:
    """Choose the rows that make up one history, in the order of the steps.

    Where the step goes back a run was restarted: what was written before at that step or later is void, and the later
    rows count. If it goes back more than once in four rows the rows are simply not in order (a shuffled or reversed
    file), and they are sorted; so is a single row in the wrong place. Of rows with the same step the last one counts.

    Parameters
    ----------
    steps
        Steps in the order in which they were written, shape ``[n]``.
    values
        Values there, shape ``[n]``, finite.

    Returns
    -------
    chosen : numpy.ndarray
        Positions of the rows to keep; their steps are strictly increasing.
    notes : list of str
        What was repaired.
    """
    notes = []
    order = np.arange(steps.size)
    back = np.flatnonzero(np.diff(steps) < 0)
    if 4 * back.size > steps.size:
        notes.append("the rows are not in the order of their steps: they were sorted")
        order = np.argsort(steps, kind="stable")
    elif back.size:
        misplaced = [row for row in (_misplaced(steps, int(i)) for i in back) if row is not None]
        misplaced = misplaced if len(misplaced) == back.size else _late(steps, back)
        if misplaced:
            at = ", ".join(str(steps[row]) for row in misplaced[:4])
            notes.append(f"{counted(len(misplaced), 'row', ARE)} not in the order of the steps (step {at}): sorted")
            order = np.argsort(steps, kind="stable")
        elif _in_parts(steps):
            notes.append("parts of the log are not in the order of their steps: they were sorted")
            order = np.argsort(steps, kind="stable")
        else:
            restarts = np.full(steps.size + 1, np.iinfo(np.int64).max)
            restarts[back + 1] = steps[back + 1]
            lowest_later = np.minimum.accumulate(restarts[::-1])[::-1][1:]
            void = steps >= lowest_later
            order = np.flatnonzero(~void)
            times = "once" if back.size == 1 else f"{back.size} times"
            anew = steps[back + 1].min() <= steps[: back[0] + 1].min()
            notes.append(
                f"the step goes back {times} (first to {steps[back[0] + 1]}): after a restart "
                f"{counted(int(void.sum()), 'earlier row', DO)} not count"
                + (" (if these are several runs, a column has to name them)" if anew else "")
            )
    kept = steps[order]
    is_last = np.append(kept[1:] != kept[:-1], True)[: kept.size]
    repeated = np.flatnonzero(~is_last)
    differ = values[order[repeated]] != values[order[repeated + 1]]
    if differ.any():
        step = int(kept[repeated[differ][0]])
        in_turn = 2 * differ.sum() >= is_last.sum()
        evaluated = not back.size and regular(kept[repeated[differ]].astype(np.float64), kept.astype(np.float64))
        notes.append(
            f"{counted(int(differ.sum()), 'step', ARE)} repeated with other values (first {step}): the last one counts"
            + ("; are these several runs or losses in turn?" if in_turn else "")
            + ("; are these evaluations among training losses? Write them under a name of their own" * evaluated)
        )
    return order[is_last], notes


def _in_parts(steps: NDArray[np.int64]) -> bool:
    """Return whether sorted steps are one log: none is there twice, and nearly all distances are one number.

    Files that were put together in the order of their names, ``part-10`` before ``part-2``, make one. A restart writes
    steps again, or others between them.
    """
    gaps = np.diff(np.sort(steps)).astype(np.float64)
    usual = float(np.median(gaps))
    return usual > 0 and bool((gaps >= 0.9 * usual).all()) and float((gaps <= 1.1 * usual).mean()) >= 0.95


def _late(steps: NDArray[np.int64], back: NDArray[np.intp]) -> list[int]:
    """Return the rows after each step back if they were written late: all of them belong into one gap of those before.

    A restart writes steps again that were there before, or goes on beyond them.
    """
    rows: list[int] = []
    for start, end in zip(back + 1, [*(back[1:] + 1), steps.size], strict=True):
        block, before = steps[start:end], np.sort(steps[:start])
        where = np.searchsorted(before, [block[0], block[-1]], side="left")
        first = where[0] == 0 and block.size > 1
        if where[0] != where[1] or where[0] == before.size or before[where[0]] == block[-1] or first:
            return []
        rows.extend(range(int(start), int(end)))
    return rows if len(rows) <= max(3, steps.size // 50) and 4 * len(rows) <= steps.size else []


def _misplaced(steps: NDArray[np.int64], i: int) -> int | None:
    """Return which of the rows ``i, i + 1``, where the step goes back, is alone in the wrong place; None if neither is.

    Without that row the steps go on rising, and its step occurs nowhere else.
    """
    beside: Sequence[tuple[int, int, int]] = ((i + 1, i, i + 2), (i, i - 1, i + 1))
    for row, before, after in beside:
        rises = after >= steps.size or before < 0 or steps[before] < steps[after]
        if rises and after < steps.size and np.count_nonzero(steps == steps[row]) == 1:
            return row
    return None
