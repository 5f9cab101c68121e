"""Console logs of the common trainers: lines such as ``step 100/2000 | loss 3.69 | lr 1e-3`` among other text.

A trainer is a pattern of a line; what the groups of the pattern catch are the columns. Whatever else is printed is left
out. Colours, and constructors such as ``tensor(3.69, device='cuda:0')``, are removed first. Of two values of the same
name in a line the first counts.

================  ======================================================================================================
trainer           line
================  ======================================================================================================
Megatron, NeoX    ``iteration 100/ 2000 | ... | learning rate: 1.0E-03 | ... | lm loss: 3.69E+00 | ...``
nanoGPT           ``step 100: train loss 3.67, val loss 3.69`` and ``iter 100: loss 3.67, time ...``
Lightning         ``Epoch 0: 5%|..| 100/2000 [00:10<10:00, 3.10it/s, train_loss=3.69]``
modded-nanogpt    ``step:100/2000 val_loss:3.69 train_time:...``
llm.c             ``step 100/2000 | loss 3.69 ... | lr 1.00e-03 | ...``, ``val loss 3.69``, ``s:100 trl:3.69 ...``
nanochat          ``step 00100/02000 (5.00%) | loss: 3.69 | lrm: 1.00 | ...``
torchtitan        ``step: 100  loss: 3.69  grad_norm: ...``
litgpt            ``Epoch 1 | iter 400 step 100 | loss train: 3.69, val: 3.70 | ...``
fairseq           ``epoch 001: 100 / 500 loss=5.3, ..., num_updates=100, lr=0.001, ...``
OLMo              ``[step=100/2000]`` and, in lines of their own, ``train/CrossEntropyLoss=3.69``
Composer          ``[batch=100/2000]:`` and, in lines of their own, ``Train loss/train/total: 3.69``
any other         a step, and a loss or a rate: ``step 100 | lr 1e-3 | loss 3.69``, ``[100/2000] loss: 3.69``
Hugging Face      ``{'loss': 3.69, 'learning_rate': 0.001, 'epoch': 0.1}``: only where a step is printed too, or a bar
                  ``1%|..| 100/2000 [00:10<10:00, ...`` before it
an evaluation     ``step 100 [val] loss 3.69``, ``[eval/c4] step=100 loss=3.69``, ``eval at step 100 on c4: loss 3.69``,
                  ``validation loss after step 100: 3.69``; without a step, ``Validation loss: 3.69``
================  ======================================================================================================

Where words beside the pairs of a line are about an evaluation, its loss is ``val_loss``, or ``val_c4_loss`` where they
name a data set. A validation loss without a step belongs to the latest step. The best so far, losses of Megatron on the
test set and bars of an evaluation are left out. A ``[rank0]`` in front of a line is its ``rank``.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from bayeslr.errors import LogError
from bayeslr.logs.columns import is_relative, loss_columns, step_columns
from bayeslr.logs.formats.console_lines import BELOW, OPENING, Reading, has_step, printed, said, validated
from bayeslr.logs.formats.console_rates import RATE_ALONE, RatesAlone
from bayeslr.logs.formats.console_steps import with_whole_steps
from bayeslr.logs.formats.console_text import (
    cleaned,
    rank_of,
    with_losses_named,
    with_rates_apart,
    with_whole_blocks,
    with_whole_dicts,
)
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.formats.kept import KeptReadings
from bayeslr.logs.formats.patterns import may_have
from bayeslr.logs.formats.trainer_lines import TrainerLines
from bayeslr.logs.limits import MAX_COLUMNS, MAX_CONSOLE, listed, shown
from bayeslr.logs.rate_names import rate_columns
from bayeslr.logs.rawlog import CHUNK, Chunk, RawLog

__all__ = ["is_console_output", "open_console"]

_BAR: Final = re.compile(r"^\s*\d+%\|[^|]*\|\s*(?P<step>\d+)/(?P<total_steps>\d+) \[")
_ASIDE: Final = re.compile(r"(?i)\bskipping\b(?!\s*[:=]?\s*\d)|\bspikes? detected\b")
"""What is said of a loss that is no part of the curve: a batch that is skipped, or a spike."""
_SHORT: Final = 1_000
_COUNTERS: Final = ("step", "iteration", "num_updates", "global_step")


def is_console_output(file: LogFile, lines: int) -> bool:
    """Return whether a trainer's lines are found.

    Parameters
    ----------
    file
        The file.
    lines
        How many lines to look at.

    Returns
    -------
    bool
        True if a line has one of the patterns.
    """
    return any(
        number <= lines
        and (
            OPENING.search(line) is not None
            or printed(line) is not None
            or said(line) is not None
            or TrainerLines().said(line)
        )
        for number, line, _ in _until(file, lines)
    )


def open_console(file: LogFile) -> RawLog:
    """Open a console log.

    Parameters
    ----------
    file
        The file.

    Returns
    -------
    RawLog
        One row per line that has one of the patterns.

    Raises
    ------
    LogError
        If no step is printed, or there is more text than can be read in reasonable time.
    """
    if file.is_larger(MAX_CONSOLE):
        raise LogError(
            f"{file.path}: more than {MAX_CONSOLE >> 20} MiB of console output; allowed: less, such as its lines with "
            "`loss` alone, or the metrics as CSV or JSON lines"
        )
    columns: dict[str, None] = {}
    planned: set[str] = set()
    lengths: dict[str, None] = {}
    first = ""
    alone = losses = 0
    kept = KeptReadings()
    for number, reading in _readings(file):
        kept.add(number, reading)
        first = first or shown(dict(reading), 120)
        planned.add(str(reading.get("total_steps", "")))
        if "epoch_length" in reading:
            lengths[reading["epoch_length"]] = None
        columns.update(dict.fromkeys(reading))
        alone += RATE_ALONE in reading
        losses += _has_loss(tuple(reading))
        if len(columns) > MAX_COLUMNS:
            raise LogError(f"{file.path}: more than {MAX_COLUMNS} different names; allowed: fewer")
    planned.discard("")
    if len(lengths) > 1:
        raise LogError(
            f"{file.path}: epochs of {listed(lengths, 3)} batches, so that the steps of all epochs cannot be counted; "
            "allowed: epochs of one length, or a log whose steps count on"
        )
    if not step_columns(list(columns)):
        raise LogError(
            f"{file.path}: console output without a step ({first}); allowed: a log that has steps, such as the "
            "trainer_state.json in a checkpoint of the Hugging Face Trainer"
        )

    # a setting is printed once, and the rate of each step about as often as its loss
    alone_as = "lr" if 2 * alone > losses and not rate_columns(list(columns)) else ""
    names = [name for name in columns if name not in ("total_steps", "epoch_length", RATE_ALONE)]

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        numbers: list[int] = []
        cells: dict[str, list[object]] = {name: [] for name in wanted}
        for number, reading in kept:
            numbers.append(number)
            for name, cell in cells.items():
                cell.append(reading.get(RATE_ALONE if name == alone_as else name))
            if len(numbers) == CHUNK:
                yield numbers, cells
                numbers, cells = [], {name: [] for name in wanted}
        if numbers:
            yield numbers, cells

    total = int(only) if len(planned) == 1 and (only := planned.pop()).isdigit() else None
    return RawLog(
        path=str(file.path),
        columns=(*names, *filter(None, [alone_as])),
        chunks=chunks,
        notes=file.notes,
        total_steps=total,
        what="console output",
    )


@lru_cache(maxsize=1024)
def _has_loss(names: tuple[str, ...]) -> bool:
    return bool(loss_columns(names))


def _until(file: LogFile, lines: int) -> Iterator[tuple[int, str, bool]]:
    told = False
    for number, line, ended in with_whole_blocks(with_whole_dicts(file.lines())):
        if number > lines:
            return
        text, note = with_whole_steps(with_losses_named(with_rates_apart(cleaned(line))))
        if note and not told:
            # the first step that is rounded stands for all, whenever the file is read
            file.note(note)
            told = True
        yield number, text, ended


def _readings(file: LogFile) -> Iterator[tuple[int, Reading]]:
    """Go through what the lines say."""
    below: str | None = None
    latest: dict[str, str] = {}
    bars, trainers, rates, number = _Bars(), TrainerLines(), RatesAlone(), 0
    for number, line, ended in _until(file, 1 << 62):
        if not ended and not line.rstrip().endswith(("|", "}")):
            # the last number may have been cut off
            line = line[: max(line.rfind("|"), line.rfind(" "), 0)]
        opening = OPENING.search(line) if "[" in line else None
        if opening is not None:
            below = opening["step"]
            yield number, {key: value for key, value in opening.groupdict().items() if value}
            continue
        if below is not None and len(line) < _SHORT and (match := BELOW.match(line)):
            key = match["key"].strip()
            about = "eval/" if match["eval"] and not is_relative(key) else ""
            yield number, {"step": below, f"{about}{key}": match["value"]}
            continue
        if may_have(line, "skipping", "spike") and _ASIDE.search(line) is not None:
            continue
        bars.look_at(line)
        found = trainers.said(line)
        for note in trainers.notes:
            file.note(note)
        if found is not None and not found:
            # a bar of an evaluation
            continue
        ends = {} if found is None or "epoch_end" not in found else {"step": found["epoch_end"]}
        if found is None:
            found = said(line)
        if found is None and (values := printed(line)) is not None:
            found = {**bars.step_of(values), **values}
        if found is None and latest and (losses := validated(line)) is not None:
            found = {**latest, **losses}
        if found is None and rates.look_at(number, line):
            continue
        if found is None:
            continue
        if "val_loss_now" in found:
            found = {**(latest or {"step": "0"}), "val_loss": found["val_loss_now"]}
        found = {k: v.replace(",", "") if k in ("step", "total_steps") else v for k, v in found.items()}
        found.pop("epoch_end", None)
        counter = next((name for name in _COUNTERS if name in found), None)
        if counter is not None:
            # a loss without a step that follows is one of the whole epoch
            latest = ends or {name: found[name] for name in (counter, "epoch") if name in found}
            if (rate := rates.placed(number, {counter: found[counter]})) is not None:
                yield number, {**rate[0], RATE_ALONE: rate[1]}
        rank = rank_of(line)
        yield number, found if rank is None else {"rank": rank, **found}
    if (rate := rates.at_the_end()) is not None:
        yield number, {**rate[0], RATE_ALONE: rate[1]}


class _Bars:
    """The progress bars of a run, among whose lines dicts without a step are printed."""

    def __init__(self) -> None:
        self._steps: dict[str, str] = {}
        self._moved: set[str] = set()
        self._total = ""

    def look_at(self, line: str) -> None:
        """Remember how far a bar is, if a line is one that is not about anything else."""
        match = _BAR.match(line) if "%|" in line else None
        if match is not None and self._steps.get(match["total_steps"]) != match["step"]:
            self._steps[match["total_steps"]] = match["step"]
            self._moved.add(match["total_steps"])

    def step_of(self, values: Reading) -> Reading:
        """Return the step of a dict that has none: that of the bar of the training, which came first."""
        if not self._steps or has_step(tuple(values)):
            return {}
        if self._total not in self._moved and "loss" in values:
            # another run, or no bar since the last dict
            self._total = next((total for total in self._steps if total in self._moved), "")
        if "loss" in values:
            self._moved.clear()
        total = self._total or next(iter(self._steps))
        return {"step": self._steps[total], "total_steps": total} if self._total or "loss" not in values else {}
