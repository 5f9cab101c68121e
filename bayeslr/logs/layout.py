"""What the rows and columns of a log are about: which run, and which quantity."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import LogError
from bayeslr.logs.columns import loss_columns, losses_in_order, plain_name, run_columns, split_of, step_columns
from bayeslr.logs.limits import listed, shown
from bayeslr.logs.numbers import number
from bayeslr.logs.rate_names import rate_columns
from bayeslr.logs.rawlog import Cells, Chunk, Column, RawLog
from bayeslr.logs.splits import names_no_run, writer_columns

__all__ = ["Layout", "a_row_each", "as_wide", "goes_back", "layout_of", "one_run", "tells_machines"]

_SETTINGS = frozenset(
    {"seed", "model", "config", "exp_id", "experiment_id", "trial", "trial_id", "method", "optimizer", "variant"}
    | {"setting", "schedule", "size", "model_size", "label", "legend", "curve", "series", "hparams", "id", "uuid"}
    | {"group", "version", "tag", "arm", "lr_schedule", "scheduler", "peak_lr", "max_lr", "weight_decay", "wd"}
    | {"batch_size", "width", "depth", "n_params", "params"}
)
"""Columns that tell runs apart where each of their values has steps of its own."""
_SETTING_WORDS = frozenset(
    {"n", "d", "m", "b", "num", "number", "model", "hidden", "embd", "embed", "embedding", "emb", "layers", "heads"}
    | {"width", "depth", "dim", "size", "params", "parameters", "ff", "ffn", "mlp", "vocab"}
    | {"context", "seq", "length", "len", "batch", "peak", "max", "base", "init", "initial", "final", "min", "lr"}
    | {"learning", "rate", "decay", "weight", "wd", "beta1", "beta2", "eps", "dropout", "warmup", "cooldown", "id"}
    | {"fraction", "ratio", "planned", "total", "steps", "config", "seed", "trial", "tokens", "per", "scale"}
)
"""Words of further such columns: settings of a model and of its training."""
_MACHINES = frozenset(
    {
        "host",
        "hostname",
        "node",
        "rank",
        "job",
        "pid",
        "device",
        "gpu",
        "worker",
        "attempt",
        "restart",
        "resume",
        "date",
    }
    | {"session", "file", "checkpoint", "ckpt", "time", "machine", "server", "process", "timestamp", "slurm"}
)
"""Words of columns that tell the parts of one run apart."""
_FIRST_ROWS = 200_000
"""Rows among which the first run of a table of several ends."""
_SIDE_BY_SIDE = re.compile(
    r"(?P<run>.+?)[\s/_.:-]+"
    r"(?:(?P<loss>(?:(?:val|valid|validation|eval|test|train)[/_. ]?)?loss)|(?P<rate>lr|learning[_ ]rate))",
    re.IGNORECASE,
)
_NAMES = frozenset({"tag", "name", "metric", "metric_name", "key", "variable", "scalar", "series"})
_VALUES = frozenset({"value", "metric_value", "scalar_value"})


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the runs of a log are told apart.

    Parameters
    ----------
    runs
        Names of its runs; empty for a log of one run.
    column
        The column that names the run of each row; None where columns of different runs stand side by side.
    prefixes
        For a log with one column per run: the run of each column, None for those of all runs.
    """

    runs: tuple[str, ...] = ()
    column: str | None = None
    prefixes: Mapping[str, str | None] | None = None

    def columns(self, every: Sequence[str], run: str | None) -> list[str]:
        """Return the columns that belong to a run.

        Parameters
        ----------
        every
            All columns.
        run
            The run; None: all.

        Returns
        -------
        list of str
            Those of the run and of all runs.
        """
        if run is None or self.prefixes is None:
            return list(every)
        return [name for name in every if self.prefixes.get(name) in (None, run)]


