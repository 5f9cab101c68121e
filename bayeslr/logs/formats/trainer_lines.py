"""Lines of trainers that have a form of their own: epochs and batches in brackets, bare numbers, abbreviations.

================  ======================================================================================================
trainer           line
================  ======================================================================================================
PyTorch examples  ``| epoch   1 |   200/ 2983 batches | lr 20.00 | ms/batch 12.3 | loss  7.63 | ppl  2050.1`` and
                  ``Epoch: [0][  10/5005]  Time  0.3 ( 0.4)  Loss 6.9e+00 (7.0e+00)``
torchvision       ``Epoch: [0]  [  10/1000]  eta: 0:10:00  lr: 0.0001  loss: 2.3 (2.5)`` (DETR and others, too)
timm, Swin        ``Train: 0 [  50/1251 (  4%)]  Loss: 6.92 (6.92)  ...  LR: 1.000e-04``
MMDetection       ``Epoch [1][50/1000]  lr: 1.0e-03, ..., loss: 3.69`` and ``Epoch(train)  [1][  50/1000]  ...``
Marian            ``Ep. 1 : Up. 1000 : Sen. 25,600 : Cost 6.51 * ... : L.r. 3.0000e-04``
llama2.c          ``1000 | loss 3.6912 | lr 3.000000e-04 | 250.12ms | mfu 30.12%``
CLU               ``logging_writer.py:48] [1000] learning_rate=0.0003, loss=3.69``
MindSpore         ``epoch: 1 step: 1000, loss is 3.69``
build-nanogpt     ``1000 train 3.691200`` and ``1000 val 3.7012``
litgpt            ``iter 8000: val loss 3.70, val time: ...``, of micro-batches, below ``iter 8000 step 1000 | ...``
tqdm              ``loss 3.69 lr 3e-4: 25%|..| 1000/4000 [``, which were set as the description of a bar
TensorFlow        ``Saving dict for global step 1000: global_step = 1000, loss = 3.69``, an evaluation of an estimator
Keras             ``20/4000 [==>...] - ETA: 12:34 - loss: 3.69 - lr: 3.0000e-04`` below ``Epoch 1/3``
================  ======================================================================================================

Batches of an epoch are counted on from those of the epochs before, all of which have the length that is printed; a log
that begins with epoch 0 or 1 begins with the run. Bars of an evaluation (``Test:  [ 0/97]``) are left out.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bayeslr.logs.columns import split_of, step_columns
from bayeslr.logs.formats.patterns import NUMBER, has_digit

__all__ = ["MEAN_OF_THE_EPOCH", "TrainerLines"]

_PAIR: Final = re.compile(rf"(?P<key>[A-Za-z][\w./@-]{{0,60}})\s*[:=]?\s*(?<![\w.])(?P<value>{NUMBER})(?![\w.%:/])")

_BATCH: Final = r"\[?\s*(?P<batch>\d+)\s*/\s*(?P<length>\d+)"
_FROM_0: Final = re.compile(
    rf"\b(?:Epoch: \[(?P<epoch>\d+)\]\s*{_BATCH}\]|Train: (?P<epoch2>\d+) \[\s*(?P<batch2>\d+)/(?P<length2>\d+) \("
    r"|Train: \[(?P<epoch3>\d+)/\d+\]\[(?P<batch3>\d+)/(?P<length3>\d+)\])"
)
_FROM_1: Final = re.compile(
    rf"^\|\s*epoch\s+(?P<epoch>\d+)\s*\|\s*{_BATCH} batches \||"
    r"\bEpoch(?:\(train\))?\s+\[(?P<epoch2>\d+)\]\[\s*(?P<batch2>\d+)/(?P<length2>\d+)\]"
)
_EVALUATION: Final = re.compile(
    r"(?:^|\s)(?:Test(?: \([\w ]+\))?:\s*|Epoch\((?:val|test)\)\s*\[\d+\])"
    r"\[\s*\d+\s*/\s*\d+\s*(?:\(\s*\d+%\))?\]"
)
_MARIAN: Final = re.compile(
    rf"\bEp\. \d+ : Up\. (?P<step>\d+) : (?:.*? : )?"
    rf"(?:Cost (?P<loss>{NUMBER})|ce-mean-words : (?P<val_loss>{NUMBER}))"
    rf"(?: .*?: L\.r\. (?P<lr>{NUMBER}))?"
)
_LLAMA2_C: Final = re.compile(rf"^(?P<step>\d+) \| loss (?P<loss>{NUMBER}) \| lr (?P<lr>{NUMBER}) \| [\d.]+ms\b")
_CLU: Final = re.compile(r"(?:^|\] )(?:\[(?P<split>[a-z_]+)\] )?\[(?P<step>\d+)\] (?=[A-Za-z][\w/.-]*=)")
_KERAS_EPOCH: Final = re.compile(r"^Epoch (?P<epoch>\d+)/\d+\s*$")
_KERAS: Final = re.compile(
    r"^[\s\x08]*(?P<batch>\d+)/(?P<length>\d+) (?:\[[=>.]{3,}\]|[━╸╺ ]*━[━╸╺ ]*|- \d+s\b).*? - (?=\w*loss: )"
)
_MINDSPORE: Final = re.compile(rf"\bepoch:\s*(?P<epoch>\d+),?\s+step:\s*(?P<step>\d+),?\s+loss is (?P<loss>{NUMBER})")
_BARE: Final = re.compile(rf"(?P<step>\d+) (?:train (?P<train_loss>{NUMBER})|val (?P<val_loss>{NUMBER}))\s*")
_ESTIMATOR: Final = re.compile(rf"\bSaving dict for global step (?P<step>\d+): .*?\bloss = (?P<val_loss>{NUMBER})")
_MICRO: Final = re.compile(r"\biter (?P<iter>\d+) step (?P<step>\d+)\s*[|:]")
_OF_MICRO: Final = re.compile(rf"^\s*iter (?P<iter>\d+): val loss (?P<val_loss>{NUMBER})")
_DESCRIBED: Final = re.compile(r"(?<!\d)\d+%\|[^|]*\|\s*(?P<step>\d+)/(?P<total_steps>\d+) \[")
MEAN_OF_THE_EPOCH: Final = (
    "a progress bar of Keras shows the mean of the training loss since the epoch began, which lags behind the loss at "
    "a step: log it with `CSVLogger` or TensorBoard, or take a validation loss"
)
"""What has to be said of a loss of Keras's bars."""
_BEGINS_WITH_1: Final = (
    "the epochs of this form are counted from 0, but the first one here is 1: it was taken for the first of the run"
)

