"""From curves to a posterior, in one call."""

import warnings
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from importlib import import_module
from typing import Literal

import numpy as np

from bayeslr.curves import CurveSet, Sizes
from bayeslr.errors import ConvergenceWarning, ModelError
from bayeslr.inference.engine.density import starting_points
from bayeslr.inference.engine.devices import ChainMethod, place_chains, prepare_devices, unshared_solves
from bayeslr.inference.engine.mode import Vector, find_mode
from bayeslr.inference.engine.program import program_for
from bayeslr.inference.engine.sampler import in_background
from bayeslr.inference.groups import arrange
from bayeslr.inference.health import suffice
from bayeslr.inference.inputs import MAX_DRAWS, bounded, require_finite, require_fittable, without_spikes
from bayeslr.inference.laplace import LAPLACE_LABEL, draw_gaussian
from bayeslr.inference.posterior import Posterior
from bayeslr.laws import Scale
from bayeslr.model import ScalingModel
from bayeslr.model.observations import PADDED_TO

__all__ = ["default_points", "fit"]

_POINTS, _FEWEST_POINTS, _POINTS_OF_ALL = 64, 8, 6144
"""Observations of a run at most, and at least where there are more of all runs together than the last number."""

_DRAWS, _RUNS_OF_ALL_DRAWS = 1000, 96
"""Draws a chain; of more runs than the second number no more than suffice."""


