"""Tokens of an update, as the columns of a manifest say it."""

from collections.abc import Mapping
from typing import Final

from bayeslr.curves import CurveSet
from bayeslr.curves.curve import BATCH_SEQUENCES, BATCH_TOKENS, first_number

__all__ = ["tokens_of_a_step"]

_LENGTHS: Final = ("sequence_length", "seq_len", "seq_length", "context_length", "block_size")


def tokens_of_a_step(curves: CurveSet) -> float | None:
    """Return the tokens of an update where the curves' columns say it, and agree.

    Parameters
    ----------
    curves
        Curves whose metadata may have ``batch_tokens`` (or ``tokens_per_step``), or ``batch_size`` in sequences
        together with ``sequence_length``.

    Returns
    -------
    float or None
        Tokens; None where they are unknown or differ.
    """
    found = {_tokens(curve.metadata) for curve in curves}
    return found.pop() if len(found) == 1 else None


def _tokens(metadata: Mapping[str, object]) -> float | None:
    if (tokens := first_number(metadata, BATCH_TOKENS)) is not None:
        return tokens
    sequences, length = first_number(metadata, BATCH_SEQUENCES), first_number(metadata, _LENGTHS)
    return None if sequences is None or length is None else sequences * length
