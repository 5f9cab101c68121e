"""From a log of any format to one tidy table: steps, losses, and the rates where they were logged."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.errors import LogError
from bayeslr.logs.among import evaluations_among
from bayeslr.logs.clock import ordered
from bayeslr.logs.columns import (
    epoch_columns,
    loss_kind,
    named_column,
    perplexity_columns,
    plain_name,
    step_columns,
    time_columns,
)
from bayeslr.logs.counters import Counter, Series
from bayeslr.logs.layout import layout_of, one_run
from bayeslr.logs.limits import listed, shown
from bayeslr.logs.losses import base_shown, loss_candidates, not_finite, odd_name, odd_ratio
from bayeslr.logs.micro_batches import with_updates
from bayeslr.logs.missing import no_step
from bayeslr.logs.plausible import judged
from bayeslr.logs.rate_names import multiplier_columns, rate_columns
from bayeslr.logs.rates import chosen_rate, one_a_change, times_multiplier, without_tiny_negatives, without_wild
from bayeslr.logs.rawlog import Cells, Column, RawLog
from bayeslr.logs.run_names import arranged
from bayeslr.logs.splits import of_one_writer, split_columns, split_rows, writer_columns
from bayeslr.logs.units import Unit

__all__ = ["TidyLog", "tidy"]

_FEW = 2
"""A column with fewer losses is taken only if there is no other."""


AS_DOCUMENTED: Final = " (validation comes first, training last)"
"""What the note on a loss says whose kind decided: nothing to check."""


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
    loss_column, step_column, rate_column
        The columns that were taken; ``rate_column`` is None where there is none.
    kind
        What the loss was measured on: ``validation``, ``test``, ``training``, or ``plain`` where nothing says it.
    dropped
        Number of rows with a loss that do not count.
    diverged
        Whether the last rows have no loss that counts: NaN, infinite or 0.
    total_steps
        Number of updates that the log says the run was planned for; None where it does not.
    what
        What the file is, for messages.
    """

    path: str
    steps: NDArray[np.int64]
    loss: NDArray[np.float64]
    rate_steps: NDArray[np.int64]
    rates: NDArray[np.float64]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()
    loss_column: str = ""
    step_column: str = ""
    rate_column: str | None = None
    kind: str = "plain"
    dropped: int = 0
    diverged: bool = False
    total_steps: int | None = None
    what: str = "log"

    def to_frame(self) -> pd.DataFrame:
        """Return the log as a table.

        Returns
        -------
        pandas.DataFrame
            Columns ``step, loss, lr``, one row per loss; ``lr`` is NaN where no rate was logged at that step.
        """
        rates = pd.Series(self.rates, index=self.rate_steps)
        return pd.DataFrame({"step": self.steps, "loss": self.loss, "lr": rates.reindex(self.steps).to_numpy()})


def tidy(
    raw: RawLog,
    *,
    step: str | None = None,
    loss: str | None = None,
    lr: str | None = None,
    run: str | None = None,
    unit: Unit | None = None,
) -> TidyLog:
    """Find the columns of a log and clean its history.

    Parameters
    ----------
    raw
        The opened log.
    step, loss, lr
        Names of the columns. Default: found by name, see :mod:`bayeslr.logs.columns`.
    run
        The run to read from a log of several. Default: the log has one.
    unit
        Unit of the loss. Default: nats per token, or what a perplexity beside it shows.

    Returns
    -------
    TidyLog
        The history.

    Raises
    ------
    LogError
        If a column is not found or holds something else than numbers, or no finite loss is left.
    """
    raw = arranged(raw, loss=loss)
    named = named_column(raw.columns, loss, what="loss", path=raw.path) if loss else None
    layout = layout_of(raw, loss=named)
    chosen_run = one_run(raw, layout, run)
    columns = layout.columns(raw.columns, chosen_run)
    losses = [named] if named else loss_candidates(raw, columns, unit)
    steps = [named_column(raw.columns, step, what="step", path=raw.path)] if step else step_columns(columns)
    rates = [named_column(raw.columns, lr, what="lr", path=raw.path)] if lr else rate_columns(columns)
    if not steps:
        raise LogError(no_step(raw, columns))
    times, epochs = time_columns(columns)[:1], epoch_columns(columns)[:1]
    planned = [name for name in columns if plain_name(name) in ("total_steps", "max_steps")][:1]
    perplexities = [name for name, kind in perplexity_columns(columns).items() if kind == "perplexity"]
    multipliers = [] if lr else multiplier_columns(columns)
    numeric = list(dict.fromkeys([*steps, *losses, *rates, *multipliers, *times, *epochs, *planned, *perplexities]))
    twice = next((name for name in numeric if raw.columns.count(name) > 1), None)
    if twice is not None:
        raise LogError(f"{raw.path}: the column {twice!r} occurs more than once; allowed: one column per name")
    splits, writers = split_columns(raw, columns), writer_columns(columns)
    cells = raw.read(numeric, [*splits, *writers, *([layout.column] if layout.column else [])])
    if layout.column is not None and chosen_run is not None:
        code = cells.labels[layout.column].index(chosen_run)
        cells = cells.taken(cells.texts[layout.column] == code)

    if writers:
        cells = of_one_writer(cells, writers, step=steps[0], losses=losses, splits=splits)
    cells = ordered(with_updates(cells, steps), times, steps, losses[0])
    rate, rate_note = chosen_rate(cells.columns, rates)
    if rate is not None and multipliers:
        moved, note = times_multiplier(cells.columns[rate], {m: cells.columns[m] for m in multipliers}, name=rate)
        cells, rate_note = replace(cells, columns={**cells.columns, rate: moved}), note or rate_note
    counter = Counter(
        raw=raw,
        cells=cells,
        steps=tuple(steps),
        named=step is not None,
        epoch=epochs[0] if epochs else None,
        losses=tuple(losses),
        rate=rate,
    )
    if lr and rate is None:
        raise LogError(
            f"{raw.path}: the column {lr!r}, named by `lr` (--lr), has no values; columns: {listed(columns, 12)}"
        )
    rate_rows = _with_values(raw, counter.cells, rate) if rate else None
    if rate and (several := counter.cells.columns[rate].several) is not None:
        rate_note = rate_note or f"{rate!r} has several rates a row ({shown(several[1], 40)}): the first was taken"
    found = _chosen_loss(counter, losses, rate_rows, planned)
    return _tidied(counter, found, losses, rate, rate_rows, rate_note, columns, planned, perplexities, unit)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """The loss that was taken."""

    name: str
    column: Column
    series: Series
    kind: str
    notes: tuple[str, ...]
    dropped: int
    diverged: bool


