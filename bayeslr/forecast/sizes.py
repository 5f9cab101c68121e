"""The model size of a forecast: fitted or unseen, and the draws of all that the runs of a size share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves import LossCurve
from bayeslr.curves.counts import count_label, parse_count, rounded_range
from bayeslr.errors import PosteriorError
from bayeslr.inference import Posterior
from bayeslr.model import Block, Pooling, ScalingModel

__all__ = ["SizeDraws", "Target", "draw_size", "find_target", "fitted_runs"]

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
    """What the schedules of a forecast have in common, one row per posterior draw.

    Parameters
    ----------
    values
        Values by site, each ``[draws]``: the law's parameters, the error model's scales, the noise.
    effects
        Effects that the runs of the size share, by block, each ``[draws, k]``.
    """

    values: Mapping[str, Draws]
    effects: Mapping[str, Draws]


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
    known = ", ".join(label if p is None else f"{label} ({p:,.0f})" for label, p in zip(labels, params, strict=True))
    if size is None:
        if len(labels) > 1:
            raise PosteriorError(f"size: none was given, but the posterior has several; allowed: {known}, or a number")
        return Target(index=0, label=labels[0], params=params[0])
    if isinstance(size, str) and size in labels:
        k = labels.index(size)
        return Target(index=k, label=labels[k], params=params[k])
    number = parse_count(size) if isinstance(size, str) else float(size)
    if number is None or not (np.isfinite(number) and number > 0):
        number_too = "" if posterior.model.pooling == "none" else ", or a positive number of parameters"
        raise PosteriorError(f"size: found {size!r}; allowed: {known}{number_too}")
    for k, p in enumerate(params):
        if p is not None and abs(number / p - 1.0) < _SAME_SIZE:
            return Target(index=k, label=labels[k], params=p)
    if posterior.model.pooling == "none":
        found = repr(size) if isinstance(size, str) else f"{number:.4g}"
        raise PosteriorError(
            f"size: found {found}, but this posterior knows {known} alone; "
            "allowed: a fitted size, or fit two or more sizes together to predict others"
        )
    rounded = rounded_range(size) if isinstance(size, str) else None
    label = count_label(number) if rounded is None else str(size).strip()
    return Target(index=None, label=label, params=number, rounded=rounded)


def fitted_runs(posterior: Posterior, target: Target) -> list[LossCurve]:
    """Return the fitted runs of a size; of one that was not fitted, all of them."""
    return [curve for curve in posterior.fitted if target.index in (None, posterior.size_of(curve))]


def draw_size(
    posterior: Posterior,
    model: ScalingModel,
    draws: Mapping[str, Draws],
    effects: Mapping[str, Draws],
    blocks: Sequence[Block],
    target: Target,
    rng: np.random.Generator,
) -> SizeDraws:
    """Collect the draws of a size; what the posterior does not hold of it is drawn.

    Parameters
    ----------
    posterior
        The posterior.
    model
        The model for the question at hand: the posterior's, or with parameters more that no fitted run tells of, which
        are drawn from their priors.
    draws
        Its draws by name, each ``[draws, ...]``.
    effects
        Draws of its effects by name.
    blocks
        The blocks of the model for the question at hand. Where one has more effects than were fitted, as when bends
        lie beyond the data, the further ones are drawn.
    target
        The size.
    rng
        Source of randomness: an unseen size's deviations and effects, and effects beyond the fitted data.

    Returns
    -------
    SizeDraws
        The draws.
    """
    count = len(draws["noise"])
    values = {name: draws[name] for name in model.sites if name in draws and name not in model.per_size}
    own = [parameter for parameter in model.law.parameters if not parameter.shared]
    if target.index is not None:
        values |= {name: draws[name][:, target.index] for name in model.per_size}
    else:
        known = np.log([p for p in posterior.params if p is not None])
        place: float | Draws = 0.0
        if target.params is not None and known.size:
            counts = target.params if target.rounded is None else rng.uniform(*target.rounded, count)
            place = np.log(counts) - known.mean()
        pooling = Pooling(name=model.pooling)
        values |= {p.name: pooling.unseen(p, draws, place, rng) for p in own}
        if "noise" in model.per_size:
            values["noise"] = np.exp(np.log(draws["noise"]).mean(axis=1))
    share = model.discrepancy.common_share
    shared: dict[str, Draws] = {}
    # each block has a source of its own: how many effects one needs must not change what is drawn of the others
    for block, source in zip(blocks, rng.spawn(len(blocks)), strict=True):
        if block.level != "size":
            continue
        name, wanted = f"effect_{block.name}", block.sd.shape[0]
        fitted = effects[name].shape[2] if name in effects else 0
        if target.index is not None and fitted:
            known_effects = effects[name][:, target.index]
        else:
            known_effects = source.standard_normal((count, fitted))
            if f"{name}_common" in effects:
                known_effects = share**0.5 * effects[f"{name}_common"] + (1.0 - share) ** 0.5 * known_effects
        # one after the other: a further one must not change what is drawn of those before it
        further = source.standard_normal((wanted - fitted, count)).T
        shared[block.name] = np.concatenate([known_effects, further], axis=1)
    untold = [parameter for parameter in model.law.parameters if parameter.shared and parameter.name not in draws]
    for parameter, source in zip(untold, rng.spawn(len(untold)), strict=True):
        center, spread = parameter.unconstrained_prior(posterior.scale)
        values[parameter.name] = np.asarray(parameter.constrain(center + spread * source.standard_normal(count)))
    return SizeDraws(values=values, effects=shared)
