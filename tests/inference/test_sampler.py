"""NUTS in whitened coordinates on a Gaussian whose moments are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arviz_stats import ess, rhat

from bayeslr.errors import ModelError
from bayeslr.inference.engine.devices import place_chains
from bayeslr.inference.engine.mode import Mode
from bayeslr.inference.engine.sampler import Sampler
from bayeslr.inference.health import suffice

MEAN = np.array([1.0, -2.0, 300.0])
COVARIANCE = np.array([[1.0, 0.95, 0.0], [0.95, 1.0, 0.0], [0.0, 0.0, 1e4]])
SAMPLES = 600


def potential(z, precision):
    away = z - jnp.asarray(MEAN)
    return 0.5 * away @ precision @ away


# whitened by a factor that is a little off, so that the sampler has something to do
MODE = Mode(position=MEAN, factor=1.2 * np.linalg.cholesky(COVARIANCE), potential=0.0, gradient=0.0, others=())
PRECISION = jnp.asarray(np.linalg.inv(COVARIANCE))


def sampler(method):
    return Sampler(potential, num_warmup=150, target_accept_prob=0.9, placement=place_chains(method, 4))


@pytest.fixture(scope="module")
def vectorized():
    return sampler("vectorized")


def densities(places):
    values, slopes = jax.vmap(jax.value_and_grad(potential), in_axes=(0, None))(jnp.asarray(places), PRECISION)
    return np.asarray(values), np.asarray(slopes)


def run(engine, seed=0):
    return engine.run(densities, MODE, PRECISION, seed=seed, num_samples=SAMPLES, num_chains=4, progress=False)


@pytest.fixture(scope="module")
def draws(vectorized):
    return run(vectorized)


def test_moments_of_the_gaussian(draws):
    """Means within five Monte Carlo standard errors (false alarm 2e-6), covariance within 15%, chains agreeing."""
    assert draws.position.shape == (4, SAMPLES, 3)
    flat = draws.position.reshape(-1, 3)
    for k in range(3):
        count = float(ess(draws.position[..., k]))
        assert count > 400
        sd = np.sqrt(COVARIANCE[k, k])
        assert abs(flat[:, k].mean() - MEAN[k]) < 5.0 * sd / np.sqrt(count)
        assert float(rhat(draws.position[..., k])) < 1.02
    white = np.linalg.solve(np.linalg.cholesky(COVARIANCE), (flat - MEAN).T)
    np.testing.assert_allclose(np.cov(white), np.eye(3), atol=0.2)


def test_statistics_are_arvizs(draws):
    assert set(draws.stats) >= {"lp", "energy", "diverging", "tree_depth", "reached_max_tree_depth", "acceptance_rate"}
    assert all(value.shape == (4, SAMPLES) for value in draws.stats.values())
    away = draws.position - MEAN
    expected = -0.5 * np.einsum("...i,ij,...j", away, np.asarray(PRECISION), away)
    np.testing.assert_allclose(draws.stats["lp"], expected, atol=1e-6)
    assert 0.8 < draws.stats["acceptance_rate"].mean() < 0.99
    assert not draws.stats["diverging"].any()
    assert not draws.stats["reached_max_tree_depth"].any()
    assert np.all(2 ** draws.stats["tree_depth"] >= draws.stats["n_steps"])


def test_sampling_ends_when_draws_suffice_and_not_before(vectorized, draws):
    ask, seen = {"seed": 0, "num_samples": SAMPLES, "num_chains": 4, "progress": False}, []

    def enough(positions):
        seen.append(positions)
        return positions.shape[1] >= 400

    found = vectorized.run(densities, MODE, PRECISION, enough=enough, **ask)
    assert [positions.shape for positions in seen] == [(4, count, 3) for count in (250, 300, 350, 400)]
    # the same draws as without an end, fewer of them
    np.testing.assert_array_equal(found.position, draws.position[:, :400])
    np.testing.assert_array_equal(found.stats["lp"], draws.stats["lp"][:, :400])
    never = vectorized.run(densities, MODE, PRECISION, enough=lambda _: False, **ask)
    np.testing.assert_array_equal(never.position, draws.position)


def test_draws_suffice_when_chains_agree_and_are_long_enough(draws):
    assert suffice(draws.position)
    assert not suffice(draws.position[:, :100])
    apart = draws.position + 0.3 * np.arange(4)[:, None, None] * np.array([1.0, 0.0, 0.0])
    assert not suffice(apart)
    assert min(float(ess(apart[..., k])) for k in (1, 2)) > 800


def test_the_seed_decides(vectorized, draws):
    np.testing.assert_array_equal(run(vectorized).position, draws.position)
    assert not np.any(run(vectorized, seed=1).position == draws.position)


def test_parallel_chains_draw_what_vectorised_ones_do(draws):
    """Chains are the same computation wherever they run; only the rounding of batched products may differ."""
    assert jax.local_device_count() > 1
    parallel = run(sampler("parallel"))
    np.testing.assert_allclose(parallel.position[:, :20], draws.position[:, :20], rtol=1e-6)


def test_another_data_set_reuses_the_program(vectorized):
    before = dict(vectorized._compiled)
    wider = vectorized.run(
        lambda places: tuple(part / 4.0 for part in densities(places)),
        MODE,
        PRECISION / 4.0,
        seed=0,
        num_samples=SAMPLES,
        num_chains=4,
        progress=False,
    )
    assert vectorized._compiled == before
    assert wider.position[..., 0].std() == pytest.approx(2.0, rel=0.2)


def test_devices_divide_the_chains():
    assert len(place_chains("vectorized", 4).devices) == len(place_chains("sequential", 4).devices) == 1
    for chains in (1, 2, 3, 4, 6):
        assert chains % len(place_chains("parallel", chains).devices) == 0
    batches = {
        method for method in ("auto", "parallel", "vectorized", "sequential") if place_chains(method, 4).vectorized
    }
    assert batches == {"vectorized"}, "on a CPU"
    with pytest.raises(ModelError, match=r"^chain_method: found 'threads'; allowed: auto, parallel, vectorized, seq"):
        place_chains("threads", 4)
