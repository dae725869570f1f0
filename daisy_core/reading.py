"""Any port accepts a path: the reader of its data type is found and called, in every face alike."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, cast

import numpy as np

from . import registry
from .algorithm import Algorithm, algorithm, resolve_also
from .datatypes import describe, is_data
from .errors import InputError, ParameterError
from .lifting import Mapped
from .params import model_of
from .signature import Port

RESULT_SUFFIXES = (".nxs", ".h5", ".hdf5")


@dataclass(frozen=True)
class FileInput:
    """A file given to a port, with options for its reader.

    Parameters
    ----------
    path : str or Path
        ``scan.tif``, or ``results.nxs::pattern`` for one object of an HDF5 file.
    options : mapping
        Parameters of the reader.
    """

    path: str | Path
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def file(self) -> Path:
        """The file without the part after ``::``."""
        return Path(str(self.path).partition("::")[0])

    @property
    def inside(self) -> str:
        """The part after ``::``; empty where there is none."""
        return str(self.path).partition("::")[2]


resolve_also(FileInput)


@dataclass(frozen=True)
class Reading:
    """How a file becomes the value of a port: the reader and its checked options."""

    source: FileInput
    reader: Algorithm[..., Any]
    options: Mapping[str, Any]

    def __call__(self) -> Any:
        """Read the file."""
        path = self.source.path if self.source.inside else self.source.file
        return self.reader.function(path, **self.options)


def resolve(
    owner: Algorithm[..., Any], port: Port, value: Any, params: Mapping[str, Any], *, item: bool = False
) -> Any:
    """Return the value of a port: paths are read, lazy sequences become lists, everything else is passed on."""
    if isinstance(value, Mapped):
        return list(cast("Mapped[Any]", value))
    if port.is_file:
        return _check_file(owner, port, value)
    if isinstance(value, (str, PurePath, FileInput)):
        if not readable(port.annotation if item else port.item):
            return value
        if port.is_sequence and not item:
            raise _one_path(owner, port, value)
        return reading(owner, port, value, params)()
    if isinstance(value, (list, tuple)) and port.is_sequence:
        items = cast("Iterable[Any]", value)
        if any(isinstance(one, (str, PurePath, FileInput)) for one in items) and readable(port.item):
            return [
                reading(owner, port, one, params)() if isinstance(one, (str, PurePath, FileInput)) else one
                for one in items
            ]
    return cast("Any", value)


def _check_file(owner: Algorithm[..., Any], port: Port, value: Any) -> Any:
    if isinstance(value, FileInput):
        value = value.path
    if isinstance(value, (str, PurePath)):
        if port.is_sequence:
            raise _one_path(owner, port, value)
        return _path(owner, port, value)
    if isinstance(value, (list, tuple)) and port.is_sequence:
        items = cast("Iterable[Any]", value)
        return [_path(owner, port, one.path if isinstance(one, FileInput) else one) for one in items]
    if value is None and not port.required:
        return value
    raise ParameterError(f"{owner.name}: port '{port.name}' needs a path; got {type(value).__name__}")


def _path(owner: Algorithm[..., Any], port: Port, value: str | PurePath) -> Path:
    path = Path(value)
    check_regular(owner, port, FileInput(path).file)
    return path


def _one_path(owner: Algorithm[..., Any], port: Port, value: Any) -> ParameterError:
    return ParameterError(f"{owner.name}: port '{port.name}' takes a sequence of files; got the one path '{value}'")


def check_exists(owner: Algorithm[..., Any], port: Port, source: FileInput) -> None:
    """Check that a file given to a port is there, is a file and may be read.

    Raises
    ------
    InputError
        If it is not; the message names a near file.
    """
    if not os.path.exists(source.file):  # where Path.exists raises, for text that is no path at all, this is False
        raise InputError(f"{owner.name}: port '{port.name}': no such file: {source.file}{_near(source.file)}")
    check_regular(owner, port, source.file)
    if not os.access(source.file, os.R_OK):
        raise InputError(f"{owner.name}: port '{port.name}': {source.file} may not be read; ask its owner")


def check_regular(owner: Algorithm[..., Any], port: Port, path: Path) -> None:
    """Refuse what is there and is no regular file; opening a pipe would wait for ever.

    Raises
    ------
    InputError
        If it is a folder, a pipe or a device.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return  # what is not there is said elsewhere, or written by the algorithm
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise InputError(f"{owner.name}: port '{port.name}' needs a file; {path} is {kind}")


