"""The model: a law, its priors, pooling over sizes, noise and discrepancy, composed."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import Array
from numpyro.infer import Predictive

from bayeslr.curves import CurveSet, Sizes
from bayeslr.errors import ModelError
from bayeslr.laws import EffectiveRateLaw, Law, Parameter, Scale
from bayeslr.model.curves import Composition, structure
from bayeslr.model.discrepancy import Discrepancy
from bayeslr.model.effects import PREFIX, ErrorModel
from bayeslr.model.likelihood import Structure, log_density, simulate
from bayeslr.model.noise import Noise
from bayeslr.model.observations import Observations, build_observations, measure_scale
from bayeslr.model.pooling import Pooling, PoolingName, resolve_pooling
from bayeslr.model.priors import default_prior, parse_prior, prior_text

__all__ = ["ScalingModel"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScalingModel:
    """A probabilistic model of loss curves. Equal models share their compiled programs.

    Parameters
    ----------
    law
        The law of the mean. Default: the law of the effective rate.
    pooling
        How sizes are related, see :mod:`bayeslr.model.pooling`. Default ``"auto"``.
    noise
        White noise of the observed loss.
    discrepancy
        What the law leaves out. On by default: without it (``NoDiscrepancy()``) bands are far too narrow.
    priors
        Each a NumPyro distribution or text such as ``"LogNormal(-0.7, 0.4)"``. The name of a sampled parameter
        (``level``, ``slope``, ``alpha``, ``drop``, ``tau`` and others as the law declares them, ``noise``,
        ``noise_power`` where the noise has one, ``discrepancy_memory`` and its siblings) replaces its default; a name
        that the law reports but does not sample (``L0``, ``A``, ``C``, ``decay``) is information on top.

    Raises
    ------
    ModelError
        If a prior is not valid, or none of the model's parameters has its name.
    """

    law: Law = field(default_factory=EffectiveRateLaw)
    pooling: PoolingName = "auto"
    noise: Noise = field(default_factory=Noise)
    discrepancy: ErrorModel = field(default_factory=Discrepancy)
    priors: Mapping[str, dist.Distribution | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, part, kind in (("law", self.law, Law), ("discrepancy", self.discrepancy, ErrorModel)):
            if not isinstance(part, kind):
                raise ModelError(f"{what}: found {part!r}; allowed: an object of a subclass of {kind.__name__}")
        parsed = {name: parse_prior(prior, name) for name, prior in self.priors.items()}
        allowed = self.prior_names
        for name, prior in parsed.items():
            if name not in allowed:
                raise ModelError(f"priors: found {name!r}; allowed: {', '.join(allowed)}")
            support = self._supports.get(name, "real")
            if support != "real" and not _is_positive(prior):
                raise ModelError(
                    f"priors: {name} is positive, but {type(prior).__name__} allows negative values; allowed: "
                    "a distribution of positive numbers, such as LogNormal(-0.7, 0.4) or TruncatedNormal(1, 1, low=0)"
                )
            if support == "share" and not float(np.asarray(getattr(prior.support, "upper_bound", np.inf))) <= 1.0:
                raise ModelError(
                    f"priors: {name} is a share, but {type(prior).__name__} goes above 1; allowed: a distribution "
                    "between 0 and 1, such as Beta(2, 3)"
                )
        object.__setattr__(self, "priors", parsed)

    @property
    def _key(self) -> Hashable:
        priors = tuple(sorted((name, _identity(prior)) for name, prior in self.replaced.items()))
        return self.law, self.pooling, self.noise, self.discrepancy, priors

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScalingModel) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> tuple[Callable[..., "ScalingModel"], tuple[Any, ...]]:
        # priors as text: JAX arrays inside of them would be read before another process has set JAX up
        priors = {name: _text_or_itself(prior) for name, prior in self.replaced.items()}
        return _rebuilt, (self.law, self.pooling, self.noise, self.discrepancy, priors)

    @property
    def _supports(self) -> dict[str, str]:
        """What values every sampled site may take."""
        found: dict[str, str] = {}
        # what the law may come to have for some runs can be given a prior before
        for parameter in (*self.law.parameters, *self._law_at_most.parameters):
            found[parameter.name] = parameter.support
        for parameter in self.law.parameters:
            if not parameter.shared:
                found[f"{parameter.name}_sd"] = "positive"
            if not parameter.shared and parameter.trend == "power":
                found |= {f"{parameter.name}_gap": "positive", f"{parameter.name}_beta": "positive"}
        found |= dict.fromkeys(self.noise.names, "positive")
        return found | {f"{PREFIX}{parameter.name}": parameter.support for parameter in self.discrepancy.parameters}

    @property
    def _law_at_most(self) -> Law:
        return self.law.resolved(batches_differ=True, decays_known=False)

    @property
    def prior_names(self) -> tuple[str, ...]:
        """Names that a prior can be given for: the sampled values, and what the law reports."""
        return tuple(dict.fromkeys([*self._supports, *self.law.reported_names]))

    @property
    def per_size(self) -> tuple[str, ...]:
        """Names of the sites that have a value a size."""
        law = [parameter.name for parameter in self.law.parameters if not parameter.shared]
        return (*law, *(["noise"] if self.noise.pooling != "complete" else []))

    @property
    def replaced(self) -> dict[str, dist.Distribution]:
        """The priors that the user gave, as distributions."""
        return {name: parse_prior(prior, name) for name, prior in self.priors.items()}

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sampled values that :meth:`structure` needs."""
        law = [parameter.name for parameter in self.law.parameters]
        precision = [] if self.noise.df is None else ["noise_precision"]
        return (*law, *self.scales, *self.noise.names, *precision)

    @property
    def scales(self) -> dict[str, Parameter]:
        """The error model's parameters by site."""
        return {f"{PREFIX}{parameter.name}": parameter for parameter in self.discrepancy.parameters}

    @property
    def composition(self) -> Composition:
        """What says how the losses of one run are made."""
        return Composition(law=self.law, discrepancy=self.discrepancy, noise=self.noise)

    def scale(self, curves: CurveSet) -> Scale:
        """Measure the scale of curves, on which the default priors stand."""
        return measure_scale(curves, self.law)

    def observations(self, curves: CurveSet, scale: Scale) -> tuple[Observations, tuple[str, ...]]:
        """Turn curves into arrays; see :func:`bayeslr.model.observations.build_observations`."""
        return build_observations(curves, self.law, self.discrepancy, scale)

    def resolved(
        self,
        params: tuple[float | None, ...],
        *,
        batches_differ: bool = False,
        decays_known: bool = True,
        single_losses: bool = False,
        mostly_single_losses: bool = False,
    ) -> "ScalingModel":
        """Return this model as it is to be for some runs.

        Parameters
        ----------
        params
            Parameters of the sizes, none where unknown: they choose the pooling.
        batches_differ
            Whether runs of one size have different batch sizes, see :meth:`Law.resolved`.
        decays_known
            Whether some run says its weight decay, see :meth:`Law.resolved`.
        single_losses
            Whether no run has more than one observation, see :meth:`ErrorModel.resolved`.
        mostly_single_losses
            Whether most runs have one, see :class:`Noise`.

        Returns
        -------
        ScalingModel
            The model.
        """
        law = self.law.resolved(batches_differ=batches_differ, decays_known=decays_known)
        noise = self.noise.resolved(mostly_single_losses=mostly_single_losses or single_losses)
        discrepancy = self.discrepancy.resolved(single_losses=single_losses)
        # a scale that the user gave a prior for is inferred
        kept = {f"{PREFIX}{parameter.name}" for parameter in discrepancy.parameters}
        if any(name in self.scales and name not in kept for name in self.priors):
            discrepancy = self.discrepancy
        pooling = resolve_pooling(self.pooling, params).name
        return replace(self, pooling=pooling, law=law, noise=noise, discrepancy=discrepancy)

    def for_curves(self, curves: CurveSet) -> "ScalingModel":
        """Return this model as it is to be for some curves after warm-up; see :meth:`resolved`.

        Raises
        ------
        ModelError
            If a prior is for a parameter that the law has not for these curves.
        """
        differ, known = curves.batches_differ, curves.decays_known
        law = self.law.resolved(batches_differ=differ, decays_known=known)
        absent = {one.name for one in self._law_at_most.parameters} - {one.name for one in law.parameters}
        for name in self.priors:
            if name in absent:
                raise ModelError(
                    f"priors: found {name!r}, which is no parameter of these runs (batch sizes count where they differ "
                    "within a size, and weight decay is inferred where no run says it); allowed: leave it out"
                )
        return self.resolved(
            Sizes.of(curves).params,
            batches_differ=differ,
            decays_known=known,
            single_losses=curves.single_losses,
            mostly_single_losses=curves.mostly_single_losses,
        )

    def __call__(self, observations: Observations) -> None:
        """Run as a NumPyro model: sample everything and observe the losses.

        Parameters
        ----------
        observations
            The arrays of a fit.
        """
        numpyro.factor("loss", log_density(self._sample(observations), observations.loss))

    def _sample(self, observations: Observations) -> Structure:
        """Sample every parameter and return what they say of the losses."""
        pooling, scale, replaced = Pooling(name=self.pooling), observations.scale, self.replaced
        values: dict[str, Array] = {}
        for parameter in self.law.parameters:
            if parameter.shared:
                values[parameter.name] = _shared(parameter, parameter.name, scale, replaced)
            else:
                values[parameter.name] = pooling.sample(parameter, observations.log_params, scale, replaced)
        for name, value in self.law.reported(values, scale).items():
            if name in values:
                continue
            numpyro.deterministic(name, value)
            if name in replaced:
                numpyro.factor(f"{name}_prior", replaced[name].log_prob(value).sum())
        for site, parameter in self.scales.items():
            values[site] = _shared(parameter, site, scale, replaced)
        values |= self.noise.sample(scale, observations.log_params.shape[0], observations.valid, replaced)
        return self.structure(observations, values)

    def structure(self, observations: Observations, values: Mapping[str, Array]) -> Structure:
        """Return mean and covariance of the losses for given parameters.

        Parameters
        ----------
        observations
            The arrays.
        values
            Values of :attr:`sites`: those of :attr:`per_size` ``[S]``, for a Student-t the precisions, ``[R, n]``, all
            others scalars.

        Returns
        -------
        Structure
            Low-rank mean and covariance.
        """
        known = {name: values[name] for name in self.sites if name in values}
        return structure(self.composition, observations, known, self.per_size)

    def prior_predictive(
        self, curves: CurveSet, *, num_samples: int = 500, seed: int, scale: Scale | None = None
    ) -> dict[str, Any]:
        """Draw parameters and whole curves from the prior.

        Parameters
        ----------
        curves
            Curves whose schedules, steps and scale are used; their losses only through the scale.
        num_samples
            Number of draws.
        seed
            Seed of the draws.
        scale
            The data's scale. Default: that of `curves`.

        Returns
        -------
        dict
            Draws by site, each ``[num_samples, ...]``, and ``"loss"``: ``[num_samples, R, n]`` with NaN where padded.
        """
        curves = curves.after_warmup()
        model = self.for_curves(curves)
        observations, _ = model.observations(curves, scale or model.scale(curves))
        draws = _draw_prior(jax.random.key(seed), observations, model=model, num_samples=num_samples)
        longest = int(np.asarray(observations.valid).sum(axis=1).max())
        values = {name: np.asarray(value) for name, value in draws.items()}
        return values | {"loss": values["loss"][..., :longest]}


