"""The boundary: arguments in, an exit code out, and every problem of the input as one line on stderr."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

import typer

from bayeslr.cli.commands import app
from bayeslr.errors import BayeslrError, BayeslrWarning

__all__ = ["main"]

# typer brings its own click or takes the installed one, by its version; what an argument can be wrong by is this class
_UsageError: Any = typer.BadParameter.__bases__[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments
        Arguments of the command line, without the name of the program. Default: those of the process.

    Returns
    -------
    int
        The exit code: 0, 1 where a check failed, 2 for wrong input, 130 when interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    debug = "--debug" in given
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", BayeslrWarning)
        warnings.showwarning = _show_warning
        try:
            code = app(given, prog_name="bayeslr", standalone_mode=False)
        except (BayeslrError, OSError, _UsageError) as error:
            if debug:
                raise
            typer.echo(f"error: {_one_line(error)}{_found(error, given)}", err=True)
            return 2
    return code if isinstance(code, int) else 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    typer.echo(f"warning: {_one_line(message)}", err=True)


def _one_line(problem: object) -> str:
    if isinstance(problem, OSError) and problem.filename is not None:
        return f"{problem.filename}: {problem.strerror}"
    text = problem.format_message() if isinstance(problem, _UsageError) else str(problem)
    return " ".join(str(text).split())


def _found(error: BaseException, given: Sequence[str]) -> str:
    """Return the value of the option that an error is about, where its message leaves it out."""
    for name in getattr(getattr(error, "param", None), "opts", ()):
        for place, text in enumerate(given):
            option, equals, value = text.partition("=")
            if option != name:
                continue
            value = value if equals else "".join(given[place + 1 : place + 2])
            return "" if not value or value in _one_line(error) else f"; found {value!r}"
    return ""
