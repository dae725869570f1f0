"""Run folders made by hand, for the tests of the catalogue (imported as ``core.catalogue_lab``)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from daisy_core import Axes, Param, algorithm, data

DAY = 86400.0


def make_run(root: Path, state: str = "succeeded", *, age: float = 0.0, workflow: str = "mx.process", number: int = 0,
             context: Mapping[str, Any] | None = None, summary: Mapping[str, Any] | None = None, took: float = 2.0,
             message: str = "", at: float | None = None) -> Path:  # fmt: skip
    """Make the folder of a run that ended ``age`` seconds ago, or is in another state since then."""
    when = time.time() - age if at is None else at
    path = root / f"{datetime.fromtimestamp(when, UTC):%Y%m%d-%H%M%S}-{number:06x}"
    path.mkdir(parents=True)
    request = {"format": 1, "id": path.name, "submitted": when, "workflow": workflow, "version": "1", "inputs": {},
               "params": {}, "context": dict(context or {}), "engine": {"kind": "inline"}, "versions": {}}  # fmt: skip
    (path / "request.json").write_text(json.dumps(request), encoding="utf-8")
    events: list[dict[str, Any]] = [{"time": when, "kind": "pending", "task": None}]
    if state != "pending":
        events.append({"time": when, "kind": "running", "task": None})
    if state in ("succeeded", "failed", "cancelled"):
        events.append({"time": when + took, "kind": state, "task": None, "message": message, "seconds": took,
                       "summary": dict(summary or {})})  # fmt: skip
    write_events(path, events)
    for item in (*path.iterdir(), path):
        os.utime(item, (when, when))
    return path


def write_events(path: Path, events: list[dict[str, Any]]) -> None:
    """Write ``events.jsonl``."""
    (path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


@data
class Merged:
    """A result that says itself what counts."""

    i: Annotated[NDArray[Any], Axes("reflection")]
    rmeas: float

    def summary(self) -> dict[str, float | int | str]:
        return {"rmeas": self.rmeas, "reflections": len(self.i), "verdict": "good" if self.rmeas < 0.1 else "poor"}


@algorithm(version="1", name="cat.merge")
def merge(values: list[float], *, rmeas: Annotated[float, Param("Rmeas", ge=0)] = 0.05, fail: bool = False) -> Merged:
    """Pretend to merge."""
    if fail:
        raise ValueError("no spots")
    return Merged(np.asarray(values), rmeas)


@algorithm(version="1", name="cat.secretive")
def secretive(x: float, *, api_key: str = "") -> float:
    """Ask for what must not be recorded."""
    return x
