"""The best choice of a family, against counts over the draws of an ordinary forecast."""

import json

import numpy as np
import pytest

from bayeslr.errors import ExtrapolationWarning, PosteriorError, ScheduleError
from bayeslr.forecast import optimize, predict
from bayeslr.laws import AnnealingLaw
from bayeslr.schedules import parse_schedule

FAMILY = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, decay_steps=100..1900)"


@pytest.fixture(scope="module")
def optimum(small_posterior):
    return optimize(small_posterior, FAMILY, seed=3, points=11, within=0.003, probability=0.6)


@pytest.fixture(scope="module")
def finals(small_posterior, optimum):
    plans = {name: parse_schedule(plan.spec) for name, plan in optimum.schedules.items()}
    forecast = predict(small_posterior, plans, seed=3, num_draws=4000, steps={n: [2000] for n in plans})
    return np.stack([np.asarray(forecast.parts[name].expected)[:, -1] for name in plans], axis=1)


def test_every_column_is_a_count_over_paired_draws(optimum, finals):
    table, regret = optimum.candidates, finals - finals.min(axis=1, keepdims=True)
    np.testing.assert_allclose(table["mean"], finals.mean(axis=0))
    np.testing.assert_allclose(table["expected_regret"], regret.mean(axis=0))
    np.testing.assert_allclose(table["p_within"], (regret <= 0.003).mean(axis=0))
    assert table["p_best"].sum() == pytest.approx(1.0)
    assert optimum.best == table.index[finals.mean(axis=0).argmin()]
    assert list(optimum.good.index) == list(table.index[(regret <= 0.003).mean(axis=0) >= 0.6])
    assert optimum.range("decay_steps") == (optimum.good["decay_steps"].min(), optimum.good["decay_steps"].max())
    best = table.loc[optimum.best]
    assert (best["difference"], best["difference_lower"], best["difference_upper"]) == (0.0, 0.0, 0.0)


def test_the_best_choice_is_where_the_law_that_made_the_curves_has_it(optimum, small_truth):
    """The simulated truth is known: what the chosen decay costs by it is next to nothing."""
    truth = {
        name: float(AnnealingLaw().loss(plan, np.array([2000]), **small_truth)[0])
        for name, plan in optimum.schedules.items()
    }
    lowest, highest = min(truth.values()), max(truth.values())
    assert highest - lowest > 0.01
    assert truth[optimum.best] - lowest < 0.003


def test_a_quantile_may_choose_otherwise_and_single_runs_are_less_certain(small_posterior, optimum, finals):
    careful = optimize(small_posterior, FAMILY, seed=3, points=11, risk=0.9)
    assert careful.best == careful.candidates.index[np.quantile(finals, 0.9, axis=0).argmin()]
    assert "90% quantile" in careful.sentences[0]
    single = optimize(small_posterior, FAMILY, seed=3, points=11, question="run")
    assert (single.candidates["upper"] - single.candidates["lower"]).mean() > (
        optimum.candidates["upper"] - optimum.candidates["lower"]
    ).mean()
    assert "single run" in single.sentences[-1]


def test_an_answer_is_json_a_frame_and_short(optimum):
    read = json.loads(json.dumps(optimum.to_dict()))
    assert read["best"]["choice"] == optimum.best
    assert read["best"]["schedule"] == optimum.schedule.spec
    assert len(read["choices"]) == len(optimum.to_dataframe()) == 11
    assert read["range"]["decay_steps"] == list(optimum.range("decay_steps"))
    assert len(repr(optimum)) < 120
    assert any(optimum.best in line for line in optimum.sentences)


def test_the_end_of_a_range_and_long_runs_are_told_once(small_posterior):
    with pytest.warns(ExtrapolationWarning):
        found = optimize(
            small_posterior, "wsd(peak_lr=1e-3, total_steps=5000..20000, decay_steps=20%)", seed=0, points=7
        )
    assert found.best == "total_steps=20000"
    assert sum("is an end of the range" in line for line in found.warnings) == 1
    assert sum("times the area" in line for line in found.warnings) == 1
    assert any("of 7 choices" in line for line in found.warnings)


@pytest.mark.parametrize(
    ("family", "settings", "error", "found"),
    [
        ("wsd(peak_lr=5e-4..2e-3, total_steps=2000, decay_steps=200)", {}, PosteriorError, "0.001 alone was fitted"),
        (FAMILY, {"within": -1.0}, PosteriorError, "within"),
        (FAMILY, {"probability": 1.5}, PosteriorError, "probability"),
        (FAMILY, {"risk": 0.0}, PosteriorError, "risk"),
        (FAMILY, {"question": "neither"}, PosteriorError, "question"),
        ("constant(peak_lr=1e-3, total_steps=2000)", {}, ScheduleError, "nothing is left free"),
    ],
)
def test_wrong_questions_are_refused(small_posterior, family, settings, error, found):
    with pytest.raises(error, match=found):
        optimize(small_posterior, family, seed=0, **settings)


@pytest.mark.filterwarnings("ignore::bayeslr.errors.ExtrapolationWarning")
def test_a_batch_size_and_a_weight_decay_are_those_of_all_choices(of_one_batch):
    asked = {"batch_size": 1024.0, "weight_decay": 0.05}
    found = optimize(of_one_batch, FAMILY, seed=3, points=3, **asked)
    told = "\n".join(found.warnings)
    assert "no run of this size has the batch size 1024" in told
    assert "no fitted run has the weight decay 0.05" in told
    plans = dict(found.schedules)
    forecast = predict(of_one_batch, plans, seed=3, num_draws=4000, steps={n: [2000] for n in plans}, **asked)
    ends = [float(np.asarray(forecast.parts[name].expected)[:, -1].mean()) for name in plans]
    np.testing.assert_allclose(found.candidates["mean"], ends, rtol=1e-9)
    usual = optimize(of_one_batch, FAMILY, seed=3, points=3)
    assert (found.candidates["mean"] < usual.candidates["mean"]).all()
    with pytest.raises(PosteriorError, match="batch_size: found -1"):
        optimize(of_one_batch, FAMILY, points=3, batch_size=-1)
