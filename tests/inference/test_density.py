"""The sampler's coordinates: they change how a posterior is walked, and nothing about what it says."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density

from bayeslr.curves import CurveSet
from bayeslr.inference.density import build_density, starting_points
from bayeslr.model import Discrepancy, ScalingModel, size_labels

OTHERS = {"alpha": "Gamma(5, 10)", "noise": "HalfNormal(0.01)", "level": "StudentT(4, 3, 1)"}


@pytest.fixture(scope="module", params=["none", "other priors", "trend"])
def fitted(small_curves, request):
    curves = small_curves.after_warmup()
    if request.param == "trend":
        larger = [replace(c, name=f"{c.name} larger", params=4e7, size="larger", loss=0.98 * c.loss) for c in curves]
        curves = CurveSet(curves=(*curves, *larger))
    priors = OTHERS if request.param == "other priors" else {}
    # without the discrepancy, whose coordinates are NumPyro's own, all compiles in a third of the time
    model = ScalingModel(discrepancy=Discrepancy(enabled=False), priors=priors).resolved(size_labels(curves)[1])
    design, _ = model.design(curves, model.scale(curves))
    density = build_density(model, design)
    return model, design, density, np.asarray(density.unconstrain(starting_points(design)[1], design))


@pytest.fixture(scope="module")
def by_change_of_variables(fitted):
    """The log density of the values of all sites, plus that of the determinant of how they follow the coordinates."""
    model, _, density, _ = fitted
    names = density.names

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
    values = density.constrain(jnp.asarray(z), design)
    sizes = [np.size(values[name]) for name in density.names]
    first = sum(sizes[: density.names.index("noise")])
    z = jnp.asarray(z).at[first : first + len(design.log_params)].set(noise)
    expected = float(by_change_of_variables(z, design))
    assert -float(density.potential(z, design)) == pytest.approx(expected, rel=1e-9)


def test_coordinates_and_values_go_back_and_forth(fitted):
    _, design, density, z = fitted
    rng = np.random.default_rng(0)
    for _ in range(3):
        there = jnp.asarray(z + rng.normal(0.0, 0.5, z.size))
        values = density.constrain(there, design)
        np.testing.assert_allclose(density.unconstrain(values, design), there, atol=1e-9)


@pytest.mark.parametrize("fitted", ["trend"], indirect=True)
def test_what_sizes_have_in_common_is_standard_normal_given_the_sizes(fitted):
    """However closely the sizes follow their trend: without that, a funnel."""
    _, design, density, z = fitted
    values = {name: np.asarray(value) for name, value in density.constrain(jnp.asarray(z), design).items()}
    sizes = [np.size(values[name]) for name in density.names]
    starts = dict(zip(density.names, np.cumsum([0, *sizes[:-1]]), strict=True))
    common = [name for name in density.names if name.endswith(("_mean", "_slope"))]
    assert len(common) == 9
    for name in common:
        k = starts[name]
        for factor in (0.2, 1.0, 5.0):
            scatter = f"{name.rpartition('_')[0]}_sd"
            there = density.unconstrain(values | {scatter: factor * values[scatter]}, design)
            lowest, middle, highest = (float(density.potential(there.at[k].set(u), design)) for u in (-1.0, 0.0, 1.0))
            assert highest - middle == pytest.approx(0.5, rel=1e-6), (name, factor)
            assert lowest - middle == pytest.approx(0.5, rel=1e-6), (name, factor)


@pytest.mark.parametrize("fitted", ["trend"], indirect=True)
def test_sizes_of_equal_parameters_have_a_density(fitted):
    """Two models of the same number of parameters: no line goes through them."""
    _, design, density, _ = fitted
    design = replace(design, log_params=0.0 * design.log_params)
    z = density.unconstrain(starting_points(design)[1], design)
    value, gradient = density.value_and_gradient(z, design)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
