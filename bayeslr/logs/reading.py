"""The two ways in: a manifest with many runs, or logs directly."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from bayeslr.curves import CurveSet
from bayeslr.curves.counts import params_in_label, parse_count
from bayeslr.curves.selection import chosen_rows
from bayeslr.errors import LogError, ManifestError
from bayeslr.files import is_folder, is_there
from bayeslr.logs.formats import looks_like_manifest
from bayeslr.logs.limits import listed, shown
from bayeslr.logs.manifest import Manifest, parse_manifest
from bayeslr.logs.partial_spec import lacks_length
from bayeslr.logs.run_files import Paths, logs_of
from bayeslr.logs.sources import ColumnNames, Reading, Source, curves_from_sources
from bayeslr.logs.units import Unit
from bayeslr.schedules import Schedule, parse_schedule

__all__ = ["column_names", "manifest_in", "read", "read_curves", "read_logs", "read_sources"]


def read_curves(
    path: str | PathLike[str],
    *,
    where: str | None = None,
    loss: str | None = None,
    step: str | None = None,
    lr: str | None = None,
    loss_unit: str | None = None,
    bytes_per_token: float | None = None,
    allow_late_start: bool = False,
) -> CurveSet:
    """Read the runs of a manifest (see :mod:`bayeslr.logs.manifest`), or a single log.

    Parameters
    ----------
    path
        The manifest, or a folder with one. Anything else is read as logs, as by :func:`read_logs`.
    where
        Query that selects runs, over the columns of the manifest and ``total_steps`` and ``peak_lr`` of its schedules:
        ``"split == 'train' and size == '25M'"``, see :mod:`bayeslr.curves.query`. Default: all runs. Parents are looked
        for among all runs.
    loss, step, lr
        Names of the columns in the logs. Default: found by name, see :mod:`bayeslr.logs.columns`.
    loss_unit
        Unit of the loss: ``nats`` per token (default), ``bits``, ``perplexity`` or ``bits per byte``.
    bytes_per_token
        Mean length of a token, for ``bits per byte``.
    allow_late_start
        Accept runs that start long after their warm-up and have no parent, with what their own logs have. Default
        False: their history is missing.

    Returns
    -------
    CurveSet
        The selected runs, in the order of the manifest, each with its whole history.

    Raises
    ------
    ManifestError
        If the manifest or the query is not valid.
    LogError
        If a log cannot be read.
    CurveError
        If a run is a branch and its parent is not found.

    Warns
    -----
    DataWarning
        Of what was chosen, dropped or repaired in the logs.
    ScheduleMismatchWarning
        If logged rates disagree with the given schedule outside the warm-up.
    """
    return read(
        path,
        where=where,
        columns=column_names(step=step, loss=loss, lr=lr, loss_unit=loss_unit, bytes_per_token=bytes_per_token),
        allow_late_start=allow_late_start,
    ).curves


def read(
    path: str | PathLike[str],
    *,
    where: str | None = None,
    either: Sequence[str] | None = None,
    columns: ColumnNames,
    allow_late_start: bool = False,
) -> Reading:
    """Read the runs of a manifest, or of logs, with what was read of each.

    Parameters
    ----------
    path
        As for :func:`read_curves`.
    where, allow_late_start
        As for :func:`read_curves`.
    either
        Queries, at least one of which selects a run that is read.
    columns
        Names of the columns and unit of the loss.

    Returns
    -------
    Reading
        The runs.

    Raises
    ------
    ManifestError
        If the manifest or the query is not valid.
    LogError
        If a log cannot be read.
    CurveError
        If a run is a branch and its parent is not found.
    """
    manifest_path = manifest_in(Path(path))
    if manifest_path is None:
        if where is not None:
            raise ManifestError(
                f"{path}: `where` is {shown(where)}, but this is no manifest; allowed: a CSV with run and file"
            )
        return read_sources(Path(path), columns=columns, allow_late_start=allow_late_start)
    manifest = parse_manifest(manifest_path)
    chosen = list(range(len(manifest.sources)))
    if where is not None or either:
        rows = chosen_rows(manifest.table(), where, either, error=ManifestError, place=str(path))
        chosen = [i for i in chosen if rows[i]]
    _require_files(manifest, chosen)
    return curves_from_sources(
        manifest.sources,
        runs=[manifest.sources[i].run for i in chosen],
        columns=columns,
        allow_late_start=allow_late_start,
    )


def read_logs(
    paths: Paths,
    *,
    schedule: Schedule | str | Mapping[str, Schedule | str] | None = None,
    params: float | str | Mapping[str, float | str] | None = None,
    size: str | Mapping[str, str] | None = None,
    parent: Mapping[str, str] | None = None,
    branch_step: Mapping[str, int] | None = None,
    loss: str | None = None,
    step: str | None = None,
    lr: str | None = None,
    loss_unit: str | None = None,
    bytes_per_token: float | None = None,
    allow_late_start: bool = False,
) -> CurveSet:
    """Read logs of any format that :func:`bayeslr.logs.formats.open_log` knows.

    Parameters
    ----------
    paths
        A log, several, or several by the names of their runs. Without names a run is called like its file or folder. A
        folder of logs, and a log of several runs, are as many runs, called by the names that they have there.
    schedule
        The schedule, or its spec, of all runs or by name; a spec may leave out ``total_steps`` and ``warmup_steps``,
        which are then those of the log. Default: the rates logged in each file.
    params
        Number of non-embedding parameters (``2.5e7`` or ``"25M"``) of all runs or by name. Default: what ``size`` says
        if it reads as a number with a suffix; else unknown.
    size
        Label of the model size of all runs or by name. Default: none.
    parent
        Names of the runs that others were branched off, by name. Default: found where it is needed.
    branch_step
        Steps of the parents at which runs were branched off that count their own steps from 0, by name.
    loss, step, lr
        Names of the columns. Default: found by name, see :mod:`bayeslr.logs.columns`.
    loss_unit
        Unit of the loss: ``nats`` per token (default), ``bits``, ``perplexity`` or ``bits per byte``.
    bytes_per_token
        Mean length of a token, for ``bits per byte``.
    allow_late_start
        Accept runs that start long after their warm-up and have no parent. Default False.

    Returns
    -------
    CurveSet
        The runs, in the order of ``paths``, each with its whole history.

    Raises
    ------
    LogError
        If a log cannot be read, or a run has no schedule.
    ScheduleError
        If a spec is not valid.
    CurveError
        If a run is a branch and its parent is not found.

    Warns
    -----
    DataWarning
        Of what was chosen, dropped or repaired in the logs.
    ScheduleMismatchWarning
        If logged rates disagree with the given schedule outside the warm-up.
    """
    return read_sources(
        paths,
        schedule=schedule,
        params=params,
        size=size,
        parent=parent,
        branch_step=branch_step,
        columns=column_names(step=step, loss=loss, lr=lr, loss_unit=loss_unit, bytes_per_token=bytes_per_token),
        allow_late_start=allow_late_start,
    ).curves


def read_sources(
    paths: Paths,
    *,
    schedule: Schedule | str | Mapping[str, Schedule | str] | None = None,
    params: float | str | Mapping[str, float | str] | None = None,
    size: str | Mapping[str, str] | None = None,
    parent: Mapping[str, str] | None = None,
    branch_step: Mapping[str, int] | None = None,
    columns: ColumnNames,
    allow_late_start: bool = False,
) -> Reading:
    """Read logs, with what was read of each.

    Parameters
    ----------
    paths, schedule, params, size, parent, branch_step, allow_late_start
        As for :func:`read_logs`.
    columns
        Names of the columns and unit of the loss.

    Returns
    -------
    Reading
        The runs.

    Raises
    ------
    LogError
        If a log cannot be read, or a run has no schedule.
    CurveError
        If a run is a branch and its parent is not found.
    """
    logs = logs_of(paths, loss=columns.loss)
    named = {source.run: source for source in logs}
    options = (
        ("schedule", schedule),
        ("params", params),
        ("size", size),
        ("parent", parent),
        ("branch_step", branch_step),
    )
    for option, values in options:
        unknown = [name for name in values if name not in named] if isinstance(values, Mapping) else []
        if unknown:
            raise LogError(f"{option}: there is no run {shown(unknown[0])}; runs: {listed(named, 10)}")
    sources = []
    for run, log in named.items():
        label = size.get(run, log.size) if isinstance(size, Mapping) else size or log.size
        if label is not None and not isinstance(label, str):
            raise LogError(f"size of run {run!r}: {label!r}; allowed: a label such as '25M'")
        given = schedule.get(run) if isinstance(schedule, Mapping) else schedule
        if given is not None and not isinstance(given, Schedule | str):
            raise LogError(f"schedule of run {run!r}: a {type(given).__name__}; allowed: a Schedule or its spec")
        at = None if branch_step is None else branch_step.get(run)
        if at is not None and (isinstance(at, bool) or not isinstance(at, int) or at < 1):
            raise LogError(f"branch_step of run {run!r}: {at!r}; allowed: a whole number of 1 or more")
        sources.append(
            Source(
                run=run,
                path=log.path,
                label=log.label,
                opened=log.opened,
                schedule=parse_schedule(given) if isinstance(given, str) and not lacks_length(given) else given,
                params=_params(params.get(run) if isinstance(params, Mapping) else params, label, run) or log.params,
                size=label,
                metadata=log.metadata,
                parent=None if parent is None else parent.get(run),
                branch_step=at,
            )
        )
    return curves_from_sources(sources, runs=list(named), columns=columns, allow_late_start=allow_late_start)


def manifest_in(path: Path) -> Path | None:
    """Return the manifest that a path is, or that lies in a folder.

    Parameters
    ----------
    path
        A file or folder.

    Returns
    -------
    Path or None
        The manifest; None if there is none.

    Raises
    ------
    LogError
        If the path does not exist or cannot be read.
    """
    if is_folder(path):
        own = path / "runs.csv"
        return own if own.is_file() and looks_like_manifest(own) else None
    return path if looks_like_manifest(path) else None


def column_names(
    *,
    step: str | None = None,
    loss: str | None = None,
    lr: str | None = None,
    loss_unit: str | None = None,
    bytes_per_token: float | None = None,
) -> ColumnNames:
    """Return the columns that were named, and the unit.

    Parameters
    ----------
    step, loss, lr, loss_unit, bytes_per_token
        As for :func:`read_logs`.

    Returns
    -------
    ColumnNames
        The columns.

    Raises
    ------
    LogError
        If the unit is unknown.
    """
    unit = None
    if loss_unit is not None or bytes_per_token is not None:
        unit = Unit(name=loss_unit or "bits per byte", bytes_per_token=bytes_per_token)
    return ColumnNames(step=step, loss=loss, lr=lr, unit=unit)


def _require_files(manifest: Manifest, chosen: Sequence[int]) -> None:
    """Refuse a manifest whose logs are not there."""
    for i in chosen:
        source = manifest.sources[i]
        if not is_there(source.path):
            raise ManifestError(
                f"{manifest.path}, line {manifest.lines[i]}: the file of run {source.run!r}, {source.path}, does not "
                "exist; allowed: a path relative to the manifest"
            )


def _params(given: float | str | None, size: str | None, run: str) -> float | None:
    """Return the number of parameters of a run."""
    if isinstance(given, str):
        count = parse_count(given)
        if count is None:
            raise LogError(f"params of run {run!r}: {given!r}; allowed: a positive number such as 2.5e7 or '25M'")
        return count
    return params_in_label(size) if given is None else given
