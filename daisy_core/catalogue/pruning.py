"""Pruning: old runs are deleted, those that go on, that are young, tagged or not understood never."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..runs import FINAL, default_root, list_runs
from .records import RunRecord, read_record
from .times import parse_age

FIRST_SANE_TIME = 1_577_836_800.0
"""Seconds since 1970 of the start of 2020: a clock that showed less had not been set, and gives no age."""
_TRASH = ".pruned-"


@dataclass(frozen=True)
class Pruned:
    """A run that was deleted, or would be: its age in seconds and its size in bytes."""

    record: RunRecord
    age: float
    nbytes: int


@dataclass(frozen=True)
class Kept:
    """A run that was old enough by its times, or has none, and was kept for a reason."""

    record: RunRecord
    reason: str


def prune(root: Path | None = None, *, older: str | float, keep_tagged: bool = False, dry_run: bool = False,
          now: float | None = None) -> tuple[list[Pruned], list[Kept]]:  # fmt: skip
    """Delete the folders of runs that ended long ago.

    Only runs that succeeded, failed, were cancelled or lost are deleted. The age counts from the latest time that
    anything about the run tells; a time in the future, or of a clock that had not been set, gives no age.

    Parameters
    ----------
    root : path, optional
        Folder of runs; ``DAISY_RUNS`` or ``runs`` by default.
    older : str or float
        Least age: ``"90d"``, or seconds.
    keep_tagged : bool
        Keep runs with tags.
    dry_run : bool
        Delete nothing, only say what would be.
    now : float, optional
        Seconds since 1970; the clock by default.

    Returns
    -------
    deleted : list of Pruned
        The runs that were (or would be) deleted, oldest first.
    kept : list of Kept
        The runs that were kept although they are not young, and why.

    Raises
    ------
    ParameterError
        If the age cannot be understood.
    """
    least = parse_age(older) if isinstance(older, str) else older
    at = time.time() if now is None else now
    folder = Path(root or default_root())
    deleted: list[Pruned] = []
    kept: list[Kept] = []
    if not dry_run:
        _empty_trash(folder)
    for run in reversed(list_runs(folder)):
        record = read_record(run.path)
        age, reason = _judge(record, at, keep_tagged=keep_tagged)
        if age is not None and age < least:
            continue
        size = 0 if reason else folder_bytes(run.path)
        reason = reason or ("" if dry_run else _delete(run.path))
        if reason:
            kept.append(Kept(record, reason))
        else:
            deleted.append(Pruned(record, age or 0.0, size))
    return deleted, kept


def _judge(record: RunRecord, now: float, *, keep_tagged: bool) -> tuple[float | None, str]:
    """Return the age of a run, None where there is none, and why it must be kept; empty where nothing speaks for it."""
    last = max(_times(record), default=0.0)
    age = now - last
    if last < FIRST_SANE_TIME or age < 0:
        what = "in the future" if age < 0 else "of a clock that was not set"
        return None, f"its times are {what}, so its age is not known"
    if record.state == "unknown":
        return age, record.message
    if record.state not in (*FINAL, "lost"):
        return age, f"it is {record.state}"
    if keep_tagged and record.tags:
        return age, f"it is tagged {', '.join(record.tags)}"
    if record.path.is_symlink():
        return age, "it is a link to a folder elsewhere"
    return age, ""


def _times(record: RunRecord) -> Iterator[float]:
    """Yield every time that is known of a run, those of its files included."""
    yield from (value for value in (record.submitted, record.started, record.ended) if value is not None)
    for name in (".", "request.json", "events.jsonl", "lease.json", "results.nxs"):
        with contextlib.suppress(OSError):
            yield (record.path / name).stat().st_mtime


def folder_bytes(path: Path) -> int:
    """Return the size of all files below a folder; links are not followed."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def _delete(path: Path) -> str:
    """Delete a run folder and return why it could not be. It first gets another name: nobody sees half a run."""
    trash = path.with_name(f"{_TRASH}{path.name}-{secrets.token_hex(3)}")
    try:
        os.rename(path, trash)
    except OSError as error:
        return f"it cannot be deleted: {error.strerror}"
    record = read_record(trash)
    if record.state not in (*FINAL, "lost"):  # somebody resumed it since it was looked at
        os.rename(trash, path)
        return f"it is {record.state}"
    try:
        shutil.rmtree(trash)
    except OSError as error:
        return f"it cannot be deleted whole: {error.strerror}; the rest is in {trash}"
    return ""


def _empty_trash(root: Path) -> None:
    """Remove what an earlier pruning, stopped half-way an hour ago or more, had already renamed."""
    for left in root.glob(f"{_TRASH}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_ctime > 3600:
                shutil.rmtree(left)
