"""Thinning: how many, which, and that shared stays shared."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.curves.thinning import annealing
from bayeslr.errors import CurveError
from bayeslr.schedules import Schedule

TOTAL, WARMUP = 10_000, 500
STEPS = np.arange(50, TOTAL + 1, 50)


def wsd(decay_from):
    lr = np.ones(TOTAL)
    lr[:WARMUP] = np.arange(WARMUP) / WARMUP
    if decay_from is not None:
        lr[decay_from:] = np.linspace(1, 0, TOTAL - decay_from, endpoint=False)
    return Schedule(lr=lr)


def curve(name, decay_from=None, noise=0.0):
    loss = 5 - np.log(STEPS) / 4
    loss = np.where((decay_from or TOTAL) < STEPS, loss - 0.1 + noise, loss)
    return LossCurve(name=name, steps=STEPS, loss=loss, schedule=wsd(decay_from), params=1e6)


def thin(*curves, n):
    return CurveSet(curves=curves).thin(n)


@pytest.mark.parametrize("n", [2, 3, 7, 20, 99])
@pytest.mark.parametrize("decay_from", [None, 600, 8000])
def test_budget_and_ends(n, decay_from):
    (c,) = thin(curve("a", decay_from), n=n)
    assert len(c) == n
    assert c.steps[0] == 550  # the first one after the warm-up
    assert c.steps[-1] == TOTAL


@pytest.mark.parametrize("n", [10, 20, 40])
def test_half_of_the_budget_goes_to_the_annealing_part(n):
    c = curve("a", 8000)
    (t,) = thin(c, n=n)
    late = t.steps > 8000
    assert late.sum() >= n / 2
    gaps = np.diff(t.steps[late])
    assert gaps.max() <= 2 * 2000 / late.sum() + 50  # evenly
    early = np.log(t.steps[~late])
    assert np.diff(early).max() < 3 * (early[-1] - early[0]) / early.size  # evenly in log step


def test_all_of_the_annealing_part_if_there_is_room():
    (t,) = thin(curve("a", 9500), n=40)
    assert (t.steps > 9500).sum() == 10


def test_a_drop_anneals_for_the_rest_of_the_run():
    lr = np.ones(1000)
    lr[400:] = 0.3
    c = LossCurve(name="a", steps=[100, 400, 401, 900], loss=[4, 3, 2, 1], schedule=Schedule(lr=lr))
    assert annealing(c).tolist() == [False, False, True, True]


def test_nothing_is_dropped_but_the_warm_up_if_there_is_room():
    (t,) = thin(curve("a", 8000), n=10_000)
    assert t.steps.tolist() == [s for s in STEPS if s > WARMUP]


def test_thinning_is_deterministic():
    one, two = (thin(curve("a", 8000), n=17) for _ in range(2))
    assert one["a"].steps.tolist() == two["a"].steps.tolist()


@given(
    st.lists(st.sampled_from([None, 3000, 5000, 8000, 9000, 9700]), min_size=2, max_size=6, unique=True),
    st.integers(4, 60),
)
@settings(deadline=None)
def test_shared_stays_shared(branch_points, n):
    curves = CurveSet(curves=tuple(curve(f"c{i}", at, noise=i / 1000) for i, at in enumerate(branch_points)))
    thinned = curves.thin(n)
    assert thinned.names == curves.names
    assert all(len(c) <= n for c in thinned)
    # Counted by hand: what is owned after thinning is what is distinct after thinning.
    owned = sum(int(own.sum()) for own in thinned.owned())
    assert owned == len({(int(s), float(x)) for c in thinned for s, x in zip(c.steps, c.loss, strict=True)})
    # The budget of a branch goes to its own observations first; what it shares is what its trunk kept.
    for i, c in enumerate(thinned):
        before = curves.owned()[i][np.isin(STEPS, c.steps)]
        own_before = int(curves.owned()[i][STEPS > WARMUP].sum())
        assert before.sum() >= min(own_before, n // 2)
        trunk = curves.trunks()[i]
        if trunk >= 0 and n >= 2 * len(branch_points) + 4:
            assert thinned.trunks()[i] == trunk


def test_a_branch_takes_over_the_choice_of_its_trunk():
    thinned = thin(curve("trunk"), curve("a", 5000), curve("b", 8000, noise=0.01), n=30)
    kept = set(thinned["trunk"].steps.tolist())
    for name, at in (("a", 5000), ("b", 8000)):
        prefix = {s for s in thinned[name].steps.tolist() if s <= at}
        assert prefix <= kept
        assert at in prefix  # where they part
        assert thinned.owned()[thinned.names.index(name)].sum() == len(thinned[name]) - len(prefix)


@pytest.mark.parametrize("n", [1, 0, -5, 2.5, True, "10", None])
def test_bad_budgets(n):
    with pytest.raises(CurveError, match=r"max_points_per_run is .*; allowed: an integer of 2 or more"):
        thin(curve("a"), n=n)
