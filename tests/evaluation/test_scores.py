"""Scores against plain loops, closed forms, and forecasts that are known to be right or wrong."""

import numpy as np
import pytest
from scipy import stats

from bayeslr.errors import PosteriorError
from bayeslr.evaluation import score_run
from bayeslr.evaluation.scores import LEVELS

RNG = np.random.default_rng(0)


def test_every_score_against_a_plain_loop():
    draws, observed = RNG.normal(2.0, 0.1, (51, 7)), RNG.normal(2.0, 0.2, 7)
    score = score_run(draws, observed)
    crps, interval, width, error, pit, hits = [], [], [], [], [], {level: [] for level in LEVELS}
    for k, y in enumerate(observed):
        column = np.sort(draws[:, k])
        pairs = np.mean([abs(a - b) for a in column for b in column])
        crps.append(np.mean([abs(a - y) for a in column]) - pairs / 2.0)
        for level in LEVELS:
            low, high = (np.quantile(column, p) for p in ((1 - level) / 2, (1 + level) / 2))
            hits[level].append(low <= y <= high)
            if level == 0.9:
                width.append(high - low)
                interval.append(high - low + 20.0 * (max(low - y, 0.0) + max(y - high, 0.0)))
        error.append(abs(column[25] - y))
        pit.append(sum(a < y for a in column) / 51)
    assert score.n == 7
    assert [score.coverage_50, score.coverage_80, score.coverage_90, score.coverage_95] == [
        np.mean(hits[level]) for level in LEVELS
    ]
    assert score.crps == pytest.approx(np.mean(crps), rel=1e-10)
    assert score.interval_score == pytest.approx(np.mean(interval), rel=1e-10)
    assert score.width_90 == pytest.approx(np.mean(width), rel=1e-10)
    assert score.mae == pytest.approx(np.mean(error), rel=1e-10)
    assert score.mape == pytest.approx(100 * np.mean(np.array(error) / observed), rel=1e-10)
    assert score.final_in_90 == float(hits[0.9][-1])
    assert score.final_width_90 == pytest.approx(width[-1], rel=1e-10)
    assert score.final_error == pytest.approx(np.sort(draws[:, -1])[25] - observed[-1], rel=1e-10)
    np.testing.assert_allclose(score.pit, pit)


def test_crps_of_a_normal_in_closed_form():
    # Gneiting and Raftery 2007, equation 21
    observed = np.array([-1.5, 0.1, 0.4, 3.0])
    draws = np.repeat(stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None], 4, axis=1)
    exact = observed * (2 * stats.norm.cdf(observed) - 1) + 2 * stats.norm.pdf(observed) - 1 / np.sqrt(np.pi)
    for k, value in enumerate(exact):
        assert score_run(draws[:, [k]], observed[[k]]).crps == pytest.approx(value, abs=2e-4)


def test_a_calibrated_forecast_covers_and_one_with_half_the_width_does_not():
    """4000 independent observations: each coverage within 4 standard errors, missed by chance once in 15,000."""
    rng, n = np.random.default_rng(1), 4000
    center = rng.normal(3.0, 0.5, n)
    observed = center + 0.1 * rng.standard_normal(n)
    noise = stats.norm.ppf((np.arange(999) + 0.5) / 999)[:, None]
    right, narrow = (score_run(center + width * noise, observed) for width in (0.1, 0.05))
    for level in LEVELS:
        slack = 4 * np.sqrt(level * (1 - level) / n) + 0.001
        name = f"coverage_{100 * level:.0f}"
        assert getattr(right, name) == pytest.approx(level, abs=slack)
        expected = 2 * stats.norm.cdf(stats.norm.ppf((1 + level) / 2) / 2) - 1
        assert getattr(narrow, name) == pytest.approx(expected, abs=4 * np.sqrt(0.25 / n) + 0.001)
        assert getattr(narrow, name) < level - slack
    assert stats.kstest(right.pit, "uniform").pvalue > 1e-4
    assert stats.kstest(narrow.pit, "uniform").pvalue < 1e-12
    assert right.crps < narrow.crps
    assert right.interval_score < narrow.interval_score
    assert narrow.mae == pytest.approx(right.mae, rel=1e-9)


def test_a_point_has_no_band_and_its_crps_is_the_error():
    score = score_run(np.array([[2.0, 3.0]]), np.array([2.5, 2.9]))
    assert score.crps == pytest.approx(score.mae)
    assert score.mae == pytest.approx(0.3)
    bands = {name for name, value in score.numbers().items() if np.isnan(value)}
    assert bands == {
        *(f"coverage_{p}" for p in (50, 80, 90, 95)),
        *("final_in_90", "final_width_90", "interval_score", "width_90"),
    }
    assert np.isnan(score.pit).all()


def test_ties_are_drawn_and_nothing_else_is():
    observed = np.full(2000, 1.0)
    draws = np.repeat(np.array([0.0, 1.0, 1.0, 2.0])[:, None], 2000, axis=1)
    tied = score_run(draws, observed, seed=3).pit
    assert 0.25 <= tied.min() < 0.27
    assert 0.73 < tied.max() <= 0.75
    np.testing.assert_array_equal(tied, score_run(draws, observed, seed=3).pit)
    assert not np.array_equal(tied, score_run(draws, observed, seed=4).pit)
    free = RNG.normal(size=(50, 20))
    np.testing.assert_array_equal(score_run(free, free[0] + 1e-9).pit, score_run(free, free[0] + 1e-9, seed=9).pit)


@pytest.mark.parametrize(
    ("draws", "observed"),
    [
        (np.zeros((4, 3)), np.zeros(2)),
        (np.zeros(3), np.zeros(3)),
        (np.zeros((4, 0)), np.zeros(0)),
        (np.zeros((0, 3)), np.zeros(3)),
        (np.full((4, 3), np.nan), np.zeros(3)),
    ],
)
def test_what_cannot_be_scored_is_one_line(draws, observed):
    with pytest.raises(PosteriorError, match="allowed") as caught:
        score_run(draws, observed)
    assert "\n" not in str(caught.value)
