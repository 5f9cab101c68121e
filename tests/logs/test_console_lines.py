"""What single lines of a console log say: evaluations, numbers in constructors, bars, and ranks."""

import numpy as np
import pytest
from smooth_run import LOSS, LR, STEPS, TRAIN, loss_at, rate_at

from bayeslr.errors import LogError
from bayeslr.logs.formats import open_log
from bayeslr.logs.tidy import tidy

EVALUATED = STEPS[1::2]


def train(s):
    return f"step {s} loss {loss_at(s) - 0.02:.9f} lr {rate_at(s):.9e}"


def megatron(s):
    return f" iteration {s:8d}/    2000 | learning rate: {rate_at(s):.9E} | lm loss: {loss_at(s) - 0.02:.9E} |"


def with_evaluations(line, before=train):
    """Write training lines, and after every second a line of an evaluation."""
    return lambda s: f"{before(s)}\n{line(s)}" if s in EVALUATED else before(s)


def logged(tmp_path, line, after="", before=""):
    path = tmp_path / "run.log"
    path.write_text(f"{before}{''.join(f'{line(s)}\n' for s in STEPS)}{after}")
    return tidy(open_log(path))


def assert_read(log, steps=STEPS, loss=LOSS, rates=LR):
    assert log.steps.tolist() == list(steps)
    np.testing.assert_allclose(log.loss, loss, rtol=1e-7)
    np.testing.assert_allclose(log.rates, rates, rtol=1e-6)


def assert_evaluations(log):
    assert_read(log, EVALUATED, [loss_at(s) for s in EVALUATED])
    assert log.kind == "validation"


@pytest.mark.parametrize("last", [2000, 1995])
def test_the_test_set_of_megatron_is_no_validation(tmp_path, last):
    def line(s):
        return f" validation loss at iteration {s} on validation set | lm loss value: {loss_at(s):.9E} | PPL: 2 | "

    after = f" validation loss at iteration {last} on test set | lm loss value: 2.9E+00 | lm loss PPL: 1.4E+01 | \n"
    assert_evaluations(logged(tmp_path, with_evaluations(line, megatron), after))


EVALUATIONS = {
    "a word in brackets": lambda s: f"step {s} [val] loss {loss_at(s):.9f}",
    "a word between bars": lambda s: f"step {s} | eval | loss: {loss_at(s):.9f}",
    "a word behind": lambda s: f"step {s} loss {loss_at(s):.9f} (val)",
    "a pair": lambda s: f"step={s} loss={loss_at(s):.9f} split=val",
    "a prefix of a known trainer": lambda s: f"[eval] step {s} | loss: {loss_at(s):.9f} | tokens: 100",
    "MaxText": lambda s: f"eval metrics after step: {s}, loss={loss_at(s):.9f}, total_weights=524288.0",
    "an ellipsis": lambda s: f"evaluating at step {s}... loss={loss_at(s):.9f}",
    "data sets after a word": lambda s: (
        f"12:00:00 | INFO | eval at step {s} on c4: loss {loss_at(s):.9f}\n"
        f"12:00:00 | INFO | eval at step {s} on wiki: loss 5.0"
    ),
    "data sets after a slash": lambda s: f"[eval/c4] step={s} loss={loss_at(s):.9f}\n[eval/wiki] step={s} loss=5.0",
    "a step behind the name": lambda s: f"*** validation loss after step {s}: {loss_at(s):.9f} ***",
    "no step": lambda s: f"Validation loss: {loss_at(s):.9f}",
    "no step, a logger": lambda s: f"2024-05-01 12:00:00,123 - trainer - INFO - Validation loss: {loss_at(s):.9f}",
    "no step, the best beside": lambda s: f"Validation loss: {loss_at(s):.9f} (best: 2.5)",
    "no step, a word in brackets": lambda s: f"[eval] loss: {loss_at(s):.9f}, ppl: 30.1",
}


