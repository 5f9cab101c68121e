"""White measurement noise of a loss: one scale a model size, or one of all, which may fall with the learning rate.

A loss that is measured while the rate is high jumps about, and one measured after annealing hardly does: on every
public set of curves the noise at a tenth of the peak rate is about a quarter of that at the peak. So the standard
deviation is ``noise * (rate / peak)^noise_power``, with an inferred power.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from bayeslr.errors import ModelError

__all__ = ["Noise", "NoisePooling"]

type NoisePooling = Literal["auto", "none", "complete"]

_POOLINGS = ("auto", "none", "complete")

_LOWEST_RATE = 0.05
"""Share of the peak below which the noise falls no further: at a rate of zero something is left to measure."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Noise that is independent between observations.

    Parameters
    ----------
    df
        Degrees of freedom of a Student-t; none (default): Gaussian. A Student-t with 4 forgives single spikes, at the
        cost of one sampled weight an observation.
    center
        Prior median of the standard deviation at the peak rate, as a share of the lowest loss. The default, 0.001, lies
        between validation losses (0.0003) and per-step training losses (0.01).
    spread
        Standard deviation of that prior in log units; the default spans both kinds of loss.
    power
        Prior median of the exponent with which the standard deviation follows the rate; none: the same at every rate.
    power_spread
        Standard deviation of that prior in log units; the default leaves 0.2 to 1.3 open.
    pooling
        ``"none"``: every size has a scale of its own. ``"complete"``: all have one. ``"auto"`` (default):
        ``"complete"`` where most runs have a single observation, since a handful of final losses a size cannot tell
        noise from the law; else ``"none"``.

    Raises
    ------
    ModelError
        If a setting is outside its range.
    """

    df: float | None = None
    center: float = 0.001
    spread: float = 2.0
    power: float | None = 0.5
    power_spread: float = 0.5
    pooling: NoisePooling = "auto"

    def __post_init__(self) -> None:
        if self.df is not None and not self.df > 2.0:
            raise ModelError(f"noise: df={self.df!r}; allowed: above 2 (finite variance), or None for Gaussian noise")
        if not (self.center > 0.0 and self.spread > 0.0):
            raise ModelError(f"noise: center={self.center!r}, spread={self.spread!r}; allowed: both above 0")
        if not (self.power is None or self.power > 0.0) or not self.power_spread > 0.0:
            raise ModelError(
                f"noise: power={self.power!r}, power_spread={self.power_spread!r}; allowed: both above 0 (or "
                "power=None for noise that does not depend on the rate)"
            )
        if self.pooling not in _POOLINGS:
            raise ModelError(f"noise: pooling={self.pooling!r}; allowed: {', '.join(map(repr, _POOLINGS))}")

    def resolved(self, *, mostly_single_losses: bool) -> "Noise":
        """Choose the pooling for runs most of which have a single observation, or not."""
        chosen: NoisePooling = "complete" if mostly_single_losses else "none"
        return replace(self, pooling=chosen) if self.pooling == "auto" else self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sampled parameters; the precisions of a Student-t belong to single observations and are none."""
        return ("noise",) if self.power is None else ("noise", "noise_power")

    def settings(self) -> dict[str, float | str | None]:
        """Return the settings as plain numbers."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def sample(
        self, scale: Mapping[str, Array], sizes: int, valid: Array, priors: Mapping[str, dist.Distribution]
    ) -> dict[str, Array]:
        """Sample everything about the noise.

        Parameters
        ----------
        scale
            The data's scale.
        sizes
            Number ``S`` of model sizes.
        valid
            Where there is an observation, ``[R, n]``.
        priors
            Replacements of default priors, by name.

        Returns
        -------
        dict
            By site: ``noise``, the standard deviation at the reference peak rate, ``[S]``, or a scalar where all sizes
            have one; ``noise_power``, a scalar, unless the noise is the same at every rate; ``noise_precision``,
            ``[R, n]``, for a Student-t, which is a Gaussian whose precision is Gamma(df/2, df/2) distributed, so that
            effects stay linear-Gaussian.
        """
        default = dist.LogNormal(jnp.log(self.center * scale["loss"]), self.spread)
        prior = priors.get("noise", default)
        if self.pooling == "complete":
            sites = {"noise": jnp.asarray(numpyro.sample("noise", prior))}
        else:
            with numpyro.plate("size", sizes):
                sites = {"noise": jnp.asarray(numpyro.sample("noise", prior))}
        if self.power is not None:
            power = priors.get("noise_power", dist.LogNormal(jnp.log(self.power), self.power_spread))
            sites["noise_power"] = jnp.asarray(numpyro.sample("noise_power", power))
        if self.df is not None:
            half = self.df / 2.0
            # padded places keep their prior: without one nothing would hold them, and the density would have no bound
            precision = numpyro.sample("noise_precision", dist.Gamma(half, half).expand(valid.shape).to_event(2))
            sites["noise_precision"] = jnp.where(valid, jnp.asarray(precision), 1.0)
        return sites

    def sd(self, noise: ArrayLike, power: ArrayLike | None, rate: ArrayLike) -> Array:
        """Return the standard deviation at some rates.

        Parameters
        ----------
        noise
            Standard deviation at the reference peak rate, ``[...]``.
        power
            The exponent, ``[...]`` or a scalar; none: the same at every rate.
        rate
            Rate of the last update before each observation over the reference peak rate, ``[..., n]`` or ``[n]``.

        Returns
        -------
        jax.Array
            ``[..., n]``.
        """
        peak = jnp.asarray(noise)[..., None]
        if power is None:
            return jnp.broadcast_to(peak, (*jnp.shape(noise), jnp.shape(rate)[-1]))
        exponent = jnp.broadcast_to(jnp.asarray(power), jnp.shape(noise))[..., None]
        lowered = jnp.log(jnp.maximum(jnp.asarray(rate), _LOWEST_RATE))
        lowered = lowered.reshape((1,) * (peak.ndim - lowered.ndim) + lowered.shape)
        return peak * jnp.exp(exponent * lowered)
