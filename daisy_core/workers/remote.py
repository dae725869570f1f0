"""A worker process as a thread of the engine sees it: hand over a piece of work, wait for its result."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .. import registry
from ..context import Context
from ..errors import Cancelled, RunError
from ..work import Work
from .channel import Channel, Closed
from .segments import Key, Segments

_LOOK = 0.05
"""Seconds between two looks at cancelling and walltime while a worker is busy."""


class WorkerLost(RunError):
    """A worker process ended in the middle of a task."""


class Workers:
    """What the worker processes of one run share: segments, environment, and what has to be given back to whom.

    Parameters
    ----------
    grace : float
        Seconds between asking a job to stop and ending its process.
    log : callable
        Takes the log messages of workers: task, level, logger, text.
    """

    def __init__(self, grace: float, log: Callable[[str, int, str, str], None]) -> None:
        self.grace = grace
        self.log = log
        self._to_return: dict[int, list[tuple[Key, int]]] = defaultdict(list)
        self.segments = Segments(lambda key, times: self._to_return[key[0]].append((key, times)))

    def returns(self, process: int) -> list[tuple[Key, int]]:
        """Return, once, the segments of a process that are not used here any more."""
        return self._to_return.pop(process, [])

    def performer(self) -> RemotePerformer:
        """Return a performer with a process of its own, which is started when it is needed."""
        return RemotePerformer(self)


class RemotePerformer:
    """Does one piece of work after another in a worker process; a process that dies is replaced for the next one."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._threads = 0

    def __call__(self, work: Work, context: Context) -> Any:
        """Do a piece of work.

        Raises
        ------
        WorkerLost
            If the process ended in the middle.
        Cancelled
            If the run was cancelled; a process that does not stop by itself is ended after the grace time.
        RunError
            If it took longer than its declared walltime.
        """
        channel = self._ready(context.threads)
        sent = replace(context, report=None, cancelled=None)
        watch = _Watch(context, work.algorithm.resources.seconds, self._workers.grace)
        try:
            freed = self._workers.returns(channel.process)
            if freed:
                channel.send(("returned", freed))
            channel.send(("work", context.task_id, work, sent))
            return self._await(channel, context, watch)
        except Closed:
            raise self._ended(watch) from None

    def _await(self, channel: Channel, context: Context, watch: _Watch) -> Any:
        while True:
            while not channel.readable(_LOOK):
                self._press(watch, channel)
            kind, *rest = channel.receive()
            if kind == "done":
                return rest[1]
            if kind == "error":
                error, trace = rest[1], rest[2]
                error.remote_traceback = trace
                raise watch.explain(error)
            self._hear(channel, context, kind, rest)

    def _hear(self, channel: Channel, context: Context, kind: str, rest: list[Any]) -> None:
        if kind == "progress" and context.report is not None:
            context.report(rest[1], rest[2])
        elif kind == "log":
            self._workers.log(*rest)
        elif kind == "returned":
            for key, times in rest[0]:
                self._workers.segments.returned(key, channel.process, times)

    def _press(self, watch: _Watch, channel: Channel) -> None:
        """Ask a job that should end to stop, then end its process, by force if it must be."""
        step = watch.step()
        if step == "ask":
            channel.send(("cancel",))
        elif step is not None and self._process is not None:
            self._process.send_signal(signal.SIGTERM if step == "end" else signal.SIGKILL)

    def _ready(self, threads: int) -> Channel:
        """Return the channel of a living process whose BLAS and OpenMP use this number of threads."""
        if self._process is not None and (self._process.poll() is not None or threads != self._threads):
            self.close()
        if self._channel is None:
            self._start(threads)
        assert self._channel is not None
        return self._channel

    def _start(self, threads: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "daisy_core.workers.process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, **thread_limits(threads)},
                stdin=subprocess.DEVNULL,
            )
        self._threads = threads
        self._channel = Channel(ours, self._workers.segments, self._process.pid)
        self._channel.send(_setup())

    def _ended(self, watch: _Watch) -> BaseException:
        """Return the error of a process that has gone, and forget it."""
        assert self._process is not None
        pid, status = self._process.pid, self._process.wait()
        self._forget()
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return watch.explain(WorkerLost(f"worker process {pid} ended in the middle of the task ({how})"))

    def _forget(self) -> None:
        if self._channel is not None:
            self._workers.segments.forget(self._channel.process)
            self._workers.returns(self._channel.process)
            self._channel.close()
        self._channel = self._process = None

    def close(self) -> None:
        """End the process by closing its pipe."""
        process = self._process
        if self._channel is not None:
            self._channel.close()
        if process is not None:
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._forget()


class _Watch:
    """Whether a job should end, and how far the pressure on it has gone: ask, end, kill."""

    def __init__(self, context: Context, seconds: float | None, grace: float) -> None:
        self._cancelled = context.cancelled
        self._task = context.task_id
        self._seconds = seconds
        self._grace = grace
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._steps = iter((("ask", grace), ("end", 1.0), ("kill", 1e9)))
        self._next = 0.0
        self.over = self.asked = False

    def step(self) -> str | None:
        """Return what to do now; None where nothing."""
        cancelled = self._cancelled is not None and self._cancelled()
        self.over = self.over or (self._deadline is not None and time.monotonic() > self._deadline)
        if not (cancelled or self.over) or time.monotonic() < self._next:
            return None
        self.asked = True
        step, wait = next(self._steps)
        self._next = time.monotonic() + wait
        return step

    def explain(self, error: BaseException) -> BaseException:
        """Return the error that tells why a job ended that was made to end."""
        if self.over:
            return RunError(f"{self._task} did not end within its walltime of {self._seconds:g} s")
        if self.asked and isinstance(error, WorkerLost):
            return Cancelled(f"{self._task} did not stop by itself within {self._grace:g} s; its process was ended")
        return error


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
