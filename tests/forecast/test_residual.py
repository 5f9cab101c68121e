"""What is left over of schedules, against the correlation that it is to have."""

import numpy as np

from bayeslr.forecast import compare_schedules, predict
from bayeslr.forecast.residual import CommonResidual
from bayeslr.schedules import wsd

COMMON = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}


def cool_down(share):
    return wsd(decay_steps=round(share * 2000), **COMMON)


def test_the_correlation_is_that_of_a_gaussian_process():
    """Of 20,000 draws at 40 random places; a correlation of few draws would be off by 1/sqrt(n) = 0.007."""
    rng = np.random.default_rng(1)
    log_area, memory = rng.uniform(-2.0, 0.5, 40), rng.uniform(0.0, 0.3, (8, 40))
    found = np.corrcoef(CommonResidual(0.5, 0.3, 20_000, (1,)).at(log_area, memory).T)
    apart = np.square(memory[:, :, None] - memory[:, None]).sum(axis=0)
    wanted = np.exp(-np.abs(log_area[:, None] - log_area) / 0.5 - apart / (2 * 0.3**2))
    error = np.abs(found - wanted)
    assert error.mean() < 0.03
    assert error.max() < 0.13
    assert np.abs(found - np.eye(40)).max() > 0.5


def test_its_standard_deviation_is_that_of_a_single_run(small_posterior):
    plan = cool_down(0.3)
    parts = predict(small_posterior, plan, seed=4, num_draws=2800).parts["schedule"]
    ratio = np.asarray(parts.residual) / np.asarray(parts.residual_sd)
    # standard error of a standard deviation 0.0134: five of them
    np.testing.assert_allclose(ratio.std(axis=0), 1.0, atol=0.07)


def test_a_schedule_differs_from_itself_by_nothing_and_from_others_the_more_the_further(small_posterior):
    shares = (0.2, 0.2, 0.22, 0.4, 0.9)
    plans = {f"{k}": cool_down(share) for k, share in enumerate(shares)}
    forecast = predict(small_posterior, plans, seed=4, num_draws=2800)
    parts = [forecast.parts[name] for name in plans]
    spread = [(np.asarray(part.residual - parts[0].residual)[:, -1]).std() for part in parts]
    assert spread[1] == 0.0
    assert 0.0 < spread[2] < 0.4 * spread[3] < 0.4 * spread[4]
    # before the rates differ nothing does
    np.testing.assert_allclose(parts[0].residual[:, 5], parts[2].residual[:, 5], rtol=1e-9)
    pairs = compare_schedules(forecast).differences.set_index(["first", "second"])
    assert pairs.loc[("0", "1"), ["lower", "upper"]].eq(0.0).all()


def test_schedules_asked_about_one_by_one_belong_together(small_posterior):
    one, other = cool_down(0.2), cool_down(0.6)
    both = predict(small_posterior, {"one": one, "other": other}, seed=4)
    for name, plan in (("one", one), ("other", other)):
        alone = predict(small_posterior, plan, seed=4).parts["schedule"]
        np.testing.assert_allclose(both.parts[name].expected, alone.expected, rtol=1e-9)
    elsewhere = predict(small_posterior, one, seed=5).parts["schedule"].residual
    assert not np.allclose(elsewhere, both.parts["one"].residual)


def test_nothing_of_it_is_drawn_for_a_band(small_posterior, monkeypatch):
    asked = []
    monkeypatch.setattr(CommonResidual, "at", lambda *_: asked.append(1) or 0.0)
    forecast = predict(small_posterior, {"one": cool_down(0.2), "other": cool_down(0.6)}, seed=4)
    forecast.band()
    compare_schedules(forecast, question="run")
    assert not asked
    compare_schedules(forecast)
    assert len(asked) == 2
