"""What ArviZ asks for beyond draws and data: the prior, predictions, and log densities of single observations."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import Array
from jax.scipy.stats import norm

from bayeslr.curves import CurveSet
from bayeslr.errors import PosteriorError
from bayeslr.inference.engine.devices import SELDOM, compiler_options, prepare_devices, unshared_solves
from bayeslr.laws import Scale
from bayeslr.model import Observations, ScalingModel
from bayeslr.model.left_out import predict_left_out

__all__ = ["PREDICTIVE", "predictive_groups"]

PREDICTIVE: Final = ("prior", "prior_predictive", "posterior_predictive", "log_likelihood")
"""The groups that are made on demand, and not kept in files."""

_PRIOR_DRAWS = 1000
_AT_ONCE = 50


def predictive_groups(
    model: ScalingModel,
    observed: CurveSet,
    scale: Scale,
    draws: xr.Dataset,
    *,
    names: list[str],
    labels: xr.Dataset,
    seed: int,
) -> dict[str, xr.Dataset]:
    """Draw from the prior, and predict each observation from all others.

    Parameters
    ----------
    model
        The model, its pooling resolved.
    observed
        The curves that were fitted, after warm-up and thinned.
    scale
        The data's scale, as at the fit.
    draws
        The draws of the posterior.
    names
        Variables of the prior to keep.
    labels
        The observations with their coordinates, in the order of the fit.
    seed
        Seed of all that is drawn.

    Returns
    -------
    dict
        Datasets by the names of :data:`PREDICTIVE`.

    Raises
    ------
    PosteriorError
        If the noise is Student-t.
    """
    if model.noise.df is not None:
        raise PosteriorError(
            f"with_predictive: the noise is Student-t (df={model.noise.df:g}), and the density of an observation "
            "without its sampled precision has no closed form; allowed: Gaussian noise"
        )
    prepare_devices()
    observations, _ = model.observations(observed, scale)
    valid = np.asarray(observations.valid)
    from_prior = model.prior_predictive(observed, num_samples=_PRIOR_DRAWS, seed=seed, scale=scale)
    losses = from_prior["loss"][:, valid[:, : from_prior["loss"].shape[2]]]
    shape = (draws.sizes["chain"], draws.sizes["draw"])
    sites = {
        name: jnp.asarray(draws[name].to_numpy().reshape((-1, *draws[name].shape[2:])))
        for name in model.sites
        if name in draws
    }
    with unshared_solves():
        mean, sd, density = (np.asarray(part)[:, valid] for part in _compiled(model)(sites, observations))
    predicted = mean + sd * np.random.default_rng([seed, 2]).standard_normal(mean.shape)

    def over_observations(values: np.ndarray, sample: tuple[int, int]) -> xr.Dataset:
        data = xr.Dataset({"loss": (("chain", "draw", "obs"), values.reshape((*sample, -1)))})
        return data.assign_coords({name: array for name, array in labels.coords.items() if array.dims == ("obs",)})

    prior = {name: (draws[name].dims, from_prior[name][None]) for name in names if name in from_prior}
    return {
        "prior": xr.Dataset(prior, coords={"size": draws["size"]} if "size" in draws.coords else {}),
        "prior_predictive": over_observations(losses, (1, _PRIOR_DRAWS)),
        "posterior_predictive": over_observations(predicted, shape).assign_coords(
            chain=draws["chain"], draw=draws["draw"]
        ),
        "log_likelihood": over_observations(density, shape).assign_coords(chain=draws["chain"], draw=draws["draw"]),
    }


@lru_cache(maxsize=8)
def _compiled(model: ScalingModel) -> Callable[[dict[str, Array], Observations], tuple[Array, Array, Array]]:
    return jax.jit(partial(_left_out, model), compiler_options=compiler_options(SELDOM))


def _left_out(model: ScalingModel, draws: dict[str, Array], observations: Observations) -> tuple[Array, Array, Array]:
    """Return mean, sd and log density of each observation given all others, each ``[draws, R, n]``."""

    def of_draw(draw: dict[str, Array]) -> tuple[Array, Array, Array]:
        mean, sd = predict_left_out(model.structure(observations, draw), observations.loss)
        return mean, sd, norm.logpdf(observations.loss, mean, sd)

    found: tuple[Array, Array, Array] = jax.lax.map(of_draw, draws, batch_size=_AT_ONCE)
    return found
