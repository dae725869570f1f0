"""Which results a run keeps on disk, and which kept results it may take."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

from .checkpoints import Corrupted, ResultFiles
from .plan import Plan, Task, tasks_in

if TYPE_CHECKING:
    from .recorder import Recorder

CheckpointPolicy = Literal["all", "costly", "none"]
COSTLY = 1.0
"""Seconds from which a task is costly."""


class Keeping:
    """The checkpoints of a run and the cache of all runs.

    Parameters
    ----------
    checkpoints : ResultFiles, optional
        The folder ``tasks`` of the run.
    policy : {"none", "costly", "all"}
        Which tasks are checkpointed: all (and the chunks of lifted ones), those that took more than a second, or none.
    cache : ResultFiles, optional
        Results of all runs.
    finished : collection of str
        Tasks that an earlier attempt at the same run has finished.
    resuming : bool
        The run goes on after an earlier attempt, so its checkpoints are looked at.
    """

    def __init__(
        self, checkpoints: ResultFiles | None = None, policy: CheckpointPolicy = "none", cache: ResultFiles | None = None,
        finished: Collection[str] = (), *, resuming: bool = False,
    ) -> None:  # fmt: skip
        self._checkpoints = checkpoints
        self._policy: CheckpointPolicy = policy if checkpoints is not None else "none"
        self._cache = cache
        self.finished = finished
        self.resuming = resuming

    @property
    def keeps_chunks(self) -> bool:
        """True where the chunks of lifted tasks are checkpointed one by one."""
        return self._policy == "all"

    def choose(self, plan: Plan) -> dict[str, tuple[Any, str]]:
        """Return the kept results that the run takes, and where each was found.

        From the outputs backwards: nothing that only a kept result needed is looked for.
        """
        if self._cache is None and not self.resuming:
            return {}
        kept: dict[str, tuple[Any, str]] = {}
        seen: set[str] = set()
        todo = self._ends(plan)
        while todo:
            task_id = todo.pop()
            if task_id in seen:
                continue
            seen.add(task_id)
            found = self.load(plan.derivation_id(task_id))
            if found is not None:
                kept[task_id] = found
            else:
                todo += plan.tasks[task_id].needs()
        return {task_id: kept[task_id] for task_id in plan.tasks if task_id in kept}

    def needed(self, plan: Plan, kept: Mapping[str, Any]) -> list[str]:
        """Return the tasks to compute when these results are kept, in order."""
        if self._cache is None and not self.resuming:
            return list(plan.tasks)
        needed: set[str] = set()
        todo = self._ends(plan)
        while todo:
            task_id = todo.pop()
            if task_id not in needed and task_id not in kept:
                needed.add(task_id)
                todo += plan.tasks[task_id].needs()
        return [task_id for task_id in plan.tasks if task_id in needed]

    def _ends(self, plan: Plan) -> list[str]:
        """Return where the need begins: the outputs, and unfinished tasks that nobody uses."""
        used = {need for task in plan.tasks.values() for need in task.needs()}
        unused = [task_id for task_id in plan.tasks if task_id not in used and task_id not in self.finished]
        return unused + [task_id for source in plan.outputs.values() for task_id in tasks_in(source)]

    def load(self, key: str) -> tuple[Any, str] | None:
        """Return a kept result and where it was found; None where there is none, or it is damaged."""
        for store, where in self._stores():
            try:
                return store.get(key), where
            except (KeyError, Corrupted):
                continue
            except Exception:
                store.remove(key)  # it was written by code that is no longer there
        return None

    def _stores(self) -> list[tuple[ResultFiles, str]]:
        stores: list[tuple[ResultFiles, str]] = []
        if self._checkpoints is not None and self.resuming:
            stores.append((self._checkpoints, "checkpoint of this run"))
        if self._cache is not None:
            stores.append((self._cache, "same algorithm, version, source, parameters and inputs in the cache"))
        return stores

    def save_task(self, plan: Plan, task: Task, value: Any, seconds: float, recorder: Recorder) -> None:
        """Keep the result of a task where the policy asks for it; files are read again rather than kept."""
        if self._policy == "none" and self._cache is None:
            return
        if self._cache is not None and task.source is None:
            self._put(self._cache, plan.derivation_id(task.id), value, task, recorder)
        if self._policy == "all" or (self._policy == "costly" and seconds >= COSTLY):
            self.save(plan.derivation_id(task.id), value, task, recorder)

    def save(self, key: str, value: Any, task: Task, recorder: Recorder) -> None:
        """Checkpoint a result."""
        if self._checkpoints is not None:
            self._put(self._checkpoints, key, value, task, recorder)

    def _put(self, store: ResultFiles, key: str, value: Any, task: Task, recorder: Recorder) -> None:
        """Keep a result; a full disk or a value that cannot be pickled costs the checkpoint, never the run."""
        try:
            store.put(key, value, {"algorithm": task.algorithm.name, "task": task.id})
        except (OSError, TypeError, AttributeError, pickle.PicklingError) as error:
            recorder.event("warning", task=task.id, message=f"its result could not be kept: {error}")
