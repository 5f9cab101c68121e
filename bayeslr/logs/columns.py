"""Which columns of a log hold the step, the loss, the run, the time and the epoch.

Names are compared in lower case with ``/ . : - ( )`` and spaces as ``_`` (``Val/Loss`` and ``valLoss`` are
``val_loss``); of the ``run - metric`` names in W&B's exports the metric counts. Where several names fit:

- *step*: ``step``, then names of global steps, iterations, updates and batches, and ``_step`` last, because a trainer
  that logs to W&B often has a global step beside W&B's own counter.
- *loss*: a validation loss (``val_loss, valid_loss, eval_loss, ...``), then one with more words in its name
  (``eval/c4_en-validation/CrossEntropyLoss``), then a test loss, then ``loss``, then a training loss, then any other.
  What is the best so far, a least or a greatest one, an auxiliary loss or a perplexity is none.
"""

import re
from collections.abc import Sequence

from bayeslr.errors import LogError
from bayeslr.logs.limits import listed, shown
from bayeslr.logs.names import SPLITS, TEST, TRAINING, VALIDATION, plain_name, words_of

__all__ = [
    "by_rank",
    "data_words",
    "epoch_columns",
    "is_relative",
    "loss_columns",
    "loss_kind",
    "losses_in_order",
    "named_column",
    "perplexity_columns",
    "plain_name",
    "run_columns",
    "split_of",
    "step_columns",
    "time_columns",
    "words_of",
]

_STEPS = (
    *("step", "steps", "global_step", "global_steps", "trainer_global_step", "train_global_step", "iter", "iteration"),
    *("iterations", "iters", "it", "update", "updates", "num_updates", "train_step", "training_step", "train_steps"),
    *("training_steps", "current_steps", "current_step", "optimizer_step", "optimizer_steps", "opt_step", "optim_step"),
    *("num_steps", "n_steps", "step_num", "global_iter", "global_iteration", "n_iter", "train_iter", "train_iteration"),
    *("train_num_updates", "global_step_max_steps", "time_batch", "batch", "batches", "batch_idx"),
)
_COUNTERS = frozenset({"step", "steps", "iter", "iteration", "iterations", "num_updates", "updates", "global_step"})
_COUNTED = frozenset({"step", "steps", "iter", "iters", "iteration", "iterations", "update", "updates"})
_BESIDE_COUNTED = frozenset(
    {"train", "training", "trainer", "progress", "metrics", "current", "opt", "optim", "optimizer", "optimiser"}
    | {"gradient", "grad", "num", "number", "n", "global", "count", "counter", "idx", "index"}
)
_RUNS = (
    "run",
    "run_name",
    "run_id",
    "run_uuid",
    "name",
    "experiment",
    "experiment_name",
    "exp",
    "exp_name",
    "dir_name",
)
_TIMES = ("_timestamp", "timestamp", "wall_time", "time", "created_at", "datetime")
_NO_MEANING = frozenset(
    {"avg", "mean", "average", "global", "reduced", "metrics", "metric", "total", "lm", "ce", "language"}
    | {"per", "token", "batch", "inner", "dataloader", "idx", "0", "samples", "w", "main", "scalar"}
    | {"scalars", "log", "logs", "epoch", "step", "rank0", "gathered", "nat", "nats"}
)
_LESS_PLAIN = frozenset({"avg", "mean", "average", "total", "global", "reduced", "gathered", "ema", "smoothed"})
_PLAIN_LOSSES = frozenset(
    {"loss", "nll_loss", "nll", "xent", "cross_entropy", "cross_entropy_loss", "xent_loss", "ce", "loss_out"}
)
_NOT_THE_LOSS = frozenset(
    {"aux", "auxiliary", "z", "router", "balance", "balancing", "std", "var", "min", "max", "scale", "scaled", "scaler"}
    | {"best", "lowest", "minimum", "maximum", "vs", "ppl", "perplexity", "diff", "delta", "norm", "weight", "target"}
    | {"count", "improvement", "spike", "kl", "stderr", "error", "threshold", "smallest", "record", "top", "highest"}
    | {"largest", "cummin", "cummax", "reward", "value", "policy", "grad", "gradient", "reg", "regularization"}
    | {"predicted", "excess", "relative", "rel", "cumulative", "cum", "sum", "log10", "penalty", "distill"}
)


def step_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that may count steps, best first.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of str
        Some of them.
    """
    others = [
        c for c in columns if is_relative(c) and set(words_of(c)) - VALIDATION - TEST <= {"num", *_COUNTERS, "global"}
    ]
    others = [c for c in others if set(words_of(c)) & (_COUNTERS | {"updates"})]
    known, calls = by_rank(columns, _STEPS), by_rank(columns, ("_step",))
    # another counter by its words, such as `train/opt_step`, before W&B's own
    alike = [c for c in columns if c not in (*known, *calls) and not is_relative(c) and _counts(c)]
    return [*known, *alike, *calls, *others]


def _counts(column: str) -> bool:
    """Return whether a name consists of words of a counter of updates."""
    words = set(words_of(column))
    return bool(words & _COUNTED) and words <= _COUNTED | _BESIDE_COUNTED


def time_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that hold the time at which a row was written, best first.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of str
        Some of them.
    """
    return by_rank(columns, _TIMES)


