"""Catalogue: an index of run folders in SQLite or PostgreSQL, that can be made again from the folders at any time."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..errors import DaisyError
from ..runs import default_root, list_runs
from .records import RunRecord, read_record
from .rows import BATCH, known_keys, known_runs, remove_rows, select_runs, write_rows
from .tables import open_engine, places, set_aside
from .times import parse_time

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

T = TypeVar("T")

_MOVING = ("pending", "running", "unknown")
"""States that can change without a trace in the time of the folder: such runs are read again each time."""
_SETTLED_AFTER = 2.0
"""Seconds; a folder that changed more recently may change again within the resolution of its time."""
_TRIES = 5


class Catalogue:
    """The table of runs: state, context and summary of each, to be searched.

    The folders are the truth and the catalogue is their index. It is brought up to date whenever it is asked: folders
    that are new or have changed are read, rows of folders that are gone are removed. A catalogue given by URL, such as
    the PostgreSQL database of a facility, is instead written by each run as it begins and ends; of its rows only those of
    unfinished runs are read again.

    Parameters
    ----------
    root : path, optional
        Folder of runs; ``DAISY_RUNS`` or ``runs`` by default.
    url : str, optional
        Database, such as ``postgresql://user@host/name``, or the path of an SQLite file; ``DAISY_CATALOGUE`` by default.
        Without either it is ``catalogue.sqlite`` among the runs.

    Attributes
    ----------
    messages : list of str
        What the user should know: a catalogue that was made again, or cannot be written.

    Examples
    --------
    >>> Catalogue("runs").query("rmeas < 0.1 and sample == 'Ni'", state="succeeded", since="30d")  # doctest: +SKIP
    """

    def __init__(self, root: str | os.PathLike[str] | None = None, url: str | None = None) -> None:
        self.root = Path(root or default_root()).resolve()
        given = url or os.environ.get("DAISY_CATALOGUE") or None
        self.is_shared = given is not None
        self.messages: list[str] = []
        self._key = os.fspath(self.root) if self.is_shared else ""  # so that a folder of runs can be moved
        self._places = places(self.root, given)
        self._engine: Engine | None = None
        self._lock = threading.RLock()

    # -- asking -------------------------------------------------------------------------------------------------

    def query(self, where: str | None = None, *, app: str | None = None, workflow: str | None = None,
              state: str | None = None, since: str | float | None = None, tag: str | None = None,
              limit: int | None = None) -> list[RunRecord]:  # fmt: skip
        """Return the runs that fulfil all conditions, newest first.

        Parameters
        ----------
        where : str, optional
            Comparisons of columns, context keys and summary keys, such as ``rmeas < 0.1 and sample == 'Ni'``; see
            :func:`daisy_core.catalogue.where.where_clause`. A run that lacks a value that is compared is not found.
        app, workflow, state, tag : str, optional
            Only runs of this technique, of this workflow, in this state, with this tag.
        since : str or float, optional
            Only runs submitted since a date (``2026-11-23``), an age ago (``2d``), or seconds since 1970.
        limit : int, optional
            The newest so many.

        Raises
        ------
        ParameterError
            If a condition cannot be understood, or names a value that no run has.
        DaisyError
            If the database cannot be reached.
        """
        after = parse_time(since) if isinstance(since, str) else since
        equal = {"app": app, "workflow": workflow, "state": state}
        return self._asked(
            lambda connection: select_runs(
                connection, self._key, self.root, where=where, equal=equal, after=after, tag=tag, limit=limit
            ),
            nothing=list[RunRecord](),
        )

    def keys(self) -> dict[str, frozenset[str]]:
        """Return the keys of context and summary that runs have, each with the sections that have it."""
        return self._asked(lambda connection: known_keys(connection, self._key), nothing=dict[str, frozenset[str]]())

    def _asked(self, work: Callable[[Connection], T], nothing: T) -> T:
        if not self.is_shared and not self.root.is_dir():
            return nothing

        def ask() -> T:
            self._refresh()
            return self._in_transaction(work)

        return self._guarded(ask)

    # -- writing ------------------------------------------------------------------------------------------------

    def update(self, folder: str | os.PathLike[str]) -> RunRecord:
        """Enter a run folder, or what has changed in it, and return its record.

        Raises
        ------
        DaisyError
            If it is not a folder among these runs, or the database cannot be reached.
        """
        path = Path(folder)
        if path.resolve().parent != self.root:
            raise DaisyError(f"{path} is not one of the runs in {self.root}")
        self._guarded(lambda: self._read({path.name: _stamp(path)}))
        return read_record(self.root / path.name)

    def forget(self, run_ids: Iterable[str]) -> None:
        """Remove the rows of runs; their folders are not touched."""
        gone = list(run_ids)
        self._guarded(lambda: self._in_transaction(lambda found: remove_rows(found, self._key, gone), writes=True))

    def rebuild(self) -> int:
        """Make the rows again from the folders, and return how many there are.

        Raises
        ------
        DaisyError
            If the folders or the database cannot be read.
        """
        stamps = self._stamps()

        def again() -> int:
            self._in_transaction(lambda connection: remove_rows(connection, self._key), writes=True)
            self._read(stamps)
            return len(stamps)

        return self._guarded(again)

    def _refresh(self) -> None:
        """Bring the rows up to date with the folders."""
        known = self._in_transaction(lambda connection: known_runs(connection, self._key))
        if self.is_shared:  # each run enters itself; a folder that is not here may be on another host
            moving = [run_id for run_id, (_, state) in known.items() if state in _MOVING]
            self._read({run_id: _stamp(self.root / run_id) for run_id in moving if (self.root / run_id).is_dir()})
            return
        stamps = self._stamps()
        gone = [run_id for run_id in known if run_id not in stamps]
        if gone:
            self._in_transaction(lambda connection: remove_rows(connection, self._key, gone), writes=True)
        self._read({run_id: stamp for run_id, stamp in stamps.items() if _changed(known.get(run_id), stamp)})

    def _stamps(self) -> dict[str, int]:
        """Return the ids of all run folders with the time of their last change."""
        try:
            return {folder.id: _stamp(folder.path) for folder in list_runs(self.root)}
        except OSError as error:
            raise DaisyError(f"cannot read the folder of runs {self.root}: {error.strerror}") from error

    def _read(self, stamps: Mapping[str, int]) -> None:
        """Read run folders and enter them, some at a time so that other writers get their turn."""
        found = sorted(stamps.items())
        for start in range(0, len(found), BATCH):
            rows = [(read_record(self.root / run_id), stamp) for run_id, stamp in found[start : start + BATCH]]
            self._in_transaction(lambda connection, rows=rows: write_rows(connection, self._key, rows), writes=True)

    # -- the database -------------------------------------------------------------------------------------------

    def _in_transaction(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        with self._open().connect().execution_options(writes=writes) as connection, connection.begin():
            return work(connection)

    def _open(self) -> Engine:
        if self._engine is None:
            path = self._file()
            is_new = path is not None and not path.exists()
            self._engine = open_engine(self._places[0])
            weakref.finalize(self, self._engine.dispose)
            if is_new and path is not None:
                with contextlib.suppress(OSError):  # who may write runs here may write their catalogue
                    path.chmod(path.stat().st_mode | (path.parent.stat().st_mode & 0o060))
            count = len(self._stamps()) if is_new and not self.is_shared else 0
            if count:
                self.messages.append(f"made the catalogue {path} from {count} run folders")
        return self._engine

    def _file(self) -> Path | None:
        """Return the SQLite file; None for a database in memory or on a server."""
        text = self._places[0].removeprefix("sqlite:///")
        return Path(text) if text != self._places[0] and text else None

    def _guarded(self, work: Callable[[], T]) -> T:
        """Do some work; a catalogue that is damaged, gone or not writable is replaced, and the work done again."""
        from sqlalchemy import exc, make_url

        with self._lock:
            for left in reversed(range(_TRIES)):
                try:
                    return work()
                except exc.DBAPIError as error:
                    if not left or not self._recover(str(error.orig).strip(), is_first=left == _TRIES - 1):
                        where = self._file() or make_url(self._places[0]).render_as_string(hide_password=True)
                        advice = (
                            "unset DAISY_CATALOGUE to use one beside the runs"
                            if self.is_shared
                            else "or remove the file"
                        )
                        raise DaisyError(
                            f"the catalogue {where} cannot be used: {str(error.orig).strip()}; try again, {advice}"
                        ) from error
        raise AssertionError

    def _recover(self, reason: str, *, is_first: bool) -> bool:
        """Make it possible to try again after an error of the database, and say whether it is."""
        path, self._engine = self._file(), None
        if path is None:
            return False
        if "no such table" in reason:
            self.messages.append(f"the catalogue {path} was gone; made again from the folders")
            return True
        if "malformed" in reason or "not a database" in reason:
            if set_aside(path, check=is_first):
                self.messages.append(f"the catalogue {path} was damaged ({reason})")
            return True
        if len(self._places) > 1 and any(sign in reason for sign in ("readonly", "unable to open", "full", "disk I/O")):
            del self._places[0]
            instead = self._file() or "memory, where it is made each time"
            self.messages.append(f"the catalogue {path} cannot be written ({reason}); it is in {instead}")
            return True
        return False


def _stamp(path: Path) -> int:
    """Return the time of the last change in a folder; 0, which always counts as changed, while it may be the same again."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return 0
    return changed if time.time() - changed / 1e9 > _SETTLED_AFTER else 0


def _changed(known: tuple[int, str] | None, stamp: int) -> bool:
    return known is None or stamp == 0 or known[0] != stamp or known[1] in _MOVING
