r"""A small language for conditions on runs: parsed, checked against a list of what is allowed, and never run as code.

``split == 'train' and size in ['25M', '100M'] and not run.str.contains('cyclic')``. It looks like a query of pandas and
means the same, as far as it goes:

- columns by their names; a name that is no identifier in backquotes: `` `weight decay` > 0.1 ``;
- numbers, texts in quotes, ``True`` and ``False``;
- comparisons, also chained (``1e6 < params <= 1e9``), ``in`` and ``not in`` with a list;
- ``and``, ``or``, ``not`` and brackets; ``&``, ``|`` and ``~`` mean the same, and ``&`` and ``|`` bind like ``and`` and
  ``or``;
- arithmetic on numbers: ``+ - * / // % **``;
- of texts, after ``.str.`` or directly: ``startswith``, ``endswith``, ``contains``, ``match``, ``fullmatch``,
  ``lower``, ``upper``, ``strip``, ``len``;
- of any column: ``isna``, ``notna``, ``isin`` and ``between``.

A missing value is unequal to everything, and neither below nor above anything. Numbers are never equal to texts, and
asking whether they are is an error.
"""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bayeslr.curves.patterns import matcher

__all__ = ["MAX_QUERY", "QueryError", "evaluate"]

MAX_QUERY: Final = 100_000
"""Longest query, in characters: a list of a thousand names."""
_MAX_DEPTH: Final = 100

type Value = str | bool | int | float | None
"""A cell; None where it is missing."""
type Column = list[Value]


class QueryError(ValueError):
    """Why a query has no answer, in a few words."""


_PARSE_ERRORS: Final = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)
_QUOTED: Final = re.compile(
    r"""'{3}.*?'{3}|"{3}.*?"{3}|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?P<column>[^`]*)`|(?P<sign>[&|])""", re.DOTALL
)
_ORDER: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    # of floats, since a power of whole numbers can fill the memory
    ast.Pow: lambda a, b: float(a) ** float(b),
}
_TEXT_TESTS: Final = ("startswith", "endswith", "contains", "match", "fullmatch")
_TEXT_VALUES: Final[dict[str, Callable[[str], Value]]] = {
    "lower": str.lower,
    "upper": str.upper,
    "strip": str.strip,
    "len": len,
}
_ANY: Final = ("isna", "isnull", "notna", "notnull", "isin", "between")
_METHODS: Final = (*_TEXT_TESTS, *_TEXT_VALUES, *_ANY)
_UNKNOWN: Final = {
    ast.Lambda: "a function",
    ast.Subscript: "an index in brackets",
    ast.IfExp: "if ... else",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "an assignment",
    ast.Dict: "a dictionary",
    ast.Await: "await",
    ast.Starred: "a star",
}


def evaluate(query: str, columns: Mapping[str, Sequence[Any]]) -> tuple[list[bool], list[str]]:
    """Return which rows a query selects, and the columns that it names.

    Parameters
    ----------
    query
        The query.
    columns
        Values of every column, all of one length.

    Returns
    -------
    tuple
        A truth value a row, and the names of columns, each once, in the order in which they occur.

    Raises
    ------
    QueryError
        If the query is not in the language, or asks what the values do not answer.
    """
    if not isinstance(query, str):
        raise QueryError(f"a {type(query).__name__}, not a text")
    if len(query) > MAX_QUERY:
        raise QueryError(f"{len(query)} characters; at most {MAX_QUERY}")
    text, quoted = _rewritten(query)
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
            tree = ast.parse(text, mode="eval").body
    except _PARSE_ERRORS as problem:
        what = problem.msg if isinstance(problem, SyntaxError) else "nested too deeply"
        raise QueryError(" ".join(what.split())) from None
    evaluation = _Evaluation(columns, quoted)
    answer = evaluation.value(tree, 0)
    if not isinstance(answer, list) or not all(isinstance(value, bool) for value in answer):
        raise QueryError("it is not a condition on the runs, which is true or false for each")
    return [value is True for value in answer], evaluation.named


