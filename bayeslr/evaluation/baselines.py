"""Forecasters to compare: the library's model, and what others do.

A forecaster fits the training curves of a split and draws the losses of the test runs. Beside the library's own
(:class:`BayesianForecast`) there are three baselines: the point fit of the paper (:class:`PointFit`), the same with a
bootstrap around it (:class:`BlockBootstrap`), and a posterior that takes all errors of the law for independent noise
(:func:`independent_noise`).
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves import LossCurve
from bayeslr.curves.counts import params_in_label
from bayeslr.errors import ModelError, PosteriorError, untold
from bayeslr.evaluation.pointfit import FittedLaw, fit_law, group_by_size
from bayeslr.evaluation.splits import Split
from bayeslr.forecast import Forecast, predict
from bayeslr.inference import Posterior, fit
from bayeslr.laws import AnnealingLaw, Law
from bayeslr.model import NoDiscrepancy, ScalingModel

__all__ = ["BayesianForecast", "BlockBootstrap", "Forecaster", "PointFit", "Predictions", "independent_noise"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a forecaster says of the test runs of a split.

    Parameters
    ----------
    draws
        Draws of the loss as it would be measured, by run: ``[draws, n]`` at the scored steps of the run. One draw is a
        forecast without a band.
    missing
        Why a run has no forecast, by run.
    health
        Status of the fit, ``"PASS"``, ``"REVIEW"`` or ``"FAIL"``; empty where there is none.
    problems
        What must be known of the fit, in plain words.
    """

    draws: Mapping[str, NDArray[np.float64]]
    missing: Mapping[str, str] = field(default_factory=dict)
    health: str = ""
    problems: tuple[str, ...] = ()


class Forecaster(Protocol):
    """Anything that can fit the training curves of a split and forecast the others. It must pickle."""

    def forecast(self, split: Split, *, seed: int) -> Predictions:
        """Fit ``split.train`` and draw the losses of ``split.scored``.

        Parameters
        ----------
        split
            The split. The losses of its test runs are there to be scored, not to be used.
        seed
            Seed of everything that is drawn.

        Returns
        -------
        Predictions
            Draws for each run of ``split.scored``, or why there are none.
        """
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class BayesianForecast:
    """The posterior of a model, and the predictions that follow from it.

    Parameters
    ----------
    model
        The model. Default: the library's.
    settings
        Further arguments of :func:`bayeslr.fit`, such as ``{"num_samples": 500}``.
    num_draws
        At most this many posterior draws a prediction.

    Raises
    ------
    ModelError
        If `fit` has no such argument.
    """

    model: ScalingModel | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    num_draws: int = 2000

    def __post_init__(self) -> None:
        allowed = [name for name in inspect.signature(fit).parameters if name not in ("curves", "model", "seed")]
        for name in self.settings:
            if name not in allowed:
                raise ModelError(f"settings: found {name!r}; allowed: arguments of fit: {', '.join(allowed)}")

    def forecast(self, split: Split, *, seed: int) -> Predictions:
        """Fit and predict; see :meth:`Forecaster.forecast`."""
        # part of the result: a fit that fails is in `problems`, and a backtest may ask far outside the data
        with untold():
            posterior = self.fitted(split, seed=seed)
            draws, missing = dict[str, NDArray[np.float64]](), dict[str, str]()
            for together in predicted_together(posterior, split):
                try:
                    draws |= self.predicted(posterior, split, together, seed=seed).observed
                except PosteriorError as problem:
                    missing |= {curve.name: str(problem) for curve in together}
        problems = tuple(str(text) for text in posterior.settings.get("health", ()))
        return Predictions(draws=draws, missing=missing, health=posterior.health.status, problems=problems)

    def fitted(self, split: Split, *, seed: int) -> Posterior:
        """Return the posterior of the training curves."""
        return fit(split.train, self.model, seed=seed, **{"progress": False, **self.settings})

    def predicted(self, posterior: Posterior, split: Split, together: Sequence[LossCurve], *, seed: int) -> Forecast:
        """Return the forecast of some scored curves, by their names.

        Parameters
        ----------
        posterior
            What :meth:`fitted` returned.
        split
            The split.
        together
            One group of :func:`predicted_together`.
        seed
            Seed of the forecast.

        Returns
        -------
        Forecast
            At the scored steps; a run that is continued has its own effects.

        Raises
        ------
        PosteriorError
            If their size cannot be predicted.
        """
        first = together[0]
        continued = first.name in split.continued
        return predict(
            posterior,
            {curve.name: curve.schedule for curve in together},
            size=None if continued else _size(posterior, first),
            steps={curve.name: curve.steps for curve in together},
            seed=seed,
            num_draws=self.num_draws,
            run=first.name if continued else None,
            weight_decay=first.weight_decay,
            batch_size=first.batch_size,
        )


def predicted_together(posterior: Posterior, split: Split) -> list[list[LossCurve]]:
    """Return runs that one forecast can hold, so that their draws are paired: of a size, and trained alike."""
    groups: dict[tuple[object, ...], list[LossCurve]] = {}
    for curve in split.scored:
        alone = curve.name if curve.name in split.continued else None
        alike = (alone, posterior.size_of(curve), curve.size, curve.params, curve.weight_decay, curve.batch_size)
        groups.setdefault(alike, []).append(curve)
    return list(groups.values())


