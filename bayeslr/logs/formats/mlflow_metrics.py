"""MLflow's local store: a folder ``metrics`` with one file per metric, each line ``timestamp value step``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bayeslr.errors import LogError
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.limits import MAX_COLUMNS
from bayeslr.logs.rawlog import Chunk, RawLog

__all__ = ["open_mlflow"]


def open_mlflow(folder: Path) -> RawLog:
    """Open the metrics of a run.

    Parameters
    ----------
    folder
        The folder of the run, with ``meta.yaml`` and ``metrics``.

    Returns
    -------
    RawLog
        One row per value; columns ``step``, ``timestamp`` and the metrics.

    Raises
    ------
    LogError
        If there are no metrics.
    """
    top = folder / "metrics"
    files = {str(file.relative_to(top)): LogFile(path=file) for file in sorted(top.rglob("*")) if file.is_file()}
    if not files or len(files) > MAX_COLUMNS:
        raise LogError(f"{folder}: {len(files)} metrics; allowed: 1 to {MAX_COLUMNS}")
    notes: list[str] = []

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        chosen = [name for name in wanted if name in files] or list(files)
        rows: list[tuple[str, str, str, str]] = []
        for name in chosen:
            for number, line, _ in files[name].lines():
                values = line.split()
                if len(values) == 3:
                    rows.append((name, values[0], values[1], values[2]))
                elif values:
                    notes.append(f"{name}, line {number} has {len(values)} values, not 3: left out")
        order = np.argsort(np.array([float(time) if time.isdigit() else 0.0 for _, time, _, _ in rows]), kind="stable")
        cells: dict[str, Sequence[object]] = {}
        for name in wanted:
            which = {"timestamp": 1, "step": 3}.get(name)
            cells[name] = [rows[i][which] if which else rows[i][2] if rows[i][0] == name else None for i in order]
        yield np.arange(1, len(rows) + 1), cells

    names = tuple(dict.fromkeys(["step", "timestamp", *files]))
    return RawLog(path=str(folder), columns=names, chunks=chunks, unit="value", notes=notes)
