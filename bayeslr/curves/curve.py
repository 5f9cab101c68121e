"""One loss curve: what was measured in one training run, and the rates that the run was trained with.

A :class:`LossCurve` always holds the whole history of a run. A run that was branched off another one in the middle has
its parent's earlier observations and rates in front of its own (see :mod:`bayeslr.curves.branches`), so that a law can
be evaluated from update 0 on without asking where the rows came from.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeslr.curves.counts import size_label
from bayeslr.errors import CurveError
from bayeslr.markup import box, line, paragraph
from bayeslr.schedules import MAX_STEPS, Schedule

__all__ = ["LossCurve", "Setup"]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What of a run's configuration acts on its loss together with the rates.

    Parameters
    ----------
    weight_decay
        Decoupled weight decay, as the optimiser was given it; none: not known.
    batch_size
        Size of a batch in any unit that all runs of a set share, such as tokens or sequences; none: not known.
    """

    weight_decay: float | None = None
    batch_size: float | None = None


BATCH_TOKENS = ("batch_tokens", "tokens_per_step", "tokens_per_batch")
BATCH_SEQUENCES = ("batch_size", "batch_sequences", "global_batch_size")
"""Columns that say how large a batch is, in tokens and in sequences."""

DIVERGED, MISMATCH = "diverged", "schedule_mismatch"
"""Metadata of what was found at reading: that a log ends without losses, that its rates are not the schedule's."""

