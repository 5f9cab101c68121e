"""Console output of trainers: lines as they print them, among other text."""

import gzip
import math

import numpy as np
import pytest
from smooth_run import STEPS, loss_at, rate_at

from bayeslr.errors import LogError
from bayeslr.logs.formats import console, open_log
from bayeslr.logs.formats.console_lines import said
from bayeslr.logs.tidy import tidy

TRAIN = {s: loss_at(s) - 0.02 for s in STEPS}
LR = {s: rate_at(s) for s in STEPS}
LINES = {
    "Megatron": lambda s: (
        f" [2024-01-01 10:00:00] iteration {s:8d}/    2000 | consumed samples: {256 * s:12d} | elapsed time per "
        f"iteration (ms): 950.1 | learning rate: {LR[s]:.9E} | "
        f"global batch size:   256 | lm loss: {TRAIN[s]:.9E} | loss scale: 1.0 "
        "| grad norm: 0.912 | number of skipped iterations:   0 | number of nan iterations:   0 |"
    ),
    "NeoX": lambda s: (
        f" samples/sec: 70.1 | iteration {s:8d}/    2000 | elapsed time per iteration (ms): 950.1 | learning rate: "
        f"{LR[s]:.9E} | approx flops per GPU: 40.1TFLOPS | lm_loss: {TRAIN[s]:.9E} | number of skipped: 0 |"
    ),
    "llm.c": lambda s: (
        f"step {s:4d}/2000 | loss {TRAIN[s]:.9f} (+nanz)| norm 1.3012 (-0.1z)| lr {LR[s]:.9e} | 300.1 ms"
    ),
    "llm.c, main.log": lambda s: f"s:{s} trl:{TRAIN[s]:.9f} lr:{LR[s]:.12f} norm:1.2",
    "fairseq": lambda s: (
        f"2021-01-01 10:00:00 | INFO | train_inner | epoch 001: {s:6d} / 5000 loss={TRAIN[s]:.9f}, wps=100, "
        f"num_updates={s}, lr={LR[s]:.9g}, gnorm=1.1"
    ),
    "fairseq, JSON": lambda s: (
        f'2021-01-01 10:00:00 | INFO | train_inner | {{"epoch": 1, "update": {s / 500}, "loss": "{TRAIN[s]:.9f}", '
        f'"num_updates": "{s}", "lr": "{LR[s]:.9g}"}}'
    ),
    "OLMo": lambda s: (
        f"2024-01-01 10:00:00 host INFO [step={s}/2000,epoch=0]\n    optim/learning_rate_group0={LR[s]:.12f}\n"
        f"    train/CrossEntropyLoss={TRAIN[s]:.9f}\n    train/Perplexity={math.exp(TRAIN[s]):.3f}"
    ),
    "Composer": lambda s: (
        f"[epoch=0][batch={s}/2000]:\n\t Train time/batch: {s - 1}\n\t Train loss/train/total: {TRAIN[s]:.9f}\n"
        f"\t Train lr-DecoupledAdamW/group0: {LR[s]:.12f}"
    ),
    "dicts with a step": lambda s: str({"loss": TRAIN[s], "grad_norm": 1.2, "learning_rate": LR[s], "step": s}),
    "a bar": lambda s: f"  5%|5    | {s}/2000 [00:10<10:00, 3.1it/s, loss={TRAIN[s]:.9f}, lr={LR[s]:.9e}]",
    "pairs": lambda s: f"[2024-01-01 10:00:00] INFO step={s} loss={TRAIN[s]:.9f} lr={LR[s]:.9e} grad_norm=1.2",
    "pairs and bars": lambda s: f"Step {s}/2000 | Train Loss: {TRAIN[s]:.9f} | LR: {LR[s]:.9e}",
}
WITHOUT_RATES = {
    "nanoGPT": lambda s: (
        f"step {s}: train loss 9.0, val loss {loss_at(s):.9f}\niter {s}: loss 8.0, time 120.31ms, mfu 30.2%"
    ),
    "modded-nanogpt": lambda s: f"step:{s}/2000 val_loss:{loss_at(s):.9f} train_time:{140 * s}ms step_avg:140.5ms",
    "litgpt": lambda s: (
        f"Epoch 1 | iter {4 * s} step {s} | loss train: 9.0, val: {loss_at(s):.9f} | iter time: 300.1 ms (step)"
    ),
    "llm.c": lambda s: f"val loss {loss_at(s):.9f}",
    "nanochat": lambda s: (
        f"step {s:05d}/02000 ({s / 20:.2f}%) | loss: {loss_at(s):.9f} | grad norm: 0.4 | lrm: 1.00 | dt: 330.10ms\n"
        f"Step {s:05d} | Validation bpb: 1.1"
    ),
    "torchtitan": lambda s: (
        f"\x1b[0m[rank0]:[titan] 2025-01-01 10:00:00 - INFO - \x1b[31mstep: {s:2d}  \x1b[32mloss: {loss_at(s):.9f}  "
        "\x1b[33mmemory: 47.28GiB(59.1%)  \x1b[34mtps: 3,001\x1b[39m"
    ),
}
PREAMBLE = "import torch\nlearning_rate = 6e-4\nprint('starting')\n" * 300 + "====\nnumber of parameters: 123.59M\n"


