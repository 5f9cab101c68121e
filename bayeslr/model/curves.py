"""The one place where the mean of a law, the effects and the residual of an error model, and the noise come together.

:func:`run_parts` evaluates one run. A fit maps it over runs (:func:`structure`), a forecast over draws and schedules
(:func:`evaluate`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.laws import Law, Scale, Terms
from bayeslr.model.effects import PREFIX, Block, ErrorModel, Level
from bayeslr.model.likelihood import Structure
from bayeslr.model.noise import Noise
from bayeslr.model.observations import Inputs, Observations, prepare
from bayeslr.schedules import Schedule

__all__ = ["Composition", "CurveParts", "PlannedCurve", "RunParts", "evaluate", "find_blocks", "run_parts", "structure"]

type Draws = NDArray[np.float64]


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
            [jnp.zeros((runs, 0)), *(block.sd for block in blocks)], axis=1
        )

    shared_shapes, shared_scale = joined("size")
    run_shapes, run_scale = joined("run")
    takes = [np.full(block.sd.shape[1], block.takes) for block in parts.blocks if block.level == "size"]
    return Structure(
        mean=parts.mean,
        sd=sd,
        autocorrelation=jnp.concatenate([jnp.zeros_like(correlation[:, :1]), correlation], axis=1),
        run_shapes=run_shapes,
        run_scale=run_scale,
        shared_shapes=shared_shapes,
        shared_scale=shared_scale,
        exchange=jnp.asarray(np.concatenate([np.zeros(0), *takes])),
        response=parts.terms.response,
        valid=observations.valid,
        size_of_run=observations.size_of_run,
        sizes=observations.log_params,
        bundles=observations.bundles,
        single=observations.single,
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


@dataclass(frozen=True, kw_only=True)
class CurveParts:
    """The parts of a loss curve, ``base + forward - annealing + shared + run + residual``, each ``[draws, n]``.

    Parameters
    ----------
    base, forward, annealing
        The law: L0, the forward term, the annealing term.
    shared
        What the law leaves out, common to the runs of a size.
    run
        What is the run's own.
    residual_sd
        Standard deviation of the residual process.
    """

    base: Draws
    forward: Draws
    annealing: Draws
    shared: Draws
    run: Draws
    residual_sd: Draws

    @property
    def law(self) -> Draws:
        """The law alone."""
        return self.base + self.forward - self.annealing

    @property
    def expected(self) -> Draws:
        """The curve that the runs of this schedule have in common."""
        return self.law + self.shared


@dataclass(frozen=True, kw_only=True)
class PlannedCurve:
    """A curve to evaluate.

    Parameters
    ----------
    schedule
        Its schedule.
    steps
        Its steps, ``[n]``.
    setup
        Weight decay and batch size of its run.
    effects
        Effects of its run by block, each ``[draws, k]``.
    """

    schedule: Schedule
    steps: NDArray[np.int64]
    setup: Setup
    effects: Mapping[str, Draws]


_AT_ONCE = 512
"""Points of several curves that are evaluated together."""


def evaluate(
    model: Composition,
    values: Mapping[str, Draws],
    effects: Mapping[str, Draws],
    places: Mapping[str, NDArray[np.float64]],
    plans: Sequence[PlannedCurve],
    scale: Scale,
) -> Iterator[tuple[CurveParts, Draws]]:
    """Evaluate the parts of several curves, and how noisy their losses are, for every draw.

    Many short questions are answered together: a call of a compiled program takes longer than its work.

    Parameters
    ----------
    model
        Law, error model and noise.
    values
        Values by site, each ``[draws]``.
    effects
        Effects of the size by block, each ``[draws, k]``.
    places
        The error model's places.
    plans
        The curves.
    scale
        The scale of the size.

    Yields
    ------
    parts : CurveParts
        For each curve in turn, each part ``[draws, n]``.
    noise : numpy.ndarray
        Standard deviation of the white noise, ``[draws, n]``.
    """
    sites = {name: jnp.asarray(value) for name, value in values.items()}
    of_size = {name: jnp.asarray(value) for name, value in effects.items()}
    known = {name: jnp.asarray(array) for name, array in places.items()}

    def asked(group: Sequence[int]) -> Mapping[str, Array]:
        """Ask for a group of curves; the answer is computed while the caller does something else."""
        chosen = [plans[k] for k in group]
        width = _width(len(chosen[0].steps))
        inputs = [prepare(model.law, plan.schedule, _filled(plan.steps, width), scale, plan.setup) for plan in chosen]
        own = [plan.effects for plan in chosen]
        # one of few numbers of curves, each of which compiles once
        fill = (1 << (len(chosen) - 1).bit_length()) - len(chosen)
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *inputs, *inputs[-1:] * fill)
        of_run = jax.tree.map(lambda *leaves: np.stack(leaves), *own, *own[-1:] * fill)
        answer: Mapping[str, Array] = _evaluate(model, sites, of_size, known, stacked, of_run)
        return answer

    # what the next group sees of its schedules is prepared while the one before is computed
    groups = list(_groups([len(plan.steps) for plan in plans]))
    following = asked(groups[0])
    for k, group in enumerate(groups):
        answer, following = following, asked(groups[k + 1]) if k + 1 < len(groups) else {}
        whole = {name: np.asarray(part) for name, part in answer.items()}
        for place, curve in enumerate(group):
            parts = {name: part[place, : len(plans[curve].steps)].T for name, part in whole.items()}
            noise = parts.pop("noise")
            yield CurveParts(**parts), noise


def _filled(steps: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    return np.append(steps, np.repeat(steps[-1], width - len(steps)))


def _width(count: int) -> int:
    """Return the number of steps that a curve is filled up to."""
    return 1 << (count - 1).bit_length() if count <= 8 else 8 * -(-count // 8)


def _groups(counts: Sequence[int]) -> Iterator[list[int]]:
    """Group neighbours of one width, so that a group has at most so many points, or is a single curve."""
    group: list[int] = []
    for k, count in enumerate(counts):
        same = bool(group) and _width(counts[group[0]]) == _width(count)
        if group and not (same and (len(group) + 1) * _width(count) <= _AT_ONCE):
            yield group
            group = []
        group.append(k)
    yield group


@partial(jax.jit, static_argnums=0)
def _evaluate(
    model: Composition,
    values: Mapping[str, Array],
    effects: Mapping[str, Array],
    places: Mapping[str, Array],
    inputs: Inputs,
    own: Mapping[str, Array],
) -> dict[str, Array]:
    """Return the parts of some curves, ``[curves, n, draws]``: a point's draws together."""

    def curve(inputs: Inputs, own: Mapping[str, Array]) -> dict[str, Array]:
        def draw(
            values: Mapping[str, Array], effects: Mapping[str, Array], own: Mapping[str, Array]
        ) -> dict[str, Array]:
            parts = run_parts(model, values, inputs, places)
            moved = {"size": jnp.zeros_like(parts.mean), "run": jnp.zeros_like(parts.mean)}
            for block in parts.blocks:
                if not block.sd.shape[0]:
                    continue
                sized = block.sd * (effects if block.level == "size" else own)[block.name]
                moved[block.level] = moved[block.level] + sized @ block.basis
                if block.takes:
                    moved[block.level] = moved[block.level] - block.takes * sized.sum() * parts.terms.response
            return {
                "base": jnp.broadcast_to(parts.terms.base, parts.mean.shape),
                "forward": parts.terms.forward,
                "annealing": parts.terms.annealing,
                "shared": moved["size"],
                "run": moved["run"],
                "residual_sd": parts.residual_sd,
                "noise": parts.noise_sd,
            }

        return jax.vmap(draw, out_axes=-1)(values, effects, own)

    return jax.vmap(curve)(inputs, own)
