"""A folder with the logs of one run that was resumed, each of which goes on from the one before."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import LogError
from bayeslr.logs.columns import losses_in_order, step_columns
from bayeslr.logs.formats.in_folder import PRINTED, TABLES, files_ending, plain_file_name
from bayeslr.logs.formats.joined import joined_log
from bayeslr.logs.formats.one_file import open_file
from bayeslr.logs.limits import listed
from bayeslr.logs.rate_names import rate_columns
from bayeslr.logs.rawlog import RawLog

__all__ = ["alike", "open_pieces", "piece_files"]

_NUMBERED: Final = re.compile(r"part|piece|resumed?|restart(ed)?|cont(inued?)?|job|version|v|r|attempt|[\d\W_]+")
"""What the names of the pieces of a run differ in."""
_MOST: Final = 50
_GAP: Final = 3
"""Logging intervals that may lie between two pieces."""
_SAME_RATE: Final = 0.01
_SAME_LOSS: Final = 0.02
"""How far, as a share, rates and losses of two pieces may be apart at the steps that both have."""


def alike(files: Sequence[Path]) -> bool:
    """Return whether the names of files differ in numbers only, or in words such as ``part`` and ``resumed``.

    Parameters
    ----------
    files
        The files.

    Returns
    -------
    bool
        True if they do.
    """
    names = [plain_file_name(file).rpartition(".") for file in files]
    return len({(_key(stem), suffix) for stem, _, suffix in names}) == 1


def _key(stem: str) -> str:
    words = re.findall(r"[a-z]+|[^a-z]+", stem)
    return " ".join(word for word in words if _NUMBERED.fullmatch(word) is None)


def piece_files(folder: Path) -> list[Path]:
    """Return the logs of the pieces of a run.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    list of Path
        The files in the order of their steps; none unless all logs in the folder are pieces of one run.
    """
    files = _candidates(folder)
    if not 2 <= len(files) <= _MOST or not alike(files):
        return []
    pieces: list[_Piece] = []
    for file in files:
        try:
            piece = _piece(file)
        except LogError:
            return []
        if piece is None or (piece.begins and any(other.begins for other in pieces)):
            return []  # two from the beginning are two runs
        pieces.append(piece)
    pieces.sort(key=lambda piece: piece.start)
    whole = all(_goes_on(earlier, later) for earlier, later in pairwise(pieces))
    return [piece.file for piece in pieces] if whole else []


def open_pieces(folder: Path, files: Sequence[Path]) -> RawLog:
    """Put the pieces of a run together.

    Parameters
    ----------
    folder
        The folder.
    files
        The logs, in the order of their steps.

    Returns
    -------
    RawLog
        The rows of one after those of the other, with a note that says so.
    """
    opened = [open_file(file) for file in files]
    names = [str(file.relative_to(folder)) for file in files]
    notes = [f"{listed(names, 6)} are pieces of one run, each of which goes on from the one before: read as one run"]
    named = [(raw, {name: name for name in raw.columns}) for raw in opened]
    return joined_log(folder, named, notes, in_order=True, total_steps=opened[-1].total_steps)


def _candidates(folder: Path) -> list[Path]:
    """Return the tables in a folder, what was printed where there are none, or those of Lightning's versions."""
    for endings in (TABLES, PRINTED):
        files = [file for file in files_ending(folder, endings) if file.name[0] != "." and file.is_file()]
        if files:
            return files
    return sorted(folder.glob("version_*/metrics.csv"))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Piece:
    """What one log says of where it begins and ends."""

    file: Path
    steps: NDArray[np.float64]
    rates: dict[float, float]
    losses: dict[float, float]

    @property
    def start(self) -> float:
        return float(self.steps[0])

    @property
    def interval(self) -> float:
        return float(np.median(np.diff(self.steps)))

    @property
    def begins(self) -> bool:
        """True if this can be the beginning of a run."""
        return self.start <= 2 * self.interval


def _piece(file: Path) -> _Piece | None:
    """Return the piece in a file; None if it is none whose steps rise."""
    raw = open_file(file)
    steps = [name for name in step_columns(raw.columns) if name != "_step"][:1]
    losses, rates = losses_in_order(raw.columns), rate_columns(raw.columns)[:1]
    if not steps or not losses:
        return None
    cells = raw.read([*steps, *losses, *rates])
    at = np.full(cells.numbers.size, np.nan)
    at[cells.columns[steps[0]].rows] = cells.columns[steps[0]].values
    loss = max(losses, key=lambda name: cells.columns[name].values.size)
    own = at[cells.columns[loss].rows]
    own = own[np.isfinite(own)]
    if own.size < 3 or (np.diff(own) <= 0).any():
        return None

    def by_step(name: str) -> dict[float, float]:
        column = cells.columns[name]
        return dict(zip(at[column.rows].tolist(), column.values.tolist(), strict=True))

    return _Piece(file=file, steps=own, rates=by_step(rates[0]) if rates else {}, losses=by_step(loss))


def _goes_on(earlier: _Piece, later: _Piece) -> bool:
    """Return whether a piece goes on from another, with the same rates and losses where both have some."""
    gap = _GAP * max(earlier.interval, later.interval)
    if (
        later.begins
        or not earlier.start < later.start <= earlier.steps[-1] + gap
        or later.steps[-1] <= earlier.steps[-1]
    ):
        return False
    return _same(earlier.rates, later.rates, _SAME_RATE) and _same(earlier.losses, later.losses, _SAME_LOSS)


def _same(one: dict[float, float], other: dict[float, float], apart: float) -> bool:
    """Return whether two histories are the same at the steps that both have."""
    both = [(one[step], other[step]) for step in one.keys() & other.keys()]
    both = [(mine, theirs) for mine, theirs in both if np.isfinite(mine) and np.isfinite(theirs)]
    return not both or float(np.median([abs(a - b) / max(abs(a), abs(b), 1e-12) for a, b in both])) <= apart
