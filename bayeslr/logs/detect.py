"""Which format a log has: by its content, and for folders by what lies in them."""

from pathlib import Path

from bayeslr.errors import LogError
from bayeslr.logs.delimited import open_delimited
from bayeslr.logs.jsonlog import open_json
from bayeslr.logs.rawlog import RawLog
from bayeslr.logs.tensorboard_events import open_tensorboard
from bayeslr.logs.text import read_bytes, read_text
from bayeslr.logs.wandb_file import open_wandb

__all__ = ["open_log"]

_IN_FOLDERS = ("*tfevents*", "*.wandb", "trainer_state.json", "metrics.csv", "metrics.jsonl")
_DEPTHS = ("", "checkpoint-*/", "*/")


def open_log(path: Path) -> RawLog:
    """Open a log of any format.

    Parameters
    ----------
    path
        A file: CSV (also with tabs or semicolons), JSONL, JSON, ``trainer_state.json``, TensorBoard events or
        ``.wandb``, each also compressed by gzip except events. Or a folder of one run that holds such a file, directly
        or one level deeper.

    Returns
    -------
    RawLog
        The opened log.

    Raises
    ------
    LogError
        If there is no such file, or it is none of these formats.
    """
    if path.is_dir():
        path = _log_in_folder(path)
    if path.is_dir() or "tfevents" in path.name:
        return open_tensorboard(path)
    content = read_bytes(path)
    if content.startswith(b":W&B"):
        return open_wandb(path, content)
    text = read_text(path)
    return open_json(path, text) if text.lstrip().startswith(("{", "[")) else open_delimited(path, text)


def _log_in_folder(folder: Path) -> Path:
    """Return the log of the run whose folder this is."""
    for depth in _DEPTHS:
        for pattern in _IN_FOLDERS:
            found = sorted(folder.glob(depth + pattern))
            if "tfevents" in pattern:
                found = sorted({file.parent for file in found})
            if depth == "checkpoint-*/":
                # Each checkpoint's state holds the whole history up to it.
                found = sorted(found, key=lambda file: (len(file.parent.name), file.parent.name))[-1:]
            if len(found) > 1:
                names = ", ".join(str(file.relative_to(folder)) for file in found[:6])
                raise LogError(f"{folder}: {len(found)} logs in this folder ({names}); allowed: one, so name it")
            if found:
                return found[0]
    raise LogError(
        f"{folder}: no log in this folder; allowed: TensorBoard events, a .wandb file, trainer_state.json, metrics.csv"
    )
