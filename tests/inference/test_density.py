"""The sampler's coordinates: they change how a posterior is walked, and nothing about what it says."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro.infer.util import log_density
from scipy import integrate, stats

from bayeslr.curves import CurveSet, Sizes
from bayeslr.inference.engine.density import build_density, starting_points
from bayeslr.laws import AnnealingLaw
from bayeslr.model import NoDiscrepancy, ScalingModel

OTHERS = {"alpha": "Gamma(5, 10)", "noise": "HalfNormal(0.01)", "level": "StudentT(4, 3, 1)"}
SCATTERS = {
    "alpha": "Gamma(5, 10)",
    "slope_sd": "HalfNormal(0.3)",
    "drop": "Normal(0.5, 0.05)",
    "tau_sd": "LogNormal(-1, 2)",
}


@pytest.fixture(
    scope="module",
    params=[
        "other priors",
        "trend",
        # each compiles a model of its own, which the suite's eight minutes have no room for
        pytest.param("none", marks=pytest.mark.slow),
        pytest.param("trend and other priors", marks=pytest.mark.slow),
    ],
)
def fitted(small_curves, request):
    curves = small_curves.after_warmup()
    if "trend" in request.param:
        larger = [replace(c, name=f"{c.name} larger", params=4e7, size="larger", loss=0.98 * c.loss) for c in curves]
        curves = CurveSet(curves=(*curves, *larger))
    priors = {"other priors": OTHERS, "trend and other priors": SCATTERS}.get(request.param, {})
    # without the discrepancy, whose coordinates are NumPyro's own, and the mixtures of the default law
    model = ScalingModel(law=AnnealingLaw(), discrepancy=NoDiscrepancy(), priors=priors).resolved(
        Sizes.of(curves).params
    )
    observations, _ = model.observations(curves, model.scale(curves))
    density = build_density(model, observations)
    return (
        model,
        observations,
        density,
        np.asarray(density.unconstrain(starting_points(model, observations)[1], observations)),
    )


@pytest.fixture(scope="module")
def by_change_of_variables(fitted):
    """The log density of the values of all sites, plus that of the determinant of how they follow the coordinates."""
    model, _, density, _ = fitted
    names = density.names

    @jax.jit
    def evaluate(z, observations):
        def values(z):
            return density.constrain(z, observations, jnp.zeros(density.drawn))

        def sampled(z):
            return jnp.concatenate([jnp.ravel(values(z)[name]) for name in names])

        return log_density(model, (observations,), {}, values(z))[0] + jnp.linalg.slogdet(jax.jacrev(sampled)(z))[1]

    return evaluate


@pytest.fixture(scope="module")
def integrated(fitted):
    """By how much the log density changes where means, slopes and scatters are integrated out.

    By SciPy: each parameter's values are Normal with a full covariance, given a scatter, over which is integrated.
    """
    model, observations, density, z = fitted
    values = density.constrain(z, observations, jnp.zeros(density.drawn))
    trace = numpyro.handlers.trace(numpyro.handlers.substitute(model, data=values)).get_trace(observations)
    x = np.asarray(observations.log_params)
    change = 0.0
    for parameter in model.law.parameters:
        name = parameter.name
        if f"{name}_sd" not in trace:
            continue
        sites = {kind: f"{name}_{kind}" for kind in ("mean", "slope", "sd")}
        gone = [kind for kind, site in sites.items() if site in trace and site not in density.names]
        positive = parameter.support != "real"
        own = np.log(values[name]) if positive else np.asarray(values[name])
        there = {kind: float(values[f"{name}_{kind}"]) for kind in gone}
        prior = {kind: trace[f"{name}_{kind}"]["fn"] for kind in gone}
        loc = np.broadcast_to(np.asarray(trace[name]["fn"].loc), own.shape)
        wide = np.zeros((len(x), len(x)))
        if "mean" in gone:
            known = np.log(there["mean"]) if positive else there["mean"]
            loc = loc - known + float(prior["mean"].loc)
            wide = wide + float(prior["mean"].scale) ** 2
        if "slope" in gone:
            loc = loc + (float(prior["slope"].loc) - there["slope"]) * x
            wide = wide + float(prior["slope"].scale) ** 2 * np.outer(x, x)

        def given(log_sd, own=own, loc=loc, wide=wide):
            return stats.multivariate_normal(loc, wide + np.exp(2.0 * log_sd) * np.eye(len(loc))).pdf(own)

        if "sd" in gone:
            around = stats.norm(float(prior["sd"].loc), float(prior["sd"].scale))
            ends = around.mean() - 8.0 * around.std(), around.mean() + 8.0 * around.std()
            joint = partial(lambda u, around, given: around.pdf(u) * given(u), around=around, given=given)
            marginal = integrate.quad(joint, *ends, epsabs=0.0, epsrel=1e-10, limit=400)[0]
        else:
            marginal = given(np.log(float(values[f"{name}_sd"])))
        change += np.log(marginal) - (own.sum() if positive else 0.0)
        for site in [name, *(f"{name}_{kind}" for kind in gone)]:
            change -= float(np.sum(trace[site]["fn"].log_prob(values[site])))
    return change


@pytest.mark.parametrize("unit", [1.0, 30.0, 0.03])
@pytest.mark.parametrize("noise", [-3.0, 0.5, 40.0])
def test_the_density_is_that_of_the_model_whatever_the_unit_of_the_noise(
    fitted, by_change_of_variables, integrated, unit, noise
):
    _, observations, density, z = fitted
    observations = replace(observations, scatter=unit * observations.scatter)
    values = jax.eval_shape(density.constrain, jnp.asarray(z), observations, jnp.zeros(density.drawn))
    sizes = [np.size(values[name]) for name in density.names]
    first = sum(sizes[: density.names.index("noise")])
    z = jnp.asarray(z).at[first : first + len(observations.log_params)].set(noise)
    expected = float(by_change_of_variables(z, observations)) + integrated
    assert -float(density.potential(z, observations)) == pytest.approx(expected, rel=1e-9)


def test_coordinates_and_values_go_back_and_forth(fitted):
    _, observations, density, z = fitted
    rng = np.random.default_rng(0)
    sizes = [np.size(density.constrain(z, observations, jnp.zeros(density.drawn))[name]) for name in density.names]
    # a mean with a Normal prior has no logarithm that would keep it above zero
    wide = np.repeat([0.02 if name == "drop_mean" else 0.5 for name in density.names], sizes)
    for _ in range(3):
        there = jnp.asarray(z + wide * rng.standard_normal(z.size))
        values = density.constrain(there, observations, jnp.asarray(rng.standard_normal(density.drawn)))
        np.testing.assert_allclose(density.unconstrain(values, observations), there, atol=1e-9)


@pytest.mark.parametrize("fitted", ["trend", "trend and other priors"], indirect=True)
def test_only_conjugate_sites_are_integrated_out(fitted):
    model, observations, density, z = fitted
    common = {name for name in density.names if name.endswith(("_mean", "_slope", "_sd"))}
    assert common == ({"alpha_mean", "slope_sd", "drop_mean", "tau_sd"} if model.priors else set())
    every = density.constrain(jnp.asarray(z), observations, jnp.zeros(density.drawn))
    assert {f"{p.name}_{kind}" for p in model.law.parameters if not p.shared for kind in ("mean", "sd")} < set(every)


@pytest.mark.parametrize(
    ("pooling", "others"), [("none", ("alpha", "slope", "drop", "tau", "level")), ("partial", ()), ("trend", ())]
)
@pytest.mark.parametrize("fitted", ["trend"], indirect=True)
def test_a_density_without_any_normal_prior(fitted, pooling, others):
    """But those of what is integrated out."""
    _, observations, _, _ = fitted
    names = ["noise", *others]
    names += ["level_gap", "level_beta"] if pooling == "trend" else []
    priors = dict.fromkeys(names, "Gamma(5, 10)")
    model = ScalingModel(law=AnnealingLaw(), pooling=pooling, discrepancy=NoDiscrepancy(), priors=priors)
    density = build_density(model, observations)
    value, _ = density.value_and_gradient(
        density.unconstrain(starting_points(model, observations)[1], observations), observations
    )
    assert np.isfinite(value)


@pytest.mark.parametrize("fitted", ["trend"], indirect=True)
def test_sizes_of_equal_parameters_have_a_density(fitted):
    """Two models of the same number of parameters: no line goes through them."""
    model, observations, density, _ = fitted
    observations = replace(observations, log_params=0.0 * observations.log_params)
    z = density.unconstrain(starting_points(model, observations)[1], observations)
    value, gradient = density.value_and_gradient(z, observations)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
