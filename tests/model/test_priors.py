"""Priors: texts, families, replacement one by one, and information on the paper's parameters."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.util import log_density
from scipy import stats

from bayeslr.curves import CurveSet
from bayeslr.errors import ModelError
from bayeslr.model import ScalingModel, model_from_settings, model_settings
from bayeslr.model.priors import parse_prior, prior_text

TEXTS = {
    "Beta(concentration1=2.0, concentration0=5.0)": stats.beta(2, 5),
    "Exponential(rate=3.0)": stats.expon(scale=1 / 3),
    "Gamma(concentration=2.0, rate=3.0)": stats.gamma(2, scale=1 / 3),
    "HalfCauchy(scale=0.3)": stats.halfcauchy(scale=0.3),
    "HalfNormal(scale=0.3)": stats.halfnorm(scale=0.3),
    "InverseGamma(concentration=3.0, rate=2.0)": stats.invgamma(3, scale=2),
    "LogNormal(loc=-0.7, scale=0.4)": stats.lognorm(0.4, scale=np.exp(-0.7)),
    "LogUniform(low=0.1, high=2.0)": stats.loguniform(0.1, 2.0),
    "Normal(loc=0.5, scale=0.2)": stats.norm(0.5, 0.2),
    "StudentT(df=4.0, loc=0.5, scale=0.2)": stats.t(4, 0.5, 0.2),
    "TruncatedNormal(loc=0.5, scale=0.2, low=0.1)": stats.truncnorm(-2, np.inf, 0.5, 0.2),
    "TruncatedNormal(loc=0.5, scale=0.2, high=0.9)": stats.truncnorm(-np.inf, 2, 0.5, 0.2),
    "TruncatedNormal(loc=0.5, scale=0.2, low=0.1, high=0.9)": stats.truncnorm(-2, 2, 0.5, 0.2),
    "Uniform(low=0.1, high=0.9)": stats.uniform(0.1, 0.8),
}


@pytest.mark.parametrize("text", TEXTS)
def test_texts_mean_what_scipy_says_and_come_back(text):
    prior = parse_prior(text, "alpha")
    for place in (0.15, 0.4, 0.7):
        assert float(prior.log_prob(place)) == pytest.approx(TEXTS[text].logpdf(place), abs=1e-6)
    again = parse_prior(prior_text(prior, "alpha"), "alpha")
    assert prior_text(again, "alpha") == prior_text(prior, "alpha")
    assert float(again.log_prob(0.4)) == pytest.approx(float(prior.log_prob(0.4)), abs=1e-12)


def test_positional_arguments_and_spaces():
    assert prior_text(parse_prior(" Normal( 0, 2 ) ", "level"), "level") == "Normal(loc=0.0, scale=2.0)"
    assert prior_text(parse_prior("Normal(-1e-3, 2)", "level"), "level") == "Normal(loc=-0.001, scale=2.0)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Normal",
        "Normal(0, 1",
        "Normal(0, 1) + 1",
        "Cauchy(0, 1)",
        "Normal(0, -1)",
        "Normal(0)(1)",
        "Normal(x, 1)",
        "Normal(0, 1, 2, 3, 4)",
        "Normal(mu=0, sigma=1)",
        "Normal('a', 1)",
        "Normal([0, 1], 1)",
        "Normal(**{'loc': 0})",
        "Normal(*[0, 1])",
        "__import__('os').system('true')",
        "dist.Normal(0, 1)",
        "Normal(0, 1)\nNormal(0, 1)",
        "Normal(0, 1" + " + 1" * 30_000 + ")",
        "Normal(0, 1" + "+1" * 400 + ")",
        "Normal(" + "-" * 900 + "1, 1)",
        "Normal(0, " + "9" * 800 + ")",
        "Normal(0, 1e999)",
        "Normal(0, 1\0)",
        "(" * 100_000,
    ],
)
def test_bad_texts_are_one_line(text):
    with pytest.raises(ModelError, match=r"^prior of alpha: [^\n]*$"):
        parse_prior(text, "alpha")


@pytest.mark.parametrize(
    "prior",
    [
        3.0,
        None,
        dist.Normal(jnp.zeros(2), 1.0),
        dist.Poisson(2.0),
        dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2)),
    ],
)
def test_what_is_no_distribution_of_one_number(prior):
    with pytest.raises(ModelError, match=r"^prior of alpha: [^\n]*$"):
        parse_prior(prior, "alpha")


@pytest.mark.parametrize(
    "prior",
    [
        dist.Gumbel(0.0, 1.0),
        dist.TruncatedCauchy(0.0, 1.0, low=0.1),
        dist.TransformedDistribution(dist.Normal(0.0, 1.0), dist.transforms.AffineTransform(1.0, 2.0)),
    ],
)
def test_what_cannot_be_kept_in_a_file_says_so(prior):
    """Silently saved as another family, a posterior would be reloaded with a prior it was not made with."""
    with pytest.raises(ModelError, match=r"^prior of level: .* cannot be saved; allowed: Beta, .*Uniform$"):
        prior_text(prior, "level")


def test_unknown_names_list_the_allowed():
    with pytest.raises(ModelError, match=r"found 'Alpha'; allowed: level, slope, alpha, drop, tau, .*L0, A, C, decay"):
        ScalingModel(priors={"Alpha": "Normal(0, 1)"})


@pytest.mark.parametrize(
    "text",
    [
        "Normal(0.5, 0.1)",
        "StudentT(4, 0.5, 0.1)",
        "Uniform(-0.1, 1)",
        "TruncatedNormal(0.5, 0.1, low=-1)",
        "TruncatedNormal(0.5, 0.1, high=1)",
    ],
)
def test_a_positive_parameter_needs_a_positive_prior(text):
    with pytest.raises(ModelError, match=r"^priors: alpha is positive, but [^\n]*$"):
        ScalingModel(priors={"alpha": text})


@pytest.mark.parametrize(
    "text", ["Beta(2, 2)", "Gamma(2, 3)", "Uniform(0.2, 0.9)", "LogUniform(0.2, 0.9)", "TruncatedNormal(0.5, 1, low=0)"]
)
def test_positive_priors_of_every_kind_are_taken(text):
    assert list(ScalingModel(priors={"alpha": text}).priors) == ["alpha"]


@pytest.mark.parametrize("text", ["LogNormal(-0.7, 0.4)", "Uniform(0, 1.5)", "TruncatedNormal(0.5, 0.1, low=0)"])
def test_a_share_needs_a_prior_below_one(text):
    with pytest.raises(ModelError, match=r"^priors: area_memory is a share, but \w+ goes above 1; allowed: [^\n]*$"):
        ScalingModel(priors={"area_memory": text})
    assert list(ScalingModel(priors={"area_memory": "Beta(2, 3)"}).priors) == ["area_memory"]


def density_of(model, observations, values):
    # NumPyro's Beta promotes ranks by itself
    with jax.numpy_rank_promotion("allow"):
        return float(log_density(model, (observations,), {}, values)[0])


@pytest.fixture(scope="module")
def at_truth(make_curves):
    """The default model, the arrays of three simulated runs, and values of every site near the truth."""
    curves = make_curves(noise=0.001)
    model = ScalingModel().resolved((1e7,))
    scale = model.scale(curves)
    observations, _ = model.observations(curves, scale)
    values = {
        "level": jnp.array([1.01 * scale.loss]),
        "slope": jnp.array([0.05 * scale.loss]),
        "alpha": jnp.array([0.5]),
        "drop": jnp.array([0.05 * scale.loss]),
        "tau": jnp.array([40.0]),
        "noise": jnp.array([0.001 * scale.loss]),
    }
    trace = numpyro.handlers.trace(numpyro.handlers.seed(model, jax.random.key(0))).get_trace(observations)
    sites = {name: site["fn"] for name, site in trace.items() if site["type"] == "sample" and not site["is_observed"]}
    assert values.keys() <= sites.keys()
    return model, observations, sites, {name: site.mean for name, site in sites.items()} | values


REPLACEMENTS = {
    "level": "Normal(2.5, 0.4)",
    "slope": "HalfNormal(0.3)",
    "alpha": "TruncatedNormal(0.5, 0.2, low=0)",
    "drop": "Gamma(2, 10)",
    "tau": "LogUniform(10, 1000)",
    "noise": "Exponential(300)",
    "discrepancy_memory": "HalfCauchy(0.1)",
    "discrepancy_bend": "Uniform(0, 1)",
}


@pytest.mark.parametrize("name", REPLACEMENTS)
def test_each_prior_is_replaced_alone(name, at_truth):
    """Replacing one prior changes the density by the difference of the two priors, and nothing else."""
    model, observations, sites, values = at_truth
    other = ScalingModel(pooling=model.pooling, priors={name: REPLACEMENTS[name]})
    change = density_of(other, observations, values) - density_of(model, observations, values)
    old = float(jnp.sum(sites[name].log_prob(values[name])))
    new = parse_prior(REPLACEMENTS[name], name)
    assert change == pytest.approx(float(jnp.sum(new.log_prob(values[name]))) - old, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "text"),
    [("L0", "Normal(2.0, 0.05)"), ("C", "LogNormal(0.5, 0.2)"), ("decay", "Beta(990, 10)"), ("A", "Normal(0.4, 0.1)")],
)
def test_information_on_the_papers_parameters_is_added(name, text, at_truth):
    model, observations, _, values = at_truth
    informed = ScalingModel(pooling=model.pooling, priors={name: text})
    prior = parse_prior(text, name)
    reported = float(model.law.reported(values, observations.scale)[name][0])
    change = density_of(informed, observations, values) - density_of(model, observations, values)
    assert change == pytest.approx(float(prior.log_prob(reported)), abs=1e-8)


def test_information_pulls_in_its_direction(at_truth):
    """At the same level and slope, a low L0 goes with a small alpha and a high one with a large alpha."""
    model, observations, _, values = at_truth
    smaller, larger = values | {"alpha": jnp.array([0.4])}, values | {"alpha": jnp.array([0.6])}
    low = float((values["level"] - values["drop"] - values["slope"] / 0.4)[0])
    high = float((values["level"] - values["drop"] - values["slope"] / 0.6)[0])

    def preference(priors):
        informed = ScalingModel(pooling=model.pooling, priors=priors)
        return density_of(informed, observations, smaller) - density_of(informed, observations, larger)

    neutral = preference({})
    assert preference({"L0": f"Normal({low}, 0.01)"}) > neutral > preference({"L0": f"Normal({high}, 0.01)"})


def test_settings_keep_priors_given_as_distributions():
    model = ScalingModel(priors={"alpha": dist.LogNormal(-0.7, 0.4), "L0": dist.Normal(2.0, 0.1)})
    again = model_from_settings(json.loads(json.dumps(model_settings(model))))
    assert model_settings(again) == model_settings(model)
    assert set(again.priors) == {"alpha", "L0"}


def test_weight_decay_can_have_a_prior_where_it_is_inferred(make_curves):
    curves = make_curves()
    model = ScalingModel(priors={"weight_decay": "LogNormal(-3.9, 0.3)"})
    assert "weight_decay" in model.for_curves(curves).sites
    assert model.for_curves(curves).replaced["weight_decay"].loc == pytest.approx(-3.9)
    said = CurveSet(curves=tuple(replace(curve, weight_decay=0.1) for curve in curves))
    with pytest.raises(ModelError, match=r"^priors: found 'weight_decay', which is no parameter of these runs"):
        model.for_curves(said)
