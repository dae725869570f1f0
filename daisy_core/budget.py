"""CPUs and GPUs that the jobs of a run share: what was declared is never exceeded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from .errors import RunError
from .plan import Plan, Task


class Budget:
    """What jobs may use together. A job waits until all that it declared is free at once."""

    def __init__(self, cpus: int, gpus: int, *, limits: bool) -> None:
        self._cpus = cpus
        self._gpus = gpus
        self._free = [cpus, gpus]
        self._limits = limits
        self._changed = threading.Condition()

    @classmethod
    def of(cls, plan: Plan, cpus: int, gpus: int) -> Budget:
        """Return the budget of a plan; where every job needs one CPU, the number of workers is limit enough."""
        needs = {(task.algorithm.resources.cpus, task.algorithm.resources.gpus) for task in plan.tasks.values()}
        return cls(cpus, gpus, limits=bool(needs - {(1, 0)}))

    def check(self, task: Task) -> None:
        """Refuse a task that can never run.

        Raises
        ------
        RunError
            If it needs more GPUs than there are.
        """
        gpus = task.algorithm.resources.gpus
        if gpus > self._gpus:
            raise RunError(
                f"node '{task.id}' ({task.algorithm.name}) needs {gpus} GPU{'s' * (gpus > 1)}, but the engine was given "
                f"{self._gpus}: WorkflowEngine(..., gpus={gpus})"
            )

    @contextmanager
    def taken(self, task: Task, stopped: Callable[[], bool]) -> Generator[bool]:
        """Hold what a task declared while the block runs; False where the run was stopped before it was free."""
        if not self._limits:
            yield True
            return
        resources = task.algorithm.resources
        cpus, gpus = min(resources.cpus, self._cpus), resources.gpus
        with self._changed:
            while cpus > self._free[0] or gpus > self._free[1]:
                self._changed.wait(0.1)
                if stopped():
                    yield False
                    return
            self._free[0] -= cpus
            self._free[1] -= gpus
        try:
            yield True
        finally:
            with self._changed:
                self._free[0] += cpus
                self._free[1] += gpus
                self._changed.notify_all()
