"""The sampled parameters of the law against the published ones."""

from dataclasses import replace

import numpy as np
import pytest

from bayeslr.curves import Setup
from bayeslr.laws import AnnealingLaw, Scale
from bayeslr.laws.parameters import power_of_params
from bayeslr.schedules import cosine, cyclic, wsd

SCALE = Scale(area=6.0, rate=3e-4, loss=2.7, memory=155.0)
VALUES = {"level": 2.9, "slope": 0.11, "alpha": 0.45, "drop": 0.16, "tau": 740.0}


@pytest.mark.parametrize("warmup", ["as_logged", "peak"])
@pytest.mark.parametrize(
    "schedule",
    [
        cosine(peak_lr=3e-4, final_lr=3e-5, warmup_steps=500, total_steps=24_000),
        wsd(peak_lr=2e-4, warmup_steps=500, decay_steps=4_000, total_steps=20_000, decay="1-sqrt"),
        cyclic(peak_lr=3e-4, warmup_steps=500, rewarmup_steps=100, cycle_steps=6_000, total_steps=24_000),
    ],
    ids=["cosine", "wsd", "cyclic"],
)
def test_the_sampled_law_is_the_published_one(schedule, warmup):
    law, steps = AnnealingLaw(warmup=warmup), np.arange(600, 20_001, 97)
    terms = law.terms(VALUES, law.features(schedule, steps, SCALE, Setup()))
    published = {name: float(value) for name, value in law.reported(VALUES, vars(SCALE)).items()}
    assert set(published) == {"L0", "A", "alpha", "C", "decay"}
    np.testing.assert_allclose(terms.total, law.loss(schedule, steps, **published), rtol=0, atol=1e-6 * VALUES["drop"])
    np.testing.assert_allclose(terms.base, published["L0"])


def test_level_and_slope_are_those_of_the_forward_curve_at_the_reference_area():
    published = {name: float(value) for name, value in AnnealingLaw().reported(VALUES, vars(SCALE)).items()}

    def forward(log_area):
        return published["L0"] + published["A"] * np.exp(-published["alpha"] * log_area)

    at, h = np.log(SCALE.area), 1e-5
    assert forward(at) == pytest.approx(VALUES["level"], rel=1e-12)
    assert (forward(at - h) - forward(at + h)) / (2 * h) == pytest.approx(VALUES["slope"], rel=1e-8)
    assert published["decay"] == pytest.approx(1 - 1 / VALUES["tau"])
    assert published["C"] / (1 - published["decay"]) * SCALE.rate == pytest.approx(VALUES["drop"], rel=1e-9)


def test_features_do_not_grow_with_the_schedule():
    law, steps = AnnealingLaw(), np.array([1_000, 2_000])
    for total in (2_000, 200_000):
        features = law.features(cosine(peak_lr=1e-3, warmup_steps=10, total_steps=total), steps, SCALE, Setup())
        assert features.response.shape == (2, 48)
        assert features.log_area.shape == (2,)


def test_scales_of_sizes_have_their_own_batches():
    both = replace(SCALE, areas=(4.0, 6.0), rates=(4e-4, 2e-4), batches=(32.0, 128.0))
    assert both.of_size(1).log_batch(64.0) == pytest.approx(-np.log(2.0))
    assert both.of_size(1).log_batch(None) == 0.0
    # a power of the parameters through both sizes, and beyond them
    assert both.of_params((1e7, 4e7), 1.6e8).batch == pytest.approx(512.0)
    assert both.of_params((1e7, 4e7), 2e7).batch == pytest.approx(64.0)
    unknown = replace(both, batches=(32.0, 0.0))
    assert unknown.of_params((1e7, 4e7), 2e7).log_batch(64.0) == 0.0
    assert unknown.of_size(1).log_batch(64.0) == 0.0


def test_sizes_of_one_number_of_parameters_have_the_mean_of_their_areas():
    """Shapes of one size; the mean of three equal logarithms may differ from each by a rounding."""
    for log_params in np.log([3.3e7, 1e8, 1.1e9, 7e9]):
        found = power_of_params(np.full(3, log_params), np.log([[2.0, 4.0, 8.0]]), np.array([log_params, 0.0]))
        np.testing.assert_allclose(np.exp(found), 4.0, rtol=1e-12)