@pytest.mark.parametrize("kind", EVALUATIONS)
def test_losses_of_evaluations_are_not_mixed_with_those_of_training(tmp_path, kind):
    assert_evaluations(logged(tmp_path, with_evaluations(EVALUATIONS[kind])))


@pytest.mark.parametrize(
    "line",
    [
        lambda s: f"step {s} | train: loss {loss_at(s) - 0.02:.9f} | val: loss {loss_at(s):.9f} | lr {rate_at(s):.9e}",
        lambda s: f"step {s} loss: train {loss_at(s) - 0.02:.9f} val {loss_at(s):.9f} lr {rate_at(s):.9e}",
        lambda s: f"step {s} | loss train {loss_at(s) - 0.02:.9f}, val {loss_at(s):.9f} | lr {rate_at(s):.9e}",
    ],
)
def test_two_losses_in_one_line(tmp_path, line):
    log = logged(tmp_path, line)
    assert_read(log)
    assert log.kind == "validation"


BESIDE = {
    "the last validation": lambda s: f"{train(s)} | last val: step {s - s % 400} loss 3.9",
    "the last validation, no step": lambda s: f"{train(s)} | last val: loss 3.9",
    "the next evaluation": lambda s: f"{train(s)}, next eval in 50 steps",
    "how long an evaluation took": lambda s: f"step {s} | eval time 3.2s | {train(s).partition(str(s))[2]}",
    "a flag": lambda s: f"is_eval=False {train(s)}",
    "a file": lambda s: f"INFO eval.py:12] {train(s)}",
    "the best so far": lambda s: f"{train(s)} best loss 2.1\nbest: step 100 loss 2.5012",
    "the best checkpoint": lambda s: f"{train(s)}\nnew lowest at step 100 | loss: 2.5",
    "the best validation": lambda s: f"{train(s)}\nBest validation loss: 2.5\nBest val loss 2.5 at step 100",
    "what is planned": lambda s: f"{train(s)}\ntarget val loss: 3.28\nval_loss = 0",
    "a bar of an evaluation": lambda s: (
        f"{train(s)}\nValidating: 10%|#  | 5/50 [00:10<01:00, 3.1it/s, loss=4.5]\n"
        "Validating: 20%|#  | 10/50 [00:10<01:00, 3.1it/s, val_loss=4.5]"
    ),
}


@pytest.mark.parametrize("what", BESIDE)
def test_what_stands_beside_a_training_loss_does_not_count(tmp_path, what):
    log = logged(tmp_path, BESIDE[what])
    assert_read(log, loss=TRAIN)
    assert log.kind == "plain"


def test_a_validation_loss_without_a_step_belongs_to_the_latest_of_an_epoch(tmp_path):
    def line(s):
        epoch, step = divmod(s - 1, 500)
        text = f"Epoch {epoch} | Step {step + 1}/500 | loss: {loss_at(s) - 0.02:.9f} | lr: {rate_at(s):.9e}"
        return f"{text}\nValidation loss: {loss_at(s):.9f}" if s % 500 == 0 else text

    assert_read(logged(tmp_path, line), STEPS[4::5], [loss_at(s) for s in STEPS[4::5]])


def test_validation_losses_before_the_first_step_make_no_log(tmp_path):
    with pytest.raises(LogError, match="no lines of a trainer"):
        logged(tmp_path, lambda s: f"Epoch {s // 100} done\nValidation loss: {loss_at(s):.9f}")