_MAX_NAME = 500
"""Longest name of a run or a size, in characters."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LossCurve:
    """The losses of one run at some of its steps, with its schedule and its size.

    Parameters
    ----------
    name
        Name of the run, not empty.
    steps
        Steps at which the loss was measured, shape ``[n]``, n >= 1: strictly increasing, from 1 on. A loss at step
        ``s`` was measured after ``s`` updates and sees the rates ``schedule.lr[:s]``. Kept as a read-only copy.
    loss
        Losses in nats per token, shape ``[n]``, finite. Kept as a read-only copy.
    schedule
        The rates from update 0 on; at least as long as the last step.
    params
        Number of non-embedding parameters; None where it is not known.
    size
        Label of the model size, for example ``"25M"``; None where there is none.
    metadata
        Further facts of the run, such as the columns of a manifest. Kept as a copy.
    weight_decay
        Decoupled weight decay of the optimiser. Default: that of the metadata, None where it is not there.
    batch_size
        Size of a batch, in the same unit for all runs of a set. Default: that of the metadata, as ``batch_size`` or by
        another name that such columns have: ``batch_tokens``, ``tokens_per_step``, ``tokens_per_batch``,
        ``batch_sequences``, ``global_batch_size``, the first of these that is a number above 0.

    Raises
    ------
    CurveError
        If a value is not as described.
    """

    name: str
    steps: NDArray[np.int64]
    loss: NDArray[np.float64]
    schedule: Schedule
    params: float | None = None
    size: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    weight_decay: float | None = None
    batch_size: float | None = None

    def __post_init__(self) -> None:
        _check_text(self.name, "curve: the name")
        where = f"curve {self.name!r}"
        if not isinstance(self.schedule, Schedule):
            raise CurveError(f"{where}: schedule is a {type(self.schedule).__name__}; allowed: a Schedule")
        steps, loss = _checked_steps(self.steps, where), _checked_loss(self.loss, where)
        if steps.size != loss.size:
            raise CurveError(f"{where}: {steps.size} steps but {loss.size} losses; allowed: one loss a step")
        if steps[-1] > self.schedule.total_steps:
            raise CurveError(
                f"{where}: the last step is {steps[-1]}, but the schedule ends at {self.schedule.total_steps}; "
                "allowed: observations within the schedule"
            )
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "loss", loss)
        object.__setattr__(self, "params", _checked_params(self.params, where))
        if self.size is not None:
            _check_text(self.size, f"{where}: size", empty=True)
        metadata = dict(self.metadata)
        for name in ("weight_decay", "batch_size"):
            given = getattr(self, name)
            value = _checked_setting(name, metadata.get(name) if given is None else given, where)
            object.__setattr__(self, name, value)
            if given is not None:
                metadata[name] = value
        if self.batch_size is None:
            object.__setattr__(self, "batch_size", first_number(metadata, (*BATCH_TOKENS, *BATCH_SEQUENCES)))
        object.__setattr__(self, "metadata", metadata)

    def __len__(self) -> int:
        return int(self.steps.size)

    def __repr__(self) -> str:
        return (
            f"LossCurve(name={self.name!r}, size={self.size!r}, params={self.params}, n={len(self)}, "
            f"steps={self.steps[0]}..{self.steps[-1]}, loss={self.loss[0]:.4g}..{self.loss[-1]:.4g})"
        )

    def _repr_html_(self) -> str:
        last = f"step {self.steps[0]:,} to {self.steps[-1]:,} of {self.schedule.total_steps:,}"
        told = f"{len(self):,} losses, {last}: {self.loss[0]:.4g} to {self.loss[-1]:.4g}"
        late = self.steps > min(self.schedule.warmup_steps, int(self.steps[-1]) - 1)
        low = float(self.loss[late].min())
        drawn = line(self.steps[late].tolist(), (self.loss[late] - 0.98 * low).tolist(), label=f"Loss: {told}")
        called = size_label(self.size, self.params)
        size = f", size {called}" if called else ""
        return box(paragraph(f"{self.name}{size}", strong=True), drawn, paragraph(told), self.schedule._repr_html_())

    @property
    def lr(self) -> NDArray[np.float64]:
        """Rate at each observation, shape ``[n]``, as loggers write it.

        The rate at step ``s`` is that of update ``s``, the one that follows the measurement; after the last update of
        the schedule it is the rate of that update.
        """
        return self.schedule.lr[np.minimum(self.steps, self.schedule.total_steps - 1)]

    @property
    def setup(self) -> Setup:
        """Weight decay and batch size."""
        return Setup(weight_decay=self.weight_decay, batch_size=self.batch_size)

    @property
    def past_warmup(self) -> NDArray[np.bool_]:
        """True where at least one update after the warm-up has been seen, shape ``[n]``: the observations to fit."""
        return self.steps > self.schedule.warmup_steps

    def take(self, keep: NDArray[np.bool_]) -> "LossCurve":
        """Return the curve with some of its observations; schedule and metadata stay.

        Parameters
        ----------
        keep
            True for each observation to keep, shape ``[n]``, True somewhere.

        Returns
        -------
        LossCurve
            With the kept observations.

        Raises
        ------
        CurveError
            If nothing is kept.
        """
        if not keep.any():
            raise CurveError(
                f"curve {self.name!r}: none of its {len(self)} observations is left; allowed: at least one"
            )
        return replace(self, steps=self.steps[keep], loss=self.loss[keep])

    def after_warmup(self) -> "LossCurve":
        """Return the curve without the observations inside the warm-up, which no law here describes.

        Returns
        -------
        LossCurve
            With the observations at steps greater than ``schedule.warmup_steps``.

        Raises
        ------
        CurveError
            If every observation lies in the warm-up.
        """
        if not self.past_warmup.any():
            raise CurveError(
                f"curve {self.name!r}: all {len(self)} observations lie in the warm-up of {self.schedule.warmup_steps} "
                "steps; allowed: at least one after it"
            )
        return self.take(self.past_warmup)


def _check_text(text: object, where: str, *, empty: bool = False) -> None:
    """Refuse a name that is no text, or none that tables and files can hold."""
    if not isinstance(text, str) or not (empty or text.strip()):
        raise CurveError(f"{where} is {text!r}; allowed: text that is not empty")
    if len(text) > _MAX_NAME:
        raise CurveError(f"{where} has {len(text)} characters, {text[:40]!r}...; allowed: {_MAX_NAME}")
    # control characters, and halves of characters that no file can hold
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise CurveError(f"{where} is {text!r}; allowed: text without line breaks and control characters")


def _checked_steps(values: ArrayLike, where: str) -> NDArray[np.int64]:
    """Return a checked, read-only int64 copy of the steps."""
    steps = np.array(values)
    if steps.ndim != 1 or steps.size == 0 or steps.dtype.kind not in "iuf":
        raise CurveError(
            f"{where}: steps has shape {steps.shape} and type {steps.dtype}; allowed: a 1-D array of whole numbers, "
            "not empty"
        )
    if steps.dtype.kind == "f":
        whole = np.isfinite(steps) & (steps == np.floor(steps))
        if not whole.all():
            raise CurveError(f"{where}: step {steps[~whole][0]} is not a whole number; allowed: whole numbers")
    if steps.max() > MAX_STEPS:
        raise CurveError(f"{where}: step {steps.max()}; allowed: 1 to {MAX_STEPS}")
    steps = steps.astype(np.int64)
    if steps[0] < 1:
        raise CurveError(f"{where}: the first step is {steps[0]}; allowed: 1 or more (no update, no observation)")
    back = np.flatnonzero(np.diff(steps) <= 0)
    if back.size:
        i = int(back[0])
        raise CurveError(f"{where}: step {steps[i + 1]} follows step {steps[i]}; allowed: strictly increasing steps")
    steps.setflags(write=False)
    return steps


def _checked_loss(values: ArrayLike, where: str) -> NDArray[np.float64]:
    """Return a checked, read-only float64 copy of the losses."""
    raw = np.asarray(values)
    if raw.ndim != 1 or raw.dtype.kind not in "iuf":
        raise CurveError(f"{where}: loss has shape {raw.shape} and type {raw.dtype}; allowed: a 1-D array of numbers")
    loss = raw.astype(np.float64)
    if not np.isfinite(loss).all():
        bad = int(np.argmin(np.isfinite(loss)))
        raise CurveError(f"{where}: loss {loss[bad]} at observation {bad}; allowed: finite losses")
    loss = loss.copy()
    loss.setflags(write=False)
    return loss


def _checked_setting(name: str, value: object, where: str) -> float | None:
    """Return a number above zero (a weight decay may be zero), or None where there is none."""
    if value is None or value == "":
        return None
    number = float(value) if isinstance(value, int | float | np.number) and not isinstance(value, bool) else np.nan
    least_open = name == "batch_size"
    if not (np.isfinite(number) and (number > 0.0 if least_open else number >= 0.0)):
        raise CurveError(
            f"{where}: {name} is {value!r}; allowed: a number {'above' if least_open else 'from'} 0, or None"
        )
    return number


def first_number(metadata: Mapping[str, object], names: Iterable[str]) -> float | None:
    """Return the first of some columns that is a positive number, also as text; None where there is none."""
    for name in names:
        try:
            value = float(str(metadata[name]))
        except (KeyError, ValueError):
            continue
        if 0.0 < value < np.inf:
            return value
    return None


def _checked_params(params: object, where: str) -> float | None:
    """Return the number of parameters as a float."""
    if params is None:
        return None
    if isinstance(params, bool) or not isinstance(params, int | float | np.integer | np.floating):
        raise CurveError(f"{where}: params is {params!r}; allowed: a positive number of parameters, or None")
    if not (np.isfinite(params) and params > 0):
        raise CurveError(f"{where}: params is {params}; allowed: a positive, finite number of parameters, or None")
    return float(params)