def run_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that tell runs apart in a table of several.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of str
        Some of them.
    """
    return by_rank(columns, _RUNS)


def loss_columns(columns: Sequence[str]) -> list[list[str]]:
    """Return the columns that may be the loss.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of list of str
        Groups of columns that fit equally well, best group first.
    """
    groups: dict[int, list[str]] = {}
    for column in columns:
        rank, kind = _loss_rank(column)
        if kind:
            groups.setdefault(rank, []).append(column)
    # TensorBoard's own exports have one metric a file and call it so.
    if not groups and {plain_name(column) for column in columns} == {"wall_time", "step", "value"}:
        return [[column for column in columns if plain_name(column) == "value"]]
    return [groups[rank] for rank in sorted(groups)]


def losses_in_order(columns: Sequence[str]) -> list[str]:
    """Return the columns of :func:`loss_columns` one after the other, best first."""
    return [name for group in loss_columns(columns) for name in group]


def loss_kind(column: str) -> str:
    """Return what a column of losses was measured on.

    Parameters
    ----------
    column
        Its name.

    Returns
    -------
    str
        ``validation``, ``test`` or ``training``; ``plain`` where the name does not say it; empty if it is no loss.
    """
    return _loss_rank(column)[1]


def _loss_rank(column: str) -> tuple[int, str]:
    """Return how well a column fits as the loss, 0 best, and its kind; an empty kind if it does not."""
    words = ["loss" if word == "losses" else word for word in plain_name(column).split("_")]
    about_split = SPLITS & set(words)
    rest = [word for word in words if word not in about_split]
    said = [word for word in rest if word not in _NO_MEANING]
    named = "_".join(said) not in _PLAIN_LOSSES | {"loss_loss", "loss_cross_entropy", "loss_ce", ""}
    ends = rest[-1:] == ["loss"] or rest[-2:] == ["cross", "entropy"] or not named
    if not ends or not ({"loss", "nll", "xent", "entropy", "ce"} & set(rest)) or _NOT_THE_LOSS & set(rest):
        return 0, ""
    if rest == ["ce"] and not about_split:
        return 0, ""
    # a mean, a total (with auxiliary losses) and the like come after the loss itself
    other = int(bool(_LESS_PLAIN & set(rest))) + int("epoch" in rest and not about_split)
    if VALIDATION & about_split:
        # that of a step is the loss of one batch
        return (20 if named else 10) + max(other, int("step" in rest)), "validation"
    if TEST & about_split:
        return (40 if named else 30) + other, "test"
    if named:
        return 80 + other, "training" if about_split else "plain"
    if about_split:
        # the mean over an epoch comes once an epoch
        return 60 + max(other, 2 * int("epoch" in rest)), "training"
    return 50 + other, "plain"


def data_words(column: str) -> frozenset[str]:
    """Return what the name of a loss says besides that it is one, such as the name of a data set.

    Parameters
    ----------
    column
        Its name.

    Returns
    -------
    frozenset of str
        The words; none of a plain name, such as ``eval/loss``.
    """
    plain = {"loss", "losses", "nll", "xent", "cross", "entropy", "crossentropy", "log", "perplexity"}
    return frozenset(words_of(column)) - plain - SPLITS - _NO_MEANING


def split_of(text: str) -> str:
    """Return what a value of a column such as ``split`` or ``mode`` stands for.

    Parameters
    ----------
    text
        The value.

    Returns
    -------
    str
        ``validation``, ``test`` or ``training``; empty for any other word.
    """
    words = plain_name(re.sub(r"[{}'\"]", "", text)).split("_")
    found = {
        name
        for name, known in (("validation", VALIDATION), ("test", TEST), ("training", TRAINING | {"fit"}))
        if known & set(words)
    }
    return found.pop() if len(found) == 1 and len(words) <= 3 else ""


def perplexity_columns(columns: Sequence[str]) -> dict[str, str]:
    """Return the columns of perplexities, and of bits a byte.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    dict
        ``perplexity`` or ``bits per byte`` by the name of the column.
    """
    found = {}
    for column in columns:
        words = set(plain_name(column).split("_"))
        if words & {"ppl", "perplexity"} and not words & {"best", "min", "max", "log"}:
            found[column] = "perplexity"
        elif words & {"bpb", "bpc"} or {"bits", "byte"} <= words:
            found[column] = "bits per byte"
    return found


def is_relative(column: str) -> bool:
    """Return whether a counter belongs to one split only, such as ``valid_num_updates``.

    Parameters
    ----------
    column
        Name of the column.

    Returns
    -------
    bool
        True if its name has a word of a split other than training.
    """
    return bool((VALIDATION | TEST) & set(plain_name(column).split("_")))


def epoch_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that count epochs, best first.

    Parameters
    ----------
    columns
        Names of all columns.

    Returns
    -------
    list of str
        Some of them.
    """
    return by_rank(columns, ("epoch", "epochs", "train_epoch", "trainer_epoch", "current_epoch", "time_epoch"))


def named_column(columns: Sequence[str], name: str, *, what: str, path: str) -> str:
    """Return a column that the user named.

    Parameters
    ----------
    columns
        Names of all columns.
    name
        The name: exact, or up to case.
    what
        The option that named it, for messages.
    path
        The log, for messages.

    Returns
    -------
    str
        The column.

    Raises
    ------
    LogError
        If there is no such column, or several.
    """
    found = [c for c in columns if c == name] or [c for c in columns if c.lower() == name.lower()]
    if len(found) == 1:
        return found[0]
    trouble = "occurs more than once" if found else "does not exist"
    raise LogError(f"{path}: the column {shown(name)}, named by `{what}`, {trouble}; columns: {listed(columns, 12)}")


def by_rank(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the columns with one of some names, in the order of the names.

    Parameters
    ----------
    columns
        Names of all columns.
    names
        The names, as :func:`plain_name` returns them.

    Returns
    -------
    list of str
        Some of the columns.
    """
    plain = [plain_name(column) for column in columns]
    return [column for name in names for column, text in zip(columns, plain, strict=True) if text == name]
