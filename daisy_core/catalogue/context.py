"""The context of a run: proposal, sample, scan, beamline, user and free keys, given or read from the input file."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..errors import DaisyError, InputError, ParameterError
from ..secrecy import refuse_secrets

KEYS = ("proposal", "sample", "scan", "beamline", "user")
"""The keys that every catalogue has a column for."""

_ENTRY = {"experiment_identifier": "proposal", "entry_identifier": "scan", "title": "title"}
_CHILDREN = {"NXsample": "sample", "NXinstrument": "beamline", "NXuser": "user"}
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def run_context(given: Mapping[str, Any], inputs: Mapping[str, Any], algorithm: Any = None) -> dict[str, Any]:
    """Return the context of a run: what was given, then what the input file says, then the user of the system.

    The file is that of the first port that was given a path: the others may be of another sample (an empty
    container, a dark). Of several files, what they agree on is taken.

    Parameters
    ----------
    given : mapping
        The keys that the caller gave; they win. A key given as None is left out, whatever the file says.
    inputs : mapping
        Inputs by port: paths, :class:`~daisy_core.reading.FileInput`, values, lists of them.
    algorithm : Algorithm, optional
        What is run: its ports give the order; that of ``inputs`` without it.

    Raises
    ------
    ParameterError
        If a key or value is not one, or looks like a secret.
    """
    _check(given)
    order = [*inputs]
    with contextlib.suppress(DaisyError):  # a wrong declaration is told when the run is planned
        order = [name for name in getattr(algorithm, "ports", ()) if name in inputs] or order
    found = next((_from_files(paths) for name in order if (paths := list(_paths(inputs[name])))), {})
    merged = {**_user(), **found, **given}
    refuse_secrets("context", merged)
    return {name: value for name, value in merged.items() if value is not None}


def _check(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ParameterError(f"context key {name!r} is not a name; give text such as 'sample'")
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ParameterError(f"context '{name}' is not text that can be written down: {value!r}")
        if value is not None and not isinstance(value, (str, int, float, bool)):
            raise ParameterError(f"context '{name}' must be text or a number; got {type(value).__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ParameterError(f"context '{name}' is {value}, which is no number of a record; leave it out")


def _user() -> dict[str, str]:
    try:
        import pwd

        return {"user": pwd.getpwuid(os.getuid()).pw_name}
    except (ImportError, KeyError):  # no such thing on this system, or a container with a user that nobody named
        return {}


def _paths(value: Any) -> Iterator[str]:
    """Yield the paths among the inputs of one port."""
    if isinstance(value, (str, os.PathLike)):
        yield os.fspath(cast("os.PathLike[str]", value))
    elif isinstance(value, (list, tuple)):
        for item in cast("Sequence[Any]", value):
            yield from _paths(item)
    elif hasattr(value, "file") and hasattr(value, "inside"):
        yield f"{value.file}::{value.inside}" if value.inside else str(value.file)


def _from_files(paths: Sequence[str]) -> dict[str, Any]:
    """Return what the files agree on. A file that cannot be read is not told of here: its reader will."""
    found: dict[str, Any] | None = None
    for path in paths:
        with contextlib.suppress(DaisyError):
            one = context_from_file(path)
            found = one if found is None else _agreed([found, one])
        if found == {}:
            break
    return found or {}


def _agreed(several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all say alike."""
    first, others = (several[0], several[1:]) if several else ({}, ())
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def context_from_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the context that a NeXus file states; nothing is invented.

    ``experiment_identifier`` is the proposal, ``entry_identifier`` the scan, NXsample ``name`` the sample, NXinstrument
    ``name`` the beamline, NXuser ``name`` the user (several are joined with commas), ``title`` the title. Of several
    entries, the one named in the path (``file.h5::/entry_2/data``) or by ``@default`` counts; else what all agree on.
    A file that a run wrote hands on the context of that run, without its user.

    Parameters
    ----------
    path : path
        ``file.nxs`` or ``file.nxs::/entry/data``.

    Returns
    -------
    dict
        Empty for a file that is not HDF5 or states nothing.

    Raises
    ------
    InputError
        If there is no such file, or it cannot be read.

    References
    ----------
    NeXus base classes NXentry, NXsample, NXinstrument, NXuser, https://manual.nexusformat.org
    """
    text, _, inside = os.fspath(path).partition("::")
    if not _is_hdf5(Path(text)):
        return {}
    import h5py

    try:
        with h5py.File(text, "r") as handle:
            return _of_root(handle, inside)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{text} is not a readable HDF5 file (damaged, or still being written): {error}") from error


def _is_hdf5(path: Path) -> bool:
    """Look at the first bytes, so that h5py is imported only for files that are HDF5."""
    if path.exists() and not path.is_file():
        return False  # opening a pipe would wait for ever
    try:
        with path.open("rb") as handle:
            for offset in (0, 512, 1024, 2048):
                handle.seek(offset)
                if handle.read(8) == _SIGNATURE:
                    return True
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return False


def _of_root(root: Any, inside: str) -> dict[str, Any]:
    entries = {name: item for name, item in _members(root) if _is(item, "NXentry")}
    named = next((part for part in inside.split("/") if part), None) or _text(root.attrs.get("default"))
    if named in entries:
        entries = {named: entries[named]}
    carried: dict[str, Any] = {}
    if _text(root.attrs.get("creator")) == "daisy-suite":
        carried = _of_run(root)
    return {**carried, **_agreed([_of_entry(entry) for entry in entries.values()])}


def _of_run(root: Any) -> dict[str, Any]:
    import json

    try:
        record = json.loads(root["entry/provenance/record"][()])
        return {name: value for name, value in record["context"].items() if name != "user"}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _of_entry(entry: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, key in _ENTRY.items():
        found[key] = _value(entry, name)
    for kind, key in _CHILDREN.items():
        names = [_value(item, "name") for _, item in _members(entry) if _is(item, kind)]
        given = list(dict.fromkeys(name for name in names if name is not None))
        # Several users of one measurement are all its users; several samples or instruments leave open which one is meant.
        found[key] = ", ".join(map(str, given)) if kind == "NXuser" else given[0] if len(given) == 1 else None
    return {key: value for key, value in found.items() if value not in (None, "")}


def _members(group: Any) -> Iterator[tuple[str, Any]]:
    for name in group:
        try:
            yield name, group[name]
        except (KeyError, OSError):  # a link into a file that is not here
            continue


def _is(item: Any, kind: str) -> bool:
    return hasattr(item, "keys") and _text(item.attrs.get("NX_class")) == kind


def _value(group: Any, name: str) -> str | int | float | None:
    """Return a dataset of one text or number; None for anything else."""
    try:
        item = group[name]
        if getattr(item, "size", None) != 1:
            return None
        value = item[()]
    except (KeyError, OSError, TypeError):
        return None
    value = value.ravel()[0] if hasattr(value, "ravel") else value
    if isinstance(value, (bytes, str)):
        return _text(value)
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, (int, float)) and value == value else None


def _text(value: Any) -> str | None:
    if hasattr(value, "ravel"):
        value = value.ravel()[0] if value.size == 1 else None
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return " ".join(value.split()) or None if isinstance(value, str) else None
