"""What one line of a console log says: the patterns of the trainers, and what of a line is about an evaluation."""

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from bayeslr.logs.columns import loss_kind, perplexity_columns, split_of, step_columns
from bayeslr.logs.formats.patterns import COUNTER, NUMBER, has_digit, may_have

__all__ = ["BELOW", "OPENING", "Reading", "has_step", "printed", "said", "validated"]

_WHOLE: Final = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_OF: Final = rf"(?:\s*/\s*(?P<total_steps>{_WHOLE}))?"

_PAIRS: Final = re.compile(rf"(?P<key>[A-Za-z][\w /.-]{{0,80}}?)\s*[:=]\s*\[*(?P<value>{NUMBER})(?![\w.%])")
_ANY: Final = re.compile(
    r"(?P<key>[A-Za-z][\w/.-]{0,60}?(?: [A-Za-z][\w/.-]{0,60}?){0,4}?)(?:\s*[:=]\s*\[*|\s+)"
    rf"(?P<value>{NUMBER})(?![\w.%])"
)
_STEP: Final = re.compile(
    r"(?i)(?<![\w./])(?<!micro[ -])(?<!accum[ -])(?<!accumulation )"
    rf"(?P<counter>{COUNTER})(?:\.{{3}})?\s*[:=]?\s*[\[(]?\s*"
    rf"(?P<step>{_WHOLE})(?!\w|\.(?!\.)|[:-]\d){_OF}"
)
_COUNT: Final = re.compile(rf"(?<![\w./])\[?\s*(?P<step>{_WHOLE})\s*/\s*(?P<total_steps>{_WHOLE})\s*[\]|,:]")
_BESIDE_ITER: Final = re.compile(rf"\W*(?i:(?:global[_ ]|opt(?:imizer)?[_ ])?step|update)\s*[:=]?\s*{_WHOLE}(?![\w.])")
_PART: Final = re.compile(r"(?i)(?<![A-Za-z])(?:micro|accum(?:ulation)?)[ _-]?(?:step|iter|batch)")
_LOSS: Final = re.compile(rf"(?i)(?:\b|_)(?:loss|lr)\s*[:=]?\s*\[*{NUMBER}(?![\w.])")
_ARGUMENTS: Final = re.compile(r"(?:^|\s)--[A-Za-z][\w-]*[ =]|(?:Namespace|Arguments?|Args|Config(?:uration)?)\(")

_VALIDATION: Final = r"(?:val|valid|validation|eval|evaluation|dev)"
_SPLIT_AFTER_LOSS: Final = re.compile(
    rf"(?i)\bloss(?:es)?\s*[:=|(\[]*\s*(?:train|training|trn)\s*[:=]?\s*(?P<train>{NUMBER})(?![\w.])"
    rf"\s*[,|/;]?\s*{_VALIDATION}\s*[:=]?\s*(?P<val>{NUMBER})(?![\w.])"
)
_STEP_AFTER_LOSS: Final = re.compile(
    rf"(?i)(?<!\w){_VALIDATION}[ _]loss\s+(?:after|at|for|@)\s+{COUNTER}\s*[:=#]?\s*(?P<step>{_WHOLE})"
    rf"\s*(?:[:=-]|is)\s*(?P<value>{NUMBER})(?![\w.])"
)
_VALIDATED: Final = re.compile(
    rf"(?i)(?<![\w-]){_VALIDATION}(?:[ _]set)?[\])>|:,/_\s-]+(?:(?:avg|mean|average|lm|ce)[_\s])?loss"
    rf"(?:\s+(?:after|at|for)\s+epoch\s+\d+)?\s*(?:[:=]|is\b)?\s*\[*"
    rf"(?P<value>{NUMBER})(?![\w.]|\s*(?:->|=>|→|to\b))"
)
_BEFORE_SLASH: Final = re.compile(r"(?<![\w/.-])([A-Za-z][\w.-]*)/$")
_PAST: Final = re.compile(r"(?i)(?<![\w/-])(?:best|lowest|minimum|previous|prev|last|target)(?![\w/-])")
_BEST: Final = re.compile(r"(?i)(?<![\w/-])(?:best|lowest|minimum)(?![\w/-])")
_PROGRESS: Final = re.compile(r"\d+/\d+ ?\[|\dit/s|\ds/it")

