"""What is known of a run besides its log, and the run that both make together."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.curves.branches import Joined, RawRun, join_branches, logging_interval, starts_late
from bayeslr.curves.curve import DIVERGED, MISMATCH
from bayeslr.curves.rates import interpolate_rates
from bayeslr.errors import PACKAGE, DataWarning, LogError, ScheduleMismatchWarning
from bayeslr.files import is_there
from bayeslr.logs.compared import mixed_kinds, odd_peaks, odd_sizes, other_units, own_steps
from bayeslr.logs.formats import open_log
from bayeslr.logs.limits import ARE, counted, listed, shown
from bayeslr.logs.nominal import rate_mismatch
from bayeslr.logs.partial_spec import completed
from bayeslr.logs.rates import odd_falls, odd_levels, odd_peak, odd_repeats, odd_rises, odd_span
from bayeslr.logs.rawlog import RawLog
from bayeslr.logs.summary import RunRead
from bayeslr.logs.tidy import TidyLog, tidy
from bayeslr.logs.units import Unit
from bayeslr.logs.unseen import odd_start
from bayeslr.schedules import MAX_UPDATES, Schedule

__all__ = ["ColumnNames", "Reading", "Source", "curves_from_sources", "read_run"]


@dataclass(frozen=True, kw_only=True)
class ColumnNames:
    """Names of the columns of a log; None: found by name.

    Parameters
    ----------
    step, loss, lr
        The columns.
    unit
        Unit of the loss; None: nats per token.
    """

    step: str | None = None
    loss: str | None = None
    lr: str | None = None
    unit: Unit | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A run: where its log is, and what the log does not say.

    Parameters
    ----------
    run
        Name of the run.
    path
        Its log.
    schedule
        Its schedule, or a spec without its length; None: the rates of the log.
    params, size, parent, metadata
        As in :class:`bayeslr.curves.LossCurve` and :class:`bayeslr.curves.branches.RawRun`.
    branch_step
        As in :class:`bayeslr.curves.branches.RawRun`.
    label
        Name of the run in a log of several. Default: ``run``.
    opened
        The log, if it has been opened.
    """

    run: str
    path: Path
    schedule: Schedule | str | None = None
    params: float | None = None
    size: str | None = None
    parent: str | None = None
    branch_step: int | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    label: str | None = None
    opened: RawLog | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """Runs, and what was read of each.

    Parameters
    ----------
    curves
        The runs.
    read
        What was read of each, in the same order.
    """

    curves: CurveSet
    read: tuple[RunRead, ...]


@dataclass(frozen=True, kw_only=True)
class _Note:
    """Something to warn about, once for all logs that it is true of, with the numbers of the first."""

    category: type[DataWarning]
    text: str
    about: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """A run as it was read."""

    raw: RawRun
    log: TidyLog
    notes: list[_Note]


def curves_from_sources(
    sources: Sequence[Source],
    *,
    runs: Sequence[str],
    columns: ColumnNames,
    allow_late_start: bool,
    open_file: Callable[[Path], RawLog] = open_log,
) -> Reading:
    """Read runs, with the histories of those that were branched off others.

    Parameters
    ----------
    sources
        All runs among which a parent may be found.
    runs
        Names of the runs to return. Others are read only where they may be parents.
    columns
        Names of the columns.
    allow_late_start
        Accept runs that start late and have no parent.
    open_file
        Opens a log. Default: any format.

    Returns
    -------
    Reading
        The runs, in the order of ``runs``.

    Raises
    ------
    LogError
        If a log cannot be read or a run has no schedule.
    CurveError
        If a parent is needed and none is found.

    Warns
    -----
    DataWarning
        Of what was chosen, dropped or repaired in the logs that are used.
    """
    by_name = {source.run: source for source in sources}
    read: dict[str, _Run] = {}
    opened: dict[Path, RawLog] = {}
    waiting = list(runs)
    updates = 0
    while waiting:
        name = waiting.pop(0)
        source = by_name[name]
        if name in read or (name not in runs and not is_there(source.path)):
            continue
        if source.path not in opened:
            opened = {source.path: source.opened or open_file(source.path)}
        read[name] = _with_schedule(source, _tidied(source, columns, opened[source.path]))
        updates += read[name].raw.curve.schedule.total_steps
        if updates > MAX_UPDATES:
            raise LogError(f"{source.path}: more than {MAX_UPDATES} updates up to this run; allowed: fewer in all runs")
        waiting += _possible_parents(read[name].raw, source, sources)

    joined = join_branches([run.raw for run in read.values()], names=runs, allow_late_start=allow_late_start)
    used = dict.fromkeys([*runs, *(run.parent for run in joined if run.parent is not None)])
    for run in joined:
        if run.note:
            read[run.curve.name].notes.append(_Note(category=DataWarning, text=run.note))
    notes = [(str(by_name[name].path), note) for name in used for note in read[name].notes]
    logs = {name: read[name].log for name in runs}
    alone = {name: logs[name] for name, run in zip(runs, joined, strict=True) if run.parent is None}
    sizes = {name: (by_name[name].size, by_name[name].params) for name in runs}
    kinds = mixed_kinds(logs) if columns.loss is None else ""
    peaks = odd_peaks({run.curve.name: run.curve.schedule.peak_lr for run in joined})
    together = [kinds, other_units(logs), own_steps(alone, sizes), peaks]
    together += odd_sizes(sizes, {name: read[name].raw.curve.batch_size for name in runs})
    together += _one_log_for_several([by_name[name] for name in runs], logs)
    notes += [("", _Note(category=DataWarning, text=text)) for text in together if text]
    _warn(notes)
    return Reading(
        curves=CurveSet(curves=tuple(run.curve for run in joined)),
        read=tuple(_run_read(read[name], run) for name, run in zip(runs, joined, strict=True)),
    )