def _rewritten(query: str) -> tuple[str, dict[str, str]]:
    """Put names for columns in backquotes, and words for the signs that bind differently in Python."""
    stem = "column"
    while stem in query:
        stem += "_"
    quoted: dict[str, str] = {}

    def word(found: re.Match[str]) -> str:
        if found["sign"]:
            return " and " if found["sign"] == "&" else " or "
        if found["column"] is None:
            return found[0]
        name = f"{stem}{len(quoted)}"
        quoted[name] = found["column"]
        return f" {name} "

    return _QUOTED.sub(word, query).strip(), quoted


class _Evaluation:
    """The value of each node of a tree: a list with one value per row, or a constant."""

    def __init__(self, columns: Mapping[str, Sequence[Any]], quoted: Mapping[str, str]) -> None:
        self._columns, self._quoted = columns, quoted
        self._rows = len(next(iter(columns.values()), ()))
        self.named: list[str] = []

    def value(self, node: ast.AST, depth: int) -> Column | Value:
        if depth > _MAX_DEPTH:
            raise QueryError(f"nested more than {_MAX_DEPTH} deep")
        inner = depth + 1
        match node:
            case ast.Name():
                return self._column(node.id)
            case ast.Constant():
                return _constant(node)
            case ast.BoolOp():
                parts = [self._condition(part, inner) for part in node.values]
                both = all if isinstance(node.op, ast.And) else any
                return [both(row) for row in zip(*parts, strict=True)]
            case ast.UnaryOp(op=ast.Not() | ast.Invert()):
                return [not value for value in self._condition(node.operand, inner)]
            case ast.UnaryOp():
                sign = -1 if isinstance(node.op, ast.USub) else 1
                return self._combined(ast.Mult(), sign, self.value(node.operand, inner))
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return self._combined(node.op, self.value(node.left, inner), self.value(node.right, inner))
            case ast.Compare():
                return self._compared(node, inner)
            case ast.Call():
                return self._called(node, inner)
            case ast.List() | ast.Tuple() | ast.Set():
                raise QueryError("a list where a column or a value is expected; lists follow in or not in")
            case ast.Attribute():
                raise QueryError(f".{node.attr[:60]} is not called; allowed: .{'(), .'.join(_METHODS)}()")
        what = _UNKNOWN.get(type(node), f"an expression of the kind {type(node).__name__}")
        raise QueryError(f"found {what}; allowed: comparisons, and, or, not, in, arithmetic and methods of texts")

    def _column(self, name: str) -> Column:
        name = self._quoted.get(name, name)
        if name not in self._columns:
            raise QueryError(f"there is no column {name[:60]!r}")
        if name not in self.named:
            self.named.append(name)
        return [_plain(value) for value in self._columns[name]]

    def _all(self, value: Column | Value) -> Column:
        return value if isinstance(value, list) else [value] * self._rows

    def _condition(self, node: ast.AST, depth: int) -> list[bool]:
        values, text = self._all(self.value(node, depth)), ast.unparse(node)[:60]
        if any(value is None for value in values) and all(value is None or isinstance(value, bool) for value in values):
            raise QueryError(f"{text} is missing in some rows; allowed: {text} == True")
        if not all(isinstance(value, bool) for value in values):
            raise QueryError(f"{text} is not true or false; allowed: conditions, joined by and, or, not")
        return [value is True for value in values]

    def _combined(self, sign: ast.operator, left: Column | Value, right: Column | Value) -> Column | Value:
        for side in (left, right):
            if any(isinstance(value, str) for value in (side if isinstance(side, list) else [side])):
                raise QueryError("arithmetic on a text; allowed: numbers")
        compute = _ARITHMETIC[type(sign)]
        if isinstance(left, list) or isinstance(right, list):
            pairs = zip(self._all(left), self._all(right), strict=True)
            return [_computed(compute, a, b) for a, b in pairs]
        return _computed(compute, left, right)

    def _compared(self, node: ast.Compare, depth: int) -> Column:
        left, answer = self.value(node.left, depth), [True] * self._rows
        for sign, side in zip(node.ops, node.comparators, strict=True):
            if isinstance(sign, ast.In | ast.NotIn):
                if not isinstance(side, ast.List | ast.Tuple | ast.Set):
                    raise QueryError("in without a list; allowed: column in ['a', 'b'], or column.str.contains('a')")
                part, right = self._among(left, side, depth), None
                part = part if isinstance(sign, ast.In) else [not value for value in part]
            elif isinstance(side, ast.List | ast.Tuple | ast.Set):
                raise QueryError("a list after a comparison; allowed: column in ['a', 'b']")
            elif isinstance(sign, ast.Is | ast.IsNot):
                raise QueryError("is; allowed: ==, .isna(), .notna()")
            else:
                right = self.value(side, depth)
                part = self._pairwise(sign, left, right)
            answer, left = [a and b for a, b in zip(answer, part, strict=True)], right
        return list(answer)

    def _pairwise(self, sign: ast.cmpop, left: Column | Value, right: Column | Value) -> list[bool]:
        first, second = self._all(left), self._all(right)
        if (order := _ORDER.get(type(sign))) is not None:
            if len(_kinds(first) | _kinds(second)) > 1:
                raise QueryError("an order between numbers and texts; allowed: values of one kind")
            return [a is not None and b is not None and order(a, b) for a, b in zip(first, second, strict=True)]
        _require_common(_kinds(first), _kinds(second))
        equal = [a is not None and a == b for a, b in zip(first, second, strict=True)]
        return equal if isinstance(sign, ast.Eq) else [not value for value in equal]

    def _among(self, left: Column | Value, listed: ast.List | ast.Tuple | ast.Set, depth: int) -> list[bool]:
        allowed = [self.value(item, depth) for item in listed.elts]
        if any(isinstance(item, list) for item in allowed):
            raise QueryError("a column in a list; allowed: numbers and texts")
        values, items = self._all(left), [item for item in allowed if not isinstance(item, list)]
        if items:
            _require_common(_kinds(values), _kinds(items))
        members = set(items)
        return [value is not None and value in members for value in values]

    def _called(self, node: ast.Call, depth: int) -> Column:
        function = node.func
        if not isinstance(function, ast.Attribute):
            called = function.id if isinstance(function, ast.Name) else "an expression"
            raise QueryError(f"a call of {called[:60]}; allowed: .{'(), .'.join(_METHODS)}()")
        owner, name = function.value, function.attr
        after_str = isinstance(owner, ast.Attribute) and owner.attr == "str"
        if name not in _METHODS or (after_str and name in _ANY):
            raise QueryError(f"the method {name[:60]}; allowed: .{'(), .'.join(_METHODS)}()")
        values = self._all(self.value(owner.value if after_str and isinstance(owner, ast.Attribute) else owner, depth))
        if name in _ANY:
            return self._of_any(name, values, node, depth)
        if "number" in _kinds(values):
            raise QueryError(f"{name} of numbers; allowed: of texts")
        if name in _TEXT_VALUES:
            _arguments(node, (), {})
            change = _TEXT_VALUES[name]
            return [change(value) if isinstance(value, str) else None for value in values]
        return list(_tested(name, values, node))

    def _of_any(self, name: str, values: Column, node: ast.Call, depth: int) -> Column:
        if name == "isin":
            listed = node.args[0] if len(node.args) == 1 and not node.keywords else None
            if not isinstance(listed, ast.List | ast.Tuple | ast.Set):
                raise QueryError("isin without a list; allowed: column.isin(['a', 'b'])")
            return list(self._among(values, listed, depth))
        if name == "between":
            low, high = _arguments(node, ("left", "right"), {}).values()
            above, below = self._pairwise(ast.GtE(), values, low), self._pairwise(ast.LtE(), values, high)
            return [a and b for a, b in zip(above, below, strict=True)]
        _arguments(node, (), {})
        missing = name in ("isna", "isnull")
        return [(value is None) == missing for value in values]


