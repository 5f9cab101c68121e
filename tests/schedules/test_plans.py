"""One schedule or several, as people give them."""

import pytest

from bayeslr import schedules
from bayeslr.errors import ScheduleError
from bayeslr.schedules import named_schedules

WSD = "wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=500, total_steps=2000)"
COSINE = schedules.cosine(peak_lr=1e-3, warmup_steps=100, total_steps=2000)


@pytest.mark.parametrize(
    ("plans", "names"),
    [
        (WSD, ["wsd"]),
        (COSINE, ["cosine"]),
        ([WSD, COSINE], ["wsd", "cosine"]),
        ((WSD, COSINE, WSD), ["wsd 1", "cosine", "wsd 2"]),
        ({"a": WSD, "b": COSINE}, ["a", "b"]),
        (schedules.from_array([1e-3, 1e-3]), ["schedule"]),
    ],
)
def test_plans_have_names(plans, names):
    found = named_schedules(plans)
    assert list(found) == names
    for name, plan in found.items():
        assert name.startswith(plan.spec.partition("(")[0]) or name in ("a", "b", "schedule")
        if plan.spec:
            assert plan in (COSINE, schedules.parse_schedule(WSD))


@pytest.mark.parametrize(
    ("plans", "says"),
    [
        ([], "there is no schedule"),
        ({}, "there is no schedule"),
        (3, "found 3, a int; allowed: a Schedule, a spec such as"),
        ([WSD, None], "found None, a NoneType"),
        ("cosin(peak_lr=1)", "cosin"),
    ],
)
def test_what_is_no_plan_is_one_line(plans, says):
    with pytest.raises(ScheduleError, match=r"^[^\n]+$") as caught:
        named_schedules(plans)
    assert says in str(caught.value)
