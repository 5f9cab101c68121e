"""The search of the mode, against closed forms and SciPy."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from bayeslr.inference.engine.mode import find_mode


def search(density, starts):
    """Find the mode of a density that takes one place at a time."""
    return find_mode(np.vectorize(density, signature="(d)->(),(d)"), starts)


def gaussian(mean, precision):
    def density(z):
        return 0.5 * (z - mean) @ precision @ (z - mean), precision @ (z - mean)

    return density


@pytest.mark.parametrize("condition", [1.0, 1e3, 1e7])
def test_a_gaussian_is_solved_exactly(condition):
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    precision = rotation @ np.diag(np.geomspace(1.0, condition, 6)) @ rotation.T
    mean = rng.normal(size=6)
    mode = search(gaussian(mean, precision), [np.zeros(6), np.ones(6)])
    np.testing.assert_allclose(mode.position, mean, atol=1e-7)
    np.testing.assert_allclose(mode.factor @ mode.factor.T @ precision, np.eye(6), atol=1e-5)
    np.testing.assert_array_equal(np.triu(mode.factor, 1), 0.0)
    assert mode.potential == pytest.approx(0.0, abs=1e-12)
    assert len(mode.others) == 1


def test_a_banana_matches_scipy():
    def density(z):
        return float(rosen(z)), rosen_der(z)

    mode = search(density, [np.array([-1.2, 1.0, -0.5]), np.array([0.0, 0.0, 0.0])])
    reference = minimize(rosen, np.zeros(3), jac=rosen_der, method="BFGS", options={"gtol": 1e-10}).x
    np.testing.assert_allclose(mode.position, reference, atol=1e-6)
    # the Hessian of the Rosenbrock function at (1, 1, 1), by hand
    hessian = np.array([[802.0, -400.0, 0.0], [-400.0, 1002.0, -400.0], [0.0, -400.0, 200.0]])
    # differences over a few per cent of a standard deviation see a little of the higher orders: 4% here
    root = np.linalg.cholesky(np.linalg.inv(hessian))
    white = np.linalg.solve(root, mode.factor)
    np.testing.assert_allclose(white @ white.T, np.eye(3), atol=0.1)


def test_the_lower_of_two_modes_wins():
    def density(z):
        # minima near -1 (lower) and +1
        return float((z[0] ** 2 - 1.0) ** 2 + 0.3 * z[0]), np.array([4.0 * z[0] * (z[0] ** 2 - 1.0) + 0.3])

    mode = search(density, [np.array([2.0]), np.array([-2.0])])
    assert mode.position[0] == pytest.approx(-1.0356, abs=1e-3)
    # by hand: how far the other minimum lies above, and its distance in standard deviations 1 / sqrt(12 z^2 - 4)
    assert mode.others[0] == (pytest.approx(0.5995, abs=1e-3), pytest.approx(1.9957 * np.sqrt(8.8698), rel=2e-3))
    assert mode.gradient < 1e-6


def test_places_without_a_density_are_stepped_around():
    """Minus the log density of a Gamma(3, 1): not a number below zero, where a long first step leads."""

    def density(z):
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(z[0] - 2.0 * np.log(z[0])), np.array([1.0 - 2.0 / z[0]])

    mode = search(density, [np.array([30.0])])
    assert mode.position[0] == pytest.approx(2.0, abs=1e-5)
    assert mode.factor[0, 0] == pytest.approx(np.sqrt(2.0), rel=1e-3)


def test_flat_directions_get_a_finite_factor():
    mode = search(lambda z: (0.5 * z[0] ** 2, np.array([z[0], 0.0])), [np.array([1.0, 1.0])])
    assert np.all(np.isfinite(mode.factor))
    assert mode.factor[0, 0] == pytest.approx(1.0, rel=1e-6)


def test_a_line_search_that_gives_up_is_no_warning_to_users(monkeypatch):
    """SciPy warns of it amid a search whose last steps are Newton's; the suite turns warnings into errors."""

    def gives_up(*args, **settings):
        warnings.warn("The line search algorithm did not converge", stacklevel=2)
        return minimize(*args, **settings)

    monkeypatch.setattr("bayeslr.inference.engine.mode.minimize", gives_up)
    mode = search(gaussian(np.ones(3), np.eye(3)), [np.zeros(3), np.full(3, 2.0)])
    np.testing.assert_allclose(mode.position, 1.0, atol=1e-7)
