"""Which format a log file has: by its content."""

import re
from pathlib import Path

from bayeslr.errors import LogError
from bayeslr.logs.columns import loss_columns, perplexity_columns, step_columns
from bayeslr.logs.formats.console import is_console_output, open_console
from bayeslr.logs.formats.delimited import header_of, is_separated, open_delimited
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.formats.json_log import has_json_in_lines, open_json
from bayeslr.logs.formats.json_messages import messages_in
from bayeslr.logs.formats.tensorboard_events import open_tensorboard
from bayeslr.logs.formats.wandb_file import open_wandb
from bayeslr.logs.limits import shown
from bayeslr.logs.rawlog import RawLog

__all__ = ["open_file"]

_LOOKED_AT = 500
_MANY_LINES = 2_000_000
_COMMA = re.compile(r"(?i)\bloss\s*[:=]?\s*\d+,\d+")
_LIST = re.compile(r"\[\s*(?:[{\[\]\"-]|\d+(?:\.\d+)?\s*(?:,|\](?![ \t]*[A-Za-z])))")


def open_file(path: Path) -> RawLog:
    """Open a file of any format.

    Parameters
    ----------
    path
        The file, as for :func:`bayeslr.logs.formats.open_log`.

    Returns
    -------
    RawLog
        The opened log.

    Raises
    ------
    LogError
        If there is no such file, or it is none of the formats.
    """
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
    if (comma := _COMMA.search(start)) is not None and _is_free_text(header, separated):
        raise LogError(f"{path}: {shown(comma[0], 40)} has a decimal comma; allowed: a decimal point")
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