type Reading = Mapping[str, str]


class TrainerLines:
    """Reads lines of these trainers, one after the other.

    Attributes
    ----------
    notes
        What has to be said about the lines that were read.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._epoch = 1
        self._first: int | None = None
        self._micro_batches = 0
        self._readers = (self._batches, *_FORMS, self._litgpt, self._keras)

    def said(self, line: str) -> Reading | None:
        """Return what a line says.

        Parameters
        ----------
        line
            The line, without colours.

        Returns
        -------
        Mapping or None
            The values by their names; none of a bar of an evaluation. ``epoch_end`` is the step at which the epoch
            ends. None of a line that has no such form.
        """
        if len(line) > 10_000 or not has_digit(line):
            return None
        if "[" in line and _EVALUATION.search(line) is not None:
            return {}
        if line.startswith("Epoch ") and (match := _KERAS_EPOCH.match(line)) is not None:
            self._epoch = int(match["epoch"])
            return None
        for read in self._readers:
            found = read(line)
            if found is not None:
                return found
        return None

    def _batches(self, line: str) -> Reading | None:
        """Read a line with the number of an epoch and of its batch."""
        if "poch" not in line and "Train:" not in line:
            return None
        for pattern, first in ((_FROM_0, 0), (_FROM_1, 1)):
            match = pattern.search(line)
            if match is None:
                continue
            number, batch, length = [value for value in match.groups() if value is not None]
            epoch = int(number)
            pairs = _pairs(line[match.end() :])
            if int(batch) > int(length) or not {"loss", "lr"} & pairs.keys():
                return None
            if self._first is None:
                # programs that were made after others begin with 0 or 1 as they like; a later one has a past
                self._first = epoch if epoch < 2 else first
                if self._first > first:
                    self.notes.append(_BEGINS_WITH_1)
            return _in_epochs(epoch - self._first, batch, length, pairs)
        return None

    def _litgpt(self, line: str) -> Reading | None:
        """Read a validation at a micro-batch, whose updates the lines before it show."""
        if "iter" not in line:
            return None
        match = _MICRO.search(line)
        if match is not None:
            at, step = int(match["iter"]), int(match["step"])
            self._micro_batches = at // step if step and at % step == 0 else 0
            return None
        match = _OF_MICRO.match(line) if self._micro_batches else None
        if match is None:
            return None
        return {"step": str(int(match["iter"]) // self._micro_batches), "val_loss": match["val_loss"]}

    def _keras(self, line: str) -> Reading | None:
        """Read a bar of Keras, whose epoch was printed above it."""
        match = _KERAS.match(line) if " - " in line else None
        if match is None:
            return None
        found = _in_epochs(self._epoch - 1, match["batch"], match["length"], _pairs(line[match.end() :]))
        if "loss" in found and MEAN_OF_THE_EPOCH not in self.notes:
            self.notes.append(MEAN_OF_THE_EPOCH)
        return found


def _pairs(text: str) -> dict[str, str]:
    """Return the pairs of a text, of those of one name the first."""
    found: dict[str, str] = {}
    for pair in _PAIR.finditer(text):
        found.setdefault(pair["key"].lower(), pair["value"])
    return found


def _in_epochs(before: int, batch: str, length: str, pairs: Reading) -> dict[str, str]:
    """Return the pairs of a line, at the batch of an epoch with some epochs before it."""
    steps = before * int(length)
    return {
        **pairs,
        "step": str(steps + int(batch)),
        "epoch_length": length,
        "epoch_end": str(steps + int(length)),
    }


def _marian(line: str) -> Reading | None:
    """Read a line of Marian; one of a validation has its mean over words, or nothing of use."""
    if "Ep. " not in line:
        return None
    match = _MARIAN.search(line)
    return None if match is None else {key: value for key, value in match.groupdict().items() if value}


def _llama2_c(line: str) -> Reading | None:
    """Read a line of llama2.c."""
    match = _LLAMA2_C.match(line) if " | loss " in line else None
    return None if match is None else match.groupdict()


def _clu(line: str) -> Reading | None:
    """Read a line of CLU's writer, whose names are those of a collection where one is in brackets before the step."""
    match = _CLU.search(line) if "=" in line and "[" in line else None
    if match is None:
        return None
    pairs = _pairs(line[match.end() :])
    if not any("loss" in key or "lr" in key or "learning_rate" in key for key in pairs) or step_columns(list(pairs)):
        return None
    split = match["split"]
    return {**({f"{split}/{key}": value for key, value in pairs.items()} if split else pairs), "step": match["step"]}


