"""Specs: schedules as text, for command lines and manifests.

A spec is one of

- a call of a builder with literal arguments, ``cosine(peak_lr=3e-4, warmup_steps=2160, total_steps=24_000)``;
- ``@plan.csv``, a file with the columns ``step`` and ``lr`` (:func:`bayeslr.schedules.from_csv`);
- ``@module:function(total_steps=24_000)``, a callable from the update to its rate, where the caller allows it.

The text is parsed, never evaluated: no name in it is looked up but those of the builders. Importing a module runs it,
so the last form is refused unless a program asks for it; a manifest can never ask.
"""

import ast
import importlib
import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from bayeslr.errors import ScheduleError
from bayeslr.schedules import builders
from bayeslr.schedules.arguments import reason, show
from bayeslr.schedules.readers import from_csv, from_optax
from bayeslr.schedules.schedule import Schedule

__all__ = ["parse_schedule"]

_BUILDERS: Final[dict[str, Callable[..., Schedule]]] = {name: getattr(builders, name) for name in builders.__all__}
_CALLABLE: Final = re.compile(r"@(?P<module>[A-Za-z_][\w.]*):(?P<call>[A-Za-z_]\w*(\s*\(.*\))?)", re.DOTALL)
_MAX_SPEC: Final = 100_000
"""Longest spec, in characters."""
_PARSE_ERRORS: Final = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


def parse_schedule(text: str, *, base_dir: str | Path | None = None, allow_callables: bool = False) -> Schedule:
    """Build the schedule that a spec describes.

    Parameters
    ----------
    text
        The spec.
    base_dir
        Folder to which the path in ``@file.csv`` is relative. Default: the working folder.
    allow_callables
        Whether ``@module:function(total_steps=...)`` may import the module and call the function. Default False.

    Returns
    -------
    Schedule
        The schedule; from a builder, with the canonical text of the spec.

    Raises
    ------
    ScheduleError
        If the text is no spec, or names an unknown builder or argument, or a value is missing, repeated, not a literal,
        of the wrong type or out of range.
    """
    if not isinstance(text, str):
        raise ScheduleError(f"schedule spec: found a {type(text).__name__}, {show(text)}; allowed: a text")
    spec = text.strip()
    where = f"schedule spec {_shown(spec)}"
    if len(spec) > _MAX_SPEC:
        raise ScheduleError(f"{where}: {len(spec)} characters; allowed: {_MAX_SPEC}, or more in @file.csv")
    if found := _CALLABLE.fullmatch(spec):
        if not allow_callables:
            raise ScheduleError(
                f"{where}: a callable is refused here, since importing its module runs code; allowed: a call of "
                f"{', '.join(_BUILDERS)}, or @file.csv"
            )
        return _from_callable(where, found["module"], found["call"])
    if spec.startswith("@"):
        if spec == "@":
            raise ScheduleError(f"{where}: no file is named; allowed: @file.csv")
        if not spec.isprintable():
            raise ScheduleError(f"{where}: a line break or control character in a file's name; allowed: @file.csv")
        try:
            path = Path(base_dir or ".") / Path(spec[1:]).expanduser()
        except (RuntimeError, ValueError) as error:
            raise ScheduleError(f"{where}: {error}; allowed: @file.csv") from None
        return from_csv(path)
    name, values = _call(where, spec)
    if name not in _BUILDERS:
        raise ScheduleError(f"{where}: unknown schedule {name!r}; allowed: {', '.join(_BUILDERS)}, or @file.csv")
    arguments = _arguments(where, spec, values, inspect.signature(_BUILDERS[name]).parameters)
    try:
        return _BUILDERS[name](**arguments)
    except ScheduleError as error:
        raise ScheduleError(f"{where}: {error}") from None


def _from_callable(where: str, module: str, call: str) -> Schedule:
    """Import a callable and sample it."""
    if "(" not in call:
        raise ScheduleError(f"{where}: missing argument total_steps; allowed: @{module}:{call}(total_steps=1000)")
    name, values = _call(where, call)
    parameter = {"total_steps": inspect.Parameter("total_steps", inspect.Parameter.KEYWORD_ONLY)}
    arguments = _arguments(where, call, values, parameter)
    try:
        fn = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ScheduleError(f"{where}: {error}; allowed: an importable module and a function in it") from None
    try:
        return from_optax(fn, **arguments)
    except ScheduleError as error:
        raise ScheduleError(f"{where}: {error}") from error.__cause__


def _call(where: str, text: str) -> tuple[str, list[ast.keyword]]:
    """Return the name and the arguments of a call."""
    allowed = "allowed: a call with named literal arguments, as constant(peak_lr=3e-4, total_steps=1000), or @file.csv"
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
            node = ast.parse(text, mode="eval").body
    except _PARSE_ERRORS as error:
        raise ScheduleError(f"{where}: {_reason(error)}; {allowed}") from None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ScheduleError(f"{where}: not a call of a schedule; {allowed}")
    if node.args:
        raise ScheduleError(f"{where}: argument {_source(text, node.args[0])} is not named; {allowed}")
    return node.func.id, node.keywords


def _arguments(
    where: str, text: str, values: list[ast.keyword], parameters: Mapping[str, inspect.Parameter]
) -> dict[str, Any]:
    """Return the literal arguments of a call, checked against the names that the callee takes."""
    names = ", ".join(parameters)
    arguments: dict[str, Any] = {}
    for keyword in values:
        name = keyword.arg or "**"
        if name not in parameters:
            raise ScheduleError(f"{where}: unknown argument {name!r}; allowed: {names}")
        if name in arguments:
            raise ScheduleError(f"{where}: argument {name!r} is repeated; allowed: each of {names} once")
        try:
            arguments[name] = ast.literal_eval(keyword.value)
        except _PARSE_ERRORS:
            found = _source(text, keyword.value)
            raise ScheduleError(f"{where}: {name} is {found}; allowed: a literal number, list or text") from None
    missing = [name for name, p in parameters.items() if p.default is p.empty and name not in arguments]
    if missing:
        raise ScheduleError(f"{where}: missing argument {', '.join(missing)}; allowed: {names}")
    return arguments


def _source(text: str, node: ast.expr) -> str:
    """Return a part of a text as it was written: writing it anew would go as deep as it is nested."""
    return _shown(" ".join((ast.get_source_segment(text, node) or "an expression").split()))


def _reason(error: Exception) -> str:
    """Return in a few words why Python cannot parse a text."""
    if isinstance(error, SyntaxError):
        what = error.msg.partition(";")[0]
        return f"{what} at character {error.offset}" if error.offset else what
    return "nested too deeply" if isinstance(error, RecursionError | MemoryError) else reason(error)


def _shown(text: str) -> str:
    """Return a text in quotes on one line, shortened in the middle."""
    return repr(text if len(text) <= 100 else f"{text[:60]} ... {text[-30:]}")
