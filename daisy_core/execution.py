"""The loop of one run: hands out ready jobs within the declared resources, collects outcomes, stops at the first failure."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from .algorithm import ReductionAlgorithm
from .context import Context
from .errors import Cancelled, RunError
from .executors import Executor, Job, Outcome
from .graph import Const, Ref, Several
from .keeping import Keeping
from .lifting import as_items, check_lengths, merge_chunks
from .plan import Plan, Task, Together, read_only
from .work import Work

if TYPE_CHECKING:
    from .engine import Run


@dataclass(frozen=True)
class Policy:
    """What a run may use and do when something goes wrong.

    Parameters
    ----------
    cpus, gpus : int
        What all tasks together may use at one time.
    retries : int
        How often a job is done again whose worker was lost, or that raised one of ``retry_on``.
    retry_on : tuple of exception types
        Errors after which a job is done again.
    grace : float
        Seconds between asking a job to stop and ending its process.
    """

    cpus: int
    gpus: int = 0
    retries: int = 1
    retry_on: tuple[type[BaseException], ...] = ()
    grace: float = 5.0


@dataclass
class _Chunks:
    """A lifted task whose chunks are being computed."""

    parts: list[Any]
    open: int
    seconds: float = 0.0


class Execution:
    """Runs a plan on an executor."""

    def __init__(self, run: Run, plan: Plan, executor: Executor, policy: Policy, keeping: Keeping) -> None:
        self.run = run
        self.plan = plan
        self.executor = executor
        self.policy = policy
        self.keeping = keeping
        self.results: dict[str, Any] = {}
        self.done: SimpleQueue[Outcome] = SimpleQueue()
        self.ready: deque[Job] = deque()
        self.running: dict[str, Job] = {}
        self.chunks: dict[str, _Chunks] = {}
        self.free = [policy.cpus, policy.gpus]
        self.stopping = False
        self.wanted, self.kept = self._choose()
        self.missing = {task_id: plan.tasks[task_id].needs() for task_id in self.wanted}
        self.users: dict[str, list[str]] = {}
        for task_id, needs in self.missing.items():
            for need in needs:
                self.users.setdefault(need, []).append(task_id)
        self.left = len(self.wanted) + len(self.kept)

    def _choose(self) -> tuple[list[str], list[str]]:
        """Return the tasks to compute, and those whose kept result is taken: nothing behind a kept result is computed."""
        if not self.keeping.has_any():
            return list(self.plan.tasks), []
        used = {need for task in self.plan.tasks.values() for need in task.needs()}
        finished = self.keeping.finished
        open_tasks = [task_id for task_id in self.plan.tasks if task_id not in used and task_id not in finished]
        open_tasks += [task_id for source in self.plan.outputs.values() for task_id in self.plan.sources(source)]
        seen: set[str] = set()
        kept: set[str] = set()
        while open_tasks:
            task_id = open_tasks.pop()
            if task_id in seen:
                continue
            seen.add(task_id)
            if self.keeping.has(self.plan.derivation_id(task_id)):
                kept.add(task_id)
            else:
                open_tasks += self.plan.tasks[task_id].needs()
        order = list(self.plan.tasks)
        return [item for item in order if item in seen - kept], [item for item in order if item in kept]

    # -- the whole run ------------------------------------------------------------------------------------------

    def loop(self) -> None:
        """Run all tasks and record the end of the run."""
        run = self.run
        run.state = "running"
        run.recorder.begin(run.cancelled, run.cancel)
        try:
            self._begin()
            self._drive()
            if run.cancelled() and self.left:
                raise Cancelled(f"run {run.id} was cancelled")
            run.outputs = {name: self._value(source) for name, source in self.plan.outputs.items()}
        except Cancelled as error:
            run.finish("cancelled", error)
        except Exception as error:
            run.finish("failed", error)
        except BaseException as error:
            run.finish("cancelled" if isinstance(error, KeyboardInterrupt) else "failed", error)
            raise
        else:
            run.finish("succeeded")
        finally:
            self.executor.close()

    def _begin(self) -> None:
        for task_id in self.plan.tasks:
            if task_id not in self.missing and task_id not in self.kept:
                self.run.tasks[task_id] = "skipped"
        for task_id in self.kept:
            self._take_kept(self.plan.tasks[task_id])
        for task_id in [task_id for task_id, needs in self.missing.items() if not needs]:
            if task_id not in self.run.tasks:
                self._prepare(self.plan.tasks[task_id])

    def _take_kept(self, task: Task) -> None:
        found = self.keeping.load(self.plan.derivation_id(task.id))
        if found is None:  # it was damaged: compute it after all, with what it needs
            self._recompute(task.id)
            return
        value, why = found
        self.run.recorder.event("cached", task=task.id, message=why)
        self._settle(task, value, "cached")

    def _recompute(self, task_id: str) -> None:
        needs = self.plan.tasks[task_id].needs()
        open_needs = {need for need in needs if need not in self.results}
        self.missing[task_id] = open_needs
        for need in open_needs:
            self.users.setdefault(need, []).append(task_id)
            if need not in self.missing and need not in self.kept:
                self.left += 1
                self.run.tasks.pop(need, None)
                self._recompute(need)
        if not open_needs:
            self._prepare(self.plan.tasks[task_id])

    def _drive(self) -> None:
        failure: BaseException | None = None
        while self.running or (self.ready and failure is None and not self.run.cancelled()):
            while failure is None and not self.run.cancelled() and (job := self._next()) is not None:
                self._start(job)
            if not self.running:
                break
            outcome = self._await()
            if outcome is None:
                continue
            del self.running[outcome.job.id]
            self._give_back(outcome.job)
            try:
                failure = self._hear(outcome, failure)
            except Exception as error:
                failure = failure or error
                self._failed(Outcome(outcome.job, error=error, trace=traceback.format_exc()))
        if failure is not None:
            raise failure

    def _hear(self, outcome: Outcome, failure: BaseException | None) -> BaseException | None:
        """Take an outcome in; return the failure that ends the run, if there is one."""
        if outcome.error is None:
            if failure is None:
                self._completed(outcome)
            return failure
        if failure is None and self._retry(outcome):
            return None
        self._failed(outcome)
        return failure or outcome.error

    def _await(self) -> Outcome | None:
        """Return the next outcome; None after a moment in which cancelling or a deadline was looked after."""
        deadlines = [job.deadline for job in self.running.values() if job.deadline is not None]
        try:
            if not deadlines and not self.run.watched:
                return self.done.get()
            return self.done.get(timeout=0.1)
        except Empty:
            pass
        if self.run.cancelled() and not self.stopping:
            self.stopping = True
            for job in list(self.running.values()):
                self.executor.stop(job, self.policy.grace)
        for job in list(self.running.values()):
            if job.deadline is not None and time.monotonic() > job.deadline and not job.stop.is_set():
                self.executor.stop(job, self.policy.grace)
        return None

    # -- jobs ---------------------------------------------------------------------------------------------------

    def _next(self) -> Job | None:
        """Return the next job whose resources are free."""
        for place, job in enumerate(self.ready):
            cpus, gpus = self._needs(job)
            if cpus <= self.free[0] and gpus <= self.free[1]:
                del self.ready[place]
                return job
            if place > 1000:
                return None
        return None

    def _needs(self, job: Job) -> tuple[int, int]:
        resources = job.task.algorithm.resources
        return min(resources.cpus * resources.ranks, self.policy.cpus), resources.gpus

    def _give_back(self, job: Job) -> None:
        cpus, gpus = self._needs(job)
        self.free[0] += cpus
        self.free[1] += gpus

    def _start(self, job: Job) -> None:
        cpus, gpus = self._needs(job)
        self.free[0] -= cpus
        self.free[1] -= gpus
        self.running[job.id] = job
        if job.task.id not in self.run.tasks:
            self.run.tasks[job.task.id] = "running"
            self.run.recorder.event("started", task=job.task.id, algorithm=job.task.algorithm.name)
        seconds = job.task.algorithm.resources.seconds
        if seconds is not None:
            job.deadline = time.monotonic() + seconds
        self.executor.start(job, self.done.put)

    def _retry(self, outcome: Outcome) -> bool:
        from .workers.lost import WorkerLost

        job = outcome.job
        again = isinstance(outcome.error, (WorkerLost, *self.policy.retry_on)) and not job.stop.is_set()
        if not again or job.attempt >= self.policy.retries or self.run.cancelled():
            return False
        job.attempt += 1
        self.run.recorder.event("retried", task=job.id, message=f"{type(outcome.error).__name__}: {outcome.error}")
        self.ready.appendleft(job)
        return True

    # -- tasks --------------------------------------------------------------------------------------------------

    def _prepare(self, task: Task) -> None:
        """Make the jobs of a task whose inputs are all there."""
        try:
            if task.algorithm.resources.gpus > self.policy.gpus:
                raise RunError(
                    f"node '{task.id}' ({task.algorithm.name}) needs {task.algorithm.resources.gpus} GPUs, "
                    f"the engine has {self.policy.gpus}: WorkflowEngine(..., gpus=...)"
                )
            values = {name: self._value(source) for name, source in task.inputs.items()}
            if task.kind == "call":
                self.ready.append(self._job(task, values))
            else:
                self._prepare_chunks(task, values)
        except Exception as error:
            self._failed(Outcome(self._job(task, {}), error=error, trace=traceback.format_exc()))
            raise

    def _job(self, task: Task, values: Mapping[str, Any], chunk: int | None = None) -> Job:
        job_id = task.id if chunk is None else f"{task.id}[{chunk}]"
        work = Work(task.algorithm, values, task.params, task.kind, task.lifted, task.source)
        recorder = self.run.recorder
        context = Context(
            run_id=self.run.id, task_id=job_id, threads=task.algorithm.resources.cpus,
            report=recorder.progress_of(job_id), cancelled=self.run.cancelled, log=recorder.log_record,
        )  # fmt: skip
        return Job(task, job_id, work, context, chunk)

    def _prepare_chunks(self, task: Task, values: dict[str, Any]) -> None:
        ports = task.algorithm.ports
        values = {**values, **{name: ports[name].default for name in task.lifted if name not in values}}
        many = {name: as_items(task.algorithm.name, ports[name], values[name]) for name in task.lifted}
        starts = list(range(0, check_lengths(task.algorithm.name, many), task.chunk))
        chunks = self.chunks[task.id] = _Chunks([None] * len(starts), len(starts))
        for index, start in enumerate(starts):
            found = self.keeping.load(self._chunk_key(task, index)) if self.keeping.has_any() else None
            if found is not None:
                chunks.parts[index] = found[0]
                chunks.open -= 1
                self.run.recorder.event("cached", task=f"{task.id}[{index}]", message=found[1])
                continue
            items = {name: sequence[start : start + task.chunk] for name, sequence in many.items()}
            self.ready.append(self._job(task, {**values, **items}, index))
        if chunks.open == 0:
            self._gathered(task)

    def _chunk_key(self, task: Task, index: int) -> str:
        return f"{self.plan.derivation_id(task.id)}.{index}"

    def _completed(self, outcome: Outcome) -> None:
        job, task = outcome.job, outcome.job.task
        seconds = outcome.ended - outcome.started
        if job.chunk is None:
            self._succeeded(task, outcome.value, seconds)
            return
        chunks = self.chunks[task.id]
        chunks.parts[job.chunk] = outcome.value
        chunks.open -= 1
        chunks.seconds += seconds
        if self.keeping.keeps_chunks:
            self.keeping.save(self._chunk_key(task, job.chunk), outcome.value, seconds, task, self.run.recorder)
        count = len(chunks.parts)
        self.run.recorder.progress(task.id, 1 - chunks.open / count, f"{count - chunks.open} of {count}")
        if chunks.open == 0:
            self._gathered(task)

    def _gathered(self, task: Task) -> None:
        if task.id not in self.run.tasks:
            self.run.tasks[task.id] = "running"
            self.run.recorder.event("started", task=task.id, algorithm=task.algorithm.name)
        chunks = self.chunks.pop(task.id)
        self._succeeded(task, _gather(task, chunks.parts), chunks.seconds)

    def _succeeded(self, task: Task, value: Any, seconds: float) -> None:
        self.keeping.save_task(self.plan, task, value, seconds, self.run.recorder)
        self.run.recorder.event("succeeded", task=task.id, seconds=round(seconds, 6))
        self._settle(task, value, "succeeded")

    def _settle(self, task: Task, value: Any, state: str) -> None:
        self.results[task.id] = read_only(value)
        self.run.tasks[task.id] = state
        self.left -= 1
        for user in self.users.get(task.id, ()):
            needs = self.missing[user]
            needs.discard(task.id)
            if not needs:
                self._prepare(self.plan.tasks[user])

    def _failed(self, outcome: Outcome) -> None:
        job = outcome.job
        over = job.deadline is not None and time.monotonic() > job.deadline and not self.run.cancelled()
        if over and isinstance(outcome.error, Cancelled):
            outcome.error = RunError(f"node '{job.id}' did not end within its walltime of {job.task.algorithm.resources.walltime}")
        state = "cancelled" if isinstance(outcome.error, Cancelled) else "failed"
        if self.run.failed_task is None:
            self.run.failed_task = job.id
        self.run.tasks[job.task.id] = state
        self.run.recorder.event(state, task=job.id, message=f"{type(outcome.error).__name__}: {outcome.error}")
        if state == "failed":
            self.run.recorder.log(f"node '{job.id}' ({job.task.algorithm.name}) failed\n{outcome.trace}")

    def _value(self, source: Any) -> Any:
        if isinstance(source, Const):
            return source.value
        if isinstance(source, Several):
            return [self._value(ref) for ref in source.items]
        if isinstance(source, Together):
            return source.kind(**{name: self._value(item) for name, item in source.items.items()})
        ref = cast("Ref", source)
        value = self.plan.values[ref.path[0]] if ref.node is None else self.results[ref.node]
        for part in ref.path[1:] if ref.node is None else ref.path:
            value = getattr(value, part)
        return value


def _gather(task: Task, parts: Sequence[Any]) -> Any:
    if task.kind == "reduce":
        return merge_chunks(cast("ReductionAlgorithm[Any]", task.algorithm), parts, task.params)
    return [item for part in parts for item in part]


