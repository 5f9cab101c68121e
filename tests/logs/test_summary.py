"""What is said of a run that was read, in one line."""

from dataclasses import replace

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
