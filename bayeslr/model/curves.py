"""The one place where the mean of a law, the effects and the residual of an error model, and the noise come together.

:func:`run_parts` evaluates one run. A fit maps it over runs (:func:`structure`), a forecast over draws and schedules
(:func:`bayeslr.model.planned.evaluate`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bayeslr.laws import Law, Terms
from bayeslr.model.effects import PREFIX, Block, ErrorModel, Level
from bayeslr.model.likelihood import Structure
from bayeslr.model.noise import Noise
from bayeslr.model.observations import Inputs, Observations

__all__ = ["Composition", "RunParts", "find_blocks", "run_parts", "structure"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class RunParts:
    """All that a model says of the losses of one run, given its parameters.

    Parameters
    ----------
    terms
        The law's terms.
    mean
        The law's loss, ``[n]``.
    blocks
        The effects.
    residual_sd
        Standard deviation of the residual process, ``[n]``.
    noise_sd
        Standard deviation of the white noise, ``[n]``.
    """

    terms: Terms
    mean: Array
    blocks: tuple[Block, ...]
    residual_sd: Array
    noise_sd: Array


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Law, error model and noise: the part of a model that says how the losses of one run are made."""

    law: Law
    discrepancy: ErrorModel
    noise: Noise


def run_parts(model: Composition, values: Mapping[str, Array], inputs: Inputs, places: Mapping[str, Array]) -> RunParts:
    """Evaluate a model for one run.

    Parameters
    ----------
    model
        Law, error model and noise.
    values
        Values by site, scalars: the law's parameters, the error model's scales and the noise; and what the law prepared
        of them, if it has.
    inputs
        What law and error model see of the run, ``n`` observations.
    places
        The error model's places.

    Returns
    -------
    RunParts
        Terms, blocks and standard deviations.
    """
    terms = model.law.terms(values, inputs.features)
    scales = {name.removeprefix(PREFIX): value for name, value in values.items() if name.startswith(PREFIX)}
    scales["noise"] = values["noise"]

    def slope(log_area: Array) -> Array:
        # the error model counts areas from the size's longest run, the law from where its parameters are taken
        return model.law.slope(values, log_area + inputs.exposure.log_level_area)

    return RunParts(
        terms=terms,
        mean=terms.total,
        blocks=model.discrepancy.blocks(scales, terms, inputs.exposure, places, slope),
        residual_sd=model.discrepancy.residual_sd(scales, terms, inputs.exposure),
        noise_sd=model.noise.sd(values["noise"], values.get("noise_power"), inputs.exposure.rate),
    )


def structure(
    model: Composition, observations: Observations, values: Mapping[str, Array], per_size: Sequence[str]
) -> Structure:
    """Return mean and covariance of the losses of all runs for given parameters.

    Parameters
    ----------
    model
        Law, error model and noise.
    observations
        The arrays.
    values
        Values by site: ``[S]`` of those in `per_size`, else scalars; ``noise_precision`` of a Student-t, ``[R, n]``.
    per_size
        Names of the sites that have a value a size.

    Returns
    -------
    Structure
        Low-rank mean and covariance.
    """
    # together, since each look-up would cost a pass of its own, and another in the gradient
    of_size = jnp.stack([values[name] for name in per_size], axis=-1)
    of_run = dict(zip(per_size, jnp.moveaxis(of_size[observations.size_of_run], -1, 0), strict=True))
    shared = {name: value for name, value in values.items() if name not in of_run and name != "noise_precision"}
    own_of_sizes = {name: values[name] for name in per_size}
    known = {**shared, **observations.of_law}

    def added(own: Mapping[str, Array]) -> dict[str, Array]:
        prepared = model.law.prepared({**known, **own})
        return {name: array for name, array in prepared.items() if name not in known and name not in own}

    prepared = jax.vmap(added)(own_of_sizes)
    # a product, whose gradient is one, too, where a look-up's would add up element by element
    belongs = (observations.size_of_run[:, None] == jnp.arange(len(of_size))[None]).astype(of_size.dtype)
    of_run |= {name: jnp.tensordot(belongs, array, axes=1) for name, array in prepared.items()}

    def one(own: Mapping[str, Array], inputs: Inputs) -> RunParts:
        return run_parts(model, {**shared, **own}, inputs, observations.places)

    parts = jax.vmap(one)(of_run, observations.inputs)
    process, log_area = parts.residual_sd, observations.inputs.exposure.log_area
    sd = jnp.sqrt(process**2 + parts.noise_sd**2 / values.get("noise_precision", jnp.ones(())))
    distance = jnp.abs(jnp.diff(log_area, axis=1))
    together = process[:, 1:] * process[:, :-1] / (sd[:, 1:] * sd[:, :-1])
    correlation = together * jnp.exp(-distance / model.discrepancy.residual_correlation_length)
    # padding repeats the last observation: its correlation of one would divide by zero
    correlation = jnp.where(observations.valid[:, 1:], correlation, 0.0)
    runs, width = observations.loss.shape

    def joined(level: Level) -> tuple[Array, Array]:
        blocks = [block for block in parts.blocks if block.level == level]
        bases = [jnp.zeros((runs, 0, width)), *(block.basis for block in blocks)]
        return jnp.concatenate(bases, axis=1), jnp.concatenate(
            [jnp.zeros((runs, 0)), *(block.sd * jnp.reshape(block.unit, (-1, 1)) for block in blocks)], axis=1
        )

    shared_shapes, shared_scale = joined("size")
    run_shapes, run_scale = joined("run")
    takes = [np.full(block.sd.shape[1], block.takes) for block in parts.blocks if block.level == "size"]
    return Structure(
        mean=parts.mean,
        sd=sd,
        autocorrelation=jnp.concatenate([jnp.zeros((runs, 1)), correlation], axis=1),
        run_shapes=run_shapes,
        run_scale=run_scale,
        shared_shapes=shared_shapes,
        shared_scale=shared_scale,
        exchange=jnp.asarray(np.concatenate([np.zeros(0), *takes])),
        response=parts.terms.response,
        valid=observations.valid,
        size_of_run=observations.size_of_run,
        sizes=observations.log_params,
        groups=observations.groups,
        common=model.discrepancy.common_share if observations.log_params.shape[0] > 1 else 0.0,
    )


def find_blocks(
    model: Composition,
    values: Sequence[str],
    inputs: Inputs,
    places: Mapping[str, ArrayLike],
    of_law: Mapping[str, ArrayLike] | None = None,
) -> list[Block]:
    """Return a model's blocks with shapes in place of numbers, without evaluating it.

    Parameters
    ----------
    model
        Law, error model and noise.
    values
        Names of the sites that :func:`run_parts` takes.
    inputs
        What law and error model see of any run.
    places
        The error model's places.
    of_law
        What the law's features of all runs have in common; none: nothing.

    Returns
    -------
    list of Block
        In the model's order; their arrays have shapes alone.
    """
    known = {name: jax.ShapeDtypeStruct((), float) for name in values} | dict(of_law or {})
    return list(jax.eval_shape(partial(run_parts, model), known, inputs, dict(places)).blocks)
