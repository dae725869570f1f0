"""Parameters are JSON: their models, their checks, and the messages when a check fails."""

from __future__ import annotations

import numbers
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, Self, Union, cast, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, create_model, model_validator

from . import registry
from .errors import ParameterError
from .markers import FileMark

_CONFIG = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


def _plain(value: Any, annotation: Any) -> Any:
    """Turn NumPy values, a list for a tuple, and the value of an enum into what the strict models take."""
    if isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, np.ndarray):
        value = value.tolist()
    elif type(value) not in _EXACT and not isinstance(value, (Enum, BaseModel)):
        value = _number(value)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain(value, args[0])
    if origin in (Union, types.UnionType):
        fitted = [_plain(value, choice) for choice in args if choice is not types.NoneType]
        fitted = [item for item in fitted if not isinstance(item, _Refused)] or fitted
        return next((item for item in fitted if type(item) is not type(value)), fitted[0] if fitted else value)
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        kinds = args if origin is tuple and Ellipsis not in args else args[:1] * len(items)
        return origin(_plain(item, kinds[place] if place < len(kinds) else Any) for place, item in enumerate(items))
    if origin is dict and isinstance(value, Mapping):
        return {key: _plain(item, args[1]) for key, item in cast("Mapping[Any, Any]", value).items()}
    if origin is Literal and value in args and not any(_is_alike(value, item) for item in args):
        return _Refused(value)
    if isinstance(annotation, type) and issubclass(annotation, Enum) and type(value) in _EXACT:
        return next((item for item in annotation if _is_alike(value, item.value)), value)
    return value


_EXACT = frozenset({int, float, str, bool, types.NoneType})


@dataclass(frozen=True)
class _Refused:
    """A value that pydantic would take for something else: True for the choice 1, anything with ``__float__`` for a number."""

    value: Any


def _is_alike(value: Any, item: Any) -> bool:
    return type(value) is type(item) and value == item


def _number(value: Any) -> Any:
    """Return a real number of another kind as Python's own; refuse what only claims to be one."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    return _Refused(value) if hasattr(value, "__float__") or hasattr(value, "__index__") else value


def _is_plain(value: Any) -> bool:
    """True for what pydantic judges rightly without help."""
    kind = type(value)
    return kind in _EXACT or isinstance(value, BaseModel) or (kind is tuple and all(map(_is_plain, value)))


def _has_choices(annotation: Any) -> bool:
    """True where a choice may be equal to a value of another type: 1, 1.0 and True are the same to a look-up."""
    if get_origin(annotation) is Literal:
        return not all(isinstance(item, str) for item in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return True
    return any(_has_choices(item) for item in get_args(annotation))


class ParameterModel(BaseModel):
    """Base class of parameter groups: frozen, no unknown names, no NaN, and bools and strings are not numbers."""

    model_config = _CONFIG

    @model_validator(mode="before")
    @classmethod
    def _accept_scientific_values(cls, values: Any) -> Any:
        return plain_values(cls, cast("Mapping[str, Any]", values)) if isinstance(values, Mapping) else values

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, changed values checked like those of a new one (pydantic itself would not look at them)."""
        if not update:
            return super().model_copy(deep=deep)
        kept = super().model_copy(deep=deep)
        return type(self)(**{**{name: getattr(kept, name) for name in kept.model_fields_set}, **update})

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise parameter_error(
                type(self).__name__, error.errors(include_url=False), type(self).model_fields
            ) from None

    # Inside another model pydantic then validates without this ``__init__``, so that a fault is told with its whole path.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


def bounded_schema(schema: dict[str, Any], bounds: Mapping[str, float]) -> dict[str, Any]:
    """Apply numeric bounds to each number inside a pydantic core schema (options and sequences included)."""
    if not bounds:
        return schema
    kind = schema.get("type")
    if kind in ("int", "float"):
        return {**schema, **bounds}
    inner = {
        key: bounded_schema(schema[key], bounds)
        for key in ("schema", "items_schema")
        if isinstance(schema.get(key), dict)
    }
    if kind == "tuple":
        inner["items_schema"] = cast("Any", [bounded_schema(item, bounds) for item in schema["items_schema"]])
    if kind == "union":
        inner["choices"] = cast("Any", [bounded_schema(choice, bounds) for choice in schema["choices"]])
    return {**schema, **inner}


