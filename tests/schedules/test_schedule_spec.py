"""Specs: what is read, and one line about everything that is not."""

import os
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bayeslr.errors import ScheduleError
from bayeslr.schedules import constant, cosine, multistep, parse_schedule, wsd


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant(peak_lr=3e-4, total_steps=100)", constant(peak_lr=3e-4, total_steps=100)),
        ("  constant( peak_lr = 0.0003 ,total_steps = 1_00 )\n", constant(peak_lr=3e-4, total_steps=100)),
        ("constant(peak_lr=1, total_steps=2.4e4)", constant(peak_lr=1.0, total_steps=24_000)),
        (
            "cosine(peak_lr=3e-4, final_lr=3e-5, warmup_steps=21, total_steps=240)",
            cosine(peak_lr=3e-4, final_lr=3e-5, warmup_steps=21, total_steps=240),
        ),
        (
            'wsd(peak_lr=.001, total_steps=100, decay_steps=20, decay="1-sqrt")',
            wsd(peak_lr=1e-3, total_steps=100, decay_steps=20, decay="1-sqrt"),
        ),
        (
            "multistep(peak_lr=1, milestones=[5, 7], lrs=(.5, .25), total_steps=10)",
            multistep(peak_lr=1, milestones=[5, 7], lrs=[0.5, 0.25], total_steps=10),
        ),
    ],
)
def test_specs_build_the_schedule(text, expected):
    assert parse_schedule(text) == expected
    assert parse_schedule(text).spec == expected.spec


BAD = {
    "": "invalid syntax",
    "constant": "not a call",
    "3e-4": "not a call",
    "constant(peak_lr=1, total_steps=10": "was never closed",
    "constant(peak_lr=1, total_steps=10); import os": "invalid syntax",
    "constant(peak_lr=1, total_steps=10)()": "not a call of a schedule",
    "os.system(command='ls')": "not a call of a schedule",
    "print(end='')": "unknown schedule 'print'; allowed: constant, cosine",
    "cosin(peak_lr=1, total_steps=10)": "unknown schedule 'cosin'; allowed: constant, cosine",
    "constant(3e-4, total_steps=10)": "argument '3e-4' is not named",
    "constant(**{'peak_lr': 1}, total_steps=10)": "unknown argument '**'",
    "constant(peak_lr=1, total_steps=10, warmup=2)": "unknown argument 'warmup'; allowed: peak_lr",
    "constant(total_steps=10)": "missing argument peak_lr",
    "wsd(peak_lr=1, total_steps=10)": "missing argument decay_steps",
    "constant(peak_lr=1, peak_lr=2, total_steps=10)": "'peak_lr' is repeated",
    "constant(peak_lr=lr, total_steps=10)": "peak_lr is 'lr'; allowed: a literal",
    "constant(peak_lr=__import__('os').getpid(), total_steps=10)": "allowed: a literal",
    "constant(peak_lr=3 * 1e-4, total_steps=10)": "peak_lr is '3 * 1e-4'; allowed: a literal",
    "constant(peak_lr=f'{1}', total_steps=10)": "allowed: a literal",
    "constant(peak_lr='1', total_steps=10)": "peak_lr is '1'; allowed: a positive number",
    "constant(peak_lr=[1], total_steps=10)": "peak_lr is [1]; allowed: a positive number",
    "constant(peak_lr=True, total_steps=10)": "peak_lr is True; allowed: a positive number",
    "constant(peak_lr=None, total_steps=10)": "peak_lr is None; allowed: a positive number",
    "constant(peak_lr=-1, total_steps=10)": "peak_lr is -1; allowed: a positive number",
    "constant(peak_lr=1e999, total_steps=10)": "peak_lr is inf; allowed",
    "constant(peak_lr=1e999 - 1e999, total_steps=10)": "allowed: a literal",
    "constant(peak_lr=1j, total_steps=10)": "peak_lr is 1j; allowed: a positive number",
    "constant(peak_lr=1, total_steps=0)": "total_steps is 0; allowed: a whole number from 1",
    "constant(peak_lr=1, total_steps=10.5)": "total_steps is 10.5; allowed: a whole number",
    "constant(peak_lr=1, total_steps=True)": "total_steps is True; allowed: a whole number",
    "constant(peak_lr=1, total_steps=1e12)": "allowed: a whole number from 1 to 20000000",
    f"constant(peak_lr=1, total_steps={'9' * 5000})": "Exceeds the limit (4300 digits)",
    "constant(peak_lr=1, total_steps=10, warmup_steps=11)": "warmup_steps is 11; allowed: a whole number from 0 to 9",
    "constant(peak_lr=1, total_steps=10, warmup_steps=-1)": "warmup_steps is -1",
    "cosine(peak_lr=1, final_lr=-.1, total_steps=10)": "final_lr is -0.1; allowed: a number >= 0",
    "cosine(peak_lr=1, final_lr=2, total_steps=10)": "final_lr is 2; allowed: a number >= 0, finite, at most peak_lr",
    "wsd(peak_lr=1, decay_steps=9, warmup_steps=2, total_steps=10)": "from 0 to 8 (total_steps - warmup_steps)",
    "wsd(peak_lr=1, decay_steps=3, total_steps=10, decay='sqrt')": "'sqrt'; allowed: 'linear', 'exponential', '1-sqrt'",
    "wsd(peak_lr=1, decay_steps=3, total_steps=10, decay='exponential')": "final_lr is 0 with decay='exponential'",
    "multistep(peak_lr=1, total_steps=10, milestones=[5, 5], lrs=[1, 1])": "strictly increasing",
    "multistep(peak_lr=1, total_steps=10, milestones=[5, 4], lrs=[1, 1])": "strictly increasing",
    "multistep(peak_lr=1, total_steps=10, milestones=[10], lrs=[1])": "milestones[0] is 10; allowed",
    "multistep(peak_lr=1, total_steps=10, milestones=[2], lrs=[1], warmup_steps=2)": "milestones[0] is 2; allowed",
    "multistep(peak_lr=1, total_steps=10, milestones=[5], lrs=[])": "lrs has 0 rates; allowed: 1",
    "multistep(peak_lr=1, total_steps=10, milestones=[5], lrs=[-1])": "lrs[0] is -1; allowed",
    "multistep(peak_lr=1, total_steps=10, milestones=5, lrs=[1])": "milestones is 5; allowed: a list",
    f"constant(peak_lr={'-' * 50_000}1, total_steps=10)": "nested too deeply",
    f"constant(peak_lr={'[' * 500}": "too many nested parentheses",
    "constant(peak_lr=1\0, total_steps=10)": "null bytes",
    f"constant(peak_lr=1{' + 1' * 2000}, total_steps=10)": "allowed: a literal",
    f"constant({'(' * 150}1{')' * 150}, total_steps=10)": "is not named",
    f"constant(total_steps=10, peak_lr={'9' * 5000})": "schedule spec",
    f"constant(peak_lr=1, total_steps=10){' ' * 100_000}x": "characters; allowed: 100000",
    "@~nobody-of-this-name/x": "allowed: @file.csv",
    "@/dev/zero": "not an ordinary file",
    "@/dev/stdin": "schedule file /dev/stdin",
    "@/": "schedule file /",
    "@": "no file is named",
    "@nowhere.csv": "schedule file nowhere.csv: No such file",
    "@os:getpid(total_steps=10)": "a callable is refused here",
    "@os:getpid": "a callable is refused here",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:70].replace("\0", "NUL"))
