"""The boundary: arguments in, an exit code out, and every problem of the input as one line on stderr."""

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import typer

from bayeslr.cli.commands import app
from bayeslr.cli.interrupt import INTERRUPTED, obeyed_interrupts
from bayeslr.cli.terminal import hint, program_name, set_quiet, show_warning, tell_line
from bayeslr.errors import BayeslrError, BayeslrWarning, one_line
from bayeslr.files import is_there

__all__ = ["main", "program"]

# typer brings its own click or takes the installed one, by its version; what an argument can be wrong by is this class
_UsageError: Any = typer.BadParameter.__bases__[0]

_WRITING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EPIPE})
"""What is wrong with a place that is written to."""


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
    # as the library wants it anyway; in a process of the command line nobody is surprised
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    debug = "--debug" in given
    set_quiet(any(word in ("--quiet", "-q") for word in given))
    # it concerns the whole program, and may stand after the command as well
    given = [word for word in given if word not in ("--quiet", "-q")]
    with warnings.catch_warnings(), obeyed_interrupts():
        if not debug:
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", BayeslrWarning)
        warnings.showwarning = show_warning
        try:
            code = app(given, prog_name=program_name(), standalone_mode=False, complete_var="_BAYESLR_COMPLETE")
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except (BayeslrError, OSError, _UsageError) as error:
            if debug:
                raise
            tell_line(f"error: {one_line(_text(error) + _found(error, given))}")
            return 2
        # the boundary: what an input makes of the libraries below is of any class, and a line that names it says more
        # to who gave it than where it happened
        except Exception as error:
            if debug:
                raise
            tell_line(f"error: {one_line(_unexpected(error, given))}")
            return 2
    if code == INTERRUPTED:
        typer.echo("error: interrupted", err=True)
    return code if isinstance(code, int) else 0


def program() -> NoReturn:
    """Run the command of this process, and end it; an interrupted one does not wait for what its threads still do."""
    code = main()
    if code == INTERRUPTED:
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _unexpected(error: Exception, given: Sequence[str]) -> str:
    """Say what happened to which input, where no check foresaw it."""
    files = [text for text in given[1:] if not text.startswith("-") and is_there(Path(text))]
    about = ", ".join(files) or " ".join(given)
    kind = "not enough memory" if isinstance(error, MemoryError) else type(error).__name__
    reason = " ".join(str(error).split())[:200]
    return f"{about}: {kind}{f' ({reason})' if reason else ''}, which no check of the input foresaw; see --debug"


def _text(problem: object) -> str:
    if isinstance(problem, OSError) and problem.filename is not None:
        return f"{problem.filename}: {problem.strerror}"
    if isinstance(problem, OSError) and problem.errno in _WRITING:
        # whoever writes a file says which
        return f"standard output: {problem.strerror}; allowed: a place with room for what is printed"
    if isinstance(problem, BayeslrError):
        return hint(problem.command)
    text = problem.format_message() if isinstance(problem, _UsageError) else str(problem)
    return str(text)


def _found(error: BaseException, given: Sequence[str]) -> str:
    """Return the value of the option that an error is about, where its message leaves it out."""
    for name in getattr(getattr(error, "param", None), "opts", ()):
        for place, text in enumerate(given):
            option, equals, value = text.partition("=")
            if option != name:
                continue
            value = value if equals else "".join(given[place + 1 : place + 2])
            return "" if not value or value in _text(error) else f"; found {value!r}"
    return ""
