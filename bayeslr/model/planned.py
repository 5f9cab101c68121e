"""Curves that somebody asks for, evaluated for every draw of a posterior: those of a forecast, and those of the fit."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from itertools import chain, pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.forking import require_unforked
from bayeslr.laws import Scale
from bayeslr.model.curves import Composition, run_parts
from bayeslr.model.observations import Inputs, prepare
from bayeslr.schedules import Schedule

__all__ = ["CurveParts", "PlannedCurve", "evaluate"]

type Draws = NDArray[np.float64]


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
    left_over
        What gives the part of the residual that runs of one schedule have in common, in standard deviations; it is
        asked once it is needed. None of fitted runs, and of a run that has started, whose residual is its own.
    """

    base: Draws
    forward: Draws
    annealing: Draws
    shared: Draws
    run: Draws
    residual_sd: Draws
    left_over: Callable[[], Draws] | None = None

    @property
    def arrays(self) -> dict[str, Draws]:
        """All parts by name, without what is left over."""
        return {part.name: getattr(self, part.name) for part in fields(self) if part.name != "left_over"}

    @property
    def law(self) -> Draws:
        """The law alone."""
        return self.base + self.forward - self.annealing

    @cached_property
    def residual(self) -> Draws:
        """What is left over, as far as runs of this schedule have it in common."""
        return np.zeros_like(self.residual_sd) if self.left_over is None else self.residual_sd * self.left_over()

    @property
    def expected(self) -> Draws:
        """The curve that the runs of this schedule have in common."""
        return self.smooth + self.residual

    @property
    def smooth(self) -> Draws:
        """The same without what is left over."""
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
        Effects of its run by block, each ``[draws, k]``. Of a single step their sum has the distribution of one number:
        standard normal draws in its place, ``[draws]``.
    """

    schedule: Schedule
    steps: NDArray[np.int64]
    setup: Setup
    effects: Mapping[str, Draws] | Draws


_AT_ONCE = 512
"""Points of several curves that are evaluated together."""


def evaluate(
    model: Composition,
    values: Mapping[str, Draws],
    effects: Mapping[str, Draws],
    places: Mapping[str, NDArray[np.float64]],
    plans: Iterable[PlannedCurve],
    scale: Scale,
) -> Iterator[tuple[CurveParts, Draws, Draws, Draws]]:
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
        The curves, asked for as they are needed: of many, only a group's effects are held at a time.
    scale
        The scale of the size.

    Yields
    ------
    parts : CurveParts
        For each curve in turn, each part ``[draws, n]``.
    noise : numpy.ndarray
        Standard deviation of the white noise, ``[draws, n]``.
    log_area : numpy.ndarray
        Where the steps lie: logarithm of the area over that of the scale, ``[n]``.
    memory
        Share of the peak rate removed so far, as seen through memories, ``[8, n]``.
    """
    require_unforked()
    sites = {name: jnp.asarray(value) for name, value in values.items()}
    of_size = {name: jnp.asarray(value) for name, value in effects.items()}
    known = {name: jnp.asarray(array) for name, array in places.items()}

    def asked(group: Sequence[PlannedCurve]) -> tuple[tuple[Draws, Draws], Mapping[str, Array]]:
        """Ask for a group of curves; the answer is computed while the caller does something else."""
        width = _width(len(group[0].steps))
        inputs = [prepare(model.law, plan.schedule, _filled(plan.steps, width), scale, plan.setup) for plan in group]
        own = [plan.effects for plan in group]
        # one of few numbers of curves, each of which compiles once
        fill = (1 << (len(group) - 1).bit_length()) - len(group)
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *inputs, *inputs[-1:] * fill)
        of_run = jax.tree.map(lambda *leaves: np.stack(leaves), *own, *own[-1:] * fill)
        seen = stacked.exposure.log_area, stacked.exposure.memory
        return seen, _evaluate(model, sites, of_size, known, stacked, of_run)

    def told(
        group: Sequence[PlannedCurve], log_area: Draws, memory: Draws, answer: Mapping[str, Array]
    ) -> Iterator[tuple[CurveParts, Draws, Draws, Draws]]:
        whole = {name: np.asarray(part) for name, part in answer.items()}
        for place, plan in enumerate(group):
            count = len(plan.steps)
            parts = {name: part[place, :count].T for name, part in whole.items()}
            noise = parts.pop("noise")
            yield CurveParts(**parts, left_over=None), noise, log_area[place, :count], memory[place, :, :count]

    # what the next group sees of its schedules is prepared while the one before is computed
    answers = ((group, asked(group)) for group in _groups(plans))
    nothing = np.zeros(0)
    for (group, (seen, answer)), _ in pairwise(chain(answers, [([], ((nothing, nothing), {}))])):
        yield from told(group, *seen, answer)


def _filled(steps: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    return np.concatenate([steps, np.repeat(steps[-1:], width - len(steps))])


def _width(count: int) -> int:
    """Return the number of steps that a curve is filled up to."""
    return 1 << (count - 1).bit_length() if count <= 8 else 8 * -(-count // 8)


def _groups(plans: Iterable[PlannedCurve]) -> Iterator[list[PlannedCurve]]:
    """Group neighbours of one width, so that a group has at most so many points, or is a single curve."""
    group: list[PlannedCurve] = []
    for plan in plans:
        width = _width(len(plan.steps))
        same = bool(group) and _width(len(group[0].steps)) == width
        if group and not (same and (len(group) + 1) * width <= _AT_ONCE):
            yield group
            group = []
        group.append(plan)
    if group:
        yield group


@partial(jax.jit, static_argnums=0)
def _evaluate(
    model: Composition,
    values: Mapping[str, Array],
    effects: Mapping[str, Array],
    places: Mapping[str, Array],
    inputs: Inputs,
    own: Mapping[str, Array] | Array,
) -> dict[str, Array]:
    """Return the parts of some curves, ``[curves, n, draws]``: a point's draws together."""
    # the same for all curves of a size, so that what follows from it alone is computed once
    level_area = jnp.asarray(inputs.exposure.log_level_area)[0]

    def curve(inputs: Inputs, own: Mapping[str, Array] | Array) -> dict[str, Array]:
        inputs = replace(inputs, exposure=replace(inputs.exposure, log_level_area=level_area))

        def draw(
            values: Mapping[str, Array], effects: Mapping[str, Array], own: Mapping[str, Array] | Array
        ) -> dict[str, Array]:
            parts = run_parts(model, values, inputs, places)
            moved = {"size": jnp.zeros_like(parts.mean), "run": jnp.zeros_like(parts.mean)}
            variance = jnp.zeros_like(parts.mean)
            for block in parts.blocks:
                if not block.sd.shape[0]:
                    continue
                if block.level == "run" and not isinstance(own, Mapping):
                    variance = variance + block.unit**2 * (block.sd**2 @ block.basis**2)
                    continue
                sized = block.sd * (effects if block.level == "size" else own)[block.name]
                shape = sized @ block.basis
                if block.takes:
                    shape = shape - block.takes * sized.sum() * parts.terms.response
                moved[block.level] = moved[block.level] + block.unit * shape
            if not isinstance(own, Mapping):
                moved["run"] = jnp.sqrt(variance) * own
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