def written(tmp_path, line, preamble=PREAMBLE):
    path = tmp_path / "run.log"
    path.write_text(preamble + "".join(f"{line(s)}\nsaving checkpoint to out-{s}\n" for s in STEPS))
    return tidy(open_log(path))


@pytest.mark.parametrize("trainer", LINES)
def test_lines_with_rates(tmp_path, trainer):
    log = written(tmp_path, LINES[trainer])
    assert log.steps.tolist() == list(STEPS)
    np.testing.assert_allclose(log.loss, list(TRAIN.values()), rtol=1e-8)
    assert log.rate_steps.tolist() == list(STEPS)
    np.testing.assert_allclose(log.rates, list(LR.values()), rtol=1e-7)


@pytest.mark.parametrize("trainer", WITHOUT_RATES)
def test_lines_without_rates(tmp_path, trainer):
    line = WITHOUT_RATES[trainer]
    if trainer == "llm.c":
        log = written(tmp_path, lambda s: f"step {s:4d}/2000 | loss 9.0 (+nanz)| norm 1.3\n{line(s)}")
    else:
        log = written(tmp_path, line)
    assert log.steps.tolist() == list(STEPS)
    np.testing.assert_allclose(log.loss, [loss_at(s) for s in STEPS], rtol=1e-8)
    assert log.rates.size == 0


def test_validation_lines_of_megatron(tmp_path):
    def line(s):
        return f"{LINES['Megatron'](s)}\n validation loss at iteration {s} | lm loss value: {loss_at(s):.9E} | PPL: 2 |"

    log = written(tmp_path, line)
    np.testing.assert_allclose(log.loss, [loss_at(s) for s in STEPS], rtol=1e-8)
    assert log.total_steps == 2000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'loss': 3.69, 'learning_rate': 0.001, 'epoch': 0.1}\n" * 5, "console output without a step .*trainer_state"),
        ("Epoch 1 done, everything is fine\nGood bye\n" * 9, "no table, and no lines of a trainer that is known"),
        (PREAMBLE, "no table, and no lines of a trainer"),
    ],
)
def test_what_has_no_steps_says_so(tmp_path, text, message):
    path = tmp_path / "run.log"
    path.write_text(text)
    with pytest.raises(LogError, match=message) as caught:
        tidy(open_log(path))
    assert len(str(caught.value).replace(str(path), "FILE")) < 500


def test_a_line_that_is_cut_off_gives_no_wrong_number(tmp_path):
    path = tmp_path / "run.log"
    path.write_text("".join(LINES["pairs"](s) + "\n" for s in STEPS[:3]) + "INFO step=400 lr=0.001 loss=3.2")
    log = tidy(open_log(path))
    assert log.steps.tolist() == list(STEPS[:3])


def test_lines_are_read_once_however_many_columns_are_asked_for(tmp_path, monkeypatch):
    path = tmp_path / "train.log"
    count = 25_000
    path.write_text("".join(f"step {s} | loss {loss_at(s):.4f} | lr {rate_at(s):.4e}\n" for s in range(1, count + 1)))
    asked = []
    monkeypatch.setattr(console, "said", lambda line: asked.append(line) or said(line))
    raw = open_log(path)
    steps, losses = (raw.read([name]).columns[name].values for name in ("step", "loss"))
    assert len(asked) <= count + 1
    np.testing.assert_array_equal(steps, np.arange(1, count + 1))
    np.testing.assert_array_equal(losses, [float(f"{loss_at(s):.4f}") for s in range(1, count + 1)])


@pytest.mark.parametrize("packed", [False, True])
def test_more_console_output_than_can_be_read_in_reasonable_time(tmp_path, monkeypatch, packed):
    """Said before a line is read, also of a small file that unpacks to a large one."""
    content = b"step 1 loss 3\n" * 5_000
    path = tmp_path / ("train.log.gz" if packed else "train.log")
    path.write_bytes(gzip.compress(content) if packed else content)
    monkeypatch.setattr(console, "MAX_CONSOLE", 1 << 16)
    monkeypatch.setattr(console, "_readings", None)
    with pytest.raises(LogError, match=r"train\.log.*: more than 0 MiB of console output; allowed: less, such as"):
        open_log(path)
