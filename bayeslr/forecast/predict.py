"""Predictive bands of the loss for schedules that nobody has run yet."""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeslr.curves import LossCurve
from bayeslr.errors import PACKAGE, ExtrapolationWarning, FitWarning, PosteriorError, ScheduleError
from bayeslr.forecast.continuation import check_continues, fit_with, fitted_run, own_effects
from bayeslr.forecast.extrapolation import extrapolations
from bayeslr.forecast.forecast import Forecast
from bayeslr.forecast.guard import require_numbers, require_room
from bayeslr.forecast.residual import CommonResidual, residual_process
from bayeslr.forecast.setups import Setting, find_setups, with_setup
from bayeslr.forecast.sizes import draw_size, find_target, fitted_runs
from bayeslr.inference import Posterior
from bayeslr.inference.verdict import DISTRUSTED
from bayeslr.model import Block, CurveParts, PlannedCurve, evaluate, find_blocks, prepare
from bayeslr.schedules import Plans, Schedule, named_schedules

__all__ = ["predict"]

_POINTS = 200
_TOLD = 8
"""Warnings of extrapolation that are issued one by one."""

type Draws = NDArray[np.float64]
type Steps = int | ArrayLike | None


def predict(
    posterior: Posterior,
    plans: Plans,
    *,
    size: float | str | None = None,
    steps: Steps | Mapping[str, Steps] = None,
    seed: int = 0,
    num_draws: int | None = 2000,
    observed: LossCurve | None = None,
    run: str | None = None,
    weight_decay: Setting = None,
    batch_size: Setting = None,
    progress: bool | None = None,
) -> Forecast:
    """Predict the loss under new schedules.

    Parameters
    ----------
    posterior
        The posterior.
    plans
        A schedule, a spec such as ``"cosine(peak_lr=1e-3, total_steps=4000)"``, or several of these by name or in a
        list, where they are called by their builders. Draws are paired: each posterior draw predicts all of them.
    size
        Model size: a fitted label, or a number of parameters, fitted or not. Default: the only fitted size. A label
        such as ``"1B"`` that was not fitted is taken for a rounded number: from 0.95 to 1.5 billion.
    steps
        Where to predict: none (200 points a schedule, always with the last), an integer ``N`` (every N-th step and the
        last), or an array of steps; or one of these for each schedule by name.
    seed
        Seed of the discrepancy, the noise and the deviations of unseen sizes, default 0. A schedule has the
        same band whatever else is asked for, as long as no other peak rate or batch size is that was not fitted.
    num_draws
        At most this many posterior draws. Default 2000, at which the ends of a 90% band are known to 4% of its width.
    observed
        The beginning of the run that is to be predicted, when it has already started. The model is fitted again with
        it, by the settings of the posterior, and the plans must continue it.
    run
        Name of a fitted run that the plans continue beyond its last observation: its own effects and the last state of
        its residual are used, without a new fit.
    weight_decay, batch_size
        Of the runs that the plans describe, in the units of the fitted ones: a number, or one for each schedule by
        name. Default: those of the run that has started, which its continuation cannot change; those of the fitted
        runs, where all of them (of the size, where it was fitted) have the same; else those of the reference. A number
        counts for an observed run that does not say its own, too.
    progress
        Whether the fit with `observed` shows a progress bar. Default: where a person watches.

    Returns
    -------
    Forecast
        Draws, from which bands and intervals follow.

    Raises
    ------
    PosteriorError
        If the size is not one that this posterior can predict, a step is outside a schedule, a plan does not continue
        the observed or the named run, the answer would not fit into memory, or it is no number that means something.

    Warns
    -----
    FitWarning
        If the fit failed its check, or is an approximation.
    ExtrapolationWarning
        If a plan or the size goes far outside the fitted data.
    """
    named = _named(plans)
    wanted = {name: _steps(name, plan, _of(steps, name)) for name, plan in named.items()}
    started: LossCurve | None = None
    if run is not None:
        if observed is not None:
            raise PosteriorError("predict: found both run= and observed=; allowed: one of them")
        started, label = fitted_run(posterior, run)
        target = find_target(posterior, label if size is None else size)
        if target.label != label:
            raise PosteriorError(f"size: found {size!r}, but the run {run!r} is of size {label}; allowed: no size")
        check_continues(started, named)
    else:
        target = find_target(posterior, size)
    if observed is not None:
        beginning = with_setup(observed.after_warmup(), weight_decay=weight_decay, batch_size=batch_size)
        check_continues(beginning, named)
        posterior, started = fit_with(posterior, beginning, target, progress=progress)
        target = find_target(posterior, target.params if target.params is not None else target.label)
    setups = find_setups(
        posterior, target, list(named), weight_decay=weight_decay, batch_size=batch_size, started=started
    )
    area = posterior.model.law.area
    areas = {name: float(area(plan, np.array([plan.total_steps]))[0]) for name, plan in named.items()}
    beyond = extrapolations(posterior, named, areas, target, setups)
    scale = posterior.scale_of(target.index, target.params)
    log_batches = np.array(sorted({scale.log_batch(setup.batch_size) for setup in setups.values()}))
    model = posterior.model.resolved(posterior.params, batches_differ=bool(log_batches.any()))
    draws, effects = posterior.sample(num_draws=num_draws), posterior.sample_effects(num_draws=num_draws)
    require_room(named, wanted, len(next(iter(draws.values()))))
    asked = wanted if started is None else {name: np.append(steps, started.steps[-1]) for name, steps in wanted.items()}
    furthest = float(np.log(max(areas.values()) / scale.area))
    log_peaks = np.log([plan.peak_lr / scale.rate for plan in named.values()])
    places = model.discrepancy.places_ahead(posterior.places, furthest, log_peaks, log_batches)
    first, plan = next(iter(named.items()))
    inputs = prepare(model.law, plan, np.array([plan.total_steps]), scale, setups[first])
    blocks = find_blocks(model.composition, model.sites, inputs, places)
    common = draw_size(posterior, model, draws, effects, blocks, target, np.random.default_rng([seed, 0]))
    rngs = _generators(seed, named.values())
    of_run = [block for block in blocks if block.level == "run"]
    drawn = {block.name: effects[f"effect_{block.name}"] for block in of_run}
    own = None if started is None else own_effects(posterior, drawn, started.name)
    questions = (
        PlannedCurve(
            schedule=plan,
            steps=asked[name],
            setup=setups[name],
            effects=_new_run(of_run, rng, len(draws["noise"]), len(asked[name])) if own is None else own,
        )
        for (name, plan), rng in zip(named.items(), rngs, strict=True)
    )
    latent, measured, parts = {}, {}, {}
    curves = evaluate(model.composition, common.values, common.effects, places, questions, scale)
    length, df = model.discrepancy.residual_correlation_length, model.noise.df
    left_over = None
    if started is None:
        # of a run that has started the residual is its own
        left_over = CommonResidual(length, model.discrepancy.residual_likeness, len(draws["noise"]), (seed, 2))
    for name, rng, (curve, noise, at, exposed) in zip(named, rngs, curves, strict=True):
        if left_over is not None:
            curve = replace(curve, left_over=partial(left_over.at, at, exposed))
        parts[name], latent[name], sd = _curve(curve, noise, at, wanted[name], length, rng, started)
        measured[name] = latent[name] + sd * _white(df, rng, sd.shape)
    require_numbers(latent, measured, posterior.curves)
    of_fit = _of_fit(posterior)
    # of thousands of schedules a line each would bury the others
    rest = len(beyond) - _TOLD
    aloud = beyond if rest < 2 else [*beyond[:_TOLD], f"{rest:,} more such warnings are in the forecast's warnings"]
    for category, messages in ((FitWarning, of_fit), (ExtrapolationWarning, aloud)):
        for message in messages:
            warnings.warn(message, category, skip_file_prefixes=(PACKAGE,))
    return Forecast(
        schedules=named,
        steps=wanted,
        size=target.label,
        latent=latent,
        observed=measured,
        parts=parts,
        setups=setups,
        seed=seed,
        continues=None if started is None else started.name,
        fitted_steps=max(int(curve.steps[-1]) for curve in fitted_runs(posterior, target)),
        warnings=(*of_fit, *beyond),
        health=posterior.health.doubt,
    )


