"""Files as values: what a tool of others writes travels between nodes with its bytes, and is laid out for the next one."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Union, cast

import numpy as np
from numpy.typing import NDArray

from .. import registry
from ..algorithm import algorithm
from ..datatypes import data
from ..errors import InputError
from ..markers import Axes, FileMark, Param
from ..params import to_json
from ..reading import FileInput, reading
from ..signature import Port

LOAD_LIMIT = 64 * 1024
"""Bytes that CWL's ``loadContents`` may read."""


@data(name="core.FileContent")
class FileContent:
    """A file that a tool wrote: its name, its bytes, and the files that belong to it.

    It is a value like any other: engines hand it on, results keep it, whatever folder it was written in is gone.
    """

    name: str
    content: Annotated[NDArray[np.uint8], Axes("byte")]
    secondary: tuple[FileContent, ...] = ()

    @staticmethod
    def read(path: Path, secondary: Iterable[Path] = ()) -> FileContent:
        """Read a file and those that belong to it."""
        content = np.fromfile(path, np.uint8)
        return FileContent(path.name, content, tuple(FileContent.read(other) for other in secondary))

    def text(self) -> str:
        """Return the content as text."""
        return self.content.tobytes().decode()

    def write(self, folder: Path) -> Path:
        """Write the file and those that belong to it into a folder; return its path."""
        for other in self.secondary:
            other.write(folder)
        path = folder / PurePosixPath(self.name).name
        path.write_bytes(self.content.tobytes())
        return path


FILE = Annotated[Union[Path, FileContent], FileMark()]  # noqa: UP007 - read at run time
"""A port that takes a path, or the file that another node wrote."""


@algorithm(version="1", name="core.read_as")
def read_as(
    file: FILE,
    *,
    reader: Annotated[str, Param("Reader", help="Name of the algorithm that reads the file: pdf.read_pattern")],
    options: Annotated[dict[str, bool | int | float | str | None], Param("Options of the reader")] = {},  # noqa: B006
) -> Any:
    """Read a file that a tool wrote with one of our readers, so that the next node gets its content.

    Parameters
    ----------
    file : FileContent or path
        The file.
    reader : str
        Name of the reader.
    options : dict
        Its options.

    Raises
    ------
    InputError
        If the reader cannot read it.
    """
    import tempfile

    found = registry.find(reader)
    port = Port("file", found.signature.output)
    with tempfile.TemporaryDirectory(prefix="daisy-") as folder:
        path = Path(file) if isinstance(file, (str, Path)) else file.write(Path(folder))
        return reading(found, port, FileInput(path, to_json(options)), {})()


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
        if isinstance(value, FileContent):
            path = value.write(folder)
            names = [other.name for other in value.secondary]
        else:
            source = Path(value.path if isinstance(value, FileInput) else value)
            path = _linked(source, folder, where)
            names = []
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
