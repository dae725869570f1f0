"""The tables of the catalogue, and how its database is opened: SQLite in WAL mode, or PostgreSQL."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import DaisyError
from .lock import folder_lock

if TYPE_CHECKING:
    from sqlalchemy import Engine, MetaData, Table

BUSY = 30.0
"""Seconds to wait for another process that is writing."""
_NETWORK = re.compile(r"nfs|lustre|gpfs|beegfs|ceph|cifs|smb|afs|9p|pvfs|orangefs|glusterfs|sshfs")


class Tables(NamedTuple):
    """The tables: one row for each run, one for each value of its context and summary and for each tag."""

    metadata: MetaData
    runs: Table
    values: Table


@functools.cache
def tables() -> Tables:
    """Return the tables.

    Their names carry the version of the layout: another version of Daisy Suite makes its own and fills them from the
    folders, so that nothing has to be migrated and nobody spoils the index of others.
    """
    import sqlalchemy as sa

    metadata = sa.MetaData()
    runs = sa.Table(
        "daisy_runs_1", metadata,
        sa.Column("root", sa.Text, primary_key=True), sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("stamp", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("state", "workflow", "app", "version", "message")),
        *(sa.Column(name, sa.Double) for name in ("submitted", "started", "ended", "seconds")),
        *(sa.Column(name, sa.Text) for name in ("proposal", "sample", "scan", "beamline", "user")),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("context", "summary", "tags")),
        sa.Index("daisy_runs_1_by_time", "root", "submitted"),
    )  # fmt: skip
    values = sa.Table(
        "daisy_values_1", metadata,
        sa.Column("root", sa.Text, primary_key=True), sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("section", sa.String(16), primary_key=True), sa.Column("key", sa.Text, primary_key=True),
        sa.Column("number", sa.Double), sa.Column("text", sa.Text, nullable=False),
        sa.Index("daisy_values_1_by_key", "section", "key"),
    )  # fmt: skip
    return Tables(metadata, runs, values)


def places(root: Path, url: str | None) -> list[str]:
    """Return the URLs to try for the catalogue of a folder of runs, best first.

    A given URL (or path of an SQLite file) is the only one. Else it is ``catalogue.sqlite`` beside the runs; where that
    is a network file system, on which SQLite's WAL mode is not safe, or cannot be written, a file in the user's cache
    folder; and memory where that fails as well: the runs are then read each time.
    """
    if url:
        return [url if "://" in url else f"sqlite:///{Path(url).expanduser().absolute()}"]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daisy"
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    files = [root / "catalogue.sqlite", cache / f"catalogue-{name}.sqlite"]
    return [*(f"sqlite:///{path}" for path in files if not on_network(path)), "sqlite://"]


def on_network(path: Path) -> bool:
    """Say whether a path lies on a file system of another host."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    best, kind = "", ""
    for fields in (line.split() for line in lines):
        mount = fields[4].replace("\\040", " ")
        if len(mount) >= len(best) and path.absolute().is_relative_to(mount):
            best, kind = mount, fields[fields.index("-") + 1]
    return bool(_NETWORK.search(kind))


def open_engine(url: str) -> Engine:
    """Open a database and make the tables that are missing.

    Each transaction has its own connection, so that nothing is shared with a forked process and no file stays open.

    Raises
    ------
    DaisyError
        If the URL is not one, or its driver is not installed.
    """
    import sqlalchemy as sa
    from sqlalchemy import exc
    from sqlalchemy.pool import NullPool, StaticPool

    try:
        target = sa.make_url(url)
        if target.drivername == "postgresql":
            target = target.set(drivername="postgresql+psycopg")
        is_sqlite = target.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"poolclass": NullPool, "connect_args": {"connect_timeout": 10}}
        if is_sqlite:
            options["connect_args"] = {"timeout": BUSY}
            if target.database in (None, "", ":memory:"):
                options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        engine = sa.create_engine(target, **options)
    except (exc.ArgumentError, exc.NoSuchModuleError) as error:
        raise DaisyError(
            "the catalogue (DAISY_CATALOGUE) is not the URL of a database; write postgresql://user@host/name or a path"
        ) from error
    except ImportError as error:
        raise DaisyError(f'the catalogue needs {error.name}: pip install "daisy-suite[postgres]"') from error
    if is_sqlite:
        _prepare_sqlite(engine)
        if target.database:
            with contextlib.suppress(OSError):  # SQLite then says that it cannot open the file
                Path(target.database).parent.mkdir(parents=True, exist_ok=True)
    _create(engine)
    return engine


def _prepare_sqlite(engine: Engine) -> None:
    """Take the transactions into our own hands: Python's driver would begin them as readers, and fail when they write."""
    from sqlalchemy import event

    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY * 1000)}")
        connection.execute("PRAGMA synchronous = NORMAL")

    def begun(connection: Any) -> None:
        options = connection.get_execution_options()
        if not options.get("bare"):
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


def _create(engine: Engine) -> None:
    """Make the tables, once, whoever else is at it."""
    import sqlalchemy as sa

    if engine.dialect.name == "sqlite":
        _switch_to_wal(engine)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7235201)"))
        tables().metadata.create_all(connection)


def _switch_to_wal(engine: Engine) -> None:
    """Switch to WAL mode, which stays with the file; while another process does, SQLite refuses instead of waiting."""
    from sqlalchemy import exc

    end = time.monotonic() + BUSY
    while True:
        try:
            with engine.connect().execution_options(bare=True) as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                return
        except exc.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.02)


def set_aside(path: Path, *, check: bool) -> bool:
    """Rename a damaged SQLite file, so that somebody may look at it; False where another process just did.

    Parameters
    ----------
    check : bool
        Look whether the file is damaged still.
    """
    with folder_lock(path.parent):
        if check and _is_sound(path):
            return False
        # What belongs to the file goes first: nobody who makes a new one then loses what he has written.
        for name in (f"{path.name}-wal", f"{path.name}-shm"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(name).unlink()
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, path.with_name(f"{path.name}.damaged"))
    return True


def _is_sound(path: Path) -> bool:
    import sqlite3

    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY)) as connection:
            return connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
    except sqlite3.Error:
        return False
