"""Pooling over sizes: the sites of each kind, the trend, and sizes that were never trained."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeslr.curves import Setup
from bayeslr.errors import ModelError
from bayeslr.laws import AnnealingLaw, Scale, annealing_area, forward_area
from bayeslr.model import Pooling, resolve_pooling
from bayeslr.schedules import wsd

LAW = AnnealingLaw()
PARAMETERS = {parameter.name: parameter for parameter in LAW.parameters}
SCALE = {
    name: jnp.asarray(value)
    for name, value in {"level_area": 2.0, "level_rate": 1e-3, "loss": 2.6, "memory": 45.0, "jitter": 0.0}.items()
}
SIZES = jnp.array([-1.2, 0.2, 1.0])


def trace_of(pooling, name, sizes=SIZES, substitutes=None, seed=0, scale=SCALE):
    def model():
        return Pooling(name=pooling).sample(PARAMETERS[name], sizes, scale, {})

    program = numpyro.handlers.seed(model, jax.random.key(seed))
    if substitutes:
        program = numpyro.handlers.substitute(program, substitutes)
    return numpyro.handlers.trace(program).get_trace()


@pytest.mark.parametrize(
    ("pooling", "name", "sites"),
    [
        ("none", "alpha", set()),
        ("complete", "alpha", {"alpha_mean"}),
        ("partial", "alpha", {"alpha_mean", "alpha_sd"}),
        ("trend", "alpha", {"alpha_mean", "alpha_slope", "alpha_sd"}),
        ("partial", "level", {"level_mean", "level_sd"}),
        ("trend", "level", {"level_mean", "level_gap", "level_beta", "level_sd"}),
    ],
)
@pytest.mark.parametrize("count", [2, 3])
def test_sites_of_each_kind(pooling, name, sites, count):
    trace = trace_of(pooling, name, SIZES[:count])
    assert {key for key, site in trace.items() if site["type"] != "plate"} == sites | {name}
    assert trace[name]["value"].shape == (count,)
    assert trace[name]["type"] == ("deterministic" if pooling == "complete" else "sample")
    if pooling == "complete":
        assert np.all(np.asarray(trace[name]["value"]) == np.asarray(trace["alpha_mean"]["value"]))


def trend(name, sites, log_params):
    """The documented formulas, in the parameter's own units."""
    if name == "level":
        return sites["level_mean"] - sites["level_gap"] + sites["level_gap"] * np.exp(-sites["level_beta"] * log_params)
    return sites[f"{name}_mean"] * np.exp(sites[f"{name}_slope"] * log_params)


SITES = {
    "level": {"level_mean": 3.0, "level_gap": 0.7, "level_beta": 0.3, "level_sd": 1e-12},
    "alpha": {"alpha_mean": 0.5, "alpha_slope": -0.05, "alpha_sd": 1e-12},
    "drop": {"drop_mean": 0.2, "drop_slope": 0.08, "drop_sd": 1e-12},
}


@pytest.mark.parametrize("name", SITES)
def test_sizes_without_deviation_lie_on_the_trend(name):
    trace = trace_of("trend", name, substitutes={key: jnp.asarray(value) for key, value in SITES[name].items()})
    expected = [trend(name, SITES[name], float(x)) for x in SIZES]
    np.testing.assert_allclose(trace[name]["value"], expected, rtol=1e-9)


@pytest.mark.parametrize("name", SITES)
@settings(deadline=None)
@given(log_params=st.floats(-5.0, 5.0))
def test_an_unseen_size_lies_on_the_trend(name, log_params):
    draws = {key: np.full(4, value) for key, value in SITES[name].items()}
    value = Pooling(name="trend").unseen(PARAMETERS[name], draws, log_params, np.random.default_rng(0))
    np.testing.assert_allclose(value, trend(name, SITES[name], log_params), rtol=1e-9)


@pytest.mark.parametrize("exponent", [-0.6, 0.0, 0.9])
def test_the_prior_of_a_trend_follows_the_areas_that_sizes_were_trained_for(exponent):
    """Of a slope alpha * A * S1^-alpha, with alpha of a half and one A; alpha itself follows N alone."""
    scale = SCALE | {"level_area": 3.0 * jnp.exp(exponent * SIZES)}
    slope, alpha = (trace_of("trend", name, scale=scale)[f"{name}_slope"]["fn"] for name in ("slope", "alpha"))
    assert float(slope.loc) == pytest.approx(-0.5 * exponent, abs=0.01)
    assert float(alpha.loc) == float(trace_of("trend", "alpha")["alpha_slope"]["fn"].loc) < 0.0


@pytest.mark.parametrize("apart", [0.0, 1e-9, 0.01])
def test_sizes_that_are_hardly_apart_say_nothing_of_a_trend(apart):
    scale, sizes = SCALE | {"level_area": jnp.array([1.0, 4.0])}, jnp.array([-apart, apart]) / 2.0
    assert abs(float(trace_of("trend", "slope", sizes=sizes, scale=scale)["slope_slope"]["fn"].loc)) < 0.5


