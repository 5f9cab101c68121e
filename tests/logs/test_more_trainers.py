"""Lines of trainers that say a step, a loss and a rate in an order, or over lines, of their own."""

import json

import numpy as np
import pytest
from smooth_run import LOSS, LR, STEPS, TRAIN, loss_at, only, rate_at, read

from bayeslr.errors import LogError
from bayeslr.logs.formats import open_log
from bayeslr.logs.tidy import tidy

EVALUATED = STEPS[1::2]


def pairs(form):
    return lambda s: form.format(s=s, loss=loss_at(s), lr=rate_at(s))


LINES = {
    "MindSpore": pairs("epoch: 1 step: {s}, loss is {loss:.9f}"),
    "three points": pairs("Step... ({s} | Loss: {loss:.9f}, Learning Rate: {lr:.9e})"),
    "a dict behind a step": pairs("Step {s}: {{'loss': {loss:.9f}, 'learning_rate': {lr:.9e}, 'epoch': 0.1}}"),
    "a dict with a step of all": pairs(
        "{{'loss': {loss:.9f}, 'learning_rate': {lr:.9e}, 'epoch': 0.1, 'global_step/max_steps': '{s}/2000'}}"
    ),
    "colons but for the rate": pairs("step {s:5d} | loss: {loss:.9f} | lr {lr:.9e} | norm: 0.61 | dt: 250.12ms"),
    "a bar with a description": pairs("loss {loss:.9f} lr {lr:.9e}:  5%|5    | {s}/2000 [00:10<10:00, 3.1it/s]"),
    "a bar with a description between bars": pairs(
        "loss: {loss:.9f} | lr: {lr:.9e} |  5%|5    | {s}/2000 [00:10<10:00, 3.1it/s]"
    ),
    "tabs": pairs("step\t{s}\tloss\t{loss:.9f}\tlr\t{lr:.9e}"),
    "a block": pairs("----- Step {s} -----\n  loss: {loss:.9f}\n  lr:   {lr:.9e}\n  time: 1.2s"),
    "a block without a frame": pairs("Step: {s}\nTraining loss: {loss:.9f}\nLearning rate: {lr:.9e}"),
}


def logged(tmp_path, line, before="", name="run.log"):
    path = tmp_path / name
    path.write_text(before + "".join(f"{line(s)}\n" for s in STEPS))
    return path


def assert_read(log, steps=STEPS, loss=LOSS):
    assert log.steps.tolist() == list(steps)
    np.testing.assert_allclose(log.loss, loss, rtol=1e-7)


@pytest.mark.parametrize("form", LINES)
def test_lines_of_further_forms(tmp_path, form):
    log = tidy(open_log(logged(tmp_path, LINES[form])))
    assert_read(log)
    if form != "MindSpore":
        np.testing.assert_allclose(log.rates, LR, rtol=1e-6)


def test_a_bar_with_a_description_says_how_long_the_run_is(tmp_path):
    assert tidy(open_log(logged(tmp_path, LINES["a bar with a description"]))).total_steps == 2000


@pytest.mark.parametrize("said", ["val loss 9.1", "Evaluating loss 9.1"])
def test_a_description_about_an_evaluation_is_no_training_loss(tmp_path, said):
    def line(s):
        return f"step {s} loss {loss_at(s):.9f} lr {rate_at(s):.9e}\n{said}:  5%|5    | {s}/9 [00:10<10:00, 3.1it/s]"

    log = tidy(open_log(logged(tmp_path, line)))
    assert_read(log)


def test_a_step_a_word_and_a_number(tmp_path):
    def line(s):
        val = f"{s} val {loss_at(s):.9f}\n{s} hella 0.2490\n" if s in EVALUATED else ""
        return f"{val}{s} train {loss_at(s) - 0.02:.9f}"

    log = tidy(open_log(logged(tmp_path, line, name="log.txt")))
    assert log.kind == "validation"
    assert_read(log, EVALUATED, [loss_at(s) for s in EVALUATED])
    assert_read(tidy(open_log(tmp_path / "log.txt"), loss="train_loss"), STEPS, TRAIN)


@pytest.mark.parametrize("late", [0, 4])
def test_a_validation_at_a_micro_batch_belongs_to_its_update(tmp_path, late):
    def line(s):
        train = f"Epoch 1 | iter {8 * s} step {s} | loss train: {loss_at(s) - 0.02:.9f}, val: n/a | iter time: 300.1 ms"
        return (
            f"{train}\niter {8 * s + late}: val loss {loss_at(s):.9f}, val time: 3000.12 ms"
            if s in EVALUATED
            else train
        )

    log = tidy(open_log(logged(tmp_path, line)))
    assert_read(log, EVALUATED, [loss_at(s) for s in EVALUATED])


