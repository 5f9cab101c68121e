"""Which columns of a log may be the loss that is asked for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import LogError
from bayeslr.logs.columns import is_relative, loss_kind, losses_in_order, perplexity_columns, words_of
from bayeslr.logs.limits import ARE, counted, listed
from bayeslr.logs.plausible import base_of
from bayeslr.logs.rawlog import Cells, Column, RawLog
from bayeslr.logs.units import Unit

__all__ = ["base_shown", "loss_candidates", "not_finite", "odd_name", "odd_ratio"]


def loss_candidates(raw: RawLog, columns: Sequence[str], unit: Unit | None) -> list[str]:
    """Return the columns that may be the loss, best first.

    Parameters
    ----------
    raw
        The opened log.
    columns
        The columns to consider.
    unit
        Unit of the loss; perplexities and bits a byte are considered only where they are asked for.

    Returns
    -------
    list of str
        At least one.

    Raises
    ------
    LogError
        If there is none.
    """
    losses = losses_in_order(columns)
    others = perplexity_columns(columns)
    if others:
        # a label-smoothed loss stands beside the likelihood whose perplexity was logged
        best = [loss_kind(column) for column in losses]
        losses = [
            losses[i]
            for i in sorted(range(len(losses)), key=lambda i: (best.index(best[i]), "nll" not in losses[i].lower(), i))
        ]
    if unit is not None and unit.name in ("perplexity", "bits per byte"):
        losses = [name for name, kind in others.items() if kind == unit.name] or losses
    if losses:
        return losses
    if others:
        name, kind = next(iter(others.items()))
        length = "" if kind == "perplexity" else " and the `bytes_per_token` (--bytes-per-token)"
        raise LogError(
            f"{raw.path}: no column for the loss, but {name!r} holds {kind}; allowed: `loss_unit` (--loss-unit) "
            f"{kind!r}{length}, or the name of a loss in `loss` (--loss)"
        )
    # those that end so are parts of a loss, known as such
    several = [name for name in columns if "loss" in words_of(name)[:-1]]
    if len(several) > 1:
        raise LogError(
            f"{raw.path}: no column is the loss by its name, but {listed(several, 4)} may be; allowed: the name of one "
            "in `loss` (--loss); for several runs, a rate for each under such a name, or a row for each run and step "
            "with a column `run`"
        )
    raise LogError(f"{raw.path}: no column for the loss; name one with `loss` (--loss): {listed(columns, 12)}")


_UNITS_BY_NAME = {
    "perplexity": {"ppl", "perplexity"},
    "bits per byte": {"bpb", "bpc", "byte", "bytes"},
    "bits": {"bits"},
    "accuracy": {"acc", "accuracy"},
}


def odd_name(name: str) -> str:
    """Look for another unit than nats per token in the name of a loss.

    Parameters
    ----------
    name
        The column that was taken, of whose unit nothing else was said.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    words = set(words_of(name))
    unit = next((unit for unit, said in _UNITS_BY_NAME.items() if words & said), None)
    # a perplexity's logarithm is a loss
    if unit is None or (unit == "perplexity" and "log" in words):
        return ""
    if unit == "accuracy":
        return (
            f"{name!r} is an accuracy by its name, and was taken for a loss in nats per token: name a column of losses "
            "with `loss` (--loss)"
        )
    return (
        f"{name!r} says {unit} by its name, and was taken for nats per token: give its unit with `loss_unit` "
        "(--loss-unit)"
    )


def base_shown(cells: Cells, name: str, kind: str, column: Column, perplexities: Sequence[str]) -> float | None:
    """Return the base of a loss's logarithm where a perplexity beside it shows it.

    Parameters
    ----------
    cells
        The cells of the log.
    name, kind
        The column of the loss, and what it was measured on.
    column
        Its finite values.
    perplexities
        The columns of perplexities.

    Returns
    -------
    float or None
        2 or e; None where nothing shows it.
    """
    validation = kind in ("validation", "test")
    for other in perplexities:
        if is_relative(other) != (validation and is_relative(name)):
            continue
        shown = cells.columns[other]
        _, here, there = np.intersect1d(column.rows, shown.rows, assume_unique=True, return_indices=True)
        base = base_of(column.values[here], shown.values[there])
        if base is not None:
            return base
    return None


_BITS = (1.40, 1.53)
"""Times the training loss that a validation loss in bits is: 1.443, or somewhat more where it is higher."""


def odd_ratio(cells: Cells, name: str, column: Column, others: Sequence[str]) -> str:
    """Look for a validation loss in bits beside a training loss in nats.

    One on other data is higher too, but not by the same factor from the first evaluation to the last.

    Parameters
    ----------
    cells
        The cells of the log.
    name
        The column of the validation loss.
    column
        Its finite values.
    others
        Further columns of losses.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    for other in others:
        training = cells.columns[other]
        good = np.isfinite(training.values)
        if loss_kind(other) not in ("training", "plain") or training.wrong is not None or good.sum() < 10:
            continue
        beside = np.interp(column.rows, training.rows[good], training.values[good])
        if column.rows.size < 6 or beside.min() <= 0:
            continue
        ratio, third = column.values / beside, column.rows.size // 3
        first, last = float(np.median(ratio[:third])), float(np.median(ratio[-third:]))
        fell = float(np.median(beside[:third]) / np.median(beside[-third:])) - 1.0
        within = _BITS[0] <= min(first, last) <= max(first, last) <= _BITS[1]
        # the ratio to other data, 0.44 of the loss above it, would fall four times as fast
        if within and fell > 0.05 and abs(first - last) <= 0.11 * fell:
            return (
                f"{name!r} is {last:.3g} times {other!r} from the beginning to the end: is it in bits, 1.443 times as "
                "many as nats? If so, give its unit with `loss_unit` (--loss-unit)"
            )
    return ""


def not_finite(finite: NDArray[np.bool_], numbers: NDArray[np.int64], unit: str) -> tuple[str, bool]:
    """Return what to say of losses that are NaN or infinite, and whether the run diverged.

    Parameters
    ----------
    finite
        Which are not, shape ``[n]``.
    numbers
        Numbers by which messages name their rows.
    unit
        What these count.

    Returns
    -------
    sentence : str
        One sentence.
    diverged : bool
        Whether two or more at the end are.
    """
    dropped = f"{counted(int((~finite).sum()), 'loss', ARE)} NaN or infinite: dropped"
    last = int(np.argmax(finite[::-1]))
    if last < 2:
        return dropped, False
    return f"{dropped}; from {unit} {numbers[-last]} to the end all are: the run diverged", True
