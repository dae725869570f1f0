# pyright: reportPrivateUsage=false
"""Values between the steps of a CWL workflow: NeXus files of one object, or of several items of a sequence."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from .. import nexus
from ..errors import InputError

ITEMS = "[items]"
"""Name of the object of a file that holds several items of a sequence; no port can be called so."""


def write(name: str, value: Any, provenance: Mapping[str, Any] | None = None, *, items: bool = False) -> Path:
    """Write one value, or several items, to ``<name>.nxs`` in the working folder."""
    return nexus.write(f"{name}.nxs", {ITEMS if items else name: value}, provenance)


def copy_files(name: str, value: Any) -> None:
    """Copy a file, or files, into numbered folders of the working folder, so that their order is that of their paths."""
    given = cast("list[Any]", value) if isinstance(value, (list, tuple)) else [value] if value is not None else []
    digits = len(str(len(given)))
    for at, path in enumerate(given):
        folder = Path(f"{name}.files") / f"{at:0{digits}d}"
        folder.mkdir(parents=True)
        shutil.copyfile(path, folder / Path(path).name)


def is_result(path: Path) -> bool:
    """True for a file that Daisy Suite wrote."""
    try:
        nexus._opened(path).close()
    except InputError:
        return False
    return True


def take(path: Path, fields: Sequence[str] = ()) -> Any:
    """Return the object of a file, or a field of it.

    Raises
    ------
    InputError
        If the file has not exactly one object, or the object not this field.
    """
    found = nexus.read(path)
    if len(found) != 1:
        raise InputError(f"{path} has {len(found)} objects ({', '.join(found)}), one is needed")
    value = next(iter(found.values()))
    for field in fields:
        if not hasattr(value, field):
            raise InputError(f"{path}: {type(value).__name__} has no field '{field}'")
        value = getattr(value, field)
    return value


def flat(files: Sequence[Any]) -> list[Any]:
    """Return the items of several files, each of which holds one or several; what is no file is an item itself."""
    found: list[Any] = []
    for file in files:
        path = path_of(file)
        if path is None:
            found.append(file)
        elif _is_chunk(path):
            found += take(path)
        else:
            found.append(take(path))
    return found


def path_of(value: Any) -> Path | None:
    """Return the path of a CWL File; None for other values."""
    is_file = isinstance(value, Mapping) and cast("Mapping[str, Any]", value).get("class") == "File"
    return Path(value["path"]) if is_file else None


def _is_chunk(path: Path) -> bool:
    with nexus._opened(path) as handle:
        return ITEMS in handle["entry"]


def count(path: Path, fields: Sequence[str] = ()) -> int:
    """Return the number of items in the sequence that a file holds, reading no more than needed."""
    with nexus._opened(path) as handle:
        group = _only_object(handle)
        kind = None if fields else group.attrs.get("daisy_type")
        if kind == "array":
            return int(group["data"].shape[0])
        if kind == "list":
            return len(group)
    return len(take(path, fields))


def items(path: Path, fields: Sequence[str], span: slice) -> list[Any]:
    """Return some items of the sequence that a file holds, reading no more than needed."""
    with nexus._opened(path) as handle:
        group = _only_object(handle)
        kind = None if fields else group.attrs.get("daisy_type")
        if kind == "list":
            return [nexus._read(group[str(at)], None, f"{path}[{at}]") for at in range(*span.indices(len(group)))]
        if kind == "array" and not group["data"].attrs.get("text"):
            return list(group["data"][span])
    return list(take(path, fields)[span])


def _only_object(handle: Any) -> Any:
    names = [name for name in handle["entry"] if name != "provenance"]
    if len(names) != 1:
        raise InputError(f"{handle.filename} has {len(names)} objects ({', '.join(names)}), one is needed")
    return handle["entry"][names[0]]


def frames(path: Path, dataset: str) -> Any:
    """Return the stack of items in a file that is not ours: an HDF5 dataset, or a ``.npy`` array, mapped.

    Raises
    ------
    InputError
        If there is no such dataset, or the file is of another kind.
    """
    import numpy as np

    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    import h5py

    from ..io import _only_image

    try:
        handle = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: a sequence in one file is read from HDF5 or .npy files only ({error})") from error
    found = cast("Any", handle.get(dataset) if dataset else _only_image(path, handle))
    if not isinstance(found, h5py.Dataset) or not found.shape:
        raise InputError(f"{path} has no dataset '{dataset}' that holds a sequence")
    return found
