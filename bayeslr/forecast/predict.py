"""Predictive bands of the loss for schedules that nobody has run yet."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.errors import ExtrapolationWarning, PosteriorError
from bayeslr.forecast.curves import CurveTerms, Effects, evaluate, residual_process
from bayeslr.forecast.extrapolation import extrapolations
from bayeslr.forecast.forecast import Forecast
from bayeslr.inference import Posterior, fit
from bayeslr.model import MEMORIES, Pooling, future_knots, memory_responses
from bayeslr.schedules import Schedule

__all__ = ["predict"]

_POINTS = 200
_OBSERVED = "observed run"
_SAME_SIZE = 1e-3

type Draws = NDArray[np.float64]
type Steps = int | ArrayLike | None


@dataclass(frozen=True, kw_only=True)
class _Target:
    """A size to predict: its index among the fitted ones (none: unseen), label and parameters."""

    index: int | None
    label: str
    params: float | None


def predict(
    posterior: Posterior,
    plans: Schedule | Mapping[str, Schedule],
    *,
    size: float | str | None = None,
    steps: Steps | Mapping[str, Steps] = None,
    seed: int,
    num_draws: int | None = 2000,
    observed: LossCurve | None = None,
    progress: bool = False,
) -> Forecast:
    """Predict the loss under new schedules.

    Parameters
    ----------
    posterior
        The posterior.
    plans
        A schedule, or several by name. Draws are paired: each posterior draw predicts all of them.
    size
        Model size: a fitted label, or a number of parameters, fitted or not. Default: the only fitted size.
    steps
        Where to predict: none (200 points a schedule, always with the last), an integer ``N`` (every N-th step and the
        last), or an array of steps; or one of these for each schedule by name.
    seed
        Seed of the discrepancy, the noise and the deviations of unseen sizes.
    num_draws
        At most this many posterior draws. Default 2000, at which the ends of a 90% band are known to 4% of its width.
    observed
        The beginning of the run that is to be predicted, when it has already started. The model is fitted again with
        it, by the settings of the posterior, and the plans must continue it.
    progress
        Whether that fit shows a progress bar.

    Returns
    -------
    Forecast
        Draws, from which bands and intervals follow.

    Raises
    ------
    PosteriorError
        If the size is not one that this posterior can predict, a step is outside a schedule, or a plan does not
        continue the observed run.

    Warns
    -----
    ExtrapolationWarning
        If a plan or the size goes far outside the fitted data.
    """
    named = {"schedule": plans} if isinstance(plans, Schedule) else dict(plans)
    if not named:
        raise PosteriorError("predict: there is no schedule; allowed: at least one")
    target = _target(posterior, size)
    wanted = {name: _steps(name, plan, _of(steps, name)) for name, plan in named.items()}
    if observed is not None:
        observed = replace(observed.after_warmup(), name=_OBSERVED)
        posterior = _with_observed(posterior, observed, named, target, progress=progress)
        target = _target(posterior, target.params if target.params is not None else target.label)
    told = [*posterior.settings.get("health", ()), *extrapolations(posterior, named, target.params)]
    for message in told:
        warnings.warn(message, ExtrapolationWarning, stacklevel=2)
    draws = posterior.sample(num_draws=num_draws)
    common = _Common(posterior, draws, target, np.random.default_rng([seed, 0]), plans=named)
    latent, measured, terms = {}, {}, {}
    for k, (name, plan) in enumerate(named.items()):
        rng = np.random.default_rng([seed, 1, k])
        terms[name], latent[name] = common.curve(plan, wanted[name], rng, observed)
        measured[name] = latent[name] + common.noise(rng, latent[name].shape)
    return Forecast(
        schedules=named,
        steps=wanted,
        size=target.label,
        latent=latent,
        observed=measured,
        terms=terms,
        warnings=tuple(told),
    )


class _Common:
    """What all schedules of a forecast share: parameters, and the effects of the size."""

    def __init__(
        self,
        posterior: Posterior,
        draws: dict[str, Draws],
        target: _Target,
        rng: np.random.Generator,
        *,
        plans: Mapping[str, Schedule],
    ) -> None:
        self.posterior, self.draws, self.model = posterior, draws, posterior.model
        count = len(draws["noise"])
        names = [parameter.name for parameter in self.model.law.parameters]
        prefix = "discrepancy_"
        self.scales = {n.removeprefix(prefix): jnp.asarray(v) for n, v in draws.items() if n.startswith(prefix)}
        fitted = np.asarray(posterior.tree["constant_data"].to_dataset()["knots"].to_numpy())
        furthest = max(float(self.model.law.log_area_path(plan, posterior.scale)[-1]) for plan in plans.values())
        future = future_knots(furthest)
        self.knots = jnp.asarray(np.concatenate([fitted, future]))
        if target.index is not None:
            k = target.index
            self.values = {name: jnp.asarray(draws[name][:, k]) for name in names}
            self.sigma = draws["noise"][:, k]
        else:
            known = np.log([p for p in posterior.params if p is not None])
            place = float(np.log(target.params) - known.mean()) if target.params is not None and known.size else 0.0
            pooling = Pooling(name=self.model.pooling)
            self.values = {p.name: jnp.asarray(pooling.unseen(p, draws, place, rng)) for p in self.model.law.parameters}
            self.sigma = np.exp(np.log(draws["noise"]).mean(axis=1))
        if not self.model.discrepancy.enabled:
            self.shared = np.zeros((count, 0))
        elif target.index is not None:
            past = [draws["effect_memory"][:, target.index], draws["effect_bend"][:, target.index]]
            self.shared = np.concatenate([*past, rng.standard_normal((count, future.size))], axis=1)
        else:
            own = rng.standard_normal((count, len(MEMORIES) + fitted.size))
            if "common_memory" in draws:
                share = self.model.discrepancy.common
                common = np.concatenate([draws["common_memory"], draws["common_bend"]], axis=1)
                own = share**0.5 * common + (1.0 - share) ** 0.5 * own
            self.shared = np.concatenate([own, rng.standard_normal((count, future.size))], axis=1)

    def curve(
        self, plan: Schedule, steps: NDArray[np.int64], rng: np.random.Generator, observed: LossCurve | None
    ) -> tuple[CurveTerms, Draws]:
        """Return the terms and the latent curve of one schedule."""
        law, discrepancy, scale = self.model.law, self.model.discrepancy, self.posterior.scale
        count = len(self.sigma)
        run = self._run_effects(rng, count, observed)
        asked = steps if observed is None else np.append(steps, observed.steps[-1])
        features = law.features(plan, asked, scale)
        terms = evaluate(
            law,
            discrepancy,
            self.values,
            self.scales,
            Effects(shared=self.shared, run=run),
            features,
            jnp.asarray(memory_responses(features)),
            self.knots,
        )
        smooth = np.asarray(terms.expected + terms.run)
        sd, places = np.asarray(terms.residual_sd), np.asarray(features.log_area)
        if observed is None:
            return terms, smooth + residual_process(sd, places, discrepancy.residual_length, rng)
        n = steps.size
        left = observed.loss[-1] - smooth[:, n]
        total = sd[:, n] ** 2 + self.sigma**2
        # what the last observation says of the process, whose variance it shares with the white noise
        known = (float(places[n]), sd[:, n] * left / total, 1.0 - sd[:, n] ** 2 / total)
        ahead = steps > observed.steps[-1]
        residual = np.empty_like(smooth[:, :n])
        residual[:, ~ahead] = residual_process(
            sd[:, :n][:, ~ahead], places[:n][~ahead], discrepancy.residual_length, rng
        )
        residual[:, ahead] = residual_process(
            sd[:, :n][:, ahead], places[:n][ahead], discrepancy.residual_length, rng, start=known
        )
        parts = {name: value[:, :n] for name, value in vars(terms).items()}
        return CurveTerms(**parts), smooth[:, :n] + residual

    def _run_effects(self, rng: np.random.Generator, count: int, observed: LossCurve | None) -> Draws:
        if not self.model.discrepancy.enabled:
            return np.zeros((count, 0))
        if observed is None or observed.name not in self.posterior.runs:
            return rng.standard_normal((count, len(MEMORIES[1::2]) + 1))
        k = self.posterior.runs.index(observed.name)
        return np.concatenate([self.draws["effect_run_memory"][:, k], self.draws["effect_offset"][:, k, None]], axis=1)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Draws:
        """Return white measurement noise."""
        df = self.model.noise.df
        white = rng.standard_normal(shape) if df is None else rng.standard_t(df, shape)
        return white * self.sigma[:, None]


def _target(posterior: Posterior, size: float | str | None) -> _Target:
    """Find a size among the fitted ones, or take it as unseen."""
    labels, params = posterior.sizes, posterior.params
    known = ", ".join(label if p is None else f"{label} ({p:.4g})" for label, p in zip(labels, params, strict=True))
    if size is None:
        if len(labels) > 1:
            raise PosteriorError(f"size: none was given, but the posterior has several; allowed: {known}, or a number")
        return _Target(index=0, label=labels[0], params=params[0])
    if isinstance(size, str) and size in labels:
        k = labels.index(size)
        return _Target(index=k, label=labels[k], params=params[k])
    try:
        number = float(size)
    except ValueError:
        raise PosteriorError(f"size: found {size!r}; allowed: {known}, or a number of parameters") from None
    if not (np.isfinite(number) and number > 0):
        raise PosteriorError(f"size: found {size!r}; allowed: a positive number of parameters")
    for k, p in enumerate(params):
        if p is not None and abs(number / p - 1.0) < _SAME_SIZE:
            return _Target(index=k, label=labels[k], params=p)
    if posterior.model.pooling == "none":
        raise PosteriorError(
            f"size: found {number:.4g}, but this posterior knows {known} alone; "
            "allowed: a fitted size, or fit two or more sizes together to predict others"
        )
    return _Target(index=None, label=f"{number:.4g}", params=number)


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


def _with_observed(
    posterior: Posterior, observed: LossCurve, plans: Mapping[str, Schedule], target: _Target, *, progress: bool
) -> Posterior:
    """Fit again with the observed beginning of the run to be predicted."""
    seen = int(observed.steps[-1])
    for name, plan in plans.items():
        if plan.total_steps <= seen:
            raise PosteriorError(f"{name}: ends at step {plan.total_steps}, but the run was observed to step {seen}")
        if not np.allclose(plan.lr[:seen], observed.schedule.lr[:seen], rtol=1e-3, atol=1e-3 * plan.peak_lr):
            raise PosteriorError(f"{name}: its rates up to step {seen} are not those of the observed run")
    label = None if target.label == "all" else target.label
    fitted = next((c for c in posterior.curves if c.params == target.params), None)
    run = replace(observed, params=target.params, size=fitted.size if fitted is not None else label)
    settings = posterior.settings
    return fit(
        CurveSet(curves=(*posterior.curves, run)),
        posterior.model if posterior.model.pooling != "none" or target.index is not None else None,
        seed=settings["seed"],
        num_warmup=settings["num_warmup"],
        num_samples=settings["num_samples"],
        num_chains=settings["num_chains"],
        target_accept_prob=settings["target_accept_prob"],
        max_points_per_run=settings["max_points_per_run"],
        progress=progress,
    )
