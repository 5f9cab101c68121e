"""From loss to another metric: a link that is fitted to pairs of both, so that a band of loss becomes one of accuracy.

    metric = floor + (ceiling - floor) / (1 + exp(steepness * (loss - middle))) + error

Floor (chance) and ceiling are inferred unless they are given. The link knows nothing but its pairs: a benchmark that
jumps, another mixture of data or another tokeniser needs pairs of its own, and beyond the losses of the pairs the curve
is a guess.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
from jax import Array
from numpy.typing import ArrayLike, NDArray
from numpyro.diagnostics import gelman_rubin
from numpyro.infer import MCMC, NUTS

from bayeslr.errors import BayeslrError, ConvergenceWarning, ExtrapolationWarning
from bayeslr.forecast.forecast import Forecast
from bayeslr.forecast.questions import checked_probability
from bayeslr.forking import require_unforked
from bayeslr.inference import is_watched
from bayeslr.written import nominal

__all__ = ["MetricForecast", "MetricLink", "fit_metric"]

_LEAST = 4
_MAX_RHAT = 1.05
_CHAINS = 2

type Draws = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricForecast:
    """A metric along schedules, as draws and as bands.

    Parameters
    ----------
    metric
        Draws of the metric as it would be measured, by schedule, each ``[draws, n]``.
    steps
        Steps, by schedule.
    name
        Name of the metric.
    ci_prob
        Probability of the intervals.
    warnings
        What the reader must know.
    """

    metric: Mapping[str, Draws]
    steps: Mapping[str, NDArray[np.int64]]
    name: str
    ci_prob: float = 0.9
    warnings: tuple[str, ...] = field(default=())

    def band(self, *, ci_prob: float | None = None) -> pd.DataFrame:
        """Return pointwise bands.

        Parameters
        ----------
        ci_prob
            Probability of the band. Default: the one that was asked for.

        Returns
        -------
        pandas.DataFrame
            Columns ``schedule, step, median, lower, upper``.
        """
        parts = [
            pd.DataFrame({"schedule": name, "step": self.steps[name]} | self._interval(draws, ci_prob))
            for name, draws in self.metric.items()
        ]
        return pd.concat(parts, ignore_index=True)

    def final(self, *, ci_prob: float | None = None) -> pd.DataFrame:
        """Return intervals at the last step of each schedule: ``step, median, lower, upper``."""
        ends = np.stack([draws[:, -1] for draws in self.metric.values()], axis=1)
        steps = {"step": [int(self.steps[name][-1]) for name in self.metric]}
        return pd.DataFrame(steps | self._interval(ends, ci_prob), index=pd.Index(list(self.metric), name="schedule"))

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words."""
        lines = [
            f"{name}: {self.name} is forecast to end at {row['median']:.4g} ({nominal(self.ci_prob)} interval "
            f"{row['lower']:.4g} to {row['upper']:.4g})."
            for name, row in self.final().iterrows()
        ]
        return (*lines, "The link from loss to this metric is only as good as the pairs that it was fitted to.")

    def to_dataframe(self) -> pd.DataFrame:
        """Return the bands."""
        return self.band()

    def to_dict(self) -> dict[str, Any]:
        """Return the metric at the end of each schedule as JSON-ready values."""
        final = {str(name): {str(k): float(v) for k, v in row.items()} for name, row in self.final().iterrows()}
        return {"metric": self.name, "final": final, "sentences": list(self.sentences), "warnings": list(self.warnings)}

    def _interval(self, draws: Draws, ci_prob: float | None) -> dict[str, Any]:
        tail = (1.0 - (self.ci_prob if ci_prob is None else checked_probability("ci_prob", ci_prob))) / 2.0
        lower, median, upper = np.quantile(draws, [tail, 0.5, 1.0 - tail], axis=0)
        return {"median": median, "lower": lower, "upper": upper}

    def __repr__(self) -> str:
        return f"MetricForecast({self.name!r}, schedules={list(self.metric)})"


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricLink:
    """A link from loss to a metric.

    Parameters
    ----------
    draws
        Draws of ``floor, ceiling, middle, steepness, error``, each ``[draws]``, in units of the metric.
    loss, metric
        The pairs.
    name
        Name of the metric.
    warnings
        What the reader must know.
    """

    draws: Mapping[str, Draws]
    loss: Draws
    metric: Draws
    name: str
    warnings: tuple[str, ...] = field(default=())

    def curve(self, loss: ArrayLike) -> Draws:
        """Return draws of the metric without error.

        Parameters
        ----------
        loss
            Losses, ``[n]``, or a row for each draw of the link, ``[draws, n]``.

        Returns
        -------
        numpy.ndarray
            ``[draws, n]``.
        """
        floor, ceiling, middle, steepness = (
            self.draws[key][:, None] for key in ("floor", "ceiling", "middle", "steepness")
        )
        values = np.atleast_2d(np.asarray(loss, dtype=float))
        with np.errstate(over="ignore"):
            found: Draws = floor + (ceiling - floor) / (1.0 + np.exp(steepness * (values - middle)))
        return found

    def apply(self, forecast: Forecast, *, seed: int = 0, ci_prob: float = 0.9) -> MetricForecast:
        """Turn a forecast of loss into one of the metric.

        Parameters
        ----------
        forecast
            The forecast.
        seed
            Seed of the errors, and of which draw of the link meets which draw of the loss.
        ci_prob
            Probability of the intervals in sentences and tables.

        Returns
        -------
        MetricForecast
            The metric, with the uncertainty of the loss and of the link.

        Warns
        -----
        ExtrapolationWarning
            If losses are forecast that no pair has.
        """
        checked_probability("ci_prob", ci_prob)
        rng = np.random.default_rng([seed, 7])
        found = {}
        # what the forecast says of its fit holds for the metric, too; it has been warned of
        told = [*self.warnings, *forecast.warnings]
        known = len(told)
        low, high = self.loss.min(), self.loss.max()
        for name in forecast.names:
            loss = forecast.latent[name]
            rows = rng.permutation(np.resize(np.arange(len(self.draws["error"])), len(loss)))
            link = MetricLink(
                draws={key: value[rows] for key, value in self.draws.items()},
                loss=self.loss,
                metric=self.metric,
                name=self.name,
            )
            error = self.draws["error"][rows][:, None] * rng.standard_normal(loss.shape)
            found[name] = link.curve(loss) + error
            end = float(np.median(loss[:, -1]))
            if not low <= end <= high:
                told.append(
                    f"{name}: ends at a loss of {end:.4g}, outside the {low:.4g} to {high:.4g} of the pairs: there the "
                    "link is a guess"
                )
        for line in told[known:]:
            warnings.warn(line, ExtrapolationWarning, stacklevel=2)
        return MetricForecast(metric=found, steps=forecast.steps, name=self.name, ci_prob=ci_prob, warnings=tuple(told))

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per parameter: ``mean, sd, lower, upper`` (90%)."""
        rows = {
            key: {"mean": value.mean(), "sd": value.std()}
            | dict(zip(("lower", "upper"), np.quantile(value, [0.05, 0.95]), strict=True))
            for key, value in self.draws.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    def __repr__(self) -> str:
        floor, ceiling = (float(np.median(self.draws[key])) for key in ("floor", "ceiling"))
        return f"MetricLink({self.name!r}, pairs={self.loss.size}, floor={floor:.3g}, ceiling={ceiling:.3g})"


def fit_metric(
    loss: ArrayLike,
    metric: ArrayLike,
    *,
    name: str = "accuracy",
    floor: float | None = None,
    ceiling: float | None = None,
    top: float = 1.0,
    seed: int = 0,
    num_samples: int = 1000,
    progress: bool | None = None,
) -> MetricLink:
    """Fit a link from loss to a metric that rises as the loss falls.

    Parameters
    ----------
    loss, metric
        Pairs, ``[n]`` each, at least four: of checkpoints of runs like those to be predicted.
    name
        Name of the metric.
    floor
        Its value at a very high loss, such as chance. Default: inferred.
    ceiling
        Its value at a very low loss. Default: inferred.
    top
        Its largest possible value: 1, or 100 for percentages.
    seed
        Seed of the sampler.
    num_samples
        Draws of each of two chains.
    progress
        Whether to show a progress bar.

    Returns
    -------
    MetricLink
        Draws of the link.

    Raises
    ------
    BayeslrError
        If the pairs are too few, not finite, out of range or all of one loss, or the metric rises with the loss.

    Warns
    -----
    ConvergenceWarning
        If the chains did not converge.
    """
    require_unforked()
    x, y = _pairs(loss, metric, top)
    place, spread = float(x.mean()), float(x.std())
    for label, value in (("floor", floor), ("ceiling", ceiling)):
        if value is not None and not 0.0 <= value <= top:
            raise BayeslrError(f"metric: {label} is {value!r}; allowed: 0 to {top:g}")
    if np.corrcoef(x, y)[0, 1] > 0.0:
        raise BayeslrError(f"metric: {name} rises with the loss; allowed: a metric that falls, such as 1 - {name}")
    scaled = jax.numpy.asarray((x - place) / spread)
    values = jax.numpy.asarray(y / top)
    fixed = {"floor": floor, "ceiling": ceiling}
    sampler = MCMC(
        NUTS(_model, target_accept_prob=0.95),
        num_warmup=1000,
        num_samples=num_samples,
        num_chains=_CHAINS,
        chain_method="sequential",
        progress_bar=is_watched() if progress is None else progress,
    )
    sampler.run(jax.random.key(seed), scaled, values, {k: None if v is None else v / top for k, v in fixed.items()})
    chains = {key: np.asarray(value) for key, value in sampler.get_samples(group_by_chain=True).items()}
    told = []
    worst = max(float(gelman_rubin(chains[key])) for key in ("middle", "log_steepness", "error"))
    if not worst < _MAX_RHAT:
        told.append(f"the link did not converge (R-hat {worst:.2f}): give a floor or a ceiling, or more pairs")
        warnings.warn(told[-1], ConvergenceWarning, stacklevel=2)
    draws = {key: value.reshape(-1) for key, value in chains.items()}
    return MetricLink(
        draws={
            "floor": draws["floor"] * top,
            "ceiling": draws["ceiling"] * top,
            "middle": draws["middle"] * spread + place,
            "steepness": np.exp(draws["log_steepness"]) / spread,
            "error": draws["error"] * top,
        },
        loss=x,
        metric=y,
        name=name,
        warnings=tuple(told),
    )


def _model(loss: Array, metric: Array, fixed: Mapping[str, float | None]) -> None:
    """Link in units of the spread of the losses, and of the largest possible value."""
    lowest, highest = metric.min(), metric.max()
    if fixed["floor"] is None:
        # chance is unlikely to be far below the worst pair, and cannot be above it by more than errors
        floor = numpyro.deterministic("floor", lowest * numpyro.sample("floor_share", dist.Beta(2.0, 1.0)))
    else:
        floor = numpyro.deterministic("floor", jax.numpy.asarray(fixed["floor"]))
    if fixed["ceiling"] is None:
        share = numpyro.sample("ceiling_share", dist.Beta(1.0, 1.5))
        ceiling = numpyro.deterministic("ceiling", highest + (1.0 - highest) * share)
    else:
        ceiling = numpyro.deterministic("ceiling", jax.numpy.asarray(fixed["ceiling"]))
    middle = numpyro.sample("middle", dist.Normal(0.0, 2.5))
    steepness = jax.numpy.exp(numpyro.sample("log_steepness", dist.Normal(0.3, 0.8)))
    error = numpyro.sample("error", dist.HalfNormal(0.1))
    mean = floor + (ceiling - floor) * jax.nn.sigmoid(steepness * (middle - loss))
    numpyro.sample("metric", dist.Normal(mean, error + 1e-4), obs=metric)


def _pairs(loss: ArrayLike, metric: ArrayLike, top: float) -> tuple[Draws, Draws]:
    x, y = np.asarray(loss, dtype=float), np.asarray(metric, dtype=float)
    if x.ndim != 1 or x.shape != y.shape or x.size < _LEAST:
        raise BayeslrError(
            f"metric: found losses of shape {x.shape} and values of shape {y.shape}; allowed: at least {_LEAST} pairs"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise BayeslrError("metric: a pair is not finite; allowed: finite numbers")
    if y.min() < 0.0 or y.max() > top:
        found = y.min() if y.min() < 0.0 else y.max()
        raise BayeslrError(f"metric: found the value {found:g}; allowed: 0 to {top:g} (top)")
    if x.std() == 0.0:
        raise BayeslrError("metric: all pairs have one loss; allowed: several")
    return x, y
