"""Runs that begin in the middle: who is the parent, and what the joined history is."""

import numpy as np
import pytest

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.curves.branches import RawRun, join_branches, starts_late
from bayeslr.errors import CurveError
from bayeslr.schedules import Schedule

TOTAL, WARMUP, EVERY = 10_000, 100, 50


def rates(decay_from=None, total=TOTAL, peak=1.0):
    lr = np.full(total, peak)
    lr[:WARMUP] = peak * np.arange(WARMUP) / WARMUP
    if decay_from is not None:
        lr[decay_from:] = np.linspace(peak, 0, total - decay_from, endpoint=False)
    return Schedule(lr=lr)


def base_loss(steps, offset=0.0):
    return 3 + 20 / np.sqrt(steps) + offset


def run(
    name, *, first=EVERY, last=TOTAL, decay_from=None, offset=0.0, parent=None, rates_from=0, schedule=None, **facts
):
    steps = np.arange(first, last + 1, EVERY)
    loss = base_loss(steps, offset) - np.maximum(0, steps - (decay_from or TOTAL)) / 1e5
    facts = {"params": 1e6, "size": "S", **facts}
    curve = LossCurve(
        name=name,
        steps=steps,
        loss=loss,
        schedule=schedule or rates(decay_from),
        params=facts.pop("params"),
        size=facts.pop("size"),
        metadata=facts,
    )
    return RawRun(curve=curve, parent=parent, rates_from=rates_from)


def joined(*runs, name, **options):
    (answer,) = join_branches(runs, names=[name], **options)
    return answer


def test_the_parents_history_comes_first():
    trunk, branch = run("trunk"), run("branch", first=6000, decay_from=6000)
    answer = joined(branch, trunk, name="branch")
    assert answer.parent == "trunk"
    assert answer.note == ""
    assert answer.curve.steps.tolist() == list(range(EVERY, TOTAL + 1, EVERY))
    before = answer.curve.steps <= 6000
    assert answer.curve.loss[before].tolist() == base_loss(answer.curve.steps[before]).tolist()
    assert answer.curve.loss[~before].tolist() == branch.curve.loss[1:].tolist()
    assert answer.curve.schedule is branch.curve.schedule
    assert answer.curve.metadata["parent"] == "trunk"


def test_joined_runs_share_their_past():
    runs = [run("trunk"), run("a", first=4000, decay_from=4000), run("b", first=6000, decay_from=6000)]
    curves = CurveSet(curves=tuple(j.curve for j in join_branches(runs)))
    assert [int(own.sum()) for own in curves.owned()] == [200, 120, 80]
    assert curves.trunks() == (-1, 0, 0)


def test_the_state_at_the_branch_point_is_counted_once():
    """The branch evaluated its first checkpoint again and got 1e-5 more: it is the same state."""
    branch = run("branch", first=6000, decay_from=6000, offset=1e-5)
    curve = joined(run("trunk"), branch, name="branch").curve
    assert curve.loss[curve.steps == 6000] == base_loss(6000)
    assert curve.loss[curve.steps == 6050] == branch.curve.loss[1]


def test_a_branch_of_a_branch():
    trunk = run("trunk", last=4000)
    middle = run("middle", first=4000, last=7000)
    leaf = run("leaf", first=7000, decay_from=7000)
    answer = joined(leaf, middle, trunk, name="leaf")
    assert answer.parent == "middle"
    assert answer.curve.steps[0] == EVERY
    assert len(answer.curve) == TOTAL // EVERY


def test_of_many_runs_with_the_same_rates_the_one_with_the_same_loss_is_the_parent():
    seeds = [run(f"seed{i}", offset=i / 1000, kind="wsd") for i in range(5)]
    branch = run("branch", first=6000, decay_from=6000, offset=0.003, kind="cool-down")
    assert joined(*seeds, branch, name="branch").parent == "seed3"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"size": "L"}, "no other run of its size has earlier losses"),
        ({"params": 2e6}, "no other run of its size has earlier losses"),
        ({"decay_from": 5000}, r"the rates of 'trunk' up to there are others \(its peak is 1, this run's 1\)"),
        ({"schedule": rates(peak=2.0)}, r"the rates of 'trunk' up to there are others \(its peak is 2, this run's 1\)"),
        ({"first": 6000}, "no other run of its size has earlier losses"),
        ({"offset": 1.0}, "the loss of 'trunk', which has its rates, is another there"),
    ],
)
def test_what_is_no_parent(other, why):
    branch = run("branch", first=6000, decay_from=6000)
    with pytest.raises(CurveError, match=rf"'branch' starts at step 6000.*{why}; allowed: name its `parent`") as e:
        joined(run("trunk", **other), branch, name="branch")
    assert "\n" not in str(e.value)
    late = joined(run("trunk", **other), branch, name="branch", allow_late_start=True)
    assert late.parent is None
    assert late.curve is branch.curve


def test_noisy_losses_are_settled_by_metadata_and_said():
    branch = run("branch", first=6000, decay_from=6000, offset=0.02, data="web", split="test")
    web, books = run("web", data="web", split="train"), run("books", data="books", offset=0.01, split="test")
    answer = joined(books, web, branch, name="branch")
    assert answer.parent == "web"
    assert "taken as a branch of 'web'" in answer.note


