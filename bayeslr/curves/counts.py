"""Numbers of parameters as people write them: ``25M``, ``1.2e9``, ``7B``."""

import math
import re

__all__ = ["params_in_label", "parse_count", "rounded_range"]

_COUNT = re.compile(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([kKmMbBgGtT]?)\s*")
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}


def parse_count(text: str) -> float | None:
    """Return the number that a text stands for.

    Parameters
    ----------
    text
        A number, with a suffix K, M, B (or G) or T where it is in thousands, millions, billions or trillions.

    Returns
    -------
    float or None
        The number if it is positive and finite; None if the text is something else.
    """
    match = _COUNT.fullmatch(text.replace("_", ""))
    if match is None:
        return None
    try:
        count = float(match[1]) * _FACTORS[match[2].lower()]
    except ValueError:
        return None
    return count if math.isfinite(count) and count > 0 else None


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
    """Return the numbers of parameters that are rounded to the label of a size.

    A model called 1B may have anything from 0.95 to 1.5 billion parameters, one called 760M 759.5 to 760.5 million.

    Parameters
    ----------
    size
        The label.

    Returns
    -------
    tuple of float or None
        The lowest and the highest number; None for a label that is no number with a suffix.
    """
    count = params_in_label(size)
    if size is None or count is None:
        return None
    digits, suffix = size.strip().replace("_", "")[:-1].strip(), _FACTORS[size.strip()[-1].lower()]
    mantissa, _, exponent = digits.lower().partition("e")
    unit = suffix * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    # below a single 1 the next number of one digit is 0.9 of it
    below = unit / 10.0 if math.isclose(count, unit) else unit
    return count - below / 2.0, count + unit / 2.0
