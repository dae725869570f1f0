"""Questions that the body of a workflow must not ask, because a symbol would answer them and answer wrongly."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Collection, Iterator
from typing import Any

from .errors import WorkflowError

_TYPE_QUESTIONS = ("type", "callable", "hasattr", "isinstance", "id")


def check_body(name: str, function: Callable[..., Any], optional: Collection[str], structural: Collection[str]) -> None:
    """Refuse what Python lets no object refuse at run time: ``is``, ``type(...)``, ``callable(...)``, ``hasattr(...)``.

    A body whose source is not there (typed at a prompt) is not checked.

    Parameters
    ----------
    name : str
        Name of the workflow, for messages.
    function : callable
        The body.
    optional : collection of str
        Inputs that are None when they are absent: only these may be asked ``is None``.
    structural : collection of str
        Parameters that have their value while the body is traced: anything may be asked of them.

    Raises
    ------
    WorkflowError
        Names the source line.
    """
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return
    body = next((item for item in ast.walk(tree) if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))), None)
    for node, reason in _Questions(body, optional, structural).found() if body is not None else ():
        text = lines[node.lineno - 1].strip()
        raise WorkflowError(f"{name} ({inspect.getsourcefile(function)}:{first + node.lineno - 1}: {text}): {reason}")


class _Questions:
    """The questions of one body about values that may be symbols."""

    def __init__(self, body: ast.AST, optional: Collection[str], structural: Collection[str]) -> None:
        self.body = body
        self.stored = [
            item for item in ast.walk(body) if isinstance(item, ast.Name) and not isinstance(item.ctx, ast.Load)
        ]
        arguments = {item.arg for item in ast.walk(body) if isinstance(item, ast.arg)}
        self.unknown = (arguments - set(structural)) | {item.id for item in self.stored}
        self.optional = optional

    def found(self) -> Iterator[tuple[Any, str]]:
        for node in ast.walk(self.body):
            if isinstance(node, ast.Compare):
                yield from self._identities(node)
            elif isinstance(node, ast.Match) and self._is_unknown(node.subject):
                yield node, f"'match {ast.unparse(node.subject)}' on what is not known while the graph is traced"
            elif (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _TYPE_QUESTIONS
                and node.args and self._is_unknown(node.args[0])
            ):  # fmt: skip
                yield (
                    node,
                    (
                        f"'{ast.unparse(node)}' asks for what is not known while the graph is traced; do this inside an algorithm"
                    ),
                )

    def _identities(self, node: ast.Compare) -> Iterator[tuple[Any, str]]:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            if not isinstance(operator, (ast.Is, ast.IsNot)):
                continue
            if not (self._is_unknown(left) or self._is_unknown(right)) or self._may_be_asked(left, right):
                continue
            yield (
                node,
                (
                    f"'{ast.unparse(node)}' cannot be answered while the graph is traced; only an optional input that was not "
                    "given another value may be asked 'is None': do this inside an algorithm, or declare a parameter "
                    "Param(structural=True)"
                ),
            )

    def _may_be_asked(self, left: ast.expr, right: ast.expr) -> bool:
        if not (isinstance(left, ast.Name) and isinstance(right, ast.Constant) and right.value is None):
            return False
        place = (left.lineno, left.col_offset)
        is_rebound = any(item.id == left.id and (item.lineno, item.col_offset) < place for item in self.stored)
        return left.id in self.optional and not is_rebound

    def _is_unknown(self, expression: ast.expr) -> bool:
        return any(isinstance(item, ast.Name) and item.id in self.unknown for item in ast.walk(expression))
