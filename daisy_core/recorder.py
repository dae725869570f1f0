"""Writes what happens in a run: events, log, lease, results. Only the engine's process writes a run folder."""

from __future__ import annotations

import contextlib
import json
import logging
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import registry
from .algorithm import Algorithm
from .context import CONTEXT
from .identity import distribution_version
from .params import to_json
from .reading import FileInput
from .runs import RunFolder, new_id
from .secrecy import refuse_secrets

if TYPE_CHECKING:
    from .plan import Plan

HEARTBEAT = 1.0
"""Seconds between two heartbeats."""
PROGRESS_EVERY = 0.1
"""Seconds between two progress events of one task."""
_AS_JSON = json.JSONEncoder(ensure_ascii=False).encode


class Recorder:
    """Records one run, in memory and, where the run has a folder, on disk."""

    def __init__(
        self, folder: RunFolder | None, request: Mapping[str, Any], listen: Callable[[dict[str, Any]], None] | None
    ) -> None:
        self.folder = folder
        self.id = folder.id if folder else new_id()
        self.request = request
        self.events: list[dict[str, Any]] = []
        self._listen = listen
        self._lock = threading.RLock()
        self._reported: dict[str, float] = {}
        self._stop = threading.Event()
        self._summary: dict[str, Any] = {}
        self._started = time.time()
        self._handler: logging.Handler | None = None
        # Without a buffer each event is one write of a whole line: whoever watches sees it at once.
        self._file: RawIOBase | None = (folder.path / "events.jsonl").open("ab", buffering=0) if folder else None

    @classmethod
    def start(cls, root: Path | None, folder: RunFolder | None, workflow: Algorithm[..., Any], inputs: Mapping[str, Any],
              params: Mapping[str, Any], context: Mapping[str, Any], engine: Mapping[str, Any],
              listen: Callable[[dict[str, Any]], None] | None) -> Recorder:  # fmt: skip
        """Begin the record of a run, in a new folder where a root is given."""
        from .catalogue.context import run_context

        refuse_secrets("parameter", params)
        request = {
            "workflow": workflow.name,
            "version": workflow.version,
            "origin": registry.origin(workflow),
            "inputs": {name: describe_input(value) for name, value in inputs.items()},
            "params": {name: to_json(value) for name, value in params.items()},
            "context": run_context(context, inputs, workflow),
            "engine": dict(engine),
            "versions": versions(workflow),
        }
        if folder is None and root is not None:
            folder = RunFolder.create(root, json.loads(json.dumps(request, default=repr)))
        recorder = cls(folder, request, listen)
        recorder.event("pending")
        return recorder

    @classmethod
    def resumed(cls, folder: RunFolder, listen: Callable[[dict[str, Any]], None] | None) -> Recorder:
        """Go on with the record of a run whose earlier attempt ended before its end."""
        recorder = cls(folder, folder.request(), listen)
        recorder.event("resumed")
        return recorder

    def begin(self, cancelled: Callable[[], bool], cancel: Callable[[], None]) -> None:
        """Record that the run is running, and keep its lease alive."""
        self._started = time.time()
        if self.folder is not None:
            self.folder.take_lease()
            self._handler = _LogHandler(self)
            logging.getLogger().addHandler(self._handler)
            threading.Thread(target=self._watch, args=(cancelled, cancel), name=f"lease-{self.id}", daemon=True).start()
        self.event("running")
        self._tell()

    def _watch(self, cancelled: Callable[[], bool], cancel: Callable[[], None]) -> None:
        assert self.folder is not None
        beat = time.monotonic()
        while not self._stop.wait(0.1):
            try:
                if not cancelled() and self.folder.cancel_requested():
                    cancel()
                if time.monotonic() - beat >= HEARTBEAT:
                    beat = time.monotonic()
                    self.folder.take_lease()
            except OSError:
                return  # the folder was taken away while the run goes on: nobody is left to read the lease

    def event(self, kind: str, *, task: str | None = None, **more: Any) -> None:
        """Record an event."""
        with self._lock:
            entry = {"time": time.time(), "kind": kind, "task": task, **more}
            self.events.append(entry)
            if self._file is not None:
                self._file.write(f"{_AS_JSON(entry)}\n".encode())
            if self._listen is not None:
                try:
                    self._listen(entry)
                except Exception:
                    self._listen = None  # who watches a run cannot harm it
                    self.log(f"the listener failed and is left out from here on\n{traceback.format_exc()}")

    def progress(self, task: str, fraction: float, message: str = "") -> None:
        """Record progress of a task, at most ten times a second."""
        now = time.monotonic()
        if fraction < 1 and now - self._reported.get(task, 0.0) < PROGRESS_EVERY:
            return
        self._reported[task] = now
        self.event("progress", task=task, fraction=round(fraction, 4), message=message)

    def progress_of(self, task: str) -> Callable[[float, str], None]:
        """Return what ``progress`` calls inside a task."""
        return lambda fraction, message: self.progress(task, fraction, message)

    def log_message(self, task: str, level: int, logger: str, text: str) -> None:
        """Append a log message of a task to ``log.txt``."""
        self.log(f"{logging.getLevelName(level)} {task} {logger}: {text}")

    def log(self, text: str) -> None:
        """Append to ``log.txt``."""
        if self.folder is not None:
            with self._lock, self.folder.log.open("a", encoding="utf-8") as handle:
                handle.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text.rstrip()}\n")

    def _tell(self, *, ended: bool = False) -> None:
        """Tell the shared catalogue and, at the end, the receivers of finished runs, where there are any."""
        if self.folder is not None:
            from .publish import announce, enter

            for problem in enter(self.folder.path) + (announce(self.folder.path, self.event) if ended else []):
                with contextlib.suppress(OSError):
                    self.log(problem)

    def save(self, outputs: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        """Write ``results.nxs``, and keep the summary for the end."""
        from .catalogue.summary import summarise

        self._summary = summarise(outputs)
        if self.folder is not None:
            from . import nexus

            nexus.write(self.folder.results, outputs, provenance)

    def end(self, state: str, message: str, error: BaseException | None) -> None:
        """Record the end of the run and close its files."""
        self._stop.set()
        if state == "failed" and error is not None and not any(item["kind"] == "failed" for item in self.events):
            self.log("".join(traceback.format_exception(error)))
        more: dict[str, Any] = {"summary": self._summary} if state == "succeeded" and self._summary else {}
        self.event(state, message=message, seconds=round(time.time() - self._started, 6), **more)
        self._tell(ended=True)
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        if self._file is not None:
            self._file.close()
            self._file = None

    def provenance(self, plan: Plan | None) -> dict[str, Any]:
        """Return workflow, parameters, versions, inputs, context, engine and timing of the run."""
        record = {**self.request, "run": self.id, "started": self._started, "ended": time.time()}
        if plan is not None:
            record["params"] = to_json(plan.params)
            record["tasks"] = {task_id: plan.derivation_id(task_id) for task_id in plan.tasks}
            record["input_ids"] = plan.input_ids
        return json.loads(json.dumps(record, default=repr))


class _LogHandler(logging.Handler):
    """Hands log messages of a run's own tasks to its log file."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def emit(self, record: logging.LogRecord) -> None:
        current = CONTEXT.get()
        if current is not None and current.run_id == self._recorder.id:
            self._recorder.log(f"{record.levelname} {current.task_id} {record.name}: {record.getMessage()}")


def describe_input(value: Any) -> Any:
    """Return what the request says of an input: its path, or what kind of value came from memory."""
    if isinstance(value, FileInput):
        return {
            "path": str(Path(value.file).absolute()) + (f"::{value.inside}" if value.inside else ""),
            "options": to_json(value.options),
        }
    if isinstance(value, (str, Path)):
        return {"path": str(Path(value).absolute())}
    if isinstance(value, (list, tuple)):
        return [describe_input(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if value is None or isinstance(value, (int, float, bool)):
        return {"value": value}
    return {"memory": type(value).__name__}


def versions(workflow: Algorithm[..., Any]) -> dict[str, str]:
    """Return the versions that a result depends on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for module in {workflow.function.__module__, "daisy_core", "numpy", "scipy" if "scipy" in sys.modules else "numpy"}:
        text = distribution_version(module)
        if text:
            name, _, number = text.rpartition(" ")
            found[name] = number
    return found
