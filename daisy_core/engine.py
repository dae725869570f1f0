"""WorkflowEngine: where and how a workflow runs, never what it computes."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, cast

from .algorithm import TRACE, Algorithm, ReductionAlgorithm
from .context import CONTEXT, Context
from .errors import Cancelled, DaisyError, ParameterError, RunError
from .graph import Const, Ref, Several
from .lifting import as_items, check_lengths, fold_chunk, merge_chunks
from .plan import Plan, Task, Together, make_plan, read_only
from .recorder import Recorder
from .runs import RunFolder
from .signature import is_named_tuple

Kind = Literal["inline", "threads"]


class WorkflowEngine:
    """Runs algorithms and workflows: the same results wherever it runs them.

    Parameters
    ----------
    kind : {"inline", "threads"}
        In the calling thread, or in a pool of threads of this process.
    workers : int, optional
        Threads of the pool; by default as many as there are CPUs.
    runs : path, optional
        Folder of runs; where it is given, each run leaves a folder with request, events, log and results.

    Examples
    --------
    >>> from daisy_core import algorithm
    >>> @algorithm
    ... def double(x: float) -> float:
    ...     return 2 * x
    >>> WorkflowEngine("inline").run(double, {"x": 3.0}).result()
    6.0
    """

    def __init__(
        self, kind: Kind = "inline", *, workers: int | None = None, runs: str | os.PathLike[str] | None = None
    ) -> None:
        if kind not in ("inline", "threads"):
            raise ParameterError(f"WorkflowEngine: unknown kind '{kind}'; this version has: inline, threads")
        if workers is not None and workers < 1:
            raise ParameterError(f"WorkflowEngine: workers must be at least 1; got {workers}")
        self.kind = kind
        self.workers = 1 if kind == "inline" else workers or os.cpu_count() or 1
        self.runs = None if runs is None else Path(runs)

    def run(self, workflow: Algorithm[..., Any], inputs: Mapping[str, Any], params: Mapping[str, Any] | None = None, *,
            context: Mapping[str, Any] | None = None, listen: Callable[[dict[str, Any]], None] | None = None) -> Run:  # fmt: skip
        """Run to the end and return the finished run.

        Parameters
        ----------
        workflow : Algorithm or Workflow
            What to run.
        inputs : mapping
            Value, path or :class:`~daisy_core.reading.FileInput` of each input port.
        params : mapping, optional
            Parameters; those of nodes as ``"node.parameter"``.
        context : mapping, optional
            Proposal, sample, scan, beamline, user and free keys; recorded with the run.
        listen : callable, optional
            Called with each event.

        Raises
        ------
        RunError
            If the run fails; its ``__cause__`` is the error of the node.
        Cancelled
            If the run was cancelled.
        """
        run = self.submit(workflow, inputs, params, context=context, listen=listen)
        run.result()
        return run

    def submit(self, workflow: Algorithm[..., Any], inputs: Mapping[str, Any], params: Mapping[str, Any] | None = None, *,
               context: Mapping[str, Any] | None = None, listen: Callable[[dict[str, Any]], None] | None = None,
               folder: RunFolder | None = None) -> Run:  # fmt: skip
        """Start a run and return it; with ``inline`` it has ended when this returns.

        What is wrong before the first task (unknown parameters, missing files, a bad graph) is recorded as a failed run too.
        """
        recorder = Recorder.start(
            self.runs, folder, workflow, inputs, params or {}, context or {}, self.describe(), listen
        )
        run = Run(recorder, workflow)
        try:
            run.plan = make_plan(workflow, inputs, params or {})
        except Exception as error:
            run.finish("failed", error)
            raise
        execution = _Execution(run, run.plan, self.workers, inline=self.kind == "inline")
        if self.kind == "inline":
            execution.loop()
        else:
            run.thread = threading.Thread(target=execution.loop, name=f"daisy-{run.id}", daemon=True)
            run.thread.start()
        return run

    def describe(self) -> dict[str, Any]:
        """Return the engine as recorded in a run's request."""
        return {"kind": self.kind, "workers": self.workers}

    def __repr__(self) -> str:
        return f"WorkflowEngine({self.kind!r}, workers={self.workers})"