@pytest.mark.parametrize(
    "line",
    [
        lambda s, loss, lr: f"step: {s} loss: tensor({loss}, device='cuda:0', grad_fn=<NllLossBackward0>) lr: {lr}",
        lambda s, loss, lr: f"step {s} loss np.float64({loss}) lr: [tensor({lr})]",
        lambda s, loss, lr: f"step {s} loss {loss} lr Array({lr}, dtype=float32, weak_type=True)",
        lambda s, loss, lr: f"{{'step': {s}, 'loss': np.float32({loss}), 'lr': {lr}}}",
        lambda s, loss, lr: f"{{'step': {s}, 'loss': tensor({loss}, device='cuda:0'), 'lr': torch.tensor({lr})}}",
    ],
)
def test_numbers_in_the_constructors_of_arrays(tmp_path, line):
    assert_read(logged(tmp_path, lambda s: line(s, f"{loss_at(s):.9f}", f"{rate_at(s):.12f}")))


def hugging_face(s):
    return f"\n{{'loss': {loss_at(s):.9f}, 'learning_rate': {rate_at(s):.12f}, 'epoch': {s / 2000:.2f}}}"


def bar(step, total=2000):
    return f" {100 * step // total}%|##   | {step}/{total} [00:10<10:00,  1.00it/s]\r"


def test_dicts_between_bars_have_the_step_of_the_latest(tmp_path):
    log = logged(tmp_path, lambda s: bar(s - 50) + bar(s) + hugging_face(s), before=bar(0))
    assert_read(log)
    assert log.total_steps == 2000


def test_dicts_of_evaluations_between_bars_belong_to_the_training(tmp_path):
    def line(s):
        evaluation = f"{bar(1, 40)}{bar(40, 40)}\n{{'eval_loss': {loss_at(s):.9f}, 'epoch': {s / 2000:.2f}}}"
        return bar(s) + hugging_face(s) + (f"\n{evaluation}" if s in EVALUATED else "")

    loading = f"Loading checkpoint shards: 100%|##| 2/2 [00:01<00:00]\r{bar(0)}"
    assert_evaluations(logged(tmp_path, line, before=loading))


@pytest.mark.parametrize("bars", ["", "Map: 100%|###| 1000/1000 [00:01<00:00, 900 examples/s]\n"])
def test_dicts_without_a_bar_of_their_own_have_no_step(tmp_path, bars):
    with pytest.raises(LogError, match="console output without a step"):
        logged(tmp_path, hugging_face, before=bars)


@pytest.mark.parametrize("prefix", ["[rank{}]: ", "[rank {}] ", "2024-05-01 12:00:00 [Rank {}] "])
def test_the_first_rank_of_several_counts(tmp_path, prefix):
    def line(s):
        ranks = np.random.default_rng(s).permutation(4).tolist()
        said = {rank: f"step {s} | loss {loss_at(s) + 0.01 * rank:.9f} | lr {rate_at(s):.9e}" for rank in ranks}
        return "\n".join(f"{prefix.format(rank)}{text}" for rank, text in said.items())

    assert_read(logged(tmp_path, line))


def test_bars_that_start_again_with_each_epoch(tmp_path):
    def line(s):
        epoch, step = divmod(s - 1, 500)
        pairs = f"loss={loss_at(s):.9f}, lr={rate_at(s):.9e}"
        return f"Epoch {epoch + 1}/4:  1%|##   | {step + 1}/500 [00:10<10:00,  3.10it/s, {pairs}]"

    log = logged(tmp_path, line)
    assert_read(log)
    assert log.total_steps is None
    assert any("count within each epoch: 500 updates" in note for note in log.notes)


@pytest.mark.parametrize("prefix", ["", "Epoch 1/1: "])
def test_a_bar_of_the_whole_run_says_how_long_it_is(tmp_path, prefix):
    def line(s):
        return f"{prefix} 1%|##| {s}/4000 [00:10<10:00, 3.1it/s, loss={loss_at(s):.9f}, lr={rate_at(s):.9e}]"

    log = logged(tmp_path, line)
    assert_read(log)
    assert log.total_steps == 4000


def test_a_pair_of_any_name_does_no_harm(tmp_path):
    assert_read(logged(tmp_path, lambda s: f"{train(s)} key 3 total_steps 2e3"), loss=TRAIN)