_VALID_ON: Final = re.compile(r"\bvalid on '[^']*' subset \|")
_PIECES: Final = re.compile(r"[|,;:=()\[\]{}]|\s-+\s")
_NO_SPLIT: Final = re.compile(
    r"[\w./-]{1,80}\.(?:py|cc|cpp|cu|rs)\b|\w{1,40}\s*[:=]\s*(?i:false|none|no)\b|[^\s/]{0,80}/[^\s/]{0,80}/\S{0,200}"
)
"""Files, and flags that are not set, whose words say nothing about the line."""
_BESIDE: Final = frozenset({"time", "took", "every", "interval", "next", "until", "before", "skipped"})
_ACTIVE: Final = {"evaluating": "validation", "validating": "validation", "evals": "validation"}
_DATA_SET: Final = re.compile(rf"(?i)(?<!\w){_VALIDATION}/([a-z][\w-]*)|\bon (?:the )?([a-z][\w.-]*)")
_NO_DATA_SET: Final = frozenset({"set", "split", "data", "cuda", "gpu", "gpus", "cpu", "tpu", "device", "rank", "loss"})

_kind_of: Final = lru_cache(maxsize=4096)(loss_kind)
_split_of: Final = lru_cache(maxsize=4096)(split_of)

type Reading = Mapping[str, str]
type _Reader = Callable[[str], Reading | None]


@lru_cache(maxsize=1024)
def has_step(names: tuple[str, ...]) -> bool:
    """Return whether one of the names in a line counts steps; lines of one program have the same names."""
    return bool(step_columns(names))