def _rebuilt(
    law: Law,
    pooling: PoolingName,
    noise: Noise,
    discrepancy: ErrorModel,
    priors: Mapping[str, dist.Distribution | str],
) -> ScalingModel:
    return ScalingModel(law=law, pooling=pooling, noise=noise, discrepancy=discrepancy, priors=priors)


def _text_or_itself(prior: dist.Distribution) -> dist.Distribution | str:
    try:
        return prior_text(prior, "prior")
    except ModelError:
        return prior


def _identity(prior: dist.Distribution) -> str:
    """Return what tells priors apart: their text, or the object itself where it has none."""
    text = _text_or_itself(prior)
    return text if isinstance(text, str) else f"{type(prior).__name__} at {id(prior)}"


def _shared(
    parameter: Parameter, site: str, scale: Mapping[str, Array], replaced: Mapping[str, dist.Distribution]
) -> Array:
    return jnp.asarray(numpyro.sample(site, replaced.get(site, default_prior(parameter.prior, scale))))


def _is_positive(prior: dist.Distribution) -> bool:
    """Tell whether a distribution keeps to positive numbers, or is a Normal that does for all that matters."""
    if isinstance(prior, dist.Normal):
        return float(prior.cdf(jnp.asarray(0.0))) < 1e-9
    return float(np.asarray(getattr(prior.support, "lower_bound", -np.inf))) >= 0.0


@partial(jax.jit, static_argnames=("model", "num_samples"))
def _draw_prior(key: Array, observations: Observations, *, model: ScalingModel, num_samples: int) -> dict[str, Array]:
    def program(observations: Observations) -> None:
        loss = simulate(model._sample(observations), numpyro.prng_key())
        numpyro.deterministic("loss", jnp.where(observations.valid, loss, jnp.nan))

    draws: dict[str, Array] = Predictive(program, num_samples=num_samples)(key, observations)
    return draws
