"""Comparisons against counts and closed forms on draws made by hand."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayeslr.errors import PosteriorError
from bayeslr.forecast import Forecast, compare_schedules
from bayeslr.forecast.compare import ALL_PAIRS, _last_crossing
from bayeslr.model import CurveParts
from bayeslr.schedules import constant

STEPS = np.array([10, 20, 30, 40])


def forecast_of(**curves):
    """A forecast whose latent curves are given, ``[draws, 4]`` each."""
    plan = constant(peak_lr=1.0, total_steps=40)

    def terms(values):
        zero = np.zeros_like(values)
        return CurveParts(base=values, forward=zero, annealing=zero, shared=zero, run=zero, residual_sd=zero)

    return Forecast(
        schedules=dict.fromkeys(curves, plan),
        steps=dict.fromkeys(curves, STEPS),
        size="all",
        latent=curves,
        observed=curves,
        parts={name: terms(values) for name, values in curves.items()},
    )


def test_probabilities_and_regrets_are_counts():
    final = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0], [1.0, 4.0, 2.0], [1.5, 1.0, 3.0]])
    curves = {name: np.tile(final[:, k, None], 4) for k, name in enumerate("abc")}
    result = compare_schedules(forecast_of(**curves))
    assert result.p_best.to_dict() == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert result.expected_regret.to_dict() == {"a": 0.375, "b": 1.0, "c": 1.75}
    first = result.differences.iloc[0]
    assert (first["first"], first["second"], first["p_first_lower"]) == ("a", "b", 0.5)
    assert result.p_best.sum() == pytest.approx(1.0)


def test_pairing_makes_small_differences_sure():
    rng = np.random.default_rng(0)
    common = rng.normal(3.0, 0.1, size=(4000, 1)) + np.zeros((1, 4))
    apart = 0.01 + 0.001 * rng.standard_normal((4000, 1))
    result = compare_schedules(forecast_of(good=common, bad=common + apart))
    pair = result.differences.iloc[0]
    assert result.p_best["good"] == 1.0
    assert pair["median"] == pytest.approx(-0.01, abs=1e-4)
    assert pair["upper"] - pair["lower"] == pytest.approx(2 * 1.645 * 0.001, rel=0.1)


def test_curves_that_were_never_apart_do_not_cross():
    """What flutters about nothing has no side; a crossing is where the gap is zero, whatever flutters later."""
    steps, still = np.arange(1, 9), np.zeros((4, 8))
    gap = np.array(
        [
            [2e-4, -2e-4, 2e-4, -0.01, -0.02, -0.03, -0.03, -0.03],
            [0.01, 0.0005, -0.0005, -0.01, -0.02, -0.03, -0.03, -0.03],
            [0.01, 0.01, 0.01, -0.01, -0.01, -0.0005, 0.0005, -0.01],
            [-0.01, -0.01, -0.01, -0.01, -0.01, -0.0005, 0.0005, 0.0009],
        ]
    )
    np.testing.assert_allclose(_last_crossing(steps, gap, steps, still), [np.nan, 2.5, 3.5, np.nan])


def test_crossings_of_straight_lines():
    rng = np.random.default_rng(1)
    where = rng.uniform(12.0, 38.0, size=500)
    one = (STEPS[None] - where[:, None]) * 0.01
    result = compare_schedules(forecast_of(one=one, flat=np.zeros_like(one)), ci_prob=0.8)
    crossing = result.crossings.iloc[0]
    assert crossing["probability"] == 1.0
    np.testing.assert_allclose(
        crossing[["lower", "median", "upper"]].astype(float), np.quantile(where, [0.1, 0.5, 0.9])
    )
    never = compare_schedules(forecast_of(low=np.zeros((3, 4)), high=np.ones((3, 4)))).crossings.iloc[0]
    assert never["probability"] == 0.0
    assert np.isnan(never["median"])


def test_the_dictionary_is_json_and_complete():
    values = np.arange(12.0).reshape(3, 4)
    result = compare_schedules(forecast_of(a=values, b=values + 1.0)).to_dict()
    read = json.loads(json.dumps(result))
    assert set(read["schedules"]["a"]) == {"final_loss", "p_best", "expected_regret"}
    assert set(read["schedules"]["a"]["final_loss"]) == {"median", "lower", "upper"}
    assert read["differences"][0]["first"] == "a"
    assert read["crossings"][0]["median"] is None


def test_one_schedule_cannot_be_compared():
    with pytest.raises(PosteriorError, match="at least two"):
        compare_schedules(forecast_of(only=np.zeros((3, 4))))


def test_many_schedules_are_compared_with_the_best():
    """Each pair says what comparing the two alone says."""
    rng = np.random.default_rng(2)
    curves = {f"s{k}": 3.0 + 0.001 * k + 0.01 * rng.standard_normal((200, 4)) for k in range(ALL_PAIRS + 5)}
    result = compare_schedules(forecast_of(**curves))
    best = result.expected_regret.idxmin()
    assert list(result.differences["first"].unique()) == [best]
    assert set(result.differences["second"]) == set(curves) - {best}
    for table in ("differences", "crossings"):
        row = getattr(result, table).iloc[7]
        alone = getattr(compare_schedules(forecast_of(**{n: curves[n] for n in (best, row["second"])})), table).iloc[0]
        pd.testing.assert_series_equal(row, alone, check_names=False)
    assert len(compare_schedules(forecast_of(**dict(list(curves.items())[:5]))).differences) == 10


def test_curves_at_different_steps_are_interpolated():
    """Against NumPy's interpolation, a draw at a time: where the lines are equal is where they cross."""
    rng = np.random.default_rng(3)
    steps = {"a": np.array([5, 12, 33, 40]), "b": np.array([10, 20, 38])}
    curves = {"a": rng.standard_normal((50, 4)), "b": rng.standard_normal((50, 3))}
    place = _last_crossing(steps["a"], curves["a"], steps["b"], curves["b"])
    assert 5 < np.isfinite(place).sum() < 50
    fine = np.linspace(10.0, 38.0, 28_001)
    for k in range(50):
        gap = np.interp(fine, steps["a"], curves["a"][k]) - np.interp(fine, steps["b"], curves["b"][k])
        turns = np.flatnonzero(gap[:-1] * gap[1:] < 0.0)
        assert np.isnan(place[k]) if not turns.size else abs(fine[turns[-1]] - place[k]) < 2e-3


