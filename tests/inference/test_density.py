"""The sampler's coordinates: they change how a posterior is walked, and nothing about what it says."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density

from bayeslr.inference.density import build_density, starting_points
from bayeslr.model import Discrepancy, ScalingModel


@pytest.fixture(scope="module", params=["default priors", "others"])
def fitted(small_curves, request):
    curves = small_curves.after_warmup()
    others = {"alpha": "Gamma(5, 10)", "noise": "HalfNormal(0.01)", "level": "StudentT(4, 3, 1)"}
    # without the discrepancy, whose coordinates are NumPyro's own, all compiles in a third of the time
    model = ScalingModel(
        discrepancy=Discrepancy(enabled=False), priors={} if request.param == "default priors" else others
    ).resolved((1e7,))
    design, _ = model.design(curves, model.scale(curves))
    density = build_density(model, design)
    return model, design, density, np.asarray(density.unconstrain(starting_points(design)[1], design))


@pytest.fixture(scope="module")
def by_change_of_variables(fitted):
    """The log density of the values of all sites, plus that of the determinant of how they follow the coordinates."""
    model, _, density, _ = fitted
    names = sorted(model.sites)

    @jax.jit
    def evaluate(z, design):
        def values(z):
            return {name: value for name, value in density.constrain(z, design).items() if name in names}

        jacobian = jax.jacrev(lambda z: jnp.concatenate([jnp.ravel(values(z)[name]) for name in names]))(z)
        return log_density(model, (design,), {}, values(z))[0] + jnp.linalg.slogdet(jacobian)[1]

    return evaluate


@pytest.mark.parametrize("unit", [1.0, 30.0, 0.03])
@pytest.mark.parametrize("noise", [-3.0, 0.5, 40.0])
def test_the_density_is_that_of_the_model_whatever_the_unit_of_the_noise(fitted, by_change_of_variables, unit, noise):
    _, design, density, z = fitted
    design = replace(design, scatter=unit * design.scatter)
    z = jnp.asarray(z).at[density.names.index("noise")].set(noise)
    expected = float(by_change_of_variables(z, design))
    assert -float(density.potential(z, design)) == pytest.approx(expected, rel=1e-9)


def test_coordinates_and_values_go_back_and_forth(fitted):
    _, design, density, z = fitted
    rng = np.random.default_rng(0)
    for _ in range(3):
        there = jnp.asarray(z + rng.normal(0.0, 0.5, z.size))
        values = density.constrain(there, design)
        np.testing.assert_allclose(density.unconstrain(values, design), there, atol=1e-9)
