"""What a run folder tells, as one record: the row of the catalogue and what is published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from ..errors import RunError
from ..runs import FINAL, RunFolder
from .tags import read_tags

_END = 1 << 16
"""Bytes at the end of ``events.jsonl`` among which the last event of the run usually is."""


@dataclass(frozen=True)
class RunRecord:
    """One run. Times are seconds since 1970; what a folder does not say is None.

    ``state`` is that of the run, or ``unknown`` for a folder that this version cannot read; ``message`` then says why,
    as it says for a failed run. ``app`` is the technique: ``pdf`` for the workflow ``pdf.reduce``.
    """

    id: str
    path: Path
    state: str
    workflow: str = ""
    app: str = ""
    version: str = ""
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    seconds: float | None = None
    message: str = ""
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])
    summary: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tags: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON data."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        plain = {
            "path": str(self.path),
            "tags": list(self.tags),
            "context": dict(self.context),
            "summary": dict(self.summary),
        }
        return {**found, **plain}


def read_record(path: Path) -> RunRecord:
    """Read the record of a run folder. It never fails: what cannot be read has the state ``unknown`` and says why."""
    try:
        folder = RunFolder(path)
        request = cast("Any", folder.request())
        if not isinstance(request, dict):
            raise RunError(f"{path / 'request.json'} is not the request of a run")
        return _record(folder, cast("dict[str, Any]", request))
    except RunError as error:
        problem = str(error)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"{path} is damaged: {type(error).__name__}: {error}"
    return RunRecord(path.name, path, "unknown", submitted=_from_id(path.name), message=problem, tags=read_tags(path))


def _record(folder: RunFolder, request: dict[str, Any]) -> RunRecord:
    workflow = str(request.get("workflow", ""))
    started, last = _started(folder), _last_event(folder)
    state = last["kind"] if last.get("kind") in FINAL else folder.state()
    final = last if state in FINAL and last.get("kind") == state else {}
    ended = _number(final.get("time"))
    return RunRecord(
        folder.id, folder.path, state, workflow, Path(workflow).name.partition(".")[0], str(request.get("version", "")),
        _number(request.get("submitted")) or _from_id(folder.id), started, ended, _seconds(final, started, ended),
        str(final.get("message") or ""), _mapping(request.get("context")), _mapping(final.get("summary")), read_tags(folder.path),
    )  # fmt: skip


def _last_event(folder: RunFolder) -> dict[str, Any]:
    """Return the last event of the run itself (not of a task); empty where there is none."""
    path = folder.path / "events.jsonl"
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            for start in sorted({max(0, size - _END), 0}, reverse=True):
                handle.seek(start)
                lines = handle.read().split(b"\n")
                for line in reversed(lines[:-1]):  # what follows the last line end is still being written
                    event = _event(line)
                    if event.get("task") is None and event.get("kind") in ("pending", "running", *FINAL):
                        return event
    except FileNotFoundError:
        pass
    return {}


def _started(folder: RunFolder) -> float | None:
    try:
        with (folder.path / "events.jsonl").open("rb") as handle:
            head = [_event(handle.readline()) for _ in range(8)]
    except FileNotFoundError:
        return None
    return next((_number(event.get("time")) for event in head if event.get("kind") == "running"), None)


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return cast("dict[str, Any]", event) if isinstance(event, dict) else {}


def _seconds(final: Mapping[str, Any], started: float | None, ended: float | None) -> float | None:
    """Return how long the run took; None where a clock that was set meanwhile makes it negative."""
    seconds = _number(final.get("seconds"))
    if seconds is None and started is not None and ended is not None:
        seconds = ended - started
    return seconds if seconds is not None and seconds >= 0 else None


def _from_id(run_id: str) -> float | None:
    """Return when a run was made, by its id."""
    try:
        return datetime.strptime(run_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _mapping(value: Any) -> dict[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}
