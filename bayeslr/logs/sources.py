"""What is known of a run besides its log, and the run that both make together."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.curves.branches import RawRun, join_branches, starts_late
from bayeslr.curves.rates import interpolate_rates
from bayeslr.errors import DataWarning, LogError, ScheduleMismatchWarning
from bayeslr.logs.detect import open_log
from bayeslr.logs.nominal import rate_mismatch
from bayeslr.logs.tidy import TidyLog, tidy
from bayeslr.schedules import Schedule

__all__ = ["ColumnNames", "Source", "curves_from_sources"]

_PACKAGE = str(Path(__file__).parents[1])


@dataclass(frozen=True, kw_only=True)
class ColumnNames:
    """Names of the columns of a log; None: found by name.

    Parameters
    ----------
    step, loss, lr
        The columns.
    """

    step: str | None = None
    loss: str | None = None
    lr: str | None = None


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
        Its schedule; None: the rates of the log.
    params, size, parent, metadata
        As in :class:`bayeslr.curves.LossCurve` and :class:`bayeslr.curves.branches.RawRun`.
    """

    run: str
    path: Path
    schedule: Schedule | None = None
    params: float | None = None
    size: str | None = None
    parent: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Note:
    """Something to warn about, once for all logs that it is true of."""

    category: type[DataWarning]
    text: str


def curves_from_sources(
    sources: Sequence[Source], *, runs: Sequence[str], columns: ColumnNames, allow_late_start: bool
) -> CurveSet:
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

    Returns
    -------
    CurveSet
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
    read: dict[str, RawRun] = {}
    notes: dict[str, list[_Note]] = {}
    waiting = list(runs)
    while waiting:
        name = waiting.pop(0)
        source = by_name[name]
        if name in read or (name not in runs and not source.path.exists()):
            continue
        read[name], notes[name] = _read(source, columns)
        waiting += _possible_parents(read[name], source, sources)

    joined = join_branches(list(read.values()), names=runs, allow_late_start=allow_late_start)
    used = dict.fromkeys([*runs, *(run.parent for run in joined if run.parent is not None)])
    for run in joined:
        if run.note:
            notes[run.curve.name].append(_Note(category=DataWarning, text=run.note))
    _warn([(str(by_name[name].path), note) for name in used for note in notes[name]])
    return CurveSet(curves=tuple(run.curve for run in joined))


def _possible_parents(run: RawRun, source: Source, sources: Sequence[Source]) -> list[str]:
    """Return the runs that have to be read because one of them may be the parent."""
    if run.parent is not None:
        return [other.run for other in sources if other.run == run.parent]
    if not starts_late(run.curve, intervals=2):
        return []
    return [s.run for s in sources if (s.size, s.params) == (source.size, source.params)]


def _read(source: Source, columns: ColumnNames) -> tuple[RawRun, list[_Note]]:
    """Read the log of one run."""
    log = tidy(open_log(source.path), step=columns.step, loss=columns.loss, lr=columns.lr)
    notes = [_Note(category=DataWarning, text=text) for text in log.notes]
    schedule, rates_from = (source.schedule, 0) if source.schedule is not None else _logged_schedule(log)
    inside = log.steps <= schedule.total_steps
    if not inside.all():
        beyond = f"{int((~inside).sum())} losses are beyond the {schedule.total_steps} steps of the schedule"
        if not inside.any():
            raise LogError(f"{log.path}: all {beyond}; allowed: a schedule that belongs to the log")
        notes.append(_Note(category=DataWarning, text=f"{beyond}: dropped"))
    if source.schedule is not None:
        mismatch = rate_mismatch(log, source.schedule)
        if mismatch:
            notes.append(_Note(category=ScheduleMismatchWarning, text=mismatch))
    curve = LossCurve(
        name=source.run,
        steps=log.steps[inside],
        loss=log.loss[inside],
        schedule=schedule,
        params=source.params,
        size=source.size,
        metadata=source.metadata,
    )
    return RawRun(curve=curve, parent=source.parent, rates_from=rates_from), notes


def _logged_schedule(log: TidyLog) -> tuple[Schedule, int]:
    """Return the schedule that a log shows, and from which update on it does."""
    if log.rates.size == 0:
        raise LogError(
            f"{log.path}: no schedule is given and no rates are logged (columns: {', '.join(log.columns)}); "
            "allowed: a `schedule`, or a column with the rates, named by `lr`"
        )
    total_steps = max(int(log.steps[-1]), int(log.rate_steps[-1]))
    schedule = interpolate_rates(log.rate_steps, log.rates, total_steps, where=log.path)
    return schedule, int(log.rate_steps[0])


def _warn(notes: Sequence[tuple[str, _Note]]) -> None:
    """Warn of each thing once, however many logs it is true of."""
    logs: dict[_Note, list[str]] = {}
    for path, note in notes:
        logs.setdefault(note, []).append(path)
    for note, paths in logs.items():
        others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        warnings.warn(f"{paths[0]}{others}: {note.text}", note.category, skip_file_prefixes=(_PACKAGE,))
