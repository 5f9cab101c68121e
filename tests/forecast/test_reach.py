"""Lengths that a target needs, against counts and against the schedule to beat itself."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from bayeslr.curves import CurveSet
from bayeslr.errors import ExtrapolationWarning, PosteriorError, ScheduleError
from bayeslr.forecast import Reach, reach
from bayeslr.forecast.tokens import tokens_of_a_step
from bayeslr.schedules import wsd
from bayeslr.schedules.family import parse_family

FAMILY = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=800..4000, decay_steps=20%)"


def made(chances, steps):
    """An answer with chosen probabilities."""
    table = pd.DataFrame({"total_steps": steps, "median": 3.0, "lower": 2.9, "upper": 3.1, "p_reached": chances})
    return Reach(
        family=parse_family(FAMILY),
        size="all",
        target=3.0,
        baseline=None,
        lengths=table,
        tokens_per_step=2e6,
        question="schedule",
        ci_prob=0.9,
    )


def test_quantiles_of_a_known_distribution():
    """Log-normal lengths: quantiles come back from probabilities at a few lengths."""
    steps = np.geomspace(1e3, 1e5, 41)
    found = made(norm.cdf(np.log(steps), np.log(9e3), 0.4), steps)
    for probability in (0.05, 0.5, 0.9):
        exact = 9e3 * np.exp(0.4 * norm.ppf(probability))
        assert found.steps(probability) == pytest.approx(exact, rel=0.01)
    assert found.p_reached == pytest.approx(1.0)


def test_what_is_not_reached_is_infinite_and_said():
    found = made([0.0, 0.1, 0.3], [100, 200, 400])
    lower, median, upper = found.interval
    assert 100 < lower < 200
    assert median == upper == np.inf
    assert found.p_reached == 0.3
    assert any("more than 400 steps rather than fewer; ask about longer runs." in line for line in found.sentences)
    assert found.to_dict()["steps"]["upper"] is None
    early = made([0.97, 1.0], [100, 200])
    assert early.steps(0.5) == 100
    assert any("at most 100" in line for line in early.sentences)


def test_a_loss_below_the_floor_is_reached_by_no_length(small_posterior):
    """The law that made the curves has L0 = 2.6: no length reaches 0.5, many reach 2.9, and 2.75 takes a long run."""
    below = reach(small_posterior, FAMILY, loss=0.5, points=5)
    assert below.floor["p_reached"] == 0.0
    assert below.floor["lower"] < 2.6 + 0.05
    assert below.floor["median"] == pytest.approx(2.6, abs=0.15)
    (line,) = [line for line in below.sentences if "floor" in line]
    assert line.startswith("No run of this family does, however long")
    assert f"{below.floor['median']:.4f}" in line
    assert not any("longer runs" in text for text in below.sentences)
    assert json.loads(json.dumps(below.to_dict()))["floor"]["p_reached"] == 0.0
    assert reach(small_posterior, FAMILY, loss=2.9, points=5).floor is None
    longest = below.lengths["median"].iloc[-1]
    further = reach(small_posterior, FAMILY, loss=float(longest) - 0.02, points=5)
    assert further.floor["p_reached"] > 0.5
    assert any("ask about longer runs" in text for text in further.sentences)


def test_between_floor_and_certainty_the_law_says_how_likely_a_length_is():
    floor = {"lower": 2.8, "median": 2.9, "upper": 3.1, "p_reached": 0.3}
    found = replace(made([0.0, 0.1, 0.2], [100, 200, 400]), floor=floor)
    assert any("no length is enough (probability that some is: 0.300)" in line for line in found.sentences)
    # which interval is shown does not decide whether a length is enough
    for ci_prob in (0.5, 0.9, 0.99):
        rare = replace(found, ci_prob=ci_prob, floor=floor | {"p_reached": 0.02})
        assert any("no length is enough (probability that some is: 0.020)" in line for line in rare.sentences)


def test_what_reach_takes_is_said_where_nothing_is_left_open(small_posterior):
    with pytest.raises(ScheduleError, match=r"nothing is left free; allowed: .* total_steps=lo\.\.hi") as raised:
        reach(small_posterior, FAMILY.replace("800..4000", "4000"), loss=2.9)
    assert "decay_steps=1000" not in str(raised.value)
    # what it names can be asked
    named = re.search(r"such as (wsd\(.*\))$", str(raised.value))[1]
    assert [argument.name for argument in parse_family(named).free] == ["total_steps"]


def test_a_schedule_beats_itself_at_its_own_length(small_posterior):
    """Paired draws: the length that beats a member of the family is that member's, with hardly any doubt."""
    own = wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, decay_steps=400)
    found = reach(small_posterior, FAMILY, baseline=own, seed=2, points=25)
    lower, median, upper = found.interval
    assert median == pytest.approx(2000, rel=0.05)
    assert upper / lower < 1.15
    assert any(
        line.startswith(f"That is {median / 2000:.2f} times what the baseline costs") for line in found.sentences
    )
    loss = float(found.lengths["median"].iloc[np.argmin(np.abs(found.lengths["total_steps"] - 2000))])
    alone = reach(small_posterior, FAMILY, loss=loss, seed=2, points=25)
    assert alone.interval[1] == pytest.approx(2000, rel=0.05)
    # the level of the loss is less certain than the difference between two schedules
    assert alone.interval[2] / alone.interval[0] > upper / lower


