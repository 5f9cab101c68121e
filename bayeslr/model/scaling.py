"""The model: a law, its priors, pooling over sizes, noise and discrepancy, composed."""

import json
from collections.abc import Mapping
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

from bayeslr.curves import CurveSet
from bayeslr.errors import ModelError
from bayeslr.laws import AnnealingLaw, Scale, Warmup
from bayeslr.model.design import Design, build_design, measure_scale, size_labels
from bayeslr.model.discrepancy import MIXED, PREFIX, SCALES, Discrepancy
from bayeslr.model.likelihood import Structure, log_density, simulate
from bayeslr.model.noise import Noise
from bayeslr.model.pooling import Pooling, PoolingName, resolve_pooling
from bayeslr.model.priors import parse_prior, prior_text

__all__ = ["ScalingModel"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScalingModel:
    """A probabilistic model of loss curves.

    Parameters
    ----------
    law
        The law of the mean.
    pooling
        How sizes are related, see :mod:`bayeslr.model.pooling`. Default ``"auto"``.
    noise
        White noise of the observed loss.
    discrepancy
        What the law leaves out. On by default: without it bands are far too narrow.
    priors
        Each a NumPyro distribution or text such as ``"LogNormal(-0.7, 0.4)"``. The name of a sampled parameter
        (``level``, ``slope``, ``alpha``, ``drop``, ``tau`` as the law declares them, ``noise``,
        ``noise_power`` where the noise has one, ``discrepancy_memory`` and its siblings) replaces its default; a name
        of the paper (``L0``, ``A``, ``C``, ``decay``) is information on top.

    Raises
    ------
    ModelError
        If a prior is not valid, or none of the model's parameters has its name.
    """

    law: AnnealingLaw = field(default_factory=AnnealingLaw)
    pooling: PoolingName = "auto"
    noise: Noise = field(default_factory=Noise)
    discrepancy: Discrepancy = field(default_factory=Discrepancy)
    priors: Mapping[str, dist.Distribution | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        law = [parameter.name for parameter in self.law.parameters]
        pooled = [f"{name}_sd" for name in law] + ["level_gap", "level_beta"]
        own = [*self.noise.names, *(f"{PREFIX}{name}" for name in SCALES)]
        allowed = [*law, *self.law.reported_names, *own, *pooled]
        for name in self.priors:
            if name not in allowed:
                raise ModelError(f"priors: found {name!r}; allowed: {', '.join(dict.fromkeys(allowed))}")
        parsed = {name: parse_prior(prior, name) for name, prior in self.priors.items()}
        positive = {name for name in allowed if name not in self.law.reported_names}
        positive |= {p.name for p in self.law.parameters}
        positive -= {p.name for p in self.law.parameters if p.support == "real"}
        for name, prior in parsed.items():
            if name in positive and not _is_positive(prior):
                raise ModelError(
                    f"priors: {name} is positive, but {type(prior).__name__} allows negative values; allowed: "
                    "a distribution of positive numbers, such as LogNormal(-0.7, 0.4) or TruncatedNormal(1, 1, low=0)"
                )
        share = parsed.get("discrepancy_area_memory")
        if share is not None and not float(np.asarray(getattr(share.support, "upper_bound", np.inf))) <= 1.0:
            raise ModelError(
                f"priors: discrepancy_area_memory is a share, but {type(share).__name__} goes above 1; allowed: a "
                "distribution between 0 and 1, such as Beta(2, 3)"
            )
        object.__setattr__(self, "priors", parsed)

    def scale(self, curves: CurveSet) -> Scale:
        """Measure the scale of curves, on which the default priors stand."""
        return measure_scale(curves, self.law)

    def design(self, curves: CurveSet, scale: Scale) -> tuple[Design, tuple[str, ...]]:
        """Turn curves into arrays; see :func:`bayeslr.model.design.build_design`."""
        return build_design(curves, self.law, scale)

    def resolved(self, params: tuple[float | None, ...]) -> "ScalingModel":
        """Return this model with the pooling chosen for some sizes, given their parameters (none where unknown)."""
        return replace(self, pooling=resolve_pooling(self.pooling, params).name)

    def __call__(self, design: Design) -> None:
        """Run as a NumPyro model: sample everything and observe the losses.

        Parameters
        ----------
        design
            The arrays of a fit.
        """
        numpyro.factor("loss", log_density(self._sample(design), design.loss))

    def _sample(self, design: Design) -> Structure:
        """Sample every parameter and return what they say of the losses."""
        pooling = Pooling(name=self.pooling)
        values = {
            parameter.name: pooling.sample(parameter, design.log_params, design.scale, self.replaced)
            for parameter in self.law.parameters
        }
        for name, value in self.law.reported(values, design.scale).items():
            if name in values:
                continue
            numpyro.deterministic(name, value)
            if name in self.replaced:
                numpyro.factor(f"{name}_prior", self.replaced[name].log_prob(value).sum())
        scales = self.discrepancy.sample_scales(self.replaced)
        values |= {f"{PREFIX}{name}": scale for name, scale in scales.items()}
        values |= self.noise.sample(design.scale, design.log_params.shape[0], design.valid, self.replaced)
        return self.structure(design, values)

    @property
    def replaced(self) -> dict[str, dist.Distribution]:
        """The priors that the user gave, parsed."""
        return {name: parse_prior(prior, name) for name, prior in self.priors.items()}

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sampled values that :meth:`structure` needs."""
        scales = [f"{PREFIX}{name}" for name in SCALES] if self.discrepancy.enabled else []
        precision = [] if self.noise.df is None else ["noise_precision"]
        return (*(parameter.name for parameter in self.law.parameters), *scales, *self.noise.names, *precision)

    def structure(self, design: Design, values: Mapping[str, Array]) -> Structure:
        """Return mean and covariance of the losses for given parameters.

        Parameters
        ----------
        design
            The arrays.
        values
            Values of :attr:`sites`: the law's parameters and the noise, each ``[S]``, the discrepancy's scales and the
            noise's power, scalars, and for a Student-t the precisions, ``[R, n]``.

        Returns
        -------
        Structure
            Low-rank mean and covariance.
        """
        names = [*(parameter.name for parameter in self.law.parameters), "noise"]
        # together, since each look-up would cost a pass of its own, and another in the gradient
        of_size = jnp.stack([values[name] for name in names], axis=-1)
        of_run = dict(zip(names, jnp.moveaxis(of_size[design.size_of_run], -1, 0), strict=True))
        sigma = of_run.pop("noise")
        scales = {name.removeprefix(PREFIX): value for name, value in values.items() if name.startswith(PREFIX)}
        mixed = {name: jnp.broadcast_to(scales[name], of_run["tau"].shape) for name in MIXED if name in scales}
        terms = jax.vmap(self.law.terms)(of_run, design.features, mixed)
        process = self.discrepancy.residual_sd(scales, of_run, design.log_area, design.removed)
        noise = self.noise.sd(sigma, values.get("noise_power"), design.rate)
        sd = jnp.sqrt(process**2 + noise**2 / values.get("noise_precision", jnp.ones(())))
        distance = jnp.abs(jnp.diff(design.log_area, axis=1))
        together = process[:, 1:] * process[:, :-1] / (sd[:, 1:] * sd[:, :-1])
        link = together * jnp.exp(-distance / self.discrepancy.residual_length)
        # padding repeats the last observation: its correlation of one would divide by zero
        link = jnp.where(design.valid[:, 1:], link, 0.0)
        return Structure(
            mean=terms.total,
            sd=sd,
            link=jnp.concatenate([jnp.zeros_like(link[:, :1]), link], axis=1),
            run_shapes=self.discrepancy.run_shapes(design.memory),
            run_scale=self.discrepancy.run_scale(scales, of_run),
            shared_shapes=self.discrepancy.shared_shapes(design.memory, design.log_area, design.knots),
            shared_scale=self.discrepancy.shared_scale(scales, of_run, design.knots),
            exchange=self.discrepancy.exchange(design.knots),
            response=terms.response,
            valid=design.valid,
            size_of_run=design.size_of_run,
            sizes=design.log_params,
            common=self.discrepancy.common if design.log_params.shape[0] > 1 else 0.0,
        )

    def prior_predictive(self, curves: CurveSet, *, num_samples: int = 500, seed: int) -> dict[str, Any]:
        """Draw parameters and whole curves from the prior.

        Parameters
        ----------
        curves
            Curves whose schedules, steps and scale are used; their losses only through the scale.
        num_samples
            Number of draws.
        seed
            Seed of the draws.

        Returns
        -------
        dict
            Draws by site, each ``[num_samples, ...]``, and ``"loss"``: ``[num_samples, R, n]`` with NaN where padded.

        Raises
        ------
        ModelError
            If a prior cannot be written as text.
        """
        curves = curves.after_warmup()
        model = self.resolved(size_labels(curves)[1])
        design, _ = self.design(curves, self.scale(curves))
        settings = json.dumps(model.settings(), sort_keys=True)
        draws = _draw_prior(jax.random.key(seed), design, settings=settings, num_samples=num_samples)
        longest = int(np.asarray(design.valid).sum(axis=1).max())
        values = {name: np.asarray(value) for name, value in draws.items()}
        return values | {"loss": values["loss"][..., :longest]}

    def settings(self) -> dict[str, Any]:
        """Return everything that defines the model as JSON-ready values; :meth:`from_settings` reads it back.

        Raises
        ------
        ModelError
            If a prior cannot be written as text.
        """
        return {
            "law": self.law.name,
            "warmup": self.law.warmup,
            "pooling": self.pooling,
            "noise": self.noise.settings(),
            "discrepancy": self.discrepancy.settings(),
            "priors": {name: prior_text(prior, name) for name, prior in self.replaced.items()},
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "ScalingModel":
        """Rebuild a model from :meth:`settings`.

        Raises
        ------
        ModelError
            If the settings name a law that this version does not have.
        """
        warmup: Warmup = settings["warmup"]
        law = AnnealingLaw(warmup=warmup)
        if settings["law"] != law.name:
            raise ModelError(f"law: found {settings['law']!r}; allowed: {law.name!r}")
        return cls(
            law=law,
            pooling=settings["pooling"],
            noise=Noise(**settings["noise"]),
            discrepancy=Discrepancy(**settings["discrepancy"]),
            priors=dict(settings["priors"]),
        )


def _is_positive(prior: dist.Distribution) -> bool:
    """Tell whether a distribution keeps to positive numbers, or is a Normal that does for all that matters."""
    if isinstance(prior, dist.Normal):
        return float(prior.cdf(jnp.asarray(0.0))) < 1e-9
    return float(np.asarray(getattr(prior.support, "lower_bound", -np.inf))) >= 0.0


@partial(jax.jit, static_argnames=("settings", "num_samples"))
def _draw_prior(key: Array, design: Design, *, settings: str, num_samples: int) -> dict[str, Array]:
    """Draw from the prior; settings are text, so that equal models on data of equal shapes share a compiled program."""
    model = ScalingModel.from_settings(json.loads(settings))

    def program(design: Design) -> None:
        loss = simulate(model._sample(design), numpyro.prng_key())
        numpyro.deterministic("loss", jnp.where(design.valid, loss, jnp.nan))

    draws: dict[str, Array] = Predictive(program, num_samples=num_samples)(key, design)
    return draws