@pytest.mark.parametrize("exponent", [0.0, -0.4])
def test_the_prior_of_a_trend_follows_the_rates_of_the_sizes(exponent):
    """The root of the rate, beside the little by which the drop grows with sizes at one rate."""
    scale = SCALE | {"level_rate": 1e-3 * jnp.exp(exponent * SIZES)}
    prior = trace_of("trend", "drop", scale=scale)["drop_slope"]["fn"]
    assert float(prior.loc) == pytest.approx(0.05 + 0.5 * exponent, abs=0.01)
    assert float(prior.scale) == 0.09


@pytest.mark.parametrize("jitter", [0.0, 0.003, 0.0071, 0.05])
def test_sizes_scatter_by_what_losses_jitter_by_within_limits(jitter):
    """From .002 of the loss, of losses that hardly jitter, up to .004 of it."""
    prior = trace_of("trend", "level", scale=SCALE | {"jitter": jnp.asarray(jitter)})["level_sd"]["fn"]
    assert float(jnp.exp(prior.loc)) == pytest.approx(min(max(jitter, 0.002 * 2.6), 0.004 * 2.6))
    assert float(jnp.exp(trace_of("trend", "slope")["slope_sd"]["fn"].loc)) == pytest.approx(0.05)


@pytest.mark.parametrize("pooling", ["partial", "trend"])
@pytest.mark.parametrize("name", SITES)
def test_an_unseen_size_deviates_as_the_trained_ones_do(pooling, name):
    """Mean and standard deviation over 40000 draws, each within six standard errors."""
    count, sd = 40_000, 0.1
    draws = {key: np.full(count, value) for key, value in (SITES[name] | {f"{name}_sd": sd}).items()}
    value = Pooling(name=pooling).unseen(PARAMETERS[name], draws, 1.5, np.random.default_rng(1))
    center = trend(name, SITES[name], 1.5 if pooling == "trend" else 0.0)
    if name != "level":
        value, center = np.log(value), np.log(center)
    assert abs(value.mean() - center) < 6.0 * sd / np.sqrt(count)
    assert abs(value.std() / sd - 1.0) < 6.0 / np.sqrt(2 * count)


def test_unseen_sizes_under_complete_and_no_pooling():
    draws = {"alpha_mean": np.linspace(0.4, 0.6, 5)}
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(
        Pooling(name="complete").unseen(PARAMETERS["alpha"], draws, 3.0, rng), draws["alpha_mean"]
    )
    with pytest.raises(ModelError, match=r"^this posterior has no relation between sizes[^\n]*$"):
        Pooling(name="none").unseen(PARAMETERS["alpha"], {}, 3.0, rng)


def test_the_papers_extension_to_size_is_the_limit_without_deviations():
    """``L0 + A*S1^-alpha + B*N^-beta - C*S2*N^gamma`` with the paper's printed coefficients, N in millions."""
    L0, A, alpha, B, beta, C, gamma, decay = 1.504, 0.440, 0.546, 3.067, 0.158, 0.273, 0.052, 0.999
    plan = wsd(peak_lr=2e-4, final_lr=2e-5, warmup_steps=500, decay_steps=4000, total_steps=20_000)
    steps, reference = np.array([1000, 10_000, 17_000, 20_000]), 100.0
    scale = Scale(area=float(forward_area(plan, steps)[-1]), rate=2e-4, loss=2.5, memory=20_000.0**0.5)
    forward = A * scale.area**-alpha
    tau, gap = 1.0 / (1.0 - decay), B * reference**-beta
    sites = {
        "level": {"mean": L0 + forward + gap, "gap": gap, "beta": beta},
        "slope": {"mean": alpha * forward, "slope": 0.0},
        "alpha": {"mean": alpha, "slope": 0.0},
        "drop": {"mean": C * tau * scale.rate * reference**gamma, "slope": gamma},
        "tau": {"mean": tau, "slope": 0.0},
    }
    features = LAW.features(plan, steps, scale, Setup())
    for size in (25.0, 100.0, 1700.0):
        values = {}
        for name, own in sites.items():
            draws = {f"{name}_{kind}": np.array([value]) for kind, value in (own | {"sd": 0.0}).items()}
            unseen = Pooling(name="trend").unseen(
                PARAMETERS[name], draws, np.log(size / reference), np.random.default_rng(0)
            )
            values[name] = jnp.asarray(unseen[0])
        got = np.asarray(LAW.terms(values, features).total)
        s1, s2 = forward_area(plan, steps), annealing_area(plan, steps, decay)
        expected = L0 + A * s1**-alpha + B * size**-beta - C * s2 * size**gamma
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_auto_chooses_by_what_is_known():
    assert resolve_pooling("auto", (1e7,)).name == "none"
    assert resolve_pooling("auto", (None,)).name == "none"
    assert resolve_pooling("auto", (1e7, 1e8)).name == "trend"
    assert resolve_pooling("auto", (1e7, None)).name == "partial"
    assert resolve_pooling("complete", (1e7, None)).name == "complete"


def test_wrong_poolings_are_one_line():
    with pytest.raises(ModelError, match=r"^pooling: found 'full'; allowed: auto, none, complete, partial, trend$"):
        resolve_pooling("full", (1e7,))
    with pytest.raises(ModelError, match=r"^pooling: 'trend' needs [^\n]*params[^\n]*$"):
        resolve_pooling("trend", (1e7, None))
