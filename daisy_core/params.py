"""Parameters are JSON: their models, their checks, and the messages when a check fails."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model, model_validator

from .errors import ParameterError

_CONFIG = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


def _plain(value: Any) -> Any:
    """Turn NumPy scalars and arrays and lists into the plain values that the strict models take."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in cast("Sequence[Any]", value))
    return value


class ParameterModel(BaseModel):
    """Base class of parameter groups: frozen, no unknown names, no NaN, and bools and strings are not numbers."""

    model_config = _CONFIG

    @model_validator(mode="before")
    @classmethod
    def _accept_scientific_values(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            return {key: _plain(value) for key, value in cast("Mapping[str, Any]", values).items()}
        return values

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise parameter_error(type(self).__name__, error) from None


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


def parameter_error(owner: str, error: ValidationError) -> ParameterError:
    """Say algorithm, parameter, expected and got, one line for each fault."""
    lines: list[str] = []
    for fault in error.errors(include_url=False):
        name = ".".join(str(part) for part in fault["loc"] if not _is_type_label(part)) or "parameters"
        if fault["type"] == "extra_forbidden":
            lines.append(f"{owner}: unknown parameter '{name}'")
        elif fault["type"] == "missing":
            lines.append(f"{owner}: parameter '{name}' is required and has no default")
        else:
            got = fault["input"]
            message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            prefix = "" if fault["type"] == "value_error" else "expected "
            lines.append(f"{owner}: parameter '{name}': {prefix}{message}; got {got!r} ({type(got).__name__})")
    return ParameterError("\n".join(dict.fromkeys(lines)))


def _is_type_label(part: Any) -> bool:
    """Pydantic puts union branches such as ``tuple[float, ...]`` into the location of a fault; people need names."""
    return isinstance(part, str) and (part in ("float", "int", "str", "bool", "none") or "[" in part)


class _Declared(BaseModel):
    """Base of the models made from declarations; :func:`validate` gives them the same tolerance, at less cost per call."""

    model_config = _CONFIG


def validate(model: type[BaseModel], owner: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check values against a model made by :func:`make_model` and return all of them, defaults filled in.

    Raises
    ------
    ParameterError
        Names owner, parameter, what was expected and what was given.
    """
    check = model.__pydantic_validator__.validate_python
    try:
        return check(values).__dict__
    except ValidationError:
        pass  # NumPy scalars and lists are fine as well: once more with plain values
    try:
        return check({name: _plain(value) for name, value in values.items()}).__dict__
    except ValidationError as error:
        raise parameter_error(owner, error) from None


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
        If a parameter has no JSON schema.
    """
    for name, (annotation, default) in fields.items():
        try:
            TypeAdapter(annotation).json_schema() if _is_model(annotation) else TypeAdapter(
                annotation, config=_CONFIG
            ).json_schema()
        except Exception as error:
            raise ParameterError(
                f"{owner}: parameter '{name}' of type {annotation} has no JSON schema ({type(error).__name__}); "
                "parameters are numbers, strings, enums or parameter models: pass anything else as a positional port"
            ) from error
        if default is not ... and callable(default):
            raise ParameterError(f"{owner}: the default of parameter '{name}' is not a plain value: {default!r}")
    return create_model(owner, __base__=_Declared, **cast("dict[str, Any]", dict(fields)))


def _is_model(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_model(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return any(_is_model(item) for item in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


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
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in cast("Sequence[Any]", value)]
    return value.item() if isinstance(value, np.generic) else value
