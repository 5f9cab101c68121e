"""What the lines of a console log said, kept for as often as its columns are asked for: a line takes long to read."""

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

__all__ = ["KeptReadings"]

_TOGETHER: Final = 10_000


class KeptReadings:
    """Rows of text by the names of their columns, packed to a fraction of the log that they were read from."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._rows: list[tuple[int, Mapping[str, str]]] = []

    def add(self, number: int, reading: Mapping[str, str]) -> None:
        """Keep a row.

        Parameters
        ----------
        number
            Number of its line.
        reading
            Its values.
        """
        self._rows.append((number, reading))
        if len(self._rows) == _TOGETHER:
            self._packed.append(zlib.compress(json.dumps(self._rows).encode(), 1))
            self._rows = []

    def __iter__(self) -> Iterator[tuple[int, Mapping[str, str]]]:
        for packed in self._packed:
            yield from json.loads(zlib.decompress(packed))
        yield from self._rows
