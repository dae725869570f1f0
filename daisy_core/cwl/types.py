"""Declarations as CWL: the types of parameters and ports, and parameter models flattened into fields."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from ..algorithm import Algorithm
from ..datatypes import describe, is_data, strip_optional
from ..errors import WorkflowError
from ..params import choices_of, is_json, model_of, to_json
from ..reading import readable
from ..registry import reader
from ..signature import REQUIRED, Parameter, Port, is_named_tuple, item_type, type_name

STEP, RANGE, SOURCE = "daisy.step", "daisy.range", "daisy.source"
"""Inputs of every tool beside ports and parameters: how a step of a workflow uses it, its items, and its Python file."""
_SYMBOL = re.compile(r"\w[\w.+-]*\Z", re.ASCII)
_LONG = range(-(2**63), 2**63)


class Refused(WorkflowError):
    """What CWL and our workflows cannot both express; the message says what, and what to do."""


@dataclass(frozen=True)
class Field:
    """One CWL input that carries a parameter, or one field of a parameter model.

    Attributes
    ----------
    id : str
        ``npt``, ``config.rpoly``.
    type : Any
        The CWL type, with ``null`` where None is allowed.
    default : Any
        JSON, or ``REQUIRED``.
    """

    id: str
    type: Any
    default: Any
    doc: str

    @property
    def nullable(self) -> bool:
        """True where None is a value."""
        return isinstance(self.type, list) and "null" in self.type

    def as_input(self, of: Literal["tool", "workflow", "inner", "option"] = "tool") -> dict[str, Any]:
        """Return the CWL input.

        In CWL null means the default. So a tool leaves a default to the algorithm where None is a value too, a workflow
        inside another one has none (the outer one gives every value), and options of readers and marks are never required.
        """
        made: dict[str, Any] = {"type": short(self.type), "doc": self.doc}
        if of == "option":
            made["type"] = short(optional_type(self.type))
        elif of != "inner" and self.default is not REQUIRED and self.default is not None:
            if of == "tool" and self.nullable:
                made["doc"] = f"{self.doc}; by default {self.default}"
            else:
                made["default"] = self.default
        return made


def optional_type(cwl: Any) -> Any:
    """Return a CWL type that allows null as well."""
    choices = cast("list[Any]", cwl) if isinstance(cwl, list) else [cwl]
    return cwl if "null" in choices else ["null", *choices]


def short(cwl: Any) -> Any:
    """Return a type in CWL's short form where it has one: ``double?``, ``File[]``."""
    if isinstance(cwl, Mapping):
        content = cast("Mapping[str, Any]", cwl)
        plain = set(content) == {"type", "items"} and isinstance(content["items"], str)
        return f"{content['items']}[]" if plain else content
    if not isinstance(cwl, list):
        return cwl
    found = [short(item) for item in cast("list[Any]", cwl)]
    return f"{found[1]}?" if len(found) == 2 and found[0] == "null" and isinstance(found[1], str) else found


def one_of(choices: Sequence[Any]) -> Any:
    """Return the union of CWL types."""
    unique: list[Any] = []
    for choice in choices:
        unique += [item for item in (choice if isinstance(choice, list) else [choice]) if item not in unique]
    if "Any" in unique:
        unique = ["null", "Any"] if "null" in unique else ["Any"]
    return unique[0] if len(unique) == 1 else sorted(unique, key=lambda item: item != "null")


def array_of(cwl: Any) -> dict[str, Any]:
    """Return the CWL type of an array."""
    return {"type": "array", "items": cwl}


# -- parameters -------------------------------------------------------------------------------------------------