class Run:
    """One run: its state, events, results and provenance.

    Attributes
    ----------
    state : str
        pending, running, succeeded, failed or cancelled.
    tasks : dict
        State of each task by id.
    error : Exception or None
        The error that ended it.
    """

    def __init__(self, recorder: Recorder, workflow: Algorithm[..., Any]) -> None:
        self.recorder = recorder
        self.workflow = workflow
        self.plan: Plan | None = None
        self.thread: threading.Thread | None = None
        self.state = "pending"
        self.tasks: dict[str, str] = {}
        self.error: BaseException | None = None
        self.outputs: dict[str, Any] = {}
        self.failed_task: str | None = None
        self._ended = threading.Event()
        self._cancel = threading.Event()
        self._outer = CONTEXT.get()  # of the task that started this run, where one did

    @property
    def id(self) -> str:
        """The run's id."""
        return self.recorder.id

    @property
    def folder(self) -> RunFolder | None:
        """The run's folder, None for a run that is not recorded on disk."""
        return self.recorder.folder

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events so far."""
        return iter(list(self.recorder.events))

    def cancel(self) -> None:
        """Ask the run to stop: running algorithms end at their next ``progress``, no new task starts."""
        self._cancel.set()
        if self.folder is not None:
            self.folder.request_cancel()

    def cancelled(self) -> bool:
        """True once the run was asked to stop."""
        outer = self._outer.cancelled if self._outer is not None else None
        return self._cancel.is_set() or (outer is not None and outer())

    def wait(self, timeout: float | None = None) -> Run:
        """Wait until the run has ended.

        Raises
        ------
        TimeoutError
            If it has not ended in time.
        """
        if not self._ended.wait(timeout):
            raise TimeoutError(f"run {self.id} is still {self.state} after {timeout} s")
        return self

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return what the workflow returns.

        Raises
        ------
        RunError
            If the run failed; its ``__cause__`` is the error of the node.
        Cancelled
            If it was cancelled.
        """
        self.wait(timeout)
        if self.state == "cancelled":
            raise Cancelled(f"run {self.id} was cancelled")
        if self.error is not None:
            raise RunError(f"run {self.id} of {self.workflow.name} failed: {self.reason()}") from self.error
        output = self.workflow.signature.output
        return output(**self.outputs) if is_named_tuple(output) else self.outputs["result"]

    def reason(self) -> str:
        """Return why the run failed: the node and the message."""
        if self.error is None:
            return ""
        where = f"node '{self.failed_task}': " if self.failed_task else ""
        kind = "" if isinstance(self.error, DaisyError) else f"{type(self.error).__name__}: "
        return f"{where}{kind}{self.error}"

    def provenance(self) -> dict[str, Any]:
        """Return the record that goes into every output file."""
        return self.recorder.provenance(self.plan)

    def finish(self, state: str, error: BaseException | None = None) -> None:
        """Record the end; the run's results are written first, so that a succeeded run has them."""
        self.error = error
        if state == "succeeded":
            try:
                self.recorder.save(self.outputs, self.provenance())
            except Exception as problem:
                state, self.error = "failed", problem
        self.state = state
        try:
            self.recorder.end(state, self.reason(), self.error)
        finally:
            self._ended.set()

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.workflow.name}: {self.state}>"

    def _repr_html_(self) -> str:
        from .views import run_html

        return run_html(self)


@dataclass
class _Job:
    """A piece of work for one worker: a task, or one chunk of a lifted task."""

    task: Task
    id: str
    work: Callable[[], Any]
    chunk: int | None = None


@dataclass
class _Outcome:
    job: _Job
    value: Any = None
    error: BaseException | None = None
    started: float = 0.0
    ended: float = 0.0
    trace: str = ""


@dataclass
class _Pending:
    """A lifted task whose chunks are being computed."""

    parts: list[Any]
    open: int = 0
    left: int = field(default=0)


