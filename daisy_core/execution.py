"""The loop of one run: hands out the jobs of ready tasks, collects outcomes, stops at the first failure."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from .algorithm import ReductionAlgorithm
from .budget import Budget
from .context import Context
from .errors import Cancelled
from .graph import Const, Several
from .keeping import Keeping
from .lifting import as_items, check_lengths, merge_chunks
from .plan import Plan, Source, Task, Together, read_only
from .work import Work, perform

if TYPE_CHECKING:
    from .engine import Run


@dataclass(frozen=True)
class Policy:
    """How a run goes about its jobs.

    Parameters
    ----------
    workers : int
        Jobs at one time.
    gpus : int
        Accelerators that all jobs together may use.
    retries : int
        How often a job is done again whose worker process was lost, or that raised one of ``retry_on``.
    retry_on : tuple of exception types
        Errors after which a job is done again.
    """

    workers: int = 1
    gpus: int = 0
    retries: int = 1
    retry_on: tuple[type[BaseException], ...] = ()


Perform = Callable[[Work, Context], Any]
"""Does a piece of work somewhere and returns its result, or raises its error."""


@dataclass
class _Job:
    """A piece of work for one worker: a task, or one chunk of a lifted task."""

    task: Task
    id: str
    work: Work
    chunk: int | None = None


@dataclass
class _Outcome:
    job: _Job
    value: Any = None
    error: BaseException | None = None
    skipped: bool = False
    seconds: float = 0.0
    trace: str = ""


@dataclass
class _Pending:
    """A lifted task whose chunks are being computed."""

    parts: list[Any]
    open: int
    seconds: float = 0.0


class Execution:
    """The loop of one run: hands out the jobs of ready tasks, collects outcomes, stops at the first failure.

    Workers take jobs from one queue and ask before each whether the run goes on, so that handing out costs little and a
    run still stops at once. Only the loop changes the state of the run.
    """

    def __init__(
        self, run: Run, plan: Plan, policy: Policy, keeping: Keeping, make_performer: Callable[[], Perform] | None
    ) -> None:
        self.run = run
        self.plan = plan
        self.policy = policy
        self.keeping = keeping
        self.make_performer = make_performer
        self.inline = make_performer is None
        self.budget = Budget.of(plan, policy.workers, policy.gpus)
        self.results: dict[str, Any] = {}
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.done: SimpleQueue[_Outcome] = SimpleQueue()
        self.open = 0
        self.threads: list[threading.Thread] = []
        self.failure: BaseException | None = None
        self.stop = False
        self.pending: dict[str, _Pending] = {}
        self.kept = keeping.choose(plan)
        self.wanted = keeping.needed(plan, self.kept)
        self.missing = {task_id: plan.tasks[task_id].needs() for task_id in self.wanted}
        self.users: dict[str, list[str]] = {task_id: [] for task_id in plan.tasks}
        for task_id, needs in self.missing.items():
            for need in needs:
                self.users[need].append(task_id)
        self.left = len(self.wanted) + len(self.kept)
        self._lock = threading.Lock()

    def loop(self) -> None:
        """Run all tasks and record the end of the run."""
        run = self.run
        run.state = "running"
        try:
            run.recorder.begin(run.cancelled, run.cancel)
            self._begin()
            while self.open:
                outcome = self._execute(cast("_Job", self.jobs.get()), perform) if self.inline else self.done.get()
                self.open -= 1
                self._collect(outcome)
            if self.failure is not None:
                raise self.failure
            if self.left:
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
            for _ in self.threads:
                self.jobs.put(None)

    def _begin(self) -> None:
        """Take the kept results, and hand out what needs nothing."""
        first = [task_id for task_id, needs in self.missing.items() if not needs]
        for task_id in self.plan.tasks:
            if task_id not in self.missing and task_id not in self.kept:
                self.run.tasks[task_id] = "skipped"
        for task_id, (value, why) in self.kept.items():
            self.run.recorder.event("cached", task=task_id, message=why)
            self._settle(self.plan.tasks[task_id], value, "cached")
        for task_id in first:
            self._prepare(self.plan.tasks[task_id])

    def _hand_out(self, job: _Job) -> None:
        self.open += 1
        self.jobs.put(job)
        if not self.inline and len(self.threads) < min(self.policy.workers, self.open):
            name = f"daisy-{self.run.id}-{len(self.threads)}"
            self.threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self.threads[-1].start()

    def _work(self) -> None:
        assert self.make_performer is not None
        performer = self.make_performer()
        try:
            for job in iter(self.jobs.get, None):
                self.done.put(self._execute(job, performer))
        finally:
            close = getattr(performer, "close", None)
            if close is not None:
                close()

    def _stopped(self) -> bool:
        return self.stop or self.run.cancelled()

    # -- one task -----------------------------------------------------------------------------------------------

    def _prepare(self, task: Task) -> None:
        """Hand out the jobs of a task whose inputs are all there."""
        try:
            self.budget.check(task)
            values = {name: self._value(source) for name, source in task.inputs.items()}
            if task.kind == "call":
                self._hand_out(_Job(task, task.id, _work_of(task, values)))
            else:
                self._prepare_chunks(task, values)
        except Exception as error:
            self._failed(_Outcome(_Job(task, task.id, _work_of(task, {})), error=error, trace=traceback.format_exc()))

    def _prepare_chunks(self, task: Task, values: dict[str, Any]) -> None:
        ports = task.algorithm.ports
        defaults = {name: ports[name].default for name in task.lifted if name not in values}
        values = {**values, **defaults}
        many = {name: as_items(task.algorithm.name, ports[name], values[name]) for name in task.lifted}
        length = check_lengths(task.algorithm.name, many)
        starts = list(range(0, length, task.chunk))
        pending = self.pending[task.id] = _Pending([None] * len(starts), len(starts))
        for index, start in enumerate(starts):
            found = self.keeping.load(self._chunk_key(task, index)) if self.keeping.resuming else None
            if found is not None:
                pending.parts[index] = found[0]
                pending.open -= 1
                self.run.recorder.event("cached", task=f"{task.id}[{index}]", message=found[1])
                continue
            items = {name: sequence[start : start + task.chunk] for name, sequence in many.items()}
            self._hand_out(_Job(task, f"{task.id}[{index}]", _work_of(task, {**values, **items}), index))
        if pending.open == 0:
            self._started(task)
            self._gathered(task)

    def _chunk_key(self, task: Task, index: int) -> str:
        return f"{self.plan.derivation_id(task.id)}.{index}"

    def _started(self, task: Task) -> None:
        """Record that a worker has taken a task, or the first chunk of it."""
        with self._lock:
            if task.id in self.run.tasks:
                return
            self.run.tasks[task.id] = "running"
        self.run.recorder.event("started", task=task.id, algorithm=task.algorithm.name)

    def _execute(self, job: _Job, performer: Perform) -> _Outcome:
        """Run one job, in whatever thread this is, unless the run has been stopped."""
        if self._stopped():
            return _Outcome(job, skipped=True)
        with self.budget.taken(job.task, self._stopped) as granted:
            if not granted:
                return _Outcome(job, skipped=True)
            self._started(job.task)
            return self._attempt(job, performer)

    def _attempt(self, job: _Job, performer: Perform) -> _Outcome:
        run = self.run
        outcome = _Outcome(job)
        context = Context(
            run_id=run.id, task_id=job.id, threads=job.task.algorithm.resources.cpus,
            report=run.recorder.progress_of(job.id), cancelled=run.cancelled,
        )  # fmt: skip
        began = time.perf_counter()
        for attempt in range(self.policy.retries + 1):
            try:
                outcome.value, outcome.error = performer(job.work, context), None
                break
            except BaseException as error:
                outcome.error = error
                outcome.trace = getattr(error, "remote_traceback", None) or traceback.format_exc()
                if attempt == self.policy.retries or not self._again(job, error):
                    self.stop = True  # the other workers take no further job, even before the loop hears of this one
                    break
        outcome.seconds = time.perf_counter() - began
        return outcome

    def _again(self, job: _Job, error: BaseException) -> bool:
        from .workers.remote import WorkerLost

        if self._stopped() or not isinstance(error, (WorkerLost, *self.policy.retry_on)):
            return False
        self.run.recorder.event("retried", task=job.id, message=f"{type(error).__name__}: {error}")
        return True

    def _collect(self, outcome: _Outcome) -> None:
        """Take the outcome of a job into the state of the run."""
        task = outcome.job.task
        if outcome.skipped:
            if self.run.tasks.get(task.id) == "running":  # some of its chunks ran
                self.run.tasks[task.id] = "cancelled"
                self.run.recorder.event("cancelled", task=task.id)
        elif outcome.error is not None:
            self._failed(outcome)
        else:
            try:
                self._completed(outcome)
            except Exception as error:
                self._failed(_Outcome(outcome.job, error=error, trace=traceback.format_exc()))

    def _completed(self, outcome: _Outcome) -> None:
        job = outcome.job
        if job.chunk is None:
            self._store(job.task, outcome.value, outcome.seconds)
            return
        pending = self.pending[job.task.id]
        pending.parts[job.chunk] = outcome.value
        pending.open -= 1
        pending.seconds += outcome.seconds
        if self.keeping.keeps_chunks:
            self.keeping.save(self._chunk_key(job.task, job.chunk), outcome.value, job.task, self.run.recorder)
        count = len(pending.parts)
        self.run.recorder.progress(job.task.id, 1 - pending.open / count, f"{count - pending.open} of {count}")
        if pending.open == 0:
            self._gathered(job.task)

    def _gathered(self, task: Task) -> None:
        pending = self.pending.pop(task.id)
        self._store(task, _gather(task, pending.parts), pending.seconds)

    def _store(self, task: Task, value: Any, seconds: float) -> None:
        self.keeping.save_task(self.plan, task, value, seconds, self.run.recorder)
        self.run.recorder.event("succeeded", task=task.id, seconds=round(seconds, 6))
        self._settle(task, value, "succeeded")

    def _settle(self, task: Task, value: Any, state: str) -> None:
        """Enter a result, and hand out what waited for it alone."""
        self.results[task.id] = read_only(value)
        self.run.tasks[task.id] = state
        self.left -= 1
        for user in self.users[task.id]:
            needs = self.missing[user]
            needs.discard(task.id)
            if not needs and not self._stopped():
                self._prepare(self.plan.tasks[user])

    def _failed(self, outcome: _Outcome) -> None:
        task_id = outcome.job.id
        self.stop = True
        self.failure = self.failure or outcome.error
        state = "cancelled" if isinstance(outcome.error, Cancelled) else "failed"
        if self.run.failed_task is None:
            self.run.failed_task = task_id
        self.run.tasks[outcome.job.task.id] = state
        message = f"{type(outcome.error).__name__}: {outcome.error}"
        self.run.recorder.event(state, task=task_id, message=message)
        if state == "failed":
            self.run.recorder.log(f"node '{task_id}' ({outcome.job.task.algorithm.name}) failed\n{outcome.trace}")

    def _value(self, source: Source) -> Any:
        if isinstance(source, Const):
            return source.value
        if isinstance(source, Several):
            return [self._value(ref) for ref in source.items]
        if isinstance(source, Together):
            return source.kind(**{name: self._value(item) for name, item in source.items.items()})
        value = self.plan.values[source.path[0]] if source.node is None else self.results[source.node]
        for part in source.path[1:] if source.node is None else source.path:
            value = getattr(value, part)
        return value


def _work_of(task: Task, values: Mapping[str, Any]) -> Work:
    return Work(task.algorithm, values, task.params, task.kind, task.lifted, task.source)


def _gather(task: Task, parts: Sequence[Any]) -> Any:
    if task.kind == "reduce":
        return merge_chunks(cast("ReductionAlgorithm[Any]", task.algorithm), parts, task.params)
    return [item for part in parts for item in part]