def _size(posterior: Posterior, curve: LossCurve) -> float | str:
    """Return what to ask the posterior for: the label of a size that was fitted, or the parameters of another."""
    index = posterior.size_of(curve)
    if index is not None:
        return posterior.sizes[index]
    if curve.params is None:
        raise PosteriorError(f"size: {curve.size!r} was not fitted, and its number of parameters is not known")
    # a number that was read off a label is as exact as the label
    return curve.size if curve.size and params_in_label(curve.size) == curve.params else curve.params


def independent_noise(
    model: ScalingModel | None = None, *, settings: Mapping[str, Any] | None = None, num_draws: int = 2000
) -> BayesianForecast:
    """Return the forecaster of the paper's law alone: every error of the law counts as independent noise.

    Parameters
    ----------
    model
        The model whose warm-up convention, pooling, noise and priors are kept, as far as the paper's law has the
        parameters. Default: the library's.
    settings, num_draws
        As of :class:`BayesianForecast`.

    Returns
    -------
    BayesianForecast
        The baseline.
    """
    given = model or ScalingModel()
    plain = ScalingModel(
        law=AnnealingLaw(warmup=given.law.warmup),
        pooling=given.pooling,
        noise=given.noise,
        discrepancy=NoDiscrepancy(),
    )
    priors = {name: prior for name, prior in given.priors.items() if name in plain.prior_names}
    return BayesianForecast(model=replace(plain, priors=priors), settings=settings or {}, num_draws=num_draws)


@dataclass(frozen=True, kw_only=True, eq=False)
class PointFit:
    """The paper's recipe: the best curve of each size, without a band (see :func:`fit_law`).

    Parameters
    ----------
    law
        The law.
    delta
        Where the Huber loss of the log residual turns from quadratic to linear.
    starts
        Number of starts of the search.
    """

    law: Law = field(default_factory=AnnealingLaw)
    delta: float = 1e-3
    starts: int = 8

    def forecast(self, split: Split, *, seed: int) -> Predictions:
        """Fit each size alone; see :meth:`Forecaster.forecast`. A size that was not fitted is missing."""
        fits = _fits(self.law, split, delta=self.delta, starts=self.starts)
        draws, missing = {}, {}
        for curve in split.scored:
            fitted = fits.get((curve.size, curve.params))
            if fitted is None:
                missing[curve.name] = _UNSEEN
            else:
                draws[curve.name] = fitted.loss(curve.schedule, curve.steps, curve.setup)[None]
        return Predictions(draws=draws, missing=missing)


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockBootstrap:
    """The point fit, refitted to curves whose residuals are resampled in blocks.

    A draw is the curve of one refit with resampled residuals on it. Blocks keep the correlation of neighbours, which
    residuals of a law have, up to the length of a block; what a law gets wrong in the same way on all training
    schedules, no resampling shows.

    Parameters
    ----------
    law, delta, starts
        As of :class:`PointFit`.
    num_draws
        Number of refits, each started from the point fit.
    blocks_per_run
        The length of a block is a run's number of observations over this, so that it does not depend on how often the
        loss was logged.
    """

    law: Law = field(default_factory=AnnealingLaw)
    delta: float = 1e-3
    starts: int = 8
    num_draws: int = 200
    blocks_per_run: int = 8

    def forecast(self, split: Split, *, seed: int) -> Predictions:
        """Fit, resample and refit each size alone; see :meth:`Forecaster.forecast`."""
        rng = np.random.default_rng(seed)
        fits = _fits(self.law, split, delta=self.delta, starts=self.starts)
        draws: dict[str, NDArray[np.float64]] = {}
        missing: dict[str, str] = {}
        for key, curves in group_by_size(split.scored.curves).items():
            fitted = fits.get(key)
            if fitted is None:
                missing |= {curve.name: _UNSEEN for curve in curves}
                continue
            residuals = fitted.log_residuals()

            def path(length: int, residuals: list[NDArray[np.float64]] = residuals) -> NDArray[np.float64]:
                return _blocks(residuals, length, rng, self.blocks_per_run)

            refits = [fitted.refit([path(len(run)) for run in residuals]) for _ in range(self.num_draws)]
            for curve in curves:
                paths = np.stack([path(len(curve)) for _ in refits])
                draws[curve.name] = fitted.losses(refits, curve.schedule, curve.steps, curve.setup) * np.exp(paths)
        return Predictions(draws=draws, missing=missing)


_UNSEEN = "no training run of this size, and the point fit knows one size at a time"


def _fits(law: Law, split: Split, *, delta: float, starts: int) -> dict[tuple[str | None, float | None], FittedLaw]:
    """Fit the law to each size of the training curves; what branches share is counted once."""
    distinct = split.train.after_warmup().distinct()
    return {key: fit_law(law, curves, delta=delta, starts=starts) for key, curves in group_by_size(distinct).items()}


def _blocks(
    residuals: list[NDArray[np.float64]], length: int, rng: np.random.Generator, blocks_per_run: int
) -> NDArray[np.float64]:
    """Draw a path of residuals: blocks of neighbours, from any run and place, one after the other."""
    parts: list[NDArray[np.float64]] = []
    while sum(map(len, parts)) < length:
        run = residuals[int(rng.integers(len(residuals)))]
        block = max(1, -(-len(run) // blocks_per_run))
        start = int(rng.integers(len(run) - block + 1))
        parts.append(run[start : start + block])
    return np.concatenate(parts)[:length]