def _with_values(raw: RawLog, cells: Cells, name: str) -> Column:
    """Return the finite values of a column all of whose cells are numbers."""
    column = raw.require_numbers(cells, name, lists=True)
    finite = np.isfinite(column.values)
    return Column(rows=column.rows[finite], values=column.values[finite])


def _chosen_loss(counter: Counter, names: list[str], rate: Column | None, planned: list[str]) -> _Found:
    """Return the first column of losses that has values and counts what the rates count."""
    raw, cells = counter.raw, counter.cells
    filled = [name for name in names if cells.columns[name].filled]
    if not filled:
        if any(cells.columns[name].values.size for name in names):
            raise LogError(f"{raw.path}: no finite loss in the column {names[0]!r}; allowed: at least one")
        raise LogError(f"{raw.path}: the column {names[0]!r} has no values; columns: {listed(raw.columns, 12)}")
    sizes = {name: int(np.isfinite(cells.columns[name].values).sum()) for name in filled}
    enough = [name for name in filled if sizes[name] >= _FEW or cells.columns[name].wrong is not None]
    many = [name for name in enough if sizes[name] >= 5 * sizes[filled[0]]]
    if filled[0] not in enough and many:
        filled = [*many, *(name for name in filled if name not in many)]
    placed = [name for name in filled if counter.places(cells.columns[name])]
    filled = [*placed, *(name for name in filled if name not in placed)]
    # a column of another quantity that happens to have a loss's name does not stand in the way
    if (
        cells.columns[filled[0]].wrong is not None
        and len(filled) > 1
        and not np.isfinite(cells.columns[filled[0]].values).any()
    ):
        filled = [*filled[1:], filled[0]]
    flat = [name for name in filled if sizes[name] >= 5 and _one_value(cells.columns[name])]
    filled = [*(name for name in filled if name not in flat), *flat]
    trouble = ""
    for name in filled:
        found = _found(counter, name)
        problem = counter.disagrees(found.series, rate, name)
        if not problem:
            notes = (f"{trouble}: {name!r} was taken instead",) if trouble else ()
            return replace(found, notes=(*found.notes, *notes))
        trouble = trouble or problem
    raise LogError(
        f"{raw.path}: {trouble}; allowed: a column that counts updates, named by `step` (--step), or another "
        "loss, named by `loss` (--loss)"
    )


def _found(counter: Counter, name: str) -> _Found:
    """Return a column of losses with its steps."""
    raw, cells = counter.raw, counter.cells
    column = raw.require_numbers(cells, name)
    notes: list[str] = []
    kind = loss_kind(name) or "plain"
    rows, values = column.rows, column.values
    for split in split_columns(raw, list(cells.texts)):
        chosen = split_rows(cells, split, rows)
        if chosen is None:
            continue
        keep, said, labels = chosen
        if kind == "plain":
            kind = said
        if len(labels) > 1:
            notes.append(
                f"rows of several splits: those whose {split!r} is {labels[0]!r} were taken, not "
                f"{', '.join(map(repr, labels[1:4]))}"
            )
        rows, values = rows[keep], values[keep]
        break
    finite = np.isfinite(values)
    dropped, diverged = int((~finite).sum()), False
    if dropped:
        note, diverged = not_finite(finite, cells.numbers[rows], raw.unit)
        notes.append(note)
    if not finite.any():
        raise LogError(f"{raw.path}: no finite loss in the column {name!r}; allowed: at least one")
    column = Column(rows=rows[finite], values=values[finite])
    if kind == "plain" and counter.rate:
        counters = [cells.columns[step] for step in counter.steps]
        keep, among = evaluations_among(column, cells.columns[counter.rate], counters)
        notes.extend(filter(None, [among]))
        dropped, column = dropped + int((~keep).sum()), column.at(keep)
    series = counter.series(column, split=kind if kind in ("validation", "test") else "")
    return _Found(
        name=name,
        column=column,
        series=series,
        kind=kind,
        notes=(*notes, *series.notes),
        dropped=dropped + column.rows.size - series.steps.size,
        diverged=diverged,
    )


