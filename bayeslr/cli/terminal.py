"""Who is on the other side: how the program was started, and what is told while it works."""

import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import typer

import bayeslr as bl
from bayeslr.errors import BayeslrWarning, command_words, one_line, printable
from bayeslr.written import WIDTH, folded

__all__ = [
    "hint",
    "is_quiet",
    "program_name",
    "say",
    "set_quiet",
    "show_warning",
    "shown",
    "spelled",
    "tell_line",
    "watched",
]


_QUIET = {"on": False}


def program_name() -> str:
    """Return the program as it was started, so that hints can be copied: ``bayeslr``, or ``uv run bayeslr``."""
    name = "python -m bayeslr" if Path(sys.argv[0]).name == "__main__.py" else "bayeslr"
    # uv tells the programs that it runs how deep they are
    return f"uv run {name}" if os.environ.get("UV_RUN_RECURSION_DEPTH") else name


_NAMES = "demo|init|fit|check|summary|predict|compare|optimize|reach|next-run|watch|metric|report|backtest"
_COMMAND = re.compile(rf"\bbayeslr (?=(?:{_NAMES})\b)")


def hint(text: str) -> str:
    """Return a text in the words of the command line, with commands spelled as the program was started."""
    return _COMMAND.sub(f"{program_name()} ", command_words(text))


def spelled(health: "bl.Health") -> "bl.Health":
    """Return a verdict whose advice is in the words of the command line."""
    return replace(health, checks=tuple(replace(item, advice=hint(item.advice)) for item in health.checks))


def set_quiet(quiet: bool) -> None:
    """Say whether only results and errors are wanted."""
    _QUIET["on"] = quiet


def is_quiet() -> bool:
    """Return whether only results and errors are wanted."""
    return _QUIET["on"]


def watched() -> bool:
    """Return whether a person waits at the terminal: then progress is shown."""
    return sys.stderr.isatty() and not is_quiet()


def shown(text: str) -> str:
    """Return lines of text as a terminal can show them: what names from files and arguments hold is never a command."""
    return "\n".join(printable(line) for line in text.split("\n"))


def tell_line(text: str) -> None:
    """Write a line on stderr, folded between words where a person reads it; in a log or a pipe it stays one line."""
    text = printable(text)
    width = max(20, min(WIDTH, shutil.get_terminal_size().columns))
    typer.echo(folded(text, width) if sys.stderr.isatty() else text, err=True)


def say(text: str) -> None:
    """Tell a person who waits what happens; a log file needs only the results."""
    if watched():
        tell_line(text)
        sys.stderr.flush()


def show_warning(
    message: Warning | str,
    category: type[Warning] = UserWarning,
    filename: str = "",
    lineno: int = 0,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as one line."""
    if not is_quiet():
        words = message.command if isinstance(message, BayeslrWarning) else str(message)
        tell_line(f"warning: {one_line(hint(words))}")
