"""Manifests: a CSV with one row per run, saying which log is whose and what the logs do not say.

======================  ===============================================================================================
column
======================  ===============================================================================================
``run``                 name of the run; required, unique
``file``                its log, relative to the manifest; required
``params``              non-embedding parameters (``25000000``, ``2.5e7``, ``25M``); empty: what ``size`` says if it
                        reads as a number with a suffix, such as ``190M``
``size``                label of the model size
``schedule``            spec of the schedule; empty: the rates logged in the file, interpolated between logged steps. It
                        may leave out ``total_steps`` and ``warmup_steps``: those of the log
``parent``              run whose history precedes this one's first step; empty: found automatically where it is needed
any other               kept as metadata, as numbers or truth values where the whole column reads as such
======================  ===============================================================================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bayeslr.curves.counts import params_in_label, parse_count
from bayeslr.errors import ManifestError, ScheduleError
from bayeslr.logs.formats.delimited import table_rows
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.limits import listed, shown
from bayeslr.logs.model_sizes import ALSO_PARAMS, COUNTS, setup_number, with_known_names
from bayeslr.logs.partial_spec import lacks_length
from bayeslr.logs.sources import Source
from bayeslr.schedules import MAX_UPDATES, Schedule, parse_schedule

__all__ = ["Manifest", "parse_manifest"]

_REQUIRED = ("run", "file")
_KNOWN = (*_REQUIRED, "params", "size", "schedule", "parent", "branch_step")
_ROWS = 20_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Manifest:
    """The runs of a manifest.

    Parameters
    ----------
    path
        The manifest.
    sources
        Its runs, in order.
    lines
        The line of each run.
    """

    path: Path
    sources: tuple[Source, ...]
    lines: tuple[int, ...]

    def table(self) -> pd.DataFrame:
        """Return the table that a query asks.

        Returns
        -------
        pandas.DataFrame
            One row per run: ``run, size, params, parent``, the metadata, and where the manifest has no such columns the
            ``total_steps`` and ``peak_lr`` of the given schedules.
        """
        return pd.DataFrame([self._row(source) for source in self.sources])

    @staticmethod
    def _row(source: Source) -> dict[str, object]:
        given = source.schedule if isinstance(source.schedule, Schedule) else None
        derived: dict[str, object] = {
            "total_steps": None if given is None else given.total_steps,
            "peak_lr": None if given is None else given.peak_lr,
        }
        row = {"run": source.run, "size": source.size, "params": source.params, "parent": source.parent}
        return {**row, **derived, **source.metadata}


def parse_manifest(path: Path) -> Manifest:
    """Read a manifest, but not the logs that it names.

    Parameters
    ----------
    path
        Where it is: files and ``@file.csv`` are relative to its folder.

    Returns
    -------
    Manifest
        The runs.

    Raises
    ------
    ManifestError
        If a column or a value is missing, repeated or not valid.
    """
    columns, rows = table_rows(LogFile(path=path), error=ManifestError, most=_ROWS)
    names = [column.lower() if column.lower() in _KNOWN else column for column in columns]
    also = [name for name in names if name.lower() in ALSO_PARAMS]
    if "params" not in names and len(also) == 1:
        names[names.index(also[0])] = "params"
    for name in _REQUIRED:
        if name not in names:
            raise ManifestError(
                f"{path}: the column {name!r} is missing; required: run, file; found: {listed(names, 12)}"
            )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ManifestError(f"{path}: the column {twice!r} occurs more than once; allowed: one column per name")
    if not rows:
        raise ManifestError(f"{path}: the manifest has no runs; allowed: at least one row")
    cells = with_known_names([dict(zip(names, (value.strip() for value in values), strict=True)) for _, values in rows])
    lines = tuple(line for line, _ in rows)
    metadata = {
        name: _typed(name, [row[name] for row in cells], path, lines) for name in cells[0] if name not in _KNOWN
    }

    seen: dict[str, int] = {}
    updates = 0
    sources = []
    for i, (line, row) in enumerate(zip(lines, cells, strict=True)):
        where = f"{path}, line {line}"
        for name in _REQUIRED:
            if not row[name]:
                raise ManifestError(f"{where}: {name} is empty; allowed: a text in each row")
        if row["run"] in seen:
            raise ManifestError(
                f"{where}: the run {shown(row['run'])} is on line {seen[row['run']]} already; allowed: one row per run"
            )
        seen[row["run"]] = line
        sources.append(_source(row, {name: values[i] for name, values in metadata.items()}, path.parent, where))
        updates += 0 if not isinstance(sources[-1].schedule, Schedule) else sources[-1].schedule.total_steps
        if updates > MAX_UPDATES:
            raise ManifestError(f"{where}: more than {MAX_UPDATES} updates up to here; allowed: fewer in all schedules")
    for line, source in zip(lines, sources, strict=True):
        if source.parent is not None and source.parent not in seen:
            raise ManifestError(
                f"{path}, line {line}: the parent {shown(source.parent)} of run {shown(source.run)} is not in the "
                "manifest; allowed: the name of another run"
            )
    return Manifest(path=path, sources=tuple(sources), lines=lines)


def _source(row: Mapping[str, str], metadata: Mapping[str, object], folder: Path, where: str) -> Source:
    """Understand one row."""
    size = row.get("size") or None
    params = parse_count(row["params"]) if row.get("params") else params_in_label(size)
    if row.get("params") and params is None:
        raise ManifestError(
            f"{where}: params is {shown(row['params'])}; allowed: a positive number such as 25000000, 2.5e7 or 25M"
        )
    return Source(
        run=row["run"],
        path=folder / row["file"],
        schedule=_schedule(row.get("schedule", ""), folder, where),
        params=params,
        size=size,
        parent=row.get("parent") or None,
        branch_step=_branch_step(row.get("branch_step", ""), where),
        metadata=metadata,
    )


def _branch_step(text: str, where: str) -> int | None:
    """Return the step of the parent at which a run was branched off."""
    if not text:
        return None
    number = parse_count(text)
    if number is None or number != int(number) or number > MAX_UPDATES:
        raise ManifestError(f"{where}: branch_step is {shown(text)}; allowed: a whole number of 1 or more")
    return int(number)


def _schedule(spec: str, folder: Path, where: str) -> Schedule | str | None:
    """Build the schedule of a row; one that leaves out its length waits for the log."""
    if not spec:
        return None
    if "?" in spec:
        raise ManifestError(f"{where}: schedule is {shown(spec)}, to be filled in; allowed: a spec with numbers")
    if lacks_length(spec):
        return spec
    try:
        return parse_schedule(spec, base_dir=folder)
    except ScheduleError as problem:
        raise ManifestError(f"{where}: {problem}") from None


def _typed(name: str, values: Sequence[str], path: Path, lines: Sequence[int]) -> list[object]:
    """Convert the values of a column if all of them are numbers, or all truth values; None where empty."""
    given = [value for value in values if value]
    truths = {"true": True, "false": False}
    if given and all(value.lower() in truths for value in given):
        return [truths[value.lower()] if value else None for value in values]
    for convert in (int, float):
        try:
            return [convert(value) if value else None for value in values]
        except ValueError:
            continue
    if name in COUNTS or name == "weight_decay":
        # batches are counts with suffixes
        for value, line in zip(values, lines, strict=True):
            if value and setup_number(name, value) is None:
                example = "0.1" if name == "weight_decay" else "524288 or 0.5M"
                raise ManifestError(
                    f"{path}, line {line}: {name} is {shown(value)}; allowed: a number, such as {example}, or nothing"
                )
        return [setup_number(name, value) if value else None for value in values]
    return [value or None for value in values]
