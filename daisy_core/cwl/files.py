"""Files of tools of others: laid out in the folder of a call before it, kept with those that belong to them after it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, cast

from ..algorithm import algorithm
from ..errors import InputError
from ..markers import Param
from ..reading import FileInput
from ..script.files import KeptFile, files_folder, keep

LOAD_LIMIT = 64 * 1024
"""Bytes that CWL's ``loadContents`` may read."""


class KeptFiles(KeptFile):
    """The path of a file that a tool has made, with other files beside it that belong to it (CWL's secondaryFiles)."""

    companions: tuple[str, ...] = ()
    """Names of the files that belong to it."""

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Return all the files, each with its bytes."""
        paths = [Path(self), *(self.parent / name for name in self.companions)]
        return _restored, tuple(KeptFile(path).__reduce_ex__(protocol)[1] for path in paths)


def _restored(*files: tuple[str, int, int, Any]) -> KeptFiles:
    """Return the files where they still are what they were, else new ones with the same names and content."""
    paths = [Path(path) for path, _, _, _ in files]
    if not all(_is_same(path, size, mtime) for path, (_, size, mtime, _) in zip(paths, files, strict=True)):
        folder = files_folder("restored")
        for path, (_, _, mtime, content) in zip(paths, files, strict=True):
            (folder / path.name).write_bytes(content)
            os.utime(folder / path.name, ns=(mtime, mtime))
        paths = [folder / path.name for path in paths]
    return _together(paths[0], [path.name for path in paths[1:]])


def _is_same(path: Path, size: int, mtime_ns: int) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, mtime_ns)


def _together(path: Path, companions: Iterable[str]) -> KeptFiles:
    made = KeptFiles(path)
    made.companions = tuple(companions)
    return made


def keep_all(path: Path, others: Sequence[Path], folder: Path) -> KeptFile:
    """Move a file, and those that belong to it, out of the folder of a call into one where they stay."""
    kept = keep(path, folder)
    names = [keep(other, folder).name for other in others]
    return _together(kept, names) if names else kept


@algorithm(version="1", name="core.field")
def field(value: Any, *, name: Annotated[str, Param("Field")]) -> Any:
    """Take one field out of a value that has several."""
    return getattr(value, name)


class Layout:
    """The private folder of one call: where inputs lie, where the tool works, and what it may throw away.

    Parameters
    ----------
    folder : Path
        An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.inputs, self.work, self.temporary = folder / "in", folder / "work", folder / "tmp"
        for path in (self.inputs, self.work, self.temporary):
            path.mkdir()
        self._count = 0

    def stage(self, value: Any, patterns: Sequence[Mapping[str, Any]] = (), *, where: str = "") -> dict[str, Any]:
        """Lay out a file and those that belong to it in a folder of their own; return it as a CWL File object."""
        self._count += 1
        folder = self.inputs / str(self._count)
        folder.mkdir()
        if isinstance(value, Mapping):
            path = literal(cast("Mapping[str, Any]", value), folder)
            return file_object(path)
        source = Path(value.path if isinstance(value, FileInput) else value)
        path = _linked(source, folder, where)
        names: list[str] = []
        for pattern in patterns:
            other = source.parent / secondary_name(source.name, pattern["pattern"])
            if other.is_file():
                names.append(_linked(other, folder, where).name)
        missing = [name for pattern in patterns if pattern["required"]
                   and (name := secondary_name(path.name, pattern["pattern"])) not in names]  # fmt: skip
        if missing:
            raise InputError(f"{where}: {path.name} needs the file {missing[0]} beside it")
        return {**file_object(path), "secondaryFiles": [file_object(folder / name) for name in names]}


def _linked(source: Path, folder: Path, where: str) -> Path:
    if not source.is_file():
        raise InputError(f"{where}: no such file: {source}")
    target = folder / source.name
    target.symlink_to(source.absolute())
    return target


def literal(content: Mapping[str, Any], folder: Path) -> Path:
    """Write a CWL File whose contents stand in the document, or lay out the one that it names."""
    if "contents" in content:
        path = folder / PurePosixPath(content.get("basename") or "literal").name
        path.write_text(content["contents"], encoding="utf-8")
        return path
    source = Path(content["path"])
    return _linked(source, folder, str(source))


def secondary_name(name: str, pattern: str) -> str:
    """Return the name of a file that belongs to another: each ``^`` takes one suffix off before the rest is added.

    Examples
    --------
    >>> secondary_name("scan.h5.gz", "^^.poni")
    'scan.poni'
    """
    while pattern.startswith("^"):
        stem, dot, _ = name.rpartition(".")
        name, pattern = (stem if dot and stem else name), pattern[1:]
    return name + pattern


def file_object(path: Path) -> dict[str, Any]:
    """Return a path as a CWL File object."""
    stem, dot, suffix = path.name.rpartition(".")
    root, ext = (stem, dot + suffix) if dot and stem else (path.name, "")
    return {
        "class": "File", "path": str(path), "location": path.as_uri(), "basename": path.name, "dirname": str(path.parent),
        "nameroot": root, "nameext": ext, "size": path.stat().st_size,
    }  # fmt: skip


def with_contents(file: Mapping[str, Any]) -> dict[str, Any]:
    """Return a CWL File object with its text.

    Raises
    ------
    InputError
        If the file is larger than CWL allows.
    """
    if file["size"] > LOAD_LIMIT:
        raise InputError(
            f"{file['basename']} has {file['size']} bytes; loadContents is for files of up to {LOAD_LIMIT}"
        )
    return {**file, "contents": Path(file["path"]).read_text(encoding="utf-8")}


def place(entry: Mapping[str, Any], folder: Path, name: str, *, writable: bool) -> Path:
    """Put a staged file into the folder in which a tool works: as a link, or as a copy that it may change."""
    target = inside(folder, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    source = Path(entry["path"])
    if writable:
        shutil.copyfile(source, target)
    else:
        target.symlink_to(source.resolve())
    return target


def inside(folder: Path, name: str) -> Path:
    """Return a path in a folder.

    Raises
    ------
    InputError
        If the name leads out of it.
    """
    path = folder / name
    if not name or not path.resolve().is_relative_to(folder.resolve()) or path.resolve() == folder.resolve():
        raise InputError(f"'{name}' is not the name of a file in the folder in which the tool works")
    return path
