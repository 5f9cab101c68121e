"""Builders: the schedules that training recipes name, as functions of the update.

Every builder returns the rates of updates ``i = 0..T-1`` with ``T = total_steps``. The first ``w = warmup_steps`` rise
linearly from zero, ``lr[i] = peak_lr * i / w``, and ``lr[w]`` is the peak. What follows is written so that update
``T``, the first one after the run, would have the final rate. These are the conventions of optax.

All arguments are keywords: rates are in the optimiser's units, lengths in updates. A length may be an integral float
(``total_steps=2.4e4``). Each schedule carries the text that :func:`bayeslr.schedules.parse_schedule` reads back to the
same rates.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import ScheduleError
from bayeslr.schedules.arguments import as_count, as_counts, as_rate, as_rates, as_total_steps, as_warmup_steps, show
from bayeslr.schedules.schedule import Schedule

__all__ = ["constant", "cosine", "cyclic", "inverse_sqrt", "linear", "multistep", "wsd"]

type Rates = NDArray[np.float64]

_DECAYS = ("linear", "exponential", "1-sqrt", "cosine")


def constant(*, peak_lr: float, total_steps: int, warmup_steps: int = 0) -> Schedule:
    """Build a constant rate after the warm-up.

    Parameters
    ----------
    peak_lr
        The rate, positive.
    total_steps
        Number of updates, at least 1.
    warmup_steps
        Number of warm-up updates, less than ``total_steps``. Default 0.

    Returns
    -------
    Schedule
        ``lr[i] = peak_lr`` for ``i >= warmup_steps``.

    Raises
    ------
    ScheduleError
        If an argument is of the wrong type or out of range.
    """
    T = as_total_steps("constant", total_steps)
    w = as_warmup_steps("constant", warmup_steps, T)
    peak = as_rate("constant", "peak_lr", peak_lr, positive=True)
    spec = _spec("constant", peak_lr=peak, warmup_steps=w, total_steps=T)
    return _warmed_up(peak, w, np.full(T - w, peak), spec)


def cosine(*, peak_lr: float, total_steps: int, warmup_steps: int = 0, final_lr: float = 0.0) -> Schedule:
    """Build half a cosine from the peak to the final rate (Loshchilov and Hutter 2017, arXiv 1608.03983).

    Parameters
    ----------
    peak_lr
        Rate at the end of the warm-up, positive.
    total_steps
        Number of updates, at least 1.
    warmup_steps
        Number of warm-up updates, less than ``total_steps``. Default 0.
    final_lr
        Rate that update ``total_steps`` would have, at most ``peak_lr``. Default 0.

    Returns
    -------
    Schedule
        ``lr[i] = final_lr + (peak_lr - final_lr) * (1 + cos(pi * x)) / 2`` with ``x = (i - w) / (T - w)``.

    Raises
    ------
    ScheduleError
        If an argument is of the wrong type or out of range.
    """
    T = as_total_steps("cosine", total_steps)
    w = as_warmup_steps("cosine", warmup_steps, T)
    peak = as_rate("cosine", "peak_lr", peak_lr, positive=True)
    final = as_rate("cosine", "final_lr", final_lr, at_most=peak)
    spec = _spec("cosine", peak_lr=peak, final_lr=final, warmup_steps=w, total_steps=T)
    return _warmed_up(peak, w, _decayed(peak, final, np.arange(T - w) / (T - w), "cosine"), spec)


def linear(*, peak_lr: float, total_steps: int, warmup_steps: int = 0, final_lr: float = 0.0) -> Schedule:
    """Build a straight line from the peak to the final rate.

    Parameters
    ----------
    peak_lr
        Rate at the end of the warm-up, positive.
    total_steps
        Number of updates, at least 1.
    warmup_steps
        Number of warm-up updates, less than ``total_steps``. Default 0.
    final_lr
        Rate that update ``total_steps`` would have, at most ``peak_lr``. Default 0.

    Returns
    -------
    Schedule
        ``lr[i] = peak_lr + (final_lr - peak_lr) * (i - w) / (T - w)`` for ``i >= w``.

    Raises
    ------
    ScheduleError
        If an argument is of the wrong type or out of range.
    """
    T = as_total_steps("linear", total_steps)
    w = as_warmup_steps("linear", warmup_steps, T)
    peak = as_rate("linear", "peak_lr", peak_lr, positive=True)
    final = as_rate("linear", "final_lr", final_lr, at_most=peak)
    spec = _spec("linear", peak_lr=peak, final_lr=final, warmup_steps=w, total_steps=T)
    return _warmed_up(peak, w, _decayed(peak, final, np.arange(T - w) / (T - w), "linear"), spec)


def wsd(
    *,
    peak_lr: float,
    total_steps: int,
    decay_steps: int,
    warmup_steps: int = 0,
    final_lr: float = 0.0,
    decay: str = "linear",
) -> Schedule:
    """Build warm-up, stable phase and decay (Hu et al. 2024, arXiv 2404.06395; 1-sqrt: arXiv 2405.18392).

    Parameters
    ----------
    peak_lr
        Rate of the stable phase, positive.
    total_steps
        Number of updates, at least 1.
    decay_steps
        Number of updates of the decay, the last of the run: 0 (no decay) to ``total_steps - warmup_steps``.
    warmup_steps
        Number of warm-up updates, less than ``total_steps``. Default 0.
    final_lr
        Rate that update ``total_steps`` would have, at most ``peak_lr``; positive if ``decay`` is ``'exponential'``.
        Default 0.
    decay
        Shape of the decay from ``p = peak_lr`` to ``f = final_lr`` in ``x = (i - (T - decay_steps)) / decay_steps``:
        ``'linear'`` ``p + (f - p) * x`` (the default), ``'exponential'`` ``p * (f / p) ** x``, ``'1-sqrt'``
        ``f + (p - f) * (1 - sqrt(x))``, ``'cosine'`` ``f + (p - f) * (1 + cos(pi * x)) / 2``.

    Returns
    -------
    Schedule
        ``lr[i] = peak_lr`` from update ``w`` to the decay, then the shape above.

    Raises
    ------
    ScheduleError
        If an argument is of the wrong type or out of range.
    """
    T = as_total_steps("wsd", total_steps)
    w = as_warmup_steps("wsd", warmup_steps, T)
    d = as_count("wsd", "decay_steps", decay_steps, low=0, high=T - w, because="total_steps - warmup_steps")
    if not isinstance(decay, str) or decay not in _DECAYS:
        raise ScheduleError(f"wsd: decay is {show(decay)}; allowed: {', '.join(map(repr, _DECAYS))}")
    peak = as_rate("wsd", "peak_lr", peak_lr, positive=True)
    final = as_rate("wsd", "final_lr", final_lr, at_most=peak)
    if decay == "exponential" and final == 0:
        raise ScheduleError("wsd: final_lr is 0 with decay='exponential', which never reaches it; allowed: positive")
    rates = np.concatenate([np.full(T - w - d, peak), _decayed(peak, final, np.arange(d) / max(d, 1), decay)])
    spec = _spec("wsd", peak_lr=peak, final_lr=final, warmup_steps=w, decay_steps=d, total_steps=T, decay=decay)
    return _warmed_up(peak, w, rates, spec)


def multistep(
    *,
    peak_lr: float,
    total_steps: int,
    milestones: Sequence[int],
    lrs: Sequence[float],
    warmup_steps: int = 0,
) -> Schedule:
    """Build a rate that is piecewise constant after the warm-up.

    Parameters
    ----------
    peak_lr
        Rate from the end of the warm-up to the first milestone, positive.
    total_steps
        Number of updates, at least 1.
    milestones
        Updates at which the rate changes, strictly increasing, after ``warmup_steps`` and before ``total_steps``.
    lrs
        The rate from each milestone on, as many as milestones; they may rise again.
    warmup_steps
        Number of warm-up updates, less than ``total_steps``. Default 0.

    Returns
    -------
    Schedule
        ``lr[i] = lrs[k]`` for the last ``k`` with ``milestones[k] <= i``, or ``peak_lr`` before the first.

    Raises
    ------
    ScheduleError
        If an argument is of the wrong type or out of range.
    """
    T = as_total_steps("multistep", total_steps)
    w = as_warmup_steps("multistep", warmup_steps, T)
    peak = as_rate("multistep", "peak_lr", peak_lr, positive=True)
    limits = "after warmup_steps and before total_steps"
    changes = as_counts("multistep", "milestones", milestones, low=w + 1, high=T - 1, because=limits)
    levels = as_rates("multistep", "lrs", lrs)
    if len(levels) != len(changes):
        raise ScheduleError(f"multistep: lrs has {len(levels)} rates; allowed: {len(changes)}, one for each milestone")
    rates = np.array([peak, *levels])[np.searchsorted(changes, np.arange(w, T), side="right")]
    spec = _spec("multistep", peak_lr=peak, warmup_steps=w, milestones=changes, lrs=levels, total_steps=T)
    return _warmed_up(peak, w, rates, spec)


def inverse_sqrt(*, peak_lr: float, total_steps: int, warmup_steps: int = 0) -> Schedule:
    """Build a decay with the inverse square root of the update (Vaswani et al. 2017, arXiv 1706.03762, section 5.3).

    Parameters
    ----------
    peak_lr
        Rate at the end of the warm-up, positive.
    total_steps
        Number of updates, at least 1.
    warmup_steps
        Number of warm-up updates, less than ``total_steps``; it is also the time scale of the decay. Default 0: a
        time scale of one update.

    Returns
    -------
    Schedule
        ``lr[i] = peak_lr * sqrt(max(w, 1) / max(i, 1))`` for ``i >= w``.

    Raises
    ------
    ScheduleError
        If an argument is of the wrong type or out of range.
    """
    T = as_total_steps("inverse_sqrt", total_steps)
    w = as_warmup_steps("inverse_sqrt", warmup_steps, T)
    peak = as_rate("inverse_sqrt", "peak_lr", peak_lr, positive=True)
    rates = peak * np.sqrt(max(w, 1) / np.maximum(np.arange(w, T), 1))
    return _warmed_up(peak, w, rates, _spec("inverse_sqrt", peak_lr=peak, warmup_steps=w, total_steps=T))


def cyclic(
    *,
    peak_lr: float | Sequence[float],
    total_steps: int,
    cycle_steps: int,
    warmup_steps: int = 0,
    rewarmup_steps: int = 0,
    final_lr: float = 0.0,
) -> Schedule:
    """Build cosine cycles with warm restarts or re-warm-ups (SGDR, arXiv 1608.03983; ``optax.sgdr_schedule``).

    Cycle ``k`` covers the updates from ``k * cycle_steps``. The first begins with the warm-up from zero, every later
    one with a linear re-warm-up from ``final_lr`` to its peak; the rest of each cycle is half a cosine back to
    ``final_lr``.

    Parameters
    ----------
    peak_lr
        Peak of every cycle, positive; or a list with the peak of each, as many as cycles.
    total_steps
        Number of updates, at least 1; the last cycle is cut off there if it is not over.
    cycle_steps
        Length of a cycle with its warm-up, longer than ``warmup_steps`` and ``rewarmup_steps``.
    warmup_steps
        Number of warm-up updates of the first cycle, less than ``total_steps``. Default 0.
    rewarmup_steps
        Number of updates in which each later cycle rises to its peak. Default 0: the rate jumps (a warm restart).
    final_lr
        Rate that each cycle decays to, at most the lowest peak. Default 0.

    Returns
    -------
    Schedule
        In cycle ``k``, with ``j = i - k * cycle_steps``, ``r`` its warm-up and ``x = (j - r) / (cycle_steps - r)``:
        ``lr[i] = final_lr + (peak_lr[k] - final_lr) * (1 + cos(pi * x)) / 2`` for ``j >= r``.

    Raises
    ------
    ScheduleError
        If an argument is of the wrong type or out of range.
    """
    T = as_total_steps("cyclic", total_steps)
    w = as_warmup_steps("cyclic", warmup_steps, T)
    n = as_count("cyclic", "cycle_steps", cycle_steps, low=w + 1, high=T, because="after warmup_steps, to total_steps")
    r = as_count("cyclic", "rewarmup_steps", rewarmup_steps, low=0, high=n - 1, because="cycle_steps - 1")
    cycles = -(-T // n)
    if isinstance(peak_lr, list | tuple | np.ndarray):
        listed = as_rates("cyclic", "peak_lr", peak_lr, positive=True)
        if len(listed) != cycles:
            raise ScheduleError(f"cyclic: peak_lr has {len(listed)} rates; allowed: {cycles}, one for each cycle")
        peaks = np.array(listed)
    else:
        peaks = np.full(cycles, as_rate("cyclic", "peak_lr", peak_lr, positive=True))
    final = as_rate("cyclic", "final_lr", final_lr, at_most=float(peaks.min()))
    i = np.arange(w, T)
    j, peak, rise = i % n, peaks[i // n], np.where(i < n, w, r)
    falling = _decayed(peak, final, np.maximum(j - rise, 0) / (n - rise), "cosine")
    rates = np.where(j < rise, final + (peak - final) * (j / max(r, 1)), falling)
    written = peaks.tolist() if np.ptp(peaks) > 0 else float(peaks[0])
    spec = _spec(
        "cyclic", peak_lr=written, final_lr=final, warmup_steps=w, rewarmup_steps=r, cycle_steps=n, total_steps=T
    )
    return _warmed_up(float(peaks[0]), w, rates, spec)


def _decayed(peak: float | Rates, final: float, x: Rates, shape: str) -> Rates:
    """Return the rates of a decay at the fractions x in [0, 1); at 0 exactly the peak, so that no rounding anneals."""
    if shape == "exponential":
        return peak * (final / peak) ** x
    part = {"linear": x, "1-sqrt": np.sqrt(x), "cosine": (1 - np.cos(np.pi * x)) / 2}[shape]
    return peak + (final - peak) * part


def _warmed_up(peak: float, warmup_steps: int, rates: Rates, spec: str) -> Schedule:
    """Put the linear warm-up before the rates."""
    warmup = peak * (np.arange(warmup_steps) / max(warmup_steps, 1))
    return Schedule(lr=np.concatenate([warmup, rates]), warmup_steps=warmup_steps, spec=spec)


def _spec(name: str, **arguments: float | str | Sequence[float]) -> str:
    """Write the call that builds the schedule, with every argument."""
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
