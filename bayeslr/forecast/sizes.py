"""The model size of a forecast: fitted or unseen, and the draws of all that the runs of a size share."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bayeslr.curves.counts import parse_count, rounded_range
from bayeslr.errors import PosteriorError
from bayeslr.inference import Posterior
from bayeslr.model import MEMORIES, PREFIX, Pooling, future_knots

__all__ = ["SizeDraws", "Target", "draw_size", "find_target"]

_SAME_SIZE = 1e-3

type Draws = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A size to predict.

    Parameters
    ----------
    index
        Its index among the fitted sizes; none: unseen.
    label
        Its label.
    params
        Its number of parameters, none where unknown.
    rounded
        The numbers that `params` is rounded from, where it was read off an unseen size's label.
    """

    index: int | None
    label: str
    params: float | None
    rounded: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class SizeDraws:
    """What the schedules of a forecast have in common, a row a posterior draw.

    Parameters
    ----------
    values
        The law's parameters, each ``[draws]``.
    scales
        The discrepancy's scales, each ``[draws]``.
    sigma
        Standard deviation of the measurement noise at the reference peak rate, ``[draws]``.
    power
        Exponent with which it follows the rate, ``[draws]``; None: the same at every rate.
    shared
        Effects that the runs of the size share, ``[draws, 8 + K]``.
    knots
        Places of the bends, those beyond the fitted data included, ``[K]``.
    """

    values: Mapping[str, Array]
    scales: Mapping[str, Array]
    sigma: Draws
    power: Draws | None
    shared: Draws
    knots: Array


def find_target(posterior: Posterior, size: float | str | None) -> Target:
    """Find a size among the fitted ones, or take it as unseen.

    Parameters
    ----------
    posterior
        The posterior.
    size
        A fitted label, or a number of parameters, fitted or not. None: the only fitted size. A number that is written
        as a label, such as ``"1B"``, is taken as rounded: it may be any that rounds to it.

    Returns
    -------
    Target
        The size.

    Raises
    ------
    PosteriorError
        If the size is not one that this posterior can predict.
    """
    labels, params = posterior.sizes, posterior.params
    known = ", ".join(label if p is None else f"{label} ({p:.4g})" for label, p in zip(labels, params, strict=True))
    if size is None:
        if len(labels) > 1:
            raise PosteriorError(f"size: none was given, but the posterior has several; allowed: {known}, or a number")
        return Target(index=0, label=labels[0], params=params[0])
    if isinstance(size, str) and size in labels:
        k = labels.index(size)
        return Target(index=k, label=labels[k], params=params[k])
    number = parse_count(size) if isinstance(size, str) else float(size)
    if number is None or not (np.isfinite(number) and number > 0):
        raise PosteriorError(f"size: found {size!r}; allowed: {known}, or a positive number of parameters")
    for k, p in enumerate(params):
        if p is not None and abs(number / p - 1.0) < _SAME_SIZE:
            return Target(index=k, label=labels[k], params=p)
    if posterior.model.pooling == "none":
        raise PosteriorError(
            f"size: found {number:.4g}, but this posterior knows {known} alone; "
            "allowed: a fitted size, or fit two or more sizes together to predict others"
        )
    rounded = rounded_range(size) if isinstance(size, str) else None
    label = f"{number:.4g}" if rounded is None else str(size).strip()
    return Target(index=None, label=label, params=number, rounded=rounded)


def draw_size(
    posterior: Posterior,
    draws: Mapping[str, Draws],
    target: Target,
    rng: np.random.Generator,
    *,
    furthest: float,
) -> SizeDraws:
    """Collect the draws of a size; what the posterior does not hold of it is drawn.

    Parameters
    ----------
    posterior
        The posterior.
    draws
        Its draws by name, each ``[draws, ...]``.
    target
        The size.
    rng
        Source of randomness: an unseen size's deviations, and the bends beyond the fitted data.
    furthest
        Largest log area that is asked for.

    Returns
    -------
    SizeDraws
        The draws.
    """
    model = posterior.model
    fitted = np.asarray(posterior.tree["constant_data"].to_dataset()["knots"].to_numpy())
    future = future_knots(furthest)
    if target.index is not None:
        values = {p.name: jnp.asarray(draws[p.name][:, target.index]) for p in model.law.parameters}
        sigma = draws["noise"][:, target.index]
    else:
        known = np.log([p for p in posterior.params if p is not None])
        place = np.zeros(())
        if target.params is not None and known.size:
            counts = target.params if target.rounded is None else rng.uniform(*target.rounded, len(draws["noise"]))
            place = np.log(counts) - known.mean()
        pooling = Pooling(name=model.pooling)
        values = {p.name: jnp.asarray(pooling.unseen(p, dict(draws), place, rng)) for p in model.law.parameters}
        sigma = np.exp(np.log(draws["noise"]).mean(axis=1))
    return SizeDraws(
        values=values,
        scales={n.removeprefix(PREFIX): jnp.asarray(v) for n, v in draws.items() if n.startswith(PREFIX)},
        sigma=sigma,
        power=draws.get("noise_power"),
        shared=_shared_effects(posterior, draws, target, rng, fitted=fitted.size, future=future.size),
        knots=jnp.asarray(np.concatenate([fitted, future])),
    )


def _shared_effects(
    posterior: Posterior,
    draws: Mapping[str, Draws],
    target: Target,
    rng: np.random.Generator,
    *,
    fitted: int,
    future: int,
) -> Draws:
    """Return memories, bends at the fitted knots, and bends at the future ones."""
    discrepancy, count = posterior.model.discrepancy, len(draws["noise"])
    if not discrepancy.enabled:
        return np.zeros((count, 0))
    if target.index is not None:
        own = np.concatenate([draws["effect_memory"][:, target.index], draws["effect_bend"][:, target.index]], axis=1)
    else:
        own = rng.standard_normal((count, len(MEMORIES) + fitted))
        if "common_memory" in draws:
            common = np.concatenate([draws["common_memory"], draws["common_bend"]], axis=1)
            own = discrepancy.common**0.5 * common + (1.0 - discrepancy.common) ** 0.5 * own
    return np.concatenate([own, rng.standard_normal((count, future))], axis=1)
