"""What is said of a run that was read, in one line."""

from dataclasses import replace

import pytest

from bayeslr.errors import DataWarning
from bayeslr.logs.reading import column_names, read_sources
from bayeslr.logs.summary import RunRead

READ = RunRead(
    run="a",
    path="a.csv",
    steps=(50, 2000),
    losses=40,
    loss=(4.0, 3.25),
    loss_column="loss",
    kind="validation",
    step_column="step",
    rate_column="lr",
    total_steps=2000,
    warmup_steps=100,
    peak_lr=1e-3,
    parent=None,
    dropped=0,
    notes=(),
)


def test_a_run_is_told_by_its_ends():
    assert READ.line() == "a: 40 losses at 50..2000 of 2000 steps, loss 4 -> 3.25, rates of lr, peak 0.001"


def test_a_single_loss_is_told_once():
    single = replace(READ, steps=(2000, 2000), losses=1, loss=(3.25, 3.25), rate_column=None)
    assert single.line() == "a: 1 loss at 2000 of 2000 steps, loss 3.25, given schedule, peak 0.001"


def test_losses_beyond_the_schedule_are_not_counted(tmp_path):
    log = tmp_path / "a.csv"
    log.write_text("step,loss\n" + "".join(f"{step},{6.0 - step / 100}\n" for step in range(20, 301, 20)))
    with pytest.warns(DataWarning, match="5 losses are beyond the 200 steps of the schedule: dropped"):
        found = read_sources([log], schedule="constant(peak_lr=1e-3, total_steps=200)", columns=column_names())
    assert found.read[0].line().startswith("a: 10 losses at 20..200 of 200 steps, loss 5.8 -> 4, given schedule")
