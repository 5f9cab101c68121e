"""Which columns of a log may be the loss that is asked for."""

from collections.abc import Sequence

from bayeslr.errors import LogError
from bayeslr.logs.columns import loss_kind, losses_in_order, perplexity_columns, words_of
from bayeslr.logs.limits import listed
from bayeslr.logs.rawlog import RawLog
from bayeslr.logs.units import Unit

__all__ = ["loss_candidates", "odd_name"]


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
