"""Identity: hashes of sources, values and files, and the derivation id of every intermediate result."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, entry_points, packages_distributions, version
from pathlib import Path
from typing import Any, cast

import numpy as np

from .datatypes import fields_of, is_data
from .params import to_json

SAMPLED_ABOVE = 1 << 30
"""Files above this size (bytes) are identified by size, time and sampled blocks."""
_BLOCK = 1 << 20


def canonical(value: Any) -> str:
    """Return JSON text that is the same for equal values."""
    return json.dumps(to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def source_hash(function: Callable[..., Any]) -> str:
    """Return the hash of a function's source text, or of its byte code where there is no source."""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = repr((code.co_code, code.co_consts)) if code else repr(function)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def distribution_version(module: str) -> str:
    """Return ``name version`` of the distribution that a module belongs to; empty for loose files."""
    top = module.partition(".")[0]
    for name in _distributions().get(top) or _editable().get(top, []):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return ""


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


@functools.cache
def _editable() -> Mapping[str, list[str]]:
    """Packages of editable installs, whose files no distribution lists: the kernel's own, and those of the apps."""
    found = {"daisy_core": ["daisy-suite"]}
    for point in entry_points(group="daisy.apps"):
        if point.dist is not None:
            found[point.value.partition(".")[0]] = [point.dist.name]
    return found


def value_id(value: Any) -> str:
    """Return the identity of a value that came from memory: a hash of type, shape and bytes."""
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return f"value:{hasher.hexdigest()}"


def _feed(hasher: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(cast("Any", value))
        hasher.update(f"array {array.dtype.str} {array.shape}".encode())
        if array.dtype.hasobject:
            raise TypeError("an array of Python objects has no identity; use a numeric dtype")
        hasher.update(memoryview(cast("Any", array)).cast("B") if array.size else b"")
    elif is_data(value):
        hasher.update(f"data {type(value).__daisy_type__}".encode())
        for name in fields_of(type(value)):
            hasher.update(name.encode())
            _feed(hasher, getattr(value, name))
    elif isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        hasher.update(f"list {len(items)}".encode())
        for item in items:
            _feed(hasher, item)
    else:
        try:
            hasher.update(f"{type(value).__name__} {canonical(value)}".encode())
        except TypeError:
            import pickle

            hasher.update(pickle.dumps(value))


def file_id(path: Path) -> dict[str, Any]:
    """Return the identity of a file, free of its path; the record says how it was made.

    Up to 1 GiB the whole content is hashed; above, the size, the time and 64 sampled blocks.
    """
    status = path.stat()
    hasher = hashlib.sha256()
    if path.is_dir():
        raise IsADirectoryError(path)
    with path.open("rb") as handle:
        if status.st_size <= SAMPLED_ABOVE:
            while block := handle.read(_BLOCK):
                hasher.update(block)
            return {"sha256": hasher.hexdigest(), "size": status.st_size, "method": "content"}
        for index in range(64):
            handle.seek(index * (status.st_size - _BLOCK) // 63)
            hasher.update(handle.read(_BLOCK))
    return {"sha256": hasher.hexdigest(), "size": status.st_size, "mtime_ns": status.st_mtime_ns, "method": "sampled"}