def layout_of(raw: RawLog, *, loss: str | None = None) -> Layout:
    """Find out whether a log has several runs.

    Parameters
    ----------
    raw
        The opened log.
    loss
        The column of the loss if the user named it; of several runs side by side it chooses one.

    Returns
    -------
    Layout
        The runs.
    """
    prefixes = {name: name.rpartition(" - ")[0].strip() or None for name in raw.columns}
    if not any(prefixes.values()):
        prefixes = _side_by_side(raw.columns)
    runs = [run for run in dict.fromkeys(prefixes.values()) if run is not None]
    if len(runs) > 1 and not all(split_of(run) for run in runs):
        named = {prefixes[name] for name in raw.columns if loss is not None and name.lower() == loss.lower()} - {None}
        chosen = [run for run in runs if run in named] or runs
        return Layout(runs=tuple(chosen), prefixes=prefixes)
    steps = [name for name in step_columns(raw.columns) if name != "_step"][:1] or step_columns(raw.columns)[:1]
    for column in run_columns(raw.columns):
        cells = raw.read([], [column])
        labels = cells.labels[column]
        if not plain_name(column).startswith("run") and not _names_a_run_a_row(raw, cells, column, steps):
            labels = _with_steps_of_their_own(raw, column, steps[0], [column]) if steps else ()
        if plain_name(column) == "dir_name":
            # a folder a run, with rows about several quantities of the same steps
            labels = cells.labels[column] if 3 * len(cells.labels[column]) <= cells.numbers.size else ()
        if len(labels) > 1 and not all(split_of(label) for label in labels):
            return Layout(runs=labels, column=column)
    splits = [name for name, texts in raw.words().items() if all(map(split_of, texts))]
    settings = [name for name in raw.columns if name not in (*steps, *splits) and _is_setting(name)]
    words = [c for c, texts in raw.words().items() if not tells_machines(c) and not names_no_run(c, texts)]
    candidates = list(dict.fromkeys([*settings, *words]))
    if not steps or not candidates or not goes_back(raw, steps[0]):
        return Layout()
    for column in candidates:
        beginning = column not in settings
        labels = _with_steps_of_their_own(raw, column, steps[0], candidates, from_the_beginning=beginning)
        if labels:
            return Layout(runs=labels, column=column)
    return Layout()


def goes_back(raw: RawLog, step: str) -> bool:
    """Return whether steps repeat or go back in the first rows, among which the first run of a table of several ends.

    Parameters
    ----------
    raw
        The opened log.
    step
        The column of the steps.

    Returns
    -------
    bool
        True if they do; a long log of one run is not read to its end.
    """
    if step not in raw.known:
        raw.known[step] = _goes_back(raw, step)
    return raw.known[step]


def _goes_back(raw: RawLog, step: str) -> bool:
    """Go through the first rows; see :func:`goes_back`."""
    seen, last = 0, -np.inf
    for numbers, cells in raw.chunks([step]):
        given = cells[step]
        values = given.values if isinstance(given, Column) else [v for v in map(number, given) if v is not None]
        if (np.diff(values, prepend=last) <= 0).any():
            return True
        seen, last = seen + len(numbers), values[-1] if len(values) else last
        if seen >= _FIRST_ROWS:
            break
    return False


def tells_machines(column: str) -> bool:
    """Return whether the values of a column tell the parts of one run apart, such as the jobs that went on with it.

    Parameters
    ----------
    column
        Its name.

    Returns
    -------
    bool
        True if its name has a word of them.
    """
    return bool(set(plain_name(column).split("_")) & _MACHINES or writer_columns([column]))


def _is_setting(column: str) -> bool:
    """Return whether a name is one of a setting of the model or of its training, such as ``d_model``."""
    plain = plain_name(column)
    measured = rate_columns([column]) or step_columns([column])
    words = set(plain.split("_"))
    # `n_layer` is a setting, and `layer` says which of them a row is about
    words -= {"layer", "head", "param"} if words & {"n", "num", "number", "size", "dim", "d"} else set()
    return plain in _SETTINGS or (words <= _SETTING_WORDS and not measured)


def _side_by_side(columns: Sequence[str]) -> dict[str, str | None]:
    """Return the run of each column where at least two have a loss and a rate each (``a_loss, a_lr, b_loss, b_lr``)."""
    parts = {name: _SIDE_BY_SIDE.fullmatch(name) for name in columns if len(name) <= 200}
    runs = {name: match["run"] for name, match in parts.items() if match and not split_of(match["run"])}
    losses = {run for name, run in runs.items() if parts[name]["loss"]}  # type: ignore[index]
    rates = {run for name, run in runs.items() if parts[name]["rate"]}  # type: ignore[index]
    both = losses & rates
    shared = any(plain_name(name) in ("loss", "val_loss", "train_loss", "lr", "learning_rate") for name in columns)
    if len(both) < 2 or shared:
        return dict.fromkeys(columns)
    return {name: runs[name] if runs.get(name) in both else None for name in columns}


def _with_steps_of_their_own(
    raw: RawLog, column: str, step: str, together: Sequence[str], *, from_the_beginning: bool = False
) -> tuple[str, ...]:
    """Return the values of a column if each has rising steps and losses of its own, and all together have not.

    The column is read together with others of which the same will be asked.
    """
    loss = losses_in_order(raw.columns)[:1]
    cells = raw.read([step, *loss], together)
    codes, labels, at = cells.texts[column], cells.labels[column], cells.columns[step]
    if not 2 <= len(labels) <= codes.size // 3 or all(split_of(label) for label in labels):
        return ()
    of, steps = codes[at.rows], at.values
    if (of < 0).any() or not (np.diff(steps) <= 0).any():
        return ()
    parts = [steps[of == code] for code in range(len(labels))]
    rising = all(part.size >= 3 and (np.diff(part) > 0).all() for part in parts)
    if from_the_beginning and any(abs(part[0] - parts[0][0]) > 2 * np.median(np.diff(parts[0])) for part in parts[1:]):
        return ()
    if loss and rising and _same_losses(cells.columns[loss[0]], codes, len(labels)):
        return ()
    # stages of one run, and the machines on which it was resumed, follow each other
    return labels if rising and all(_overlap(part, parts[0]) >= 0.5 for part in parts[1:]) else ()


