"""Which format a log has: a file by its content, and a folder by what lies in it."""

from pathlib import Path

from bayeslr.errors import LogError
from bayeslr.files import is_folder
from bayeslr.logs.formats.delimited import header_of
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.formats.folders import logs_in
from bayeslr.logs.formats.metric_files import metric_files, open_metrics
from bayeslr.logs.formats.metric_tree import metric_tree, open_metric_tree
from bayeslr.logs.formats.mlflow_metrics import open_mlflow
from bayeslr.logs.formats.one_file import open_file
from bayeslr.logs.formats.pieces import open_pieces, piece_files
from bayeslr.logs.formats.split_files import open_splits, split_files
from bayeslr.logs.formats.tensorboard_downloads import downloads_in, open_downloads
from bayeslr.logs.formats.tensorboard_events import open_tensorboard
from bayeslr.logs.limits import listed
from bayeslr.logs.rawlog import RawLog

__all__ = ["looks_like_manifest", "open_found", "open_log"]


def open_log(path: Path) -> RawLog:
    """Open a log of any format.

    Parameters
    ----------
    path
        A file: CSV (also with tabs, semicolons or spaces), JSONL, JSON, ``trainer_state.json``, a console log,
        TensorBoard events or ``.wandb``, each also compressed by gzip except events. Or a folder of one run that holds
        such a file, directly or one level deeper.

    Returns
    -------
    RawLog
        The opened log.

    Raises
    ------
    LogError
        If there is no such file, or it is none of these formats.
    """
    if is_folder(path):
        logs = logs_in(path)
        if len(logs) > 1:
            raise LogError(f"{path}: {len(logs)} logs in this folder ({listed(logs, 4)}); allowed: one, so name it")
        path = next(iter(logs.values()))
    return open_found(path)


def open_found(path: Path) -> RawLog:
    """Open a log that :func:`logs_in` has found, without looking for it again.

    Parameters
    ----------
    path
        A file, or the folder that is the log of one run.

    Returns
    -------
    RawLog
        The opened log.

    Raises
    ------
    LogError
        As :func:`open_log`.
    """
    if is_folder(path):
        if downloads_in(path):
            return open_downloads(path)
        if not any(path.glob("*tfevents*")):
            if files := split_files(path):
                return open_splits(path, {split: open_file(file) for split, file in files.items()})
            if metrics := metric_files(path):
                return open_metrics(path, metrics)
            if pieces := piece_files(path):
                return open_pieces(path, pieces)
            if tree := metric_tree(path):
                return open_metric_tree(path, tree)
        return open_mlflow(path) if (path / "metrics").is_dir() else open_tensorboard(path)
    return open_file(path)


def looks_like_manifest(path: Path) -> bool:
    """Return whether a file is meant as a manifest, complete or not.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    bool
        True if its header names a manifest's columns and no step.

    Raises
    ------
    LogError
        If there is no such file, or it is no text.
    """
    if is_folder(path) or "tfevents" in path.name or path.suffix == ".wandb":
        return False
    file = LogFile(path=path)
    if file.head(4).startswith(b":W&B") or file.head(4096).decode(file.encoding(), "replace").lstrip()[:1] in "{[":
        return False
    names = {column.lower() for column in header_of(file)}
    if {"run", "file"} <= names:
        return True
    return bool(names & {"run", "file", "schedule"}) and not names & {"step", "_step", "loss"}