def _plain(value: Any) -> Value:
    """Return a cell as a plain number, text or truth value, None if it is missing; anything else by its text."""
    value = value.item() if hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0 else value
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return value if value == value else None
    return None if str(value) in ("<NA>", "NaT", "nan") else str(value)


def _constant(node: ast.Constant) -> Value:
    """Return a literal."""
    if node.value is None:
        raise QueryError("None; allowed: .isna() and .notna() for missing values")
    if not isinstance(node.value, str | bool | int | float):
        raise QueryError(f"the literal {ast.unparse(node)[:60]}; allowed: numbers, texts, True and False")
    return node.value


def _computed(compute: Callable[[Any, Any], Any], a: Value, b: Value) -> Value:
    """Return a result of arithmetic, or None where it has none."""
    if a is None or b is None:
        return None
    try:
        result = compute(a, b)
    except (ZeroDivisionError, OverflowError):
        return None
    return result if isinstance(result, int | float) and result == result else None


def _kinds(values: Sequence[Value]) -> set[str]:
    """Return what the values are that are not missing."""
    return {"text" if isinstance(value, str) else "number" for value in values if value is not None}


def _require_common(left: set[str], right: set[str]) -> None:
    if left and right and not left & right:
        raise QueryError(f"a comparison of {left.pop()}s with {right.pop()}s; allowed: values of one kind")


