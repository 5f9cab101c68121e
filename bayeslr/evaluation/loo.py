"""Leave-one-run-out cross-validation from a single fit, comparison of models by it, and their stacking weights.

How well would the model have predicted a run, had it been fitted to the others? One fit answers this for all runs:
draws of the whole posterior are weighted by the inverse density of the run that is to be left out, with Pareto-smoothed
importance sampling (PSIS; Vehtari, Gelman, Gabry 2017, arXiv:1507.04544; Vehtari et al. 2024, arXiv:1507.02646). The
density of run ``r`` given parameters ``theta`` and the other runs is exact::

    log p(y_r | theta, y_-r) = log p(y | theta) - log p(y_-r | theta)

with all effects integrated out, those that runs share included. So weights are right although runs are not independent
given ``theta``. ArviZ does the rest: :func:`arviz_stats.loo`, :func:`arviz_stats.reloo`, :func:`arviz_stats.compare`.

To leave out single points instead, as ``arviz_stats.loo`` does by default, is wrong here. Errors of the law last for
many points of a run: a left-out point is known from its neighbours, and every model looks good that follows the curve,
however bad it is for a run of its own. ``docs/checking.md`` shows the figures.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayeslr.curves import CurveSet, Sizes
from bayeslr.errors import ConvergenceWarning, PosteriorError
from bayeslr.evaluation.run_densities import log_densities
from bayeslr.inference import Posterior, fit
from bayeslr.model import Observations

__all__ = ["compare_models", "leave_run_out"]


def leave_run_out(
    posterior: Posterior, *, refit: bool = False, num_draws: int = 1000, progress: bool | None = None
) -> arviz_stats.ELPDDataLOO:
    """Estimate how well each run would be predicted from the others.

    Parameters
    ----------
    posterior
        The posterior. A run is what it contributes to it: a prefix that branches share belongs to the first of them.
    refit
        Whether runs for which importance sampling fails (Pareto k above 0.7) are left out by a fit of their own.
        Default: a warning names them.
    num_draws
        At most about this many draws, evenly thinned. The cost grows with it, and with the square of the number of
        runs.
    progress
        Whether those fits show a progress bar. Default: where a person watches.

    Returns
    -------
    arviz_stats.ELPDDataLOO
        Expected log predictive density, in all and a run (``elpd_i``), with its standard error over runs and the Pareto
        k of each run.

    Raises
    ------
    PosteriorError
        If there are fewer than two runs, the noise is Student-t (its density without the sampled precisions has no
        closed form), the draws are not of NUTS, or a run that must be refitted is the only one of its size.

    Warns
    -----
    ConvergenceWarning
        If importance sampling failed for runs that were not refitted.
    """
    left_out = _LeftOut.of(posterior, num_draws)
    with warnings.catch_warnings():
        # said below in plain words, with the names of the runs
        warnings.filterwarnings("ignore", message="Estimated shape parameter of Pareto")
        result = arviz_stats.loo(left_out.tree, pointwise=True)
    bad = [str(name) for name in result.pareto_k["run"].to_numpy()[result.pareto_k.to_numpy() > result.good_k]]
    if bad and refit:
        _check_refits(left_out.curves, bad)
        return arviz_stats.reloo(_Refits(left_out, progress=progress), result, pointwise=True)
    if bad:
        warnings.warn(
            f"leave_run_out: the posterior without {', '.join(bad)} differs too much from the whole one to be "
            f"found by weighting its draws (Pareto k above {result.good_k:.2f}); use refit=True to fit without "
            f"{'it' if len(bad) == 1 else 'each of them'}",
            ConvergenceWarning,
            stacklevel=2,
        )
    return result


def compare_models(posteriors: Mapping[str, Posterior], *, refit: bool = False, num_draws: int = 1000) -> pd.DataFrame:
    """Compare models by how well they predict runs that are left out.

    Parameters
    ----------
    posteriors
        Posteriors by name, of different models fitted to the same observations.
    refit, num_draws
        As in :func:`leave_run_out`.

    Returns
    -------
    pandas.DataFrame
        ArviZ's table, the best model first: ``rank, elpd_diff, dse, p_worse, diag_diff, diag_elpd, p, elpd, se,
        weight``. ``weight`` are stacking weights (Yao et al. 2018, arXiv:1704.02030), for
        :func:`bayeslr.forecast.stack`.

    Raises
    ------
    PosteriorError
        If there are fewer than two models, or they were not fitted to the same observations.

    Warns
    -----
    ConvergenceWarning
        As in :func:`leave_run_out`.
    """
    if len(posteriors) < 2:
        raise PosteriorError(f"compare_models: found {len(posteriors)} posterior; allowed: two or more, by name")
    first, *others = posteriors
    for name in others:
        _check_same(first, posteriors[first], name, posteriors[name])
    results = {name: leave_run_out(p, refit=refit, num_draws=num_draws) for name, p in posteriors.items()}
    # ArviZ takes exp() of log densities, which overflows for a run of many points. Weights do not change when a
    # run's densities are all divided by the same number.
    best = np.max([result.elpd_i.to_numpy() for result in results.values()], axis=0)
    shifted = {name: _shifted(result, best) for name, result in results.items()}
    table: pd.DataFrame = arviz_stats.compare(shifted, method="stacking", round_to="none")
    table["elpd"] = [float(results[name].elpd) for name in table.index]
    table["se"] = [float(results[name].se) for name in table.index]
    return table


def _check_refits(curves: CurveSet, names: list[str]) -> None:
    """Refuse, before any fit, to leave out the only run of a size."""
    sizes = Sizes.of(curves)
    size_of_curve = sizes.index(curves)
    for name, size in zip(curves.names, size_of_curve, strict=True):
        if name in names and size_of_curve.count(size) == 1:
            raise PosteriorError(
                f"leave_run_out: {name} is the only run of size {sizes.labels[size]}; nothing can be fitted without "
                "it; allowed: refit=False, or a backtest that leaves out sizes"
            )


def _shifted(result: Any, by: NDArray[np.float64]) -> Any:
    relative = result.elpd_i - by
    return replace(result, elpd_i=relative, elpd=float(relative.sum()))


def _check_same(first: str, one: Posterior, name: str, other: Posterior) -> None:
    if one.runs != other.runs:
        raise PosteriorError(
            f"compare_models: {first} was fitted to {_listed(one.runs)}, but {name} to {_listed(other.runs)}; "
            "allowed: the same runs"
        )
    losses, others = (posterior.tree["observed_data"]["loss"].to_numpy() for posterior in (one, other))
    if not np.array_equal(losses, others, equal_nan=True):
        raise PosteriorError(
            f"compare_models: {first} and {name} were fitted to other observations of the same runs; allowed: the same "
            "curves, and the same max_points_per_run"
        )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f", ... ({len(names)} in all)" if len(names) > 5 else "")


@dataclass(frozen=True, kw_only=True)
class _LeftOut:
    """A posterior with the density of each run given all others."""

    posterior: Posterior
    curves: CurveSet
    observations: Observations
    tree: xr.DataTree

    @classmethod
    def of(cls, posterior: Posterior, num_draws: int) -> "_LeftOut":
        if posterior.method != "nuts":
            raise PosteriorError(
                f"leave_run_out: these draws are of the method {posterior.method!r}, an approximation whose error the "
                "weights would not know of; allowed: 'nuts'"
            )
        if posterior.model.noise.df is not None:
            raise PosteriorError(
                f"leave_run_out: the noise is Student-t (df={posterior.model.noise.df:g}), whose precisions belong to "
                "single observations and cannot be left out in closed form; allowed: Gaussian noise, or a backtest"
            )
        if len(posterior.runs) < 2:
            raise PosteriorError("leave_run_out: the posterior has one run; allowed: two or more")
        curves = posterior.thinned.distinct()
        observations, _ = posterior.model.observations(curves, posterior.scale)
        total = posterior.draws.sizes["chain"] * posterior.draws.sizes["draw"]
        draws = posterior.draws.isel(draw=slice(None, None, max(1, round(total / num_draws))))
        density = _conditional(posterior, observations, draws, list(range(len(curves))))
        return cls(
            posterior=posterior,
            curves=curves,
            observations=observations,
            tree=xr.DataTree.from_dict(
                {"posterior": draws, "log_likelihood": density.assign_coords(run=list(curves.names)).to_dataset()}
            ),
        )


def _conditional(posterior: Posterior, observations: Observations, draws: xr.Dataset, runs: list[int]) -> xr.DataArray:
    """Return ``log p(y_r | theta, y_-r)`` of some runs, dimensions ``chain, draw, run``."""
    shape = (draws.sizes["chain"], draws.sizes["draw"])
    flat = {str(name): array.to_numpy().reshape((-1, *array.shape[2:])) for name, array in draws.items()}
    count = int(observations.valid.shape[0])
    groups = np.ones((1 + len(runs), count), dtype=bool)
    groups[1 + np.arange(len(runs)), runs] = False
    density = log_densities(posterior.model, observations, flat, groups)
    given = density[:, :1] - density[:, 1:]
    coords = {"chain": draws["chain"], "draw": draws["draw"]}
    return xr.DataArray(given.reshape((*shape, -1)), dims=("chain", "draw", "run"), coords=coords, name="loss")


class _Refits(arviz_stats.SamplingWrapper):  # type: ignore[misc]  # ArviZ is not typed
    """Fits without a run, in the form that :func:`arviz_stats.reloo` asks for."""

    def __init__(self, left_out: _LeftOut, *, progress: bool | None) -> None:
        super().__init__(left_out.posterior.model, idata_orig=left_out.tree)
        self.left_out, self.progress = left_out, progress

    def sel_observations(self, idx: int) -> tuple[CurveSet, int]:
        """Split the curves into all but one, and the index of that one."""
        curves = self.left_out.curves
        return CurveSet(curves=tuple(curve for k, curve in enumerate(curves) if k != idx)), int(idx)

    def sample(self, modified_observed_data: CurveSet) -> Posterior:
        """Fit by the settings of the posterior, and on its scale."""
        posterior = self.left_out.posterior
        return fit(
            modified_observed_data,
            posterior.model,
            scale=posterior.scale,
            # what was left out of the posterior's curves is gone from them
            keep_spikes=True,
            progress=self.progress,
            **posterior.repeated,
        )

    def get_inference_data(self, fitted_model: Posterior) -> xr.Dataset:
        """Return the draws."""
        return fitted_model.draws

    def log_likelihood__i(self, excluded_obs: int, idata__i: xr.Dataset) -> xr.DataArray:
        """Return the density of the run that was left out."""
        one = _conditional(self.left_out.posterior, self.left_out.observations, idata__i, [excluded_obs])
        return one.isel(run=0)
