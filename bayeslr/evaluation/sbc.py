"""Simulation-based calibration: whether the inference returns the distribution that the model defines.

Parameters are drawn from the prior and losses from the model given them; the model is fitted to these losses; and the
rank of every true parameter among the draws of its posterior is noted. If, and only if, sampler, likelihood and prior
fit together, these ranks are uniform (Talts, Betancourt, Simpson, Vehtari, Gelman 2018, arXiv:1804.06788). The log
likelihood is a test quantity beside the parameters: it sees errors to which each parameter alone is blind, such as a
posterior that ignores its data (Modrák et al. 2023, arXiv:2211.02383).

This says nothing of whether the model describes real losses. That is what a backtest on held-out runs says.

Ranks are judged by the simultaneous envelope of their empirical distribution function as ArviZ computes it (Säilynoja,
Bürkner, Vehtari 2022), and by ArviZ's own test of uniformity; :meth:`Calibration.to_datatree` is in the form that
``arviz_plots.plot_ecdf_pit`` draws. The simulations are run here and not by `simuk`, ArviZ's package for them: as of
0.2.0 it runs PyMC, Bambi, or a NumPyro kernel whose observations are sample sites. It would fit with plain NUTS in the
original coordinates, which this posterior does not allow at a bearable cost, and compile anew for each simulation; and
the losses of this model are a density with all effects integrated out, not a site.
"""

import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats
from arviz_stats.ecdf_utils import compute_ecdf, ecdf_pit
from numpy.typing import NDArray

from bayeslr.curves import CurveSet, Sizes
from bayeslr.errors import ConvergenceWarning, ModelError
from bayeslr.evaluation.run_densities import log_densities
from bayeslr.inference import fit, progress_bar
from bayeslr.laws import Scale
from bayeslr.model import ScalingModel

__all__ = ["Calibration", "calibrate"]

_ROUNDS = 20
_LIKELIHOOD = "log_likelihood"

type Truth = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Ranks of true values among posterior draws.

    Parameters
    ----------
    ranks
        How many of the kept draws lie below the true value: one row per simulation, one column per quantity; from 0 to
        `num_draws`.
    num_draws
        Draws kept of each fit.
    fits
        One row per simulation: ``failed`` (the fit did not pass its health check), ``divergences``, ``ess`` (the
        smallest effective sample size of a quantity), ``seconds``. Fits that failed stay in the ranks: to leave them
        out would hide what is to be found.
    redrawn
        Simulations that were drawn again because a loss was not finite or not positive. Ranks stay uniform: what is
        left out depends on the losses alone, which the posterior is conditioned on.
    seed
        Seed of all of it.
    """

    ranks: pd.DataFrame
    num_draws: int
    fits: pd.DataFrame
    redrawn: int
    seed: int

    def to_dataframe(self) -> pd.DataFrame:
        """Return the ranks: a row for each simulation."""
        return self.ranks

    @property
    def pit(self) -> pd.DataFrame:
        """Ranks as numbers between 0 and 1, spread over their cells, so that they are continuous as tests expect."""
        jitter = np.random.default_rng([self.seed, 1]).uniform(size=self.ranks.shape)
        return (self.ranks + jitter) / (self.num_draws + 1)

    def uniform(self, *, ci_prob: float = 0.99) -> pd.DataFrame:
        """Test every quantity for uniform ranks.

        Parameters
        ----------
        ci_prob
            Probability with which the whole curve of one calibrated quantity stays within the envelope. With ``q``
            quantities judged together, ``1 - (1 - ci_prob) / q`` keeps the probability of any false alarm below
            ``1 - ci_prob`` (Bonferroni).

        Returns
        -------
        pandas.DataFrame
            One row per quantity: ``inside`` (of the envelope), ``excess`` (largest distance outside), ``p_value``
            (ArviZ's test of uniformity), ``mean`` (of the ranks between 0 and 1: above a half, true values are
            underestimated), ``coverage_90`` (of the central 90% interval).

        Raises
        ------
        ModelError
            If `ci_prob` does not lie between 0 and 1.
        """
        if not 0.0 < ci_prob < 1.0:
            raise ModelError(f"ci_prob: found {ci_prob!r}; allowed: between 0 and 1, such as 0.99")
        points, lower, upper = _envelope(len(self.ranks), ci_prob)
        rows = {}
        for name, values in self.pit.items():
            place = np.asarray(values, dtype=np.float64)
            curve = compute_ecdf(place, points)
            excess = float(np.maximum(np.maximum(lower - curve, curve - upper), 0.0).max())
            rows[str(name)] = {
                "inside": excess < 1e-9,
                "excess": excess,
                "p_value": float(array_stats.uniformity_test(place)[0]),
                "mean": float(place.mean()),
                "coverage_90": float(np.mean(np.abs(place - 0.5) < 0.45)),
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    def to_datatree(self) -> xr.DataTree:
        """Return the ranks between 0 and 1 as ArviZ's group ``prior_sbc``, for ``plot_ecdf_pit``."""
        data = {str(name): (("chain", "draw"), values.to_numpy()[None]) for name, values in self.pit.items()}
        coords = {"chain": [0], "draw": np.arange(len(self.ranks))}
        return xr.DataTree.from_dict({"prior_sbc": xr.Dataset(data, coords=coords)})


