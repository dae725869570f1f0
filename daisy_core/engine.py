"""WorkflowEngine: where and how a workflow runs, never what it computes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from .algorithm import Algorithm
from .checkpoints import ResultFiles
from .context import CONTEXT
from .errors import Cancelled, DaisyError, ParameterError, RunError
from .execution import Execution, Perform, Policy
from .keeping import CheckpointPolicy, Keeping
from .plan import Plan, make_plan
from .recorder import Recorder
from .runs import RunFolder
from .signature import is_named_tuple
from .work import perform

Kind = Literal["inline", "threads", "processes"]
KINDS: tuple[Kind, ...] = ("inline", "threads", "processes")


class WorkflowEngine:
    """Runs algorithms and workflows: the same results wherever it runs them.

    Parameters
    ----------
    kind : {"inline", "threads", "processes"}
        In the calling thread, in threads of this process, or in processes of this host. A process that is killed costs one
        retry of one task, and one that does not stop when it is asked to is ended; threads can only be asked.
    workers : int, optional
        Threads or processes; by default as many as there are CPUs.
    runs : path, optional
        Folder of runs; where it is given, each run leaves a folder with request, events, log and results.
    gpus : int, default 0
        Accelerators that the tasks together may use.
    checkpoint : {"none", "costly", "all"}
        Which results the run folder keeps for :meth:`resume`: all, those that took more than a second, or none.
    cache : path, optional
        Folder of results of all runs: what was computed before, with the same code and inputs, is taken from there.
    cache_limit : int, default 10 GB
        Bytes that the cache may have; what was not used for longest goes first.
    retries : int, default 1
        How often a task is done again whose worker process was lost, or that raised one of ``retry_on``.
    retry_on : tuple of exception types
        Errors after which a task is done again.
    grace : float, default 5
        Seconds between asking a process to stop and ending it.

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
        self,
        kind: Kind = "inline",
        *,
        workers: int | None = None,
        runs: str | os.PathLike[str] | None = None,
        gpus: int = 0,
        checkpoint: CheckpointPolicy = "none",
        cache: str | os.PathLike[str] | None = None,
        cache_limit: int = 10_000_000_000,
        retries: int = 1,
        retry_on: tuple[type[BaseException], ...] = (),
        grace: float = 5.0,
    ) -> None:
        if kind not in KINDS:
            raise ParameterError(f"WorkflowEngine: unknown kind '{kind}'; this version has: {', '.join(KINDS)}")
        if workers is not None and workers < 1:
            raise ParameterError(f"WorkflowEngine: workers must be at least 1; got {workers}")
        if checkpoint not in ("none", "costly", "all"):
            raise ParameterError(f"WorkflowEngine: checkpoint is none, costly or all; got '{checkpoint}'")
        if checkpoint != "none" and runs is None:
            raise ParameterError("WorkflowEngine: checkpoints lie in the run's folder: give a folder of runs as well")
        self.kind: Kind = kind
        self.workers = 1 if kind == "inline" else workers or os.cpu_count() or 1
        self.runs = None if runs is None else Path(runs)
        self.checkpoint: CheckpointPolicy = checkpoint
        self.cache = None if cache is None else ResultFiles(cache, cache_limit)
        self.policy = Policy(self.workers, gpus, retries, retry_on)
        self.grace = grace

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
        return self._begin(Run(recorder, workflow), inputs, params or {}, finished=None)

    def resume(self, folder: RunFolder, workflow: Algorithm[..., Any], inputs: Mapping[str, Any],
               params: Mapping[str, Any] | None = None, *, listen: Callable[[dict[str, Any]], None] | None = None) -> Run:  # fmt: skip
        """Go on with a run that was lost, failed or cancelled: kept results are taken, the rest is computed.

        :func:`daisy_core.launch.resume` finds workflow, inputs and parameters in the folder and calls this.

        Raises
        ------
        RunError
            If the run is still running, or has succeeded.
        """
        state = folder.state()
        if state in ("pending", "running", "succeeded"):
            raise RunError(f"run {folder.id} is {state}; only a lost, failed or cancelled run can be resumed")
        finished = {
            str(event["task"])
            for event in folder.events()
            if event["kind"] in ("succeeded", "cached") and event.get("task")
        }
        (folder.path / "cancel").unlink(missing_ok=True)
        return self._begin(Run(Recorder.resumed(folder, listen), workflow), inputs, params or {}, finished=finished)

    def _begin(
        self, run: Run, inputs: Mapping[str, Any], params: Mapping[str, Any], *, finished: set[str] | None
    ) -> Run:
        try:
            run.plan = make_plan(run.workflow, inputs, params)
            kept = None if run.folder is None else ResultFiles(run.folder.path / "tasks")
            keeping = Keeping(kept, self.checkpoint, self.cache, finished or (), resuming=finished is not None)
            execution = Execution(run, run.plan, self.policy, keeping, self._performers(run))
        except Exception as error:
            run.finish("failed", error)
            raise
        if self.kind == "inline":
            execution.loop()
        else:
            run.thread = threading.Thread(target=execution.loop, name=f"daisy-{run.id}", daemon=True)
            run.thread.start()
        return run

    def _performers(self, run: Run) -> Callable[[], Perform] | None:
        """Return what makes the performer of each worker; None where the engine's own thread does the work."""
        if self.kind == "inline":
            return None
        if self.kind == "threads":
            return lambda: perform
        from .workers.remote import Workers

        return Workers(self.grace, run.recorder.log_message).performer

    def describe(self) -> dict[str, Any]:
        """Return the engine as recorded in a run's request."""
        cache = None if self.cache is None else str(self.cache.root)
        return {
            "kind": self.kind,
            "workers": self.workers,
            "checkpoint": self.checkpoint,
            "cache": cache,
            "gpus": self.policy.gpus,
        }

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
