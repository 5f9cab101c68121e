"""The program: its name, its options, and the order in which its commands are listed."""

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import bayeslr as bl
from bayeslr.cli.terminal import hint, say

__all__ = ["app"]

_ORDER = (
    *("demo", "init", "fit", "check", "summary", "predict", "compare", "optimize", "reach"),
    *("next-run", "watch", "metric", "report", "backtest"),
)


class _Ordered(TyperGroup):
    """Lists commands in the order in which one needs them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, those that are not known here last."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


app = typer.Typer(
    name="bayeslr",
    cls=_Ordered,
    help="Bayesian learning-rate scaling laws: from training logs to loss bands for schedules nobody has run yet.",
    epilog=hint("Begin with `bayeslr demo`, or `bayeslr fit` with logs of your own. Each command has --help."),
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bayeslr {bl.__version__}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only answers with what they warn of, and errors: no progress.")
    ] = False,
) -> None:
    """Begin a command: whoever waits sees at once that something happens."""
    if not {"--help", "-h"} & set(sys.argv):
        say(f"bayeslr {context.invoked_subcommand} ...")
