"""Worker processes as the engine sees them: hand out work, notice deaths, end what does not end by itself."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from .. import registry
from ..context import Context
from ..errors import RunError
from ..work import Work
from .channel import Channel, Closed
from .segments import Key, Segments


class WorkerLost(RunError):
    """A worker process ended in the middle of a task."""


@dataclass
class Assignment:
    """What a worker is doing, and whom to tell."""

    job: str
    done: Callable[[Any, BaseException | None, str], None]
    report: Callable[[float, str], None] | None
    log: Callable[[str, int, str, str], None] | None


class WorkerProcess:
    """One worker process and the thread that listens to it."""

    def __init__(self, pool: ProcessPool, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "daisy_core.workers.process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
            )
        self.pid = self._process.pid
        self._pool = pool
        self.channel = Channel(ours, pool.segments, self.pid)
        self.assignment: Assignment | None = None
        self.idle = True
        self.channel.send(_setup())
        self._thread = threading.Thread(target=self._listen, name=f"worker-{self.pid}", daemon=True)
        self._thread.start()

    def start(self, work: Work, context: Context, assignment: Assignment) -> None:
        """Hand a piece of work over."""
        self.assignment = assignment
        self.idle = False
        try:
            self.channel.send(("work", assignment.job, work, context))
        except Closed:
            self._lost()

    def _listen(self) -> None:
        try:
            while True:
                self._hear(*self.channel.receive())
        except Closed:
            pass
        except Exception as error:
            self._finish(None, RunError(f"the answer of a worker cannot be read: {error}"), "")
            self._process.kill()
        self._lost()

    def _hear(self, kind: str, *rest: Any) -> None:
        current = self.assignment
        if kind == "returned":
            for key, times in rest[0]:
                self._pool.segments.returned(key, self.pid, times)
        elif kind == "idle":
            self.idle = True
        elif current is None:
            return
        elif kind == "done":
            self._finish(rest[1], None, "")
        elif kind == "error":
            self._finish(None, rest[1], rest[2])
        elif kind == "progress" and current.report is not None:
            current.report(rest[1], rest[2])
        elif kind == "log" and current.log is not None:
            current.log(*rest)

    def _finish(self, value: Any, error: BaseException | None, trace: str) -> None:
        current, self.assignment = self.assignment, None
        if current is not None:
            current.done(value, error, trace)

    def _lost(self) -> None:
        """The process has gone: say so to whoever waits for it."""
        self.channel.close()
        status = self._process.wait()
        self._pool.segments.forget(self.pid)
        self._pool.remove(self)
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        self._finish(None, WorkerLost(f"worker process {self.pid} ended in the middle of the task ({how})"), "")

    def give_segments_back(self, freed: list[tuple[Key, int]]) -> None:
        """Tell the worker which of its segments nobody uses here any more."""
        with contextlib.suppress(Closed):
            self.channel.send(("returned", freed))

    def ask_to_stop(self) -> None:
        """Ask the algorithm to stop at its next ``progress``."""
        with contextlib.suppress(Closed):
            self.channel.send(("cancel",))

    def end(self, how: signal.Signals) -> None:
        """Send the process a signal."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)

    def close(self) -> None:
        """End the process by closing its pipe."""
        self.channel.close()


class ProcessPool:
    """A number of worker processes, started when they are needed and replaced when they die."""

    def __init__(self, workers: int, threads: int = 1) -> None:
        self.workers = workers
        self.segments = Segments(self._released)
        self._environment = thread_limits(threads)
        self._lock = threading.Lock()
        self._all: list[WorkerProcess] = []
        self._returns: SimpleQueue[tuple[Key, int] | None] = SimpleQueue()
        threading.Thread(target=self._give_back, name="returns", daemon=True).start()

    def submit(self, work: Work, context: Context, assignment: Assignment) -> None:
        """Hand a piece of work to an idle worker, or to a new one.

        The caller never has more pieces under way than there are workers.
        """
        while True:
            with self._lock:
                worker = next((item for item in self._all if item.idle and item.assignment is None), None)
                if worker is not None:
                    worker.idle = False
                elif len(self._all) < self.workers:
                    worker = WorkerProcess(self, self._environment)
                    worker.idle = False
                    self._all.append(worker)
            if worker is not None:
                worker.start(work, context, assignment)
                return
            time.sleep(0.0005)  # a worker that has answered is about to say that it is idle

    def _released(self, key: Key, times: int) -> None:
        """A segment made by a worker is not used here any more: tell its maker."""
        self._returns.put((key, times))  # this may run inside the garbage collector, where no lock may be waited for

    def _give_back(self) -> None:
        while (item := self._returns.get()) is not None:
            owner = next((worker for worker in list(self._all) if worker.pid == item[0][0]), None)
            if owner is not None:
                owner.give_segments_back([item])

    def remove(self, worker: WorkerProcess) -> None:
        """Forget a worker that has ended."""
        with self._lock:
            if worker in self._all:
                self._all.remove(worker)

    def cancel(self, grace: float) -> None:
        """Ask all busy workers to stop; end those that have not after the grace time (seconds)."""
        busy = [item for item in list(self._all) if item.assignment is not None]
        for worker in busy:
            worker.ask_to_stop()
        threading.Thread(target=_end_after, args=(busy, grace), name="cancel", daemon=True).start()

    def pids(self) -> list[int]:
        """Return the process ids of the workers."""
        return [item.pid for item in self._all]

    def close(self) -> None:
        """End all workers."""
        self._returns.put(None)
        for worker in list(self._all):
            worker.close()


def _end_after(workers: list[WorkerProcess], grace: float) -> None:
    jobs = [(worker, worker.assignment) for worker in workers]
    for how, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 1.0)):
        end = time.monotonic() + wait
        while time.monotonic() < end:
            jobs = [(worker, job) for worker, job in jobs if worker.assignment is job and job is not None]
            if not jobs:
                return
            time.sleep(0.02)
        for worker, _ in jobs:
            worker.end(how)


def thread_limits(threads: int) -> dict[str, str]:
    """Return the environment that pins BLAS and OpenMP to a number of threads in a new process."""
    names = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    )
    return dict.fromkeys(names, str(threads))


def _setup() -> dict[str, Any]:
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    declared_there = any(item.function.__module__ == "__main__" for item in registry.known())
    return {
        "path": list(sys.path),
        "cwd": os.getcwd(),
        "files": [str(path) for path in registry.loaded_files()],
        "main": file if declared_there else None,
    }
