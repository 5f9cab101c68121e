"""Decisions against brute force and against what was measured: slow, by the command that the pages quote."""

import warnings

import decisions
import numpy as np
import pytest
from scipy.stats import spearmanr

from bayeslr.errors import BayeslrWarning

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(autouse=True)
def told(data_dir):
    """What the fits are warned of is on the pages."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        yield


def test_the_ranking_of_candidates_is_that_of_fits_with_each():
    """Rankings that have nothing to do with each other would pass twice in a thousand; that of the page is .9."""
    table = decisions.next_run_table(1)
    assert len(table) >= 20
    assert spearmanr(table["expected"], table["realised"]).statistic > 0.6


def test_so_is_the_ranking_of_measured_runs():
    """Twenty runs of multi-power-law: what is measured of one moves the interval, too, so that the bound is lower."""
    table = decisions.next_run_measured()
    assert len(table) >= 20
    assert spearmanr(table["expected"], table["realised"]).statistic > 0.5


def test_chosen_decays_beat_rules_of_thumb():
    table = decisions.optimize_table()
    assert table["regret"].mean() < 0.5 * table["1-sqrt 20%"].mean()
    assert table["regret"].max() < 0.004
    assert (table["of them good"] == table["inside"]).mean() > 0.7


def test_lengths_lie_in_their_intervals():
    table = decisions.reach_measured()
    assert len(table) >= 20
    assert table["held"].mean() >= 0.8


def test_simulated_lengths_lie_in_their_intervals():
    """Thirty trials of 90%: fewer than 22 would come twice in a thousand."""
    assert decisions.reach_simulated(30)["held"].sum() >= 22


def test_forecasts_of_a_run_narrow_and_hold():
    """Six runs at 90%: fewer than four held would come once in sixty looks."""
    table = decisions.watch_table().groupby("share")
    assert (table["held"].sum() >= 4).all()
    widths = table["width"].mean().to_numpy()
    assert (np.diff(widths) < 0.0).all()
    assert widths[-1] < 0.6 * widths[0]
