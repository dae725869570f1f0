"""A safe query language: comparisons of columns and values, written as in Python, become SQL with bound values.

Nothing is evaluated: the text is parsed, and whatever is not a comparison of a name with a constant is refused.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from .. import registry
from ..errors import ParameterError
from .tables import tables
from .times import parse_time

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

COLUMNS = {"id": "text", "state": "text", "workflow": "text", "app": "text", "version": "text", "message": "text",
           "submitted": "time", "started": "time", "ended": "time", "seconds": "number"}  # fmt: skip
SECTIONS = ("context", "summary")
LONGEST = 1000
"""Characters of a query."""
DEEPEST = 20
"""Brackets in brackets of a query."""

_HINT = "write for example: rmeas < 0.1 and sample == 'Ni'"
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


@dataclass(frozen=True)
class _Constant:
    value: Any


@dataclass(frozen=True)
class _Column:
    name: str
    kind: str


@dataclass(frozen=True)
class _Value:
    section: str
    key: str


_Operand = _Constant | _Column | _Value


def where_clause(text: str, known: Mapping[str, frozenset[str]]) -> ColumnElement[bool]:
    """Turn a query into a condition on the table of runs.

    A run without a value that is compared is not found, neither by a comparison nor by its negation.

    Parameters
    ----------
    text : str
        Comparisons (``<  <=  >  >=  ==  !=  in  not in  is None  is not None``) of names with numbers, texts, True, False, and
        ``and``, ``or``, ``not``, brackets. Names are columns, context keys and summary keys; ``context.x`` or
        ``summary["my x"]`` where a name is both, or not a word. ``'paper' in tags`` asks for a tag, ``'Ni' in sample`` for a
        part of a text.
    known : mapping
        The keys in the catalogue, each with the sections (context, summary) that have it.

    Raises
    ------
    ParameterError
        If it is anything else, or a name is not known.
    """
    if len(text) > LONGEST:
        raise ParameterError(f"the query is longer than {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = ast.parse(text.strip(), mode="eval")
        return _Where(text, known).condition(parsed.body)
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ParameterError(f'the query "{text}" cannot be read ({reason}); {_HINT}') from None
    except (RecursionError, MemoryError):
        raise ParameterError(f"the query is nested too deeply; {_HINT}") from None


class _Where:
    """Walks the parsed query."""

    def __init__(self, text: str, known: Mapping[str, frozenset[str]]) -> None:
        self.text = text
        self.known = known

    def refuse(self, why: str) -> ParameterError:
        return ParameterError(f'the query "{self.text}" is refused: {why}')

    def part(self, node: ast.AST) -> str:
        return ast.get_source_segment(self.text.strip(), cast("Any", node)) or type(node).__name__

    # -- conditions ---------------------------------------------------------------------------------------------

    def condition(self, node: ast.expr, depth: int = 0) -> ColumnElement[bool]:
        import sqlalchemy as sa

        if depth > DEEPEST:
            raise RecursionError
        if isinstance(node, ast.BoolOp):
            join = sa.and_ if isinstance(node.op, ast.And) else sa.or_
            return join(*(self.condition(item, depth + 1) for item in node.values))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return sa.not_(self.condition(node.operand, depth + 1))
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            return sa.and_(*(self.compare(*item) for item in zip(sides, node.ops, sides[1:], strict=False)))
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            raise self.refuse(
                f"'{self.part(node)}' alone is no comparison; write {self.part(node)} == True, or what it should be"
            )
        raise self.refuse(f"'{self.part(node)}' is not a comparison; {_HINT}")

    def compare(self, left: ast.expr, how: ast.cmpop, right: ast.expr) -> ColumnElement[bool]:
        import sqlalchemy as sa

        if isinstance(how, (ast.In, ast.NotIn)):
            found = self.membership(left, right)
            return sa.not_(found) if isinstance(how, ast.NotIn) else found
        a, b = self.operand(left), self.operand(right)
        if b == _Constant(None) and isinstance(how, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
            absent = self.column(a, "text" if isinstance(a, _Value) else "").is_(None)
            return sa.not_(absent) if isinstance(how, (ast.IsNot, ast.NotEq)) else absent
        if type(how) not in _COMPARE:
            raise self.refuse("'is' only asks for None: write '=='")
        found = [_COMPARE[type(how)](first, second) for first, second in self.pairs(a, b)]
        return found[0] if len(found) == 1 else sa.func.coalesce(*found)

    def membership(self, left: ast.expr, right: ast.expr) -> ColumnElement[bool]:
        import sqlalchemy as sa

        if isinstance(right, (ast.Tuple, ast.List, ast.Set)):
            equal = ast.Eq()
            if not right.elts:
                raise self.refuse("the list after 'in' is empty")
            return sa.or_(*(self.compare(left, equal, item) for item in right.elts))
        part = self.operand(left)
        if not isinstance(part, _Constant) or not isinstance(part.value, str) or not part.value:
            raise self.refuse(
                "'in' asks for one of several, such as sample in ('Ni', 'Cu'), or for a part, such as 'Ni' in sample"
            )
        if isinstance(right, ast.Name) and right.id == "tags":
            return self.column(_Value("tag", part.value), "text").is_not(None)
        whole = self.column(self.operand(right), "text")
        return sa.func.replace(whole, part.value, "") != whole  # unlike LIKE, the same in every database

    # -- operands -----------------------------------------------------------------------------------------------

    def operand(self, node: ast.expr) -> _Operand:
        if isinstance(node, ast.Constant):
            return self.constant(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            inner = self.operand(node.operand)
            if isinstance(inner, _Constant) and isinstance(inner.value, float):
                return _Constant(-inner.value if isinstance(node.op, ast.USub) else inner.value)
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            return self.name(node)
        raise self.refuse(f"'{self.part(node)}' is neither a name nor a number nor a text; {_HINT}")

    def constant(self, value: Any) -> _Constant:
        if value is None or isinstance(value, bool):
            return _Constant(value)
        if isinstance(value, str):
            if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
                raise self.refuse("a text contains characters that no text has")
            return _Constant(value)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("inf")
        if isinstance(value, (int, float)) and abs(number) != float("inf"):
            return _Constant(number)
        raise self.refuse(f"{value!r:.40} cannot be compared")

    def name(self, node: ast.expr) -> _Column | _Value:
        if isinstance(node, ast.Subscript):
            section, key = self.part(node.value), node.slice
            if section not in SECTIONS or not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                raise self.refuse(
                    f'\'{self.part(node)}\': only context["..."] and summary["..."] have keys in brackets'
                )
            return self.value(key.value, section)
        dotted = self.dotted(node)
        section, _, key = dotted.partition(".")
        if section in SECTIONS and key:
            return self.value(key, section)
        if dotted in COLUMNS:
            return _Column(dotted, COLUMNS[dotted])
        return self.value(dotted)

    def dotted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute):
            return f"{self.dotted(node.value)}.{node.attr}"
        raise self.refuse(f"'{self.part(node)}' is not a name")

    def value(self, key: str, section: str | None = None) -> _Value:
        if key == "tags":
            raise self.refuse("tags are asked for with 'in': 'paper' in tags")
        sections = self.known.get(key, frozenset())
        if section is None and len(sections) > 1:
            raise self.refuse(
                f"'{key}' is both of the context and of the summary: write context.{key} or summary.{key}"
            )
        if not sections or (section is not None and section not in sections):
            every = [*COLUMNS, *self.known]
            names = ", ".join(sorted(every)[:40])
            raise self.refuse(f"no run has a value '{key}'{registry.suggest(key, every)}; known are: {names}")
        return _Value(section or next(iter(sections)), key)

    def pairs(self, a: _Operand, b: _Operand) -> list[tuple[Any, Any]]:
        """Return what to compare with what: two values as numbers and, where that gives nothing, as texts."""
        if isinstance(a, _Constant) and isinstance(b, _Constant):
            raise self.refuse("it compares two constants")
        if isinstance(a, _Constant) or isinstance(b, _Constant):
            constant, name = (a, b) if isinstance(a, _Constant) else (b, a)
            kind, value = self.literal(cast("_Constant", constant).value, name)
            column = self.column(name, kind)
            return [(value, column) if constant is a else (column, value)]
        kinds = {"text" if item.kind == "text" else "number" for item in (a, b) if isinstance(item, _Column)}
        if len(kinds) > 1:
            raise self.refuse("it compares a number with a text")
        return [(self.column(a, kind), self.column(b, kind)) for kind in kinds or ("number", "text")]

    def literal(self, value: Any, name: _Operand) -> tuple[str, Any]:
        """Return how a constant is compared with a name: the kind, and the bound value."""
        kind = name.kind if isinstance(name, _Column) else ""
        label = name.name if isinstance(name, _Column) else ""
        if value is None:
            raise self.refuse("None is asked for with 'is None' or 'is not None'")
        if isinstance(value, str):
            if kind == "time":
                return kind, parse_time(value)
            if kind == "number":
                raise self.refuse(f"'{label}' is a number: write it without quotes")
            return "text", value
        if kind == "text":
            raise self.refuse(f"'{label}' is a text: write what it is compared with in quotes")
        return "number", float(value)

    def column(self, operand: _Operand, kind: str) -> ColumnElement[Any]:
        """Return the column of the table of runs, or the value of the run in the table of values."""
        import sqlalchemy as sa

        _, runs, values = tables()
        if isinstance(operand, _Constant):
            raise self.refuse(f"a name is expected where there is {operand.value!r}")
        if isinstance(operand, _Column):
            if kind == "text" and operand.kind != "text":
                raise self.refuse(f"'{operand.name}' is not a text")
            return runs.c[operand.name]
        chosen = values.c.number if kind == "number" else values.c.text
        return (
            sa.select(chosen)
            .where(values.c.root == runs.c.root, values.c.id == runs.c.id)
            .where(values.c.section == operand.section, values.c.key == operand.key)
            .scalar_subquery()
        )
