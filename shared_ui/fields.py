"""The fields of a form, read off a declaration: an algorithm, a parameter model or a data type."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticUndefined

from daisy_core import Algorithm, Param
from daisy_core.datatypes import fields_of, is_data
from daisy_core.params import model_of
from daisy_core.signature import REQUIRED

from .units import label

Kind = Literal["bool", "integer", "number", "text", "choice", "numbers", "choices", "json"]
Source = Algorithm[..., Any] | type

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class FormField:
    """One field of a form.

    Attributes
    ----------
    name : str
        Dotted where it lies in a nested model: ``config.rpoly``.
    kind : str
        What kind of widget it needs.
    default : Any
        ``REQUIRED`` where the declaration has none.
    optional : bool
        None is a value of it.
    choices : tuple
        What can be chosen, for ``choice`` and ``choices``.
    """

    name: str
    annotation: Any
    default: Any
    param: Param
    kind: Kind
    optional: bool
    choices: tuple[Any, ...] = ()

    @property
    def label(self) -> str:
        """The title with its unit: ``rpoly (Å)``."""
        return label(self.param.title or self.name.rpartition(".")[2], self.param.unit)

    @property
    def start(self) -> Any:
        """What an untouched field holds."""
        if self.default is not REQUIRED:
            return self.default
        return {"text": "", "numbers": (), "choices": (), "bool": False}.get(self.kind)

    def fault(self, value: Any) -> str | None:
        """Say what is wrong with a value, in words for the place beside it; None where nothing is."""
        if value is None and not self.optional:
            return "is needed"
        if self.kind in ("numbers", "json") and isinstance(value, str):
            return "should be numbers, with blanks between them" if self.kind == "numbers" else "should be JSON"
        adapter: Any = (
            TypeAdapter(self.annotation) if model_of(self.annotation) else TypeAdapter(self.annotation, config=_STRICT)
        )
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            message = str(error.errors(include_url=False)[0]["msg"])
            return message.removeprefix("Value error, ").removeprefix("Input ")
        return None


def form_fields(source: Source) -> list[FormField]:
    """Return the fields of a form, those of nested parameter models flattened.

    Parameters
    ----------
    source : Algorithm, parameter model or data type
        Parameters of the algorithm, fields of the model, or the numbers, texts and choices of the data type.
    """
    return list(_fields(source, ""))


def _fields(source: Source, prefix: str) -> Iterator[FormField]:
    for name, annotation, default, param in _declared(source):
        model = model_of(annotation)
        if model is not None:
            yield from _fields(model, f"{prefix}{name}.")
            continue
        bare, optional = _bare(annotation)
        kind, choices = _kind(bare)
        yield FormField(prefix + name, annotation, default, param, kind, optional, choices)


def _declared(source: Source) -> Iterator[tuple[str, Any, Any, Param]]:
    if isinstance(source, Algorithm):
        for item in source.parameters.values():
            yield item.name, item.annotation, item.default, item.param
    elif isinstance(source, type) and issubclass(source, BaseModel):
        for name, info in source.model_fields.items():
            param = next((mark for mark in info.metadata if isinstance(mark, Param)), Param())
            annotation = Annotated[cast("Any", (info.annotation, *info.metadata))] if info.metadata else info.annotation
            yield name, annotation, REQUIRED if info.default is PydanticUndefined else info.default, param
    elif is_data(source):
        yield from _data_fields(source)
    else:
        raise TypeError(f"{source!r} declares no form; pass an algorithm, a parameter model or a data type")


def _data_fields(source: type) -> Iterator[tuple[str, Any, Any, Param]]:
    import dataclasses

    for item in dataclasses.fields(cast("Any", source)):
        field = fields_of(source)[item.name]
        if field.is_array or _kind(_bare(field.type)[0])[0] == "json":
            continue
        annotation = field.type | None if field.optional else field.type
        default = REQUIRED if item.default is dataclasses.MISSING else item.default
        yield item.name, annotation, default, Param(item.name, field.unit)


def _bare(annotation: Any) -> tuple[Any, bool]:
    """Return the annotation without ``Annotated`` and ``| None``, and whether None was allowed."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [item for item in get_args(annotation) if item is not type(None)]
        if len(inner) == 1:
            return _bare(inner[0])[0], len(inner) < len(get_args(annotation))
        return annotation, len(inner) < len(get_args(annotation))
    return annotation, False


def _kind(bare: Any) -> tuple[Kind, tuple[Any, ...]]:
    simple: dict[Any, Kind] = {bool: "bool", int: "integer", float: "number", str: "text"}
    if bare in simple:
        return simple[bare], ()
    if get_origin(bare) is Literal:
        return "choice", get_args(bare)
    if get_origin(bare) in (tuple, list):
        items = {_bare(item)[0] for item in get_args(bare) if item is not Ellipsis}
        inner = items.pop() if len(items) == 1 else None
        if inner in (int, float):
            return "numbers", ()
        if get_origin(inner) is Literal:
            return "choices", get_args(inner)
    return "json", ()


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted names as nested mappings: ``{"config.rpoly": 1}`` is ``{"config": {"rpoly": 1}}``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        inner = found
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings and parameter models as dotted names; the opposite of :func:`nested`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, BaseModel):
            found |= flat({field: getattr(value, field) for field in type(value).model_fields}, f"{prefix}{name}.")
        elif isinstance(value, Mapping):
            found |= flat(cast("Mapping[str, Any]", value), f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
