"""Splits: who is fitted, who is scored, and from which step on."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from bayeslr.curves import CurveSet
from bayeslr.errors import CurveError, DataWarning
from bayeslr.evaluation import Split, by_query, horizon, leave_one_run_out, leave_one_size_out


def other_size(curves, size="large", params=4e7):
    """The same runs at another size; their losses differ, so nothing is shared."""
    return CurveSet(
        curves=tuple(replace(c, name=f"{c.name} {size}", size=size, params=params, loss=c.loss - 0.2) for c in curves)
    )


def joined(*sets):
    return CurveSet(curves=tuple(curve for curves in sets for curve in curves))


def test_a_branch_is_scored_from_its_branching_on(branched):
    split = by_query(branched, train="split == 'train'", test="split == 'test'", skip_shared=True)
    assert split.first_step == {"cooldown": 1181}  # logged every 40 steps from 140: 1180 is the last shared one
    (scored,) = split.scored
    np.testing.assert_array_equal(scored.steps, np.arange(1220, 2001, 40))
    fitted = {(step, loss) for curve in split.train for step, loss in zip(curve.steps, curve.loss, strict=True)}
    assert not fitted & set(zip(scored.steps, scored.loss, strict=True))
    with pytest.warns(DataWarning, match="27 of 47 scored observations are in training runs too"):
        whole = by_query(branched, train="split == 'train'", test="split == 'test'")
    np.testing.assert_array_equal(whole.scored["cooldown"].steps, branched["cooldown"].steps)


def test_a_run_of_its_own_is_scored_after_its_warmup(small_curves):
    early = replace(
        small_curves["cosine"],
        steps=np.append(60, small_curves["cosine"].steps),
        loss=np.append(5.0, small_curves["cosine"].loss),
    )
    curves = CurveSet(curves=(small_curves["constant"], small_curves["drops"], early))
    split = by_query(curves, train="run != 'cosine'", test="run == 'cosine'", skip_shared=True)
    assert split.first_step == {"cosine": None}
    np.testing.assert_array_equal(split.scored["cosine"].steps, small_curves["cosine"].steps)


def test_every_run_is_left_out_once(branched):
    splits = leave_one_run_out(branched)
    assert [split.name for split in splits] == list(branched.names)
    for split in splits:
        assert split.test.names == (split.name,)
        assert set(split.train.names) == set(branched.names) - {split.name}
    by_name = {split.name: split for split in splits}
    # the trunk shares with its branch what the branch shares with it
    assert by_name["constant"].scored["constant"].steps[0] == 1220
    assert by_name["cooldown"].scored["cooldown"].steps[0] == 1220


def test_a_run_inside_another_one_is_not_scored(small_curves):
    beginning = replace(small_curves["constant"].take(small_curves["constant"].steps < 900), name="beginning")
    curves = joined(small_curves, [beginning])
    with pytest.warns(DataWarning, match="not scored.*beginning"):
        splits = leave_one_run_out(curves)
    assert [split.name for split in splits] == list(small_curves.names)
    with pytest.raises(CurveError, match="do not hold too"):
        by_query(curves, train="run == 'constant'", test="run == 'beginning'", skip_shared=True)


def test_every_size_is_left_out_once(small_curves):
    curves = joined(small_curves, other_size(small_curves))
    splits = leave_one_size_out(curves)
    assert [split.name for split in splits] == ["small", "large"]
    assert {curve.size for curve in splits[0].train} == {"large"}
    assert {curve.size for curve in splits[0].scored} == {"small"}


@pytest.mark.parametrize("cut", [{"step": 1000}, {"fraction": 0.5}])
def test_the_horizon_parts_every_run_in_time(small_curves, cut):
    split = horizon(small_curves, **cut)
    assert split.continued == set(small_curves.names)
    for curve in small_curves:
        np.testing.assert_array_equal(split.train[curve.name].steps, curve.steps[curve.steps <= 1000])
        scored = split.scored[curve.name].steps
        assert scored[0] > 1000
        assert scored[-1] == 1980
        assert split.train[curve.name].schedule.total_steps == 2000


def test_the_horizon_of_a_branch_is_where_its_trunk_was_fitted_to(branched):
    # a trunk that is planned for longer is fitted beyond the half of its branch
    plan = replace(branched["constant"].schedule, lr=np.append(branched["constant"].schedule.lr, np.full(500, 1e-3)))
    trunk = replace(branched["constant"], schedule=plan)
    split = horizon(CurveSet(curves=(trunk, branched["cooldown"])), fraction=0.5)
    assert split.train["constant"].steps[-1] == 1220
    assert split.train["cooldown"].steps[-1] == 980
    assert split.scored["cooldown"].steps[0] == 1220


def test_runs_that_have_ended_or_not_begun(small_curves):
    short = replace(small_curves["cosine"].take(small_curves["cosine"].steps < 600), name="short")
    late = replace(
        small_curves["drops"].take(small_curves["drops"].steps > 900), name="late", loss=small_curves["drops"].loss[20:]
    )
    split = horizon(CurveSet(curves=(small_curves["constant"], short, late)), step=800)
    assert split.train.names == ("constant", "short")
    assert split.test.names == ("constant", "late")
    assert split.continued == {"constant"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c: by_query(c, train="size == 'small'", test="run == 'cosine'"), "both select the run 'cosine'"),
        (lambda c: by_query(c, train="color == 1", test="run == 'cosine'"), "color"),
        (lambda c: leave_one_run_out(c.select("run == 'cosine'")), "at least two"),
        (lambda c: leave_one_size_out(c), "found one size"),
        (lambda c: horizon(c), "one of them"),
        (lambda c: horizon(c, step=10, fraction=0.5), "one of them"),
        (lambda c: horizon(c, fraction=1.5), "between 0 and 1"),
        (lambda c: horizon(c, step=0), "1 or more"),
        (lambda c: horizon(c, step=120), "lies before step 120"),
        (lambda c: horizon(c, step=2000), "lies after step 2000"),
        (lambda c: Split(name="s", train=c, test=c), "both fitted and scored"),
        (lambda c: Split(name="s", train=c, test=c, continued=frozenset([*c.names, "x"])), "'x' is continued"),
        (
            lambda c: Split(
                name="s", train=c, test=c, continued=frozenset(c.names), first_step=dict.fromkeys(c.names, 5000)
            ),
            "no observation to score",
        ),
    ],
)
def test_what_cannot_be_split_is_one_line(small_curves, make, message):
    with pytest.raises(CurveError, match=message) as caught:
        make(small_curves)
    assert "\n" not in str(caught.value)


def test_a_split_survives_the_way_to_another_process(branched):
    split = by_query(branched, train="split == 'train'", test="split == 'test'", skip_shared=True)
    again = pickle.loads(pickle.dumps(split))
    assert again.first_step == split.first_step
    np.testing.assert_array_equal(again.scored["cooldown"].loss, split.scored["cooldown"].loss)
    assert again.scored["cooldown"].schedule == split.scored["cooldown"].schedule
