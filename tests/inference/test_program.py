"""Compiled functions of a model, against the same functions one place at a time."""

import numpy as np
import pytest

from bayeslr.inference.engine.density import build_density, starting_points
from bayeslr.inference.engine.devices import place_chains
from bayeslr.inference.engine.program import program_for
from bayeslr.model import ScalingModel


@pytest.mark.parametrize("method", ["sequential", "vectorized"])
def test_densities_of_several_places_are_those_of_each(small_curves, method):
    """More places than a batch holds, and a number that does not fill the last one, beside one place at a time."""
    model = ScalingModel().resolved((1e7,))
    curves = small_curves.after_warmup()
    observations, _ = model.observations(curves, model.scale(curves))
    density = build_density(model, observations)
    program = program_for(
        model, observations, num_warmup=50, target_accept_prob=0.8, placement=place_chains(method, num_chains=1)
    )
    program.prepare(observations, num_chains=None)
    start = np.asarray(density.unconstrain(starting_points(model, observations)[1], observations))
    places = start + 0.1 * np.random.default_rng(0).standard_normal((103, start.size))
    values, gradients = program.values_and_gradients(places, observations)
    assert values.shape == (103,)
    assert gradients.shape == places.shape
    for k in (0, 49, 50, 102):
        value, gradient = density.value_and_gradient(places[k], observations)
        assert values[k] == pytest.approx(float(value), rel=1e-12)
        np.testing.assert_allclose(gradients[k], gradient, rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(program.values_and_gradients(places[:1], observations)[0], values[:1])


def test_draws_are_described_alike_one_by_one_and_as_a_batch(small_curves):
    """The batch is what a GPU runs."""
    model = ScalingModel().resolved((1e7,))
    curves = small_curves.after_warmup()
    observations, _ = model.observations(curves, model.scale(curves))
    found = {}
    for method in ("sequential", "vectorized"):
        placement = place_chains(method, num_chains=1)
        program = program_for(model, observations, num_warmup=50, target_accept_prob=0.8, placement=placement)
        start = np.asarray(program.unconstrain(starting_points(model, observations)[1], observations))
        places = start + 0.1 * np.random.default_rng(0).standard_normal((53, start.size))
        found[method] = program.describe(places, observations, seed=3)
    assert set(found["sequential"]) == set(found["vectorized"]) >= {"L0", "effect_size", "effect_run"}
    for name, values in found["sequential"].items():
        assert len(values) == 53
        np.testing.assert_allclose(values, found["vectorized"][name], rtol=1e-6, atol=1e-8, err_msg=name)
