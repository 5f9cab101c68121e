"""Console lines of newer programs: shortened steps, rates on lines of their own, processes, units behind a loss."""

import numpy as np
import pytest
from smooth_run import LOSS, LR, STEPS, TRAIN, loss_at, only, rate_at

from bayeslr.errors import LogError
from bayeslr.logs.formats import open_log
from bayeslr.logs.tidy import tidy

EVALUATED = STEPS[1::2]


def train(s):
    return f"step {s} | loss {loss_at(s) - 0.02:.9f} | lr {rate_at(s):.9e}"


def logged(tmp_path, line, steps=STEPS, before=""):
    path = tmp_path / "run.log"
    path.write_text(before + "".join(f"{line(s)}\n" for s in steps))
    return tidy(open_log(path))


def assert_read(log, steps=STEPS, loss=TRAIN, rates=LR):
    assert log.steps.tolist() == list(steps)
    np.testing.assert_allclose(log.loss, loss, rtol=1e-7)
    if rates is not None:
        np.testing.assert_allclose(log.rates, rates, rtol=1e-6)


def tail(s):
    return train(s).partition(" | ")[2]


SHORTENED = {
    "a suffix": lambda s: f"step {s if s < 1000 else f'{s / 1000:.2f}k'} | {tail(s)}",
    "a suffix from the beginning": lambda s: f"step {s / 1000:g}k {tail(s)}",
    "a large suffix and its total": lambda s: f"iteration: {s if s < 1000 else f'{s / 1000:g}K'} / 2K | {tail(s)}",
    "many": lambda s: f"Iters: {s}/2K, {tail(s)}",
    "an underscore": lambda s: f"step {s:_} | {tail(s)}",
    "an apostrophe": lambda s: f"step {s:_} | {tail(s)}".replace("_", "'"),
    "a narrow space": lambda s: f"step {s:_} | {tail(s)}".replace("_", "\u202f"),
    "a space": lambda s: f"step {s:_} | {tail(s)}".replace("_", " "),
    "a bar": lambda s: (
        f"train: 10%|#   | {f'{s:.1f}' if s < 1000 else f'{s / 1000:.2f}k'}/2.00k [00:10<10:00, 3.1it/s, "
        f"loss={loss_at(s) - 0.02:.9f}, lr={rate_at(s):.9e}]"
    ),
    "Levanter's bar": lambda s: (
        f"Progress on:train {s}it/2.00kit rate:1.2it/s remaining:10:00 elapsed:00:30 postfix:loss="
        f"{loss_at(s) - 0.02:.9f}, lr={rate_at(s):.9e}"
    ),
}


@pytest.mark.parametrize("form", SHORTENED)
def test_steps_that_are_shortened_or_grouped(tmp_path, form):
    assert_read(logged(tmp_path, SHORTENED[form]))


def test_steps_that_may_be_rounded_are_spoken_of(tmp_path):
    log = logged(tmp_path, lambda s: f"step {s / 1000:.1f}k | {tail(s)}")
    assert any("'0.1k' may be rounded to 100 updates" in note for note in log.notes)
    assert not logged(tmp_path, lambda s: f"step {s:_} | tokens {s / 1000}k | {tail(s)}").notes


def test_a_bar_of_an_evaluation_with_a_suffix_is_none_of_training(tmp_path):
    log = logged(tmp_path, lambda s: f"{train(s)}\nEvaluating: 50%|## | 1.00k/2.00k [00:10<00:10, loss=9.5]")
    assert_read(log)


ALONE = {
    "below": lambda s: f"step {s} | loss {loss_at(s) - 0.02:.9f}\n  lr: {rate_at(s):.9e}",
    "above": lambda s: f"learning rate = {rate_at(s):.9e}\nstep {s} | loss {loss_at(s) - 0.02:.9f}",
    "below, of a logger": lambda s: (
        f"12:00:00 - INFO - step {s} - loss {loss_at(s) - 0.02:.9f}\n12:00:00 - INFO - learning rate: {rate_at(s):.9e}"
        "\n12:00:00 - INFO - grad norm: 1.2\n12:00:00 - INFO - 12 tok/s"
    ),
    "of torch's scheduler": lambda s: (
        f"Adjusting learning rate of group 0 to {rate_at(s - 1):.9e}.\nAdjusting learning rate of group 1 to 5.0e-02.\n"
        f"Adjusting learning rate of group 0 to {rate_at(s):.9e}.\nstep {s} | loss {loss_at(s) - 0.02:.9f}"
    ),
}


@pytest.mark.parametrize("form", ALONE)
def test_rates_on_lines_of_their_own(tmp_path, form):
    assert_read(logged(tmp_path, ALONE[form]))


def test_a_setting_above_rates_on_lines_of_their_own(tmp_path):
    def line(s):
        return f"{ALONE['below'](s)}\n12 tok/s"

    assert_read(logged(tmp_path, line, before="learning rate: 0.0005\n"))


