"""How results leave the program: tables, JSON and CSV on stdout, files that are whole or not there."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

import bayeslr as bl
from bayeslr.cli.terminal import hint, show_warning, shown
from bayeslr.errors import BayeslrError
from bayeslr.files import require_place, write_atomically

__all__ = [
    "draw",
    "free_name",
    "health_values",
    "keep",
    "print_csv",
    "print_json",
    "print_parts",
    "print_result",
    "rows",
    "tell",
    "warned",
    "writable",
    "write",
]


def writable(path: Path | None, option: str, force: bool, suffixes: Sequence[str] = ()) -> None:
    """Refuse, before any work is done, a file that could not be written at the end."""
    if path is None:
        return
    if suffixes and path.suffix.lower() not in suffixes:
        problem = f"{path}: ends with {path.suffix!r}; allowed: {', '.join(suffixes)}"
        raise typer.BadParameter(problem, param_hint=option)
    try:
        require_place(path, force=force)
    except BayeslrError as error:
        raise typer.BadParameter(error.command, param_hint=option) from None


def keep(posterior: "bl.Posterior", path: Path, force: bool) -> None:
    """Save a posterior, under another name if its own was taken while it was made."""
    try:
        posterior.save(path, force=force)
    except BayeslrError as error:
        if force or not path.exists():
            raise
        other = posterior.save(free_name(path))
        raise BayeslrError(f"{error}; this fit was saved as {other}") from None


def write(path: Path, writer: Callable[[Path], Any], force: bool) -> None:
    """Write a file whole, or not at all."""
    write_atomically(path, writer, force=force)


def draw(path: Path, figure: Any, force: bool) -> None:
    """Write a picture."""
    write(path, lambda target: figure.savefig(target), force)


def free_name(path: Path) -> Path:
    """Return the first of ``name.png``, ``name-2.png``, ... that does not exist."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    return candidate


def health_values(health: "bl.Health") -> dict[str, Any]:
    """Return the status and the checks as JSON-ready values."""
    return {"status": health.status, "checks": [dict(vars(item)) for item in health.checks]}


def rows(table: Any) -> dict[str, dict[str, float | None]]:
    """Return the rows of a table by their labels, with none for a number that is not finite."""
    return {
        str(name): {str(key): float(value) if value == value else None for key, value in row.items()}
        for name, row in table.iterrows()
    }


def print_json(values: Mapping[str, Any]) -> None:
    """Print values as one JSON object."""
    sys.stdout.write(json.dumps(values, indent=2, allow_nan=False) + "\n")


def print_csv(table: Any, *, index_label: str | None = None) -> None:
    """Print a data frame; its index is a column if it has a label."""
    sys.stdout.write(
        shown(
            table.to_csv(
                index=index_label is not None, index_label=index_label, float_format="%.8g", lineterminator="\n"
            )
        )
    )


def print_parts(parts: Sequence[Any]) -> None:
    """Print tables and lines of text below each other."""
    sys.stdout.write(shown(bl.report.tables.as_text(parts)))


def print_result(tables: Sequence[Any], told: Sequence[str], output: Path | None, plot: Path | None) -> None:
    """Print tables, with what the reader must know of them right below."""
    spaced = [part for table in tables for part in (table, "")]
    files = [f"bands: {output}"] * (output is not None) + [f"picture: {plot}"] * (plot is not None)
    print_parts([*spaced[:-1], *([""] * bool(told or files)), *warned(told), *files])


def warned(warnings: Sequence[str]) -> list[str]:
    """Return what the reader of a result must know as lines below it, in the words of the command line."""
    return [f"warning: {hint(text)}" for text in warnings]


def tell(warnings: Sequence[str]) -> None:
    """Say on stderr what the reader of a result must know, where a table does not say it beside the numbers."""
    for text in warnings:
        show_warning(text)
