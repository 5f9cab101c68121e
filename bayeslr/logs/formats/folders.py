"""What lies in a folder: one run, or the runs of a set."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bayeslr.errors import LogError
from bayeslr.logs.formats.in_folder import PRINTED, TABLES, plain_file_name
from bayeslr.logs.formats.metric_files import metric_files
from bayeslr.logs.formats.metric_tree import metric_tree
from bayeslr.logs.formats.pieces import alike, piece_files
from bayeslr.logs.formats.split_files import split_files, split_folders
from bayeslr.logs.formats.tensorboard_downloads import downloads_in

__all__ = ["log_of_run", "logs_in"]

_ONE_RUN: Final = ("*tfevents*", "*.wandb", "trainer_state.json", "metrics.csv", "metrics.jsonl")
_FILES: Final = (*TABLES, ".json", *PRINTED)
_NO_LOGS: Final = frozenset(
    {"config.json", "args.json", "params.json", "hparams.json", "requirements.txt", "license.txt"}
    | {"wandb-summary.json", "wandb-metadata.json", "debug.log", "debug-internal.log"}
)
_DEPTH: Final = 4
_MOST: Final = 5_000


def log_of_run(folder: Path) -> Path | None:
    """Return the log of the run whose folder this is.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    Path or None
        The log: a file, the folder itself if it holds event files, downloads of their scalars, MLflow's metrics or a
        table a split; None if it is no folder of a run.

    Raises
    ------
    LogError
        If it holds several of a kind.
    """
    if (folder / "metrics").is_dir() and (folder / "meta.yaml").is_file():
        return folder
    if len(split_folders(folder)) > 1 or downloads_in(folder):
        return folder
    if not any(folder.glob("*tfevents*")) and (metric_files(folder) or piece_files(folder) or metric_tree(folder)):
        return folder
    for pattern in _ONE_RUN:
        found = sorted(file for file in folder.glob(pattern) if file.is_file())
        if found and "tfevents" in pattern:
            return folder
        if len(found) > 1:
            names = ", ".join(file.name for file in found[:6])
            raise LogError(f"{folder}: {len(found)} logs in this folder ({names}); allowed: one, so name it")
        beside = [file for file in _files(folder) if file not in found and alike([file, *found])] if found else []
        if beside:
            return None  # runs of their own
        if found:
            return found[0]
    if split_files(folder):
        return folder
    # each checkpoint's state holds the whole history up to it
    states = sorted(folder.glob("checkpoint-*/trainer_state.json"), key=lambda f: (len(f.parent.name), f.parent.name))
    return states[-1] if states else None


def logs_in(folder: Path) -> dict[str, Path]:
    """Return the logs in a folder by the names of their runs.

    Parameters
    ----------
    folder
        A folder of one run, of log files, or of folders of runs.

    Returns
    -------
    dict
        One log if it is the folder of a run, under its name; else the files in it, or the runs in the folders below,
        under their names relative to it.

    Raises
    ------
    LogError
        If there is none, or there are too many.
    """
    own = log_of_run(folder)
    if own is not None:
        return {"": own}
    files = _files(folder)
    if files:
        return {file.name: file for file in files}
    found: dict[str, Path] = {}
    for name, log in _below(folder, folder, _DEPTH):
        found[name] = log
        if len(found) > _MOST:
            raise LogError(f"{folder}: more than {_MOST} logs below this folder; allowed: fewer")
    if not found:
        raise LogError(
            f"{folder}: no log in this folder; allowed: TensorBoard events, a .wandb file, trainer_state.json, "
            "metrics.csv, or CSV and JSONL files"
        )
    return {"": next(iter(found.values()))} if len(found) == 1 else found


def _children(folder: Path) -> list[Path]:
    """Return what lies directly in a folder."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as problem:
        raise LogError(f"{folder}: cannot be read ({problem.strerror}); allowed: a folder that can be read") from None


def _may_be_log(file: Path) -> bool:
    """Return whether a file's name is one of a log."""
    name = plain_file_name(file)
    return name.endswith(_FILES) and name not in _NO_LOGS and not name.startswith("readme")


def _files(folder: Path) -> list[Path]:
    """Return the files in a folder that may be logs."""
    return sorted(file for file in _children(folder) if file.is_file() and _may_be_log(file))


def _below(top: Path, folder: Path, depth: int) -> Iterator[tuple[str, Path]]:
    """Go through the folders of runs below a folder."""
    for child in _children(folder):
        if not child.is_dir() or child.is_symlink() or not depth:
            continue
        own = log_of_run(child)
        if own is not None:
            yield str(child.relative_to(top)), own
        elif files := _files(child):
            # what a program printed is no log beside a table
            tables = [file for file in files if not file.name.lower().endswith(PRINTED)] or files
            for file in tables:
                yield str((child if len(tables) == 1 else file).relative_to(top)), file
        else:
            yield from _below(top, child, depth - 1)
