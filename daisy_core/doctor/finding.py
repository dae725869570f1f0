"""A finding, and the two ways of asking: running a program, reading a file."""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

State = Literal["found", "missing", "problem", "broken"]
TIMEOUT = 8.0
"""Seconds that one question may take."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes
    ----------
    group, name : str
        ``"programs"``, ``"apptainer"``.
    state : {"found", "missing", "problem", "broken"}
        ``problem`` is there but does not do its work; ``broken`` means that the kernel itself cannot work.
    detail : str
        Version, size, or what is wrong.
    enables : str
        What it is for.
    remedy : str
        How to get it.
    """

    group: str
    name: str
    state: State
    detail: str = ""
    enables: str = ""
    remedy: str = ""


Probe = Callable[[], Iterable[Finding]]


def ask(words: Sequence[str], timeout: float = TIMEOUT) -> tuple[int, str] | None:
    """Run a program in an empty folder and return its exit status and what it wrote; None if it gives no answer in time.

    What it writes goes to a file and not into a pipe, which a child of a killed program could hold open for ever.
    """
    import subprocess

    with tempfile.TemporaryDirectory(prefix="daisy-doctor-") as folder, tempfile.TemporaryFile() as out:
        try:
            process = subprocess.Popen(
                list(words), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return 127, str(error.strerror)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(2)
            return None
        out.seek(0)
        return status, out.read(100_000).decode("utf-8", errors="replace")


def version_in(text: str) -> str:
    """Return the first version number in what a program wrote."""
    found = re.search(r"\d+(\.\d+)+\S*", text) or re.search(r"VERSION\s+([^)\n]+)", text, re.IGNORECASE)
    return found[0].strip(",;()") if found else ""


def version_of(name: str) -> str:
    """Return the version of an installed distribution; empty where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def text_of(path: str | Path) -> str:
    """Return the text of a file; empty where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def size(count: int) -> str:
    """Return a number of bytes for people."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}"
