"""A folder with a table for each quantity of one run, in folders by their names: ``plots/metrics/train/loss.tsv``.

DVCLive writes such folders, and programs that download the series of Neptune.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from bayeslr.errors import LogError
from bayeslr.logs.columns import loss_kind, split_of, step_columns, time_columns
from bayeslr.logs.formats.delimited import header_of, open_delimited
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.formats.in_folder import DELIMITED, plain_file_name
from bayeslr.logs.formats.joined import joined_log
from bayeslr.logs.rate_names import rate_columns
from bayeslr.logs.rawlog import RawLog

__all__ = ["metric_tree", "open_metric_tree"]

_AROUND: Final = frozenset({"dvclive", "plots", "metrics", "series", "scalars", "charts"})
"""Folders around the quantities that are no part of their names."""
_GROUPS: Final = frozenset({"optim", "optimizer", "optimiser", "lr", "loss", "losses", "lr_scheduler", "monitoring"})
_DEPTH: Final = 5
_MOST: Final = 200


def metric_tree(folder: Path) -> Mapping[str, Path]:
    """Return the tables of the quantities of one run that lie in folders below its own.

    Parameters
    ----------
    folder
        The folder of the run.

    Returns
    -------
    Mapping
        The tables by the names of their quantities (``train/loss``); empty unless each has steps and one more column,
        and there is one of a loss, and one of a rate where not all lie in DVCLive's ``plots``.
    """
    found: dict[str, Path] = {}
    plots = True
    for file in _tables(folder, _DEPTH):
        parts = file.relative_to(folder).parts
        kept = [part for part in parts[:-1] if part.lower() not in _AROUND]
        name = "/".join([*kept, plain_file_name(file).rpartition(".")[0]])
        if name in found or len(found) >= _MOST or len(parts) < 2:
            return {}
        found[name] = file
        plots = plots and "plots" in parts
    if not any(map(loss_kind, found)) or not (plots or rate_columns(list(found))):
        return {}
    return found if all(_value(file) for file in found.values()) else {}


def open_metric_tree(folder: Path, files: Mapping[str, Path]) -> RawLog:
    """Put the tables of several quantities together.

    Parameters
    ----------
    folder
        The folder of the run.
    files
        The tables by the names of their quantities.

    Returns
    -------
    RawLog
        With a column for each quantity.
    """
    named = []
    for name, file in files.items():
        raw = open_delimited(LogFile(path=file))
        named.append((raw, {step_columns(raw.columns)[0]: "step", _value(file): name}))
    return joined_log(folder, named)


def _tables(folder: Path, depth: int) -> Iterator[Path]:
    """Go through the tables below a folder, as far as the names of folders are those of groups of quantities."""
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return
    for child in children:
        known = child.name.lower() in _AROUND | _GROUPS or split_of(child.name)
        if known and depth and child.is_dir() and not child.is_symlink():
            yield from _tables(child, depth - 1)
        elif plain_file_name(child).endswith(DELIMITED) and child.is_file():
            yield child


def _value(file: Path) -> str:
    """Return the column of a table that has steps and one quantity; nothing of any other."""
    try:
        columns = header_of(LogFile(path=file))
    except LogError:
        return ""
    counted = {*step_columns(columns), *time_columns(columns)}
    others = [name for name in columns if name not in counted]
    return others[0] if len(others) == 1 and step_columns(columns) else ""
