"""Several models as one forecaster, by stacking weights that the training runs alone decide."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import FitWarning, ModelError, PosteriorError, untold
from bayeslr.evaluation.baselines import BayesianForecast, Predictions, predicted_together
from bayeslr.evaluation.loo import compare_models
from bayeslr.evaluation.splits import Split
from bayeslr.forecast import stack
from bayeslr.inference.verdict import worst
from bayeslr.model import ScalingModel

__all__ = ["StackedForecast"]


@dataclass(frozen=True, kw_only=True, eq=False)
class StackedForecast:
    """The mixture of several models' predictions, weighted by how well each predicts training runs that it leaves out.

    Weights are those of :func:`compare_models`: what is held out is not looked at. Each model is fitted once a split,
    beside the fits of other forecasters.

    Parameters
    ----------
    models
        The models by name, at least two.
    settings
        Further arguments of :func:`bayeslr.fit`.
    num_draws
        At most this many posterior draws of a model.

    Raises
    ------
    ModelError
        If there are fewer than two models, a setting is no argument of ``fit``, or draws are not of NUTS.
    """

    models: Mapping[str, ScalingModel]
    settings: Mapping[str, Any] = field(default_factory=dict)
    num_draws: int = 2000

    def __post_init__(self) -> None:
        if len(self.models) < 2:
            raise ModelError(f"stack: found {len(self.models)} model; allowed: two or more, by name")
        method = self.settings.get("method", "nuts")
        if method != "nuts":
            raise ModelError(f"stack: found method={method!r}; allowed: 'nuts', whose draws can be weighted")
        self._members()

    def _members(self) -> dict[str, BayesianForecast]:
        return {
            name: BayesianForecast(model=model, settings=self.settings, num_draws=self.num_draws)
            for name, model in self.models.items()
        }

    def forecast(self, split: Split, *, seed: int) -> Predictions:
        """Fit, weigh and mix; see :meth:`Forecaster.forecast`. What one model cannot predict is missing."""
        members = self._members()
        # as of each model alone
        with untold():
            posteriors = {name: member.fitted(split, seed=seed) for name, member in members.items()}
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always", FitWarning)
                try:
                    weights = compare_models(posteriors)["weight"]
                except PosteriorError as problem:
                    return Predictions(draws={}, missing={curve.name: str(problem) for curve in split.scored})
            draws, missing = dict[str, NDArray[np.float64]](), dict[str, str]()
            for together in predicted_together(next(iter(posteriors.values())), split):
                try:
                    forecasts = {
                        name: member.predicted(posteriors[name], split, together, seed=seed)
                        for name, member in members.items()
                    }
                    draws |= stack(forecasts, weights).observed
                except PosteriorError as problem:
                    missing |= {curve.name: str(problem) for curve in together}
        unsure = [str(item.message) for item in told if issubclass(item.category, FitWarning)]
        failed = [f"{name}: {text}" for name, p in posteriors.items() for text in p.settings.get("health", ())]
        health = worst(posterior.health.status for posterior in posteriors.values())
        return Predictions(draws=draws, missing=missing, health=health, problems=(*failed, *dict.fromkeys(unsure)))
