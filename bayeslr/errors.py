"""Every exception and warning that bayeslr raises.

Wrong input is an exception, always a ``ValueError`` too, whose message is one line that says what was found, where, and
what is allowed. Statistical trouble is never an exception: it is a value (:class:`bayeslr.Health`) and a warning.

A message quotes its input, which may be of any length and contain any character. So every message is made printable and
cut in the middle here, where none can be forgotten.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = [
    "PACKAGE",
    "BayeslrError",
    "BayeslrWarning",
    "ConvergenceWarning",
    "CurveError",
    "DataWarning",
    "ExtrapolationWarning",
    "FitWarning",
    "LogError",
    "ManifestError",
    "ModelError",
    "PosteriorError",
    "ScheduleError",
    "ScheduleMismatchWarning",
    "command_words",
    "one_line",
    "printable",
    "python_words",
    "untold",
]

PACKAGE: Final = str(Path(__file__).parent)
"""Folder of the library; warnings name the first code outside of it, by ``skip_file_prefixes``."""

_LONGEST: Final = 460
"""Longest message, so that a line with ``error:`` or ``warning:`` before it has at most 500 characters."""


_BOTH: Final = re.compile(r"(?<!\S)(\S++) \((--[^()]++)\)")
"""A word of Python with the option of the command line that does the same: ``force (--force)``. It is tried once a word
and takes back nothing, so that a long text takes time in proportion to its length."""


def python_words(text: str) -> str:
    """Return a message in the words of Python, where it has those of the command line as well."""
    return _BOTH.sub(r"\1", text)


def command_words(text: str) -> str:
    """Return a message in the words of the command line, where it has those of Python as well."""
    return _BOTH.sub(r"\2", text)


def one_line(text: str) -> str:
    """Return a text as one line that a terminal can show.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        With spaces for line breaks, escapes for other characters that cannot be printed, and without its middle if it
        is longer than an error line may be.
    """
    joined = " ".join(text.split()) if len(text) <= _LONGEST else _cut(text)
    shown = printable(joined)
    return shown if len(shown) <= _LONGEST else _cut(shown)


def printable(text: str) -> str:
    """Return a text with escapes for characters that cannot be printed, line breaks among them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(text: str) -> str:
    """Leave out the middle: the beginning says where and what was found, the end what is allowed."""
    head, tail = " ".join(text[:290].split()), " ".join(text[-160:].split())
    return f"{head} ... {tail}"


class BayeslrError(ValueError):
    """Base class: wrong input, described in one line.

    A message may name the option of the command line behind the word of Python that does the same, as in ``force
    (--force)``. Python shows the one, the command line the other.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))

    def __str__(self) -> str:
        return python_words(super().__str__())

    @property
    def command(self) -> str:
        """The message in the words of the command line."""
        return command_words(super().__str__())


class ScheduleError(BayeslrError):
    """A learning-rate schedule or its spec is not valid."""


class LogError(BayeslrError):
    """A training log cannot be read as a loss curve."""


class ManifestError(BayeslrError):
    """A manifest, or a query on it, is not valid."""


class CurveError(BayeslrError):
    """A loss curve, or a set of them, is not valid."""


class ModelError(BayeslrError):
    """A model setting or a prior is not valid for the data at hand."""


class PosteriorError(BayeslrError):
    """A posterior file, or a question asked of a posterior, is not valid."""


class BayeslrWarning(UserWarning):
    """Base class of the warnings; words of the command line in their messages are as those of :class:`BayeslrError`."""

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))

    def __str__(self) -> str:
        return python_words(super().__str__())

    @property
    def command(self) -> str:
        """The message in the words of the command line."""
        return command_words(super().__str__())


class DataWarning(BayeslrWarning):
    """Something in a log was dropped or repaired."""


class ScheduleMismatchWarning(DataWarning):
    """The logged rates disagree with the nominal schedule."""


class FitWarning(BayeslrWarning):
    """What an answer rests on is in doubt: the fit failed a check, needs a look, or is an approximation."""


class ConvergenceWarning(FitWarning):
    """The fit that has just been made failed, for example because its chains did not converge: do not trust it yet."""


class ExtrapolationWarning(BayeslrWarning):
    """A question goes far outside the data that were fitted."""


@contextmanager
def untold() -> Iterator[None]:
    """Keep quiet about what a fit or an answer warns of: it is part of the result, and told with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        warnings.simplefilter("ignore", ExtrapolationWarning)
        yield
