"""Numbers of parameters and of steps as people write them: ``25M``, ``1.2e9``, ``7B``."""

import math
import re
from decimal import Decimal, InvalidOperation

__all__ = ["count_label", "params_in_label", "parse_count", "rounded_range", "size_label"]

_COUNT = re.compile(
    r"\s*~?\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([kKmMbBgGtT]?)\s*"
    r"(?:\b(?:params|parameters|tokens|sequences|seqs|samples))?\s*"
)
_THOUSANDS = re.compile(r"\s*[1-9]\d{0,2}(,\d{3})+\s*")
_SUFFIXES = (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3))
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}


def parse_count(text: str) -> float | None:
    """Return the number that a text stands for.

    Parameters
    ----------
    text
        A number, with a suffix K, M, B (or G) or T where it is in thousands, millions, billions or trillions; what is
        counted may follow (``2M tokens``).

    Returns
    -------
    float or None
        The number if it is positive and finite; None if the text is something else.
    """
    written = _written(text)
    if written is None:
        return None
    count = float(written[0]) * written[1]
    return count if math.isfinite(count) and count > 0 else None


def count_label(count: float) -> str:
    """Return a number as a label: ``500``, ``80k``, ``1.3B``; what :func:`parse_count` reads.

    Parameters
    ----------
    count
        The number.

    Returns
    -------
    str
        Its first four digits, with a suffix for thousands, millions, billions or trillions.
    """
    rounded = float(f"{count:.4g}")
    suffix, factor = next(((s, f) for s, f in _SUFFIXES if abs(rounded) >= f), ("", 1.0))
    return f"{rounded / factor:.4g}{suffix}"


def size_label(size: str | None, params: float | None) -> str:
    """Return what a size is called: its label, else its number of parameters, else nothing."""
    return size or ("" if params is None else count_label(params))


def _written(text: str) -> tuple[Decimal, float] | None:
    """Return the number as its digits say it, and the factor of its suffix; None if the text is something else."""
    match = _COUNT.fullmatch(text.replace("," if _THOUSANDS.fullmatch(text) else "_", ""))
    if match is None:
        return None
    try:
        return Decimal(match[1]), _FACTORS[match[2].lower()]
    except InvalidOperation:
        return None


def params_in_label(size: str | None) -> float | None:
    """Return the number of parameters that the label of a size says.

    Parameters
    ----------
    size
        The label.

    Returns
    -------
    float or None
        The number if the label is one with a suffix, such as ``190M`` or ``1.3B``; None for any other label.
    """
    return parse_count(size) if size and size[-1].isalpha() else None


def rounded_range(size: str | None) -> tuple[float, float] | None:
    """Return the lowest and the highest number that is rounded to a label; None where :func:`params_in_label` is.

    A model called 1B may have anything from 0.95 to 1.5 billion parameters, one called 760M 759.5 to 760.5 million.
    """
    count, written = params_in_label(size), _written(size or "")
    if count is None or written is None:
        return None
    digits, factor = written
    unit = factor * 10.0 ** int(digits.as_tuple().exponent)
    # below a single 1 the next number of one digit is 0.9 of it
    below = unit / 10.0 if math.isclose(count, unit) else unit
    return count - below / 2.0, count + unit / 2.0
