"""Console logs of the common trainers: lines such as ``step 100/2000 | loss 3.69 | lr 1e-3`` among other text.

A trainer is a pattern of a line; what the groups of the pattern catch are the columns. Whatever else is printed is left
out. Colours are removed first.

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
Hugging Face      ``{'loss': 3.69, 'learning_rate': 0.001, 'epoch': 0.1}``: only where a step is printed too
================  ======================================================================================================
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from bayeslr.errors import LogError
from bayeslr.logs.columns import split_of
from bayeslr.logs.formats.files import LogFile
from bayeslr.logs.limits import MAX_COLUMNS, shown
from bayeslr.logs.rawlog import CHUNK, Chunk, RawLog

__all__ = ["is_console_output", "open_console"]

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# a decimal comma, or one of thousands, would cut a whole number short: such a one is none
_NUMBER: Final = r"[-+]?(?!\d+,\d)(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf|NaN)"
_WHOLE: Final = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_OF: Final = rf"(?:\s*/\s*(?P<total_steps>{_WHOLE}))?"
_PAIRS: Final = re.compile(rf"(?P<key>[A-Za-z][\w /.-]{{0,80}}?)\s*[:=]\s*\[*(?P<value>{_NUMBER})(?![\w.])")
_SPACED: Final = re.compile(rf"(?P<key>[A-Za-z][A-Za-z_ ]*?)\s+(?P<value>{_NUMBER})(?![\w.])")

_ANY: Final = re.compile(
    r"(?P<key>[A-Za-z][\w/.-]{0,60}?(?: [A-Za-z][\w/.-]{0,60}?){0,4}?)(?:\s*[:=]\s*\[*|\s+)"
    rf"(?P<value>{_NUMBER})(?![\w.])"
)
_STEP: Final = re.compile(
    r"(?i)(?<![\w./])(?:global[_ ]?)?(?:steps?|iter|iteration|update|num_updates)\s*[:=]?\s*[\[(]?\s*"
    rf"(?P<step>{_WHOLE})(?![\w.]|[:-]\d){_OF}"
)
_COUNT: Final = re.compile(rf"(?<![\w./])\[?\s*(?P<step>{_WHOLE})\s*/\s*(?P<total_steps>{_WHOLE})\s*[\]|,:]")
_LOSS: Final = re.compile(rf"(?i)(?:\b|_)(?:loss|lr)\s*[:=]?\s*\[*{_NUMBER}(?![\w.])")
_ARGUMENTS: Final = re.compile(r"(?:^|\s)--[A-Za-z][\w-]*[ =]|(?:Namespace|Arguments?|Args|Config(?:uration)?)\(")
_UNNAMED: Final = frozenset({"loss", "avg loss", "mean loss"})

type Reading = Mapping[str, str]


def _with_pairs(match: re.Match[str], found: re.Pattern[str], rest: str) -> dict[str, str]:
    """Return the named groups of a line and the pairs of names and numbers in the rest of it."""
    values = {pair["key"].strip().lower(): pair["value"] for pair in found.finditer(rest)}
    return {**{key: value for key, value in match.groupdict().items() if value}, **values}


def _line(pattern: str, found: re.Pattern[str] | None = None) -> Callable[[str], Reading | None]:
    """Return a reader of lines with a pattern, followed by pairs."""
    compiled = re.compile(pattern)

    def read(text: str) -> Reading | None:
        match = compiled.search(text)
        if match is None:
            return None
        if found is None:
            return {key: value for key, value in match.groupdict().items() if value}
        return _with_pairs(match, found, text[match.end() :])

    return read


def _valid_line(text: str) -> Reading | None:
    """Read fairseq's line about a validation, whose names do not say that they are about one."""
    match = re.search(r"\bvalid on '[^']*' subset \|", text)
    if match is None:
        return None
    found = re.finditer(rf"\|\s*(?P<key>[A-Za-z_]+) (?P<value>{_NUMBER})(?=\s|$)", text[match.end() - 1 :])
    return {(p["key"] if p["key"] == "num_updates" else f"valid_{p['key']}"): p["value"] for p in found}


