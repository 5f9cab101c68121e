"""Families: a spec with one or two arguments left free, as the schedules to choose from.

A family is written like a schedule (:mod:`bayeslr.schedules.spec`), and an argument may be

- a range, ``decay_steps=1000..30000`` or ``peak_lr=3e-4..1e-3``;
- a list, ``decay=['linear', '1-sqrt']``, where the builder takes a single value;
- a share of the run's length, ``decay_steps=20%`` or ``decay_steps=5%..60%``.

The text is parsed, never evaluated, and every member is built by the parser of ordinary specs.
"""

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np

from bayeslr.errors import ScheduleError
from bayeslr.schedules import builders
from bayeslr.schedules.arguments import show
from bayeslr.schedules.schedule import Schedule
from bayeslr.schedules.spec import parse_schedule

__all__ = ["MAX_FAMILY_UPDATES", "MAX_MEMBERS", "FreeArgument", "Member", "ScheduleFamily", "parse_family"]

MAX_MEMBERS: Final = 600
"""Most schedules of a family that are looked at together."""
MAX_FAMILY_UPDATES: Final = 60_000_000
"""Most updates of all members together: half a gigabyte of rates."""
MAX_FREE: Final = 2
"""Most arguments that may be free: an optimum over more is the law's, not the training's."""

_POINTS: Final = {1: 41, 2: 15}
_LEAST: Final = 5
_GEOMETRIC: Final = 3.0
_NUMBER: Final = r"(?:\d[\d_]*(?:\.\d[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?"
# texts in quotes are passed over, so that nothing inside them is taken for a range
_FREE: Final = re.compile(
    rf"(?P<quoted>'[^']*'|\"[^\"]*\")"
    rf"|(?P<low>{_NUMBER})\s*(?P<lowshare>%?)\s*\.\.\s*(?P<high>{_NUMBER})\s*(?P<highshare>%?)"
    rf"|(?P<share>{_NUMBER})\s*%"
)
_ALLOWED: Final = (
    "allowed: a schedule with one or two arguments as lo..hi or a list of alternatives, such as "
    "wsd(peak_lr=3e-4, total_steps=40000, decay_steps=1000..30000)"
)


@dataclass(frozen=True, kw_only=True)
class FreeArgument:
    """An argument of a schedule that is to be chosen.

    Parameters
    ----------
    name
        Name of the argument.
    low, high
        Ends of its range; None for a list.
    choices
        The alternatives of a list; empty for a range.
    share
        Whether the range is in percent of ``total_steps``.
    whole
        Whether only whole numbers are allowed.
    """

    name: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    share: bool = False
    whole: bool = False

    @property
    def geometric(self) -> bool:
        """Whether values are spaced by equal factors: where the ends differ by more than three times."""
        return self.low is not None and self.high is not None and 0.0 < _GEOMETRIC * self.low < self.high

    def values(self, points: int) -> tuple[Any, ...]:
        """Return the values to look at: all choices, or so many points of a range, both ends among them."""
        if self.low is None or self.high is None:
            return self.choices
        space = np.geomspace if self.geometric else np.linspace
        inner = [float(f"{value:.3g}") for value in space(self.low, self.high, points)[1:-1]]
        grid = [self.low, *(value for value in inner if self.low < value < self.high), self.high]
        if self.whole and not self.share:
            return tuple(dict.fromkeys(round(value) for value in grid))
        return tuple(dict.fromkeys(grid))


@dataclass(frozen=True, kw_only=True)
class Member:
    """One schedule of a family.

    Parameters
    ----------
    name
        Its free arguments as text, ``decay_steps=8000``.
    arguments
        Their values.
    schedule
        The schedule.
    """

    name: str
    arguments: Mapping[str, Any]
    schedule: Schedule


