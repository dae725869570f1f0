"""What a function is made of: its source text, and the constants and helpers that it reads from around it."""

from __future__ import annotations

import dis
import functools
import inspect
import linecache
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast
from weakref import WeakKeyDictionary

from pydantic import BaseModel

from . import registry

_SCALARS = (bool, int, float, complex, str, bytes, type(None))
_TEXTS: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
_FILES: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()


def what_it_is_made_of(target: Any, *, containers: bool = False) -> list[str]:
    """Return what the results of a function or class depend on, beside its arguments, as texts.

    Taken are: the source text (byte code where there is none), helpers and classes of the same module, inherited classes,
    constants of modules and closures, and the whole file where it is a loose one. Other packages are known by their version.

    Parameters
    ----------
    containers : bool, default False
        Take lists and mappings too, and tell re-declared algorithms apart: for code that reads them but never writes, such
        as the body of a workflow. An algorithm may keep a cache in them, which is no part of what it computes.
    """
    module = sys.modules.get(getattr(target, "__module__", None) or "")
    return [*_Parts(getattr(target, "__module__", None), containers).of(target), _loose_file(module)]


class _Parts:
    def __init__(self, module: str | None, containers: bool) -> None:
        self.module = module
        self.containers = containers
        self.seen: set[int] = set()

    def of(self, target: Any) -> Iterator[str]:
        if id(target) in self.seen:
            return
        self.seen.add(id(target))
        if isinstance(target, type):
            yield from self._of_class(target)
        elif isinstance(target, FunctionType):
            yield from self._of_function(target)
        else:
            yield repr(type(target)) if not callable(target) else _text(target)

    def _of_class(self, cls: type) -> Iterator[str]:
        for base in cls.__mro__:
            if base is object or base.__module__.partition(".")[0] in ("typing", "abc", "daisy_core", "pydantic"):
                continue
            yield _text(base)
            for name, item in vars(base).items():
                if not name.startswith("__") or name == "__init__":
                    yield from self._of_value(name, getattr(item, "__func__", item))

    def _of_function(self, function: FunctionType) -> Iterator[str]:
        yield _text(function.__code__)
        for index, value in enumerate(function.__defaults__ or ()):
            yield from self._of_value(f"default {index}", value)
        for name, value in (function.__kwdefaults__ or {}).items():
            yield from self._of_value(name, value)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                yield from self._of_value(name, cell.cell_contents)
            except ValueError:  # not filled yet
                continue
        names, attributes = _names(function.__code__)
        for name in names:
            if name in function.__globals__:
                value = function.__globals__[name]
                yield from self._of_value(name, value)
                if isinstance(value, ModuleType):
                    for attribute in attributes:
                        found = vars(value).get(attribute)
                        if _is_constant(found, self.containers):
                            yield f"{name}.{attribute}={found!r}"

    def _of_value(self, name: str, value: Any) -> Iterator[str]:
        if _is_constant(value, self.containers):
            yield f"{name}={value!r}"
            return
        if hasattr(type(value), "source_hash"):
            if self.containers:
                yield f"{name}@{id(value)}"
            value = value.function
        if issubclass(type(value), (FunctionType, type)) and value.__module__ == self.module:
            yield from self.of(value)


def _is_constant(value: Any, containers: bool) -> bool:
    if type(value) in _SCALARS or issubclass(type(value), (Enum, BaseModel)):  # asks the type: a symbol may be about
        return True
    if not issubclass(type(value), (tuple, list, Mapping)):
        return False
    if isinstance(value, tuple) or (containers and isinstance(value, list)):
        return all(_is_constant(item, containers) for item in cast("Any", value))
    if containers and isinstance(value, Mapping):
        return all(_is_constant(item, containers) for pair in cast("Any", value).items() for item in pair)
    return False


@functools.cache
def _names(code: CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the global names that some code reads and never writes, and the attributes that it reads."""
    read: dict[str, None] = {}
    attributes: dict[str, None] = {}
    written: set[str] = set()
    pending = [code]
    while pending:
        part = pending.pop()
        pending += [item for item in part.co_consts if isinstance(item, CodeType)]
        for step in dis.get_instructions(part):
            if step.opname == "LOAD_GLOBAL" and not str(step.argval).startswith("__"):
                read[step.argval] = None
            elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and not str(step.argval).startswith("__"):
                attributes[step.argval] = None
            elif step.opname == "STORE_GLOBAL":
                written.add(step.argval)
    return tuple(name for name in read if name not in written), tuple(attributes)


def _text(target: Any) -> str:
    """Return the source text, read once: what runs is what was there when it was first asked for."""
    try:
        if target not in _TEXTS:
            _TEXTS[target] = _read_text(target)
        return _TEXTS[target]
    except TypeError:  # cannot be referred to weakly
        return _read_text(target)


def _read_text(target: Any) -> str:
    try:
        return inspect.getsource(target)
    except (OSError, TypeError):
        return _byte_code(target) if isinstance(target, CodeType) else repr(target)


def _byte_code(code: CodeType) -> str:
    constants = [_byte_code(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code!r} {code.co_names} {constants}"


def _loose_file(module: ModuleType | None) -> str:
    """Return the text of a file that belongs to no package: a script, or one that was loaded by its path."""
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return ""
    if module.__name__ != "__main__" and Path(file) not in registry.loaded_files():
        return ""
    if module not in _FILES:
        linecache.checkcache(file)
        _FILES[module] = "".join(linecache.getlines(file))
    return _FILES[module]
