"""From a log of any format to one tidy table: steps, losses, and the rates where they were logged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.errors import LogError
from bayeslr.logs.columns import loss_columns, named_column, rate_columns, run_columns, step_columns, time_columns
from bayeslr.logs.rawlog import RawLog
from bayeslr.logs.values import history, numbers, whole_steps

__all__ = ["TidyLog", "tidy"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TidyLog:
    """The history of one run.

    Parameters
    ----------
    path
        Where it was read from.
    steps, loss
        Losses and their steps, shape ``[n]``: strictly increasing steps of 1 or more, finite losses.
    rate_steps, rates
        Logged rates and their steps, shape ``[m]``; empty where none were logged.
    columns
        Names of all columns of the log.
    notes
        What was chosen, dropped or repaired, one sentence each.
    """

    path: str
    steps: NDArray[np.int64]
    loss: NDArray[np.float64]
    rate_steps: NDArray[np.int64]
    rates: NDArray[np.float64]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the log as a table.

        Returns
        -------
        pandas.DataFrame
            Columns ``step, loss, lr``, one row a loss; ``lr`` is NaN where no rate was logged at that step.
        """
        rates = pd.Series(self.rates, index=self.rate_steps)
        return pd.DataFrame({"step": self.steps, "loss": self.loss, "lr": rates.reindex(self.steps).to_numpy()})


def tidy(raw: RawLog, *, step: str | None = None, loss: str | None = None, lr: str | None = None) -> TidyLog:
    """Find the columns of a log and clean its history.

    Parameters
    ----------
    raw
        The opened log.
    step, loss, lr
        Names of the columns. Default: found by name, see :mod:`bayeslr.logs.columns`.

    Returns
    -------
    TidyLog
        The history.

    Raises
    ------
    LogError
        If a column is not found or holds something else than numbers, or no finite loss is left.
    """
    for column in run_columns(raw.columns):
        runs = raw.rows([column])[column].dropna().unique()
        if len(runs) > 1:
            raise LogError(
                f"{raw.path}: the column {column!r} names {len(runs)} runs; allowed: a log of one run, or the table in "
                "CurveSet.from_frame"
            )
    notes: list[str] = []
    losses = [[named_column(raw.columns, loss, what="loss", path=raw.path)]] if loss else loss_columns(raw.columns)
    steps = [named_column(raw.columns, step, what="step", path=raw.path)] if step else step_columns(raw.columns)
    rates = [named_column(raw.columns, lr, what="lr", path=raw.path)] if lr else rate_columns(raw.columns)[:1]
    for what, found in (("loss", losses), ("step", steps)):
        if not found:
            raise LogError(f"{raw.path}: no column for the {what}; name one with `{what}`: {', '.join(raw.columns)}")
    times = time_columns(raw.columns)[:1]
    wanted = list(dict.fromkeys([*steps, *(column for group in losses for column in group), *rates, *times]))
    twice = next((column for column in wanted if raw.columns.count(column) > 1), None)
    if twice is not None:
        raise LogError(f"{raw.path}: the column {twice!r} occurs more than once; allowed: one column a name")
    frame = _in_order_of_time(raw.rows(wanted), times)

    column, values, logged = _chosen_loss(raw, frame, losses, notes)
    finite = np.isfinite(values)
    if (logged & ~finite).any():
        notes.append(f"{int((logged & ~finite).sum())} losses are NaN or infinite: dropped")
    if not (logged & finite).any():
        raise LogError(f"{raw.path}: no finite loss in the column {column!r}; allowed: at least one")
    step_column, at_step = _chosen_step(raw, frame, steps, logged & finite)
    all_steps, all_losses = _cleaned(raw, frame.index, step_column, at_step, values, logged & finite, notes)
    # The loss before the first update says nothing about the rates.
    seen = all_steps >= 1
    if not seen.any():
        raise LogError(
            f"{raw.path}: the only loss is at step 0, before the first update; allowed: losses at later steps"
        )

    rate_steps, logged_rates = np.empty(0, dtype=np.int64), np.empty(0)
    for name in rates:
        rate, has_rate = numbers(frame[name], path=raw.path, unit=raw.unit)
        has_rate &= np.isfinite(rate) & np.isfinite(at_step)
        if (has_rate & (rate < 0)).any():
            row = int(np.argmax(has_rate & (rate < 0)))
            raise LogError(
                f"{raw.path}, {raw.unit} {frame.index[row]}: {name} is {rate[row]:g}; allowed: a rate of 0 or more"
            )
        rate_steps, logged_rates = _cleaned(raw, frame.index, step_column, at_step, rate, has_rate, [])
    return TidyLog(
        path=raw.path,
        steps=all_steps[seen],
        loss=all_losses[seen],
        rate_steps=rate_steps,
        rates=logged_rates,
        columns=raw.columns,
        notes=tuple(notes),
    )


def _in_order_of_time(frame: pd.DataFrame, times: Sequence[str]) -> pd.DataFrame:
    """Sort the rows by the time at which they were written, if every row has one."""
    for column in times:
        time = pd.to_numeric(frame[column], errors="coerce")
        if time.notna().all() and not time.is_monotonic_increasing:
            return frame.iloc[np.argsort(time.to_numpy(dtype=np.float64), kind="stable")]
    return frame


def _chosen_loss(
    raw: RawLog, frame: pd.DataFrame, groups: Sequence[Sequence[str]], notes: list[str]
) -> tuple[str, NDArray[np.float64], NDArray[np.bool_]]:
    """Return the first loss column that has values, with them."""
    columns = [column for group in groups for column in group]
    for column in columns:
        values, logged = numbers(frame[column], path=raw.path, unit=raw.unit)
        if logged.any():
            break
    else:
        raise LogError(f"{raw.path}: the column {columns[0]!r} has no values; columns: {', '.join(raw.columns)}")
    if len(columns) > 1:
        rest = [repr(other) for other in columns if other != column]
        others = ", ".join(rest[:4]) + (", ..." if len(rest) > 4 else "")
        notes.append(f"several columns may be the loss: {column!r} was taken, not {others}; name one with `loss`")
    return column, values, logged


def _chosen_step(
    raw: RawLog, frame: pd.DataFrame, columns: Sequence[str], needed: NDArray[np.bool_]
) -> tuple[str, NDArray[np.float64]]:
    """Return the first step column that is filled wherever it is needed, with its values."""
    found = [(column, numbers(frame[column], path=raw.path, unit=raw.unit)[0]) for column in columns]
    return next(((column, values) for column, values in found if not np.isnan(values[needed]).any()), found[0])


def _cleaned(
    raw: RawLog,
    index: "pd.Index[int]",
    step_column: str,
    at_step: NDArray[np.float64],
    values: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    notes: list[str],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the history of the wanted rows: strictly increasing steps and their values."""
    steps = whole_steps(at_step[wanted], index[wanted], column=step_column, path=raw.path, unit=raw.unit)
    kept, repaired = history(steps, values[wanted])
    notes.extend(repaired)
    return steps[kept], values[wanted][kept]
