"""Records to rows of the catalogue and back: the statements, for SQLite and PostgreSQL alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .context import KEYS
from .records import RunRecord
from .tables import tables
from .where import SECTIONS, where_clause

if TYPE_CHECKING:
    from sqlalchemy import Connection

BATCH = 200
"""Rows of one statement or transaction: small enough that other writers get their turn."""
_PLAIN = (
    "id",
    "state",
    "workflow",
    "app",
    "version",
    "submitted",
    "started",
    "ended",
    "seconds",
    "message",
    "context",
    "summary",
)


def select_runs(connection: Connection, key: str, root: Path, *, where: str | None = None,
                equal: Mapping[str, str | None], after: float | None = None, tag: str | None = None,
                limit: int | None = None) -> list[RunRecord]:  # fmt: skip
    """Return the records that fulfil all conditions, newest first."""
    import sqlalchemy as sa

    _, runs, values = tables()
    chosen = sa.select(runs).where(runs.c.root == key)
    for name, value in equal.items():
        chosen = chosen if value is None else chosen.where(runs.c[name] == value)
    if after is not None:
        chosen = chosen.where(runs.c.submitted >= after)
    if tag is not None:
        tagged = sa.select(values.c.id).where(values.c.root == key, values.c.section == "tag", values.c.key == tag)
        chosen = chosen.where(runs.c.id.in_(tagged))
    if where is not None:
        if not any(True for _ in connection.execute(sa.select(runs.c.id).where(runs.c.root == key).limit(1))):
            return []  # of no run at all, no name can be said to be wrong
        chosen = chosen.where(where_clause(where, known_keys(connection, key)))
    order = (sa.func.coalesce(runs.c.submitted, 0.0).desc(), runs.c.id.desc())
    rows = connection.execute(chosen.order_by(*order).limit(limit)).mappings()
    return [_record(root, cast("Mapping[str, Any]", row)) for row in rows]


def known_keys(connection: Connection, key: str) -> dict[str, frozenset[str]]:
    """Return the keys of context and summary, each with the sections that have it."""
    import sqlalchemy as sa

    values = tables().values
    found: dict[str, frozenset[str]] = dict.fromkeys(map(str, KEYS), frozenset({"context"}))
    chosen = sa.select(values.c.key, values.c.section).where(values.c.root == key, values.c.section.in_(SECTIONS))
    for name, section in connection.execute(chosen.distinct()):
        found[name] = found.get(name, frozenset[str]()) | {section}
    return found


def known_runs(connection: Connection, key: str) -> dict[str, tuple[int, str]]:
    """Return stamp and state of all rows by run id."""
    import sqlalchemy as sa

    runs = tables().runs
    rows = connection.execute(sa.select(runs.c.id, runs.c.stamp, runs.c.state).where(runs.c.root == key))
    return {run_id: (stamp, state) for run_id, stamp, state in rows}


def remove_rows(connection: Connection, key: str, run_ids: Sequence[str] | None = None) -> None:
    """Remove the rows of some runs, of all without a choice."""
    for table in (tables().values, tables().runs):
        statement = table.delete().where(table.c.root == key)
        if run_ids is None:
            connection.execute(statement)
        for start in range(0, len(run_ids or ()), BATCH):
            connection.execute(statement.where(table.c.id.in_((run_ids or ())[start : start + BATCH])))


def write_rows(connection: Connection, key: str, records: Iterable[tuple[RunRecord, int]]) -> None:
    """Enter records, each with the stamp of its folder, in the place of what was there."""
    from sqlalchemy.dialects import postgresql, sqlite

    found = sorted(
        records, key=lambda item: item[0].id
    )  # all writers in one order, so that none waits for another in a ring
    if not found:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    _, runs, values = tables()
    insert = dialect.insert(runs)
    changed = {name: insert.excluded[name] for name in runs.c.keys() if name not in ("root", "id")}  # noqa: SIM118 - no dict
    # Replacing the rows first holds them until the end of the transaction: two writers of one run take turns.
    connection.execute(
        insert.on_conflict_do_update(index_elements=["root", "id"], set_=changed),
        [{"root": key, "id": record.id, "stamp": stamp, **_row(record)} for record, stamp in found],
    )
    ids = [record.id for record, _ in found]
    connection.execute(values.delete().where(values.c.root == key, values.c.id.in_(ids)))
    rows = [{"root": key, "id": record.id, **value} for record, _ in found for value in _values(record)]
    if rows:
        connection.execute(values.insert(), rows)


def _row(record: RunRecord) -> dict[str, Any]:
    fields = {name: _clean(value) for name, value in record.to_json().items() if name not in ("id", "path")}
    known = {name: fields["context"].get(name) for name in KEYS}
    return {**fields, **{name: None if value is None else str(value) for name, value in known.items()}}


def _values(record: RunRecord) -> Iterator[dict[str, Any]]:
    """Yield each value of context and summary as number, where it is one, and as text; and each tag."""
    tags = dict.fromkeys(record.tags, 1)
    for section, mapping in (("context", record.context), ("summary", record.summary), ("tag", tags)):
        for key, value in _clean(mapping).items():
            if value is not None:
                yield {"section": section, "key": key, "number": _number(value), "text": str(value)}


def _clean(value: Any) -> Any:
    """Return a value without what databases have no place for: NUL, halves of characters, NaN."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    return [_clean(item) for item in cast("list[Any]", value)] if isinstance(value, (list, tuple)) else value


def _number(value: Any) -> float | None:
    """Return a value as a number; the command line gives text for numbers as well: ``scan=12``."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _record(root: Path, row: Mapping[str, Any]) -> RunRecord:
    return RunRecord(path=root / row["id"], tags=tuple(row["tags"]), **{name: row[name] for name in _PLAIN})
