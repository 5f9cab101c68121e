"""A run while it runs: forecasts as its log grows, each kept, and an alarm when the run leaves what was forecast.

A look at the log first holds the new observations against the last forecast, draw by draw: how far the run lies from
the middle of the forecast on average, single losses aside, in units of its width, and how many of the draws lie as far.
Draws wander like runs do, so that a run that is a little off for long is not taken for many surprises. Then, if the log
has grown enough, the model is fitted again with it, and the new forecast is kept beside the old ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from scipy.ndimage import median_filter

from bayeslr.curves import LossCurve, Setup
from bayeslr.curves.curve import DIVERGED
from bayeslr.errors import PosteriorError, untold
from bayeslr.forecast.forecast import Forecast
from bayeslr.forecast.looks import Look, Watch
from bayeslr.forecast.predict import predict
from bayeslr.forecast.questions import cautions, checked_probability, rests_on, tell
from bayeslr.forecast.sizes import find_target
from bayeslr.inference import Posterior, progress_bar
from bayeslr.schedules import Schedule

__all__ = ["replay", "watch"]

_NAME = "run"
_POINTS = 60
_KEPT_DRAWS = 400


def watch(
    posterior: Posterior,
    observed: LossCurve | None,
    plan: Schedule,
    *,
    past: Watch | None = None,
    every: int | None = None,
    size: float | str | None = None,
    method: Literal["nuts", "laplace"] | None = None,
    seed: int = 0,
    alarm_below: float = 0.01,
    ci_prob: float = 0.9,
    num_draws: int | None = 2000,
    progress: bool | None = None,
    weight_decay: float | None = None,
    batch_size: float | None = None,
) -> Watch:
    """Look at a run: hold what is new against the last forecast, and forecast the rest again.

    Parameters
    ----------
    posterior
        The posterior, fitted to other runs.
    observed
        The run so far; None before it has a log.
    plan
        The schedule that it follows.
    past
        What the last look returned. Default: this is the first; the forecast from before the run is made now.
    every
        Steps that must be new for another fit and forecast. Default: a twentieth of the run.
    size
        Model size, as in :func:`bayeslr.predict`. Default: that of the past looks.
    method
        How the model is fitted again. Default: as the posterior was. ``"laplace"`` takes seconds.
    seed
        Seed of the forecasts, default 0; fits are made again with the seed of the posterior.
    alarm_below
        An alarm is given where the run is as far off as it would be with less than this probability.
    ci_prob
        Probability of the bands.
    num_draws
        At most this many posterior draws.
    progress
        Whether fits show a progress bar.
    weight_decay, batch_size
        Those of the run, where its log does not say them. Default: those of the past looks, else what the fitted runs
        have in common.

    Returns
    -------
    Watch
        All forecasts so far, how the run did against each, and whether there is an alarm.

    Raises
    ------
    PosteriorError
        If plan, size, weight decay or batch size are not those of the past looks, the plan does not continue the run,
        or the log has become shorter.

    Warns
    -----
    FitWarning, ExtrapolationWarning
        As in the answer's ``warnings``.
    """
    checked_probability("alarm_below", alarm_below)
    checked_probability("ci_prob", ci_prob)
    setup = Setup(weight_decay=weight_decay, batch_size=batch_size)
    if past is not None:
        size, setup = _as_before(posterior, past, plan, size, setup)
    settings = {"size": size, "seed": seed, "num_draws": num_draws, "progress": progress, **vars(setup)}
    quick = posterior if method is None else replace(posterior, settings={**posterior.settings, "method": method})
    if past is None:
        first, told = _look(posterior, posterior, None, plan, ci_prob, settings)
        past = Watch(
            plan=plan,
            looks=(first,),
            last_step=0,
            last_loss=np.nan,
            ci_prob=ci_prob,
            alarm_below=alarm_below,
            size=size,
            seed=seed,
            basis=rests_on(posterior, [plan], size),
            warnings=told,
        )
    lost = observed is not None and bool(observed.metadata.get(DIVERGED))
    past = found = replace(past, setup=setup, diverged=lost)
    if observed is not None and observed.past_warmup.any():
        run = observed.after_warmup()
        found = _held(past, run)
        # nothing is left to forecast at the last step
        grown = int(run.steps[-1]) - found.looks[-1].step
        if grown >= (every or max(plan.total_steps // 20, 1)) and run.steps[-1] < plan.total_steps:
            newest, told = _look(posterior, quick, run, plan, found.ci_prob, settings)
            found = replace(found, looks=(*found.looks, newest), seed=seed, warnings=told)
    tell(found.warnings)
    return found


def replay(
    posterior: Posterior,
    run: LossCurve,
    *,
    shares: Iterable[float] = (0.2, 0.4, 0.6, 0.8, 1.0),
    size: float | str | None = None,
    method: Literal["nuts", "laplace"] | None = None,
    seed: int = 0,
    alarm_below: float = 0.01,
    ci_prob: float = 0.9,
    progress: bool | None = None,
) -> Watch:
    """Watch a run that is over, as it would have been watched.

    Parameters
    ----------
    posterior
        The posterior, fitted to other runs.
    run
        The run.
    shares
        Shares of its schedule at which it is looked at.
    size, method, seed, alarm_below, ci_prob
        As for :func:`watch`.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Watch
        What the last look returned.
    """
    found: Watch | None = None
    places = sorted(shares)
    with progress_bar(total=len(places), desc="watch", unit="look", progress=progress) as bar:
        for share in places:
            kept = run.steps <= share * run.schedule.total_steps
            # how its log ends is not known before
            metadata = run.metadata if kept.all() else {**run.metadata, DIVERGED: False}
            found = watch(
                posterior,
                replace(run.take(kept), metadata=metadata) if kept.any() else None,
                run.schedule,
                past=found,
                every=1,
                size=size,
                method=method,
                seed=seed,
                alarm_below=alarm_below,
                ci_prob=ci_prob,
                progress=False,
                weight_decay=run.weight_decay,
                batch_size=run.batch_size,
            )
            bar.update()
    if found is None:
        raise PosteriorError("replay: there is no share to look at; allowed: at least one")
    return found


def _as_before(
    posterior: Posterior, past: Watch, plan: Schedule, size: float | str | None, setup: Setup
) -> tuple[float | str | None, Setup]:
    """Return size and setup of the run, as past looks have them; refuse a question about another run."""
    if not (past.plan.total_steps == plan.total_steps and np.allclose(past.plan.lr, plan.lr, rtol=1e-6)):
        raise PosteriorError("watch: the plan is not that of the forecasts so far; allowed: the same, or a new watch")
    before = size if past.size is None else past.size
    if size is not None and find_target(posterior, size).label != find_target(posterior, before).label:
        raise PosteriorError(
            f"watch: found size {size}, but the forecasts so far are for {past.size}; allowed: the same, or a new watch"
        )
    known = {what: value for what, value in vars(past.setup).items() if value is not None}
    for what, value in vars(setup).items():
        if value is not None and known.setdefault(what, value) != value:
            raise PosteriorError(
                f"watch: found {what} {value:.6g}, but the forecasts so far are for {known[what]:.6g}; "
                "allowed: the same, or a new watch"
            )
    return before, Setup(**known)


def _look(
    posterior: Posterior,
    quick: Posterior,
    run: LossCurve | None,
    plan: Schedule,
    ci_prob: float,
    settings: Mapping[str, Any],
) -> tuple[Look, tuple[str, ...]]:
    """Forecast what is ahead of a run; cautions are those of the fit without it."""
    begin = plan.warmup_steps if run is None else int(run.steps[-1])
    ahead = np.unique(np.linspace(begin + 1, plan.total_steps, _POINTS).round().astype(np.int64))
    # in the forecast, and said with the answer
    with untold():
        forecast = predict(quick, {_NAME: plan}, steps=ahead, observed=run, **settings)
    return (
        Look(
            step=0 if run is None else begin,
            final=_final(forecast, ci_prob),
            band=forecast.band(ci_prob=ci_prob)[["step", "median", "lower", "upper"]],
            draws=forecast.observed[_NAME][:: max(len(forecast.observed[_NAME]) // _KEPT_DRAWS, 1)],
        ),
        cautions(posterior, forecast.warnings, (_NAME,)),
    )


def _final(forecast: Forecast, ci_prob: float) -> dict[str, float]:
    row = forecast.final_loss(ci_prob=ci_prob).iloc[0]
    return {key: float(row[key]) for key in ("median", "lower", "upper")}


def _held(past: Watch, run: LossCurve) -> Watch:
    """Hold what came after the last forecast against it."""
    if run.steps[-1] < past.last_step:
        raise PosteriorError(
            f"watch: the log ends at step {run.steps[-1]}, but was seen up to {past.last_step}; allowed: one that grows"
        )
    newest = past.looks[-1]
    band = newest.band
    new = (run.steps > newest.step) & (run.steps >= band["step"].iloc[0]) & (run.steps <= past.plan.total_steps)
    updated = replace(past, last_step=int(run.steps[-1]), last_loss=float(run.loss[-1]))
    if not new.any() or not newest.draws.size:
        return updated
    steps, loss = run.steps[new], run.loss[new]
    lower, median, upper = (np.interp(steps, band["step"], band[key]) for key in ("lower", "median", "upper"))
    places = band["step"].to_numpy(dtype=float)
    drawn = np.array([np.interp(steps, places, row) for row in newest.draws])
    width = np.maximum(upper - lower, 1e-12)
    # medians of three neighbours leave out single losses of a bad batch, and nothing that lasts
    offs = median_filter((np.vstack([loss, drawn]) - median) / width, (1, 3), mode="mirror").mean(axis=1)
    off, drawn_off = offs[0], offs[1:]
    # draws and the run itself are exchangeable if it follows the forecast
    p_value = (1.0 + float((np.abs(drawn_off) >= abs(off)).sum())) / (1.0 + len(drawn_off))
    checked = replace(
        newest,
        seen=int(new.sum()),
        outside=float(((loss < lower) | (loss > upper)).mean()),
        p_value=p_value,
        high=bool(off > 0.0),
    )
    return replace(updated, looks=(*past.looks[:-1], checked))