def parameter_error(owner: str, faults: Iterable[Any], known: Iterable[str] = ()) -> ParameterError:
    """Say algorithm, parameter, expected and got, one line for each fault; suggest a known name for an unknown one."""
    lines: list[str] = []
    for fault in faults:
        name = ".".join(str(part) for part in fault["loc"] if not _is_type_label(part)) or "parameters"
        if fault["type"] == "extra_forbidden":
            lines.append(f"{owner}: unknown parameter '{name}'{registry.suggest(name, known)}")
        elif fault["type"] == "missing":
            lines.append(f"{owner}: parameter '{name}' is required and has no default")
        else:
            got = fault["input"].value if isinstance(fault["input"], _Refused) else fault["input"]
            message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            prefix = "" if fault["type"] == "value_error" else "expected "
            lines.append(f"{owner}: parameter '{name}': {prefix}{message}; got {got!r} ({type(got).__name__})")
    return ParameterError("\n".join(dict.fromkeys(lines)))


def _is_type_label(part: Any) -> bool:
    """Pydantic puts union branches such as ``tuple[float, ...]`` into the location of a fault; people need names."""
    return isinstance(part, str) and (part in ("float", "int", "str", "bool", "none") or "[" in part)


def validate_some(model: type[BaseModel], owner: str, values: Mapping[str, Any]) -> None:
    """Check some values, whatever the others are.

    Raises
    ------
    ParameterError
        As :func:`validate`.
    """
    try:
        model.__pydantic_validator__.validate_python(plain_values(model, values))
    except ValidationError as error:
        absent = {(name,) for name in model.model_fields if name not in values}
        faults = [fault for fault in error.errors(include_url=False) if fault["loc"] not in absent]
        if faults:
            raise parameter_error(owner, faults, model.model_fields) from None


def plain_values(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with NumPy scalars and arrays, lists and enum values turned into what the model takes."""
    fields = model.model_fields
    return {name: _plain(value, fields[name].annotation if name in fields else Any) for name, value in values.items()}


class _Declared(BaseModel):
    """Base of the models made from declarations; :func:`validate` gives them the same tolerance, at less cost per call."""

    model_config = _CONFIG
    has_choices: ClassVar[bool] = False


def validate(model: type[BaseModel], owner: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check values against a model made by :func:`make_model` and return all of them, defaults filled in.

    Raises
    ------
    ParameterError
        Names owner, parameter, what was expected and what was given.
    """
    check = model.__pydantic_validator__.validate_python
    if not cast("type[_Declared]", model).has_choices and all(map(_is_plain, values.values())):
        try:
            return check(values).__dict__
        except ValidationError:
            pass  # numbers of other kinds and lists inside are fine as well: once more with plain values
    try:
        return check(plain_values(model, values)).__dict__
    except ValidationError as error:
        raise parameter_error(owner, error.errors(include_url=False), model.model_fields) from None


def make_model(owner: str, fields: Mapping[str, tuple[Any, Any]]) -> type[BaseModel]:
    """Make the parameter model of an algorithm.

    Parameters
    ----------
    owner : str
        Name of the algorithm, for messages.
    fields : mapping
        Name to ``(annotation, default)``; the default is ``...`` where there is none.

    Raises
    ------
    ParameterError
        If a default is not what the parameter takes.
    """
    made = create_model(owner, __base__=_Declared, **cast("dict[str, Any]", dict(fields)))
    made.has_choices = any(_has_choices(annotation) for annotation, _ in fields.values())
    try:
        validate_some(made, owner, {name: default for name, (_, default) in fields.items() if default is not ...})
    except ParameterError as error:
        raise ParameterError(str(error).replace(": parameter '", ": the default of parameter '")) from None
    return made


def is_json(annotation: Any, seen: tuple[Any, ...] = ()) -> bool:
    """True for types whose values are JSON: numbers, text, choices, and sequences and parameter models of them."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return not any(isinstance(mark, FileMark) for mark in args[1:]) and is_json(args[0], seen)
    if annotation in (int, float, str, bool, types.NoneType) or annotation in seen:
        return True
    if origin is Literal:
        return all(isinstance(item, (int, str, types.NoneType)) for item in args)
    if origin in (Union, types.UnionType, tuple, list) or (origin is dict and args[0] is str):
        return all(is_json(item, seen) for item in args if item is not Ellipsis)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return all(is_json(type(item.value)) for item in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return all(is_json(item.annotation, (*seen, annotation)) for item in annotation.model_fields.values())
    return False


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the parameter model that an annotation names, or None."""
    if get_origin(annotation) is Annotated:
        return model_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return next((found for item in get_args(annotation) if (found := model_of(item))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def choices_of(annotation: Any) -> tuple[Any, ...] | None:
    """Return the values of a ``Literal`` annotation, optional or not; None for other types."""
    if get_origin(annotation) is Annotated:
        return choices_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return next((found for item in get_args(annotation) if (found := choices_of(item))), None)
    return get_args(annotation) if get_origin(annotation) is Literal else None


def to_json(value: Any) -> Any:
    """Return a parameter value as plain JSON data."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray):
        return cast("Any", value).tolist()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in cast("Sequence[Any]", value)]
    return value.item() if isinstance(value, np.generic) else value
