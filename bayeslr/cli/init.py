"""``bayeslr init``: a manifest from logs."""

from pathlib import Path
from typing import Annotated

import typer

from bayeslr.cli.answers import writable, write
from bayeslr.cli.options import Debug, Force, LossColumn

__all__ = ["init"]


def init(
    paths: Annotated[list[Path], typer.Argument(metavar="PATHS...", help="Logs, and folders of logs or runs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Manifest to write.")] = Path("runs.csv"),
    loss: LossColumn = None,
    step: Annotated[str | None, typer.Option(metavar="COL", help="Column of the step in the logs.")] = None,
    lr: Annotated[str | None, typer.Option(metavar="COL", help="Column of the rate in the logs.")] = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Write a manifest of logs with what was found in each, and say what to check."""
    from bayeslr.logs.draft import draft
    from bayeslr.logs.sources import ColumnNames
    from bayeslr.logs.summary import summary_lines

    writable(output, "--output", force)
    found = draft(list(paths), folder=output.parent, columns=ColumnNames(step=step, loss=loss, lr=lr))
    write(output, found.write, force)
    lines = summary_lines(found.read, limit=200)
    checks = ["", "to check:", *(f"- {text}" for text in found.checks)] if found.checks else []
    typer.echo("\n".join([*lines, *checks, "", f"manifest: {output} ({len(found.rows)} runs)"]))
