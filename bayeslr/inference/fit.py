"""From curves to a posterior, in one call."""

import warnings
from dataclasses import fields, replace
from functools import partial
from importlib import import_module
from typing import Literal

import numpy as np
import xarray as xr
from arviz_base import from_dict

from bayeslr.curves import CurveSet
from bayeslr.errors import ConvergenceWarning, ModelError
from bayeslr.inference.density import starting_points
from bayeslr.inference.devices import ChainMethod, place_chains, prepare_devices, unshared_solves
from bayeslr.inference.health import check
from bayeslr.inference.inputs import MAX_DRAWS, require_fittable
from bayeslr.inference.laplace import LAPLACE_LABEL, draw_gaussian
from bayeslr.inference.mode import Vector, find_mode
from bayeslr.inference.posterior import Posterior
from bayeslr.inference.program import Program, program_for
from bayeslr.inference.sampler import Draws, in_background
from bayeslr.laws import Scale
from bayeslr.model import Design, ScalingModel, size_labels

__all__ = ["fit"]


def fit(
    curves: CurveSet,
    model: ScalingModel | None = None,
    *,
    seed: int,
    num_warmup: int = 250,
    num_samples: int = 1000,
    num_chains: int = 4,
    target_accept_prob: float = 0.65,
    chain_method: ChainMethod = "auto",
    max_points_per_run: int = 64,
    scale: Scale | None = None,
    method: Literal["nuts", "laplace"] = "nuts",
    progress: bool = False,
) -> Posterior:
    """Fit a model to loss curves.

    Parameters
    ----------
    curves
        The curves. Observations inside warm-up are left out, and those that branches share are counted once.
    model
        The model. Default: the annealing law with its default priors, pooling and discrepancy.
    seed
        Seed of the sampler; the same seed gives the same draws on the same machine.
    num_warmup
        Steps of adaptation a chain. The sampler starts in whitened coordinates and needs few.
    num_samples
        Draws a chain.
    num_chains
        Number of chains.
    target_accept_prob
        Acceptance probability that the step size is adapted to. What is reached lies above it: 0.8 with the default,
        which makes trees of seven gradients the rule, also with several sizes. A higher one takes shorter steps, for
        posteriors with divergences.
    chain_method
        ``"auto"`` (default): chains in parallel over CPU devices, vectorised on a GPU; or ``"parallel"``,
        ``"vectorized"``, ``"sequential"``.
    max_points_per_run
        Observations of a run that enter the likelihood, half of them in the annealing part. Errors of the law are
        correlated along a run, so more points add cost and little information.
    scale
        The data's scale, on which default priors are expressed. Default: measured on the curves. Fits that are to share
        one prior (simulations, refits on parts of the data) need the same scale.
    method
        ``"nuts"`` (default) samples the posterior. ``"laplace"`` draws from the Gaussian at its mode instead, for a
        quick look: no chains, no adaptation. Such a fit says so wherever it is shown, and its health check compares the
        two densities.
    progress
        Whether to show a progress bar on stderr.

    Returns
    -------
    Posterior
        Draws, with all that is needed to predict from them.

    Raises
    ------
    ModelError
        If the curves are too few for a fit, or a setting is not valid.

    Warns
    -----
    ConvergenceWarning
        If the chains did not converge, or Laplace's approximation fails; :func:`bayeslr.check` says why and what to do.
    """
    _check_settings(num_warmup=num_warmup, num_samples=num_samples, num_chains=num_chains)
    if not 0.5 <= target_accept_prob < 1.0:
        raise ModelError(f"fit: target_accept_prob={target_accept_prob}; allowed: from 0.5 up to, not including, 1")
    if method not in ("nuts", "laplace"):
        raise ModelError(f"fit: method={method!r}; allowed: 'nuts', 'laplace'")
    prepare_devices()
    require_fittable(curves.after_warmup())
    observed = curves.after_warmup().thin(max_points_per_run)
    labels, params, _ = size_labels(observed)
    model = (model or ScalingModel()).resolved(params)
    scale = scale or model.scale(observed)
    design, runs = model.design(observed, scale)
    program = program_for(
        model,
        design,
        num_warmup=num_warmup,
        target_accept_prob=target_accept_prob,
        placement=place_chains(chain_method, num_chains),
    )

    def densities(places: Vector) -> tuple[Vector, Vector]:
        return program.values_and_gradients(places, design)

    with unshared_solves():
        program.prepare(design, num_chains=num_chains if method == "nuts" else None)
        starts = [np.asarray(program.unconstrain(start, design)) for start in starting_points(design)]
        mode = find_mode(densities, starts)
        if method == "laplace":
            draws = draw_gaussian(densities, mode, seed=seed, num_samples=num_samples, num_chains=num_chains)
        else:
            # compiles while the sampler still does so in its own thread
            program.describe(mode.position[None], design, seed=seed)
            # the health check's import takes a second or two: now this thread has nothing to do but wait
            in_background(partial(import_module, "arviz_stats"))
            draws = program.sampler.run(
                densities, mode, design, seed=seed, num_samples=num_samples, num_chains=num_chains, progress=progress
            )
        tree = _groups(program, draws, model, design, labels, runs, seed)
    settings = {
        "method": method,
        "seed": seed,
        "num_warmup": num_warmup,
        "num_samples": num_samples,
        "num_chains": num_chains,
        "target_accept_prob": target_accept_prob,
        "max_points_per_run": max_points_per_run,
        "scale": {field.name: float(getattr(scale, field.name)) for field in fields(scale)},
    }
    told = [LAPLACE_LABEL] if method == "laplace" else []
    posterior = Posterior(tree=tree, curves=curves, model=model, settings=settings | {"health": told})
    failed = [item.evidence for item in check(posterior).checks if item.status == "FAIL"]
    if failed:
        message = f"do not trust this fit yet: {'; '.join(failed)}"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
        posterior = replace(posterior, settings=settings | {"health": [*told, message]})
    return posterior