def json_type(annotation: Any) -> Any:
    """Return the CWL type of a JSON value: whole numbers are ``long``, what CWL cannot spell is ``Any``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return json_type(args[0])
    if origin in (Union, types.UnionType):
        return one_of([json_type(item) for item in args])
    if origin is Literal:
        return _choices(args)
    if origin in (list, tuple):
        # an array of enums is valid CWL, but cwltool 3.3 fails when it runs: the words are checked by the algorithm
        inner = [json_type(item) for item in args if item is not Ellipsis]
        if "Any" in inner:
            return "Any"
        return array_of(
            one_of(["string" if isinstance(item, dict) and item["type"] == "enum" else item for item in inner])
        )
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _choices([item.value for item in annotation])
    plain = {int: "long", float: "double", bool: "boolean", str: "string", types.NoneType: "null"}
    return plain.get(annotation, "Any")


def _choices(values: Sequence[Any]) -> Any:
    words = [value for value in values if isinstance(value, str)]
    found: list[Any] = [json_type(type(value)) for value in values if not isinstance(value, str)]
    if words:
        found.append({"type": "enum", "symbols": words} if all(map(_SYMBOL.match, words)) else "string")
    return one_of(found)


def fields(name: str, item: Parameter, value: Any = REQUIRED) -> list[Field]:
    """Return the CWL fields of a parameter: several where it is a parameter model, nested ones included.

    Parameters
    ----------
    name : str
        Its id: the name, with the node in front for a parameter of a node.
    item : Parameter
        The declaration.
    value : optional
        A value that takes the place of the declared default.
    """
    return list(_fields(name, item.annotation, item.default if value is REQUIRED else value, _doc(item.name, item)))


def _fields(name: str, annotation: Any, default: Any, doc: str) -> Iterator[Field]:
    model = model_of(annotation)
    if model is None or not is_model(annotation) or default is None:
        cwl = json_type(annotation)
        value = default if default is REQUIRED else _checked(name, to_json(default))
        yield Field(name, cwl, as_text(value) if "Any" in cwl else value, doc)
        return
    for field, info in model.model_fields.items():
        inner = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        if default is not REQUIRED:
            value = (
                default[field]
                if isinstance(default, Mapping) and field in default
                else getattr(default, field, REQUIRED)
            )
        else:
            value = REQUIRED
        if value is REQUIRED and not info.is_required():
            value = info.get_default(call_default_factory=True)
        yield from _fields(f"{name}.{field}", inner, value, _doc(field, Parameter(field, inner)))


def is_model(annotation: Any) -> bool:
    """True for a model itself: an optional one, or a list of them, stays one value."""
    base = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return isinstance(base, type)


def as_text(value: Any) -> Any:
    """Return a mapping, or a list with one, as JSON text: schema salad rewrites mappings, even in defaults."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def from_text(value: Any) -> Any:
    """Return what :func:`as_text` made text; other text stays."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except json.JSONDecodeError:
        return value
    return found if isinstance(found, (dict, list)) else value


def _checked(name: str, default: Any) -> Any:
    for item in default if isinstance(default, list) else [default]:
        if isinstance(item, int) and item not in _LONG:
            raise Refused(
                f"parameter '{name}': the default {item} is too large for CWL, whose largest integer type has 64 bits"
            )
    return default


def _doc(name: str, item: Parameter) -> str:
    declared = item.param
    text = ": ".join(part for part in (declared.title or name, declared.help) if part)
    limits = [f"{sign} {declared.bounds()[key]:g}" for key, sign in _SIGNS.items() if key in declared.bounds()]
    words = [" | ".join(map(str, choices))] if (choices := _listed_choices(item.annotation)) else []
    return (
        text
        + (f" [{declared.unit}]" if declared.unit else "")
        + (f" ({', '.join(limits + words)})" if limits or words else "")
    )


def _listed_choices(annotation: Any) -> tuple[Any, ...] | None:
    item = item_type(annotation)
    return None if item is None else choices_of(item)


_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


# -- ports ------------------------------------------------------------------------------------------------------


def port_item(owner: str, port: Port) -> Any:
    """Return the CWL type of one item of a port.

    Raises
    ------
    Refused
        If a value of the port's type can neither be read from a file nor be written as JSON.
    """
    found = _item(port.item)
    if found is None:
        raise Refused(
            f"{owner}: input '{port.name}' ({type_name(port.annotation)}) cannot be read from a file: it is no data type, "
            "array, number, text or file; declare its type with @data, or a reader with @algorithm(reads=...)"
        )
    return found


def _item(annotation: Any) -> Any:
    inner, _ = strip_optional(annotation)
    base = get_args(inner)[0] if get_origin(inner) is Annotated else inner
    if Port("", inner).is_file or readable(inner) or base is Path:
        return "File"
    if base is Any or isinstance(base, TypeVar):
        return ["File", "boolean", "long", "double", "string"]
    if is_json(inner):
        return one_of([json_type(inner), "File"])
    if get_origin(base) in (Union, types.UnionType):
        parts = [_item(part) for part in get_args(base)]
        return None if None in parts else one_of(parts)
    return None


def is_json_port(port: Port) -> bool:
    """True where a number or text can be given in place of a file."""
    return port_item("", port) != "File"


def port_type(owner: str, port: Port, *, sequences: bool = False) -> Any:
    """Return the CWL type of a port of a tool: of a sequence, its items or one file that holds them all."""
    item = port_item(owner, port)
    if port.is_sequence:
        return [array_of(item), "File"]
    return one_of([item, array_of(item)]) if sequences else item


def port_default(port: Port) -> Any:
    """Return the JSON default of a port: ``REQUIRED``, None where it is absent, or a value."""
    if port.default is REQUIRED or port.default is None:
        return port.default
    return to_json(port.default)


def reader_fields(port: Port) -> dict[str, Field]:
    """Return the options of the reader of a port, by name; all are optional."""
    found = None if port.is_file else reader(port.item)
    if found is None:
        return {}
    return {
        name: Field(f"{port.name}.{name}", optional_type(json_type(item.annotation)), None, _doc(name, item))
        for name, item in found.parameters.items()
    }


def marked(owner: Algorithm[..., Any], port: Port) -> dict[str, str]:
    """Return the reader options of a port that parameters of the algorithm are the default of: option to field id."""
    options = reader_fields(port)
    found: dict[str, str] = {}
    for name, item in owner.parameters.items():
        if item.param.reader and name in options:
            found[name] = name
        model = model_of(item.annotation)
        for field, info in model.model_fields.items() if model else ():
            if field in options and any(getattr(mark, "reader", False) for mark in info.metadata):
                found[field] = f"{name}.{field}"
    return found


def outputs(algorithm: Algorithm[..., Any], inputs: Iterable[str]) -> dict[str, str]:
    """Return the CWL id of each output port: its name, or ``name.out`` beside an input of that name.

    Raises
    ------
    Refused
        If one cannot.
    """
    for name, annotation in algorithm.signature.output_ports.items():
        if not _writable(annotation):
            raise Refused(
                f"{algorithm.name}: output '{name}' ({type_name(annotation)}) cannot be written to a file: it is no data type, "
                "array, number or text, nor a list of them; declare its type with @data"
            )
    taken = set(inputs)
    return {name: f"{name}.out" if name in taken else name for name in algorithm.signature.output_ports}


def gives_file(annotation: Any) -> bool:
    """True for an output that is a file itself, or a list of files."""
    return Port("", annotation).is_file


def _writable(annotation: Any) -> bool:
    inner, _ = strip_optional(annotation)
    if gives_file(inner):
        return True
    if (item := item_type(inner)) is not None:
        return _writable(item)
    described = describe(inner)
    if get_origin(described.type) in (Union, types.UnionType):
        return all(_writable(part) for part in get_args(described.type))
    if described.type is Any or described.is_array or is_data(described.type):
        return True
    return is_json(inner) and not is_named_tuple(inner)
