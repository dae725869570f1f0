"""Data types: frozen dataclasses whose fields say their axes and units (``@data``)."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, Union, cast, dataclass_transform, get_args, get_origin

import numpy as np

from .errors import DaisyError, InputError
from .markers import Axes, ErrorsOf, Unit

T = TypeVar("T")

_TYPES: dict[str, type] = {}


@dataclasses.dataclass(frozen=True)
class Field:
    """What the declaration says of one field of a data type."""

    name: str
    type: Any
    axes: tuple[str, ...] | None
    unit: str | None
    errors_of: str | None
    is_array: bool
    optional: bool

    @property
    def is_coordinate(self) -> bool:
        """True for the array that gives its own axis its values."""
        return self.axes == (self.name,)


@dataclass_transform(frozen_default=True, eq_default=False)
def data(cls: type[T] | None = None, /, *, name: str | None = None) -> Any:
    """Make a class a data type: a frozen dataclass of arrays, numbers, text and other data types.

    Array fields become NumPy arrays when the object is made, and fields that share an axis must agree in length.
    One generic NeXus writer and reader (:mod:`daisy_core.nexus`) knows every data type.

    Parameters
    ----------
    name : str, optional
        Registered name, ``<app>.<Class>`` by default (``daisy_pdf.data.Pattern`` is ``pdf.Pattern``).

    Raises
    ------
    InputError
        When an object is made, if an array has the wrong number of axes or a length that disagrees.

    Examples
    --------
    >>> import numpy as np
    >>> from typing import Annotated
    >>> from daisy_core import Axes, Unit, data
    >>> @data
    ... class Curve:
    ...     x: Annotated[np.ndarray, Axes("x"), Unit("Å")]
    ...     y: Annotated[np.ndarray, Axes("x")]
    >>> Curve([0, 1, 2], [3, 4, 5]).y
    array([3, 4, 5])
    """
    if cls is None:
        return functools.partial(data, name=name)
    user_check = cls.__dict__.get("__post_init__")

    def __post_init__(self: Any) -> None:
        _conform(self)
        if user_check is not None:
            user_check(self)

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    made: Any = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    made.__daisy_type__ = name or f"{app_of(cls.__module__)}.{cls.__qualname__}"
    if "_repr_html_" not in cls.__dict__:
        made._repr_html_ = _repr_html
    if "__repr__" not in cls.__dict__:
        made.__repr__ = _repr
    known = _TYPES.get(made.__daisy_type__)
    if known is not None and known.__module__ != cls.__module__:
        raise DaisyError(
            f"data type '{made.__daisy_type__}' is declared by both {known.__module__} and {cls.__module__}; "
            "give one of them another name: @data(name=...)"
        )
    _TYPES[made.__daisy_type__] = made
    return made


def app_of(module: str) -> str:
    """Return the app name that a module belongs to: ``daisy_pdf.data`` -> ``pdf``."""
    return module.partition(".")[0].removeprefix("daisy_").strip("_")


def is_data(value: Any) -> bool:
    """True for a data type or an instance of one."""
    return hasattr(value, "__daisy_type__")


def data_type(name: str) -> type:
    """Return a data type by its registered name, loading the app that declares it.

    Raises
    ------
    DaisyError
        If no installed app declares the name.
    """
    if name not in _TYPES:
        from .registry import load_app

        load_app(name.partition(".")[0])
    if name not in _TYPES:
        raise DaisyError(
            f"data type '{name}' is not declared by any installed app; install the app that wrote the file"
        )
    return _TYPES[name]


def strip_optional(annotation: Any) -> tuple[Any, bool]:
    """Return the annotation without ``| None``, and whether None was allowed."""
    if get_origin(annotation) in (Union, types.UnionType):
        items = [item for item in get_args(annotation) if item is not type(None)]
        if len(items) < len(get_args(annotation)):
            return (items[0] if len(items) == 1 else Union[tuple(items)]), True  # noqa: UP007 - built at run time
    return annotation, False


def describe(annotation: Any, name: str = "") -> Field:
    """Read axes, unit, uncertainty and array-ness from an annotation."""
    annotation, optional = strip_optional(annotation)
    marks: tuple[Any, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *rest = get_args(annotation)
        marks = tuple(rest)
        annotation, inner_optional = strip_optional(annotation)
        optional = optional or inner_optional
        if get_origin(annotation) is Annotated:  # an alias such as Frame, annotated further
            inner = describe(annotation, name)
            annotation, marks = inner.type, (*get_args(annotation)[1:], *marks)

    def mark(kind: type[T]) -> T | None:
        return next((item for item in reversed(marks) if isinstance(item, kind)), None)

    axes, unit, errors = mark(Axes), mark(Unit), mark(ErrorsOf)
    base = get_origin(annotation) or annotation
    is_array = isinstance(base, type) and issubclass(base, np.ndarray)
    return Field(name, annotation, axes.names if axes else None, unit.text if unit else None,
                 errors.field if errors else None, is_array, optional)  # fmt: skip


@functools.cache
def fields_of(cls: type) -> dict[str, Field]:
    """Return the fields of a data type in order, by name."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {item.name: describe(hints[item.name], item.name) for item in dataclasses.fields(cast("Any", cls))}


