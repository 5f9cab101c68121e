"""Tables with a column for each run whose names end with that of the run: ``loss_seed0, loss_seed1``."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from bayeslr.curves.counts import params_in_label
from bayeslr.logs.columns import loss_columns, plain_name, split_of
from bayeslr.logs.rawlog import Chunk, RawLog

__all__ = ["with_runs_in_front"]

_NAMED: Final = re.compile(
    r"(?P<what>(?P<loss>(?:(?:val|valid|validation|eval|test|train|training)[/_. ]?)?loss)|lr|learning[_ ]rate)"
    r"[\s/_.:-]+(?P<run>.+)",
    re.IGNORECASE,
)
_REPEATED: Final = re.compile(r"(?:seed|run|trial|rep|repeat|replica|replicate)[\s_-]?\d+", re.IGNORECASE)
"""Names of runs that are repeated, which may share a column of rates, as may sizes of a model."""
_NO_RUN: Final = frozenset(
    {"step", "epoch", "avg", "mean", "total", "sum", "smooth", "smoothed", "ema", "running", "raw", "scale", "scaled"}
    | {"min", "max", "std", "best", "last", "group", "head", "layer", "global", "local", "rank", "batch", "per", "z"}
    | {"aux", "ce", "kl", "main", "base", "init", "final", "peak", "decay", "mult", "factor", "delta", "diff"}
)
"""Words that say something else of a loss or a rate."""


def with_runs_in_front(raw: RawLog, loss: str | None = None) -> RawLog:
    """Return a log with the names of the runs in front, as exports have them (``seed0 - loss``).

    Parameters
    ----------
    raw
        The opened log.
    loss
        The column of the loss if the user named it.

    Returns
    -------
    RawLog
        The same log if it has a loss under another name, or not at least two runs with a loss and a rate each, or with
        a loss each and names such as ``seed0`` or ``25M``.
    """
    parts = {name: match for name in raw.columns if len(name) <= 200 and (match := _NAMED.fullmatch(name))}
    if len(parts) < 2 or (loss is not None and loss in raw.columns) or loss_columns(raw.columns):
        return raw
    losses = {match["run"] for match in parts.values() if match["loss"]}
    rates = {match["run"] for match in parts.values() if not match["loss"]}
    shared = all(_REPEATED.fullmatch(run) or params_in_label(run) for run in losses)
    repeated = shared and rates in (set(), losses)
    words = {word.rstrip("0123456789") for run in losses for word in plain_name(run).split("_")}
    if len(losses) < 2 or words & _NO_RUN or any(map(split_of, losses)) or not (repeated or losses == rates):
        return raw
    names = {f"{match['run']} - {match['what']}": name for name, match in parts.items()}
    own = {name: new for new, name in names.items()}
    columns = tuple(own.get(name, name) for name in raw.columns)

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        for numbers, cells in raw.chunks([names.get(name, name) for name in wanted]):
            yield numbers, {name: cells[names.get(name, name)] for name in wanted}

    return replace(raw, columns=columns, chunks=chunks)
