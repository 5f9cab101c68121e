"""What logs leave open about rates and steps: it is read right, or it is said."""

import warnings

import numpy as np
import pandas as pd
import pytest

from bayeslr import schedules
from bayeslr.errors import BayeslrError, LogError
from bayeslr.logs import read_curves, read_logs
from bayeslr.logs.draft import _size_in
from bayeslr.schedules.schedule import rise_end

TOTAL = 2000
RATES = schedules.cosine(peak_lr=1e-3, final_lr=1e-4, warmup_steps=200, total_steps=TOTAL).lr


def losses(steps):
    return 3.0 + 7.0 * np.asarray(steps, dtype=float) ** -0.5


def read(path, **options):
    """The only curve of a log, and what was said about it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        (curve,) = read_curves(path, **options)
    return curve, " ".join(str(warning.message) for warning in said)


def written(tmp_path, steps, rates, **more):
    path = tmp_path / "log.csv"
    pd.DataFrame({"step": steps, "loss": losses(steps), "lr": rates, **more}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("rates", "end"),
    [
        ([1.0, 2.0, 3.0, 3.0, 2.0], 2),
        ([1.0, 2.0, 2.0, *range(3, 20), 1.0], 19),
        (np.repeat(np.arange(1.0, 21.0), 2), 38),
        ([1.0, 2.0, *[3.0] * 20, 4.0, 5.0], 2),
        ([1.0] * 50, 0),
        ([1.0] * 50 + [2.0] * 50, 0),
        (np.arange(1.0, 9.0), 7),
        ([3.0, 2.0, 5.0], 0),
        ([1.0], 0),
    ],
)
def test_where_a_rise_ends(rates, end):
    """Short pauses do not end it, a stretch at a constant rate does."""
    assert rise_end(np.asarray(rates, dtype=float)) == end


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda lr: lr.round(5), id="rounded to five places"),
        pytest.param(lambda lr: np.array([float(f"{rate:.2e}") for rate in lr]), id="three digits"),
        pytest.param(lambda lr: np.concatenate([lr[:50], lr[49:-1]]), id="one update skipped"),
        pytest.param(lambda lr: np.concatenate([lr[:80], lr[70:-10]]), id="ten updates repeated"),
    ],
)
def test_a_pause_in_the_warmup_does_not_end_it(tmp_path, changed):
    """Some losses of the warm-up would be fitted otherwise."""
    steps = np.arange(1, TOTAL + 1)
    rates = np.maximum.accumulate(changed(RATES)[:150]).tolist() + changed(RATES)[150:].tolist()
    curve, _ = read(written(tmp_path, steps, rates))
    assert 190 <= curve.schedule.warmup_steps <= 215


def test_a_schedule_that_rises_again_after_a_stretch_keeps_its_warmup():
    lr = np.concatenate([np.linspace(0.0, 1e-3, 101)[1:], np.full(900, 1e-3), np.linspace(1e-3, 2e-3, 500)])
    assert schedules.Schedule(lr=lr).warmup_steps == 99


def test_rates_that_end_at_zero_after_a_stretch_are_spoken_of(tmp_path):
    steps = np.arange(200, TOTAL + 1, 200)
    curve, said = read(written(tmp_path, steps, np.where(steps == TOTAL, 0.0, 1e-3)))
    assert curve.schedule.final_lr == 1e-3
    assert "last logged rate, at step 2000, is 0 after 0.001 at step 1800" in said
    # just after the last update it changes nothing
    steps = np.append(np.arange(10, TOTAL + 1, 10), TOTAL + 1)
    _, said = read(written(tmp_path, steps, np.where(steps > TOTAL, 0.0, 1e-3)))
    assert not said


@pytest.mark.parametrize(
    ("known", "says"),
    [
        (slice(100, None), "0.0006212 before"),
        (slice(None, 100), "after"),
        (slice(0, 1), "5e-05 after"),
        (slice(60, 150), "after"),
    ],
)
def test_rates_of_a_part_of_the_losses_are_spoken_of(tmp_path, known, says):
    steps = np.arange(10, TOTAL + 1, 10)
    rates = np.full(steps.size, np.nan)
    rates[known] = RATES[steps - 1][known]
    _, said = read(written(tmp_path, steps, rates))
    assert "rates are logged from step" in said
    assert says in said


def test_losses_before_the_first_rate_are_spoken_of(tmp_path):
    steps = np.arange(10, TOTAL + 1, 10)
    _, said = read(written(tmp_path, steps, np.where(steps % 250 == 0, RATES[steps - 1], np.nan)))
    assert "the first rate is logged at step 250, after the first losses" in said
    _, said = read(written(tmp_path, steps, RATES[steps - 1]))
    assert not said


def test_a_continued_run_with_a_warmup_of_its_own_has_no_line_from_zero(tmp_path):
    rates = np.concatenate([np.linspace(0.0, 1e-3, 51)[1:], np.full(950, 1e-3)])
    with pytest.raises(BayeslrError, match="allow_late_start"):
        read(written(tmp_path, np.arange(10_010, 20_010, 10), rates))


@pytest.mark.parametrize(("factor", "said_of"), [(1e3, "a multiplier of the peak rate"), (1.0, "")])
def test_rates_that_are_no_rates_are_spoken_of(tmp_path, factor, said_of):
    steps = np.arange(10, TOTAL + 1, 10)
    _, said = read(written(tmp_path, steps, factor * RATES[steps - 1]))
    assert (said_of in said) if said_of else not said


def test_a_counter_of_micro_batches_is_spoken_of(tmp_path):
    _, said = read(written(tmp_path, np.arange(1, 4 * TOTAL + 1), np.repeat(RATES, 4)))
    assert "each rate stands for 4 steps" in said


def test_losses_that_begin_too_high_are_spoken_of(tmp_path):
    steps = np.arange(10, TOTAL + 1, 10)
    path = tmp_path / "log.csv"
    pd.DataFrame({"step": steps, "loss": 4.0 * losses(steps) - 1.5 + 30.0 / steps, "lr": RATES[steps - 1]}).to_csv(path)
    assert "the loss begins at" in read(path)[1]


LINES = {
    "split in front": ("train: step={step} loss={loss:.4f} lr={lr:.3e}", "eval: step={step} loss={other:.4f}"),
    "split in a column": (
        "Train | step {step} | loss {loss:.4f} | lr {lr:.3e}",
        "Evaluation | step {step} | loss {other:.4f}",
    ),
    "thousands": ("Step {step:,}/{total:,} | loss {loss:.4f} | lr {lr:.3e}", ""),
}


@pytest.mark.parametrize("kind", LINES)
def test_console_lines(tmp_path, kind):
    steps = np.arange(1000, 20_001, 1000)
    lr = schedules.cosine(peak_lr=1e-3, total_steps=20_000, warmup_steps=1000).lr
    train, evaluated = LINES[kind]
    lines = ["python train.py --model 124M --max-steps 2000 --lr 1e-3", "Namespace(steps=5000, lr=0.006)"]
    for step in steps:
        values = {
            "step": step,
            "total": 20_000,
            "loss": losses([step])[0],
            "lr": lr[step - 1],
            "other": 9.0 - step / 1e4,
        }
        lines += [form.format(**values) for form in (train, evaluated) if form]
    path = tmp_path / "train.log"
    path.write_text("\n".join(lines) + "\n")
    curve, _ = read(path)
    assert curve.schedule.total_steps == 20_000
    assert curve.schedule.final_lr == pytest.approx(lr[-1], abs=1e-5)
    np.testing.assert_array_equal(curve.steps, steps)
    wanted = 9.0 - steps / 1e4 if evaluated else losses(steps)
    np.testing.assert_allclose(curve.loss, wanted, atol=1e-4)


@pytest.mark.parametrize("form", ["step {s} loss 3,{s} lr 1e-3", "step {s}/2000 | loss 3,{s} | lr 1e-3"])
def test_no_trainers_line_cuts_a_decimal_comma(tmp_path, form):
    path = tmp_path / "train.log"
    path.write_text("".join(form.format(s=s) + "\n" for s in range(100, 200, 10)))
    with pytest.raises(LogError):
        read_curves(path)


def test_rates_in_a_list_without_spaces_are_read(tmp_path):
    path = tmp_path / "train.log"
    steps = range(10, TOTAL + 1, 10)
    lines = (f"step {s} loss={losses([s])[0]:.4f} lr=[{RATES[s - 1]:.4e},{RATES[s - 1]:.4e}]\n" for s in steps)
    path.write_text("".join(lines))
    assert read(path)[0].schedule.peak_lr == pytest.approx(1e-3, rel=1e-2)


def test_decimal_commas_on_a_console_are_not_cut(tmp_path):
    path = tmp_path / "train.log"
    path.write_text("\n".join(f"step {s} loss 3,{s} lr 1e-3" for s in range(100, 200, 10)))
    with pytest.raises(LogError):
        read_curves(path)


@pytest.mark.parametrize(
    "name", ["iter_num", "trainer/step", "train/current_step", "progress/step", "train/opt_step", "num_gradient_steps"]
)
def test_a_counter_of_updates_comes_before_that_of_calls(tmp_path, name):
    steps = np.arange(10, TOTAL + 1, 10)
    path = tmp_path / "log.csv"
    pd.DataFrame({"_step": np.arange(steps.size), name: steps, "loss": losses(steps), "lr": RATES[steps - 1]}).to_csv(
        path, index=False
    )
    np.testing.assert_array_equal(read(path)[0].steps, steps)


def test_a_separator_of_thousands_is_not_called_a_decimal_comma(tmp_path):
    path = tmp_path / "log.csv"
    steps = [f"{step:,}" if step > 999 else str(step) for step in range(100, 2001, 100)]
    pd.DataFrame({"step": steps, "loss": losses(range(100, 2001, 100)), "lr": 1e-3}).to_csv(path, index=False)
    with pytest.raises(LogError, match="separator of thousands"):
        read_curves(path)


@pytest.mark.parametrize("name", ["n_params", "num_params", "parameters", "non_embedding_params"])
def test_params_of_a_manifest_under_another_name(tmp_path, name):
    steps = np.arange(10, TOTAL + 1, 10)
    log = written(tmp_path, steps, RATES[steps - 1])
    other = tmp_path / "other.csv"
    pd.read_csv(log).assign(loss=losses(steps) - 0.1).to_csv(other, index=False)
    manifest = tmp_path / "runs.csv"
    manifest.write_text(f"run,file,{name}\na,{log.name},60M\nb,{other.name},400M\n")
    assert [curve.params for curve in read_curves(manifest)] == [60e6, 400e6]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("run-124M-cosine", "124M"),
        ("bs=0.5M_lr1e-3_190M", "190M"),
        ("ctx2k_2M-batch_60M", "60M"),
        ("fineweb-10B_124M-cosine", ""),
        ("124M/124M-wsd", "124M"),
        ("cosine", ""),
    ],
)
def test_sizes_in_names(name, size):
    """Of two, nobody knows which is the corpus."""
    assert _size_in(name) == size


def test_epochs_of_a_console_are_counted_on_with_a_schedule_of_their_length(tmp_path):
    path = tmp_path / "train.log"
    lines = [
        f"Epoch {epoch} iter {step}/500 loss {losses([500 * (epoch - 1) + step])[0]:.4f}"
        for epoch in (1, 2, 3, 4)
        for step in range(10, 501, 10)
    ]
    path.write_text("\n".join(lines) + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (curve,) = read_logs(path, schedule="cosine(peak_lr=1e-3, final_lr=1e-4, warmup_steps=100)")
    assert (len(curve), curve.schedule.total_steps) == (200, 2000)


def test_a_step_that_is_no_number_is_shown(tmp_path):
    steps = np.arange(10, TOTAL + 1, 10)
    path = tmp_path / "log.csv"
    named = [f"{step // 1000}k{step % 1000}" for step in steps]
    pd.DataFrame({"step": named, "loss": losses(steps), "lr": 1e-3}).to_csv(path, index=False)
    with pytest.raises(LogError, match="0k10"):
        read_curves(path)


def test_rates_behind_the_losses_of_a_line_are_read(tmp_path):
    path = tmp_path / "train.log"
    lines = [
        f"step {s}: train loss 4.1, val loss {losses([s])[0]:.4f}, lr {RATES[s - 1]:.4e}" for s in range(50, 2001, 50)
    ]
    path.write_text("\n".join(lines) + "\n")
    curve, _ = read(path)
    assert curve.schedule.peak_lr == pytest.approx(1e-3, rel=1e-2)


def test_validation_results_at_an_iteration_are_read(tmp_path):
    path = tmp_path / "train.log"
    lines = []
    for s in range(100, 2001, 100):
        lines.append(f" iteration {s}/ 2000 | learning rate: {RATES[s - 1]:.3E} | lm loss: 4.0E+00 |")
        lines.append(
            f" validation results at iteration {s} | lm_loss value: {losses([s])[0]:.6E} | lm_loss_ppl value: 3E1 |"
        )
    path.write_text("\n".join(lines) + "\n")
    curve, _ = read(path)
    np.testing.assert_allclose(curve.loss, losses(np.arange(100, 2001, 100)), rtol=1e-6)


def test_an_evaluation_that_is_held_for_twelve_or_thirteen_rows(tmp_path):
    steps = np.arange(10, TOTAL + 1, 10)
    held = losses(np.maximum(np.repeat(np.arange(16) * 125, [12, 13] * 8), 10))
    path = tmp_path / "log.csv"
    pd.DataFrame({"step": steps, "val_loss": held, "lr": RATES[steps - 1]}).to_csv(path, index=False)
    curve, said = read(path)
    assert len(curve) == 16
    assert "each loss stands in" in said
