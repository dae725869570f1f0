"""A run is a folder: request, events, lease, cancel request, log, results. Whoever looks, looks there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import RunError

FORMAT = 1
STALE_AFTER = 10.0
"""Seconds without a heartbeat after which the engine process of another host is taken for lost."""
FINAL = ("succeeded", "failed", "cancelled")
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}\Z")


def default_root() -> Path:
    """Return the folder of all runs: ``DAISY_RUNS``, or ``runs`` in the working folder."""
    return Path(os.environ.get("DAISY_RUNS") or "runs")


def new_id() -> str:
    """Return a run id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def write_json(path: Path, content: Any) -> None:
    """Write JSON to a temporary name and rename it, so that nobody reads half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    text = json.dumps(content, indent=1, ensure_ascii=False)
    # File names that are not UTF-8 hold lone surrogates; as backslash escapes JSON gives the same names back.
    temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
    os.replace(temporary, path)


def process_start(pid: int) -> float | None:
    """Return when a process started (clock ticks since boot); None if it is gone or dead, or where nobody can tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else float(fields[19])


class RunFolder:
    """The folder of one run.

    Parameters
    ----------
    path : Path
        An existing run folder.

    Raises
    ------
    RunError
        If it is not a run folder, or was made by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not (self.path / "request.json").is_file():
            raise RunError(f"{self.path} is not a run folder (it has no request.json)")

    @classmethod
    def create(cls, root: Path, request: Mapping[str, Any]) -> RunFolder:
        """Make the folder of a new run under a root.

        Raises
        ------
        RunError
            If the root cannot be written.
        """
        run_id = new_id()
        path = Path(root) / run_id
        try:
            path.mkdir(parents=True)
            try:
                write_json(path / "request.json", {"format": FORMAT, "id": run_id, "submitted": time.time(), **request})
                (path / "events.jsonl").touch()
            except BaseException:
                shutil.rmtree(path, ignore_errors=True)  # half a run folder is none
                raise
        except OSError as error:
            raise RunError(
                f"cannot make a run folder in {root}: {error.strerror}; choose another with --runs or DAISY_RUNS"
            ) from error
        return cls(path)

    @classmethod
    def find(cls, run_id: str, root: Path | None = None) -> RunFolder:
        """Return the folder of a run by id.

        Raises
        ------
        RunError
            If the id is not one, or there is no such run.
        """
        if not _ID.match(run_id):
            raise RunError(f"'{run_id}' is not a run id; ids look like 20260131-120000-0a1b2c")
        path = (root or default_root()) / run_id
        if not path.is_dir():
            raise RunError(f"there is no run {run_id} in {root or default_root()}")
        return cls(path)

    @property
    def id(self) -> str:
        """The run's id, which is the folder's name."""
        return self.path.name

    def request(self) -> dict[str, Any]:
        """Return what was asked for.

        Raises
        ------
        RunError
            If the folder was made by a newer version.
        """
        content = json.loads((self.path / "request.json").read_text(encoding="utf-8"))
        if content.get("format", 0) > FORMAT:
            raise RunError(f"{self.path} was made by a newer version (format {content['format']}); update daisy-suite")
        return content

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events so far; a line that is still being written is left for the next time."""
        with (self.path / "events.jsonl").open(encoding="utf-8", errors="replace") as handle:
            for line in handle:
                if line.endswith("\n"):
                    with contextlib.suppress(json.JSONDecodeError):
                        yield json.loads(line)

    def state(self) -> str:
        """Return pending, running, succeeded, failed, cancelled or lost."""
        last = "pending"
        for event in self.events():
            if event.get("task") is None and event["kind"] in ("pending", "running", *FINAL):
                last = event["kind"]
        if last in FINAL:
            return last
        lease = self.lease()
        if lease is None:
            return last
        return last if _alive(lease) else "lost"

    def error(self) -> str | None:
        """Return why the run failed, None if it did not."""
        return next(
            (
                event.get("message")
                for event in self.events()
                if event["kind"] == "failed" and event.get("task") is None
            ),
            None,
        )

    def lease(self) -> dict[str, Any] | None:
        """Return who runs it: host, pid, start and heartbeat; None before it starts."""
        try:
            return json.loads((self.path / "lease.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return None

    def take_lease(self, pid: int | None = None) -> None:
        """Say which process runs it, this one by default, and renew the heartbeat."""
        pid = os.getpid() if pid is None else pid
        write_json(self.path / "lease.json", {
            "host": socket.gethostname(), "pid": pid, "started": process_start(pid), "heartbeat": time.time(),
        })  # fmt: skip

    def request_cancel(self) -> None:
        """Ask the run to stop, whoever runs it."""
        (self.path / "cancel").touch()

    def cancel_requested(self) -> bool:
        """True once somebody asked the run to stop."""
        return (self.path / "cancel").exists()

    @property
    def results(self) -> Path:
        """The NeXus file of the results."""
        return self.path / "results.nxs"

    @property
    def log(self) -> Path:
        """The log file."""
        return self.path / "log.txt"

    def delete(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path)

    def __repr__(self) -> str:
        return f"<run {self.id} {self.state()}>"


def _alive(lease: Mapping[str, Any]) -> bool:
    if lease["host"] == socket.gethostname():
        try:
            os.kill(lease["pid"], 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return lease["started"] is None or process_start(lease["pid"]) == lease["started"]
    return time.time() - lease["heartbeat"] < STALE_AFTER


def list_runs(root: Path | None = None) -> list[RunFolder]:
    """Return the runs under a root, newest first."""
    folder = root or default_root()
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if _ID.match(path.name) and (path / "request.json").is_file()]
    return [RunFolder(path) for path in sorted(paths, reverse=True)]