def _tidied(
    counter: Counter,
    found: _Found,
    losses: list[str],
    rate: str | None,
    rate_rows: Column | None,
    rate_note: str,
    columns: list[str],
    planned: list[str],
    perplexities: list[str],
    unit: Unit | None,
) -> TidyLog:
    """Put the histories of the loss and of the rate together."""
    raw, cells, series = counter.raw, counter.cells, found.series
    notes = list(dict.fromkeys([*cells.notes, *raw.notes]))
    empty = [name for name in losses[: losses.index(found.name)] if cells.columns[name].only_nan]
    if empty:
        notes.append(f"{', '.join(map(repr, empty[:4]))} has only NaN: {found.name!r} was taken")
    # a trainer's last row sums the run up
    least = _FEW if found.series.steps.size > 5 * _FEW else 1
    filled = [name for name in losses if cells.columns[name].filled and name != found.name]
    usable = [n for n in filled if cells.columns[n].values.size >= least or loss_kind(n) in ("validation", "test")]
    if usable:
        alike = any(loss_kind(name) == loss_kind(found.name) for name in usable)
        notes.append(
            f"several columns may be the loss: {found.name!r} was taken, not "
            f"{', '.join(map(repr, usable[:4]))}{', ...' if len(usable) > 4 else ''}"
            f"{'' if alike else AS_DOCUMENTED}; name one with `loss` (--loss)"
        )
    notes.extend(found.notes)
    # The loss before the first update says nothing about the rates.
    seen = series.steps >= 1
    if not seen.any():
        raise LogError(
            f"{raw.path}: the only loss is at step 0, before the first update; allowed: losses at later steps"
        )
    steps, values = series.steps[seen], series.values[seen]
    if unit is not None:
        values = unit.in_nats(values, f"{raw.path}: {found.name}")
    elif base_shown(cells, found.name, found.kind, found.column, perplexities) == 2.0:
        values = values * np.log(2.0)
        notes.append(f"{found.name!r} is in bits, as its perplexity shows: it was multiplied by log 2 to have nats")
    else:
        validation = found.kind in ("validation", "test")
        bits = odd_ratio(cells, found.name, found.column, filled) if validation else ""
        notes.extend(filter(None, [odd_name(found.name) or bits]))
    if values.max() < 0:
        raise LogError(
            f"{raw.path}: all losses in {found.name!r} are negative (the first is {values[0]:.4g}), as the logarithms "
            "of likelihoods are; allowed: losses, which are positive: change the sign"
        )
    verdict = judged(steps, values, cells.numbers[series.rows[seen]], unit=raw.unit)
    notes.extend(verdict.notes)
    steps, values = steps[verdict.keep], values[verdict.keep]

    rate_steps, rates = np.empty(0, dtype=np.int64), np.empty(0)
    if rate is not None and rate_rows is not None:
        logged = counter.series(rate_rows, like=found.series)
        clean, tiny = without_tiny_negatives(logged.values)
        if (clean < 0).any():
            row = int(np.argmax(clean < 0))
            raise LogError(
                f"{raw.where(cells, int(logged.rows[row]))}: {rate} is {clean[row]:g}; allowed: a rate of 0 or more"
            )
        kept, odd = without_wild(logged.steps, clean)
        if odd:
            notes.append(odd)
        if tiny:
            notes.append(f"{tiny} rates are negative by rounding (lowest {logged.values.min():.3g}): taken as 0")
        rate_steps, rates, once = one_a_change(logged.steps[kept], clean[kept])
        notes.extend(filter(None, [rate_note, once]))
    total = raw.total_steps
    if total is None and planned and (values_there := cells.columns[planned[0]].values).size:
        top = float(values_there[-1])
        total = int(top) if np.isfinite(top) and top >= 1 and (values_there == top).all() else None
    return TidyLog(
        path=raw.path,
        steps=steps,
        loss=values,
        rate_steps=rate_steps,
        rates=rates,
        columns=tuple(columns),
        notes=tuple(dict.fromkeys(notes)),
        loss_column=found.name,
        step_column=series.column,
        rate_column=rate,
        kind=found.kind,
        dropped=found.dropped + int((~verdict.keep).sum()),
        diverged=found.diverged or verdict.diverged,
        total_steps=total,
        what=raw.what,
    )


def _one_value(column: Column) -> bool:
    """Return whether all finite values of a column are the same, as where nothing was measured."""
    values = column.values[np.isfinite(column.values)]
    return values.size > 0 and float(np.ptp(values)) == 0
