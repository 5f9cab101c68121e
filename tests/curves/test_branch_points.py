"""Named parents: whether a run fits where it says that it begins, and where it begins if only its end was logged."""

import numpy as np
import pytest

from bayeslr.curves import LossCurve
from bayeslr.curves.branches import RawRun, join_branches
from bayeslr.errors import CurveError
from bayeslr.schedules import Schedule, constant, wsd

TRUNK = constant(peak_lr=1e-3, warmup_steps=100, total_steps=2000)
COOL = wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=400, total_steps=1400)


def loss(steps):
    return 2.6 + 3.0 * steps**-0.2 - 3e-4 * np.maximum(0, steps - 1000)


def trunk(offset=0.0):
    steps = np.arange(10, 2001, 10)
    return RawRun(curve=LossCurve(name="trunk", steps=steps, loss=2.6 + 3.0 * steps**-0.2 + offset, schedule=TRUNK))


def cool(steps, *, own=0, schedule=COOL, **facts):
    """The cool-down at some steps of the whole run, counted from `own` on."""
    steps = np.asarray(steps)
    return RawRun(
        curve=LossCurve(name="cool", steps=steps - own, loss=loss(steps), schedule=schedule), parent="trunk", **facts
    )


def joined(*runs):
    (answer,) = join_branches(runs, names=["cool"])
    return answer


def test_a_run_that_counts_its_own_steps_is_refused_until_the_branch_step_is_given():
    logged = Schedule(lr=COOL.lr[1000:])
    run = {"steps": range(1020, 1401, 20), "own": 1000, "schedule": logged, "rates_from": 20, "rates_logged": True}
    with pytest.raises(
        CurveError, match=r"begins at step 20 with a loss of 3.345, but its parent 'trunk' has 4.248"
    ) as e:
        joined(trunk(), cool(**run))
    assert "counts its own steps; allowed: the `branch_step`" in str(e.value)
    answer = joined(trunk(), cool(**run, branch_step=1000))
    assert answer.note == ""
    assert answer.curve.steps.tolist() == [*range(10, 1001, 10), *range(1020, 1401, 20)]
    np.testing.assert_allclose(answer.curve.loss, loss(answer.curve.steps))
    np.testing.assert_allclose(answer.curve.schedule.lr, COOL.lr, atol=1e-9)


def test_a_given_schedule_may_be_that_of_the_whole_run_or_that_of_the_branch():
    for schedule in (COOL, Schedule(lr=COOL.lr[1000:])):
        answer = joined(trunk(), cool(range(1020, 1401, 20), own=1000, schedule=schedule, branch_step=1000))
        assert answer.curve.schedule.lr.tolist() == COOL.lr.tolist()
        assert answer.curve.steps[-1] == 1400


def test_where_only_the_end_was_logged_the_schedules_say_where_it_began():
    for end in ([1300, 1350, 1400], [1400]):
        answer = joined(trunk(), cool(end))
        assert answer.note == ""
        assert answer.curve.steps.tolist() == [*range(10, 1001, 10), *end]
        assert answer.curve.schedule.lr.tolist() == COOL.lr.tolist()


def test_a_parent_with_another_loss_is_named():
    note = joined(trunk(offset=0.5), cool(range(1000, 1401, 20))).note
    assert note == (
        "run 'cool' begins at step 1000 with a loss of 3.354, but its parent 'trunk' has 3.854 there: is it the right "
        "parent?"
    )
    assert joined(trunk(offset=0.01), cool(range(1000, 1401, 20))).note == ""


@pytest.mark.parametrize(
    ("facts", "message"),
    [({"branch_step": 3000}, "branch_step is 3000, but its parent 'trunk' ends at step 2000"), ({}, None)],
)
def test_branch_steps_that_do_not_fit(facts, message):
    run = cool(range(1020, 1401, 20), own=1000, **facts)
    if message:
        with pytest.raises(CurveError, match=message):
            joined(trunk(), run)
    orphan = RawRun(curve=run.curve, branch_step=5)
    with pytest.raises(CurveError, match="branch_step is 5, but no parent is named"):
        join_branches([orphan])