def _method(call: ast.Call) -> str:
    """Return the name of the method that is called."""
    return f".{call.func.attr[:60]}" if isinstance(call.func, ast.Attribute) else "a call"


def _arguments(call: ast.Call, names: Sequence[str], defaults: Mapping[str, Value]) -> dict[str, Value]:
    """Return the arguments of a method, which are literals."""
    known = [*names, *defaults]
    given: list[tuple[str | None, ast.expr]] = list(zip(known, call.args, strict=False))
    given += [(word.arg, word.value) for word in call.keywords]
    found = dict(given)
    if len(call.args) > len(known) or len(found) < len(given) or any(name not in known for name in found):
        raise QueryError(f"arguments of {_method(call)}; allowed: {', '.join(known) or 'none'}")
    values: dict[str, Value] = {}
    for name in known:
        node = found.get(name)
        if node is None and name not in defaults:
            raise QueryError(f"{_method(call)} without its argument {name}")
        if node is None:
            values[name] = defaults[name]
            continue
        negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
        literal = node.operand if negative and isinstance(node, ast.UnaryOp) else node
        if not isinstance(literal, ast.Constant):
            raise QueryError(f"{name} of {_method(call)} is no literal; allowed: a number or a text")
        value = _constant(literal)
        values[name] = _computed(operator.mul, -1, value) if negative and not isinstance(value, str) else value
    return values


def _tested(name: str, values: Column, call: ast.Call) -> list[bool]:
    """Ask texts what a method says of them; missing ones say no."""
    plain = name in ("startswith", "endswith")
    extra: dict[str, Value] = {"na": False} if plain else {"case": True, "na": False}
    extra |= {"regex": True} if name == "contains" else {}
    found = _arguments(call, ("pat",), extra)
    pattern = found["pat"]
    if not isinstance(pattern, str):
        raise QueryError(f"{name} of {pattern!r}; allowed: a text")
    if not all(isinstance(value, bool) for key, value in found.items() if key != "pat"):
        raise QueryError(f"an option of {name} that is not True or False")
    texts = [value for value in values if isinstance(value, str)]
    if plain:
        test: Callable[[str], bool] = lambda text: getattr(text, name)(pattern)  # noqa: E731
    elif name == "contains" and not found["regex"]:
        fold = str if found["case"] else str.casefold
        test = lambda text: fold(pattern) in fold(text)  # noqa: E731
    else:
        how = "search" if name == "contains" else name
        try:
            test = matcher(pattern, how=how, ignore_case=not found["case"], texts=texts)
        except ValueError as problem:
            raise QueryError(str(problem)) from None
    missing = bool(found["na"])
    return [test(value) if isinstance(value, str) else missing for value in values]
