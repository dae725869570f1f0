"""Where the work of a run is done: in this thread, in threads, or in processes of this host."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .context import Context
from .errors import Cancelled
from .plan import Task
from .work import Work, perform


@dataclass
class Job:
    """A piece of work for one worker: a task, or one chunk of a lifted task."""

    task: Task
    id: str
    work: Work
    context: Context
    chunk: int | None = None
    attempt: int = 0
    deadline: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass
class Outcome:
    """How a job ended."""

    job: Job
    value: Any = None
    error: BaseException | None = None
    trace: str = ""
    started: float = 0.0
    ended: float = 0.0


class Executor(Protocol):
    """What an engine needs of a place to run in."""

    workers: int
    """Jobs of one CPU that can run at the same time."""

    def start(self, job: Job, tell: Callable[[Outcome], None]) -> None:
        """Begin a job; ``tell`` is called once, from any thread, with its outcome."""
        ...

    def stop(self, job: Job, grace: float) -> None:
        """Make a job end: ask, and after the grace time (seconds) force it where that is possible."""
        ...

    def close(self) -> None:
        """Give the place back."""
        ...


def run_here(job: Job) -> Outcome:
    """Do a job in this thread."""
    outcome = Outcome(job, started=time.time())
    cancelled = job.context.cancelled
    context = replace(job.context, cancelled=lambda: job.stop.is_set() or (cancelled is not None and cancelled()))
    try:
        outcome.value = perform(job.work, context)
    except BaseException as error:
        outcome.error = error
        outcome.trace = traceback.format_exc()
    outcome.ended = time.time()
    return outcome


class InlineExecutor:
    """Does each job at once, in the thread of the engine."""

    workers = 1

    def start(self, job: Job, tell: Callable[[Outcome], None]) -> None:
        """Do the job before returning."""
        tell(run_here(job))

    def stop(self, job: Job, grace: float) -> None:
        """Ask the algorithm to stop at its next ``progress``: a thread cannot be forced."""
        job.stop.set()

    def close(self) -> None:
        """Nothing to give back."""


class ThreadExecutor:
    """A pool of threads of this process."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="daisy")

    def start(self, job: Job, tell: Callable[[Outcome], None]) -> None:
        """Hand the job to a thread."""
        self._pool.submit(lambda: tell(run_here(job)))

    def stop(self, job: Job, grace: float) -> None:
        """Ask the algorithm to stop at its next ``progress``: a thread cannot be forced."""
        job.stop.set()

    def close(self) -> None:
        """End the threads once they are idle."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class ProcessExecutor:
    """Worker processes of this host: a killed one costs its task alone, and a stubborn one can be ended."""

    def __init__(self, workers: int, threads: int = 1) -> None:
        from .workers.pool import ProcessPool

        self.workers = workers
        self._pool = ProcessPool(workers, threads)

    def start(self, job: Job, tell: Callable[[Outcome], None]) -> None:
        """Hand the job to a worker process."""
        from .workers.pool import Assignment

        started = time.time()

        def done(value: Any, error: BaseException | None, trace: str) -> None:
            if error is not None and job.stop.is_set():
                error = Cancelled(f"{job.id} was ended") if not isinstance(error, Cancelled) else error
            tell(Outcome(job, value, error, trace, started, time.time()))

        sent = replace(job.context, report=None, cancelled=None, log=None)
        try:
            self._pool.submit(job.work, sent, Assignment(job.id, done, job.context.report, job.context.log))
        except Exception as error:
            tell(Outcome(job, None, error, traceback.format_exc(), started, time.time()))

    def stop(self, job: Job, grace: float) -> None:
        """Ask the algorithm to stop; after the grace time end its process, by force if it must be."""
        job.stop.set()
        self._pool.end(job.id, grace)

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()