def test_equally_likely_parents_are_refused_unless_their_past_is_the_same():
    ended = {"last": 3000}  # no loss near the branch point to compare
    branch = run("branch", first=6000, decay_from=6000)
    same = joined(run("a", **ended), run("b", **ended), branch, name="branch")
    assert same.parent == "a"
    with pytest.raises(CurveError, match="'a' and 'b' are equally likely"):
        joined(run("a", **ended), run("b", offset=0.01, **ended), branch, name="branch")


@pytest.mark.parametrize("first", [EVERY, 150, 600])
def test_logs_that_start_a_little_late_are_no_branches(first):
    assert joined(run("trunk"), run("a", first=first, offset=1e-6), name="a").parent is None


def test_starting_late_is_measured_from_the_warm_up():
    assert not starts_late(run("a", first=600).curve, intervals=2)  # 5% of the schedule after the warm-up
    assert starts_late(run("a", first=650).curve, intervals=2)
    assert not starts_late(run("a", first=650).curve, intervals=11)
    assert not starts_late(run("a", first=TOTAL).curve, intervals=2)  # one observation


def test_a_sparse_log_that_starts_late_is_left_alone_unless_its_parent_is_clear():
    """Less than ten intervals late: nothing is known to be missing."""
    steps = np.arange(2000, TOTAL + 1, 500)
    for offset, parent in ((0.1, None), (0.0, "trunk")):
        curve = LossCurve(
            name="sparse", steps=steps, loss=base_loss(steps, offset), schedule=rates(2000), params=1e6, size="S"
        )
        assert joined(run("trunk"), RawRun(curve=curve), name="sparse").parent == parent


def test_a_named_parent_is_taken():
    trunks = [run(f"seed{i}", offset=i / 1000) for i in range(3)]
    branch = run("branch", first=6000, decay_from=6000, parent="seed2")
    answer = joined(*trunks, branch, name="branch")
    assert answer.parent == "seed2"
    assert answer.curve.loss[0] == base_loss(EVERY, 0.002)


def test_logged_rates_are_completed_by_the_parents():
    """The branch logged its rates from step 6050 on: what was before is the parent's, warm-up included."""
    logged = np.full(TOTAL, 0.98)
    logged[6050:] = rates(6000).lr[6050:]
    branch = run("branch", first=6050, decay_from=6000, rates_from=6050, schedule=Schedule(lr=logged))
    answer = joined(run("trunk"), branch, name="branch")
    assert answer.parent == "trunk"
    assert answer.curve.schedule.lr[:6050].tolist() == rates().lr[:6050].tolist()
    assert answer.curve.schedule.lr[6050:].tolist() == logged[6050:].tolist()
    assert answer.curve.schedule.warmup_steps == WARMUP


def test_a_logged_drop_at_the_branch_point_is_no_obstacle():
    logged = np.full(TOTAL, 0.3)
    branch = run("branch", first=6000, rates_from=6000, schedule=Schedule(lr=logged))
    answer = joined(run("trunk"), run("seed", offset=0.001), branch, name="branch")
    assert answer.parent == "trunk"
    assert answer.curve.schedule.lr.tolist() == [*rates().lr[:6000], *logged[6000:]]


def test_losses_after_the_rates_parted_are_not_the_parents():
    """The rates are logged from step 6050 on, the losses only from 6500: by then the parent is in another state."""
    branch = run("branch", first=6500, decay_from=6000, offset=-0.1, rates_from=6050, parent="trunk")
    answer = joined(run("trunk"), branch, name="branch")
    steps = answer.curve.steps
    assert steps[steps < 6500].tolist() == list(range(EVERY, 6051, EVERY))
    assert answer.curve.loss[steps >= 6500].tolist() == branch.curve.loss.tolist()


def test_nominal_and_logged_rates_may_differ_in_the_warm_up_of_a_named_parent():
    crooked = rates().lr.copy()
    crooked[: WARMUP // 2] *= 1.2
    trunk = run("trunk", schedule=Schedule(lr=crooked, warmup_steps=WARMUP))
    branch = run("branch", first=6000, decay_from=6000, parent="trunk")
    answer = joined(trunk, branch, name="branch")
    assert answer.curve.schedule.lr[:6000].tolist() == crooked[:6000].tolist()
    assert CurveSet(curves=(trunk.curve, answer.curve)).owned()[1].sum() == 80


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([run("a", first=6000, parent="b")], "its parent 'b' is not among the runs"),
        ([run("a", first=6000, parent="b"), run("b", first=7000)], "'b' starts at step 7000"),
        ([run("a", first=6000, parent="b"), run("b", first=8000, parent="a")], r"circle \(a -> b -> a\)"),
        ([run("a", parent="a")], r"circle \(a -> a\)"),
        ([run("a", first=6000, parent="b"), run("b", decay_from=3000)], "its rate of update 30.. is 1, but 0.99"),
        (
            [run("a", first=6000, parent="b", rates_from=6000), run("b", last=4000, schedule=rates(total=4000))],
            "the rates of its parent 'b' end at 4000",
        ),
    ],
)
def test_parents_that_do_not_fit(runs, message):
    with pytest.raises(CurveError, match=message):
        joined(*runs, name="a")


def test_a_named_parent_of_a_complete_run_changes_nothing():
    child = run("a", decay_from=5000, parent="trunk")
    assert joined(run("trunk"), child, name="a").curve.steps.tolist() == child.curve.steps.tolist()


def test_only_wanted_runs_are_resolved():
    broken = run("broken", first=6000, size="other")
    assert joined(run("a"), broken, name="a").curve.name == "a"
