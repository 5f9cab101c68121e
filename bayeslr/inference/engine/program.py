"""Compiled functions of a model for data of given shapes: compiled once, used for every fit of those shapes."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.inference.engine.density import build_density
from bayeslr.inference.engine.devices import OFTEN, SELDOM, Placement, compiler_options
from bayeslr.inference.engine.mode import Vector
from bayeslr.inference.engine.sampler import Sampler, in_background
from bayeslr.model import Observations, ScalingModel
from bayeslr.model.likelihood import condition, count_effects

__all__ = ["Program", "program_for"]

_BATCH = 50


class Program:
    """The compiled functions of a fit.

    Parameters
    ----------
    model
        The model, its pooling resolved.
    shapes
        A observations, or one of whose leaves only shapes are known.
    num_warmup, target_accept_prob, placement
        Settings of the sampler.
    """

    def __init__(
        self,
        model: ScalingModel,
        shapes: Observations,
        *,
        num_warmup: int,
        target_accept_prob: float,
        placement: Placement,
    ) -> None:
        density = build_density(model, shapes)
        self.size = density.size
        self.unconstrain = jax.jit(density.unconstrain, compiler_options=compiler_options(SELDOM))
        self.sampler = Sampler(
            density.potential,
            num_warmup=num_warmup,
            target_accept_prob=target_accept_prob,
            placement=placement,
        )
        self._values_and_gradients: Future[Any] | None = None

        def several(places: Array, count: Array, observations: Observations) -> tuple[Array, Array]:
            if placement.vectorized:
                together: tuple[Array, Array] = jax.vmap(density.value_and_gradient, in_axes=(0, None))(
                    places, observations
                )
                return together

            def one(k: Array, found: tuple[Array, Array]) -> tuple[Array, Array]:
                value, gradient = density.value_and_gradient(places[k], observations)
                return found[0].at[k].set(value), found[1].at[k].set(gradient)

            none = jnp.zeros(len(places)), jnp.zeros_like(places)
            found: tuple[Array, Array] = jax.lax.fori_loop(0, count, one, none)
            return found

        self._several = jax.jit(several)

        def describe(z: Array, normals: Array, observations: Observations) -> dict[str, Array]:
            for_hyperparameters, for_effects = jnp.split(normals, [density.drawn])
            values = density.constrain(z, observations, for_hyperparameters)
            common, shared, run = condition(model.structure(observations, values), observations.loss, for_effects)
            values.pop("noise_precision", None)
            return values | {"effect_common": common, "effect_size": shared, "effect_run": run}

        def effects(observations: Observations) -> Array:
            values = density.constrain(jnp.zeros(density.size), observations, jnp.zeros(density.drawn))
            return jnp.zeros(count_effects(model.structure(observations, values)))

        self._normals = density.drawn + jax.eval_shape(effects, shapes).shape[0]

        def describe_all(z: Array, normals: Array, observations: Observations) -> dict[str, Array]:
            # one after the other on a CPU, whose caches a batch of small matrices does not fit
            at_once = _BATCH if placement.vectorized else None
            each = jax.lax.map(lambda draw: describe(draw[0], draw[1], observations), (z, normals), batch_size=at_once)
            described: dict[str, Array] = each
            return described

        self._describe = jax.jit(describe_all, compiler_options=compiler_options(OFTEN))

    def prepare(self, observations: Observations, *, num_chains: int | None) -> None:
        """Start to compile in the background; what is compiled already stays so.

        Parameters
        ----------
        observations
            The arrays of a fit.
        num_chains
            Number of chains; none: the sampler is not needed.
        """
        if self._values_and_gradients is None:
            # NumPyro traces models through a global stack, so that only the compilation itself can leave this thread
            lowered = self._several.lower(np.zeros((_BATCH, self.size)), 1, observations)
            options = compiler_options(SELDOM)
            self._values_and_gradients = in_background(partial(lowered.compile, compiler_options=options))
        if num_chains is not None:
            self.sampler.prepare(self.size, observations, num_chains=num_chains)

    def values_and_gradients(self, places: Vector, observations: Observations) -> tuple[Vector, Vector]:
        """Return minus the log density at places ``[m, d]``, ``[m]``, and its gradients, ``[m, d]``."""
        if self._values_and_gradients is None:
            raise RuntimeError("values_and_gradients: the program was not prepared")
        program = self._values_and_gradients.result()

        def batch(start: int) -> tuple[Vector, Vector]:
            part = places[start : start + _BATCH]
            whole = np.zeros((_BATCH, self.size))
            whole[: len(part)] = part
            values, gradients = program(whole, len(part), observations)
            return np.asarray(values)[: len(part)], np.asarray(gradients)[: len(part)]

        values, gradients = zip(*_in_batches(batch, len(places)), strict=True)
        return np.concatenate(values), np.concatenate(gradients)

    def describe(
        self, z: NDArray[np.float64], observations: Observations, *, seed: int
    ) -> dict[str, NDArray[np.float64]]:
        """Turn unconstrained draws into values by site, and draw the effects given each.

        Parameters
        ----------
        z
            Draws, ``[draws, d]``.
        observations
            The arrays of the fit.
        seed
            Seed of the effects.

        Returns
        -------
        dict
            Values by name, each ``[draws, ...]``, with ``effect_common`` ``[draws, p]``, ``effect_size``
            ``[draws, S, p]`` and ``effect_run`` ``[draws, R, q]`` in prior standard deviations.
        """
        normals = np.random.default_rng([seed, 1]).standard_normal((len(z), self._normals))

        def batch(start: int) -> dict[str, NDArray[np.float64]]:
            # the last batch is filled up, so that one compiled program serves all
            rows = np.minimum(np.arange(start, start + _BATCH), len(z) - 1)
            part = self._describe(jnp.asarray(z[rows]), normals[rows], observations)
            return {name: np.asarray(value)[: len(z) - start] for name, value in part.items()}

        parts = _in_batches(batch, len(z))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _in_batches[T](work: Callable[[int], T], count: int) -> list[T]:
    """Call a function with the first index of each batch; batches share the cores."""
    starts = range(0, count, _BATCH)
    if len(starts) == 1:
        return [work(0)]
    # small batches stay in a core's cache, and each core has its own
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(work, starts))


def program_for(
    model: ScalingModel,
    observations: Observations,
    *,
    num_warmup: int,
    target_accept_prob: float,
    placement: Placement,
) -> Program:
    """Return the program for a model and the shapes of observations; one that was made before is used again.

    Parameters
    ----------
    model
        The model, its pooling resolved.
    observations
        The arrays of a fit.
    num_warmup, target_accept_prob, placement
        Settings of the sampler.

    Returns
    -------
    Program
        The program, whose functions compile at their first use.
    """
    leaves, structure = jax.tree.flatten(observations)
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
    return _cached(model, structure, shapes, num_warmup, target_accept_prob, placement)


@lru_cache(maxsize=8)
def _cached(
    model: ScalingModel,
    structure: Any,
    shapes: tuple[tuple[tuple[int, ...], str], ...],
    num_warmup: int,
    target_accept_prob: float,
    placement: Placement,
) -> Program:
    leaves = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes]
    return Program(
        model,
        jax.tree.unflatten(structure, leaves),
        num_warmup=num_warmup,
        target_accept_prob=target_accept_prob,
        placement=placement,
    )