def _same_losses(loss: Column, codes: NDArray[np.int16], count: int) -> bool:
    """Return whether all parts of a table have the same losses, as rows about the layers of one model do."""
    first = loss.values[codes[loss.rows] == 0]
    return first.size > 2 and all(np.array_equal(loss.values[codes[loss.rows] == k], first) for k in range(1, count))


def a_row_each(raw: RawLog) -> str:
    """Return the column of names that has another name in each row, as in a table of runs.

    Parameters
    ----------
    raw
        The opened log.

    Returns
    -------
    str
        The column; empty if there is none.
    """
    for column in run_columns(raw.columns):
        if _differs_in_all_rows(raw.read([], [column]), column):
            return column
    return ""


def _differs_in_all_rows(cells: Cells, column: str) -> bool:
    """Return whether a column of texts has another one in each row."""
    return 2 <= len(cells.labels[column]) == cells.texts[column].size


def _names_a_run_a_row(raw: RawLog, cells: Cells, column: str, steps: Sequence[str]) -> bool:
    """Return whether each row of a log with steps names another run, as in a table of runs.

    It does not where steps are evenly apart, or where the names say them, as those of checkpoints do.
    """
    if not steps or not _differs_in_all_rows(cells, column):
        return False
    cells = raw.read(steps[:1], [column])
    codes, labels = cells.texts[column], cells.labels[column]
    at = cells.columns[steps[0]]
    if at.values.size > 2 and np.ptp(np.diff(at.values)) == 0:
        return False
    said = [re.findall(r"\d+", labels[codes[row]]) for row in at.rows]
    return not all(f"{step:.0f}" in numbers for step, numbers in zip(at.values, said, strict=True))


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return which share of the shorter of two stretches of steps both have."""
    shared = min(one[-1], other[-1]) - max(one[0], other[0])
    return float(shared / max(min(np.ptp(one), np.ptp(other)), 1.0))


def as_wide(raw: RawLog) -> RawLog:
    """Return a log that has one value per row, under the name in another column, with one column per name.

    Parameters
    ----------
    raw
        The opened log.

    Returns
    -------
    RawLog
        The same log if it is none of these.
    """
    plain = {plain_name(name): name for name in raw.columns}
    names, values = sorted(_NAMES & plain.keys()), sorted(_VALUES & plain.keys())
    if not names or len(values) != 1 or loss_columns(raw.columns) or not step_columns(raw.columns):
        return raw
    of_run = plain["name"] if len(names) == 2 and "name" in names else ""
    if len(names) > 1:
        # beside the name of a quantity there may be that of the run
        names = [name for name in names if loss_columns(raw.read([], [plain[name]]).labels[plain[name]])]
    if len(names) != 1:
        return raw
    name, value = plain[names[0]], plain[values[0]]
    metrics = raw.read([], [name]).labels[name]
    rest = [column for column in raw.columns if column not in (name, value)]
    called = {"run": of_run} if of_run in rest and run_columns(rest) == [of_run] else {}
    rest = ["run" if column in called.values() else column for column in rest]

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        beside = {column: called.get(column, column) for column in wanted if column in rest}
        for numbers, cells in raw.chunks([name, value, *beside.values()]):
            said, held = cells[name], cells[value]
            found: dict[str, Sequence[object] | Column] = {column: cells[own] for column, own in beside.items()}
            for metric in wanted:
                if metric not in found and not isinstance(said, Column) and not isinstance(held, Column):
                    pairs = zip(said, held, strict=True)
                    found[metric] = [v if str(text).strip() == metric else None for text, v in pairs]
            yield numbers, found

    columns = tuple(dict.fromkeys([*rest, *metrics]))
    return replace(raw, columns=columns, chunks=chunks)


def one_run(raw: RawLog, layout: Layout, run: str | None) -> str | None:
    """Return the run to read.

    Parameters
    ----------
    raw
        The opened log.
    layout
        Its runs.
    run
        The run that is wanted.

    Returns
    -------
    str or None
        The run; None for a log of one run.

    Raises
    ------
    LogError
        If the log has several runs and none of them is wanted.
    """
    named = [label for label in layout.runs if run is not None and (run == label or run.endswith(f"/{label}"))]
    if named:
        return named[0]
    if len(layout.runs) <= 1:
        return layout.runs[0] if layout.runs else None
    how = "has columns of" if layout.column is None else f"in its column {shown(layout.column, 30)} names"
    raise LogError(
        f"{raw.path}: the log {how} {len(layout.runs)} runs ({listed(layout.runs, 4)}); allowed: the name of one of "
        "them as the run, or the loss of one named by `loss` (--loss)"
    )