class _Execution:
    """The loop of one run: hands out ready tasks, collects outcomes, stops at the first failure."""

    def __init__(self, run: Run, plan: Plan, workers: int, *, inline: bool) -> None:
        self.run = run
        self.plan = plan
        self.workers = workers
        self.inline = inline
        self.results: dict[str, Any] = {}
        self.done: SimpleQueue[_Outcome] = SimpleQueue()
        self.ready: deque[_Job] = deque()
        self.pending: dict[str, _Pending] = {}
        self.missing = {task_id: task.needs() for task_id, task in plan.tasks.items()}
        self.users: dict[str, list[str]] = {task_id: [] for task_id in plan.tasks}
        for task_id, needs in self.missing.items():
            for need in needs:
                self.users[need].append(task_id)
        self.left = len(plan.tasks)

    def loop(self) -> None:
        """Run all tasks and record the end of the run."""
        run = self.run
        run.state = "running"
        run.recorder.begin(run.cancelled, run.cancel)
        pool = None if self.inline else ThreadPoolExecutor(self.workers, thread_name_prefix=f"daisy-{run.id}")
        try:
            for task_id in [task_id for task_id, needs in self.missing.items() if not needs]:
                self._prepare(self.plan.tasks[task_id])
            self._drive(pool)
            if run.cancelled() and self.left:
                raise Cancelled(f"run {run.id} was cancelled")
            run.outputs = {name: self._value(binding) for name, binding in self.plan.outputs.items()}
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
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)

    def _drive(self, pool: ThreadPoolExecutor | None) -> None:
        running = 0
        failure: BaseException | None = None
        while running or (self.ready and failure is None and not self.run.cancelled()):
            while self.ready and running < self.workers and failure is None and not self.run.cancelled():
                job = self.ready.popleft()
                running += 1
                self._started(job.task)
                if pool is None:
                    self._execute(job)
                else:
                    pool.submit(self._execute, job)
                if pool is None:
                    break
            outcome = self.done.get()
            running -= 1
            if outcome.error is not None:
                self._failed(outcome)
                failure = failure or outcome.error
            elif failure is None:
                try:
                    self._completed(outcome)
                except Exception as error:
                    failure = error
                    self._failed(_Outcome(outcome.job, error=error, trace=traceback.format_exc()))
        if failure is not None:
            raise failure

    # -- one task -----------------------------------------------------------------------------------------------

    def _prepare(self, task: Task) -> None:
        """Make the jobs of a task whose inputs are all there."""
        if task.source is not None:
            self.ready.append(_Job(task, task.id, task.source))
            return
        try:
            values = {name: self._value(binding) for name, binding in task.inputs.items()}
            if task.kind == "call":
                self.ready.append(_Job(task, task.id, lambda: _call(task, values)))
            else:
                self._prepare_chunks(task, values)
        except Exception as error:
            self._failed(_Outcome(_Job(task, task.id, lambda: None), error=error, trace=traceback.format_exc()))
            raise

    def _started(self, task: Task) -> None:
        """Record that a worker has taken a task, or the first chunk of it."""
        if task.id not in self.run.tasks:
            self.run.tasks[task.id] = "running"
            self.run.recorder.event("started", task=task.id, algorithm=task.algorithm.name)

    def _prepare_chunks(self, task: Task, values: dict[str, Any]) -> None:
        ports = task.algorithm.ports
        defaults = {name: ports[name].default for name in task.lifted if name not in values}
        values = {**values, **defaults}
        many = {name: as_items(task.algorithm.name, ports[name], values[name]) for name in task.lifted}
        length = check_lengths(task.algorithm.name, many)
        starts = list(range(0, length, task.chunk))
        self.pending[task.id] = _Pending([None] * len(starts), len(starts))
        for index, start in enumerate(starts):
            items = {name: sequence[start : start + task.chunk] for name, sequence in many.items()}
            self.ready.append(_Job(task, f"{task.id}[{index}]", _chunk_work(task, {**values, **items}), index))
        if not starts:
            self._started(task)
            self._store(task, _gather(task, []))

    def _execute(self, job: _Job) -> None:
        """Run one job in a worker and hand its outcome to the loop."""
        run = self.run
        outcome = _Outcome(job, started=time.time())
        token = CONTEXT.set(Context(
            run_id=run.id, task_id=job.id, threads=job.task.algorithm.resources.cpus,
            report=run.recorder.progress_of(job.id), cancelled=run.cancelled,
        ))  # fmt: skip
        trace = TRACE.set(None)
        try:
            outcome.value = job.work()
        except BaseException as error:
            outcome.error = error
            outcome.trace = traceback.format_exc()
        finally:
            CONTEXT.reset(token)
            TRACE.reset(trace)
            outcome.ended = time.time()
            self.done.put(outcome)

    def _completed(self, outcome: _Outcome) -> None:
        job = outcome.job
        if job.chunk is None:
            self._store(job.task, outcome.value, outcome)
            return
        pending = self.pending[job.task.id]
        pending.parts[job.chunk] = outcome.value
        pending.open -= 1
        self.run.recorder.progress(
            job.task.id,
            1 - pending.open / len(pending.parts),
            f"{len(pending.parts) - pending.open} of {len(pending.parts)}",
        )
        if pending.open == 0:
            del self.pending[job.task.id]
            self._store(job.task, _gather(job.task, pending.parts), outcome)

    def _store(self, task: Task, value: Any, outcome: _Outcome | None = None) -> None:
        self.results[task.id] = read_only(value)
        self.run.tasks[task.id] = "succeeded"
        seconds = round(outcome.ended - outcome.started, 6) if outcome else 0.0
        self.run.recorder.event("succeeded", task=task.id, seconds=seconds)
        self.left -= 1
        for user in self.users[task.id]:
            needs = self.missing[user]
            needs.discard(task.id)
            if not needs:
                self._prepare(self.plan.tasks[user])

    def _failed(self, outcome: _Outcome) -> None:
        task_id = outcome.job.id
        state = "cancelled" if isinstance(outcome.error, Cancelled) else "failed"
        if self.run.failed_task is None:
            self.run.failed_task = task_id
        self.run.tasks[outcome.job.task.id] = state
        message = f"{type(outcome.error).__name__}: {outcome.error}"
        self.run.recorder.event(state, task=task_id, message=message)
        if state == "failed":
            self.run.recorder.log(f"node '{task_id}' ({outcome.job.task.algorithm.name}) failed\n{outcome.trace}")

    def _value(self, binding: Any) -> Any:
        if isinstance(binding, Const):
            return binding.value
        if isinstance(binding, Several):
            return [self._value(ref) for ref in binding.items]
        if isinstance(binding, Together):
            return binding.kind(**{name: self._value(item) for name, item in binding.items.items()})
        ref = cast("Ref", binding)
        value = self.plan.values[ref.path[0]] if ref.node is None else self.results[ref.node]
        for part in ref.path[1:] if ref.node is None else ref.path:
            value = getattr(value, part)
        return value


def _call(task: Task, values: Mapping[str, Any]) -> Any:
    return cast("Callable[..., Any]", task.algorithm.function)(**values, **task.params)


def _chunk_work(task: Task, values: Mapping[str, Any]) -> Callable[[], Any]:
    """Return the work of one chunk of a map or a fold."""
    lifted = set(task.lifted)
    if task.kind == "reduce":
        return lambda: fold_chunk(cast("ReductionAlgorithm[Any]", task.algorithm), values, lifted, task.params)

    def work() -> list[Any]:
        shared = {name: value for name, value in values.items() if name not in lifted}
        length = len(values[task.lifted[0]])
        items = ({name: values[name][index] for name in lifted} for index in range(length))
        return [task.algorithm(**shared, **item, **task.params) for item in items]

    return work


def _gather(task: Task, parts: Sequence[Any]) -> Any:
    if task.kind == "reduce":
        return merge_chunks(cast("ReductionAlgorithm[Any]", task.algorithm), parts, task.params)
    return [item for part in parts for item in part]