@dataclass(frozen=True, kw_only=True)
class ScheduleFamily:
    """Schedules of one builder that differ in one or two arguments.

    Parameters
    ----------
    text
        The spec as it was written.
    builder
        Name of the builder.
    fixed
        Arguments that all members have; a share of the length as ``Share``.
    free
        What is to be chosen.
    """

    text: str
    builder: str
    fixed: Mapping[str, Any]
    free: tuple[FreeArgument, ...]

    def members(self, *, points: int | None = None) -> tuple[Member, ...]:
        """Return the schedules to look at.

        Parameters
        ----------
        points
            Values of each range. Default: 41 for one free argument, 15 for each of two; fewer where the schedules are
            so long that all of them would take more than half a gigabyte.

        Returns
        -------
        tuple of Member
            In the order of the values. With two free arguments those that do not go together are left out.

        Raises
        ------
        ScheduleError
            If a member is not valid, or there would be more than :data:`MAX_MEMBERS`.
        """
        asked = points or _POINTS[len(self.free)]
        total = self._updates(asked)
        if total <= MAX_FAMILY_UPDATES:
            return self._members(asked)
        fewer = int(asked * (MAX_FAMILY_UPDATES / total) ** (1.0 / len(self.free)))
        if fewer < _LEAST:
            raise ScheduleError(
                f"schedule family {show(self.text)}: its members have {total:,.0f} updates in all; allowed: "
                f"{MAX_FAMILY_UPDATES:,}; narrow the range"
            )
        return self._members(fewer)

    def _updates(self, points: int) -> float:
        """Return how many updates all members have, before any of them is built."""
        grid = {argument.name: argument.values(points) for argument in self.free}
        lengths = grid.get("total_steps", (self.fixed.get("total_steps"),))
        total = sum(value for value in lengths if isinstance(value, int | float))
        return float(total * np.prod([len(values) for name, values in grid.items() if name != "total_steps"]))

    def _members(self, points: int) -> tuple[Member, ...]:
        where = f"schedule family {show(self.text)}"
        grid = [argument.values(points) for argument in self.free]
        count = int(np.prod([len(values) for values in grid]))
        if count > MAX_MEMBERS:
            raise ScheduleError(f"{where}: has {count} members; allowed: {MAX_MEMBERS}; ask for fewer points")
        if len(self.free) == 1:
            # a limit that is not valid is told as it was written, not by the first point beyond it
            self._member((grid[0][-1],))
        found: dict[str, Member] = {}
        refused: ScheduleError | None = None
        for values in product(*grid):
            try:
                member = self._member(values)
            except ScheduleError as error:
                # of two ranges, some values need not go together; of one, the user has a wrong limit
                if len(self.free) == 1:
                    raise
                refused = error
                continue
            found.setdefault(member.name, member)
        if not found and refused is not None:
            raise refused
        if len(found) < 2:
            raise ScheduleError(f"{where}: has one member; allowed: at least two to choose from")
        return tuple(found.values())

    def _member(self, values: tuple[Any, ...]) -> Member:
        chosen = dict(zip((argument.name for argument in self.free), values, strict=True))
        written = dict(self.fixed) | {
            argument.name: _Share(percent=chosen[argument.name]) if argument.share else chosen[argument.name]
            for argument in self.free
        }
        total = written.get("total_steps")
        for name, value in written.items():
            if isinstance(value, _Share):
                written[name] = value.of(total)
        named = {a.name: written[a.name] if a.whole else chosen[a.name] for a in self.free}
        schedule = parse_schedule(f"{self.builder}({', '.join(f'{key}={value!r}' for key, value in written.items())})")
        return Member(name=", ".join(f"{k}={_text(v)}" for k, v in named.items()), arguments=named, schedule=schedule)


@dataclass(frozen=True, kw_only=True)
class _Share:
    """A share of the length of a run."""

    percent: float

    def of(self, total_steps: object) -> int:
        if isinstance(total_steps, bool) or not isinstance(total_steps, int | float):
            raise ScheduleError(
                f"schedule family: {self.percent:g}% of total_steps, which is {show(total_steps)}; allowed: a number"
            )
        return round(self.percent / 100.0 * total_steps)