def test_a_rate_that_is_printed_once_is_a_setting(tmp_path):
    log = logged(tmp_path, lambda s: f"step {s} | loss {loss_at(s):.9f}", before="learning rate: 0.01\n")
    assert log.rate_column is None
    assert log.rates.size == 0


PROCESSES = {
    "torchrun": lambda r: f"[default{r}]:",
    "MPI": lambda r: f"[1,mpirank:{r},algo-1]<stdout>:",
    "containers": lambda r: f"trainer-{r + 1}  | ",
    "pods": lambda r: f"[pod/train-{r}/pytorch] ",
}


@pytest.mark.parametrize("form", PROCESSES)
def test_the_first_of_several_processes_counts_by_what_started_them(tmp_path, form):
    def line(s):
        other = f"step {s} | loss {loss_at(s) + 0.5:.9f} | lr {rate_at(s):.9e}"
        return f"{PROCESSES[form](0)}{train(s)}\n{PROCESSES[form](1)}{other}"

    log = logged(tmp_path, line)
    assert_read(log)
    assert any("told apart by 'rank'" in note for note in log.notes)


EVALUATIONS = {
    "an estimator": lambda s: (
        f"INFO:tensorflow:Saving dict for global step {s}: acc = 0.3, global_step = {s}, loss = {loss_at(s):.9f}"
    ),
    "data sets before a slash": lambda s: (
        f"  c4/validation loss {loss_at(s):.9f}\n  wikitext/validation loss {loss_at(s) + 0.8:.9f}"
    ),
    "a block": lambda s: f"=== Evaluation at step {s} ===\nloss: {loss_at(s):.9f}\nppl: 30.1",
}


@pytest.mark.parametrize("form", EVALUATIONS)
def test_evaluations_are_told_from_training(tmp_path, form):
    log = logged(tmp_path, lambda s: f"{train(s)}\n{EVALUATIONS[form](s)}" if s in EVALUATED else train(s))
    assert_read(log, EVALUATED, [loss_at(s) for s in EVALUATED])
    assert log.kind == "validation"
    assert not any("repeated" in note for note in log.notes)


@pytest.mark.parametrize("words", ["micro step", "accum step", "Micro-batch"])
def test_steps_of_an_accumulation_count_no_updates(tmp_path, words):
    def line(s):
        return "".join(f"{words} {k}/4 | loss {loss_at(s) + 0.1 * k:.4f}\n" for k in range(1, 5)) + train(s)

    assert_read(logged(tmp_path, line))


def test_a_smoothed_loss_comes_after_the_loss_itself(tmp_path):
    log = logged(tmp_path, lambda s: f"step {s} | smoothed loss {loss_at(s) + 0.3} | raw {tail(s)}")
    assert log.loss_column == "raw loss"


def test_of_two_losses_with_an_arrow_the_second_counts(tmp_path):
    log = logged(tmp_path, lambda s: train(s).replace("loss ", "loss 4.1234 -> "))
    assert_read(log)


@pytest.mark.parametrize(("unit", "said"), [("bits/byte", "bits per byte"), ("bits", "bits"), ("bpb", "bits per byte")])
def test_a_unit_behind_a_loss_is_spoken_of(tmp_path, unit, said):
    (tmp_path / "run.log").write_text(
        "".join(f"step {s} | loss {LOSS[i]:.6f} {unit} | lr {LR[i]:.6e}\n" for i, s in enumerate(STEPS))
    )
    curve, notes = only(tmp_path / "run.log")
    assert any(f"says {said} by its name" in note for note in notes)
    curve, notes = only(tmp_path / "run.log", loss_unit="bits")
    np.testing.assert_allclose(curve.loss, np.multiply(LOSS, np.log(2.0)), rtol=1e-5)
    assert not any("by its name" in note for note in notes)


def test_a_typographic_minus(tmp_path):
    assert_read(logged(tmp_path, lambda s: train(s).replace("e-", "e\u2212")))


def test_a_bar_of_composer(tmp_path):
    def line(s):
        return (
            f"train          Epoch   0:   25%|######    | {s}/2000 [00:10<10:00,  3.10ba/s, "
            f"loss/train/total={loss_at(s) - 0.02:.9f}]"
        )

    assert_read(logged(tmp_path, line), rates=None)


def test_a_suffix_of_a_step_is_no_word(tmp_path):
    with pytest.raises(LogError):
        logged(tmp_path, lambda s: f"step {s}kg loss {loss_at(s):.4f}")


@pytest.mark.parametrize(
    "form", ["iter {} | step {} | ", "iters: {}, step: {}, ", "iteration {} (update {}) ", "iter {} step {}/2000 "]
)
def test_updates_beside_their_micro_batches_on_a_console(tmp_path, form):
    log = logged(tmp_path, lambda s: form.format(8 * s, s) + tail(s))
    assert_read(log)
    assert any("iter" in note for note in log.notes)
