"""Console output in JSON: one object a line, whose ``message`` is what was printed."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from bayeslr.errors import LogError
from bayeslr.logs.columns import loss_columns
from bayeslr.logs.formats.console import is_console_output
from bayeslr.logs.formats.files import Line, LogFile
from bayeslr.logs.formats.json_values import flattened, object_in

__all__ = ["messages_in"]

_KEYS: Final = ("message", "msg", "log", "text", "event", "body", "textPayload")
_LOOKED_AT: Final = 500
"""Lines in which a trainer has to say something."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Messages(LogFile):
    """The messages in a file, as if they were its lines.

    Parameters
    ----------
    key
        The key of the messages.
    """

    key: str

    def lines(self) -> Iterator[Line]:
        """Yield the lines of the messages, with the numbers of the lines in which they stand."""
        for number, line, _ in LogFile.lines(self):
            message = object_in(line).get(self.key)
            if isinstance(message, str):
                yield from ((number, text, True) for text in message.splitlines())


def messages_in(file: LogFile) -> LogFile | None:
    """Return the messages of a file of JSON lines if a trainer's output is in them.

    Parameters
    ----------
    file
        The file.

    Returns
    -------
    LogFile or None
        The messages as lines; None if the objects have losses of their own, or no such messages.
    """
    if b"\n" not in file.head():
        # one document, which may be long
        return None
    try:
        first = [line for _, line, _ in itertools.islice(file.lines(), _LOOKED_AT) if line.strip()]
    except LogError:
        return None  # a line longer than lines may be
    objects = [found for found in map(object_in, first) if found]
    if 2 * len(objects) <= len(first) or any(loss_columns(list(flattened(found))) for found in objects):
        return None
    for key in _KEYS:
        if not any(isinstance(found.get(key), str) for found in objects):
            continue
        messages = _Messages(path=file.path, notes=file.notes, key=key)
        # what is found damaged counts only where this is the format
        if is_console_output(replace(messages, notes=[]), _LOOKED_AT):
            return messages
    return None