def parse_family(text: str, *, allowed: str = _ALLOWED) -> ScheduleFamily:
    """Read a spec with free arguments.

    Parameters
    ----------
    text
        The spec.
    allowed
        What a refusal says is allowed, where less is than here.

    Returns
    -------
    ScheduleFamily
        The family.

    Raises
    ------
    ScheduleError
        If the text is no spec, nothing or more than two arguments are free, or a range is empty.
    """
    if not isinstance(text, str):
        raise ScheduleError(f"schedule family: found a {type(text).__name__}, {show(text)}; allowed: a text")
    where = f"schedule family {show(text)}"
    builder, keywords = _call(where, text, allowed)
    parameters = inspect.signature(_builder(where, builder)).parameters
    fixed: dict[str, Any] = {}
    free: list[FreeArgument] = []
    for keyword in keywords:
        name = keyword.arg or "**"
        if name not in parameters:
            raise ScheduleError(f"{where}: unknown argument {name!r}; allowed: {', '.join(parameters)}")
        if name in fixed or name in [argument.name for argument in free]:
            raise ScheduleError(f"{where}: argument {name!r} is repeated; allowed: each once")
        value = _value(where, name, keyword.value, parameters[name])
        if isinstance(value, FreeArgument):
            free.append(value)
        else:
            fixed[name] = value
    if not 1 <= len(free) <= MAX_FREE:
        found = "nothing is left free" if not free else f"{len(free)} arguments are free"
        raise ScheduleError(f"{where}: {found}; {allowed}")
    return ScheduleFamily(text=text.strip(), builder=builder, fixed=fixed, free=tuple(free))


def _builder(where: str, name: str) -> Callable[..., Schedule]:
    if name not in builders.__all__:
        raise ScheduleError(f"{where}: unknown schedule {name!r}; allowed: {', '.join(builders.__all__)}")
    builder: Callable[..., Schedule] = getattr(builders, name)
    return builder


def _call(where: str, text: str, allowed: str) -> tuple[str, list[ast.keyword]]:
    """Return the builder's name and the arguments, ranges as ``(lo @ hi)`` and shares as ``(p % 100)``."""
    try:
        node = ast.parse(_FREE.sub(_marked, text.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ScheduleError(f"{where}: cannot be read; {allowed}") from None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise ScheduleError(f"{where}: not a call with named arguments; {allowed}")
    return node.func.id, node.keywords


def _marked(found: re.Match[str]) -> str:
    if found["quoted"]:
        return found["quoted"]
    if found["share"]:
        return f"({found['share']} % 100)"
    low, high = (f"({found[k]} % 100)" if found[f"{k}share"] else found[k] for k in ("low", "high"))
    return f"({low} @ {high})"


def _value(where: str, name: str, node: ast.expr, parameter: inspect.Parameter) -> Any:
    """Return a literal, a share, or a free argument."""
    whole = parameter.annotation is int
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        ends = [_end(where, name, part, whole) for part in (node.left, node.right)]
        shares = [isinstance(end, _Share) for end in ends]
        low, high = (end.percent if isinstance(end, _Share) else end for end in ends)
        if shares[0] != shares[1]:
            raise ScheduleError(f"{where}: {name} has one end in percent; allowed: both or none, as 5%..60%")
        if not low < high:
            raise ScheduleError(f"{where}: {name} is {low:g}..{high:g}; allowed: the smaller end first")
        return FreeArgument(name=name, low=low, high=high, share=shares[0], whole=whole)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _end(where, name, node, whole)
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise ScheduleError(f"{where}: {name} is no literal number, list or text; {_ALLOWED}") from None
    if isinstance(value, list | tuple) and "Sequence" not in str(parameter.annotation):
        if not value:
            raise ScheduleError(f"{where}: {name} is an empty list; allowed: at least one alternative")
        return FreeArgument(name=name, choices=tuple(dict.fromkeys(map(_hashable, value))), whole=whole)
    return value


def _end(where: str, name: str, node: ast.expr, whole: bool) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        if not whole:
            raise ScheduleError(f"{where}: {name} is in percent; allowed for lengths alone, in percent of total_steps")
        return _Share(percent=float(ast.literal_eval(node.left)))
    try:
        return float(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError):
        raise ScheduleError(f"{where}: an end of {name} is no number; {_ALLOWED}") from None


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
