"""How the parameters of several model sizes are related, and what that says of a size that was never trained.

- ``"none"``: every size on its own.
- ``"complete"``: one set of parameters for all sizes.
- ``"partial"``: each size's parameters are drawn around a common mean, by a deviation that is inferred.
- ``"trend"``: the common mean moves with ``log N``: linearly for the logarithms of positive parameters, and for the
  level as ``level(N) = asymptote + gap * N^-beta``. Without deviations, and with slopes of zero for A and alpha, this
  is the paper's law extended to model size, ``L0 + A*S1^-alpha + B*N^-beta - C*S2*N^gamma``. Where sizes are trained
  for different areas, the prior expects the slope, ``alpha * A * S1^-alpha``, to follow these, and where they have
  different peak rates, the drop.
- ``"auto"`` (default): ``"none"`` for one size, else ``"trend"`` where all sizes' parameters are known, else
  ``"partial"``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bayeslr.errors import ModelError
from bayeslr.laws import Parameter
from bayeslr.model.priors import default_prior

__all__ = ["Pooling", "PoolingName", "resolve_pooling"]

type PoolingName = Literal["auto", "none", "complete", "partial", "trend"]

_NAMES = ("auto", "none", "complete", "partial", "trend")
# chosen by what families of sizes show, each on its own (`held_out.py --trends`): gaps of 0.25 to 0.6 of the loss and
# exponents of 0.2 to 0.42; published exponents of N range from 0.16 to 0.34
_GAP = (0.38, 0.4)
"""Prior of the gap of the level: median in units of the loss, log standard deviation."""
_BETA = (0.25, 0.3)
"""Prior of the exponent of N: median, log standard deviation."""
_DEVIATION_SPREAD = 0.5
_HARDLY_APART = 0.01
"""Sum of squares of log N, about its mean, below which sizes say little of what follows N: two sizes 15% apart."""


def resolve_pooling(name: PoolingName, params: tuple[float | None, ...]) -> "Pooling":
    """Choose the pooling for the sizes at hand.

    Parameters
    ----------
    name
        A name of the list above.
    params
        Parameters of each size, none where unknown.

    Returns
    -------
    Pooling
        The pooling.

    Raises
    ------
    ModelError
        If the name is unknown, or a trend is asked for and sizes lack parameters.
    """
    if name not in _NAMES:
        raise ModelError(f"pooling: found {name!r}; allowed: {', '.join(_NAMES)}")
    known = all(p is not None for p in params)
    if name == "auto":
        name = "none" if len(params) == 1 else ("trend" if known else "partial")
    if name == "trend" and not known:
        raise ModelError(
            "pooling: 'trend' needs the number of parameters of every size (column `params`); allowed: 'partial'"
        )
    return Pooling(name=name)


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """A resolved pooling: any name but ``"auto"``."""

    name: PoolingName

    def sample(
        self,
        parameter: Parameter,
        log_params: Array,
        scale: Mapping[str, Array],
        priors: Mapping[str, dist.Distribution],
    ) -> Array:
        """Sample one parameter of every size.

        Parameters
        ----------
        parameter
            Its declaration.
        log_params
            Logarithm of the sizes' parameters relative to their geometric mean, ``[S]``.
        scale
            The data's scale.
        priors
            Replacements of default priors, by name. A replacement applies to every size under ``"none"``, and to the
            common mean otherwise.

        Returns
        -------
        jax.Array
            Values, ``[S]``; the site has the parameter's name.
        """
        name, sizes = parameter.name, log_params.shape[0]
        prior = priors.get(name, default_prior(parameter.prior, scale))
        if self.name == "none":
            with numpyro.plate("size", sizes):
                return jnp.asarray(numpyro.sample(name, prior))
        if self.name == "complete":
            common = numpyro.sample(f"{name}_mean", prior)
            return jnp.asarray(numpyro.deterministic(name, jnp.broadcast_to(common, (sizes,))))
        sites = {"mean": jnp.asarray(numpyro.sample(f"{name}_mean", prior))}
        if self.name == "trend" and parameter.trend == "linear":
            center = (
                parameter.slope_mean
                + parameter.area_exponent * _exponent(log_params, scale["level_area"])
                + parameter.rate_exponent * _exponent(log_params, scale["level_rate"])
            )
            sites["slope"] = jnp.asarray(numpyro.sample(f"{name}_slope", dist.Normal(center, parameter.slope)))
        if self.name == "trend" and parameter.trend == "power":
            gap = priors.get(f"{name}_gap", dist.LogNormal(jnp.log(_GAP[0] * scale["loss"]), _GAP[1]))
            beta = priors.get(f"{name}_beta", dist.LogNormal(jnp.log(_BETA[0]), _BETA[1]))
            sites["gap"] = jnp.asarray(numpyro.sample(f"{name}_gap", gap))
            sites["beta"] = jnp.asarray(numpyro.sample(f"{name}_beta", beta))
        deviation = dist.LogNormal(jnp.log(_deviation(parameter, scale)), _DEVIATION_SPREAD)
        sd = jnp.asarray(numpyro.sample(f"{name}_sd", priors.get(f"{name}_sd", deviation)))
        mean = _mean(parameter, sites, log_params)
        # the sizes' own values are what the data pin down, so they are sampled as such (centred)
        around = dist.Normal(mean, sd) if parameter.support == "real" else dist.LogNormal(mean, sd)
        with numpyro.plate("size", sizes):
            return jnp.asarray(numpyro.sample(name, around))

    def unseen(
        self,
        parameter: Parameter,
        draws: Mapping[str, NDArray[np.float64]],
        log_params: ArrayLike,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Draw one parameter of a size that was not trained.

        Parameters
        ----------
        parameter
            Its declaration.
        draws
            Posterior draws by site, each ``[draws]`` (``[draws, S]`` for the sizes' own).
        log_params
            Logarithm of the size's parameters relative to the geometric mean of the fitted ones, a scalar or
            ``[draws]``.
        rng
            Source of the deviation from the trend.

        Returns
        -------
        numpy.ndarray
            Values, ``[draws]``.

        Raises
        ------
        ModelError
            If the pooling says nothing of other sizes.
        """
        name = parameter.name
        if self.name == "none":
            raise ModelError("this posterior has no relation between sizes (pooling 'none'); allowed: its own sizes")
        if self.name == "complete":
            return np.asarray(draws[f"{name}_mean"])
        sites = {kind: jnp.asarray(draws[f"{name}_{kind}"]) for kind in _sites(self.name, parameter)}
        mean = np.asarray(_mean(parameter, sites, jnp.asarray(log_params)))
        value = mean + draws[f"{name}_sd"] * rng.standard_normal(mean.shape)
        return value if parameter.support == "real" else np.exp(value)


