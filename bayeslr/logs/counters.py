"""Which column counts the updates, and the history of a series along it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import LogError
from bayeslr.logs.columns import is_relative, plain_name, split_of
from bayeslr.logs.history import Offsets, aligned, epoch_offsets, history, resume_offsets
from bayeslr.logs.limits import ARE, counted, listed
from bayeslr.logs.own_counters import begins_anew, counts_updates_of, is_own_clock, one_by_one
from bayeslr.logs.rawlog import Cells, Column, RawLog
from bayeslr.logs.step_units import odd_unit
from bayeslr.schedules.schedule import MAX_STEPS

__all__ = ["Counter", "Series"]

_MOSTLY: Final = 0.5
"""A column of steps has to be filled in this share of the rows that have a loss."""
_APART: Final = 4.0
"""Losses and rates that end at steps this many times apart count different things."""
_APART_TOGETHER: Final = 1.7
"""The same where both were written side by side from the beginning of the log to its end."""
_CALLS: Final = "_step"
_GLOBAL: Final = frozenset(
    {"global_step", "global_steps", "trainer_global_step", "train_global_step", "num_updates", "train_num_updates"}
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """A history: strictly increasing steps and values.

    Parameters
    ----------
    steps, values
        Steps and values, shape ``[n]``.
    rows
        Positions of their rows.
    column
        The column of the steps.
    offsets
        What was added to them where the counter starts again.
    notes
        What was left out or repaired.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    rows: NDArray[np.int32]
    column: str
    offsets: Offsets | None
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Counter:
    """The columns of a log that may count updates.

    Parameters
    ----------
    raw
        The log.
    cells
        Its cells.
    steps
        The columns, best first.
    named
        True if the user named the column.
    epoch
        The column of epochs; None if there is none.
    losses
        Columns of losses; the one with the most rows shows best where a counter starts again.
    rate
        The column of the rate; None if there is none.
    """

    raw: RawLog
    cells: Cells
    steps: tuple[str, ...]
    named: bool
    epoch: str | None
    losses: tuple[str, ...] = ()
    rate: str | None = None

    def series(self, column: Column, *, split: str = "", like: Series | None = None) -> Series:
        """Return the history of a column.

        Parameters
        ----------
        column
            Its finite values.
        split
            ``validation`` or ``test`` if counters of these splits may count it. Default: they may not.
        like
            A history that counts the same updates: its column and its offsets are taken. Default: found.

        Returns
        -------
        Series
            The history.

        Raises
        ------
        LogError
            If no column counts updates in its rows.
        """
        name = self._chosen(column, split, like)
        at = self._at(name)[column.rows]
        there = ~np.isnan(at)
        notes = []
        if not there.any() and column.rows.size and (latest := self._latest(name, column)) is not None:
            at, there = latest, ~np.isnan(latest)
            notes.append(f"rows without a step in {name!r} belong to the step in the row before")
        if not there.any():
            # a cell that is no number is shown
            self.raw.require_numbers(self.cells, name)
            where = self.raw.where(self.cells, int(column.rows[0]) if column.rows.size else 0)
            raise LogError(f"{where}: {name} is missing; allowed: a whole number, 0 or more, in each row with a loss")
        if not there.all():
            row = int(column.rows[np.argmin(there)])
            notes.append(
                f"{counted(int((~there).sum()), 'row', ARE)} without a step in {name!r} (the first is {self.raw.unit} "
                f"{self.cells.numbers[row]}): left out"
            )
        rows, values = column.rows[there], column.values[there]
        steps = self._whole(at[there], rows, name)
        offsets = like.offsets if like is not None else self._offsets(rows, steps, values, name)
        if offsets is not None:
            steps = offsets.applied(rows, steps)
            notes.append(offsets.note)
        kept, repaired = history(steps, values)
        last = int(steps.max())
        if last > MAX_STEPS:
            raise LogError(self._too_many(name, last))
        if like is None and (others := self._others(name, column)):
            notes.append(
                f"several columns may count the steps: {name!r} was taken, not {listed(map(repr, others), 3)}; name "
                "one with `step` (--step)"
            )
        if like is None and (odd := odd_unit(name, steps[kept])):
            notes.append(f"{odd}: tokens or samples are no updates; name a column of updates with `step` (--step)")
        return Series(
            steps=steps[kept],
            values=values[kept],
            rows=rows[kept],
            column=name,
            offsets=offsets,
            notes=(*notes, *repaired) if like is None else (),
        )

    def places(self, column: Column) -> bool:
        """Return whether some rows of a column have a step.

        Parameters
        ----------
        column
            The column.

        Returns
        -------
        bool
            True if they have.
        """
        return any(self._share(name, column) > 0 for name in self.steps)

    def disagrees(self, loss: Series, rate: Column | None, name: str) -> str:
        """Return what shows that losses and rates count different things; empty if nothing does.

        Parameters
        ----------
        loss
            The losses.
        rate
            The rates; None if there are none.
        name
            The column of the losses.

        Returns
        -------
        str
            The beginning of a sentence, or nothing.
        """
        if is_relative(loss.column) and one_by_one(loss.steps) and not self.named:
            return (
                f"the losses in {name!r} are counted one by one in {loss.column!r}: it counts evaluations, not updates"
            )
        if rate is None or rate.rows.size < 3 or loss.steps.size < 2:
            return ""
        try:
            logged = self.series(rate, like=loss)
        except LogError:
            return ""
        if logged.steps.size < 3:
            return ""
        ends = (int(loss.steps[-1]), int(logged.steps[-1]))
        lower, upper = min(ends), max(ends)
        # both were written until the end of the log, or one of them simply ended earlier
        rows = self.cells.numbers.size
        until = min(int(loss.rows.max()), int(logged.rows.max()))
        since = max(int(loss.rows.min()), int(logged.rows.min()))
        together = until >= 0.9 * (rows - 1) and since <= 0.3 * rows and loss.steps.size >= 5
        shorter = loss if lower == ends[0] else logged
        counted = upper >= _APART * lower and one_by_one(shorter.steps)
        if (upper < (_APART_TOGETHER if together else _APART) * max(lower, 1) or until < 0.5 * rows) and not counted:
            return ""
        return (
            f"the losses in {name!r} end at step {ends[0]}, the rates at step {ends[1]}: one of them counts something "
            "else than updates (epochs, evaluations, batches, samples)"
        )

    def _chosen(self, column: Column, split: str, like: Series | None) -> str:
        """Return the column that counts the updates of a series."""
        usable = [name for name in self.steps if split or not is_relative(name) or self.named]
        if not usable:
            usable = list(self.steps)
        share = {
            name: float(np.mean(~np.isnan(self._at(name)[column.rows]))) if column.rows.size else 0.0 for name in usable
        }
        if like is not None and share.get(like.column, 0.0) >= _MOSTLY:
            return like.column
        mostly = [name for name in usable if share[name] >= _MOSTLY]
        good = [name for name in mostly if self._counts_updates(name, column)]
        if good:
            general = next((name for name in self.steps if not is_relative(name)), None)
            if is_relative(good[0]) and general and one_by_one(self._at(good[0])[column.rows]) and not self.named:
                # evaluations that are counted follow the steps before
                return general if self._latest(general, column) is not None else good[0]
            return self._own(good, column, split) or self._better_than(good[0], usable)
        # what is wrong with the first is said when it is read
        return mostly[0] if mostly else max(usable, key=lambda name: share[name])

    def _own(self, good: list[str], column: Column, split: str) -> str:
        """Return the counter of a split that says at which updates its losses were measured; empty if none does."""
        general = self._at(good[0])
        for name in good[1:]:
            if split and split_of(name) == split and not is_relative(good[0]) and not self.named:
                own = np.full(general.size, np.nan)
                own[column.rows] = self._at(name)[column.rows]
                if is_own_clock(own, general, float(np.nanmax(general)), calls=plain_name(good[0]) == _CALLS):
                    return name
        return ""

    def _better_than(self, name: str, usable: list[str]) -> str:
        """Return the counter of updates beside one that only counts rows or calls, if there is such a counter.

        That is W&B's ``_step``, the ``Step`` of its exports, and any other that goes 1, 2, 3 beside a global step.
        """
        mine = self._at(name)
        calls = plain_name(name) == _CALLS
        exported = any(" - " in other for other in self.raw.columns)
        updates = [other for other in usable if counts_updates_of(mine, self._at(other), name, other)]
        if updates and not self.named and not calls:
            return updates[0]
        if self.named or not (calls or one_by_one(mine[~np.isnan(mine)])):
            return name
        for other in usable:
            if other == name or plain_name(other) == _CALLS or (is_relative(other) and not is_relative(name)):
                continue
            if not (calls or plain_name(other) in _GLOBAL or (exported and " - " in other)):
                continue
            theirs = self._at(other)
            both = theirs[~np.isnan(mine) & ~np.isnan(theirs)]
            column = Column(rows=np.flatnonzero(~np.isnan(theirs)).astype(np.int32), values=both)
            if both.size < 2 or not self._counts_updates(other, column):
                continue
            if (np.diff(both) > 0).mean() > 0.5 and (both != mine[~np.isnan(mine) & ~np.isnan(theirs)]).any():
                return other
        return name

    def _others(self, name: str, column: Column) -> list[str]:
        """Return other columns that rise along a series and tell another story."""
        if self.named:
            return []
        mine = self._at(name)[column.rows]
        found = []
        for other in self.steps:
            theirs = self._at(other)[column.rows]
            both = ~np.isnan(mine) & ~np.isnan(theirs)
            aside = other == name or plain_name(other) == _CALLS or is_relative(other) != is_relative(name)
            if aside or both.mean() < _MOSTLY or (mine[both] == theirs[both]).all():
                continue
            if (np.diff(theirs[both]) > 0).all():
                found.append(other)
        return found

    def _latest(self, name: str, column: Column) -> NDArray[np.float64] | None:
        """Return the latest step before each row of a series none of whose rows has one; None if there is none."""
        steps = self.cells.columns[name]
        if steps.rows.size < 2 or plain_name(name) == _CALLS or steps.wrong is not None:
            return None
        before = np.searchsorted(steps.rows, column.rows, side="right") - 1
        if (before < 0).mean() > 0.5 or np.unique(before).size < 0.5 * before.size:
            return None
        return np.where(before < 0, np.nan, steps.values[np.maximum(before, 0)])

    def _share(self, name: str, column: Column) -> float:
        """Return in which share of the rows of a series a column is filled."""
        return float(np.mean(~np.isnan(self._at(name)[column.rows]))) if column.rows.size else 0.0

    def _counts_updates(self, name: str, column: Column) -> bool:
        """Return whether the values of a column can be numbers of updates, from the beginning of the run."""
        if self.cells.columns[name].wrong is not None:
            return False
        values = self._at(name)[column.rows]
        values = values[~np.isnan(values)]
        if values.size > 2 and values.min() == values.max():
            return False  # the size of a batch, say
        good = bool((np.isfinite(values) & (values == np.floor(values)) & (values >= 0) & (values <= MAX_STEPS)).all())
        within = plain_name(name) in ("batch", "batch_idx", "it", "iter", "step") and (np.diff(values) < 0).sum() >= 2
        others = [other for other in self.steps if other != name and other != _CALLS and not is_relative(other)]
        return good and not (within and any(self._rises(other, column) for other in others))

    def _rises(self, name: str, column: Column) -> bool:
        """Return whether a column is filled and never goes back."""
        values = self._at(name)[column.rows]
        return bool(
            values.size and not np.isnan(values).any() and (np.diff(values) >= 0).all() and values[-1] > values[0]
        )

    def _at(self, name: str) -> NDArray[np.float64]:
        """Return the value of a column in each row; NaN where there is none."""
        column = self.cells.columns[name]
        if column.rows.size == self.cells.numbers.size:
            return column.values
        values = np.full(self.cells.numbers.size, np.nan)
        values[column.rows] = column.values
        return values

    def _whole(self, at: NDArray[np.float64], rows: NDArray[np.int32], name: str) -> NDArray[np.int64]:
        """Return steps as whole numbers."""
        self.raw.require_numbers(self.cells, name)
        # 2**53: beyond it floats skip whole numbers
        good = np.isfinite(at) & (at == np.floor(at)) & (at >= 0) & (at < 2**53)
        if not good.all():
            row = int(np.argmin(good))
            where = self.raw.where(self.cells, int(rows[row]))
            if at[row] > 2**53:
                raise LogError(f"{where}: {self._too_many(name, at[row], short=True)}")
            raise LogError(f"{where}: {name} is {at[row]:g}; allowed: a whole number, 0 or more")
        return at.astype(np.int64)

    def _offsets(
        self, rows: NDArray[np.int32], steps: NDArray[np.int64], values: NDArray[np.float64], name: str
    ) -> Offsets | None:
        """Return what has to be added where the counter starts again."""
        found = self._own_offsets(rows, steps, values, name)
        if found is not None or (np.diff(steps) < 0).any():
            return found
        # the rows of a scarce series, one an epoch say, do not show it
        for other in self.losses:
            column = self.cells.columns[other]
            at = self._at(name)[column.rows]
            good = np.isfinite(column.values) & (at == np.floor(at)) & (at >= 0) & (at <= MAX_STEPS)
            if good.sum() <= rows.size or good.mean() < _MOSTLY:
                continue
            try:
                found = self._own_offsets(column.rows[good], at[good].astype(np.int64), column.values[good], name)
            except LogError:
                if (np.diff(steps) == 0).any():
                    raise
            if found is not None:
                return found
        return None

    def _own_offsets(
        self, rows: NDArray[np.int32], steps: NDArray[np.int64], values: NDArray[np.float64], name: str
    ) -> Offsets | None:
        """Return what a series itself shows of it."""
        if self.epoch is not None:
            epochs = self._at(self.epoch)[rows]
            found = epoch_offsets(rows, steps, epochs, where=self.raw.path, column=name)
            if found is not None:
                return found
        found = resume_offsets(rows, steps, values, column=name)
        if self.rate is None:
            return found
        rate = self.cells.columns[self.rate]
        at = self._at(name)[rate.rows]
        good = np.isfinite(rate.values) & (at == np.floor(at)) & (at >= 0) & (at <= MAX_STEPS)
        logged = (rate.rows[good], at[good].astype(np.int64), rate.values[good])
        if found is None:
            return None if begins_anew(steps, values) else resume_offsets(*logged, column=name, what="rate")
        return aligned(found, *logged, column=name)

    def _too_many(self, name: str, last: float, *, short: bool = False) -> str:
        """Return the message about steps that are too large."""
        said = f"{name} is {last:g}" if short else f"{self.raw.path}: the steps in {name!r} end at {last:.0f}"
        others = [other for other in self.steps if other != name]
        instead = f" (such as {listed(others, 2)})" if others else ""
        return (
            f"{said}; allowed: at most {MAX_STEPS} updates; tokens or samples are no updates, so name a column of "
            f"updates with `step` (--step){instead}"
        )