def test_values_below_an_evaluation_are_those_of_one(tmp_path):
    def line(s):
        train = f"[batch={s}/2000]:\n\t Train metrics/train/LanguageCrossEntropy: {loss_at(s) - 0.02:.9f}"
        return (
            f"{train}\n[Eval batch=10/10] Eval on c4 data:\n\t Eval metrics/c4/LanguageCrossEntropy: {loss_at(s):.9f}"
        )

    log = tidy(open_log(logged(tmp_path, line)))
    assert log.kind == "validation"
    assert_read(log)


@pytest.mark.parametrize("prefix", ["{k}: ", "[GPU{k}] ", "(RayTrainWorker pid={k}) "])
def test_the_first_of_several_processes_counts(tmp_path, prefix):
    def line(s):
        said = (f"step {s} | loss {loss_at(s) + 0.01 * k:.9f} | lr {rate_at(s):.9e}" for k in range(4))
        return "\n".join(prefix.format(k=k) + text for k, text in enumerate(said))

    log = tidy(open_log(logged(tmp_path, line)))
    assert_read(log)
    assert any("told apart by 'rank'" in note for note in log.notes)


@pytest.mark.parametrize(
    "before",
    [
        json.dumps({"lr": 0.01, "steps": 2000}) + "\n",
        json.dumps({"lr": 0.01, "model": {"width": 512}}, indent=2) + "\n",
    ],
)
def test_settings_that_are_printed_first_as_json(tmp_path, before):
    path = logged(tmp_path, pairs("step {s} loss {loss:.9f} lr {lr:.9e}"), before)
    curve, notes = only(path)
    assert curve.loss.tolist() == pytest.approx(LOSS, rel=1e-7)
    assert notes == []


def test_dashes_below_a_header(tmp_path):
    rows = "".join(f"{s:>6}  {loss_at(s):.9f}  {rate_at(s):.9e}\n" for s in STEPS)
    path = tmp_path / "run.txt"
    path.write_text(f"  step  loss         lr\n------  -----------  ---------------\n{rows}")
    (curve,), notes = read(path)
    assert curve.loss.tolist() == pytest.approx(LOSS, rel=1e-7)
    assert notes == []


@pytest.mark.parametrize(
    "form", ["step {k:g}kg loss {loss:.4f} lr {lr:.4e}", "step {s}. loss {loss:.4f}. lr {lr:.4e}."]
)
def test_a_line_of_names_and_numbers_is_no_header(tmp_path, form):
    path = logged(tmp_path, lambda s: form.format(k=s / 1000, s=s, loss=loss_at(s), lr=rate_at(s)))
    with pytest.raises(LogError, match="no table, and no lines of a trainer that is known"):
        open_log(path)


@pytest.mark.parametrize("more", [0, 3])
def test_rows_that_have_the_micro_batch_alone_are_at_its_update(tmp_path, more):
    rows = []
    for s in STEPS:
        rows.append({"iter": 8 * s, "step": s, "loss": loss_at(s) - 0.02, "lr": rate_at(s)})
        if s in EVALUATED:
            rows.append({"iter": 8 * s + more, "val_loss": loss_at(s)})
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = tidy(open_log(path))
    assert_read(log, EVALUATED, [loss_at(s) for s in EVALUATED])
    assert "'iter' counts 8 micro-batches for each of 'step'" in " ".join(log.notes)


def test_a_counter_that_is_no_multiple_gives_no_updates(tmp_path):
    rows = [{"iter": s + 7 * k, "step": s, "loss": loss_at(s), "lr": rate_at(s)} for k, s in enumerate(STEPS)]
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"iter": 9000, "val_loss": 3.1}]))
    log = tidy(open_log(path), loss="loss")
    assert_read(log)
    assert not any("micro-batches" in note for note in log.notes)


@pytest.mark.parametrize("said", ["WARNING: loss spike detected at step {s}: loss 9.1", "Skipping step {s}, loss 9.1"])
def test_losses_of_batches_that_are_skipped_are_none(tmp_path, said):
    def line(s):
        train = f"step {s} loss {loss_at(s):.9f} lr {rate_at(s):.9e} skipped=0"
        return f"{train}\n{said.format(s=s)}" if s in EVALUATED else train

    log = tidy(open_log(logged(tmp_path, line)))
    assert_read(log)
    assert log.notes == ()


def test_a_decimal_comma_on_a_console_is_named(tmp_path):
    path = logged(tmp_path, lambda s: f"step {s} loss {loss_at(s):.4f} lr {rate_at(s):.6f}".replace(".", ","))
    with pytest.raises(LogError, match="has a decimal comma; allowed: a decimal point"):
        open_log(path)
