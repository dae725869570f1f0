"""DataStore: the named data objects of a session or a workflow. An explicit object, never a global."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from . import nexus
from .datatypes import fields_of, is_data
from .errors import DaisyError
from .plan import read_only


@dataclass(frozen=True)
class Entry:
    """What the store knows of an object: what it is, how large, and where it came from."""

    name: str
    type: str
    shape: str
    unit: str
    nbytes: int
    origin: str


class DataStore(MutableMapping[str, Any]):
    """Named data objects: arrays, data types, numbers and text. What is put in is handed out read-only.

    Examples
    --------
    >>> store = DataStore()
    >>> store["dark"] = np.zeros((2, 3))
    >>> store.entry("dark").shape
    '2 x 3'
    """

    def __init__(self, objects: Mapping[str, Any] | None = None) -> None:
        self._objects: dict[str, Any] = {}
        self._origins: dict[str, str] = {}
        for name, value in (objects or {}).items():
            self[name] = value

    def put(self, name: str, value: Any, *, origin: str = "") -> None:
        """Put an object under a name; ``origin`` says where it came from.

        Raises
        ------
        DaisyError
            If an object of this name could not be saved or addressed: empty, ``provenance``, or with ``/`` or ``::``.
        """
        nexus.check_name(name)
        self._objects[name] = read_only(value)
        self._origins[name] = origin

    def __setitem__(self, name: str, value: Any) -> None:
        self.put(name, value)

    def __getitem__(self, name: str) -> Any:
        try:
            return self._objects[name]
        except KeyError:
            from .registry import suggest

            raise KeyError(f"no object '{name}' in the store{suggest(name, self._objects)}") from None

    def __delitem__(self, name: str) -> None:
        self[name]
        del self._objects[name], self._origins[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def rename(self, old: str, new: str) -> None:
        """Give an object another name.

        Raises
        ------
        DaisyError
            If the new name is taken.
        """
        value = self[old]
        if new in self:
            raise DaisyError(f"the store already has an object '{new}'")
        self.put(new, value, origin=self._origins[old])
        del self[old]

    def entry(self, name: str) -> Entry:
        """Return what the store knows of an object."""
        value = self[name]
        kind = str(type(value).__daisy_type__) if is_data(value) else type(value).__name__
        return Entry(name, kind, _shape(value), _unit(value), nbytes(value), self._origins[name])

    def entries(self) -> list[Entry]:
        """Return what the store knows of all its objects."""
        return [self.entry(name) for name in self]

    @property
    def nbytes(self) -> int:
        """Memory of all objects, in bytes."""
        return sum(nbytes(value) for value in self._objects.values())

    def save(
        self,
        path: str | os.PathLike[str],
        names: list[str] | None = None,
        *,
        provenance: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write objects to a NeXus file."""
        chosen = list(self) if names is None else names
        return nexus.write(path, {name: self[name] for name in chosen}, provenance)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DataStore:
        """Read the objects of a file that :meth:`save` or a run wrote."""
        store = cls()
        for name, value in nexus.read(path).items():
            store.put(name, value, origin=str(path))
        return store

    def __repr__(self) -> str:
        return f"DataStore({', '.join(f'{item.name}: {item.type} {item.shape}'.strip() for item in self.entries())})"

    def _repr_html_(self) -> str:
        from .views import table_html

        rows = [
            (item.name, item.type, item.shape, item.unit, f"{item.nbytes:,}", item.origin) for item in self.entries()
        ]
        return table_html("DataStore", ("name", "type", "shape", "unit", "bytes", "origin"), rows)


def nbytes(value: Any) -> int:
    """Return the memory of the arrays in a value, in bytes."""
    if isinstance(value, np.ndarray):
        return int(cast("Any", value).nbytes)
    if is_data(value):
        return sum(nbytes(getattr(value, name)) for name in fields_of(type(value)))
    if isinstance(value, (list, tuple)):
        return sum(nbytes(item) for item in cast("list[Any]", value))
    return 0


def _shape(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return " x ".join(map(str, cast("Any", value).shape))
    if is_data(value):
        shapes = [_shape(getattr(value, name)) for name in fields_of(type(value))]
        return next((shape for shape in shapes if shape), "")
    return str(len(cast("list[Any]", value))) if isinstance(value, (list, tuple)) else ""


def _unit(value: Any) -> str:
    if not is_data(value):
        return ""
    return next(
        (field.unit or "" for field in fields_of(type(value)).values() if field.is_array and not field.is_coordinate),
        "",
    )
