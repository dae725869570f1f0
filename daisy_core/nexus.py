"""One writer and one reader for every data type: NeXus (NXdata with signal, axes, units, errors) and the provenance."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from .datatypes import Field, data_type, fields_of, is_data
from .errors import DaisyError, InputError
from .params import model_of, to_json

_KIND = "daisy_type"
IN_MEMORY_BELOW = 256 * 1024**2
"""Files with fewer bytes of arrays are made in memory and written at once."""


def write(
    path: str | os.PathLike[str], objects: Mapping[str, Any], provenance: Mapping[str, Any] | None = None
) -> Path:
    """Write named objects to a NeXus file, under a temporary name that is renamed when complete.

    Parameters
    ----------
    path : path
        The file; an existing one is replaced.
    objects : mapping
        Data objects, arrays, numbers, text, and lists of them, by name.
    provenance : mapping, optional
        JSON data, kept in ``/entry/provenance``.

    Raises
    ------
    DaisyError
        If an object is of a kind that the format has no place for, or the file cannot be written.
    """
    for name in objects:
        check_name(name)
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        _write_file(temporary, objects, provenance)
        os.replace(temporary, target)
    except OSError as error:
        raise DaisyError(f"cannot write {target}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _write_file(path: Path, objects: Mapping[str, Any], provenance: Mapping[str, Any] | None) -> None:
    """Write a file; a small one is made in memory, because HDF5 brings down the process when the disk fills under it."""
    import h5py

    size = _size(objects)
    if size > IN_MEMORY_BELOW:
        free = shutil.disk_usage(path.parent).free
        if free < size:
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {size} bytes are needed, {free} are free")
        with h5py.File(path, "w") as handle:
            _fill(handle, objects, provenance)
        return
    with h5py.File(f"{path.name}-{secrets.token_hex(4)}", "w", driver="core", backing_store=False) as handle:
        _fill(handle, objects, provenance)
        handle.flush()
        image = handle.id.get_file_image()
    path.write_bytes(image)


def _size(value: Any) -> int:
    """Return the bytes of all arrays in a value."""
    if isinstance(value, np.ndarray):
        return int(cast("Any", value).nbytes)
    if is_data(value):
        return sum(_size(getattr(value, name)) for name in fields_of(type(value)))
    if isinstance(value, Mapping):
        return sum(_size(item) for item in cast("Mapping[Any, Any]", value).values())
    return sum(map(_size, cast("Any", value))) if isinstance(value, (list, tuple)) else 0


def _fill(handle: Any, objects: Mapping[str, Any], provenance: Mapping[str, Any] | None) -> None:
    handle.attrs.update({"NX_class": "NXroot", "default": "entry", "creator": "daisy-suite"})
    entry: Any = handle.create_group("entry", track_order=True)
    entry.attrs["NX_class"] = "NXentry"
    for name, value in objects.items():
        _write(entry, name, value, name)
    _lead_to_first_data(entry)
    if provenance is not None:
        process: Any = entry.create_group("provenance")
        process.attrs["NX_class"] = "NXprocess"
        process["program"] = "daisy-suite"
        process["record"] = json.dumps(to_json(provenance))  # escapes also names that are not UTF-8


def check_name(name: str) -> None:
    """Check that an object can be stored, found and addressed under a name.

    Raises
    ------
    DaisyError
        If it cannot.
    """
    if name in ("", ".", "..", "provenance") or any(part in name for part in ("/", "::", "\0")):
        raise DaisyError(
            f"'{name}' cannot be the name of an object: it must not be empty, '.', '..' or 'provenance', nor contain '/' or '::'"
        )


def _lead_to_first_data(group: Any) -> bool:
    """Set the ``default`` attributes that lead, group by group, to the first NXdata in the order of writing."""
    for name, item in group.items():
        if item.attrs.get("NX_class") == "NXdata" or (hasattr(item, "items") and _lead_to_first_data(item)):
            group.attrs["default"] = name
            return True
    return False


def _write(group: Any, name: str, value: Any, where: str) -> None:
    if is_data(value):
        _write_object(group.create_group(name, track_order=True), value, where)
    elif isinstance(value, (list, tuple)) and not hasattr(value, "_fields") and not _is_text_list(value):
        inner = group.create_group(name, track_order=True)
        inner.attrs.update({"NX_class": "NXcollection", _KIND: "list"})
        for index, item in enumerate(cast("Sequence[Any]", value)):
            _write(inner, str(index), item, f"{where}[{index}]")
    elif isinstance(value, np.ndarray):
        _refuse_mask(value, where)
        inner = group.create_group(name)
        inner.attrs.update({"NX_class": "NXdata", "signal": "data", _KIND: "array"})
        _write_array(inner, "data", cast("Any", value), where)
    else:
        _write_plain(group, name, value, where)


def _is_text_list(value: Any) -> bool:
    return len(value) > 0 and all(isinstance(item, str) for item in value)


def _write_object(group: Any, value: Any, where: str) -> None:
    fields = fields_of(type(value))
    group.attrs[_KIND] = type(value).__daisy_type__
    absent = [name for name in fields if getattr(value, name) is None]
    if absent:
        group.attrs["absent"] = absent
    there = {name: field for name, field in fields.items() if name not in absent}
    signal = next(
        (f for f in there.values() if f.is_array and f.axes and not f.is_coordinate and not f.errors_of), None
    )
    group.attrs["NX_class"] = "NXdata" if signal is not None else "NXcollection"
    if signal is not None:
        group.attrs["signal"] = signal.name
        group.attrs["axes"] = [axis if axis in there else "." for axis in signal.axes or ()]
    for name, field in there.items():
        item = getattr(value, name)
        if field.is_array:
            _write_array(group, _stored_name(field), item, f"{where}.{name}")
            if field.unit:
                group[_stored_name(field)].attrs["units"] = field.unit
        else:
            _write(group, name, item, f"{where}.{name}")
            if field.unit and name in group:
                group[name].attrs["units"] = field.unit


def _stored_name(field: Field) -> str:
    """Return the name of a field in the file: NeXus wants uncertainties called ``<signal>_errors``."""
    return f"{field.errors_of}_errors" if field.errors_of else field.name


def _write_array(group: Any, name: str, array: Any, where: str) -> None:
    import h5py

    _refuse_mask(array, where)
    if array.dtype.kind == "U":
        if any("\0" in text for text in array.flat):
            raise DaisyError(f"{where}: text with a NUL character in an array cannot be stored; take it out")
        group.create_dataset(name, data=array.astype(object), dtype=h5py.string_dtype())
        group[name].attrs["text"] = True
    elif array.dtype.kind in "biufcS":
        group.create_dataset(name, data=array)
    else:
        raise DaisyError(f"{where}: an array of {array.dtype} cannot be stored; use numbers or text")


def _refuse_mask(array: Any, where: str) -> None:
    if isinstance(array, np.ma.MaskedArray):
        raise DaisyError(
            f"{where}: a masked array would lose its mask; return array.filled(...), or data and mask apart"
        )


def _write_plain(group: Any, name: str, value: Any, where: str) -> None:
    import h5py

    if isinstance(value, (bool, int, float, complex, str, np.generic)):
        try:
            group[name] = value
        except (TypeError, OverflowError, ValueError):
            _write_json(group, name, value, where)
    elif isinstance(value, (list, tuple)) and _is_text_list(value) and not any("\0" in item for item in value):
        group.create_dataset(name, data=list(cast("Sequence[str]", value)), dtype=h5py.string_dtype())
        group[name].attrs["text"] = True
    else:
        _write_json(group, name, value, where)


def _write_json(group: Any, name: str, value: Any, where: str) -> None:
    try:
        if _holds_array(value):
            raise TypeError
        _refuse_keys(value, where)
        group[name] = json.dumps(to_json(value))
    except (TypeError, ValueError):
        raise DaisyError(
            f"{where}: a {type(value).__name__} cannot be stored; return arrays, numbers, text, @data objects or lists of them"
        ) from None
    group[name].attrs["json"] = True


def _refuse_keys(value: Any, where: str) -> None:
    """Refuse keys that JSON would turn into text: a mapping must come back as it was."""
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[Any, Any]", value).items():
            if not isinstance(key, str):
                raise DaisyError(f"{where}: the key {key!r} is not text and would come back as text; use text keys")
            _refuse_keys(item, where)
    elif isinstance(value, (list, tuple)):
        for item in cast("Sequence[Any]", value):
            _refuse_keys(item, where)


def _holds_array(value: Any) -> bool:
    """True for a mapping or sequence that would lose an array or a data object to JSON."""
    if isinstance(value, Mapping):
        return any(_holds_array(item) for item in cast("Mapping[Any, Any]", value).values())
    if isinstance(value, (list, tuple)):
        return any(_holds_array(item) for item in cast("Sequence[Any]", value))
    return isinstance(value, np.ndarray) or is_data(value)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the objects that :func:`write` wrote.

    Returns
    -------
    dict
        Objects by name, of the same types.

    Raises
    ------
    InputError
        If the file does not exist, is damaged, or was not written by Daisy Suite.
    """
    with _opened(path) as handle:
        try:
            entry: Any = handle["entry"]
            return {name: _read(item, None, f"{path}::{name}") for name, item in entry.items() if name != "provenance"}
        except (KeyError, OSError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError) as error:
            raise InputError(
                f"{path} is damaged, or was changed by another program: {type(error).__name__}: {error}"
            ) from error