@pytest.mark.parametrize("ci_prob", [3, 0.0, 1, -0.5, "0.9", None, True])
def test_what_is_no_probability_is_one_line(ci_prob):
    forecast = forecast_of(a=np.ones((5, 4)), b=np.zeros((5, 4)))
    with pytest.raises(PosteriorError, match=r"^ci_prob: found [^\n]*; allowed: between 0 and 1, such as 0.9$"):
        compare_schedules(forecast, ci_prob=ci_prob)


def test_schedules_are_compared_unless_a_run_is_continued():
    """The run's own part is left out of the question about schedules, and of a continued run it cannot be."""
    rng = np.random.default_rng(3)
    common, luck = rng.normal(3.0, 0.1, size=(2, 500, 4))
    forecast = forecast_of(a=common, b=common + 0.01)
    lucky = replace(forecast, latent={"a": common + luck, "b": common + 0.01 - luck})
    default, single = compare_schedules(lucky), compare_schedules(lucky, question="run")
    assert (default.question, single.question) == ("schedule", "run")
    assert default.p_best["a"] == 1.0
    assert single.p_best["a"] < 0.9
    pd.testing.assert_frame_equal(default.final_loss, single.final_loss)
    assert "compares schedules" in default.answers
    assert default.answers in repr(default)
    assert default.answers in default._repr_html_()
    assert single.to_dict()["question"] == "run"
    going_on = replace(lucky, continues="run 1")
    assert compare_schedules(going_on).to_dict() == single.to_dict()
    with pytest.raises(PosteriorError, match="continues the run 'run 1'"):
        compare_schedules(going_on, question="schedule")
    with pytest.raises(PosteriorError, match="question: found 'both'"):
        compare_schedules(lucky, question="both")