def test_bad_specs_are_one_line_errors(text):
    with pytest.raises(ScheduleError) as caught:
        parse_schedule(text)
    message = str(caught.value)
    assert BAD[text] in message
    assert "\n" not in message
    assert len(message) < 400
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("found", [None, 3, b"constant(peak_lr=1, total_steps=10)"])
def test_a_spec_is_a_text(found):
    with pytest.raises(ScheduleError, match="allowed: a text"):
        parse_schedule(found)


@settings(deadline=None)
@example(text="@\n0")
@given(text=st.text() | st.text(alphabet="constant(peak_lr=1,tols_0){}[]*-'@:.\n", min_size=1, max_size=40))
def test_no_text_is_worse_than_a_schedule_error(text):
    try:
        parse_schedule(text)
    except ScheduleError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_file_is_relative_to_base_dir(tmp_path, monkeypatch):
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "my plan.csv").write_text("step,lr\n0,0\n4,8e-4\n9,8e-4\n")
    schedule = parse_schedule("@my plan.csv", base_dir=tmp_path / "plans")
    np.testing.assert_allclose(schedule.lr, np.array([0, 2, 4, 6, 8, 8, 8, 8, 8, 8]) * 1e-4)
    assert schedule.warmup_steps == 4
    monkeypatch.chdir(tmp_path)
    assert parse_schedule("@plans/my plan.csv") == schedule
    assert parse_schedule(f"@{tmp_path}/plans/my plan.csv", base_dir="/") == schedule


MODULE = """
def halving(step):
    return 1e-3 / (1 + step)

def broken(step):
    raise KeyError(step)
"""


@pytest.fixture
def plans(tmp_path, monkeypatch):
    (tmp_path / "test_spec_plans.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "test_spec_plans"
    sys.modules.pop("test_spec_plans", None)


def test_callable_where_it_is_allowed(plans):
    schedule = parse_schedule(f"@{plans}:halving(total_steps=4)", allow_callables=True)
    np.testing.assert_allclose(schedule.lr, [1e-3, 5e-4, 1e-3 / 3, 2.5e-4])


def test_callable_is_not_even_imported_where_it_is_refused(plans):
    with pytest.raises(ScheduleError, match="refused"):
        parse_schedule(f"@{plans}:halving(total_steps=4)")
    assert plans not in sys.modules


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("@test_spec_plans:halving", "missing argument total_steps; allowed: @test_spec_plans:halving"),
        ("@test_spec_plans:halving()", "missing argument total_steps"),
        ("@test_spec_plans:halving(total_steps=0)", "total_steps is 0"),
        ("@test_spec_plans:halving(total_steps=len('a'))", "allowed: a literal"),
        ("@test_spec_plans:halving(steps=10)", "unknown argument 'steps'; allowed: total_steps"),
        ("@test_spec_plans:nothing(total_steps=10)", "has no attribute 'nothing'"),
        ("@no_such_module:nothing(total_steps=10)", "No module named 'no_such_module'"),
        ("@test_spec_plans:MODULE(total_steps=10)", "has no attribute 'MODULE'"),
        ("@test_spec_plans:__name__(total_steps=10)", "a str; allowed: a callable"),
        ("@test_spec_plans:broken(total_steps=10)", "update 0 failed"),
    ],
)
def test_bad_callables_are_one_line_errors(plans, text, reason):
    with pytest.raises(ScheduleError) as caught:
        parse_schedule(text, allow_callables=True)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spec_runs_no_code():
    before = dict(os.environ)
    for attack in (
        "constant(peak_lr=__import__('os').environ.update(OWNED='1'), total_steps=10)",
        "constant(peak_lr=[os.environ.update(OWNED='1') for os in [__import__('os')]], total_steps=10)",
        "(lambda: __import__('os').environ.update(OWNED='1'))()",
    ):
        with pytest.raises(ScheduleError):
            parse_schedule(attack)
    assert dict(os.environ) == before
