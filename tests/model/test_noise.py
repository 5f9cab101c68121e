"""White noise: a Student-t as a mixture of Gaussians, and its settings."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro.infer.util import potential_energy
from scipy import stats

from bayeslr.errors import ModelError
from bayeslr.model import Noise


def weights(noise, valid, seed=0):
    program = numpyro.handlers.seed(noise.sample_weights, jax.random.key(seed))
    return np.asarray(program(jnp.asarray(valid)))


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
        program = numpyro.handlers.substitute(Noise(df=4.0).sample_weights, {"noise_precision": values})
        return float(numpyro.handlers.trace(program).get_trace(valid)["noise_precision"]["fn"].log_prob(values))

    prior = stats.gamma(2.0, scale=0.5)
    assert density(precision) == pytest.approx(prior.logpdf([0.7, 1.9, 1.0]).sum(), abs=1e-9)
    assert density(precision.at[0, 2].set(5.0)) == pytest.approx(prior.logpdf([0.7, 1.9, 5.0]).sum(), abs=1e-9)


def test_the_prior_of_the_scale_follows_the_loss():
    for loss in (1.7, 9.0):
        program = numpyro.handlers.seed(Noise(center=0.002, spread=1.5).sample, jax.random.key(0))
        site = numpyro.handlers.trace(program).get_trace({"loss": jnp.asarray(loss)}, 2, {})["noise"]
        assert site["value"].shape == (2,)
        prior = stats.lognorm(1.5, scale=0.002 * loss)
        assert float(site["fn"].log_prob(jnp.full(2, 0.01))[0]) == pytest.approx(prior.logpdf(0.01), abs=1e-9)


def test_settings_come_back():
    for noise in (Noise(), Noise(df=4.0, center=0.01, spread=1.0)):
        assert Noise(**noise.settings()) == noise


@pytest.mark.parametrize("wrong", [{"df": 2.0}, {"df": -1.0}, {"center": 0.0}, {"spread": -1.0}, {"df": float("nan")}])
def test_wrong_settings_are_one_line(wrong):
    with pytest.raises(ModelError, match=r"^noise: [^\n]*; allowed: [^\n]*$"):
        Noise(**wrong)


def test_padded_places_are_held_by_their_prior():
    """The density falls in every direction, padded or not; a mask would leave the Jacobian alone to grow for ever."""
    valid = jnp.array([[True, True], [True, False]])
    program = numpyro.handlers.seed(Noise(df=4.0).sample_weights, jax.random.key(0))

    def potential(place):
        return float(potential_energy(program, (valid,), {}, {"noise_precision": jnp.zeros((2, 2)).at[place].set(9.0)}))

    at_zero = float(potential_energy(program, (valid,), {}, {"noise_precision": jnp.zeros((2, 2))}))
    assert min(potential(place) for place in np.ndindex(2, 2)) > at_zero + 100.0
