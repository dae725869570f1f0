"""A command that runs: waited for, ended with all that it started, and quoted when it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from ..context import context
from ..errors import Cancelled, RunError

POLL = 0.02
"""Seconds between two looks at whether the command has ended or its run was cancelled."""


def wait(process: subprocess.Popen[bytes], seconds: float, where: str) -> int:
    """Wait for the end of a command; end it, and all that it started, when its run is cancelled or its time is over."""
    end = time.monotonic() + seconds if seconds else None
    cancelled = context().cancelled
    try:
        while True:
            try:
                return process.wait(POLL)
            except subprocess.TimeoutExpired:
                if cancelled is not None and cancelled():
                    raise Cancelled(f"{where}: cancelled") from None
                if end is not None and time.monotonic() > end:
                    raise RunError(f"{where}: the command took longer than its time limit of {seconds:g} s") from None
    finally:
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes], grace: float = 2.0) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
        except ProcessLookupError:
            break
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            continue
        break


def tail(path: Path, size: int = 2000) -> str:
    """Return the last lines of a file."""
    if not path.is_file():
        return ""
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - size))
        return "\n".join(handle.read().decode(errors="replace").strip().splitlines()[-10:])
