"""Identity: hashes of sources, values and files, and the derivation id of every intermediate result."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, entry_points, packages_distributions, version
from pathlib import Path
from typing import Any, cast

import numpy as np

from .code import what_it_is_made_of
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
    """Return the hash of a function (or class): its source text, and the constants and helpers that it reads."""
    return hashlib.sha256("\0".join(what_it_is_made_of(function)).encode()).hexdigest()[:16]


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
        _feed_array(hasher, cast("Any", value))
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
    elif isinstance(value, Mapping):
        pairs = sorted(
            cast("Mapping[Any, Any]", value).items(), key=lambda pair: (type(pair[0]).__name__, repr(pair[0]))
        )
        hasher.update(f"mapping {len(pairs)}".encode())
        for key, item in pairs:
            _feed(hasher, key)
            _feed(hasher, item)
    else:
        try:
            hasher.update(f"{type(value).__name__} {canonical(value)}".encode())
        except TypeError:
            import pickle

            hasher.update(pickle.dumps(value))


def _feed_array(hasher: Any, value: Any) -> None:
    """Feed dtype (with field names), shape, bytes, and the mask where there is one."""
    kind = value.dtype.descr if value.dtype.names else value.dtype.str
    hasher.update(f"array {kind} {value.shape}".encode())
    if value.dtype.hasobject:
        raise TypeError("an array of Python objects has no identity; use a numeric dtype")
    plain = np.ascontiguousarray(value)
    hasher.update(memoryview(cast("Any", plain.reshape(-1).view(np.uint8))) if value.size else b"")
    if isinstance(value, np.ma.MaskedArray):
        hasher.update(f"masked {value.fill_value!r}".encode())
        _feed_array(hasher, np.ma.getmaskarray(value))


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
