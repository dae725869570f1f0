"""Inputs and outputs of CWL documents as ports, parameters and results."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Union, cast

from ..markers import File, Param
from ..signature import REQUIRED, Parameter, Port
from .types import Refused

_PLAIN: dict[str, Any] = {
    "boolean": bool, "int": int, "long": int, "float": float, "double": float, "string": str, "null": type(None)
}  # fmt: skip


def identifier(name: str) -> str:
    """Return the id of an input, output or step as a Python name.

    Examples
    --------
    >>> identifier("min-count"), identifier("in"), identifier("2theta")
    ('min_count', 'in_', 'x2theta')
    """
    made = re.sub(r"\W", "_", name)
    if not made or made[0] == "_" or made[0].isdigit():
        made = f"x{made}"
    return f"{made}_" if keyword.iskeyword(made) else made


def choices(kind: Any) -> list[Any]:
    """Return the alternatives of a type, without null."""
    items = cast("list[Any]", kind) if isinstance(kind, list) else [kind]
    return [item for item in items if item != "null"]


def is_optional(kind: Any) -> bool:
    """True where null is allowed."""
    return kind == "null" or (isinstance(kind, list) and "null" in kind)


def input_item(key: str, item: Mapping[str, Any], where: str, *, port: bool = False) -> Port | Parameter:
    """Return an input as a port (files, and what other nodes give) or a parameter (numbers, text, choices).

    Raises
    ------
    Refused
        If its type has no counterpart.
    """
    annotation, is_port = input_type(item["type"], f"{where}: input '{item['id']}'")
    optional = is_optional(item["type"])
    default = item.get("default")
    if is_port or port:
        base = annotation | None if optional or default is not None else annotation
        return Port(key, base, None if optional or default is not None else REQUIRED)
    given = default if default is not None else (None if optional else REQUIRED)
    if isinstance(given, list):
        given = tuple(cast("list[Any]", given))
    text = item.get("doc") or ""
    doc = " ".join(text) if isinstance(text, list) else str(text)
    marked = Annotated[
        annotation | None if optional else annotation, Param(str(item.get("label") or item["id"]), help=doc)
    ]
    return Parameter(key, marked, given)


def input_type(kind: Any, where: str) -> tuple[Any, bool]:
    """Return the Python type of an input, and whether it is a port."""
    found = choices(kind)
    if any(item in ("File", "stdin") for item in found):
        if len(found) > 1:
            raise Refused(f"{where}: a file or something else has no counterpart among our inputs")
        return File, True
    if "Any" in found:
        return Any, True
    if len(found) == 1 and _array(found[0]):
        inner, is_port = input_type(found[0]["items"], where)
        if is_port:
            return Sequence[inner], True
        return tuple[inner | None if is_optional(found[0]["items"]) else inner, ...], False
    return Union[tuple(_value(item, where) for item in found) or (type(None),)], False  # noqa: UP007 - built at run time


def _value(kind: Any, where: str) -> Any:
    if _array(kind):
        inner, is_port = input_type(kind["items"], where)
        if not is_port:
            return tuple[inner, ...]
    elif isinstance(kind, Mapping) and cast("Mapping[str, Any]", kind).get("type") == "enum":
        return Literal[tuple(cast("Mapping[str, Any]", kind)["symbols"])]
    elif isinstance(kind, str) and kind in _PLAIN:
        return _PLAIN[kind]
    raise Refused(f"{where}: the type {kind} has no counterpart among our inputs")


def _array(kind: Any) -> bool:
    return isinstance(kind, Mapping) and cast("Mapping[str, Any]", kind).get("type") == "array"


def output_type(outputs: Mapping[str, Mapping[str, Any]], where: str) -> Any:
    """Return the result type of a document: that of its one output, or a NamedTuple of several."""
    types = {key: result_type(item["type"], f"{where}: output '{item['id']}'") for key, item in outputs.items()}
    return next(iter(types.values())) if len(types) == 1 else named_tuple(tuple(types), tuple(types.values()))


def result_type(kind: Any, where: str) -> Any:
    """Return the Python type of an output."""
    found, made = choices(kind), cast("Any", Any)
    if "Directory" in found:
        raise Refused(f"{where}: a folder has no counterpart among our results; name the files in it")
    if len(found) != 1:
        return Any
    if _array(found[0]):
        inner: Any = result_type(found[0]["items"], where)
        made = list[inner]
    elif found[0] in ("File", "stdout", "stderr"):
        made = File
    else:
        made = _PLAIN.get(found[0], Any) if isinstance(found[0], str) else str
    return made | None if is_optional(kind) and made is not Any else made


_CLASSES: dict[tuple[str, ...], Any] = {}


def named_tuple(names: tuple[str, ...], types: tuple[Any, ...]) -> Any:
    """Return a NamedTuple class whose objects can be pickled, although no module has its name."""
    made: Any = NamedTuple("Outputs", list(zip(names, types, strict=True)))  # type: ignore[misc]
    made.__reduce__ = lambda self: (_rebuild, (names, tuple(self)))
    _CLASSES.setdefault(names, made)
    return made


def _rebuild(names: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    made = _CLASSES.get(names) or named_tuple(names, (Any,) * len(names))
    return made(*values)
