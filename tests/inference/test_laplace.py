"""Draws from the Gaussian at the mode, and the check that tells where it fails."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bayeslr import inference
from bayeslr.curves import CurveSet, LossCurve
from bayeslr.errors import BayeslrWarning, ConvergenceWarning, FitWarning, ModelError
from bayeslr.forecast import predict
from bayeslr.inference.engine.mode import Mode, find_mode
from bayeslr.inference.laplace import LAPLACE_LABEL, MAX_PARETO_K, draw_gaussian, pareto_k
from bayeslr.laws import AnnealingLaw
from bayeslr.model import ScalingModel
from bayeslr.schedules import constant, wsd

COVARIANCE = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 25.0]])
MEAN = np.array([1.0, -2.0, 30.0])


def several(density):
    """Take several places at a time instead of one."""
    return np.vectorize(density, signature="(d)->(),(d)")


def gaussian(z):
    away = np.linalg.solve(COVARIANCE, z - MEAN)
    return 0.5 * float((z - MEAN) @ away), away


def drawn(density, dimensions, seed=0):
    densities = several(density)
    mode = find_mode(densities, [np.zeros(dimensions)])
    return mode, draw_gaussian(densities, mode, seed=seed, num_samples=500, num_chains=4)


def test_a_gaussian_is_drawn_exactly():
    """Means and covariances within five standard errors (false alarm 1e-5 in all); all ratios are one."""
    _, draws = drawn(gaussian, 3)
    assert draws.position.shape == (4, 500, 3)
    flat = draws.position.reshape(-1, 3)
    white = np.linalg.solve(np.linalg.cholesky(COVARIANCE), (flat - MEAN).T)
    assert np.all(np.abs(white.mean(axis=1)) < 5.0 / np.sqrt(2000))
    np.testing.assert_allclose(np.cov(white), np.eye(3), atol=5.0 * np.sqrt(2.0 / 2000))
    np.testing.assert_allclose(draws.stats["log_ratio"], 0.0, atol=1e-3)
    np.testing.assert_allclose(draws.stats["lp"][1, 3], -gaussian(draws.position[1, 3])[0])


def test_the_seed_decides():
    _, one = drawn(gaussian, 3)
    _, same = drawn(gaussian, 3)
    _, other = drawn(gaussian, 3, seed=1)
    np.testing.assert_array_equal(one.position, same.position)
    assert not np.any(one.position == other.position)


def test_ratios_are_those_of_the_densities():
    """Against SciPy's densities: a Student-t and its Gaussian at the mode, up to the constant at the mode."""

    def student(z):
        return -float(stats.t(5).logpdf(z).sum()), 6.0 * z / (5.0 + z**2)

    mode, draws = drawn(student, 2)
    scale = np.sqrt(np.diag(mode.factor @ mode.factor.T))
    np.testing.assert_allclose(scale, np.sqrt(5.0 / 6.0), rtol=1e-3)
    flat = draws.position.reshape(-1, 2)
    expected = stats.t(5).logpdf(flat).sum(axis=1) - stats.norm(0.0, scale).logpdf(flat).sum(axis=1)
    at_mode = 2.0 * stats.t(5).logpdf(0.0) - stats.norm(0.0, scale).logpdf(0.0).sum()
    np.testing.assert_allclose(draws.stats["log_ratio"].ravel(), expected - at_mode, atol=0.02)


@pytest.mark.parametrize("shape", [0.2, 0.9])
def test_k_is_the_shape_of_a_pareto_tail(shape):
    """Weights drawn from a Pareto distribution with a known shape; the reverse sign would have no tail at all."""
    weights = stats.pareto(1.0 / shape).rvs(size=20_000, random_state=0)
    assert pareto_k(np.log(weights)) == pytest.approx(shape, abs=0.15)
    assert pareto_k(-np.log(weights)) < 0.0


def test_a_posterior_with_heavy_tails_fails():
    """A Cauchy distribution in eight dimensions: the Gaussian at its mode misses its tails."""

    def cauchy(z):
        return float(np.log1p(z**2).sum()), 2.0 * z / (1.0 + z**2)

    _, draws = drawn(cauchy, 8)
    assert pareto_k(draws.stats["log_ratio"]) > MAX_PARETO_K
    _, good = drawn(gaussian, 3)
    assert pareto_k(good.stats["log_ratio"]) < MAX_PARETO_K


