"""A manifest from logs: what was found in each, and what has to be checked or filled in."""

import csv
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from typing import Final

from bayeslr.curves.branches import RawRun, join_branches, logging_interval, starts_late
from bayeslr.errors import BayeslrError, CurveError, LogError
from bayeslr.logs.compared import mixed_kinds, odd_peaks, other_units, own_steps
from bayeslr.logs.limits import listed
from bayeslr.logs.model_sizes import sizes_in_name, unclear_size
from bayeslr.logs.run_files import Paths, logs_of
from bayeslr.logs.sources import ColumnNames, Source, read_run
from bayeslr.logs.summary import RunRead
from bayeslr.logs.tidy import AS_DOCUMENTED, TidyLog

__all__ = ["Draft", "draft"]

_SETUP: Final = ("batch_size", "weight_decay")
_COLUMNS: Final = (
    *("run", "file", "size", "params", *_SETUP, "schedule", "parent", "loss_column", "rate_column"),
    *("total_steps", "warmup_steps", "peak_lr"),
)
_NAMED: Final = 3
"""So many runs or sizes are named of which the same has to be checked."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A manifest that has not been written yet.

    Parameters
    ----------
    rows
        Its rows, by column.
    read
        What was read of each run.
    checks
        What has to be checked or filled in, one sentence each.
    """

    rows: tuple[dict[str, str], ...]
    read: tuple[RunRead, ...]
    checks: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Write the manifest.

        Parameters
        ----------
        path
            The file.
        """
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=_COLUMNS, lineterminator="\n", restval="")
            writer.writeheader()
            writer.writerows(self.rows)


def draft(paths: Paths, *, folder: Path, columns: ColumnNames) -> Draft:
    """Draw up a manifest of logs.

    Parameters
    ----------
    paths
        Files and folders, as for :func:`bayeslr.logs.read_logs`.
    folder
        The folder of the manifest; its files are relative to it.
    columns
        Names of the columns and unit of the loss.

    Returns
    -------
    Draft
        The manifest. A log that cannot be read is left out, and a check says why.

    Raises
    ------
    LogError
        If none can be read.
    """
    checks: list[str] = []
    of_runs: dict[str, list[str]] = {}
    logs: dict[str, TidyLog] = {}
    runs: dict[str, RawRun | None] = {}
    kept: dict[str, Source] = {}
    notes: dict[str, tuple[str, ...]] = {}
    problem: BayeslrError | None = None
    for source in logs_of(paths, loss=columns.loss):
        try:
            log, raw, said = read_run(source, columns)
        except BayeslrError as error:
            problem = problem or error
            checks.append(f"{source.run} is left out: {error.args[0]}")
            continue
        logs[source.run], runs[source.run], kept[source.run] = log, raw, source
        notes[source.run] = said
        for text in said:
            if AS_DOCUMENTED not in text:
                of_runs.setdefault(text, []).append(source.run)
    if not logs:
        raise problem or LogError("there are no logs; allowed: at least one path")

    parents = _parents({name: run for name, run in runs.items() if run is not None}, checks)
    rows, read = [], []
    for name, source in kept.items():
        log, run = logs[name], runs[name]
        found = RunRead.of(name, log, run, parent=parents.get(name), notes=notes[name])
        read.append(found)
        rows.append(_row(source, log, found, folder))
        if run is None:
            of_runs.setdefault("no rates are logged: fill in the schedule", []).append(name)
        elif log.total_steps is not None and abs(log.total_steps - found.total_steps) > logging_interval(log.steps):
            checks.append(
                f"{name}: planned for {log.total_steps} updates, logged up to {found.total_steps}: if it has not "
                "ended, give its schedule"
            )
    checks += [f"{listed(names, _NAMED)}: {text}" for text, names in of_runs.items()]
    several = {name: said_sizes for name in kept if len(said_sizes := sizes_in_name(name)) > 1}
    if several:
        first = next(iter(several))
        checks.append(
            f"{first}: the name says {' and '.join(several[first])}: fill in the size, and params without embeddings"
        )
    unclear = {name: unclear_size(name) for name, source in kept.items() if source.size is None and unclear_size(name)}
    if unclear:
        first = next(iter(unclear))
        checks.append(f"{first}: {unclear[first]} in the name may be tokens: fill in the size if it is one")
    named = [row["size"] for row in rows if row["size"] and kept[row["run"]].size is None]
    if named:
        checks.append(f"sizes are taken from names ({named[0]}): params has to be without embeddings")
    unknown = list(dict.fromkeys(row["size"] for row in rows if row["size"] and not row["params"]))
    if unknown:
        checks.append(f"params are not known of {listed(unknown, _NAMED)}: fill them in, without embeddings")
    unsaid = [what for what in _SETUP if not all(row.get(what) for row in rows)]
    if unsaid:
        checks.append(f"logs do not say every run's {' and '.join(unsaid)}: fill in what you know")
    sizes = {row["run"]: row["size"] for row in rows}
    alone = {name: log for name, log in logs.items() if name not in parents}
    peaks = {name: run.curve.schedule.peak_lr for name, run in runs.items() if run is not None}
    checks += filter(None, [mixed_kinds(logs), other_units(logs), own_steps(alone, sizes), odd_peaks(peaks)])
    return Draft(rows=tuple(rows), read=tuple(read), checks=tuple(checks))


def _parents(runs: dict[str, RawRun], checks: list[str]) -> dict[str, str]:
    """Return the parents that are found, and say where one is missing."""
    parents: dict[str, str] = {}
    for name, run in runs.items():
        if run.complete or not starts_late(run.curve, intervals=2):
            continue
        try:
            (joined,) = join_branches(list(runs.values()), names=[name])
        except CurveError as problem:
            checks.append(problem.args[0])
            continue
        if joined.parent is not None:
            parents[name] = joined.parent
            checks.append(
                joined.note or f"{name} is taken as a branch of {joined.parent}, whose loss is the same there"
            )
    return parents


def _row(source: Source, log: TidyLog, found: RunRead, folder: Path) -> dict[str, str]:
    """Return the row of a run."""
    label = source.size or _size_in(f"{source.run} {source.path.parent.name}")
    params = label if source.size is None else ""
    last = max(int(log.steps[-1]), log.total_steps or 0)
    return {
        "run": source.run,
        "file": relpath(source.path, folder),
        "size": label,
        "params": params if source.params is None else f"{source.params:.15g}",
        "schedule": "" if found.rate_column else f"cosine(peak_lr=?, final_lr=?, warmup_steps=?, total_steps={last})",
        "parent": found.parent or "",
        "loss_column": log.loss_column,
        "rate_column": found.rate_column or "",
        "total_steps": str(found.total_steps if found.rate_column else last),
        "warmup_steps": str(found.warmup_steps) if found.rate_column else "",
        "peak_lr": f"{found.peak_lr:.6g}" if found.rate_column else "",
        **{name: f"{source.metadata[name]:.15g}" for name in _SETUP if name in source.metadata},
    }


def _size_in(name: str) -> str:
    """Return the number of parameters that a name says, such as 25M; empty if it says none."""
    found = sizes_in_name(name)
    return found[0] if len(found) == 1 else ""
