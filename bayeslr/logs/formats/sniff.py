"""Which format a log has: by its content, and for folders by what lies in them."""

import re
from pathlib import Path

from bayeslr.errors import LogError
from bayeslr.files import is_folder
from bayeslr.logs.columns import loss_columns, perplexity_columns, step_columns
from bayeslr.logs.formats.console import is_console_output, open_console
from bayeslr.logs.formats.delimited import header_of, is_separated, open_delimited
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.formats.folders import logs_in
from bayeslr.logs.formats.json_log import has_json_in_lines, open_json
from bayeslr.logs.formats.json_messages import messages_in
from bayeslr.logs.formats.mlflow_metrics import open_mlflow
from bayeslr.logs.formats.split_files import open_splits, split_files
from bayeslr.logs.formats.tensorboard_downloads import downloads_in, open_downloads
from bayeslr.logs.formats.tensorboard_events import open_tensorboard
from bayeslr.logs.formats.wandb_file import open_wandb
from bayeslr.logs.limits import listed, shown
from bayeslr.logs.rawlog import RawLog

__all__ = ["looks_like_manifest", "open_log"]

_LOOKED_AT = 500
_MANY_LINES = 2_000_000
_LIST = re.compile(r"\[\s*(?:[{\[\]\"-]|\d+(?:\.\d+)?\s*(?:,|\](?![ \t]*[A-Za-z])))")


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
    if is_folder(path):
        if downloads_in(path):
            return open_downloads(path)
        if not any(path.glob("*tfevents*")) and (files := split_files(path)):
            return open_splits(path, {split: open_log(file) for split, file in files.items()})
        return open_mlflow(path) if (path / "metrics").is_dir() else open_tensorboard(path)
    if "tfevents" in path.name:
        return open_tensorboard(path)
    file = LogFile(path=path)
    if file.head(4).startswith(b":W&B"):
        return open_wandb(file)
    start = file.head().decode(file.encoding(), "replace").lstrip()
    if (start.startswith("{") and not start.startswith("{'")) or _LIST.match(start):
        return _open_json(file)
    if has_json_in_lines(file, 200):
        return _open_json(file)
    header = header_of(file)
    separated = is_separated(file)
    table = not _is_of_pairs(header)
    if table and separated and step_columns(header) and loss_columns(header):
        return open_delimited(file)
    if is_console_output(file, _LOOKED_AT):
        return open_console(file)
    if table and (step_columns(header) or loss_columns(header)):
        return open_delimited(file)
    # A header of other names is a table, and free text is not; a trainer's lines may follow a long preamble.
    if has_json_in_lines(file, _MANY_LINES):
        return open_json(file)
    if is_console_output(file, _MANY_LINES):
        return open_console(file)
    if not table or _is_free_text(header, separated):
        damage = "".join(f"; {note}" for note in file.notes[:1])
        raise LogError(
            f"{path}: no table, and no lines of a trainer that is known (it begins with "
            f"{shown(header[0], 50)}{damage}); allowed: CSV, JSONL, trainer_state.json, console output of a trainer"
        )
    return open_delimited(file)


def _open_json(file: LogFile) -> RawLog:
    """Open JSON, or the console output that is in its messages or below it."""
    messages = None if file.head(1) == b"[" else messages_in(file)
    if messages is not None:
        return open_console(messages)
    # what is found damaged counts only where this is the format
    output = LogFile(path=file.path)
    try:
        raw = open_json(file)
    except LogError:
        if is_console_output(output, _LOOKED_AT):
            return open_console(output)
        raise
    # a program may print its settings as JSON before it trains
    has_loss = loss_columns(raw.columns) or perplexity_columns(raw.columns)
    return open_console(output) if not has_loss and is_console_output(output, _LOOKED_AT) else raw


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


def _is_of_pairs(header: tuple[str, ...]) -> bool:
    """Return whether a first line has a number after each name, as ``step 20 loss 3.69`` has."""
    numbers = [re.match(r"[-+.]?\d", name) is not None for name in header]
    return len(header) > 2 and not any(numbers[::2]) and all(numbers[1::2])


def _is_free_text(header: tuple[str, ...], separated: bool) -> bool:
    """Return whether a first line is prose or program text rather than the names of columns."""
    words = [len(name.split()) for name in header]
    said = sum(re.search(r"[A-Za-z]\w*\s*[:= ]\s*[-+]?\d", name) is not None for name in header)
    if len(header) < 2 or max(words) > 6 or 2 * said >= len(header):
        return True
    # names that are separated by spaces alone are words of a sentence unless one of them is known
    return not separated or any(re.search(r"[(){}<>\"']\S", name) for name in header)