def test_probabilities_rise_with_the_length_and_fall_with_the_target(small_posterior):
    easy, hard = (reach(small_posterior, FAMILY, loss=x, seed=2, points=9) for x in (2.95, 2.85))
    for found in (easy, hard):
        assert (np.diff(found.lengths["p_reached"]) >= 0.0).all()
    assert (easy.lengths["p_reached"] >= hard.lengths["p_reached"]).all()
    assert json.loads(json.dumps(easy.to_dict()))["p_reached"] == easy.p_reached
    assert len(easy.to_dataframe()) == 9
    assert len(repr(easy)) < 120


def test_tokens_come_from_the_columns_of_the_runs(small_curves):
    def having(*columns, batch_size=None):
        # a batch that a curve had before stays its own
        curves = [replace(c, metadata=m, batch_size=None) for c, m in zip(small_curves, columns * 3, strict=False)]
        return tokens_of_a_step(CurveSet(curves=tuple(curves)), batch_size)

    assert having({"batch_tokens": "524288"}) == 524288
    assert having({"batch_size": 512, "seq_len": 2048.0}) == 512 * 2048
    assert having({"batch_size": 512}) is None
    assert having({"batch_tokens": 1}, {"batch_tokens": 2}) is None
    assert having({"batch_tokens": "nan"}) is None
    # of another batch, in the unit that runs have theirs in
    assert having({"batch_tokens": 1000}, {"batch_tokens": 2000}, batch_size=3000.0) == 3000
    assert having({"batch_size": 512, "seq_len": 2048.0}, batch_size=256.0) == 256 * 2048
    assert having({"batch_size": 512}, batch_size=256.0) is None


def test_a_larger_batch_needs_fewer_steps(of_one_batch):
    """By theory alone, as no fitted run has another: progress grows and the floor falls with the batch."""
    usual = reach(of_one_batch, FAMILY, loss=2.9, seed=2, points=9)
    with pytest.warns(ExtrapolationWarning, match="no run of this size has the batch size 1024"):
        larger = reach(of_one_batch, FAMILY, loss=2.9, seed=2, points=9, batch_size=1024)
    assert (larger.lengths["median"] < usual.lengths["median"]).all()


@pytest.mark.parametrize(
    ("family", "settings", "found"),
    [
        (FAMILY, {}, "found neither a loss to reach nor a baseline to beat; allowed: one of"),
        (FAMILY, {"loss": 2.9, "baseline": wsd(peak_lr=1.0, total_steps=9, decay_steps=3)}, "found both a loss"),
        (FAMILY, {"loss": -1.0}, "positive"),
        (FAMILY, {"loss": 2.9, "tokens_per_step": 0.0}, "tokens_per_step"),
        ("wsd(peak_lr=1e-3, total_steps=900, decay_steps=1..9)", {"loss": 2.9}, "total_steps alone"),
    ],
)
def test_wrong_questions_are_refused(small_posterior, family, settings, found):
    with pytest.raises(PosteriorError, match=found):
        reach(small_posterior, family, seed=0, **settings)