def _one_log_for_several(sources: Sequence[Source], logs: Mapping[str, TidyLog]) -> list[str]:
    """Return what to say where two runs were given one log, and it tells no runs apart."""
    first: dict[tuple[Path, str, int], str] = {}
    for source in sources:
        log = logs[source.run]
        same = (source.path, log.loss_column, hash(log.loss.tobytes()))
        if first.setdefault(same, source.run) != source.run and source.branch_step is None:
            return [f"the runs {shown(first[same], 40)} and {shown(source.run, 40)} have the same losses of {log.path}"]
    return []


def _possible_parents(run: RawRun, source: Source, sources: Sequence[Source]) -> list[str]:
    """Return the runs that have to be read because one of them may be the parent."""
    if run.parent is not None:
        return [other.run for other in sources if other.run == run.parent]
    if not starts_late(run.curve, intervals=2):
        return []
    return [s.run for s in sources if (s.size, s.params) == (source.size, source.params)]


def read_run(source: Source, columns: ColumnNames) -> tuple[TidyLog, RawRun | None, tuple[str, ...]]:
    """Read the log of one run alone.

    Parameters
    ----------
    source
        The run.
    columns
        Names of the columns.

    Returns
    -------
    log : TidyLog
        Its history.
    run : RawRun or None
        The run as far as its log goes; None if no rates are logged and no schedule is given.
    notes : tuple of str
        What was chosen, dropped or repaired.

    Raises
    ------
    LogError
        If the log cannot be read.
    """
    raw = source.opened or open_log(source.path)
    log = _tidied(source, columns, raw)
    if source.schedule is None and not log.rates.size:
        return log, None, log.notes
    run = _with_schedule(source, log)
    return log, run.raw, tuple(note.text for note in run.notes)


def _tidied(source: Source, columns: ColumnNames, raw: RawLog) -> TidyLog:
    """Read the log of one run."""
    return tidy(
        raw,
        step=columns.step,
        loss=columns.loss,
        lr=columns.lr,
        run=source.run if source.label is None else source.label,
        unit=columns.unit,
    )


