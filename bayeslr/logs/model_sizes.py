"""Under which names tables say the size of a model and its batch: manifests, and logs of several runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bayeslr.curves.counts import params_in_label, parse_count
from bayeslr.curves.curve import BATCH_SEQUENCES, BATCH_TOKENS
from bayeslr.logs.columns import plain_name
from bayeslr.logs.layout import Layout
from bayeslr.logs.rawlog import Cells, RawLog

__all__ = [
    "ALSO_PARAMS",
    "COUNTS",
    "SMALLEST_MODEL",
    "Settings",
    "settings_in",
    "setup_number",
    "shape_in_name",
    "sizes_in_name",
    "unclear_size",
    "with_known_names",
]

ALSO_PARAMS: Final = ("n_params", "num_params", "num_parameters", "parameters", "non_embedding_params", "param_count")
"""Other names of the column ``params``."""
COUNTS: Final = (*BATCH_TOKENS, *BATCH_SEQUENCES)
"""Columns of batches, whose numbers may have a suffix."""
_IN_UNITS: Final = re.compile(r"(?:n_|num_)?(?:params|parameters)_(?P<unit>k|m|b|millions?|billions?)")
_LABELS: Final = ("size", "model_size", "model", "model_name", "n")
"""Columns that say the size where their values read as counts with a suffix, such as 25M, or have one in them."""
_SHAPES: Final = frozenset(
    {"d_model", "n_embd", "n_layer", "n_layers", "num_layers", "layers", "hidden_size", "hidden_dim", "hidden", "dim"}
    | {"embed_dim", "width", "depth", "model", "model_size", "size"}
)
"""Columns that tell sizes apart, though not how many parameters they have."""
_SETUP: Final = {**{name: name for name in COUNTS}, "weight_decay": "weight_decay", "wd": "weight_decay"}
SMALLEST_MODEL: Final = 1e4
"""Parameters of the smallest models; a smaller ``N`` counts something else."""
_SIZE: Final = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([MB])(?![A-Za-z0-9])", re.IGNORECASE)
_NOT_A_SIZE: Final = re.compile(
    r"(?<![A-Za-z0-9.])\d+(?:\.\d+)?[MB][-_ ]?(?:tok|seq|steps|batch|data)[a-z]*"
    r"|(?:batch|bs|tok|tokens|data|corpus|ctx)[-_= ]?\d+(?:\.\d+)?[MB](?![A-Za-z0-9])",
    re.IGNORECASE,
)
_SHAPE: Final = re.compile(
    r"(?<![A-Za-z0-9.])(?:\d{3,5}x\d{1,3}|L\d{1,3}(?:H\d{1,3})?D\d{2,5}"
    r"|(?:d_?model|n_?embd|width|hidden(?:_?(?:size|dim))?)[-_=]?\d{2,5})(?![A-Za-z0-9])",
    re.IGNORECASE,
)
"""Width by depth, and layers, heads and width, as runs are called for."""
_OF_A_RUN: Final = re.compile(
    r"(?<![A-Za-z])(?:run|train|trained|training|for|budget|horizon|after)[-_= ]?(\d+(?:\.\d+)?)B(?![A-Za-z0-9])",
    re.IGNORECASE,
)
"""Billions of a run, which are tokens as often as parameters."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a table of several runs says of one of them.

    Parameters
    ----------
    size, params
        Label and number of parameters; None where it does not say them.
    metadata
        Batch size and weight decay.
    """

    size: str | None = None
    params: float | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


def sizes_in_name(name: str) -> list[str]:
    """Return all that may be a number of parameters in a name; two are a size and a corpus, and nobody knows which.

    Parameters
    ----------
    name
        The name of a run or a model.

    Returns
    -------
    list of str
        Such as 25M.
    """
    text = _OF_A_RUN.sub(" ", _NOT_A_SIZE.sub(" ", name.replace("/", " ")))
    sizes = (f"{number}{unit.upper()}" for number, unit in _SIZE.findall(text.replace("_", " ")))
    return list(dict.fromkeys(sizes))


def shape_in_name(name: str) -> str:
    """Return what may be the shape of a model in a name.

    Parameters
    ----------
    name
        The name of a run.

    Returns
    -------
    str
        ``1024x28`` or ``L12H10D640``; empty of most names.
    """
    found = _SHAPE.search(name.replace("/", " "))
    return "" if found is None else found[0]


def unclear_size(name: str) -> str:
    """Return what may be parameters or tokens in a name that says no other size.

    Parameters
    ----------
    name
        The name of a run.

    Returns
    -------
    str
        ``10B`` of ``run_10B``; empty of most names.
    """
    found = _OF_A_RUN.search(_NOT_A_SIZE.sub(" ", name))
    return f"{found[1]}B" if found is not None and not sizes_in_name(name) else ""


def with_known_names(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Add what columns of other names say: ``params_M``, a ``model`` such as 25M, ``Batch Size``, ``wd``.

    Parameters
    ----------
    rows
        The cells of a manifest by column, one of them at least.

    Returns
    -------
    list of dict
        The same with ``params`` or ``size`` where they had none of them, and with batch size and weight decay.
    """
    for name in list(rows[0]):
        known = _SETUP.get(plain_name(name))
        if known is not None and known not in rows[0]:
            rows = [{**row, known: row[name]} for row in rows]
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
    if plain in _LABELS:
        if all(params_in_label(text) is not None for text in texts):
            return "size", list(texts)
        named = [sizes_in_name(text) for text in texts]
        if all(len(sizes) == 1 for sizes in named):
            return "size", [sizes[0] for sizes in named]
    if (plain == "n" and all((count or 0.0) >= SMALLEST_MODEL for count in counts)) or (
        plain in ("params", *ALSO_PARAMS) and all(counts)
    ):
        return "params", list(texts)
    return None


