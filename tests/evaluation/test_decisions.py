"""Decisions against brute force and against what was measured: slow, by the command that the pages quote."""

import warnings

import decisions
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
    table = decisions.next_run_table(2)
    assert len(table) >= 20
    assert spearmanr(table["expected"], table["realised"]).statistic > 0.6


def test_chosen_decays_beat_rules_of_thumb():
    table = decisions.optimize_table()
    assert table["regret"].mean() < 0.5 * table["1-sqrt 20%"].mean()
    assert table["regret"].max() < 0.004


def test_lengths_lie_in_their_intervals():
    table = decisions.reach_measured()
    assert len(table) >= 20
    assert table["held"].mean() >= 0.8


def test_simulated_lengths_lie_in_their_intervals():
    """Twenty trials of 90%: fewer than 14 would come once in a thousand."""
    assert decisions.reach_simulated(20)["held"].sum() >= 14
