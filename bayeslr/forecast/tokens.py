"""Tokens of an update, as the columns of a manifest say it."""

from collections.abc import Mapping
from typing import Final

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.curves.curve import BATCH_SEQUENCES, BATCH_TOKENS, first_number

__all__ = ["tokens_of_a_step"]

_LENGTHS: Final = ("sequence_length", "seq_len", "seq_length", "context_length", "block_size")


def tokens_of_a_step(curves: CurveSet, batch_size: float | None = None) -> float | None:
    """Return the tokens of an update where the curves' columns say it, and agree.

    Parameters
    ----------
    curves
        Curves whose metadata may have ``batch_tokens`` (or ``tokens_per_step``), or ``batch_size`` in sequences
        together with ``sequence_length``.
    batch_size
        Batch size of the run whose tokens are asked for, in the unit of the curves'. Default: that of the curves.

    Returns
    -------
    float or None
        Tokens; None where they are unknown or differ.
    """
    found = {_tokens(curve.metadata) if batch_size is None else _unit(curve) for curve in curves}
    tokens = found.pop() if len(found) == 1 else None
    return tokens if tokens is None or batch_size is None else tokens * batch_size


def _unit(curve: LossCurve) -> float | None:
    """Return the tokens in a unit of a run's batch size."""
    tokens = _tokens(curve.metadata)
    return None if tokens is None or not curve.batch_size else tokens / curve.batch_size


def _tokens(metadata: Mapping[str, object]) -> float | None:
    if (tokens := first_number(metadata, BATCH_TOKENS)) is not None:
        return tokens
    sequences, length = first_number(metadata, BATCH_SEQUENCES), first_number(metadata, _LENGTHS)
    return None if sequences is None or length is None else sequences * length