def _of_fit(posterior: Posterior) -> list[str]:
    """Return what was told at the fit; that it failed, as its draws are now, which may not be as they were."""
    told, failure = posterior.settings.get("health", ()), posterior.health.failure
    return [*(text for text in told if not (failure and text.startswith(DISTRUSTED))), *([failure] if failure else [])]


def _named(plans: Plans) -> dict[str, Schedule]:
    if isinstance(plans, Schedule):
        return {"schedule": plans}
    try:
        return named_schedules(plans)
    except ScheduleError as problem:
        raise PosteriorError(f"predict: {problem}") from None


def _generators(seed: int, plans: Iterable[Schedule]) -> list[np.random.Generator]:
    """Return a source of randomness for each schedule, which does not depend on the others that are asked for.

    Equal schedules are told apart by their order: they stand for runs that differ by chance alone.
    """
    seen: Counter[int] = Counter()
    found = []
    for plan in plans:
        # rates that agree to single precision are those that a script on another machine writes for the same schedule
        rates = crc32(plan.lr.astype(np.float32).tobytes())
        found.append(np.random.default_rng([seed, 1, rates, seen[rates]]))
        seen[rates] += 1
    return found


def _new_run(
    blocks: Sequence[Block], rng: np.random.Generator, count: int, num_steps: int
) -> Mapping[str, Draws] | Draws:
    """Draw the effects of a new run: one number for all of them where only one step is asked for."""
    if num_steps == 1:
        return rng.standard_normal(count)
    return {block.name: rng.standard_normal((count, block.sd.shape[0])) for block in blocks}


