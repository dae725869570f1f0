"""WorkflowEngine: where and how a workflow runs, never what it computes."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, cast

from .algorithm import TRACE, Algorithm, ReductionAlgorithm
from .context import CONTEXT, Context
from .errors import Cancelled, DaisyError, ParameterError, RunError
from .graph import Const, Several
from .lifting import as_items, check_lengths, fold_chunk, merge_chunks
from .plan import Plan, Source, Task, Together, make_plan, read_only
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
                self.recorder.save(self.outputs, self.provenance() if self.folder is not None else {})
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
    skipped: bool = False
    seconds: float = 0.0
    trace: str = ""


@dataclass
class _Pending:
    """A lifted task whose chunks are being computed."""

    parts: list[Any]
    open: int = 0


class _Execution:
    """The loop of one run: hands out the jobs of ready tasks, collects outcomes, stops at the first failure.

    Workers take jobs from one queue and ask before each whether the run goes on, so that handing out costs little and a
    run still stops at once. Only the loop changes the state of the run.
    """

    def __init__(self, run: Run, plan: Plan, workers: int, *, inline: bool) -> None:
        self.run = run
        self.plan = plan
        self.workers = workers
        self.inline = inline
        self.results: dict[str, Any] = {}
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.done: SimpleQueue[_Outcome] = SimpleQueue()
        self.open = 0
        self.threads: list[threading.Thread] = []
        self.failure: BaseException | None = None
        self.stop = False
        self.pending: dict[str, _Pending] = {}
        self.missing = {task_id: task.needs() for task_id, task in plan.tasks.items()}
        self.users: dict[str, list[str]] = {task_id: [] for task_id in plan.tasks}
        for task_id, needs in self.missing.items():
            for need in needs:
                self.users[need].append(task_id)
        self.left = len(plan.tasks)
        self._lock = threading.Lock()

    def loop(self) -> None:
        """Run all tasks and record the end of the run."""
        run = self.run
        run.state = "running"
        try:
            run.recorder.begin(run.cancelled, run.cancel)
            for task_id in [task_id for task_id, needs in self.missing.items() if not needs]:
                self._prepare(self.plan.tasks[task_id])
            while self.open:
                outcome = self._execute(cast("_Job", self.jobs.get())) if self.inline else self.done.get()
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

    def _hand_out(self, job: _Job) -> None:
        self.open += 1
        self.jobs.put(job)
        if not self.inline and len(self.threads) < min(self.workers, self.open):
            name = f"daisy-{self.run.id}-{len(self.threads)}"
            self.threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self.threads[-1].start()

    def _work(self) -> None:
        for job in iter(self.jobs.get, None):
            self.done.put(self._execute(job))

    def _stopped(self) -> bool:
        return self.stop or self.run.cancelled()

    # -- one task -----------------------------------------------------------------------------------------------

    def _prepare(self, task: Task) -> None:
        """Hand out the jobs of a task whose inputs are all there."""
        if task.source is not None:
            self._hand_out(_Job(task, task.id, task.source))
            return
        try:
            values = {name: self._value(source) for name, source in task.inputs.items()}
            if task.kind == "call":
                self._hand_out(_Job(task, task.id, lambda: _call(task, values)))
            else:
                self._prepare_chunks(task, values)
        except Exception as error:
            self._failed(_Outcome(_Job(task, task.id, lambda: None), error=error, trace=traceback.format_exc()))

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
            self._hand_out(_Job(task, f"{task.id}[{index}]", _chunk_work(task, {**values, **items}), index))
        if not starts:
            self._started(task)
            self._store(task, _gather(task, []))

    def _started(self, task: Task) -> None:
        """Record that a worker has taken a task, or the first chunk of it."""
        with self._lock:
            if task.id in self.run.tasks:
                return
            self.run.tasks[task.id] = "running"
        self.run.recorder.event("started", task=task.id, algorithm=task.algorithm.name)

    def _execute(self, job: _Job) -> _Outcome:
        """Run one job, in whatever thread this is, unless the run has been stopped."""
        run = self.run
        if self._stopped():
            return _Outcome(job, skipped=True)
        self._started(job.task)
        outcome = _Outcome(job)
        began = time.perf_counter()
        token = CONTEXT.set(Context(
            run_id=run.id, task_id=job.id, threads=job.task.algorithm.resources.cpus,
            report=run.recorder.progress_of(job.id), cancelled=run.cancelled,
        ))  # fmt: skip
        trace = TRACE.set(None)
        try:
            outcome.value = job.work()
        except BaseException as error:
            self.stop = True  # the other workers take no further job, even before the loop hears of this one
            outcome.error = error
            outcome.trace = traceback.format_exc()
        finally:
            CONTEXT.reset(token)
            TRACE.reset(trace)
            outcome.seconds = time.perf_counter() - began
        return outcome

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
        self.run.recorder.progress(
            job.task.id,
            1 - pending.open / len(pending.parts),
            f"{len(pending.parts) - pending.open} of {len(pending.parts)}",
        )
        if pending.open == 0:
            del self.pending[job.task.id]
            self._store(job.task, _gather(job.task, pending.parts), outcome.seconds)

    def _store(self, task: Task, value: Any, seconds: float = 0.0) -> None:
        self.results[task.id] = read_only(value)
        self.run.tasks[task.id] = "succeeded"
        self.run.recorder.event("succeeded", task=task.id, seconds=round(seconds, 6))
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