def _first_counts(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return pairs of names and numbers, of those of one name the first."""
    found: dict[str, str] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _groups(match: re.Match[str]) -> dict[str, str]:
    """Return what the named groups of a pattern caught."""
    return {key: value for key, value in match.groupdict().items() if value}


def _line(word: str, pattern: str, found: re.Pattern[str] | None = None) -> tuple[str, _Reader]:
    """Return a word that a line with a pattern must have, and a reader of the pattern and of the pairs behind it."""
    compiled = re.compile(pattern)

    def read(text: str) -> Reading | None:
        match = compiled.search(text)
        if match is None:
            return None
        if found is None:
            return _groups(match)
        pairs = found.finditer(text[match.end() :])
        return {**_first_counts((pair["key"].strip().lower(), pair["value"]) for pair in pairs), **_groups(match)}

    return word, read


def _bar(pattern: str) -> tuple[str, _Reader]:
    """Return a reader of progress bars that are not about an evaluation, whose pairs count before the bar itself."""
    compiled = re.compile(pattern)

    def read(text: str) -> Reading | None:
        match = compiled.search(text) if may_have(text, "loss") else None
        if match is None or _split_said(text.partition("|")[0]) in ("validation", "test"):
            return None
        bar = _groups(match)
        if bar.pop("epochs", "1" if "epoch" not in bar else "") != "1":
            # the bar counts the steps of an epoch
            bar.pop("total_steps", None)
        pairs = _PAIRS.finditer(text[match.end() :])
        return {**bar, **_first_counts((pair["key"].strip().lower(), pair["value"]) for pair in pairs)}

    return "|", read


def _valid_line(text: str) -> Reading | None:
    """Read fairseq's line about a validation, whose names do not say that they are about one."""
    match = _VALID_ON.search(text)
    if match is None:
        return None
    found = re.finditer(rf"\|\s*(?P<key>[A-Za-z_]+) (?P<value>{NUMBER})(?=\s|$)", text[match.end() - 1 :])
    return {(p["key"] if p["key"] == "num_updates" else f"valid_{p['key']}"): p["value"] for p in found}


def _any_line(text: str) -> Reading | None:
    """Read a line of an unknown program that has a step and a loss or a rate, in any order."""
    if not may_have(text, "loss", "lr"):
        return None
    if _may_evaluate(text):
        text = _STEP_AFTER_LOSS.sub(r"step \g<step> | val_loss \g<value>", text)
        text = _SPLIT_AFTER_LOSS.sub(r"train_loss \g<train> val_loss \g<val>", text)
    if _LOSS.search(text) is None or _ARGUMENTS.search(text) is not None:
        return None
    match = _STEP.search(text)
    if match is None and "epoch" not in text.lower() and _PART.search(text) is None:
        match = _COUNT.search(text)
    if match is None:
        return None
    step = _groups(match)
    counter = step.pop("counter", "").lower()
    beside = _BESIDE_ITER.match(text, match.end()) if counter.startswith("iter") else None
    if beside is not None:  # both are columns, and the updates among them are found as in a table
        return {**_pairs_in(text[match.end() :], counter), "iter": step["step"]}
    found = _pairs_in(f"{text[: match.start()]} | {text[match.end() :]}", counter)
    if any(_BEST.search(key) for key in found) and not any(_kind_of(key) or "lr" in key for key in found):
        return None
    return {**found, **step}


def _pairs_in(text: str, counter: str) -> dict[str, str]:
    """Return the pairs of a line, with names that say on what a loss was measured where words around it do."""
    found: dict[str, tuple[str, str]] = {}
    evaluates = _may_evaluate(text)
    split = data = ""
    end = 0
    for pair in _ANY.finditer(text):
        key = pair["key"].strip().lower()
        key = key.rpartition("info:root:")[2] if "info:root:" in key else key
        if key == counter and any("loss" in known for known in found):
            break  # the rest is about another step
        between = text[end : pair.start()]
        if evaluates and (words := _split_said(between)):
            split, data = words, _data_set(between)
        end = pair.end()
        if key.isalpha() and _split_of(key) in ("validation", "test") and pair["value"].isdecimal():
            # the number of an evaluation: `eval 3 at step 600: loss 3.1`
            split = _split_of(key)
            continue
        if split != "past" or not _kind_of(key):
            found.setdefault(_named(key, split, data), (key, pair["value"]))
    else:
        rest = re.findall(r"[a-z]+", re.sub(r"\b\w+\s*[:=]", " ", text[end:].lower())) if evaluates else []
        if not split and len(rest) == 1:
            found = {_named(key, _split_of(rest[0]), ""): pair for key, pair in found.items()}
    if evaluates and any(_kind_of(key) == "training" for key, _ in found.values()):
        return _first_counts(found.values())
    return {name: value for name, (_, value) in found.items()}


def _may_evaluate(text: str) -> bool:
    """Return False where no word of a line can be about an evaluation, which saves the search for one."""
    return may_have(text, "val", "test", "dev", "hold", "held")


def _named(key: str, split: str, data: str) -> str:
    """Return a name that says on what a loss was measured, where its own does not."""
    if split not in ("validation", "test") or not (_kind_of(key) == "plain" or perplexity_columns([key])):
        return key
    return "_".join(filter(None, ["val" if split == "validation" else "test", data, key]))


def _split_said(text: str) -> str:
    """Return the split that words nearest to the end of a text name; ``past`` for a validation that was before."""
    for piece in reversed(_PIECES.split(_NO_SPLIT.sub(" ", text))):
        words = re.findall(r"[a-z]+", piece.lower())[-4:]
        kinds = {_ACTIVE.get(word) or _split_of(word) for word in words} - {""}
        if len(kinds) != 1 or _BESIDE & set(words) or ("test" in kinds and len(words) > 2):
            continue
        kind = kinds.pop()
        return "past" if kind != "training" and _PAST.search(piece) else kind
    return ""


def _data_set(text: str) -> str:
    """Return the name of the data set in words such as ``eval/c4`` and ``eval at step 100 on c4``."""
    names = [(match[1] or match[2]).rstrip(".-").lower() for match in _DATA_SET.finditer(text)]
    return next((name for name in names if not _split_of(name) and name not in _NO_DATA_SET), "")


_TRAINERS: Final[Sequence[tuple[str, _Reader]]] = (
    # Megatron, NeoX
    _line(
        "loss value: ",
        rf"validation (?:loss|results) at iteration (?P<iteration>\d+)\b(?! on test)[^|]*\|\s*lm[_ ]loss value: "
        rf"(?P<validation_loss>{NUMBER})",
    ),
    _line("iteration", rf"(?<!at )\biteration\s+(?P<iteration>\d+){_OF}\s*\|", _ANY),
    # nanoGPT
    _line(
        ": train loss ",
        rf"^\s*(?:\[.*\]\s*)?step (?P<step>\d+): train loss (?P<train_loss>{NUMBER}), "
        rf"val loss (?P<val_loss>{NUMBER})",
        _ANY,
    ),
    _line("iter ", rf"\biter (?P<step>\d+): (?:train )?loss (?P<loss>{NUMBER})", _ANY),
    # modded-nanogpt
    _line("step:", rf"\bstep:(?P<step>\d+){_OF}\s+(?=\w+:)", _PAIRS),
    # llm.c
    _line(" tel:", rf"^s:(?P<step>\d+) tel:(?P<val_loss>{NUMBER})"),
    _line(" trl:", rf"^s:(?P<step>\d+) trl:(?P<train_loss>{NUMBER})", _PAIRS),
    _line("val loss", rf"^val loss:? (?P<val_loss_now>{NUMBER})"),
    _line("|", rf"^step\s+(?P<step>\d+){_OF}\s*\|\s*(?=(?:train )?loss {NUMBER})", _ANY),
    # nanochat
    _line("|", rf"\bstep\s+(?P<step>\d+){_OF}\s*(?:\([\d.]+%\)\s*)?\|\s*(?=\w+:)", _ANY),
    _line(
        "Validation ",
        r"^Step\s+(?P<step>\d+)\s*\|\s*Validation "
        rf"(?:bpb: (?P<val_bpb>{NUMBER})|loss: (?P<val_loss>{NUMBER}))",
    ),
    # litgpt
    _line(
        "iter ",
        rf"\biter \d+ step (?P<step>\d+)\s*[|:] loss(?: train)?:? (?P<train_loss>{NUMBER})"
        rf"(?:, val: (?P<val_loss>{NUMBER}))?",
    ),
    # fairseq
    _line("epoch ", r"\bepoch \d+:\s+\d+ / \d+ (?=loss=)", _PAIRS),
    ("valid on '", _valid_line),
    # torchtitan
    _line("validate step:", rf"\bvalidate step:\s*(?P<step>\d+)\s+loss:\s*(?P<val_loss>{NUMBER})"),
    _line("step:", r"\bstep:\s*(?P<step>\d+)\s+(?=loss:)", _PAIRS),
    # Lightning, and bars of tqdm
    _bar(r"^Epoch (?P<epoch>\d+):.*\|\s*(?P<step>\d+)/\d+ \[(?=[^\]]*[lL]oss(?:_step)?=)"),
    _bar(
        r"(?:(?i:\bepoch)\s*[:=#]?\s*\[?(?P<epoch>\d+)(?:\s*/\s*(?P<epochs>\d+))?(?![\w.]).*?)?"
        r"\|\s*(?P<step>\d+)/(?P<total_steps>\d+) \[(?=[^\]]*[lL]oss(?:/[\w/]+)?=)"
    ),
)
"""What a line must have, and who reads it then, the first that can."""
OPENING: Final = re.compile(r"\[(?:step|epoch=\d+\]\[batch|batch)=(?P<step>\d+)(?:/(?P<total_steps>\d+))?[\],]")
"""What OLMo and Composer print above the values of a step."""
BELOW: Final = re.compile(
    rf"^\s*(?:Train|(?P<eval>Eval))?\s*(?P<key>[A-Za-z][\w /.()-]*?)\s*[=:]\s*(?P<value>{NUMBER})\s*$"
)
"""One of these values."""


def said(line: str) -> Reading | None:
    """Return what a line says if it has the pattern of a trainer.

    Parameters
    ----------
    line
        The line, as :func:`bayeslr.logs.formats.console_text.cleaned` returns it.

    Returns
    -------
    Mapping or None
        The values by their names; ``val_loss_now`` is a validation loss at the latest step.
    """
    if len(line) > 10_000 or not has_digit(line):
        return None
    if may_have(line, "best", "lowest", "minimum") and _is_past(line):
        return None
    for word, read in _TRAINERS:
        found = read(line) if word in line else None
        if found is None:
            continue
        if _may_evaluate(line) and not _evaluated(found):
            # words beside the pairs may say that a loss is one of an evaluation
            other = _any_line(line)
            found = other if other is not None and _evaluated(other) else found
        return found
    return _any_line(line)


def _is_past(line: str) -> bool:
    """Return whether a line says at which step something was best."""
    match = _STEP.search(line) if _BEST.search(line) is not None else None
    return match is not None and _BEST.search(_ANY.sub("|", line[: match.start()])) is not None


def _evaluated(found: Reading) -> bool:
    """Return whether a loss is named as one of an evaluation."""
    return "val_loss_now" in found or any(_kind_of(name) in ("validation", "test") for name in found)


def validated(line: str) -> Reading | None:
    """Return the validation loss of a line without a step.

    Parameters
    ----------
    line
        The line, as :func:`bayeslr.logs.formats.console_text.cleaned` returns it.

    Returns
    -------
    Mapping or None
        ``3.57`` as ``val_loss`` of ``Validation loss: 3.57``, as ``val_c4_loss`` of ``c4/val loss: 3.57``; None of a
        best or earlier one, and of a progress bar.
    """
    if len(line) > 10_000 or not may_have(line, "loss"):
        return None
    match = _VALIDATED.search(line)
    if match is None or match["value"].isdigit() or any(p.search(line) for p in (_STEP, _PROGRESS, _ARGUMENTS)):
        return None
    data = _BEFORE_SLASH.search(line, 0, match.start())
    name = f"val_{data[1].lower()}_loss" if data is not None and not _split_of(data[1]) else "val_loss"
    return None if _PAST.search(line, 0, match.start()) else {name: match["value"]}


def printed(line: str) -> Reading | None:
    """Return the numbers of a Python dict that was printed.

    Parameters
    ----------
    line
        The line, as :func:`bayeslr.logs.formats.console_text.cleaned` returns it.

    Returns
    -------
    Mapping or None
        The values by their names; None where no dict has a loss.
    """
    start, end = line.find("{'"), line.rfind("}")
    if start < 0 or end < start or end - start > 10_000:
        return None
    try:
        values = ast.literal_eval(line[start : end + 1].replace(": nan", ": 'nan'").replace(": inf", ": 'inf'"))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    if not isinstance(values, dict) or not any("loss" in str(key) for key in values):
        return None
    found = {str(key): str(value) for key, value in values.items() if isinstance(value, int | float | str)}
    before = None if has_step(tuple(found)) else _STEP.search(line, 0, start)
    return found if before is None else {"step": before["step"], **found}