def _mindspore(line: str) -> Reading | None:
    """Read a line of MindSpore's monitor of the loss."""
    match = _MINDSPORE.search(line) if "loss is" in line else None
    return None if match is None else match.groupdict()


def _bare(line: str) -> Reading | None:
    """Read a line of a step, a word for the split, and its loss."""
    match = _BARE.fullmatch(line) if line[:1].isdigit() else None
    return None if match is None else {key: value for key, value in match.groupdict().items() if value}


def _described(line: str) -> Reading | None:
    """Read a bar whose description has a loss, unless it is about an evaluation or says a step of its own."""
    match = _DESCRIBED.search(line) if "%|" in line and "loss" in line.lower() else None
    if match is None:
        return None
    description = line[: match.start()].rstrip(" :,|")
    pairs, words = _pairs(description), re.findall(r"[a-z]+", description.lower())
    about = any(split_of(w) in ("validation", "test") or w.startswith(("eval", "valid", "test")) for w in words)
    if "loss" not in pairs or step_columns(words) or about:
        return None
    # the bars of several epochs begin again
    total = {} if "epoch" in words else {"total_steps": match["total_steps"]}
    return {**pairs, "step": match["step"], **total}


def _estimator(line: str) -> Reading | None:
    """Read the line of an evaluation of TensorFlow's estimators."""
    match = _ESTIMATOR.search(line) if "Saving dict" in line else None
    return None if match is None else match.groupdict()


_FORMS: Final[Sequence[Callable[[str], Reading | None]]] = (
    _marian,
    _llama2_c,
    _clu,
    _mindspore,
    _bare,
    _described,
    _estimator,
)
