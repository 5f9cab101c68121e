"""Shared prefixes: each distinct observation is owned once, whoever wrote it down how often."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.curves.sharing import common_updates, owned, relatives, shared, trunks
from bayeslr.schedules import Schedule

STEPS = np.arange(100, 1100, 100)


def rates(drop_at=None, total=1000):
    lr = np.full(total, 1e-3)
    if drop_at is not None:
        lr[drop_at:] = 1e-4
    return Schedule(lr=lr)


def curve(name, loss, *, drop_at=None, steps=STEPS, size="S", params=1e6):
    return LossCurve(name=name, steps=steps, loss=loss, schedule=rates(drop_at), size=size, params=params)


TRUNK = 5 - np.log(STEPS) / 3


def branch(name, at):
    return curve(name, np.where(at >= STEPS, TRUNK, TRUNK - 0.1 - len(name) / 100), drop_at=at)


def test_branches_own_what_follows_the_branch_point():
    curves = CurveSet(curves=(curve("trunk", TRUNK), branch("early", 400), branch("late", 700)))
    own = curves.owned()
    assert own[0].all()
    assert STEPS[own[1]].tolist() == [500, 600, 700, 800, 900, 1000]
    assert STEPS[own[2]].tolist() == [800, 900, 1000]
    assert curves.trunks() == (-1, 0, 0)


def test_the_first_curve_owns_whatever_it_is():
    curves = CurveSet(curves=(branch("late", 700), branch("early", 400), curve("trunk", TRUNK)))
    own = curves.owned()
    assert [int(o.sum()) for o in own] == [10, 6, 3]
    assert curves.trunks() == (-1, 0, 0)


def test_the_trunk_is_the_curve_that_went_along_furthest():
    curves = CurveSet(curves=(branch("early", 400), branch("late", 700), curve("trunk", TRUNK)))
    assert curves.trunks() == (-1, 0, 1)


def test_equal_losses_after_a_difference_are_chance():
    other = TRUNK + 0.001
    other[3] = TRUNK[3]
    curves = CurveSet(curves=(curve("a", TRUNK), curve("b", other)))
    assert curves.owned()[1].all()
    assert curves.trunks() == (-1, -1)


def test_equal_losses_after_a_shared_prefix_and_a_difference_are_chance_too():
    other = np.where(STEPS <= 300, TRUNK, TRUNK + 0.001)
    other[7] = TRUNK[7]
    assert STEPS[shared(curve("b", other), curve("a", TRUNK))].tolist() == [100, 200, 300]


def test_equal_losses_after_different_rates_are_not_shared():
    curves = CurveSet(curves=(curve("a", TRUNK), curve("b", TRUNK, drop_at=350)))
    assert STEPS[~curves.owned()[1]].tolist() == [100, 200, 300]


def test_sizes_share_nothing():
    for other in (curve("b", TRUNK, size="L"), curve("b", TRUNK, params=2e6), curve("b", TRUNK, size=None)):
        assert not shared(other, curve("a", TRUNK)).any()


def test_steps_that_only_one_of_them_logged_do_not_end_the_prefix():
    sparse = curve("b", TRUNK[::3], steps=STEPS[::3])
    assert shared(sparse, curve("a", TRUNK)).tolist() == [True] * 4
    assert STEPS[shared(curve("a", TRUNK), sparse)].tolist() == [100, 400, 700, 1000]


def test_common_updates():
    assert common_updates(rates(), rates(300)) == 300
    assert common_updates(rates(), rates(total=500)) == 500
    assert common_updates(rates(0), rates()) == 0
    nudged = Schedule(lr=rates().lr * (1 + 1e-12))
    assert common_updates(rates(), nudged) == 1000
    assert common_updates(rates(), Schedule(lr=rates().lr * 1.01), tolerance=0.1) == 1000


@given(st.lists(st.integers(0, 10), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_each_distinct_observation_is_owned_once(branch_points, random):
    """Against a plain count: a branch adds to the trunk exactly the observations after its branch point."""
    points = [100 * b for b in branch_points]
    noise = np.random.default_rng(random.getrandbits(32)).normal(size=(len(points), STEPS.size))
    curves = [
        curve(f"b{i}", np.where(at >= STEPS, TRUNK, TRUNK + noise[i]), drop_at=at if at < 1000 else None)
        for i, at in enumerate(points)
    ]
    distinct = {(int(s), float(x)) for c in curves for s, x in zip(c.steps, c.loss, strict=True)}
    counted = [
        (int(s), float(x))
        for c, own in zip(curves, CurveSet(curves=tuple(curves)).owned(), strict=True)
        for s, x, mine in zip(c.steps, c.loss, own, strict=True)
        if mine
    ]
    assert len(counted) == len(set(counted))
    assert set(counted) == distinct


@given(
    at=st.lists(st.sampled_from([0, 200, 400, 700, 1000]), min_size=1, max_size=7),
    kinds=st.lists(st.sampled_from(["S", "M"]), min_size=7, max_size=7),
    chance=st.lists(st.booleans(), min_size=7, max_size=7),
)
def test_relatives_leave_out_nothing_that_a_comparison_of_all_pairs_finds(at, kinds, chance):
    curves = []
    for k, (place, kind, hit) in enumerate(zip(at, kinds, chance, strict=False)):
        loss = np.where(place >= STEPS, TRUNK, TRUNK - 0.1 - k / 100)
        loss[-1] = 1.0 if hit else loss[-1]
        curves.append(curve(f"run{k}", loss, drop_at=place, size=kind))
    found = relatives(curves)
    for i, here in enumerate(curves):
        earlier = [k for k in range(i) if shared(here, curves[k]).any()]
        assert set(earlier) <= set(found[i]) <= set(range(i))
        mine = np.ones(len(here), dtype=bool)
        for k in earlier:
            mine &= ~shared(here, curves[k])
        np.testing.assert_array_equal(owned(curves)[i], mine)
        last = [int(here.steps[shared(here, curves[k])].max()) for k in earlier]
        assert trunks(curves)[i] == (earlier[last.index(max(last))] if last else -1)


def test_many_runs_that_share_nothing_are_not_compared():
    """Of thousands of final losses, all pairs would take minutes."""
    rng = np.random.default_rng(0)
    curves = [curve(f"run{k}", rng.normal(3.0, 0.1, 10)) for k in range(200)]
    assert not any(relatives(curves))
    assert owned([]) == trunks([]) == relatives([]) == ()