def settings_in(raw: RawLog, layout: Layout) -> Mapping[str, Settings]:
    """Return what a table of several runs says of their models and batches.

    Parameters
    ----------
    raw
        The opened log.
    layout
        How its runs are told apart.

    Returns
    -------
    Mapping
        By run.
    """
    if layout.column is None:
        return {run: Settings() for run in layout.runs}
    names = [name for name in raw.columns if _is_known(plain_name(name))]
    cells = raw.read([], [*names, layout.column])
    told = {name: texts for name in names if (texts := _of_runs(cells, layout.column, name))}
    shape: dict[str, list[str]] = {run: [] for run in layout.runs}
    found: dict[str, dict[str, str]] = {}
    metadata: dict[str, dict[str, object]] = {run: {} for run in layout.runs}
    for name, texts in told.items():
        plain = plain_name(name)
        if plain in _SETUP:
            numbers = {run: setup_number(_SETUP[plain], text) for run, text in texts.items()}
            if all(value is not None and value >= 0.0 for value in numbers.values()):
                for run, value in numbers.items():
                    metadata[run][_SETUP[plain]] = value
        elif (said := _said_by(name, list(texts.values()))) is not None:
            found.setdefault(said[0], dict(zip(texts, said[1], strict=True)))
        elif plain in _SHAPES and len({*texts.values()}) > 1:
            for run, text in texts.items():
                shape[run].append(f"{name} {text}")
    labels = found.get("size") or ({} if "params" in found else {run: ", ".join(parts) for run, parts in shape.items()})
    params = found.get("params", {})
    return {
        run: Settings(
            size=labels.get(run) or None,
            params=parse_count(params[run]) if run in params else params_in_label(found.get("size", {}).get(run)),
            metadata=metadata[run],
        )
        for run in layout.runs
    }


def setup_number(name: str, text: str) -> float | None:
    """Return a batch size, which is a count, or a weight decay as it is written.

    Parameters
    ----------
    name
        ``weight_decay``, or one of the columns of batches.
    text
        The cell.

    Returns
    -------
    float or None
        None if the text is no such number.
    """
    if name != "weight_decay":
        return parse_count(text)
    try:
        return float(text)
    except ValueError:
        return None


def _is_known(plain: str) -> bool:
    """Return whether a name may be one of a size or a batch."""
    known = plain in _SHAPES or plain in _SETUP or plain in ("params", "n", *ALSO_PARAMS)
    return known or _IN_UNITS.fullmatch(plain) is not None


def _of_runs(cells: Cells, runs: str, name: str) -> dict[str, str]:
    """Return the value of a column in each run; nothing where a run has none, or several."""
    of_row, codes = cells.texts[runs], cells.texts[name]
    of = {run: {*codes[of_row == k].tolist()} - {-1} for k, run in enumerate(cells.labels[runs])}
    if any(len(found) != 1 for found in of.values()):
        return {}
    return {run: cells.labels[name][found.pop()] for run, found in of.items()}
