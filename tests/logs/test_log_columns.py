"""Columns found by name."""

import pytest

from bayeslr.errors import LogError
from bayeslr.logs.columns import loss_columns, named_column, step_columns
from bayeslr.logs.rate_names import rate_columns


@pytest.mark.parametrize(
    ("columns", "best"),
    [
        (["train_loss", "val_loss"], "val_loss"),
        (["loss", "eval_loss"], "eval_loss"),
        (["loss", "train_loss"], "loss"),
        (["Train/Loss", "Valid/Loss"], "Valid/Loss"),
        (["loss/train", "loss/val"], "loss/val"),
        (["lm loss", "lm loss validation"], "lm loss validation"),
        (["train/loss", "validation loss"], "validation loss"),
        (["loss", "aux_loss", "z_loss", "loss_scale", "router/loss", "loss_std"], "loss"),
        (["eval/c4-validation/CrossEntropyLoss", "train/CrossEntropyLoss"], "eval/c4-validation/CrossEntropyLoss"),
        (["eval/c4-validation/CrossEntropyLoss", "loss"], "eval/c4-validation/CrossEntropyLoss"),
        (["eval/c4-validation/CrossEntropyLoss", "eval/loss"], "eval/loss"),
        (["trainLoss", "valLoss"], "valLoss"),
        (["val/cross_entropy", "acc"], "val/cross_entropy"),
        (["run7 - val/loss"], "run7 - val/loss"),
        (["test_loss", "loss"], "test_loss"),
    ],
)
def test_loss(columns, best):
    assert loss_columns(columns)[0] == [best]


@pytest.mark.parametrize("columns", [["step", "lr"], ["lossless", "gloss"], ["loss_scale"], ["value", "step"]])
def test_no_loss(columns):
    assert loss_columns(columns) == []


def test_equally_good_losses_stay_together():
    assert loss_columns(["eval/a/loss", "eval/b/loss", "train_loss"]) == [
        ["eval/a/loss", "eval/b/loss"],
        ["train_loss"],
    ]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["_step", "trainer/global_step"], ["trainer/global_step", "_step"]),
        (["_step", "train/global_step", "epoch"], ["train/global_step", "_step"]),
        (["Iteration"], ["Iteration"]),
        (["iter", "step"], ["step", "iter"]),
        (["stepsize", "epoch", "time"], []),
    ],
)
def test_step(columns, found):
    assert step_columns(columns) == found


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["optim/learning_rate_group0", "learning_rate_peak"], ["optim/learning_rate_group0"]),
        (["train/learning_rate"], ["train/learning_rate"]),
        (["lr-AdamW", "lr"], ["lr", "lr-AdamW"]),
        (["lr-AdamW/pg1", "lr-AdamW/pg2"], ["lr-AdamW/pg1", "lr-AdamW/pg2"]),
        (["Learning Rate"], ["Learning Rate"]),
        (["learningRate"], ["learningRate"]),
        (["peak_lr", "min_lr", "lr_scale", "peak_learning_rate_ratio", "max_lr_decay"], []),
    ],
)
def test_rate(columns, found):
    assert rate_columns(columns) == found


def test_a_named_column_is_exact_or_unique_up_to_case():
    assert named_column(["Loss", "loss"], "loss", what="loss", path="p") == "loss"
    assert named_column(["LOSS", "x"], "loss", what="loss", path="p") == "LOSS"
    with pytest.raises(LogError, match="p: the column 'loss', named by `loss`, occurs more than once"):
        named_column(["LOSS", "Loss"], "loss", what="loss", path="p")
    with pytest.raises(LogError, match="the column 'x', named by `lr`, does not exist; columns: a, b"):
        named_column(["a", "b"], "x", what="lr", path="p")
