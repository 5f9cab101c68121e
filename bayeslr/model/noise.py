"""White measurement noise of a loss, one scale a model size."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax import Array

from bayeslr.errors import ModelError

__all__ = ["Noise"]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Noise that is independent between observations.

    Parameters
    ----------
    df
        Degrees of freedom of a Student-t; none (default): Gaussian. A Student-t with 4 forgives single spikes, at the
        cost of one sampled weight an observation.
    center
        Prior median of the standard deviation, as a share of the lowest loss. The default, 0.001, lies between
        validation losses (0.0003) and per-step training losses (0.01).
    spread
        Standard deviation of that prior in log units; the default spans both kinds of loss.
    """

    df: float | None = None
    center: float = 0.001
    spread: float = 2.0

    def __post_init__(self) -> None:
        if self.df is not None and not self.df > 2.0:
            raise ModelError(f"noise: df={self.df!r}; allowed: above 2 (finite variance), or None for Gaussian noise")
        if not (self.center > 0.0 and self.spread > 0.0):
            raise ModelError(f"noise: center={self.center!r}, spread={self.spread!r}; allowed: both above 0")

    def settings(self) -> dict[str, float | None]:
        """Return the settings as plain numbers."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def sample(self, scale: Mapping[str, Array], sizes: int, priors: Mapping[str, dist.Distribution]) -> Array:
        """Sample the standard deviation of each size, site ``noise``, shape ``[S]``."""
        default = dist.LogNormal(jnp.log(self.center * scale["loss"]), self.spread)
        with numpyro.plate("size", sizes):
            return jnp.asarray(numpyro.sample("noise", priors.get("noise", default)))

    def sample_weights(self, valid: Array) -> Array:
        """Sample what multiplies the noise of each observation, ``[R, n]``: ones, or the mixing weights of a Student-t.

        A Student-t is a Gaussian whose precision is Gamma(df/2, df/2) distributed, so that effects stay
        linear-Gaussian.
        """
        if self.df is None:
            return jnp.ones(valid.shape)
        half = self.df / 2.0
        # padded places keep their prior: without one nothing would hold them, and the density would have no bound
        precision = numpyro.sample("noise_precision", dist.Gamma(half, half).expand(valid.shape).to_event(2))
        return jnp.where(valid, 1.0 / jnp.sqrt(precision), 1.0)
