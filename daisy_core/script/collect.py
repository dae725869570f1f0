"""After the command: its outputs, as files or as the values in them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from ..datatypes import describe, strip_optional
from ..errors import InputError, RunError
from ..reading import FileInput, readable, reading
from ..signature import Port, type_name
from .declaration import STREAMS, Output, Tool
from .files import KeptFile, files_folder, keep
from .process import shown
from .stage import Staged

_SHOWN = 10


def collect(tool: Tool, values: Mapping[str, Any], staged: Staged, tail: tuple[str, ...]) -> dict[str, Any]:
    """Return the outputs by name.

    Raises
    ------
    RunError
        If one is missing; the message says what is there.
    InputError
        If one cannot be read.
    """
    params = {name: values[name] for name in tool.parameters}
    ports = {name: Port(name, item.type) for name, item in tool.outputs.items()}
    paths = {name: _paths(tool, port, tool.outputs[name], staged, tail) for name, port in ports.items()}
    found = {
        name: [_value(tool, port, tool.outputs[name], path, params) for path in paths[name]]
        for name, port in ports.items()
        if not port.is_file
    }
    found.update(_kept(tool, {name: paths[name] for name, port in ports.items() if port.is_file}))
    return {
        name: found[name] if port.is_sequence else (found[name][0] if found[name] else None)
        for name, port in ports.items()
    }


def _kept(tool: Tool, paths: Mapping[str, list[Path]]) -> dict[str, list[Any]]:
    """Move the files that are results themselves to where they stay; one that is two results stays once."""
    if not any(paths.values()):
        return {name: [] for name in paths}
    folder = files_folder(tool.name)
    done: dict[Path, KeptFile] = {}
    for name, items in paths.items():
        for path in items:
            if path not in done:
                done[path] = keep(path, folder / name)
    return {name: [done[path] for path in items] for name, items in paths.items()}


def _paths(tool: Tool, port: Port, item: Output, staged: Staged, tail: tuple[str, ...]) -> list[Path]:
    """Return the files of an output, in natural order."""
    if item.path in STREAMS:
        return [staged.folder.parent / item.path]
    pattern = staged.pattern(tool.name, item.path)
    paths = sorted((path for path in staged.folder.glob(pattern) if path not in staged.inputs), key=_natural)
    folders = [path for path in paths if path.is_dir()]
    if folders:
        raise RunError(
            f"{tool.name}: output '{port.name}': {folders[0].name} is a folder; an output is a file: '{item.path}/*'?"
        )
    if not paths and not item.optional:
        raise RunError(
            f"{tool.name}: the command succeeded, but left no file '{pattern}' for output '{port.name}'; {_left(staged)}{shown(tail)}"
        )
    if len(paths) > 1 and not port.is_sequence:
        names = ", ".join(path.name for path in paths[:_SHOWN])
        raise RunError(
            f"{tool.name}: output '{port.name}' is one file, but '{pattern}' are {len(paths)}: {names}; "
            "make the pattern narrower, or declare a sequence"
        )
    return paths


def _natural(path: Path) -> list[Any]:
    """Sort frame_2 before frame_10."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", str(path))]


def _left(staged: Staged) -> str:
    """Say what the command did leave."""
    names = sorted(
        str(path.relative_to(staged.folder))
        for path in staged.folder.rglob("*")
        if path.is_file() and path not in staged.inputs
    )
    if not names:
        return "it left no file at all"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"it left {', '.join(names[:_SHOWN])}{more}"


def _value(tool: Tool, port: Port, item: Output, path: Path, params: Mapping[str, Any]) -> Any:
    """Return what is in a file: by the reader of its type, or as a number or text."""
    single = Port(port.name, port.item)
    if readable(single.annotation):
        return reading(cast("Any", tool), single, FileInput(path, item.options), params)()
    text = path.read_text(encoding="utf-8", errors="replace")
    where = f"{tool.name}: output '{port.name}'"
    if item.match:
        matches = list(re.finditer(item.match, text, re.MULTILINE))
        if not matches:
            raise InputError(f"{where}: nothing in {_place(item)} matches '{item.match}'")
        text = str(matches[-1][1])
    kind = describe(single.annotation).type
    try:
        return _PLAIN.get(kind, json.loads)(text.strip())
    except ValueError:
        raise InputError(
            f"{where} should be {type_name(strip_optional(single.annotation)[0])}, but {_place(item)} says '{text.strip()[:80]}'"
        ) from None


def _place(item: Output) -> str:
    return item.path if item.path in STREAMS else f"the file '{item.path}'"


def _truth(text: str) -> bool:
    try:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


_PLAIN: dict[Any, Callable[[str], Any]] = {str: str, int: int, float: float, bool: _truth}