def test_places_without_a_density():
    """Half of the draws fall where the density is zero: weight zero, and no failure; an infinite density is one."""

    def half(z):
        return (0.5 * float(z[0] ** 2) if z[0] > -0.5 else np.nan), z

    mode = Mode(position=np.zeros(1), factor=np.eye(1), potential=0.0, gradient=0.0, others=())
    draws = draw_gaussian(several(half), mode, seed=0, num_samples=500, num_chains=4)
    assert np.isneginf(draws.stats["log_ratio"]).mean() == pytest.approx(stats.norm.cdf(-0.5), abs=0.05)
    assert pareto_k(draws.stats["log_ratio"]) < MAX_PARETO_K
    assert pareto_k(np.array([0.0, np.inf])) == np.inf


@pytest.fixture(scope="module")
def approximated(small_curves):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return inference.fit(small_curves, method="laplace", seed=0)


def test_a_fit_is_near_the_sampled_one(approximated, small_posterior):
    """What the curves determine agrees with NUTS: within half a standard deviation, and 40% in its size."""
    quick, sampled = approximated.sample(), small_posterior.sample()
    assert dict(approximated.draws.sizes)["draw"] == 1000
    assert set(quick) == set(sampled)
    for name in ("level", "alpha", "drop", "noise"):
        assert abs(quick[name].mean() - sampled[name].mean()) < 0.5 * sampled[name].std(), name
        assert quick[name].std() == pytest.approx(sampled[name].std(), rel=0.4), name


@pytest.mark.filterwarnings("ignore:do not trust this fit")
def test_every_output_says_what_it_is(approximated, tmp_path):
    plan = approximated.curves["cosine"].schedule
    again = inference.load_posterior(approximated.save(tmp_path / "quick.nc"))
    for posterior in (approximated, again):
        assert posterior.method == posterior.settings["method"] == "laplace"
        summary = posterior.summary()
        assert summary.attrs["method"] == "laplace"
        assert summary[["ess_bulk", "ess_tail", "r_hat"]].isna().to_numpy().all()
        names = [item.name for item in inference.check(posterior).checks]
        assert names[0] == "accuracy of the Laplace approximation"
        assert not {"agreement of chains", "number of draws (bulk)", "divergences"} & set(names)
        with pytest.warns(FitWarning, match="Laplace"):
            forecast = predict(posterior, plan, seed=0, num_draws=100)
        assert LAPLACE_LABEL in forecast.warnings


def test_a_bad_approximation_fails_its_check(approximated):
    """The same posterior with density ratios of a heavy tail: k above 0.7 is FAIL, in words, with advice."""
    tree = approximated.tree.copy()
    ratios = np.log(stats.pareto(1.0 / 1.2).rvs(size=(4, 1000), random_state=0))
    tree["sample_stats"] = tree["sample_stats"].to_dataset().assign(log_ratio=(("chain", "draw"), ratios))
    health = inference.check(replace(approximated, tree=tree))
    assert health.checks[0].status == health.status == "FAIL"
    for call in ("bayeslr fit ... --method nuts", "bl.fit(..., method='nuts')"):
        assert call in health.checks[0].advice


def test_an_unknown_method_is_one_line(small_curves):
    with pytest.raises(ModelError, match=r"^fit: method='vi'; allowed: 'nuts', 'laplace'$"):
        inference.fit(small_curves, method="vi", seed=0)


def test_a_size_that_was_trained_longer_does_not_stand_beside_the_trend():
    """Five sizes exactly on a trend, trained for uneven lengths. The control takes each size's parameters at the area
    of its own longest run: then these lengths look like scatter of the sizes, of at least twice the size."""
    law, rng, lengths = AnnealingLaw(), np.random.default_rng(0), (2000, 6000, 2500, 9000, 3000)
    curves = []
    for params, length in zip((1e7, 2e7, 4e7, 8e7, 1.6e8), lengths, strict=True):
        common = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": length}
        for plan in (constant(**common), wsd(decay_steps=length // 5, **common)):
            steps = np.linspace(300, length, 24).astype(int)
            truth = {"L0": 2.0 + 0.9 * (params / 1e7) ** -0.25, "A": 0.6, "alpha": 0.5, "C": 0.5, "decay": 0.98}
            loss = law.loss(plan, steps, **truth) + 0.001 * rng.standard_normal(24)
            named = {"name": f"{params:.3g} {plan.final_lr:.0e}", "size": f"{params:.3g}", "params": params}
            curves.append(LossCurve(steps=steps, loss=loss, schedule=plan, **named))
    family, model = CurveSet(curves=tuple(curves)), ScalingModel(law=law)
    scale = model.for_curves(family).scale(family)
    own = replace(scale, level_areas=scale.areas, level_rates=scale.rates)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        fits = [inference.fit(family, model, seed=0, method="laplace", scale=which) for which in (scale, own)]
    scatter, of_control = (float(np.median(found.sample(["level_sd"])["level_sd"])) for found in fits)
    assert 2.0 * scatter < of_control
