"""Plans that continue a fitted run, against what the posterior says of that run."""

from dataclasses import replace

import numpy as np
import pytest

from bayeslr.curves import CurveSet
from bayeslr.errors import PosteriorError
from bayeslr.forecast import predict
from bayeslr.schedules import constant, cosine

LONGER = constant(peak_lr=1e-3, warmup_steps=100, total_steps=3000)


def test_the_run_keeps_its_own_effects(small_posterior):
    forecast = predict(small_posterior, LONGER, steps=[1990, 2400], seed=0, run="constant")
    draws, effects = small_posterior.sample(num_draws=2000), small_posterior.sample_effects(num_draws=2000)
    k = small_posterior.runs.index("constant")
    # at a constant rate no memory has anything to say: the offset is all that a run has of its own
    jitter, most = draws["discrepancy_offset"] * draws["noise"][:, 0], 0.1 * draws["slope"][:, 0]
    offset = jitter * most / np.hypot(jitter, most) * effects["effect_offset"][:, k, 0]
    for column in (0, 1):
        np.testing.assert_allclose(forecast.parts["schedule"].run[:, column], offset, rtol=1e-9)
    new = predict(small_posterior, LONGER, steps=[1990, 2400], seed=0)
    assert not np.allclose(new.parts["schedule"].run[:, 0], offset)


def test_the_residual_starts_where_the_run_stands(small_posterior):
    """Right after the last observation the loss is known up to the noise; a new run's is not."""
    curve = small_posterior.curves["constant"]
    own, new = (
        predict(small_posterior, LONGER, steps=[1981, 3000], seed=0, run=run).band(latent=True)
        for run in ("constant", None)
    )
    noise = small_posterior.sample(["noise"])["noise"].mean()
    assert abs(own["median"][0] - curve.loss[-1]) < 3 * noise
    width, new_width = own.eval("upper - lower"), new.eval("upper - lower")
    assert width[0] < 4 * noise
    assert width[0] < 0.5 * new_width[0]
    assert width[1] > width[0]


def test_a_beginning_of_a_fitted_run_has_that_runs_effects(small_posterior):
    trunk = small_posterior.curves["constant"]
    twin = replace(trunk.take(trunk.steps <= 1000), name="twin")
    both = replace(small_posterior, curves=CurveSet(curves=(*small_posterior.curves, twin)))
    assert "twin" not in both.runs
    one, other = (predict(both, LONGER, steps=[2400], seed=0, run=run) for run in ("twin", "constant"))
    np.testing.assert_array_equal(one.parts["schedule"].run, other.parts["schedule"].run)
    # but what was seen of it ends earlier
    assert not np.array_equal(one.latent["schedule"], other.latent["schedule"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run": "other"}, "run: found 'other'; allowed: a fitted run: constant, cosine, drops"),
        ({"run": "cosine"}, "its rates up to step 1980 are not those"),
        ({"plans": constant(peak_lr=1e-3, warmup_steps=100, total_steps=1900)}, "observed to step 1980"),
        ({"plans": cosine(peak_lr=1e-3, warmup_steps=100, total_steps=3000)}, "its rates up to step 1980"),
        ({"size": 4e8}, "size"),
    ],
)
def test_what_does_not_continue_a_run_is_one_line(small_posterior, change, message):
    with pytest.raises(PosteriorError, match=message) as caught:
        predict(small_posterior, **({"plans": LONGER, "seed": 0, "run": "constant"} | change))
    assert "\n" not in str(caught.value)


def test_a_run_is_observed_or_fitted_not_both(small_posterior, small_curves):
    with pytest.raises(PosteriorError, match="both run= and observed="):
        predict(small_posterior, LONGER, seed=0, run="constant", observed=small_curves["constant"])