def _with_schedule(source: Source, log: TidyLog) -> _Run:
    """Return a run with its schedule."""
    notes = [_Note(category=DataWarning, text=text) for text in log.notes]
    schedule, rates_from = _schedule(source, log)
    inside = log.steps <= schedule.total_steps
    if not inside.all():
        beyond = f"{counted(int((~inside).sum()), 'loss', ARE)} beyond the {schedule.total_steps} steps of the schedule"
        if not inside.any():
            raise LogError(f"{log.path}: all {beyond}; allowed: a schedule that belongs to the log")
        if source.branch_step is None:
            notes.append(_Note(category=DataWarning, text=f"{beyond}: dropped"))
    if source.schedule is None:
        steps, rates = log.rate_steps, log.rates
        span = odd_span(log.steps, steps, rates)
        # what came before the steps of a branch is in its parent
        branch = source.parent is not None or source.branch_step is not None
        start = "" if span or branch else odd_start(log.steps, steps, rates, schedule.lr)
        if start:
            notes.append(_Note(category=DataWarning, text=start, about="the first rate"))
        odd = [span, odd_peak(rates), odd_falls(steps, rates), odd_rises(steps, rates)]
        odd += [odd_repeats(steps, rates), odd_levels(rates)]
        notes += [_Note(category=DataWarning, text=text) for text in odd if text]
    whole = source.branch_step is not None and schedule.total_steps >= source.branch_step + int(log.steps[-1])
    compared = replace(log, rate_steps=log.rate_steps + (source.branch_step or 0)) if whole else log
    metadata = dict(source.metadata)
    if source.schedule is not None and (mismatch := rate_mismatch(compared, schedule)):
        notes.append(_Note(category=ScheduleMismatchWarning, text=mismatch))
        metadata[MISMATCH] = mismatch
    if log.diverged:
        metadata[DIVERGED] = True
    curve = LossCurve(
        name=source.run,
        steps=log.steps[inside],
        loss=log.loss[inside],
        schedule=schedule,
        params=source.params,
        size=source.size,
        metadata=metadata,
    )
    run = RawRun(
        curve=curve,
        parent=source.parent,
        rates_from=rates_from,
        branch_step=source.branch_step,
        rates_logged=source.schedule is None,
        complete=source.schedule is None and _from_the_beginning(log),
    )
    return _Run(raw=run, log=log, notes=notes)


def _from_the_beginning(log: TidyLog) -> bool:
    """Return whether the rates were logged from the beginning, so that only the losses begin late."""
    return log.rate_steps.size >= 3 and bool(log.rate_steps[0] <= max(1.0, logging_interval(log.rate_steps)))


def _schedule(source: Source, log: TidyLog) -> tuple[Schedule, int]:
    """Return the schedule of a run, and from which update on it is known."""
    if isinstance(source.schedule, Schedule):
        return source.schedule, 0
    if source.schedule is not None:
        seen = max(int(log.steps[-1]), int(log.rate_steps[-1]) if log.rate_steps.size else 0)
        # a length below what was seen is that of an epoch
        total = max(log.total_steps or 0, seen)
        warmup = _logged_schedule(log)[0].warmup_steps if log.rates.size else None
        if warmup is not None and warmup >= total - 1:
            warmup = None
        return completed(
            source.schedule, total_steps=total, warmup_steps=warmup, where=f"run {source.run!r}", error=LogError
        ), 0
    return _logged_schedule(log)


def _logged_schedule(log: TidyLog) -> tuple[Schedule, int]:
    """Return the schedule that a log shows, and from which update on it does."""
    if log.rates.size == 0:
        place = "" if log.what == "log" else f" in this {log.what}"
        raise LogError(
            f"{log.path}: no schedule is given and no rates are logged{place} (columns: {listed(log.columns, 12)}); "
            "allowed: a `schedule` in a manifest, which `bayeslr init` writes, or a column with the rates, "
            "named by `lr` (--lr)"
        )
    if log.rates.size == 1 and log.steps.size == 1:
        raise LogError(
            f"{log.path}: one loss, at step {log.steps[0]}, and one rate, {log.rates[0]:.4g}, do not say how the rate "
            "changed; allowed: the `schedule` of each run, as a column of a manifest"
        )
    total_steps = max(int(log.steps[-1]), int(log.rate_steps[-1]))
    schedule = interpolate_rates(log.rate_steps, log.rates, total_steps, where=log.path)
    return schedule, int(log.rate_steps[0])


def _run_read(run: _Run, joined: Joined) -> RunRead:
    """Return what was read of a run."""
    whole = replace(run.raw, curve=joined.curve)
    notes = tuple(note.text for note in run.notes)
    return RunRead.of(joined.curve.name, run.log, whole, parent=joined.parent, notes=notes)


def _warn(notes: Sequence[tuple[str, _Note]]) -> None:
    """Warn of each thing once, however many logs it is true of."""
    found: dict[str, tuple[_Note, list[str]]] = {}
    for path, note in notes:
        found.setdefault(note.about or note.text, (note, []))[1].append(path)
    for note, paths in found.values():
        others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        where = f"{paths[0]}{others}: " if paths[0] else ""
        warnings.warn(f"{where}{note.text}", note.category, skip_file_prefixes=(PACKAGE,))