@lru_cache(maxsize=8)
def _envelope(simulations: int, ci_prob: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return where the envelope is evaluated, and its ends."""
    # the envelope is a simulated quantile: some ten simulations have to lie beyond it
    count = max(1000, int(np.ceil(10.0 / (1.0 - ci_prob))))
    points, _, lower, upper = ecdf_pit(
        np.linspace(0.0, 1.0, simulations), ci_prob, count, rng=np.random.default_rng(214)
    )
    return points, lower, upper


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One simulation: all that a worker needs to fit it."""

    model: ScalingModel
    curves: CurveSet
    scale: Scale
    truth: Truth
    seed: int
    num_draws: int
    sampler: Mapping[str, Any]


def calibrate(
    model: ScalingModel,
    curves: CurveSet,
    *,
    simulations: int = 100,
    seed: int,
    simulator: ScalingModel | None = None,
    num_draws: int = 99,
    num_warmup: int = 150,
    num_samples: int = 200,
    num_chains: int = 2,
    target_accept_prob: float = 0.85,
    max_points_per_run: int = 64,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> Calibration:
    """Calibrate the inference of a model by simulation.

    Parameters
    ----------
    model
        The model that is fitted, and that simulates.
    curves
        Templates: their schedules, steps, sizes and scale are used, their losses only through the scale. All fits have
        the same shapes, so that programs are compiled once.
    simulations
        Number of fits.
    seed
        Seed of parameters, losses and samplers.
    simulator
        A model that simulates in place of the fitted one. It is there for controls: a simulator with another noise or
        another prior must be found out.
    num_draws
        Draws kept of each fit, evenly spread over its chains, few enough to be nearly independent.
    num_warmup, num_samples, num_chains, target_accept_prob
        As in :func:`bayeslr.fit`.
    max_points_per_run
        As in :func:`bayeslr.fit`.
    executor
        Where fits run: any ``concurrent.futures.Executor`` whose workers are processes. Default: here, one after the
        other.
    progress
        Whether to show a progress bar. Default: where a person watches, in a terminal or a notebook.

    Returns
    -------
    Calibration
        Ranks of every scalar parameter and of the log likelihood, and the health of the fits. The precisions of
        single observations under Student-t noise have no column.

    Raises
    ------
    ModelError
        If a number is too small, or the prior hardly ever gives losses that could be fitted.
    """
    _check_counts(simulations=simulations, num_draws=num_draws)
    if num_draws > num_samples * num_chains:
        raise ModelError(f"calibrate: num_draws={num_draws}; allowed: at most {num_samples * num_chains}, all draws")
    # an observation that branches share is one observation, and is simulated once
    templates = curves.after_warmup().thin(max_points_per_run).distinct()
    model, simulator = (chosen.for_curves(templates) for chosen in (model, simulator or model))
    truths, redrawn = _draw(simulator, templates, simulations, seed)
    seeds = np.random.default_rng([seed, 0]).integers(2**31, size=simulations)
    sampler = {
        "num_warmup": num_warmup,
        "num_samples": num_samples,
        "num_chains": num_chains,
        "target_accept_prob": target_accept_prob,
        "max_points_per_run": max_points_per_run,
        # whatever the model draws is of the model
        "keep_spikes": True,
    }
    jobs = [
        _Job(
            model=model,
            curves=_with_losses(templates, truth.pop("loss")),
            scale=model.scale(templates),
            truth=truth,
            seed=int(seeds[k]),
            num_draws=num_draws,
            sampler=sampler,
        )
        for k, truth in enumerate(truths)
    ]
    rows = _run(_rank, jobs, executor, progress=progress)
    ranks = pd.DataFrame([ranks for ranks, _ in rows]).rename_axis(index="simulation")
    return Calibration(
        ranks=ranks[_distinct(ranks, truths, templates)],
        num_draws=num_draws,
        fits=pd.DataFrame([health for _, health in rows]).rename_axis(index="simulation"),
        redrawn=redrawn,
        seed=seed,
    )


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if value < 2:
            raise ModelError(f"calibrate: {name}={value}; allowed: at least 2")


def _draw(simulator: ScalingModel, templates: CurveSet, simulations: int, seed: int) -> tuple[list[Truth], int]:
    """Draw parameters and usable losses; return them with the number of draws that had to be repeated."""
    usable: list[Truth] = []
    redrawn = 0
    for part in range(_ROUNDS):
        seeds = np.random.SeedSequence([seed, 2, part]).generate_state(1)
        draws = simulator.prior_predictive(templates, num_samples=simulations, seed=int(seeds[0]))
        for k in range(simulations):
            loss = [draws["loss"][k, run, : len(curve)] for run, curve in enumerate(templates)]
            if not all(np.all(np.isfinite(row) & (row > 0.0)) for row in loss):
                redrawn += 1
                continue
            usable.append({name: value[k] for name, value in draws.items()})
            if len(usable) == simulations:
                return usable, redrawn
    raise ModelError(
        f"calibrate: {len(usable)} of {simulations * _ROUNDS} draws from the prior have finite, positive losses; "
        f"allowed: at least {simulations}; give narrower priors"
    )


def _with_losses(templates: CurveSet, losses: NDArray[np.float64]) -> CurveSet:
    pairs = zip(templates, losses, strict=True)
    return CurveSet(curves=tuple(replace(curve, loss=loss[: len(curve)]) for curve, loss in pairs))


def _run(
    function: Callable[[_Job], tuple[dict[str, int], dict[str, Any]]],
    jobs: list[_Job],
    executor: Executor | None,
    *,
    progress: bool | None,
) -> list[tuple[dict[str, int], dict[str, Any]]]:
    with progress_bar(total=len(jobs), desc="simulations", unit="fit", progress=progress) as bar:
        if executor is None:
            rows = []
            for job in jobs:
                rows.append(function(job))
                bar.update()
            return rows
        futures = [executor.submit(function, job) for job in jobs]
        for _ in as_completed(futures):
            bar.update()
        return [future.result() for future in futures]


def _rank(job: _Job) -> tuple[dict[str, int], dict[str, Any]]:
    """Fit one simulation; return the ranks of the true values, and the health of the fit."""
    started = time.perf_counter()
    with warnings.catch_warnings():
        # counted, in the column `failed`
        warnings.simplefilter("ignore", ConvergenceWarning)
        posterior = fit(job.curves, job.model, seed=job.seed, scale=job.scale, progress=False, **job.sampler)
    draws: Truth = {str(name): array.to_numpy() for name, array in posterior.draws.items()}
    names = [name for name in draws if name in job.truth and name != "noise_precision"]
    values, truth = {name: draws[name] for name in names}, {name: job.truth[name] for name in names}
    required = [name for name in job.model.sites if name in draws]
    if all(name in job.truth for name in required):
        density = _density(job, {name: draws[name] for name in required})
        values[_LIKELIHOOD], truth[_LIKELIHOOD] = density
    flat = np.concatenate([values[name].reshape((*values[name].shape[:2], -1)) for name in values], axis=-1)
    true = np.concatenate([np.ravel(truth[name]) for name in values])
    kept = np.linspace(0, flat.shape[0] * flat.shape[1] - 1, job.num_draws).round().astype(int)
    below = (flat.reshape((-1, flat.shape[-1]))[kept] < true).sum(axis=0)
    labels = [label for name in values for label in _labels(name, np.shape(truth[name]), posterior.sizes)]
    health = {
        "failed": bool(posterior.settings.get("health")),
        "divergences": int(posterior.tree["sample_stats"]["diverging"].sum()),
        "ess": float(np.min(array_stats.ess(flat, chain_axis=0, draw_axis=1))),
        "seconds": time.perf_counter() - started,
    }
    return dict(zip(labels, below.tolist(), strict=True)), health


def _density(job: _Job, draws: Truth) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log likelihood of the draws, ``[chains, draws]``, and of the truth."""
    observations, _ = job.model.observations(job.curves, job.scale)
    shape = draws["noise"].shape[:2]
    # the truth goes along as one more draw, so that one compiled program serves both
    together = {
        name: np.concatenate([value.reshape((-1, *value.shape[2:])), job.truth[name][None]])
        for name, value in draws.items()
    }
    every = np.ones((1, len(job.curves)), dtype=bool)
    density = log_densities(job.model, observations, together, every)[:, 0]
    return density[:-1].reshape(shape), density[-1]


def _labels(name: str, shape: tuple[int, ...], sizes: tuple[str, ...]) -> list[str]:
    return [f"{name}[{size}]" for size in sizes] if shape == (len(sizes),) else [name]


def _distinct(ranks: pd.DataFrame, truths: list[Truth], templates: CurveSet) -> list[str]:
    """Return the columns without copies: under complete pooling, all sizes have the same parameters."""
    sizes = Sizes.of(templates).labels
    seen: dict[bytes, str] = {}
    for name in truths[0]:
        values = np.stack([np.atleast_1d(truth[name]) for truth in truths])
        if values.ndim == 2:
            for label, column in zip(_labels(name, np.shape(truths[0][name]), sizes), values.T, strict=True):
                seen.setdefault(column.tobytes(), label)
    return [str(name) for name in ranks.columns if name in seen.values() or name == _LIKELIHOOD]
