"""Priors: from plain specs to NumPyro distributions and back to text.

A prior can be given as a NumPyro distribution or as text such as ``"LogNormal(-0.7, 0.4)"``, a call of a distribution's
name with literal numbers. Text is what posterior files keep, so any prior that is to be saved must be expressible as
such a call.
"""

import ast
import math
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array

from bayeslr.errors import ModelError
from bayeslr.forking import require_unforked
from bayeslr.laws import PriorSpec

__all__ = ["default_prior", "parse_prior", "prior_text"]

_FAMILIES = (
    "Beta",
    "Exponential",
    "Gamma",
    "HalfCauchy",
    "HalfNormal",
    "InverseGamma",
    "LogNormal",
    "LogUniform",
    "Normal",
    "StudentT",
    "TruncatedNormal",
    "Uniform",
)
_MAX_TEXT = 1_000
"""Longest prior, in characters."""
_LARGEST, _LARGEST_LOG = 1e12, 100.0
"""Numbers of a prior, and those of a LogNormal, which are logarithms: beyond, densities are no numbers any more."""


def default_prior(spec: PriorSpec, scale: Mapping[str, Array]) -> dist.Distribution:
    """Put a declared prior on the data's scale.

    Parameters
    ----------
    spec
        The declaration.
    scale
        The data's scale.

    Returns
    -------
    numpyro.distributions.Distribution
        Scalar distribution.
    """
    unit = scale[spec.relative_to] if spec.relative_to else jnp.asarray(1.0)
    if spec.family == "LogNormal":
        return dist.LogNormal(jnp.log(spec.center * unit), spec.spread)
    if spec.family == "Beta":
        return dist.Beta(spec.spread * spec.center, spec.spread * (1.0 - spec.center))
    return dist.Normal(spec.center * unit, spec.spread * unit)


def parse_prior(prior: dist.Distribution | str, name: str) -> dist.Distribution:
    """Read a prior given by the user.

    Parameters
    ----------
    prior
        A scalar NumPyro distribution, or a call of one with literal numbers as text.
    name
        Name of the parameter, for messages.

    Returns
    -------
    numpyro.distributions.Distribution
        The distribution.

    Raises
    ------
    ModelError
        If the text is no such call, or the distribution is not scalar or not continuous.
    """
    if isinstance(prior, str):
        prior = _parse(prior, name)
    if not isinstance(prior, dist.Distribution):
        raise ModelError(
            f"prior of {name}: found {prior!r}; allowed: a NumPyro distribution, or text like 'Normal(0, 1)'"
        )
    if prior.batch_shape + prior.event_shape != () or prior.is_discrete:
        raise ModelError(
            f"prior of {name}: found {type(prior).__name__}; allowed: a continuous distribution of one number"
        )
    return prior


def _parse(text: str, name: str) -> dist.Distribution:
    require_unforked()
    wrong = ModelError(
        f"prior of {name}: found {text!r}; allowed: a call with numbers of one of {', '.join(_FAMILIES)}"
    )
    if len(text) > _MAX_TEXT:
        raise wrong
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise wrong from None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _FAMILIES):
        raise wrong
    try:
        args = [float(ast.literal_eval(arg)) for arg in call.args]
        kwargs = {str(word.arg): float(ast.literal_eval(word.value)) for word in call.keywords}
        if not all(map(math.isfinite, (*args, *kwargs.values()))):
            raise ValueError("a number in it is not finite")
        _require_size(call.func.id, (*args, *kwargs.values()))
        prior = getattr(dist, call.func.id)(*args, validate_args=True, **kwargs)
        _require_density(prior)
    except (ArithmeticError, RecursionError, TypeError, ValueError) as problem:
        raise ModelError(f"prior of {name}: {text!r} is not a valid distribution: {problem}") from None
    return prior


def _require_size(family: str, numbers: Sequence[float]) -> None:
    """Refuse numbers with which the density overflows."""
    largest, smallest = (_LARGEST_LOG, 0.0) if family == "LogNormal" else (_LARGEST, 1.0 / _LARGEST)
    for number in numbers:
        if abs(number) > largest or 0.0 < abs(number) < smallest:
            least = f", and of at least {smallest:g} where not 0" if smallest else ""
            raise ValueError(f"found {number:g}; allowed: numbers of at most {largest:g} in size{least}")


def _require_density(prior: dist.Distribution) -> None:
    """Refuse a distribution without a density in the middle of its support, such as one whose ends are swapped."""
    low, high = (float(np.asarray(getattr(prior.support, f"{end}_bound", np.nan))) for end in ("lower", "upper"))
    if low >= high:
        raise ValueError(f"found a range from {low:g} to {high:g}; allowed: a lower end below the upper one")
    middle = 0.5 * (low + high) if math.isfinite(low + high) else np.nan_to_num(low + 1.0, nan=high - 1.0)
    if not math.isfinite(float(prior.log_prob(jnp.asarray(np.nan_to_num(middle))))):
        raise ValueError("it has no density; allowed: one that has most of its mass in its range")


def prior_text(prior: dist.Distribution, name: str) -> str:
    """Write a prior as text that :func:`parse_prior` reads back.

    Raises
    ------
    ModelError
        If the distribution is none of the families that can be kept in a file.
    """
    family = type(prior).__name__
    base = getattr(prior, "base_dist", None)
    if isinstance(base, dist.Normal) and "Truncated" in family:
        # NumPyro's TruncatedNormal is a function that returns one of three classes
        family = "TruncatedNormal"
        ends = {key: getattr(prior, key) for key in ("low", "high") if key in prior.arg_constraints}
        values = {"loc": base.loc, "scale": base.scale} | ends
    else:
        values = {key: getattr(prior, key) for key in prior.arg_constraints}
    if family not in _FAMILIES:
        raise ModelError(f"prior of {name}: {family} cannot be saved; allowed: {', '.join(_FAMILIES)}")
    return f"{family}({', '.join(f'{key}={float(np.asarray(value))!r}' for key, value in values.items())})"
