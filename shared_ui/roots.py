"""Which files a page may open: those under the allowed roots, after every symbolic link has been followed."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from daisy_core import InputError

ENVIRONMENT = "DAISY_UI_ROOTS"
"""The environment variable that names the allowed roots, separated like ``PATH``."""

LONGEST_LIST = 5000
"""Entries of one folder that are offered; any other file can still be typed."""


class FileKey(NamedTuple):
    """What a file is to a cache: path, time of modification (ns) and size. Never its content."""

    path: str
    mtime: int
    size: int


def allowed_roots() -> tuple[Path, ...]:
    """Return the folders whose files may be opened: those of ``DAISY_UI_ROOTS``, else the working folder."""
    named = [Path(item) for item in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if item]
    return tuple(dict.fromkeys(folder.resolve() for folder in named or [Path.cwd()]))


def is_inside(path: Path, roots: Iterable[Path]) -> bool:
    """True where the path, with all symbolic links followed, lies under one of the roots."""
    resolved = path.resolve()
    return any(resolved.is_relative_to(root.resolve()) for root in roots)


def guarded(typed: str | Path, roots: Sequence[Path], *, base: Path | None = None) -> Path:
    """Return the file or folder that somebody chose or typed, if it may be opened.

    Parameters
    ----------
    typed : str or Path
        Absolute, beginning with ``~``, or relative to ``base``.
    roots : sequence of Path
        The allowed roots.
    base : Path, optional
        Folder that relative paths start from; the first root by default.

    Returns
    -------
    Path
        The path with all symbolic links followed.

    Raises
    ------
    InputError
        If it lies outside every root, or does not exist. Outside, the message does not tell whether it exists.
    """
    try:
        path = ((base or roots[0]) / Path(typed).expanduser()).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"'{typed}' cannot be used as a path ({error})") from error
    if not is_inside(path, roots):
        allowed = ", ".join(str(root) for root in roots)
        raise InputError(f"{typed} is outside the folders that may be opened here ({allowed}); add one with --root")
    if not os.path.exists(path):  # unlike Path.exists, False where the name is impossible
        raise InputError(f"no such file: {typed}")
    return path


def file_key(path: Path) -> FileKey:
    """Return the identity of a file for caches: it changes when the file is written again."""
    found = path.stat()
    return FileKey(str(path), found.st_mtime_ns, found.st_size)


def subfolders(folder: Path, roots: Sequence[Path]) -> list[Path]:
    """Return the folders in a folder that may be opened, hidden ones left out, in natural order."""
    return [path for path in _entries(folder, roots) if path.is_dir()]


def files(folder: Path, patterns: Sequence[str], roots: Sequence[Path]) -> list[Path]:
    """Return the files of a folder whose names fit one of the patterns (``*.chi``), in natural order."""
    return [
        path
        for path in _entries(folder, roots)
        if any(fnmatch(path.name.lower(), pattern.lower()) for pattern in patterns) and path.is_file()
    ]


def _entries(folder: Path, roots: Sequence[Path]) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            paths = [Path(entry.path) for entry in found if not entry.name.startswith(".")]
    except OSError:
        return []
    visible = sorted(paths, key=natural_order)[:LONGEST_LIST]
    return [path for path in visible if not path.is_symlink() or is_inside(path, roots)]


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """Return the sorting key under which ``scan_9`` comes before ``scan_10``."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def check_links(path: Path, roots: Sequence[Path]) -> None:
    """Refuse an HDF5 file that leads out of the roots by external links, virtual or external data sets.

    Raises
    ------
    InputError
        Naming the file that it leads to, or where a damaged file hides what it leads to.
    """
    import h5py

    waiting = [path]
    seen: set[Path] = set()
    while waiting:
        current = waiting.pop()
        current = current.parent.resolve() / current.name
        if current in seen or not current.is_file() or not h5py.is_hdf5(current):  # behind a user block as well
            continue
        seen.add(current)
        # a file that is reached by a symbolic link has two folders that its own links may start from
        for folder in dict.fromkeys((current.parent, current.resolve().parent)):
            for target in _linked_files(current):
                waiting += _places(target, folder, roots, path)


def _places(target: str, folder: Path, roots: Sequence[Path], path: Path) -> list[Path]:
    """Return where HDF5 may find a linked file, all of it inside the roots.

    HDF5 looks beside the file, under prefixes from the environment and in the working folder; for an absolute path that is
    not there it tries the bare name in all of them. Beside the file, what is not there has to be inside as well.
    """
    found: list[Path] = []
    names = dict.fromkeys((target, os.path.basename(target)) if os.path.isabs(target) else (target,))
    try:
        for name in names:
            for number, base in enumerate((folder, *_prefixes(folder), Path.cwd())):
                for place in _expanded(base / name):
                    if is_inside(place, roots):
                        found.append(place)
                    elif number == 0 or place.exists():
                        raise InputError(
                            f"{path} leads to {target}, which is outside the folders that may be opened here"
                        )
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} leads to {target!r}, which cannot be used as a path ({error})") from error
    return found


def _prefixes(folder: Path) -> list[Path]:
    named = [os.environ.get(name, "") for name in ("HDF5_EXT_PREFIX", "HDF5_VDS_PREFIX", "HDF5_EXTFILE_PREFIX")]
    items = [item for text in named for item in text.split(os.pathsep) if item]
    return [folder / item.replace("${ORIGIN}", str(folder)) for item in items]


def _expanded(place: Path) -> list[Path]:
    """Return the path itself, and where it is a series of sources (``data_%b.h5``) the files that there are."""
    text = str(place)
    if "%" not in text:
        return [place]
    pattern = re.sub(r"%\d*b", "*", glob.escape(text).replace("%%", "%"))
    return [place, *map(Path, glob.glob(pattern))]


def _linked_files(path: Path) -> list[str]:
    import h5py

    try:
        handle = h5py.File(path, "r")
    except OSError:
        return []  # damaged: the reader will say so
    with handle:
        try:
            return list(_links(handle))
        except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(f"{path} is damaged: what it links to cannot be told ({error})") from error


def _links(file: Any) -> Iterator[str]:
    """Yield the names of the files that the objects of a file lead to; each object is visited once, however it is linked."""
    import h5py

    waiting = [file]
    seen = {_address(file)}
    while waiting:
        group = waiting.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield str(link.filename)
            elif isinstance(link, h5py.HardLink):
                item = group[name]
                if _address(item) in seen:
                    continue
                seen.add(_address(item))
                if isinstance(item, h5py.Group):
                    waiting.append(item)
                elif isinstance(item, h5py.Dataset):
                    yield from _sources(item)


def _address(item: Any) -> int:
    from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]

    return h5o.get_info(item.id).addr


def _sources(item: Any) -> Iterator[str]:
    """Yield the files that a data set takes its values from."""
    if item.is_virtual:
        yield from (source.file_name for source in item.virtual_sources() if source.file_name != ".")
    yield from (os.fsdecode(name) for name, _, _ in item.external or ())
