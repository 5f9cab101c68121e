"""Under which names tables say the size of a model: manifests, and logs of several runs."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from bayeslr.curves.counts import params_in_label, parse_count
from bayeslr.logs.columns import plain_name
from bayeslr.logs.layout import Layout
from bayeslr.logs.rawlog import RawLog

__all__ = ["ALSO_PARAMS", "sizes_in", "with_sizes"]

ALSO_PARAMS: Final = ("n_params", "num_params", "num_parameters", "parameters", "non_embedding_params", "param_count")
"""Other names of the column ``params``."""
_IN_UNITS: Final = re.compile(r"(?:n_|num_)?(?:params|parameters)_(?P<unit>k|m|b|millions?|billions?)")
_LABELS: Final = ("size", "model_size", "model", "model_name", "n")
"""Columns that say the size where their values read as counts with a suffix, such as 25M."""
_SHAPES: Final = frozenset(
    {"d_model", "n_embd", "n_layer", "n_layers", "num_layers", "layers", "hidden_size", "hidden_dim", "hidden", "dim"}
    | {"embed_dim", "width", "depth", "model", "model_size", "size"}
)
"""Columns that tell sizes apart, though not how many parameters they have."""
_A_MODEL: Final = 1e4
"""Parameters of the smallest models; a smaller ``N`` counts something else."""


def with_sizes(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Add the sizes that a column of another name says in every row (``params_M``, or a ``model`` such as 25M).

    Parameters
    ----------
    rows
        The cells of a manifest by column, one of them at least.

    Returns
    -------
    list of dict
        The same with ``params`` or ``size`` where they had none of them and another column says it.
    """
    if {"params", "size"} & rows[0].keys():
        return rows
    for name in rows[0]:
        said = _said_by(name, [row[name] for row in rows])
        if said is not None:
            column, texts = said
            return [{**row, column: text} for row, text in zip(rows, texts, strict=True)]
    return rows


def _said_by(name: str, texts: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return ``params`` or ``size`` and its texts if a column says it throughout."""
    plain = plain_name(name)
    unit = _IN_UNITS.fullmatch(plain)
    counts = [parse_count(text) for text in texts]
    if unit is not None and all(counts):
        return "params", [text if text[-1].isalpha() else text + unit["unit"][0] for text in texts]
    if plain in _LABELS and all(params_in_label(text) is not None for text in texts):
        return "size", list(texts)
    if (plain == "n" and all((count or 0.0) >= _A_MODEL for count in counts)) or (
        plain in ("params", *ALSO_PARAMS) and all(counts)
    ):
        return "params", list(texts)
    return None


def sizes_in(raw: RawLog, layout: Layout) -> Mapping[str, tuple[str | None, float | None]]:
    """Return what a table of several runs says of the sizes of their models.

    Parameters
    ----------
    raw
        The opened log.
    layout
        How its runs are told apart.

    Returns
    -------
    Mapping
        Label and number of parameters by run, None where it says nothing; empty where it says nothing at all.
    """
    if layout.column is None:
        return {}
    shape = None
    for name in raw.columns:
        plain = plain_name(name)
        if plain not in _SHAPES and plain not in ("params", "n", *ALSO_PARAMS) and not _IN_UNITS.fullmatch(plain):
            continue
        cells = raw.read([], [name, layout.column])
        runs, codes = cells.texts[layout.column], cells.texts[name]
        of = {run: {*codes[runs == k].tolist()} - {-1} for k, run in enumerate(cells.labels[layout.column])}
        if any(len(found) != 1 for found in of.values()):
            continue
        texts = {run: cells.labels[name][found.pop()] for run, found in of.items()}
        said = _said_by(name, list(texts.values()))
        if said is not None:
            column, values = said
            given = dict(zip(texts, values, strict=True))
            if column == "size":
                return {run: (text, params_in_label(text)) for run, text in given.items()}
            return {run: (None, parse_count(text)) for run, text in given.items()}
        if plain in _SHAPES and shape is None:
            shape = {run: (f"{name} {text}", None) for run, text in texts.items()}
    return shape or {}
