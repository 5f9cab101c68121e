"""Families: what is free, which members there are, and texts that are refused."""

import numpy as np
import pytest

from bayeslr.errors import ScheduleError
from bayeslr.schedules import parse_schedule
from bayeslr.schedules.family import MAX_FAMILY_UPDATES, parse_family

WSD = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, {})"


def test_a_range_has_both_ends_and_every_member_is_the_schedule_of_its_text():
    family = parse_family(WSD.format("decay_steps=100..1500"))
    members = family.members()
    lengths = [member.arguments["decay_steps"] for member in members]
    assert (lengths[0], lengths[-1], len(lengths)) == (100, 1500, 41)
    assert lengths == sorted(lengths)
    for member in members[::10]:
        steps = member.arguments["decay_steps"]
        assert member.schedule == parse_schedule(WSD.format(f"decay_steps={steps}"))
        assert member.name == f"decay_steps={steps}"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("decay_steps=0..4", [0, 1, 2, 3, 4]),
        ("decay_steps=1_0 .. 3_0", range(10, 31)),
        ("decay_steps=5%..60%", None),
        ("decay_steps=[100, 200, 100]", [100, 200]),
    ],
)
def test_ways_to_leave_a_length_free(text, values):
    found = [m.arguments["decay_steps"] for m in parse_family(WSD.format(text)).members()]
    if values is None:
        assert (found[0], found[-1]) == (100, 1200)
    else:
        assert found == list(values)


def test_rates_texts_and_two_arguments():
    family = parse_family("wsd(peak_lr=1e-4..4e-4, total_steps=2_000, decay_steps=25%, decay=['linear', '1-sqrt'])")
    members = family.members(points=5)
    assert len(members) == 10
    peaks = sorted({member.schedule.peak_lr for member in members})
    np.testing.assert_allclose(peaks, np.geomspace(1e-4, 4e-4, 5), rtol=5e-3)
    assert {member.arguments["decay"] for member in members} == {"linear", "1-sqrt"}
    assert all(np.sum(member.schedule.lr < member.schedule.peak_lr) == 499 for member in members)


def test_a_share_follows_the_length():
    members = parse_family("wsd(peak_lr=1e-3, total_steps=1000..8000, decay_steps=20%)").members(points=4)
    shares = [np.mean(member.schedule.lr < member.schedule.peak_lr) for member in members]
    np.testing.assert_allclose(shares, 0.2, atol=2e-3)


def test_two_ranges_leave_out_what_does_not_go_together():
    members = parse_family("wsd(peak_lr=1e-3, total_steps=100..200, decay_steps=50..150)").members()
    pairs = [(m.arguments["total_steps"], m.arguments["decay_steps"]) for m in members]
    assert all(decay <= total for total, decay in pairs)
    assert (100, 50) in pairs
    assert (200, 150) in pairs


def test_lists_that_a_builder_takes_are_no_alternatives():
    family = parse_family("multistep(peak_lr=1e-3, milestones=[100, 200], lrs=[3e-4, 1e-4], total_steps=400..800)")
    assert [argument.name for argument in family.free] == ["total_steps"]


def test_long_schedules_are_fewer():
    members = parse_family("cosine(peak_lr=1e-3, total_steps=1e6..4e6)").members()
    assert 5 <= len(members) < 41
    assert sum(member.schedule.total_steps for member in members) <= 1.2 * MAX_FAMILY_UPDATES


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (WSD.format("decay_steps=200"), "nothing is left free"),
        ("wsd(peak_lr=1e-4..2e-4, total_steps=10..20, decay_steps=1..2)", "3 arguments are free"),
        (WSD.format("decay_steps=30..20"), "smaller end first"),
        (WSD.format("decay_steps=20%..600"), "one end in percent"),
        (WSD.format("decay_steps=100..5000"), "decay_steps is 5000"),
        (WSD.format("decay_steps=[]"), "empty list"),
        (WSD.format("decay_steps=1..2..3"), "cannot be read"),
        (WSD.format("decay_steps=one..two"), "cannot be read"),
        (WSD.format("length=1..2"), "unknown argument 'length'"),
        (WSD.format("decay_steps=1..2, decay_steps=3"), "is repeated"),
        ("plan(total_steps=1..2)", "unknown schedule 'plan'"),
        ("constant(1e-3, total_steps=1..2)", "not a call with named arguments"),
        ("constant(peak_lr=10%, total_steps=1..2)", "peak_lr is in percent"),
        ("constant(peak_lr=__import__('os'), total_steps=1..2)", "peak_lr is no literal"),
        ("constant(peak_lr=1e-3, total_steps=__import__('os')..2)", "cannot be read"),
        ("@plan.csv", "cannot be read"),
        ("cosine(peak_lr=1e-3, total_steps=5e7..9e7)", "narrow the range"),
        ("wsd(peak_lr=1e-3, total_steps=5..9, decay_steps=20..30)", "decay_steps is"),
        (12, "found a int"),
    ],
)
def test_what_is_no_family_is_refused_in_one_line(text, found):
    with pytest.raises(ScheduleError) as caught:
        parse_family(text).members()
    assert found in str(caught.value)
    assert "allowed" in str(caught.value)
    assert "\n" not in str(caught.value)