def read_provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the provenance record of a file.

    Raises
    ------
    InputError
        If there is none.
    """
    with _opened(path) as handle:
        try:
            return json.loads(handle["entry/provenance/record"][()])
        except KeyError:
            raise InputError(f"{path} has no provenance record") from None


def _opened(path: str | os.PathLike[str]) -> Any:
    import h5py

    if not Path(path).is_file():
        raise InputError(f"no such file: {path}")
    try:
        handle = h5py.File(path, "r")
        creator = handle.attrs.get("creator")
    except (OSError, KeyError, RuntimeError) as error:
        raise InputError(f"{path} is not a readable HDF5 file (damaged, or still being written): {error}") from error
    if creator != "daisy-suite":
        handle.close()
        raise InputError(f"{path} was not written by Daisy Suite; name the dataset you want: {path}::/path/in/file")
    return handle


def _read(item: Any, field: Field | None, where: str) -> Any:
    kind = item.attrs.get(_KIND)
    if kind == "list":
        return [_read(item[str(index)], None, f"{where}[{index}]") for index in range(len(item))]
    if kind == "array":
        return _read_array(item["data"])
    if kind is not None:
        return _read_object(item, data_type(kind), where)
    value = item[()]
    if item.attrs.get("json"):
        content = json.loads(value)
        model = model_of(field.type) if field else None
        return model(**content) if model else content
    if item.attrs.get("text"):
        return [text.decode() for text in value]
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


def _read_object(group: Any, cls: type, where: str) -> Any:
    absent = set(group.attrs.get("absent", ()))
    values: dict[str, Any] = {}
    for name, field in fields_of(cls).items():
        stored = _stored_name(field)
        if name in absent:
            values[name] = None
        elif stored in group:
            item = group[stored]
            value = _read_array(item) if field.is_array else _read(item, field, f"{where}.{name}")
            values[name] = tuple(value) if isinstance(value, list) and _wants_tuple(field) else value
    try:
        return cls(**values)
    except TypeError as error:
        raise InputError(f"{where}: this version of {cls.__name__} does not fit the file: {error}") from error


def _wants_tuple(field: Field) -> bool:
    from typing import get_origin

    return get_origin(field.type) is tuple or field.type is tuple


def _read_array(dataset: Any) -> Any:
    value = dataset[()]
    if dataset.attrs.get("text"):
        return np.asarray([text.decode() for text in np.ravel(value)], dtype=str).reshape(np.shape(value))
    return np.asarray(value, dtype=dataset.dtype)  # a single value forgot its byte order
