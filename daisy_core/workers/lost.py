"""The error of a task whose worker died."""

from __future__ import annotations

from ..errors import RunError


class WorkerLost(RunError):
    """A worker process ended in the middle of a task."""