def _check_settings(**counts: int) -> None:
    least = {"num_warmup": 50, "num_samples": 50, "num_chains": 1}
    for name, value in counts.items():
        if value < least[name]:
            raise ModelError(f"fit: {name}={value}; allowed: at least {least[name]}")
    total = counts["num_chains"] * counts["num_samples"]
    if total > MAX_DRAWS:
        raise ModelError(f"fit: num_chains times num_samples is {total}; allowed: at most {MAX_DRAWS}")


def _groups(
    program: Program,
    draws: Draws,
    model: ScalingModel,
    design: Design,
    labels: tuple[str, ...],
    runs: tuple[str, ...],
    seed: int,
) -> xr.DataTree:
    """Put draws, statistics and data into ArviZ's groups."""
    chains, length, _ = draws.position.shape
    values = program.describe(draws.position.reshape(chains * length, -1), design, seed=seed)
    posterior = {name: value.reshape((chains, length, *value.shape[1:])) for name, value in values.items()}
    knots = design.knots.shape[0]
    common, shared, run = (posterior.pop(f"effect_{level}") for level in ("common", "shared", "run"))
    names = model.discrepancy.labels(knots)
    if model.discrepancy.enabled:
        memories, kept = len(names["memory"]), len(names["run_memory"])
        posterior["effect_memory"], posterior["effect_bend"] = shared[..., :memories], shared[..., memories:]
        if len(labels) > 1 and model.discrepancy.common:
            posterior["common_memory"], posterior["common_bend"] = common[..., :memories], common[..., memories:]
        posterior["effect_run_memory"], posterior["effect_offset"] = run[..., :kept], run[..., kept]
    per_size = [*(p.name for p in model.law.parameters), *model.law.reported_names, "noise"]
    dims = {name: ["size"] for name in per_size} | {
        "effect_memory": ["size", "memory"],
        "effect_bend": ["size", "bend"],
        "common_memory": ["memory"],
        "common_bend": ["bend"],
        "effect_run_memory": ["run", "run_memory"],
        "effect_offset": ["run"],
        "loss": ["run", "obs"],
        "knots": ["bend"],
    }
    longest = int(np.asarray(design.valid).sum(axis=1).max())
    data = {
        "posterior": posterior,
        "sample_stats": draws.stats,
        "observed_data": {"loss": np.where(design.valid, design.loss, np.nan)[:, :longest]},
        "constant_data": {"knots": np.asarray(design.knots)},
    }
    tree = from_dict(data, coords={"size": list(labels), "run": list(runs), **names}, dims=dims)
    if not isinstance(tree, xr.DataTree):
        raise TypeError(f"ArviZ returned a {type(tree).__name__}")
    return tree
