"""Where an algorithm runs: resources, device, scratch folder, and how it reports to whoever runs it."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from .errors import Cancelled, ParameterError


@dataclass(frozen=True)
class Resources:
    """What one call of an algorithm needs.

    Parameters
    ----------
    cpus : int
        Threads that the call may use.
    memory : str, optional
        For example ``"4 GB"``.
    gpus : int
        Accelerators.
    ranks : int
        Processes of one gang task, started all or none.
    walltime : str, optional
        For example ``"00:30:00"``.
    """

    cpus: int = 1
    memory: str | None = None
    gpus: int = 0
    ranks: int = 1
    walltime: str | None = None

    @property
    def seconds(self) -> float | None:
        """The walltime in seconds, None without one.

        Raises
        ------
        ParameterError
            If it is not ``HH:MM:SS``, ``MM:SS`` or a number of seconds.
        """
        if self.walltime is None:
            return None
        try:
            parts = [float(part) for part in self.walltime.split(":")]
        except ValueError:
            parts = []
        if not 1 <= len(parts) <= 3 or min(parts) < 0:
            raise ParameterError(f"walltime '{self.walltime}' is not HH:MM:SS")
        return sum(part * 60**power for power, part in enumerate(reversed(parts)))


@functools.cache
def _temporary_folder() -> Path:
    return Path(tempfile.gettempdir())


@dataclass(frozen=True)
class Context:
    """The surroundings of a running algorithm: recorded with the run, never part of a result's identity."""

    run_id: str | None = None
    task_id: str | None = None
    device: str = "cpu"
    threads: int = 1
    scratch: Path = field(default_factory=_temporary_folder)
    report: Callable[[float, str], None] | None = None
    cancelled: Callable[[], bool] | None = None


CONTEXT: ContextVar[Context | None] = ContextVar("daisy_context", default=None)


def context() -> Context:
    """Return where this call runs: set by the engine, plain defaults outside one."""
    return CONTEXT.get() or Context()


def progress(fraction: float, message: str = "") -> None:
    """Report how far a long algorithm is, and stop there if its run was cancelled.

    Outside an engine it does nothing.

    Parameters
    ----------
    fraction : float
        From 0 to 1.
    message : str
        A few words for the person who watches.

    Raises
    ------
    Cancelled
        If the run was asked to stop.
    """
    current = CONTEXT.get()
    if current is None:
        return
    if current.cancelled is not None and current.cancelled():
        raise Cancelled(f"cancelled at {fraction:.0%}{': ' + message if message else ''}")
    if current.report is not None:
        current.report(min(max(float(fraction), 0.0), 1.0), message)
