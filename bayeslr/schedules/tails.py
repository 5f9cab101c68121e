"""Tails: what a run may do from a checkpoint on, as text, ``"constant(steps=5000) + linear(decay_steps=4000)"``.

A tail begins at the rate that the run has there, so none of its parts has a peak:

- ``constant(steps=N)`` keeps the rate;
- ``linear``, ``cosine``, ``exponential`` and ``sqrt(decay_steps=N, final_lr=0)`` lower it; ``sqrt`` is the shape that
  :func:`bayeslr.schedules.wsd` calls ``1-sqrt``.

Parts are joined by ``+``. The text is parsed, never evaluated.
"""

import ast
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bayeslr.errors import ScheduleError
from bayeslr.schedules.arguments import show
from bayeslr.schedules.builders import wsd
from bayeslr.schedules.schedule import Schedule

__all__ = ["Tail", "parse_tail"]

_SHAPES: Final = {"linear": "linear", "cosine": "cosine", "exponential": "exponential", "sqrt": "1-sqrt"}
_ARGUMENTS: Final = {"constant": {"steps"}} | {name: {"decay_steps", "final_lr"} for name in _SHAPES}
_ALLOWED: Final = (
    "allowed: parts joined by +, of constant(steps=5000) and linear, cosine, exponential or sqrt(decay_steps=4000, "
    "final_lr=0)"
)


@dataclass(frozen=True, kw_only=True)
class Tail:
    """What follows a checkpoint.

    Parameters
    ----------
    text
        The text that it was read from.
    parts
        Name and arguments of each part.
    """

    text: str
    parts: tuple[tuple[str, dict[str, Any]], ...]

    def after(self, schedule: Schedule, step: int) -> Schedule:
        """Return the schedule of a run that leaves another one at a step.

        Parameters
        ----------
        schedule
            The rates so far.
        step
            The checkpoint: updates that both have in common.

        Returns
        -------
        Schedule
            The rates up to the step, then the tail, which begins at the rate of the update before it.

        Raises
        ------
        ScheduleError
            If the step lies outside the schedule or inside its warm-up, the rate there is zero, or an argument of the
            tail is out of range.
        """
        if not schedule.warmup_steps < step <= schedule.total_steps:
            raise ScheduleError(
                f"tail {show(self.text)}: the checkpoint is step {step}; allowed: {schedule.warmup_steps + 1} to "
                f"{schedule.total_steps}, after the warm-up"
            )
        rate = float(schedule.lr[step - 1])
        rates = [schedule.lr[:step]]
        for name, arguments in self.parts:
            if not rate > 0.0:
                raise ScheduleError(f"tail {show(self.text)}: the rate is zero before {name}; allowed: a positive rate")
            part = self._rates(name, arguments, rate)
            rates.append(part)
            rate = float(arguments.get("final_lr", 0.0)) if name in _SHAPES else rate
        return Schedule(lr=np.concatenate(rates), warmup_steps=schedule.warmup_steps)

    def _rates(self, name: str, arguments: dict[str, Any], rate: float) -> Any:
        count = arguments["steps" if name == "constant" else "decay_steps"]
        try:
            if name == "constant":
                return wsd(peak_lr=rate, total_steps=count, decay_steps=0).lr
            final = arguments.get("final_lr", 0.0)
            shape = _SHAPES[name]
            return wsd(peak_lr=rate, total_steps=count, decay_steps=count, final_lr=final, decay=shape).lr
        except ScheduleError as error:
            reason = str(error).replace("wsd", name, 1).replace("total_steps", "steps")
            raise ScheduleError(f"tail {show(self.text)}: {reason}") from None


def parse_tail(text: str) -> Tail:
    """Read a tail.

    Parameters
    ----------
    text
        The text, ``"linear(decay_steps=4000)"``.

    Returns
    -------
    Tail
        The tail.

    Raises
    ------
    ScheduleError
        If the text is no tail.
    """
    where = f"tail {show(text)}"
    try:
        node: ast.expr = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError, AttributeError):
        raise ScheduleError(f"{where}: cannot be read; {_ALLOWED}") from None
    calls: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        calls.append(node.right)
        node = node.left
    return Tail(text=text.strip(), parts=tuple(_part(where, call) for call in reversed([*calls, node])))


def _part(where: str, node: ast.expr) -> tuple[str, dict[str, Any]]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise ScheduleError(f"{where}: a part is no call with named arguments; {_ALLOWED}")
    name = node.func.id
    if name not in _ARGUMENTS:
        raise ScheduleError(f"{where}: unknown part {name!r}; {_ALLOWED}")
    arguments: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg not in _ARGUMENTS[name] or keyword.arg in arguments:
            allowed = ", ".join(sorted(_ARGUMENTS[name]))
            raise ScheduleError(f"{where}: unknown or repeated argument {keyword.arg!r} of {name}; allowed: {allowed}")
        try:
            arguments[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            raise ScheduleError(f"{where}: {keyword.arg} of {name} is no number; {_ALLOWED}") from None
    length = "steps" if name == "constant" else "decay_steps"
    if length not in arguments:
        raise ScheduleError(f"{where}: {name} lacks {length}; {_ALLOWED}")
    return name, arguments
