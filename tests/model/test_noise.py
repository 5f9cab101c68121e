"""White noise: how it follows the rate, a Student-t as a mixture of Gaussians, and its settings."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro.infer.util import potential_energy
from scipy import stats

from bayeslr.errors import ModelError
from bayeslr.model import Noise, ScalingModel

SCALE = {"loss": jnp.asarray(3.0)}


def sampled(noise, valid, priors=None):
    """A NumPyro program of the noise alone."""
    return lambda: noise.sample(SCALE, 2, jnp.asarray(valid), priors or {})


def weights(noise, valid, seed=0):
    """What multiplies the standard deviation at each observation."""
    sites = numpyro.handlers.seed(sampled(noise, valid), jax.random.key(seed))()
    return 1.0 / np.sqrt(np.broadcast_to(sites.get("noise_precision", 1.0), np.shape(valid)))


@pytest.mark.parametrize("df", [3.0, 4.0, 10.0])
def test_weights_marginalise_to_a_student_t(df):
    """Kolmogorov-Smirnov over 20000 draws: a false alarm has a chance of 1e-4, Gaussian noise (the control) none."""
    drawn = weights(Noise(df=df), np.ones((100, 200), dtype=bool)).ravel()
    normal = np.random.default_rng(1).standard_normal(drawn.size)
    assert stats.kstest(drawn * normal, stats.t(df).cdf).pvalue > 1e-4
    assert stats.kstest(normal, stats.t(df).cdf).pvalue < 1e-4


def test_gaussian_noise_has_no_weights_and_padding_none_either():
    valid = np.array([[True, True, False], [True, False, False]])
    np.testing.assert_array_equal(weights(Noise(), valid), 1.0)
    drawn = weights(Noise(df=4.0), valid)
    assert np.all(drawn[~valid] == 1.0)
    assert np.all(drawn[valid] != 1.0)


def test_every_weight_has_its_prior_padded_or_not():
    valid = jnp.array([[True, True, False]])
    precision = jnp.array([[0.7, 1.9, 1.0]])

    def density(values):
        program = numpyro.handlers.seed(sampled(Noise(df=4.0), valid), jax.random.key(0))
        program = numpyro.handlers.substitute(program, {"noise_precision": values})
        return float(numpyro.handlers.trace(program).get_trace()["noise_precision"]["fn"].log_prob(values))

    prior = stats.gamma(2.0, scale=0.5)
    assert density(precision) == pytest.approx(prior.logpdf([0.7, 1.9, 1.0]).sum(), abs=1e-9)
    assert density(precision.at[0, 2].set(5.0)) == pytest.approx(prior.logpdf([0.7, 1.9, 5.0]).sum(), abs=1e-9)


def test_the_prior_of_the_scale_follows_the_loss():
    for loss in (1.7, 9.0):
        program = numpyro.handlers.seed(Noise(center=0.002, spread=1.5).sample, jax.random.key(0))
        trace = numpyro.handlers.trace(program).get_trace({"loss": jnp.asarray(loss)}, 2, jnp.ones((1, 1), bool), {})
        site = trace["noise"]
        assert site["value"].shape == (2,)
        prior = stats.lognorm(1.5, scale=0.002 * loss)
        assert float(site["fn"].log_prob(jnp.full(2, 0.01))[0]) == pytest.approx(prior.logpdf(0.01), abs=1e-9)


def test_sizes_share_a_noise_where_no_run_has_more_than_one_observation():
    assert Noise().resolved(mostly_single_losses=True) == Noise(pooling="complete")
    assert Noise().resolved(mostly_single_losses=False) == Noise(pooling="none")
    # what was asked for stays
    assert Noise(pooling="none").resolved(mostly_single_losses=True) == Noise(pooling="none")
    program = numpyro.handlers.seed(Noise(pooling="complete").sample, jax.random.key(0))
    trace = numpyro.handlers.trace(program).get_trace({"loss": jnp.asarray(3.0)}, 2, jnp.ones((1, 1), bool), {})
    assert trace["noise"]["value"].shape == ()
    assert "noise" in ScalingModel().per_size
    assert "noise" not in ScalingModel(noise=Noise(pooling="complete")).per_size


def test_settings_come_back():
    for noise in (Noise(), Noise(df=4.0, center=0.01, spread=1.0), Noise(power=1.0, pooling="complete")):
        assert Noise(**noise.settings()) == noise


WRONG = [{"df": 2.0}, {"df": -1.0}, {"df": float("nan")}, {"center": 0.0}, {"spread": -1.0}, {"power": 0.0}]
WRONG += [{"power": -1.0}, {"power": float("nan")}, {"power_spread": 0.0}, {"pooling": "partial"}]


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_settings_are_one_line(wrong):
    with pytest.raises(ModelError, match=r"^noise: [^\n]*; allowed: [^\n]*$"):
        Noise(**wrong)


def test_padded_places_are_held_by_their_prior():
    """The density falls in every direction, padded or not; a mask would leave the Jacobian alone to grow for ever."""
    valid = jnp.array([[True, True], [True, False]])
    program = numpyro.handlers.seed(sampled(Noise(df=4.0), valid), jax.random.key(0))

    def energy(precision):
        return float(potential_energy(program, (), {}, {"noise": jnp.zeros(2), "noise_precision": precision}))

    def potential(place):
        return energy(jnp.zeros((2, 2)).at[place].set(9.0))

    at_zero = energy(jnp.zeros((2, 2)))
    assert min(potential(place) for place in np.ndindex(2, 2)) > at_zero + 100.0


def test_the_noise_follows_the_rate_by_a_power_and_not_below_a_twentieth_of_the_peak():
    noise = np.array([0.002, 0.004])
    rate = np.array([1.0, 0.25, 0.1, 0.05, 0.01, 0.0, 2.0])
    found = np.asarray(Noise(power=0.5).sd(noise, np.array([0.5, 1.0]), rate))
    for row, sd, power in zip(found, noise, (0.5, 1.0), strict=True):
        np.testing.assert_allclose(row, [sd * max(r, 0.05) ** power for r in rate], rtol=1e-12)
    np.testing.assert_allclose(np.asarray(Noise().sd(noise, None, rate)), np.tile(noise[:, None], 7))
    np.testing.assert_allclose(np.asarray(Noise(power=0.5).sd(noise, 0.0, rate)), np.tile(noise[:, None], 7))


def test_the_power_is_sampled_once_for_all_sizes_unless_it_is_switched_off():
    valid = np.ones((3, 4), dtype=bool)
    trace = numpyro.handlers.trace(
        numpyro.handlers.seed(sampled(Noise(power=0.8, power_spread=0.7), valid), 0)
    ).get_trace()
    assert trace["noise_power"]["value"].shape == ()
    prior = stats.lognorm(0.7, scale=0.8)
    assert float(trace["noise_power"]["fn"].log_prob(0.6)) == pytest.approx(prior.logpdf(0.6), abs=1e-9)
    off = numpyro.handlers.trace(numpyro.handlers.seed(sampled(Noise(power=None), valid), 0)).get_trace()
    assert list(off) == ["size", "noise"]
    replaced = {"noise_power": numpyro.distributions.HalfNormal(2.0)}
    trace = numpyro.handlers.trace(numpyro.handlers.seed(sampled(Noise(power=0.5), valid, replaced), 0)).get_trace()
    assert trace["noise_power"]["fn"] is replaced["noise_power"]


def test_a_prior_of_a_power_that_the_noise_does_not_have_is_refused():
    prior = {"noise_power": "LogNormal(-0.7, 0.3)"}
    assert list(ScalingModel(noise=Noise(power=0.5), priors=prior).replaced) == ["noise_power"]
    with pytest.raises(ModelError, match=r"^priors: found 'noise_power'; allowed: "):
        ScalingModel(noise=Noise(power=None), priors=prior)
