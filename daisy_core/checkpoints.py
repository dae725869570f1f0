"""Results kept on disk under their derivation ids: the checkpoints of a run, and the cache of all runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_VALUE = "value"


@dataclass(frozen=True)
class Entry:
    """One kept result: its key, bytes on disk and the time of its last use (seconds since 1970)."""

    key: str
    nbytes: int
    used: float


class Corrupted(Exception):
    """A kept result does not have the bytes that were written."""


class ResultFiles:
    """A folder of results, one sub-folder for each key.

    A result is pickled, so that it comes back exactly as it was; its SHA-256 is checked before it is unpickled, and files
    of other users are not read, because unpickling runs what they say.

    Parameters
    ----------
    root : path
        The folder; made when something is put into it.
    limit : int, optional
        Bytes; when a new result makes the folder larger, the results that were not used for longest are removed.
    """

    def __init__(self, root: str | os.PathLike[str], limit: int | None = None) -> None:
        self.root = Path(root)
        self.limit = limit
        self._size: int | None = None

    def __contains__(self, key: str) -> bool:
        return self._path(key).is_file()

    def get(self, key: str) -> Any:
        """Return a result.

        Raises
        ------
        KeyError
            If there is none, or it belongs to another user.
        Corrupted
            If its bytes have changed; it is removed.
        """
        path = self._path(key)
        try:
            with path.open("rb") as handle:
                if os.fstat(handle.fileno()).st_uid != os.geteuid():
                    raise KeyError(key)
                expected, body = handle.readline().strip(), handle.read()
        except OSError:
            raise KeyError(key) from None
        if hashlib.sha256(body).hexdigest().encode() != expected:
            self.remove(key)
            raise Corrupted(f"{path} was damaged and has been removed")
        with contextlib.suppress(OSError):
            os.utime(path)
        return pickle.loads(body)

    def put(self, key: str, value: Any, about: dict[str, Any] | None = None) -> None:
        """Keep a result, under a temporary name that is renamed when complete.

        Raises
        ------
        OSError
            If it cannot be written; nothing half-written stays.
        TypeError, pickle.PicklingError
            If the value cannot be pickled.
        """
        body = pickle.dumps(value, protocol=5)
        folder = self.root / key
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = folder / f".{secrets.token_hex(4)}"
        try:
            with temporary.open("wb") as handle:
                handle.write(hashlib.sha256(body).hexdigest().encode() + b"\n")
                handle.write(body)
            os.replace(temporary, folder / _VALUE)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        if about:
            (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        if self.limit is not None:
            self._size = (self.size() if self._size is None else self._size) + len(body)
            if self._size > self.limit:
                self.prune(self.limit)

    def remove(self, key: str) -> None:
        """Remove a result."""
        shutil.rmtree(self.root / key, ignore_errors=True)

    def entries(self) -> Iterator[Entry]:
        """Yield what is kept."""
        if not self.root.is_dir():
            return
        for folder in self.root.iterdir():
            with contextlib.suppress(OSError):
                status = (folder / _VALUE).stat()
                yield Entry(folder.name, status.st_size, status.st_mtime)

    def size(self) -> int:
        """Return the bytes that are kept."""
        return sum(entry.nbytes for entry in self.entries())

    def prune(self, limit: int | None = None, older: float | None = None) -> list[Entry]:
        """Remove what was not used for longest until the limit holds, and what is older than an age.

        Parameters
        ----------
        limit : int, optional
            Bytes that may stay.
        older : float, optional
            Seconds since the last use.

        Returns
        -------
        list of Entry
            What was removed.
        """
        kept = sorted(self.entries(), key=lambda entry: entry.used)
        total = sum(entry.nbytes for entry in kept)
        removed: list[Entry] = []
        for entry in kept:
            too_old = older is not None and time.time() - entry.used > older
            if not too_old and (limit is None or total <= limit):
                continue
            self.remove(entry.key)
            total -= entry.nbytes
            removed.append(entry)
        self._size = total
        return removed

    def _path(self, key: str) -> Path:
        return self.root / key / _VALUE