def _curve(
    parts: CurveParts,
    noise: Draws,
    places: Draws,
    steps: NDArray[np.int64],
    length: float,
    rng: np.random.Generator,
    started: LossCurve | None,
) -> tuple[CurveParts, Draws, Draws]:
    """Return parts, latent curve and sd of the noise of one schedule, of a new run or of one that has started."""
    smooth, sd = parts.smooth + parts.run, parts.residual_sd
    if started is None:
        return parts, smooth + residual_process(sd, places, length, rng), noise
    n = steps.size
    left = started.loss[-1] - smooth[:, n]
    total = sd[:, n] ** 2 + noise[:, n] ** 2
    # what the last observation says of the process, whose variance it shares with the white noise
    known = (float(places[n]), sd[:, n] * left / total, 1.0 - sd[:, n] ** 2 / total)
    ahead = steps > started.steps[-1]
    residual = np.empty_like(smooth[:, :n])
    residual[:, ~ahead] = residual_process(sd[:, :n][:, ~ahead], places[:n][~ahead], length, rng)
    residual[:, ahead] = residual_process(sd[:, :n][:, ahead], places[:n][ahead], length, rng, start=known)
    shown = CurveParts(**{name: array[:, :n] for name, array in parts.arrays.items()}, left_over=None)
    return shown, smooth[:, :n] + residual, noise[:, :n]


def _white(df: float | None, rng: np.random.Generator, shape: tuple[int, ...]) -> Draws:
    """Draw white noise of scale one."""
    return rng.standard_normal(shape) if df is None else rng.standard_t(df, shape)


def _of(steps: Steps | Mapping[str, Steps], name: str) -> Steps:
    if isinstance(steps, Mapping):
        return steps.get(name)
    return steps


def _steps(name: str, plan: Schedule, steps: Steps) -> NDArray[np.int64]:
    """Return the steps of a prediction: never inside warm-up, where the law does not hold."""
    first, last = plan.warmup_steps + 1, plan.total_steps
    if steps is None:
        return np.unique(np.linspace(first, last, min(_POINTS, last - first + 1)).round().astype(np.int64))
    if isinstance(steps, int):
        if steps < 1:
            raise PosteriorError(f"steps: found {steps}; allowed: a positive interval, or an array of steps")
        return np.unique(np.append(np.arange(steps * (first // steps + 1), last, steps, dtype=np.int64), last))
    asked = np.asarray(steps)
    if asked.ndim != 1 or asked.size == 0 or not np.all(asked == np.round(asked)):
        raise PosteriorError(f"steps of {name}: allowed: an interval, or a list of whole numbers")
    unique = np.unique(asked.astype(np.int64))
    if unique[0] < 1 or unique[-1] > last:
        bad = unique[0] if unique[0] < 1 else unique[-1]
        raise PosteriorError(f"steps of {name}: found {bad}; allowed: 1 to {last}, the steps of its schedule")
    return unique
