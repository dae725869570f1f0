"""Files as results: a path that carries its content wherever its value goes."""

from __future__ import annotations

import mmap
import os
import pickle
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ..context import context

_LOCAL_PATH: Any = type(Path())


class KeptFile(_LOCAL_PATH):
    """The path of a file that a node has made.

    It is an ordinary :class:`~pathlib.Path`. Pickled, it takes the content along: where the file is no longer there, or was
    never there (a cached result, a worker on another machine), it is written again when it is unpickled.
    """

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Return the path and, out of band where the protocol can, the bytes."""
        status = self.stat()
        with self.open("rb") as handle:
            content: Any = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) if status.st_size else b""
        if protocol >= 5:
            content = pickle.PickleBuffer(content)
        else:
            content = bytes(content)
        return _restore, (str(self), status.st_size, status.st_mtime_ns, content)


def _restore(path: str, size: int, mtime_ns: int, content: Any) -> KeptFile:
    """Return the file where it still is what it was, else a new one with the same name and content."""
    found = KeptFile(path)
    try:
        status = found.stat()
        if (status.st_size, status.st_mtime_ns) == (size, mtime_ns):
            return found
    except OSError:
        pass
    made = KeptFile(files_folder("restored") / found.name)
    with made.open("wb") as handle:
        handle.write(content)
    os.utime(made, ns=(mtime_ns, mtime_ns))
    return made


def files_folder(label: str) -> Path:
    """Return a new folder for files that stay: that of the run, or a temporary one outside an engine."""
    current = context()
    root: Path = getattr(current, "files", None) or current.scratch
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{label}-", dir=root))


def keep(path: Path, folder: Path) -> KeptFile:
    """Move a file out of the scratch folder into one where it stays; a link becomes the file that it points to."""
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    if path.is_symlink():
        shutil.copy2(path, target)
    else:
        shutil.move(path, target)
    return KeptFile(target)
