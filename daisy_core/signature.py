"""What a function's signature declares: ports, parameters, output (resolved from its type hints at first use)."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np

from .datatypes import Field, data_type, describe, fields_of, is_data, strip_optional
from .errors import ParameterError, WorkflowError
from .markers import Axes, File, FileMark, Param

REQUIRED: Any = inspect.Parameter.empty


@dataclass(frozen=True)
class Port:
    """One input of an algorithm: a positional argument."""

    name: str
    annotation: Any
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        """True where the caller must give a value."""
        return self.default is REQUIRED

    @property
    def is_sequence(self) -> bool:
        """True where the port takes a sequence of items."""
        return item_type(self.annotation) is not None

    @property
    def item(self) -> Any:
        """The type of one item: of the sequence, or the annotation itself."""
        found = item_type(self.annotation)
        return self.annotation if found is None else found

    @property
    def is_file(self) -> bool:
        """True where the algorithm wants the path itself."""
        annotation, _ = strip_optional(self.item)
        return any(isinstance(mark, FileMark) for mark in getattr(annotation, "__metadata__", ()))


@dataclass(frozen=True)
class Parameter:
    """One parameter of an algorithm: a keyword-only argument."""

    name: str
    annotation: Any
    default: Any = REQUIRED

    @property
    def param(self) -> Param:
        """What was declared about it; an empty declaration where nothing was."""
        marks = getattr(self.annotation, "__metadata__", ())
        return next((mark for mark in marks if isinstance(mark, Param)), Param())


@dataclass(frozen=True)
class Signature:
    """Ports, parameters and output of an algorithm."""

    ports: dict[str, Port]
    parameters: dict[str, Parameter]
    output: Any

    @property
    def output_ports(self) -> dict[str, Any]:
        """Output ports and their types: the fields of a NamedTuple class, else the one port ``result``."""
        if is_named_tuple(self.output):
            return dict(typing.get_type_hints(self.output, include_extras=True))
        return {"result": self.output}


def item_type(annotation: Any) -> Any:
    """Return T for ``Sequence[T]``, ``list[T]`` or ``tuple[T, ...]``; None for anything else."""
    annotation, _ = strip_optional(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return item_type(args[0])
    if origin is tuple:
        return args[0] if len(args) == 2 and args[1] is Ellipsis else None
    if isinstance(origin, type) and issubclass(origin, collections.abc.Sequence) and args:
        return args[0]
    return None


def is_named_tuple(annotation: Any) -> bool:
    """True for a NamedTuple class."""
    return isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields")


def check_shape(name: str, function: Callable[..., Any], *, skip_self: bool = False) -> inspect.Signature:
    """Return the signature, refusing what the convention has no meaning for.

    Raises
    ------
    WorkflowError
        For ``*args``, ``**kwargs`` and positional-only arguments.
    """
    signature = inspect.signature(function)
    items = list(signature.parameters.values())[1 if skip_self else 0 :]
    for item in items:
        if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD, item.POSITIONAL_ONLY):
            raise WorkflowError(
                f"{name}: argument '{item}' cannot be declared; give ports as ordinary arguments and parameters after a bare '*'"
            )
    return signature.replace(parameters=items)


def read_signature(name: str, function: Callable[..., Any], *, skip_self: bool = False) -> Signature:
    """Resolve the type hints of a function into ports, parameters and output.

    Raises
    ------
    WorkflowError
        If a type hint names something that does not exist, or a parameter has no type.
    ParameterError
        If a parameter is not JSON.
    """
    signature = check_shape(name, function, skip_self=skip_self)
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise WorkflowError(f"{name}: a type hint names '{error.name}', which its module does not define") from error
    from .params import is_json

    ports: dict[str, Port] = {}
    parameters: dict[str, Parameter] = {}
    for item in signature.parameters.values():
        if item.kind is item.KEYWORD_ONLY:
            if item.name not in hints:
                raise WorkflowError(
                    f"{name}: parameter '{item.name}' needs a type, for example '{item.name}: float = 1.0'"
                )
            if not is_json(hints[item.name]):
                raise ParameterError(
                    f"{name}: parameter '{item.name}' of type {type_name(hints[item.name])} is not JSON; parameters are numbers, "
                    "text, choices, or sequences and parameter models of them: pass anything else as a positional port"
                )
            parameters[item.name] = Parameter(item.name, hints[item.name], item.default)
        else:
            ports[item.name] = Port(item.name, hints.get(item.name, Any), item.default)
    return Signature(ports, parameters, hints.get("return", Any))


def type_name(annotation: Any) -> str:
    """Return a name for people and JSON: ``pdf.Pattern``, ``array(y, x)``, ``list of pdf.Pattern``."""
    inner, optional = strip_optional(annotation)
    if optional:
        return type_name(inner)
    item = item_type(annotation)
    if item is not None:
        return f"list of {type_name(item)}"
    field = describe(annotation)
    if field.is_array:
        return f"array({', '.join(field.axes)})" if field.axes else "array"
    if is_data(field.type):
        return str(field.type.__daisy_type__)
    if any(isinstance(mark, FileMark) for mark in getattr(annotation, "__metadata__", ())):
        return "file"
    if field.type is Any:
        return "any"
    if get_origin(field.type) is Literal:
        return " | ".join(map(str, get_args(field.type)))
    if get_origin(field.type) in (Union, types.UnionType):
        return " | ".join(type_name(choice) for choice in get_args(field.type))
    return getattr(field.type, "__name__", str(field.type))


def type_named(name: Any) -> Any:
    """Return the type that :func:`type_name` shows by this name; Any where the name alone does not tell."""
    text = str(name)
    if text.startswith("list of "):
        return list[type_named(text.removeprefix("list of "))]
    plain = {"float": float, "int": int, "str": str, "bool": bool, "file": File, "array": np.ndarray}
    if text in plain:
        return plain[text]
    if text.startswith("array(") and text.endswith(")"):
        return Annotated[np.ndarray, Axes(*text[6:-1].split(", "))]
    return data_type(text) if "." in text else Any


def mismatch(source: Any, target: Any) -> str | None:
    """Say why a value of one declared type cannot feed a port of another; None where it can, or nobody can know.

    Types, dimension names and units are compared; a type that was not declared fits everything.
    """
    source_item, target_item = item_type(source), item_type(target)
    if (source_item is None) != (target_item is None) and Any not in (
        strip_optional(source)[0],
        strip_optional(target)[0],
    ):
        array = describe(source if source_item is None else target).is_array
        return None if array else f"{type_name(source)} does not fit {type_name(target)}"
    if source_item is not None:
        return mismatch(source_item, target_item)
    given, wanted = describe(source), describe(target)
    if Any in (given.type, wanted.type) or isinstance(wanted.type, typing.TypeVar):
        return None
    if get_origin(wanted.type) in (Union, types.UnionType):
        reasons = [mismatch(source, choice) for choice in get_args(wanted.type)]
        return None if None in reasons else reasons[0]
    return _field_mismatch(given, wanted, source, target)


def takes_plain(value: Any, annotation: Any) -> bool:
    """Say whether a port can take a JSON value that a workflow file gives it; a type that nobody can know takes all."""
    item = item_type(annotation)
    if item is not None:
        return isinstance(value, (list, tuple)) and all(takes_plain(one, item) for one in typing.cast("Any", value))
    declared = describe(annotation)
    if declared.is_array:
        return not isinstance(value, (str, dict))
    if is_data(declared.type):
        return False
    if get_origin(declared.type) in (Union, types.UnionType):
        return any(takes_plain(value, choice) for choice in get_args(declared.type))
    if declared.type is float:
        return type(value) in (int, float)
    return type(value) is declared.type if declared.type in (int, str, bool) else True


def _field_mismatch(given: Field, wanted: Field, source: Any, target: Any) -> str | None:
    if given.is_array and wanted.is_array:
        if given.axes and wanted.axes and given.axes != wanted.axes:
            return f"axes {given.axes} do not fit axes {wanted.axes}"
        if given.unit and wanted.unit and given.unit != wanted.unit:
            return f"unit {given.unit} does not fit unit {wanted.unit}"
        return None
    left, right = (get_origin(item.type) or item.type for item in (given, wanted))
    if isinstance(left, type) and isinstance(right, type):
        fits = (issubclass(left, right) and (left is not bool or right is bool)) or (left is int and right is float)
        if fits and given.unit and wanted.unit and given.unit != wanted.unit:
            return f"unit {given.unit} does not fit unit {wanted.unit}"
        return None if fits else f"{type_name(source)} does not fit {type_name(target)}"
    return None


def field_type(annotation: Any, name: str) -> Any:
    """Return the type of a field of a data type, NamedTuple or parameter model.

    Raises
    ------
    KeyError
        If there is no such field; its argument lists the fields that there are.
    """
    base = describe(annotation).type
    if is_data(base):
        hints, names = typing.get_type_hints(base, include_extras=True), tuple(fields_of(base))
    elif is_named_tuple(base):
        hints, names = typing.get_type_hints(base, include_extras=True), tuple(base._fields)
    elif isinstance(base, type) and hasattr(base, "model_fields"):
        hints, names = typing.get_type_hints(base, include_extras=True), tuple(base.model_fields)  # type: ignore[attr-defined]
    elif base is Any:
        return Any
    else:
        raise KeyError(())
    if name not in names:
        raise KeyError(names)
    return hints[name]
