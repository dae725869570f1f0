"""What an annotation can say about a value: axes, unit, uncertainty, parameter bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axes:
    """The dimension names of an array, slowest first: ``Axes("y", "x")``.

    A field that bears the name of its own single axis is that axis' coordinate.
    """

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclass(frozen=True)
class Unit:
    """The unit of a value as text: ``Unit("1/Å")``; ``Unit("1")`` is dimensionless."""

    text: str


@dataclass(frozen=True)
class ErrorsOf:
    """Marks an array as the standard uncertainty (one sigma) of another field of the same data type."""

    field: str


@dataclass(frozen=True)
class FileMark:
    """Marks a port that wants the path itself, not what is in the file."""

    suffixes: tuple[str, ...] = ()


File = Annotated[Path, FileMark()]
"""A port that receives a path; the content of the file, not its name, enters the identity of a run."""

Frame = Annotated[NDArray[Any], Axes("y", "x"), Unit("counts")]
"""One detector image, ``(y, x)``, in counts; a bare array is accepted."""

Mask = Annotated[NDArray[np.bool_], Axes("y", "x"), Unit("1")]
"""Pixels to leave out, ``(y, x)``: True (or non-zero) is masked; a bare array is accepted."""


@dataclass(frozen=True)
class Param:
    """What every face (form, command line, docs) shows of a parameter, and the bounds that it must keep.

    Parameters
    ----------
    title : str
        A few words for labels: ``"Radial bins"``.
    unit : str, optional
        Unit of the number: ``"1/Å"``.
    help : str
        One sentence more, for tooltips and ``--help``.
    gt, ge, lt, le : float, optional
        Bounds.
    structural : bool
        The parameter decides the structure of a workflow: it has a concrete value while the graph is traced.
    reader : bool
        The parameter is also the default of the reader option of the same name, when a port is given as a path.
    """

    title: str = ""
    unit: str | None = None
    help: str = ""
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    structural: bool = False
    reader: bool = False

    def bounds(self) -> Mapping[str, float]:
        """Return the bounds that are set, by pydantic's names."""
        pairs: list[tuple[Literal["gt", "ge", "lt", "le"], float | None]] = [
            ("gt", self.gt), ("ge", self.ge), ("lt", self.lt), ("le", self.le)]  # fmt: skip
        return {name: value for name, value in pairs if value is not None}

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Apply the bounds to the number inside ``Optional`` and sequences (pydantic's protocol)."""
        from .params import bounded_schema

        return bounded_schema(handler(source), self.bounds())

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """Add title, unit and help to the JSON schema (pydantic's protocol)."""
        json_schema: dict[str, Any] = handler(schema)
        extra = {"title": self.title, "description": self.help, "unit": self.unit,
                 "structural": self.structural or None, "reader": self.reader or None}  # fmt: skip
        return {**json_schema, **{key: value for key, value in extra.items() if value}}