def _sites(pooling: PoolingName, parameter: Parameter) -> tuple[str, ...]:
    if pooling != "trend" or parameter.trend == "none":
        return ("mean",)
    return ("mean", "slope") if parameter.trend == "linear" else ("mean", "gap", "beta")


def _deviation(parameter: Parameter, scale: Mapping[str, Array]) -> Array:
    """Return the prior median of the sizes' standard deviation around their mean."""
    if parameter.support != "real":
        return jnp.asarray(parameter.deviation)
    # how far a size lies off the trend is in part its seed, and seeds differ by about what losses jitter by
    least = parameter.deviation * scale["loss"]
    return jnp.clip(scale["jitter"], least, 2.0 * least)


def _exponent(log_params: Array, values: Array) -> Array:
    """Return the exponent of N in sizes' areas or rates, by least squares; near 0 where sizes are hardly apart."""
    return (log_params * jnp.log(values)).sum() / ((log_params**2).sum() + _HARDLY_APART)


def _mean(parameter: Parameter, sites: Mapping[str, Array], log_params: Array) -> Array:
    """Return the unconstrained mean at some sizes, from the sites of the common mean."""
    mean = sites["mean"] if parameter.support == "real" else jnp.log(sites["mean"])
    if "slope" in sites:
        mean = mean + sites["slope"] * log_params
    if "gap" in sites:
        mean = mean + sites["gap"] * jnp.expm1(-sites["beta"] * log_params)
    return mean
