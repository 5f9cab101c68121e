"""How far a question lies from the data that were fitted."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bayeslr.curves import LossCurve, Setup
from bayeslr.forecast.sizes import Target, fitted_runs
from bayeslr.inference import LOWERED_SHARE, STEADY_SHARE, Posterior, anneals, steady_share
from bayeslr.laws import Scale, rate_removed
from bayeslr.schedules import Schedule

__all__ = ["extrapolations"]

AREA_FACTOR = 4.0
UNSTEADY_AREA_FACTOR = 1.25
RATE_FACTOR = 1.5
SIZE_FACTOR = 4.0
ROUNDING_FACTOR = 1.1
_SAME_RATE = 0.15
"""Difference in log rate up to which a peak counts as one that was fitted."""
_NAMED = 3
"""So many schedules of one batch size are named."""


def extrapolations(
    posterior: Posterior,
    plans: Mapping[str, Schedule],
    areas: Mapping[str, float],
    target: Target,
    setups: Mapping[str, Setup],
) -> list[str]:
    """Say where a question goes far outside the fitted data.

    Parameters
    ----------
    posterior
        The posterior.
    plans
        The schedules, by name.
    areas
        The forward area of each, by name.
    target
        The size asked for.
    setups
        Weight decay and batch size of each, by name; none: not given.

    Returns
    -------
    list of str
        One line per finding: a forward area more than 4 times the largest that was fitted, or more than 1.25 times that
        of the size's longest run where all fitted rates fall all along; a rate that is lowered where no fitted run
        lowers its own; a peak rate more than 1.5 times outside the fitted ones; a size more than 4 times outside the
        fitted ones; a size whose label may stand for numbers that differ by more than a tenth; a peak rate that differs
        by a sixth or more from those of the size's runs; a batch size of which the same is true, or that was not given
        where the runs have several; a weight decay that no fitted run says.
    """
    found = []
    peaks = [curve.schedule.peak_lr for curve in posterior.fitted]
    own = posterior.scale_of(target.index, target.params)
    low, high = min(peaks) / RATE_FACTOR, max(peaks) * RATE_FACTOR
    of_size = fitted_runs(posterior, target)
    ends = [float(posterior.model.law.area(curve.schedule, curve.steps[-1:])[0]) for curve in of_size]
    longest = max(ends, default=own.area)
    untried = bool(plans) and not anneals(posterior)
    own_peaks = sorted({curve.schedule.peak_lr for curve in of_size})
    for name, plan in plans.items():
        ratio = areas[name] / own.area
        if ratio > AREA_FACTOR:
            found.append(
                f"{name}: trains {ratio:.1f} times the area (sum of rates) of the longest fitted run; "
                f"that is far: bands are tested up to {AREA_FACTOR:g} times, and may be too narrow beyond"
            )
        beyond = areas[name] / longest
        if beyond > UNSTEADY_AREA_FACTOR and steady_share(posterior) < STEADY_SHARE:
            found.append(
                f"{name}: trains {beyond:.1f} times the area (sum of rates) of its size's longest run, and fitted "
                "rates fall all along: progress cannot be told from annealing, and bands may miss by far"
            )
        if untried and rate_removed(plan, np.array([plan.total_steps]))[0] > LOWERED_SHARE * plan.peak_lr:
            found.append(
                f"{name}: lowers its rate, and no fitted run does: what that gains is a guess, and the band may "
                "miss it; add one run with a decay"
            )
        if not low <= plan.peak_lr <= high:
            found.append(
                f"{name}: peak rate {plan.peak_lr:.3g} lies outside the fitted {_span(peaks)} by more than a factor of "
                f"{RATE_FACTOR:g}; the law does not know that a rate can be too high"
            )
        elif target.index is not None and all(abs(np.log(plan.peak_lr / rate)) > _SAME_RATE for rate in own_peaks):
            found.append(
                f"{name}: no run of this size has the peak rate {plan.peak_lr:.3g} (fitted: {_listed(own_peaks)}); its "
                "band is wider for it"
            )
    if target.rounded is not None and target.rounded[1] > ROUNDING_FACTOR * target.rounded[0]:
        low, high = target.rounded
        found.append(
            f"size {target.label!r} is a rounded number: the bands hold for {low:.3g} to {high:.3g} parameters and are "
            "wider for it; give the number in full for narrower ones"
        )
    params, known = target.params, [p for p in posterior.params if p is not None]
    if params is not None and known and not min(known) / SIZE_FACTOR <= params <= max(known) * SIZE_FACTOR:
        found.append(
            f"size {params:.3g} lies outside the fitted {_span(known)} parameters by more than a factor of "
            f"{SIZE_FACTOR:g}"
        )
    decays = sorted({curve.weight_decay for curve in posterior.fitted if curve.weight_decay is not None})
    found += _by_value(
        {name: setup.batch_size for name, setup in setups.items()},
        lambda batch_size: _of_batch(of_size, own, batch_size, unseen=target.index is None),
    )
    # a law that takes something of runs that do not say their decay has an influence of it
    counts = bool(posterior.model.law.assumed([Setup()], own))
    return found + _by_value(
        {name: setup.weight_decay for name, setup in setups.items()},
        lambda decay: _of_decay(decays, decay, own.weight_decay if counts else None),
    )


def _by_value(asked: Mapping[str, float | None], tell: Callable[[float | None], str]) -> list[str]:
    """Say what there is to say of each value once, and of which schedules where not of all."""
    names: dict[float | None, list[str]] = {}
    for name, value in asked.items():
        names.setdefault(value, []).append(name)
    found = []
    for value, those in names.items():
        if line := tell(value):
            rest = len(those) - _NAMED
            whose = those if rest < 2 else [*those[:_NAMED], f"{rest:,} more"]
            found.append(line if len(names) == 1 else f"{', '.join(whose)}: {line}")
    return found


def _of_decay(fitted: Sequence[float], weight_decay: float | None, taken: float | None) -> str:
    """Say where a question's weight decay is not one that was fitted, or which one is taken; empty: neither."""
    if weight_decay is None:
        if len(fitted) < 2 or taken is None:
            return ""
        known = _listed(fitted)
        return f"weight decay: none was given, and fitted runs have {known}; taken to be their mean, {taken:.3g}"
    if any(abs(weight_decay - decay) <= _SAME_RATE * decay for decay in fitted):
        return ""
    known = f"(fitted: {_listed(fitted)})" if fitted else "(none says its own)"
    return (
        f"no fitted run has the weight decay {weight_decay:.3g} {known}; what another one does is known from theory "
        "alone, and was not tested"
    )


def _of_batch(of_size: Sequence[LossCurve], own: Scale, batch_size: float | None, *, unseen: bool) -> str:
    """Say where a question's batch size is not one that was fitted, or has to be guessed; empty: neither."""
    fitted = sorted({curve.batch_size for curve in of_size if curve.batch_size is not None})
    listed = ", ".join(f"{batch:.6g}" for batch in fitted)
    if batch_size is None:
        if len(fitted) < 2 or not own.batch:
            return ""
        return f"batch size: none was given, and fitted runs have {listed}; taken to be {own.batch:.6g}"
    if not fitted:
        return f"batch size {batch_size:.6g} has no influence: no fitted run says its own"
    if unseen or any(abs(np.log(batch_size / batch)) < _SAME_RATE for batch in fitted):
        return ""
    learnt = "" if len(fitted) > 1 else ", and what another one does is known from theory alone"
    return (
        f"no run of this size has the batch size {batch_size:.6g} (fitted: {listed}){learnt}; its band is wider for it"
    )


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"
