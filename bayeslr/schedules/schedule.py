"""A learning-rate schedule: the rate of every update of one training run, from the first.

The law sees a schedule only through the array of its rates, so that is what a :class:`Schedule` is. ``lr[i]`` is the
rate of update ``i``, counted from 0; a loss at step ``s`` was measured after ``s`` updates and therefore sees
``lr[:s]``. Everything else (peak, warm-up, final rate) is read off the rates.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeslr.errors import ScheduleError
from bayeslr.markup import box, line, paragraph

__all__ = ["MAX_STEPS", "MAX_UPDATES", "Schedule"]

MAX_STEPS: Final = 20_000_000
"""The longest schedule in updates: 0.16 GB of rates, ten times the longest published runs."""
MAX_UPDATES: Final = 200_000_000
"""Most updates of all schedules that are looked at together: 1.6 GB of rates."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """The rates of all updates of a run.

    Two schedules are equal when their rates and their warm-up are; the spec does not count.

    Parameters
    ----------
    lr
        Rate of update ``i`` at index ``i``, shape ``[T]``: finite, not negative, not all zero.
        Kept as a read-only float64 copy.
    warmup_steps
        Number of warm-up updates: updates ``0..warmup_steps - 1`` rise, and ``lr[warmup_steps]`` is the first peak.
        Default -1: detected, as the last index of the initial rise (the first ``i`` with ``lr[i + 1] <= lr[i]``; rates
        of zero at the start belong to the rise).
    spec
        Canonical text from which :func:`bayeslr.schedules.parse_schedule` builds the same schedule. Default empty:
        the rates came from elsewhere.

    Raises
    ------
    ScheduleError
        If the rates or the warm-up are not as described.
    """

    lr: NDArray[np.float64]
    warmup_steps: int = -1
    spec: str = ""

    def __post_init__(self) -> None:
        lr = _validated_rates(self.lr)
        warmup_steps = self.warmup_steps
        if isinstance(warmup_steps, bool) or not isinstance(warmup_steps, int | np.integer):
            raise ScheduleError(f"schedule: warmup_steps is {warmup_steps!r}; allowed: an integer")
        if warmup_steps >= lr.size:
            raise ScheduleError(
                f"schedule: warmup_steps is {warmup_steps}, but there are only {lr.size} updates; "
                f"allowed: 0 to {lr.size - 1}, or negative to detect it"
            )
        object.__setattr__(self, "lr", lr)
        object.__setattr__(self, "warmup_steps", _detect_warmup(lr) if warmup_steps < 0 else int(warmup_steps))

    @property
    def total_steps(self) -> int:
        """Number of updates, T."""
        return int(self.lr.size)

    @cached_property
    def peak_lr(self) -> float:
        """Largest rate."""
        return float(self.lr.max())

    @property
    def final_lr(self) -> float:
        """Rate of the last update."""
        return float(self.lr[-1])

    def prefix(self, n: int) -> "Schedule":
        """Return the first updates as a schedule of their own.

        Parameters
        ----------
        n
            Number of updates to keep, 1 to ``total_steps``.

        Returns
        -------
        Schedule
            With rates ``lr[:n]`` and the same warm-up (cut to ``n - 1`` if the prefix ends inside it); without a spec
            unless ``n`` is ``total_steps``.

        Raises
        ------
        ScheduleError
            If ``n`` is out of range, or if all rates of the prefix are zero.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= self.total_steps:
            raise ScheduleError(f"prefix of a schedule: n is {n!r}; allowed: an integer from 1 to {self.total_steps}")
        if n == self.total_steps:
            return self
        return Schedule(lr=self.lr[:n], warmup_steps=min(self.warmup_steps, int(n) - 1))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return self.warmup_steps == other.warmup_steps and np.array_equal(self.lr, other.lr)

    def __hash__(self) -> int:
        return hash((self.warmup_steps, self.lr.tobytes()))

    def __repr__(self) -> str:
        return (
            f"Schedule(total_steps={self.total_steps}, peak_lr={self.peak_lr:.6g}, final_lr={self.final_lr:.6g}, "
            f"warmup_steps={self.warmup_steps}, spec={self.spec!r})"
        )

    def _repr_html_(self) -> str:
        told = (
            f"{self.total_steps:,} steps, warm-up {self.warmup_steps:,}, peak {self.peak_lr:.4g} to {self.final_lr:.4g}"
        )
        shown = np.unique(np.linspace(0, self.total_steps - 1, 500).astype(int))
        drawn = line(shown.tolist(), self.lr[shown].tolist(), label=f"Learning rate: {told}")
        return box(paragraph(self.spec or "Schedule", strong=True), drawn, paragraph(told))


_PAUSE = 0.2
"""Share of a rise that equal rates within it may last."""


def _validated_rates(lr: ArrayLike) -> NDArray[np.float64]:
    """Return a checked, read-only float64 copy of the rates."""
    try:
        rates = np.asarray(lr)
    except (TypeError, ValueError):
        raise ScheduleError("schedule: the rates are a ragged sequence; allowed: a 1-D array of numbers") from None
    if rates.ndim != 1 or rates.dtype.kind not in "iuf":
        raise ScheduleError(
            f"schedule: the rates have shape {rates.shape} and type {rates.dtype}; allowed: a 1-D array of real numbers"
        )
    if not 1 <= rates.size <= MAX_STEPS:
        raise ScheduleError(f"schedule: there are {rates.size} rates; allowed: 1 to {MAX_STEPS}")
    # Adding 0.0 copies and turns -0.0 into 0.0, so that equal schedules have equal hashes.
    rates = rates.astype(np.float64) + 0.0
    wrong = ~(np.isfinite(rates) & (rates >= 0))
    if wrong.any():
        first = int(wrong.argmax())
        raise ScheduleError(f"schedule: the rate of update {first} is {rates[first]}; allowed: finite, not negative")
    if not rates.any():
        raise ScheduleError(f"schedule: all {rates.size} rates are zero; allowed: at least one positive rate")
    rates.setflags(write=False)
    return rates


def _detect_warmup(lr: NDArray[np.float64]) -> int:
    """Return the index of the last update of the initial rise."""
    start = int(np.flatnonzero(lr)[0])
    return start + rise_end(lr[start:])


def rise_end(rates: NDArray[np.float64]) -> int:
    """Return where rates end to rise for the first time.

    A short stretch of equal rates does not end a rise that goes on after it: rates are rounded in logs, repeated after
    a restart, or held for an update whose gradients overflowed.

    Parameters
    ----------
    rates
        Rates in order, shape ``[n]``, n >= 1.

    Returns
    -------
    int
        Index of the first rate of the first stretch that is followed by a fall, or that is long: more than a fifth of
        the way to the highest rate before a fall.
    """
    falls = np.flatnonzero(np.diff(rates) < 0)
    risen = rates[: int(falls[0]) + 1] if falls.size else rates
    top = int(np.argmax(risen == risen[-1]))
    levels = np.append(0, np.flatnonzero(np.diff(risen[: top + 1]) > 0) + 1)
    long = np.flatnonzero(np.diff(levels) > 1 + _PAUSE * top)
    return int(levels[long[0]]) if long.size else top