def readable(annotation: Any) -> bool:
    """True where a path given to a port of this type means the content of the file."""
    declared = describe(annotation)
    return declared.is_array or is_data(declared.type) or registry.reader(annotation) is not None


def reading(owner: Algorithm[..., Any], port: Port, value: Any, params: Mapping[str, Any]) -> Reading:
    """Plan how a path given to a port is read; nothing is opened yet.

    A parameter marked ``Param(reader=True)`` is the default of the reader option of the same name.

    Raises
    ------
    InputError
        If there is no such file.
    ParameterError
        If an option is unknown to the reader, or disagrees with the parameter that is its default.
    """
    source = value if isinstance(value, FileInput) else FileInput(value)
    check_exists(owner, port, source)
    reader = registry.reader(port.item)
    own_result = source.file.suffix.lower() in RESULT_SUFFIXES and is_data(describe(port.item).type)
    if reader is None or own_result:
        if source.options:
            raise ParameterError(f"{owner.name}: reading {source.file} takes no options; got {dict(source.options)}")
        return Reading(source, _generic_reader(port.item), {})
    options = dict(source.options)
    for name, default in _defaults(owner, params):
        if name in reader.parameters and options.setdefault(name, default) != default:
            raise ParameterError(
                f"{owner.name}: '{name}' is {options[name]!r} for reading {source.file} but {default!r} in the parameters; "
                "give it once, or the same value"
            )
    return Reading(source, reader, reader.check_params(options))


def _defaults(owner: Algorithm[..., Any], params: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Yield the set parameters, and fields of parameter models, that are marked as reader defaults."""
    for name, parameter in owner.parameters.items():
        value = params.get(name)
        if value is None:
            continue
        if parameter.param.reader:
            yield name, value
        model = model_of(parameter.annotation)
        for field_name, info in model.model_fields.items() if model else ():
            marked = any(getattr(mark, "reader", False) for mark in info.metadata)
            given = value.get(field_name) if isinstance(value, Mapping) else getattr(value, field_name)
            if marked and given is not None and (given != info.default):
                yield field_name, given


def _near(path: Path) -> str:
    if not os.path.isdir(path.parent):
        return f" (there is no folder {path.parent})"
    try:
        names = os.listdir(path.parent)
    except OSError:
        return f" (the folder {path.parent} may not be read)"
    return registry.suggest(path.name, names)


def _generic_reader(annotation: Any) -> Algorithm[..., Any]:
    return read_object if is_data(describe(annotation).type) else read_array


@algorithm(version="1", name="core.read_object")
def read_object(path: Path) -> Any:
    """Read a data object that Daisy Suite wrote: ``results.nxs``, or ``results.nxs::name`` for one of several, or a field."""
    from . import nexus

    file, _, inside = str(path).partition("::")
    found = nexus.read(Path(file))
    if inside:
        first = inside.strip("/").removeprefix("entry/").partition("/")[0]
        value: Any = next(iter(found.values())) if len(found) == 1 and first not in found else found
        for part in inside.strip("/").removeprefix("entry/").split("/"):
            value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)  # type: ignore[union-attr]
            if value is None:
                raise InputError(f"{file} has no object '{inside}'; it has: {', '.join(found)}")
        return value
    if len(found) != 1:
        raise InputError(f"{file} has several objects; say which: {', '.join(f'{file}::{name}' for name in found)}")
    return next(iter(found.values()))


@algorithm(version="1", name="core.read_array")
def read_array(path: Path) -> Any:
    """Read an array from ``.npy``, from HDF5 (``file.h5::/path``), or a number from JSON text."""
    file, _, inside = str(path).partition("::")
    if file.endswith(".npy"):
        try:
            return np.load(file, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{file} is not a NumPy array file: {error}") from error
    if inside:
        import h5py

        try:
            with h5py.File(file, "r") as handle:
                found: Any = handle.get(inside)
                if not isinstance(found, h5py.Dataset):
                    raise InputError(f"{file} has no dataset '{inside}'")
                return found[()]
        except OSError as error:
            raise InputError(f"{file} is not a readable HDF5 file: {error}") from error
    raise InputError(
        f"{file}: do not know how to read an array from '{Path(file).suffix or 'no suffix'}'; use .npy or file.h5::/dataset"
    )
