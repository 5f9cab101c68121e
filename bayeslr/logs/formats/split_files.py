"""A folder with a table, or a folder, for each split of one run, such as ``train.csv`` and ``val.csv``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bayeslr.logs.columns import (
    epoch_columns,
    loss_kind,
    perplexity_columns,
    split_of,
    step_columns,
    time_columns,
)
from bayeslr.logs.formats.in_folder import TABLES, files_ending, plain_file_name
from bayeslr.logs.formats.joined import joined_log
from bayeslr.logs.rawlog import RawLog

__all__ = ["open_splits", "split_files", "split_folders"]

_BESIDE: Final = frozenset({"log", "logs", "loss", "losses", "metric", "metrics", "history", "curve", "stats"})
"""Words that a file of a split may have in its name."""


def split_files(folder: Path) -> Mapping[str, Path]:
    """Return the tables of the splits of a run.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    Mapping
        The files by their splits, training first; empty if there are other tables, or two of one split.
    """
    found: dict[str, Path] = {}
    for file in files_ending(folder, TABLES):
        words = re.split(r"[^a-z0-9]+", plain_file_name(file).rpartition(".")[0])
        named = [word for word in words if word not in _BESIDE]
        split = split_of(named[0]) if len(named) == 1 else ""
        if not split or split in found or file.name.startswith("."):
            return {}
        found[split] = file
    if len(found) < 2 or "training" not in found:
        return {}
    return {"training": found.pop("training"), **found}


def split_folders(folder: Path) -> list[Path]:
    """Return the folders of event files that a run has for its splits, such as ``train`` and ``validation``.

    Parameters
    ----------
    folder
        The folder of the run.

    Returns
    -------
    list of Path
        The folders, in the order of their names.
    """
    try:
        inside = sorted(child for child in folder.iterdir() if split_of(child.name) and child.is_dir())
    except OSError:
        return []
    inside = [child for child in inside if any(child.glob("*tfevents*"))]
    # several of a kind are runs: train-125M, train-350M
    return inside if len({split_of(child.name) for child in inside}) == len(inside) else []


def open_splits(folder: Path, logs: Mapping[str, RawLog]) -> RawLog:
    """Put the logs of the splits of a run together.

    Parameters
    ----------
    folder
        The folder.
    logs
        The opened logs by their splits, training first.

    Returns
    -------
    RawLog
        The rows of one after those of the other. Steps, epochs and times have one column; a loss has one a split, and
        so has whatever the later ones log.
    """
    named = [(raw, _names(raw, split)) for split, raw in logs.items()]
    total = next((raw.total_steps for raw in logs.values() if raw.total_steps is not None), None)
    return joined_log(folder, named, in_order=True, total_steps=total)


def _names(raw: RawLog, split: str) -> dict[str, str]:
    """Return what the columns of the log of a split are called among those of all splits."""
    shared = {*step_columns(raw.columns), *epoch_columns(raw.columns), *time_columns(raw.columns)}
    found = {}
    for column in raw.columns:
        said = loss_kind(column)
        plain = said == "plain" or (not said and not split_of(column) and bool(perplexity_columns([column])))
        other = split != "training" and column not in shared and said == ""
        found[column] = f"{split}/{column}" if plain or other else column
    return found