def _any_line(text: str) -> Reading | None:
    """Read a line of an unknown program that has a step and a loss or a rate, in any order."""
    if _LOSS.search(text) is None or _ARGUMENTS.search(text) is not None:
        return None
    match = _STEP.search(text)
    if match is None and "epoch" not in text.lower():
        match = _COUNT.search(text)
    if match is None:
        return None
    rest = f"{text[: match.start()]} | {text[match.end() :]}"
    found = {pair["key"].strip().lower(): pair["value"] for pair in _ANY.finditer(rest)}
    found = {key.rpartition("info:root:")[2] if "info:root:" in key else key: value for key, value in found.items()}
    before = re.findall(r"[a-z]+", text[: match.start()].lower())
    if before and split_of(before[-1]) == "validation":
        # the word in front of the step says whose losses these are
        found = {f"val_{key}" if key in _UNNAMED else key: value for key, value in found.items()}
    return {key: value for key, value in {**found, **match.groupdict()}.items() if value}


_TRAINERS: Final[Sequence[tuple[str, Callable[[str], Reading | None]]]] = (
    (
        "Megatron",
        _line(
            rf"validation (?:loss|results) at iteration (?P<iteration>\d+)(?! on test)[^|]*\|\s*lm[_ ]loss value: "
            rf"(?P<validation_loss>{_NUMBER})"
        ),
    ),
    ("Megatron", _line(rf"(?<!at )\biteration\s+(?P<iteration>\d+){_OF}\s*\|", _ANY)),
    (
        "nanoGPT",
        _line(
            rf"^\s*(?:\[.*\]\s*)?step (?P<step>\d+): train loss (?P<train_loss>{_NUMBER}), "
            rf"val loss (?P<val_loss>{_NUMBER})",
            _SPACED,
        ),
    ),
    ("nanoGPT", _line(rf"\biter (?P<step>\d+): (?:train )?loss (?P<loss>{_NUMBER})", _SPACED)),
    ("modded-nanogpt", _line(rf"\bstep:(?P<step>\d+){_OF}\s+(?=\w+:)", _PAIRS)),
    ("llm.c", _line(rf"^s:(?P<step>\d+) tel:(?P<val_loss>{_NUMBER})")),
    ("llm.c", _line(rf"^s:(?P<step>\d+) trl:(?P<train_loss>{_NUMBER})", _PAIRS)),
    ("llm.c", _line(rf"^val loss:? (?P<val_loss_now>{_NUMBER})")),
    ("llm.c", _line(rf"^step\s+(?P<step>\d+){_OF}\s*\|\s*(?=(?:train )?loss {_NUMBER})", _SPACED)),
    ("nanochat", _line(rf"\bstep\s+(?P<step>\d+){_OF}\s*(?:\([\d.]+%\)\s*)?\|\s*(?=\w+:)", _PAIRS)),
    ("nanochat", _line(rf"^Step\s+(?P<step>\d+)\s*\|\s*Validation (?P<key>bpb|loss): (?P<value>{_NUMBER})")),
    (
        "litgpt",
        _line(
            rf"\biter \d+ step (?P<step>\d+)\s*[|:] loss(?: train)?:? (?P<train_loss>{_NUMBER})"
            rf"(?:, val: (?P<val_loss>{_NUMBER}))?"
        ),
    ),
    ("fairseq", _line(r"\bepoch \d+:\s+\d+ / \d+ (?=loss=)", _PAIRS)),
    ("fairseq", _valid_line),
    ("torchtitan", _line(rf"\bvalidate step:\s*(?P<step>\d+)\s+loss:\s*(?P<val_loss>{_NUMBER})")),
    ("torchtitan", _line(r"\bstep:\s*(?P<step>\d+)\s+(?=loss:)", _PAIRS)),
    ("Lightning", _line(r"^Epoch (?P<epoch>\d+):.*\|\s*(?P<step>\d+)/\d+ \[(?=[^\]]*loss(?:_step)?=)", _PAIRS)),
    ("a bar of tqdm", _line(r"\|\s*(?P<step>\d+)/(?P<total_steps>\d+) \[(?=[^\]]*loss=)", _PAIRS)),
    ("a trainer", _any_line),
)
_OPENING: Final = re.compile(r"\[(?:step|epoch=\d+\]\[batch|batch)=(?P<step>\d+)(?:/(?P<total_steps>\d+))?[\],]")
_BELOW: Final = re.compile(rf"^\s*(?:Train|Eval)?\s*(?P<key>[A-Za-z][\w /.()-]*?)\s*[=:]\s*(?P<value>{_NUMBER})\s*$")
_KEYS: Final = frozenset({"loss", "lm loss", "lm_loss", "train_loss", "val_loss", "validation_loss", "valid_loss"})


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
        and (_OPENING.search(line) is not None or _printed(line) is not None or _matched(line) is not None)
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
        If no step is printed.
    """
    columns: dict[str, None] = {}
    planned: set[str] = set()
    first = ""
    for _, reading in _readings(file):
        first = first or shown(dict(reading), 120)
        planned.add(str(reading.get("total_steps", "")))
        columns.update(dict.fromkeys(reading))
        if len(columns) > MAX_COLUMNS:
            raise LogError(f"{file.path}: more than {MAX_COLUMNS} different names; allowed: fewer")
    planned.discard("")
    if not {"step", "iteration", "num_updates", "global_step"} & columns.keys():
        raise LogError(
            f"{file.path}: console output without a step ({first}); allowed: a log that has steps, such as the "
            "trainer_state.json in a checkpoint of the Hugging Face Trainer"
        )

    def chunks(wanted: Sequence[str]) -> Iterator[Chunk]:
        numbers: list[int] = []
        cells: dict[str, list[object]] = {name: [] for name in wanted}
        for number, reading in _readings(file):
            numbers.append(number)
            for name, cell in cells.items():
                cell.append(reading.get(name))
            if len(numbers) == CHUNK:
                yield numbers, cells
                numbers, cells = [], {name: [] for name in wanted}
        if numbers:
            yield numbers, cells

    total = int(planned.pop()) if len(planned) == 1 else None
    names = tuple(name for name in columns if name != "total_steps")
    return RawLog(
        path=str(file.path), columns=names, chunks=chunks, notes=file.notes, total_steps=total, what="console output"
    )


def _until(file: LogFile, lines: int) -> Iterator[tuple[int, str, bool]]:
    for number, line, ended in file.lines():
        if number > lines:
            return
        yield number, _COLOURS.sub("", line), ended


def _readings(file: LogFile) -> Iterator[tuple[int, Reading]]:
    """Go through what the lines say."""
    below: str | None = None
    latest: str = "0"
    for number, line, ended in _until(file, 1 << 62):
        if not ended and not line.rstrip().endswith(("|", "}")):
            # the last number may have been cut off
            line = line[: max(line.rfind("|"), line.rfind(" "), 0)]
        opening = _OPENING.search(line)
        if opening is not None:
            below = opening["step"]
            yield number, {key: value for key, value in opening.groupdict().items() if value}
            continue
        if below is not None and (match := _BELOW.match(line)):
            yield number, {"step": below, match["key"].strip(): match["value"]}
            continue
        found = _matched(line) or _printed(line)
        if found is None:
            continue
        if "val_loss_now" in found:
            found = {"step": latest, "val_loss": found["val_loss_now"]}
        if "key" in found:
            found = {"step": found["step"], f"val_{found['key']}": found["value"]}
        found = {k: v.replace(",", "") if k in ("step", "total_steps") else v for k, v in found.items()}
        latest = found.get("step", latest)
        yield number, found


def _matched(line: str) -> Reading | None:
    """Return what a line says if it has the pattern of a trainer."""
    if not any(c.isdigit() for c in line) or len(line) > 10_000:
        return None
    for _, read in _TRAINERS:
        found = read(line)
        if found is not None:
            return found
    return None


def _printed(line: str) -> Reading | None:
    """Return the numbers of a Python dict that was printed."""
    start, end = line.find("{'"), line.rfind("}")
    if start < 0 or end < start or end - start > 10_000:
        return None
    try:
        values = ast.literal_eval(line[start : end + 1].replace(": nan", ": 'nan'").replace(": inf", ": 'inf'"))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    if not isinstance(values, dict) or not any("loss" in str(key) for key in values):
        return None
    return {str(key): str(value) for key, value in values.items() if isinstance(value, int | float | str)}