def _conform(self: Any) -> None:
    """Make array fields arrays, and check that fields sharing an axis agree in length."""
    lengths: dict[str, tuple[str, int]] = {}
    kind = type(self).__daisy_type__
    for field in fields_of(type(self)).values():
        value = getattr(self, field.name)
        if not field.is_array or (value is None and field.optional):
            continue
        array = np.asarray(value)
        if array is not value:
            object.__setattr__(self, field.name, array)
        if field.axes is None:
            continue
        if array.ndim != len(field.axes):
            raise InputError(f"{kind}.{field.name} needs the axes {field.axes}, but the array has shape {array.shape}")
        for axis, length in zip(field.axes, array.shape, strict=True):
            other, known = lengths.setdefault(axis, (field.name, length))
            if known != length:
                raise InputError(
                    f"{kind}: '{field.name}' has {length} values along '{axis}' but '{other}' has {known}; they must agree"
                )


def replace(value: T, **changes: Any) -> T:
    """Return a copy of a data object with some fields changed."""
    return cast("Callable[..., T]", dataclasses.replace)(value, **changes)


def summary_rows(value: Any) -> list[tuple[str, str, str]]:
    """Return ``(field, what, unit)`` for the text and HTML views of a data object."""
    rows: list[tuple[str, str, str]] = []
    for field in fields_of(type(value)).values():
        item = getattr(value, field.name)
        if isinstance(item, np.ndarray):
            span = f", {item.min():.6g} to {item.max():.6g}" if item.size and item.dtype.kind in "iuf" else ""
            what = f"{item.dtype} {' x '.join(map(str, item.shape))}{span}"
        elif is_data(item):
            what = brief(item)
        else:
            text = f"{item:.6g}" if isinstance(item, float) else repr(item)
            what = text if len(text) < 80 else text[:77] + "..."
        rows.append((field.name, what, field.unit or ""))
    return rows


def brief(value: Any) -> str:
    """Return one line on a data object: its arrays, their lengths and spans."""
    arrays = [(name, getattr(value, name)) for name, field in fields_of(type(value)).items() if field.is_array]
    parts = [f"{name} {item.min():.5g} to {item.max():.5g}" for name, item in arrays if item is not None and item.size]
    sizes = {" x ".join(map(str, item.shape)) for _, item in arrays if item is not None}
    return f"{', '.join(sorted(sizes))} points: {', '.join(parts)}" if parts else type(value).__qualname__


def _repr(self: Any) -> str:
    inside = ", ".join(f"{name}: {what}{' ' + unit if unit else ''}" for name, what, unit in summary_rows(self))
    return f"{type(self).__qualname__}({inside})"


def _repr_html(self: Any) -> str:
    from html import escape

    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(what)}</td><td>{escape(unit)}</td></tr>"
        for name, what, unit in summary_rows(self)
    )
    return f"<table><caption>{escape(type(self).__daisy_type__)}</caption><tr><th>field</th><th>value</th><th>unit</th></tr>{rows}</table>"
