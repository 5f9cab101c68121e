"""Compiled functions of a model for data of given shapes: compiled once, used for every fit of those shapes."""

import json
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.inference.density import build_density
from bayeslr.inference.mode import Vector
from bayeslr.inference.sampler import Sampler
from bayeslr.model import Design, ScalingModel
from bayeslr.model.likelihood import condition

__all__ = ["Program", "program_for"]

_BATCH = 250


class Program:
    """The compiled functions of a fit.

    Parameters
    ----------
    model
        The model, its pooling resolved.
    shapes
        A design, or one of whose leaves only shapes are known.
    num_warmup, target_accept_prob, devices
        Settings of the sampler.
    """

    def __init__(
        self,
        model: ScalingModel,
        shapes: Design,
        *,
        num_warmup: int,
        target_accept_prob: float,
        devices: list[jax.Device],
    ) -> None:
        density = build_density(model, shapes)
        self.size = density.size
        self.unconstrain = jax.jit(density.unconstrain)
        self.sampler = Sampler(
            density.potential, num_warmup=num_warmup, target_accept_prob=target_accept_prob, devices=devices
        )
        self._value_and_gradient = jax.jit(jax.value_and_grad(density.potential))

        def describe(z: Array, key: Array, design: Design) -> dict[str, Array]:
            values = density.constrain(z, design)
            law = {parameter.name: values[parameter.name] for parameter in model.law.parameters}
            prefix = "discrepancy_"
            scales = {name.removeprefix(prefix): v for name, v in values.items() if name.startswith(prefix)}
            precision = values.pop("noise_precision", jnp.ones(design.valid.shape))
            structure = model.structure(design, law, scales, values["noise"], 1.0 / jnp.sqrt(precision))
            common, shared, run = condition(structure, design.loss, key)
            return values | {"effect_common": common, "effect_shared": shared, "effect_run": run}

        self._describe = jax.jit(jax.vmap(describe, in_axes=(0, 0, None)))

    def value_and_gradient(self, z: Vector, design: Design) -> tuple[float, Vector]:
        """Return minus the log density and its gradient, as NumPy."""
        value, gradient = self._value_and_gradient(jnp.asarray(z), design)
        return float(value), np.asarray(gradient, dtype=np.float64)

    def describe(self, z: NDArray[np.float64], design: Design, *, seed: int) -> dict[str, NDArray[np.float64]]:
        """Turn unconstrained draws into values by site, and draw the effects given each.

        Parameters
        ----------
        z
            Draws, ``[draws, d]``.
        design
            The arrays of the fit.
        seed
            Seed of the effects.

        Returns
        -------
        dict
            Values by name, each ``[draws, ...]``, with ``effect_common`` ``[draws, p]``, ``effect_shared``
            ``[draws, S, p]`` and ``effect_run`` ``[draws, R, q]`` in prior standard deviations.
        """
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), len(z))
        parts: list[dict[str, Any]] = []
        for start in range(0, len(z), _BATCH):
            stop = min(start + _BATCH, len(z))
            # the last batch is filled up, so that one compiled program serves all
            rows = np.minimum(np.arange(start, start + _BATCH), len(z) - 1)
            part = self._describe(jnp.asarray(z[rows]), keys[rows], design)
            parts.append({name: np.asarray(value)[: stop - start] for name, value in part.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def program_for(
    model: ScalingModel,
    design: Design,
    *,
    num_warmup: int,
    target_accept_prob: float,
    devices: list[jax.Device],
) -> Program:
    """Return the program for a model and the shapes of a design; one that was made before is used again.

    Parameters
    ----------
    model
        The model, its pooling resolved.
    design
        The arrays of a fit.
    num_warmup, target_accept_prob, devices
        Settings of the sampler.

    Returns
    -------
    Program
        The program, whose functions compile at their first use.
    """
    leaves, structure = jax.tree.flatten(design)
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
    settings = json.dumps(model.settings(), sort_keys=True)
    return _cached(settings, structure, shapes, num_warmup, target_accept_prob, tuple(devices))


@lru_cache(maxsize=8)
def _cached(
    settings: str,
    structure: Any,
    shapes: tuple[tuple[tuple[int, ...], str], ...],
    num_warmup: int,
    target_accept_prob: float,
    devices: tuple[jax.Device, ...],
) -> Program:
    leaves = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes]
    return Program(
        ScalingModel.from_settings(json.loads(settings)),
        jax.tree.unflatten(structure, leaves),
        num_warmup=num_warmup,
        target_accept_prob=target_accept_prob,
        devices=list(devices),
    )
