"""``bayeslr init``: a manifest from logs."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from bayeslr.cli.answers import print_parts, writable, write
from bayeslr.cli.options import BytesPerToken, Debug, Force, LossColumn, LossUnit
from bayeslr.cli.questions import losses_of
from bayeslr.cli.terminal import hint
from bayeslr.errors import BayeslrError

__all__ = ["init"]


def init(
    paths: Annotated[list[Path], typer.Argument(metavar="PATHS...", help="Logs, and folders of logs or runs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Manifest to write.")] = Path("runs.csv"),
    loss: LossColumn = None,
    loss_unit: LossUnit = None,
    bytes_per_token: BytesPerToken = None,
    step: Annotated[str | None, typer.Option(metavar="COL", help="Column of the step in the logs.")] = None,
    lr: Annotated[str | None, typer.Option(metavar="COL", help="Column of the rate in the logs.")] = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Write a manifest of your logs, and say what to check in it."""
    from bayeslr.logs.draft import draft
    from bayeslr.logs.formats import looks_like_manifest
    from bayeslr.logs.limits import counted
    from bayeslr.logs.reading import column_names
    from bayeslr.logs.summary import summary_lines

    for path in paths:
        if path.is_file() and looks_like_manifest(path):
            raise BayeslrError(
                f"{path}: a manifest already (bayeslr fit {path} reads it); allowed: logs, and folders of logs"
            )
    writable(output, "--output", force)
    found = draft(
        list(paths),
        folder=output.parent,
        columns=column_names(step=step, lr=lr, **losses_of(loss, loss_unit, bytes_per_token)),
    )
    write(output, found.write, force)
    lines = summary_lines(found.read, limit=200)
    checks = ["", "to check:", *(f"- {hint(text)}" for text in found.checks)] if found.checks else []
    print_parts([*lines, *checks, ""])
    # whole, so that its path can be copied
    typer.echo(f"manifest: {output} ({counted(len(found.rows), 'run')})")
    typer.echo(f"next: bayeslr fit {shlex.quote(str(output))} -o posterior.nc")