def fit(
    curves: CurveSet,
    model: ScalingModel | None = None,
    *,
    seed: int = 0,
    num_warmup: int = 250,
    num_samples: int | None = None,
    num_chains: int = 4,
    target_accept_prob: float = 0.85,
    chain_method: ChainMethod = "auto",
    max_points_per_run: int | None = None,
    keep_spikes: bool = False,
    scale: Scale | None = None,
    method: Literal["nuts", "laplace"] = "nuts",
    progress: bool | None = None,
) -> Posterior:
    """Fit a model to loss curves.

    Parameters
    ----------
    curves
        The curves. Observations inside warm-up are left out, and those that branches share are counted once. Of runs
        with more than 10,000 observations so many are kept (fewer where all runs together have more than a million).
    model
        The model. Default: :class:`ScalingModel` as it is.
    seed
        Seed of the sampler, default 0; the same seed gives the same draws on the same machine.
    num_warmup
        Steps of adaptation a chain. The sampler starts in whitened coordinates and needs few.
    num_samples
        Draws a chain. Default: 1000; of more than 96 runs, where a draw takes tens of milliseconds, sampling ends after
        250 draws or more, as soon as chains agree and every parameter has twice the effective sample size that
        :func:`bayeslr.check` wants: 200 a chain.
    num_chains
        Number of chains.
    target_accept_prob
        Acceptance probability that the step size is adapted to. What is reached lies above it. With 0.75 up to two
        draws in a hundred diverged where a small data set hardly tells the memory from the drop, with the default at
        most one in a thousand; a higher one takes shorter steps still.
    chain_method
        ``"auto"`` (default): chains in parallel over CPU devices, vectorised on a GPU; or ``"parallel"``,
        ``"vectorized"``, ``"sequential"``.
    max_points_per_run
        Observations of a run that enter the likelihood, half of them in the annealing part. Errors of the law are
        correlated along a run, so more points add cost and little information. Default: 64; where all runs together
        would have more than 6,144, fewer, but at least 8.
    keep_spikes
        Whether single losses that stand far out of their curves enter, too. Default: they are left out, with a warning:
        one of them would widen every band. What counts as one: :func:`bayeslr.curves.spikes.spikes`.
    scale
        The data's scale, on which default priors are expressed. Default: measured on the curves. Fits that are to share
        one prior (simulations, refits on parts of the data) need the same scale.
    method
        ``"nuts"`` (default) samples the posterior. ``"laplace"`` draws from the Gaussian at its mode instead, for a
        quick look: no chains, no adaptation. Such a fit says so wherever it is shown, and its health check compares the
        two densities.
    progress
        Whether to show a progress bar. Default: where a person watches, in a terminal or a notebook.

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
    DataWarning
        If losses are left out as spikes.
    ConvergenceWarning
        If the chains did not converge, or Laplace's approximation fails; :func:`bayeslr.check` says why and what to do.
    """
    most = _DRAWS if num_samples is None else num_samples
    _check_settings(num_warmup=num_warmup, num_samples=most, num_chains=num_chains)
    if not 0.5 <= target_accept_prob < 1.0:
        raise ModelError(f"fit: target_accept_prob={target_accept_prob}; allowed: from 0.5 up to, not including, 1")
    if method not in ("nuts", "laplace"):
        raise ModelError(f"fit: method={method!r}; allowed: 'nuts', 'laplace'")
    if not isinstance(keep_spikes, bool):
        raise ModelError(f"fit: keep_spikes={keep_spikes!r}; allowed: True, False")
    prepare_devices()
    require_fittable(curves.after_warmup())
    curves = bounded(curves, max_points_per_run)
    if not keep_spikes:
        curves = without_spikes(curves)
    whole = curves.after_warmup()
    if max_points_per_run is None:
        max_points_per_run = default_points([len(curve) for curve in whole])
    observed = whole.thin(max_points_per_run)
    sizes = Sizes.of(observed)
    model = (model or ScalingModel()).for_curves(observed)
    scale = scale or model.scale(observed)
    observations, runs = model.observations(observed, scale)
    program = program_for(
        model,
        observations,
        num_warmup=num_warmup,
        target_accept_prob=target_accept_prob,
        placement=place_chains(chain_method, num_chains),
    )

    def densities(places: Vector) -> tuple[Vector, Vector]:
        return program.values_and_gradients(places, observations)

    with unshared_solves():
        program.prepare(observations, num_chains=num_chains if method == "nuts" else None)
        starts = [
            np.asarray(program.unconstrain(start, observations)) for start in starting_points(model, observations)
        ]
        mode = find_mode(densities, starts)
        if method == "laplace":
            draws = draw_gaussian(densities, mode, seed=seed, num_samples=most, num_chains=num_chains)
        else:
            # compiles while the sampler still does so in its own thread
            program.describe(mode.position[None], observations, seed=seed)
            # the health check's import takes a second or two: now this thread has nothing to do but wait
            in_background(partial(import_module, "arviz_stats"))
            draws = program.sampler.run(
                densities,
                mode,
                observations,
                seed=seed,
                num_samples=most,
                enough=suffice if num_samples is None and len(observed) > _RUNS_OF_ALL_DRAWS else None,
                num_chains=num_chains,
                progress=progress,
            )
        chains, length, _ = draws.position.shape
        values = program.describe(draws.position.reshape(chains * length, -1), observations, seed=seed)
    require_finite(values, whole)
    named = {name: value.reshape((chains, length, *value.shape[1:])) for name, value in values.items()}
    tree = arrange(named, draws.stats, model, observations, observed, sizes=sizes.labels, runs=runs)
    settings = {
        "method": method,
        "seed": seed,
        "num_warmup": num_warmup,
        "num_samples": length,
        "num_chains": num_chains,
        "target_accept_prob": target_accept_prob,
        "max_points_per_run": max_points_per_run,
        "keep_spikes": keep_spikes,
        "search": {
            "gradient": mode.gradient,
            "others": [{"below": below, "distance": distance} for below, distance in mode.others],
        },
        # as a file has it, where a tuple is a list
        "scale": {
            field.name: list(value) if isinstance(value := getattr(scale, field.name), tuple) else value
            for field in fields(scale)
        },
    }
    told = [LAPLACE_LABEL] if method == "laplace" else []
    posterior = Posterior(tree=tree, curves=curves, model=model, settings=settings | {"health": told})
    message = posterior.health.failure
    if message:
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
        posterior = replace(posterior, settings=settings | {"health": [*told, message]})
    return posterior


def default_points(lengths: Sequence[int]) -> int:
    """Return how many observations of a run are fitted, for runs of these lengths."""
    every = np.array(lengths)
    # what arrays are padded to: 17 observations would cost what 24 do
    counts = range(_POINTS, _FEWEST_POINTS, -PADDED_TO)
    return next((count for count in counts if np.minimum(every, count).sum() <= _POINTS_OF_ALL), _FEWEST_POINTS)


def _check_settings(**counts: int) -> None:
    least = {"num_warmup": 50, "num_samples": 50, "num_chains": 1}
    for name, value in counts.items():
        if value < least[name]:
            raise ModelError(f"fit: {name}={value}; allowed: at least {least[name]}")
    total = counts["num_chains"] * counts["num_samples"]
    if total > MAX_DRAWS:
        raise ModelError(f"fit: num_chains times num_samples is {total}; allowed: at most {MAX_DRAWS}")
