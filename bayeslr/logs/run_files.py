"""The runs in files and folders: a folder is a set of runs, and so is a table with several."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from os import PathLike
from pathlib import Path

from bayeslr.errors import PACKAGE, DataWarning, LogError
from bayeslr.files import is_folder
from bayeslr.logs.columns import loss_columns, perplexity_columns, step_columns
from bayeslr.logs.formats import looks_like_manifest, open_found, open_log
from bayeslr.logs.formats.folders import logs_in
from bayeslr.logs.formats.in_folder import TABLES
from bayeslr.logs.layout import layout_of
from bayeslr.logs.limits import listed
from bayeslr.logs.model_sizes import settings_in
from bayeslr.logs.rawlog import RawLog
from bayeslr.logs.run_names import arranged
from bayeslr.logs.sources import Source

__all__ = ["Paths", "logs_of"]

_OF_ITS_FOLDER = ("metrics.csv", "metrics.jsonl")

type Paths = str | PathLike[str] | Sequence[str | PathLike[str]] | Mapping[str, str | PathLike[str]]


def logs_of(paths: Paths, *, loss: str | None = None) -> list[Source]:
    """Return the runs of some paths, opened.

    Parameters
    ----------
    paths
        As for :func:`read_logs`.
    loss
        The column of the loss if the user named it.

    Returns
    -------
    list of Source
        One a run, with different names.

    Raises
    ------
    LogError
        If there is no log, one cannot be opened, or two runs would have one name.
    """
    given: list[tuple[str | None, Path]]
    if isinstance(paths, Mapping):
        given = [(name, Path(path)) for name, path in paths.items()]
    else:
        given = [(None, Path(path)) for path in ([paths] if isinstance(paths, str | PathLike) else paths)]
    if not given:
        raise LogError("there are no logs; allowed: at least one path")
    if all(name is None for name, _ in given):
        names = [_stem(path) for _, path in given]
        if len(set(names)) < len(names):
            names = [f"{path.parent.name}/{name}" for (_, path), name in zip(given, names, strict=True)]
    else:
        names = [str(name) for name, _ in given]
    sources: list[Source] = []
    for name, (said, path) in zip(names, given, strict=True):
        sources += _runs_of(name, path, loss, alone=len(given) == 1 and said is None)
    runs = [source.run for source in sources]
    twice = next((name for name in runs if runs.count(name) > 1), None)
    if twice is not None:
        raise LogError(f"{runs.count(twice)} logs would be called {twice!r}; allowed: a mapping from names to paths")
    return sources


def _runs_of(name: str, path: Path, loss: str | None, *, alone: bool) -> list[Source]:
    """Return the runs of one path, called by their own names where it is the only one."""
    logs = logs_in(path) if is_folder(path) else {"": path}
    read = set(logs.values())
    for log in read if is_folder(path) else ():
        _say_beside(log, read, loss)
    if len(logs) == 1 and "" in logs:
        return _opened(name, path if is_folder(path) else logs[""], logs[""], loss, alone=alone)
    found: list[Source] = []
    skipped: list[str] = []
    stems = [Path(inner.removesuffix(".gz")).stem if logs[inner].is_file() else inner for inner in logs]
    for inner, stem in zip(logs, stems, strict=True):
        own = stem if stems.count(stem) == 1 and logs[inner].parent == path else inner
        beside = [other for other in logs.values() if other.parent == logs[inner].parent]
        if logs[inner].is_file() and (logs[inner].parent == path or len(beside) > 1) and not _is_log(logs[inner], loss):
            skipped.append(inner)
            continue
        found += _opened(own if alone else f"{name}/{own}", logs[inner], logs[inner], loss, alone=False)
    if not found:
        raise LogError(
            f"{path}: none of its {len(skipped)} files ({listed(skipped, 4)}) is a log with steps and losses"
        )
    if skipped:
        warnings.warn(
            f"{path}: {len(skipped)} files are no logs ({listed(skipped, 4)}): left out",
            DataWarning,
            skip_file_prefixes=(PACKAGE,),
        )
    return found


def _opened(name: str, path: Path, file: Path, loss: str | None, *, alone: bool) -> list[Source]:
    """Open a log and return its runs."""
    raw = arranged(open_found(file), loss=loss)
    layout = layout_of(raw, loss=loss)
    if len(layout.runs) <= 1:
        return [Source(run=name, path=path, opened=raw, label=layout.runs[0] if layout.runs else None)]
    if name in layout.runs:
        return [Source(run=name, path=path, opened=raw, label=name)]
    settings = settings_in(raw, layout)
    return [
        Source(
            run=run if alone else f"{name}/{run}",
            path=path,
            opened=raw,
            label=run,
            size=settings[run].size,
            params=settings[run].params,
            metadata=settings[run].metadata,
        )
        for run in layout.runs
    ]


def _say_beside(log: Path, read: Collection[Path], loss: str | None) -> None:
    """Say which tables of losses lie beside the one that is read for its folder."""
    if log.name not in _OF_ITS_FOLDER:
        return
    tables = [file for file in sorted(log.parent.glob("*")) if file not in read and file.name.endswith(TABLES)]
    beside = [file.name for file in tables if file.is_file() and _is_log(file, loss)]
    if beside:
        warnings.warn(
            f"{log.parent}: {log.name} is read, and {listed(beside, 4)} beside it, with losses, too, left out",
            DataWarning,
            skip_file_prefixes=(PACKAGE,),
        )


def _is_log(path: Path, loss: str | None) -> bool:
    """Return whether a file of a folder is a log: a table with steps and a loss."""
    try:
        raw: RawLog = arranged(open_log(path), loss=loss)
    except LogError:
        return not path.name.lower().removesuffix(".gz").endswith((".json", ".txt", ".out", ".log"))
    columns = raw.columns
    has_loss = loss in columns if loss else bool(loss_columns(columns) or perplexity_columns(columns))
    return has_loss and bool(step_columns(columns)) and not (path.suffix == ".csv" and looks_like_manifest(path))


def _stem(path: Path) -> str:
    """Return the name of a file without its suffixes, or of a folder."""
    path = path.resolve() if path.name in ("", "..") else path
    return path.name if is_folder(path) else Path(path.name.removesuffix(".gz")).stem
