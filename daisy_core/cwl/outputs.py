"""What a CommandLineTool leaves behind: files found by pattern, its streams, and ``cwl.output.json``."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..errors import InputError
from ..script.files import files_folder
from .document import aslist
from .files import file_object, keep_all, secondary_name, with_contents
from .ports import choices, is_optional, named_tuple
from .references import evaluate
from .types import Refused

OBJECT = "cwl.output.json"


def collect(outputs: Mapping[str, Mapping[str, Any]], folder: Path, streams: Mapping[str, Path], scope: Mapping[str, Any],
            where: str) -> Any:  # fmt: skip
    """Return the outputs of a tool: the value of one, or a NamedTuple of several.

    Parameters
    ----------
    outputs : mapping
        The outputs of the document by port.
    folder : Path
        Where the tool worked.
    streams : mapping
        The files of its streams.
    scope : mapping
        What parameter references can name.
    where : str
        The tool, for messages.

    Raises
    ------
    InputError
        If an output is not there, or not of its type.
    """
    given = _output_object(folder, where)
    found: dict[str, Any] = {}
    for key, item in outputs.items():
        at = f"{where}: output '{item['id']}'"
        if given is not None:
            value = given.get(item["id"])
        elif item["type"] in ("stdout", "stderr"):
            value = file_object(streams[item["type"]])
        else:
            value = _bound(item, folder, scope, at)
        found[key] = _fitting(value, item["type"], at)
    keeper = _Keeper(folder)  # only now: what is moved is found no more
    for key, item in outputs.items():
        found[key] = keeper.value(found[key], item, f"{where}: output '{item['id']}'")
    if len(found) == 1:
        return next(iter(found.values()))
    return named_tuple(tuple(found), (Any,) * len(found))(**found)


def _output_object(folder: Path, where: str) -> Mapping[str, Any] | None:
    path = folder / OBJECT
    if not path.is_file():
        return None
    try:
        return cast("Mapping[str, Any]", json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, OSError) as error:
        raise InputError(f"{where}: the command wrote a {OBJECT} that is not JSON ({error})") from None


def _bound(item: Mapping[str, Any], folder: Path, scope: Mapping[str, Any], where: str) -> Any:
    """Return what the binding of an output finds."""
    binding = item.get("outputBinding") or {}
    if not binding:
        return None
    files = None
    if "glob" in binding:
        patterns = [text for one in aslist(binding["glob"]) for text in aslist(evaluate(one, scope, where))]
        files = [file_object(path) for pattern in patterns for path in _matches(str(pattern), folder, where)]
        if binding.get("loadContents"):
            files = [with_contents(file) for file in files]
    if "outputEval" in binding:
        return evaluate(binding["outputEval"], {**scope, "self": files}, where)
    return files


def _matches(pattern: str, folder: Path, where: str) -> list[Path]:
    relative = pattern
    if Path(pattern).is_absolute():
        if not Path(pattern).is_relative_to(folder):
            raise InputError(f"{where}: the pattern '{pattern}' looks outside the folder in which the command works")
        relative = str(Path(pattern).relative_to(folder))
    if ".." in Path(relative).parts:
        raise InputError(f"{where}: the pattern '{pattern}' looks outside the folder in which the command works")
    found = [folder / name for name in sorted(glob.glob(relative, root_dir=folder))]
    folders = [path for path in found if path.is_dir()]
    if folders:
        raise Refused(
            f"{where}: '{pattern}' finds the folder {folders[0].name}; a folder is no result, name the files in it"
        )
    return found


def _fitting(value: Any, kind: Any, where: str) -> Any:
    """Return a value as its type wants it: one file out of a list of one, none for an optional one."""
    wanted = choices(kind)
    is_array = any(
        isinstance(item, Mapping) and cast("Mapping[str, Any]", item).get("type") == "array" for item in wanted
    )
    if isinstance(value, list) and not is_array and wanted != ["Any"]:
        items = cast("list[Any]", value)
        if len(items) > 1:
            names = ", ".join(str(item.get("basename", item) if isinstance(item, Mapping) else item) for item in items)
            raise InputError(f"{where}: one file is wanted, {len(items)} were found: {names}")
        value = items[0] if items else None
    if value is None and is_array and not is_optional(kind):
        raise InputError(f"{where}: the command gave nothing")
    if value is None and not is_optional(kind) and wanted != ["Any"]:
        raise InputError(f"{where}: the command wrote no such file")
    _check_type(value, wanted, where)
    return value


_KINDS: dict[str, tuple[type, ...]] = {
    "boolean": (bool,), "int": (int,), "long": (int,), "float": (int, float), "double": (int, float), "string": (str,)
}  # fmt: skip


def _check_type(value: Any, wanted: list[Any], where: str) -> None:
    names = [item for item in wanted if isinstance(item, str)]
    if value is None or len(names) != len(wanted) or "Any" in names:
        return
    if isinstance(value, Mapping):
        fits = any(name in ("File", "stdout", "stderr") for name in names)
    else:
        fits = any(
            isinstance(value, _KINDS.get(name, ())) and (name == "boolean") == isinstance(value, bool) for name in names
        )
    if not fits:
        raise InputError(f"{where}: {' or '.join(names)} is wanted; the command gave {value!r:.80}")


class _Keeper:
    """Moves the files of one call to where they stay; one that is two outputs stays once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: dict[Path, Any] = {}
        self._stays: Path | None = None

    def value(self, value: Any, item: Mapping[str, Any], where: str) -> Any:
        """Return an output as a value of ours: files where they stay, with those that belong to them."""
        if isinstance(value, list):
            return [self.value(one, item, where) for one in cast("list[Any]", value)]
        if not isinstance(value, Mapping) or cast("Mapping[str, Any]", value).get("class") != "File":
            return cast("Any", value)
        file = cast("Mapping[str, Any]", value)
        if "contents" in file and "path" not in file and "location" not in file:
            path = self.folder / Path(str(file.get("basename") or item["id"])).name
            path.write_text(str(file["contents"]), encoding="utf-8")
        else:
            path = _own(str(file.get("path") or file["location"]), self.folder, where)
        if path not in self.done:
            self.done[path] = keep_all(path, _companions(path, item, where), self._place())
        return self.done[path]

    def _place(self) -> Path:
        """Return a folder of its own for each file: two outputs may have the same name."""
        if self._stays is None:
            self._stays = files_folder("cwl")
        folder = self._stays / f"{len(self.done)}"
        folder.mkdir()
        return folder


def _companions(path: Path, item: Mapping[str, Any], where: str) -> list[Path]:
    """Return the files that belong to an output."""
    found: list[Path] = []
    for pattern in item.get("secondaryFiles", ()):
        other = path.parent / secondary_name(path.name, pattern["pattern"])
        if other.is_file():
            found.append(other)
        elif pattern["required"]:
            raise InputError(f"{where}: the file {other.name} that belongs to {path.name} was not written")
    return found


def _own(text: str, folder: Path, where: str) -> Path:
    """Return the path of an output that lies in the folder of the call."""
    from urllib.parse import unquote, urlparse

    plain = unquote(urlparse(text).path) if text.startswith("file:") else text
    path = folder / plain
    if not path.is_relative_to(folder.parent) or ".." in path.parts:
        raise InputError(f"{where}: {plain} is outside the folder in which the command works")
    if not path.is_file():
        raise InputError(f"{where}: there is no file {plain}")
    return path
