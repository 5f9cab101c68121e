"""The two ways in: a manifest with many runs, or logs directly."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from bayeslr.curves import CurveSet
from bayeslr.curves.counts import params_in_label, parse_count
from bayeslr.curves.selection import matching_rows
from bayeslr.errors import LogError, ManifestError
from bayeslr.logs.manifest import Manifest, looks_like_manifest, parse_manifest
from bayeslr.logs.sources import ColumnNames, Source, curves_from_sources
from bayeslr.logs.text import read_text
from bayeslr.schedules import Schedule, parse_schedule

__all__ = ["read_curves", "read_logs"]


def read_curves(
    path: str | PathLike[str],
    *,
    where: str | None = None,
    loss: str | None = None,
    step: str | None = None,
    lr: str | None = None,
    allow_late_start: bool = False,
) -> CurveSet:
    """Read the runs of a manifest (see :mod:`bayeslr.logs.manifest`), or a single log.

    Parameters
    ----------
    path
        The manifest. A file that is none is read as the log of one run, as by :func:`read_logs`.
    where
        Query that selects runs, over the columns of the manifest and ``total_steps`` and ``peak_lr`` of its schedules:
        ``"split == 'train' and size == '25M'"``, see :mod:`bayeslr.curves.query`. Default: all runs. Parents are looked
        for among all runs.
    loss, step, lr
        Names of the columns in the logs. Default: found by name, see :mod:`bayeslr.logs.columns`.
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
    manifest_path = Path(path)
    text = _manifest_text(manifest_path)
    if text is None:
        if where is not None:
            raise ManifestError(
                f"{path}: `where` is {where!r}, but this is no manifest; allowed: a CSV with run and file"
            )
        return read_logs(manifest_path, loss=loss, step=step, lr=lr, allow_late_start=allow_late_start)
    manifest = parse_manifest(text, manifest_path)
    chosen = list(range(len(manifest.sources)))
    if where is not None:
        rows = matching_rows(manifest.table(), where, error=ManifestError, where=str(path))
        chosen = [i for i in chosen if rows[i]]
    _require_files(manifest, chosen)
    return curves_from_sources(
        manifest.sources,
        runs=[manifest.sources[i].run for i in chosen],
        columns=ColumnNames(step=step, loss=loss, lr=lr),
        allow_late_start=allow_late_start,
    )


def read_logs(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]] | Mapping[str, str | PathLike[str]],
    *,
    schedule: Schedule | str | Mapping[str, Schedule | str] | None = None,
    params: float | str | Mapping[str, float | str] | None = None,
    size: str | Mapping[str, str] | None = None,
    parent: Mapping[str, str] | None = None,
    loss: str | None = None,
    step: str | None = None,
    lr: str | None = None,
    allow_late_start: bool = False,
) -> CurveSet:
    """Read logs of any format that :func:`bayeslr.logs.detect.open_log` knows, one a run.

    Parameters
    ----------
    paths
        A log, several, or several by the names of their runs. Without names a run is called like its file or folder.
    schedule
        The schedule, or its spec, of all runs or by name. Default: the rates logged in each file.
    params
        Number of non-embedding parameters (``2.5e7`` or ``"25M"``) of all runs or by name. Default: what ``size`` says
        if it reads as a number with a suffix; else unknown.
    size
        Label of the model size of all runs or by name. Default: none.
    parent
        Names of the runs that others were branched off, by name. Default: found where it is needed.
    loss, step, lr
        Names of the columns. Default: found by name, see :mod:`bayeslr.logs.columns`.
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
    named = _named(paths)
    for option, values in (("schedule", schedule), ("params", params), ("size", size), ("parent", parent)):
        unknown = [name for name in values if name not in named] if isinstance(values, Mapping) else []
        if unknown:
            raise LogError(f"{option}: there is no run {unknown[0]!r}; runs: {', '.join(list(named)[:10])}")
    sources = []
    for run, path in named.items():
        label = size.get(run) if isinstance(size, Mapping) else size
        if label is not None and not isinstance(label, str):
            raise LogError(f"size of run {run!r}: {label!r}; allowed: a label such as '25M'")
        given = schedule.get(run) if isinstance(schedule, Mapping) else schedule
        if given is not None and not isinstance(given, Schedule | str):
            raise LogError(f"schedule of run {run!r}: a {type(given).__name__}; allowed: a Schedule or its spec")
        sources.append(
            Source(
                run=run,
                path=path,
                schedule=parse_schedule(given) if isinstance(given, str) else given,
                params=_params(params.get(run) if isinstance(params, Mapping) else params, label, run),
                size=label,
                parent=None if parent is None else parent.get(run),
            )
        )
    return curves_from_sources(
        sources,
        runs=list(named),
        columns=ColumnNames(step=step, loss=loss, lr=lr),
        allow_late_start=allow_late_start,
    )


def _manifest_text(path: Path) -> str | None:
    """Return the text of a manifest; None if the path is something else."""
    if path.is_dir() or "tfevents" in path.name or path.suffix == ".wandb":
        return None
    text = read_text(path)
    if text.lstrip().startswith(("{", "[")) or not looks_like_manifest(text, path):
        return None
    return text


def _require_files(manifest: Manifest, chosen: Sequence[int]) -> None:
    """Refuse a manifest whose logs are not there."""
    for i in chosen:
        source = manifest.sources[i]
        if not source.path.exists():
            raise ManifestError(
                f"{manifest.path}, line {manifest.lines[i]}: the file of run {source.run!r}, {source.path}, does not "
                "exist; allowed: a path relative to the manifest"
            )


def _named(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]] | Mapping[str, str | PathLike[str]],
) -> dict[str, Path]:
    """Return the logs by the names of their runs."""
    if isinstance(paths, Mapping):
        named = {name: Path(path) for name, path in paths.items()}
    else:
        logs = [Path(path) for path in ([paths] if isinstance(paths, str | PathLike) else paths)]
        names = [_stem(log) for log in logs]
        if len(set(names)) < len(names):
            names = [f"{log.parent.name}/{name}" for log, name in zip(logs, names, strict=True)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise LogError(
                f"{names.count(twice)} logs would be called {twice!r}; allowed: a mapping from names to paths"
            )
        named = dict(zip(names, logs, strict=True))
    if not named:
        raise LogError("there are no logs; allowed: at least one path")
    return named


def _stem(path: Path) -> str:
    """Return the name of a file without its suffixes, or of a folder."""
    path = path.resolve() if path.name in ("", "..") else path
    return path.name if path.is_dir() else Path(path.name.removesuffix(".gz")).stem


def _params(given: float | str | None, size: str | None, run: str) -> float | None:
    """Return the number of parameters of a run."""
    if isinstance(given, str):
        count = parse_count(given)
        if count is None:
            raise LogError(f"params of run {run!r}: {given!r}; allowed: a positive number such as 2.5e7 or '25M'")
        return count
    return params_in_label(size) if given is None else given
