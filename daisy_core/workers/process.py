"""A worker process: receives work, does it in its main thread, reports. Started as ``python -m daisy_core.workers.process FD``."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ..context import CONTEXT, Context
from ..errors import RunError
from ..work import Work, perform
from .channel import Channel, Closed, adopt
from .segments import Key, Segments


class Worker:
    """The worker's side of the pipe."""

    def __init__(self, fd: int) -> None:
        self._released: deque[tuple[Key, int]] = deque()
        self.segments = Segments(lambda key, times: self._released.append((key, times)))
        self.channel: Channel = adopt(fd, self.segments)
        self.todo: SimpleQueue[Any] = SimpleQueue()
        self.cancelled = threading.Event()

    def run(self) -> None:
        """Serve until the other side closes the pipe."""
        prepare(self.channel.receive())
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        logging.getLogger().addHandler(_Forward(self))
        while (job := self.todo.get()) is not None:
            self._do(*job)
            del job
            self.say("idle")

    def _listen(self) -> None:
        """Receive messages while the main thread works; when the engine is gone, so is the worker."""
        try:
            while True:
                kind, *rest = self.channel.receive()
                if kind == "work":
                    self.cancelled.clear()
                    self.todo.put(rest)
                elif kind == "cancel":
                    self.cancelled.set()
                elif kind == "returned":
                    for key, times in rest[0]:
                        self.segments.returned(key, self.channel.process, times)
                del rest
        except Closed:
            os._exit(0)

    def _do(self, job: str, work: Work, context: Context) -> None:
        context = replace(
            context,
            report=lambda fraction, message: self.say("progress", job, fraction, message),
            cancelled=self.cancelled.is_set,
        )
        try:
            value = perform(work, context)
        except BaseException as error:
            self.say("error", job, portable(error), traceback.format_exc())
            return
        try:
            self.say("done", job, value)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            problem = RunError(f"the result of {job} ({type(value).__name__}) cannot leave its process: {error}")
            self.say("error", job, problem, traceback.format_exc())

    def say(self, *message: Any) -> None:
        """Send a message, and what this process has given up since the last one."""
        with contextlib.suppress(Closed):
            if self._released:
                freed: list[tuple[Key, int]] = []
                with contextlib.suppress(IndexError):
                    while True:
                        freed.append(self._released.popleft())
                self.channel.send(("returned", freed))
            self.channel.send(message)


class _Forward(logging.Handler):
    """Sends log messages of tasks to the engine, which writes the run's log."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker

    def emit(self, record: logging.LogRecord) -> None:
        current = CONTEXT.get()
        if current is not None:
            self._worker.say("log", current.task_id, record.levelno, record.name, record.getMessage())


def portable(error: BaseException) -> BaseException:
    """Return an error that survives being sent: itself, or its text where its class does not."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RunError(f"{type(error).__name__}: {error}")


def prepare(setup: dict[str, Any]) -> None:
    """Make this process like the one that started it: search path, working folder, plug-in files, its main module."""
    sys.path[:] = setup["path"]
    with contextlib.suppress(OSError):
        os.chdir(setup["cwd"])
    from .. import registry

    for path in setup["files"]:
        registry.load_file(Path(path))
    if setup["main"] is not None:
        _load_main(Path(setup["main"]))


def _load_main(path: Path) -> None:
    """Run the file of the main program under another name, so that algorithms declared in it exist here too."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("_main_", path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["_main_"] = sys.modules["__main__"] = module  # pickled classes look for "__main__"
    spec.loader.exec_module(module)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which asks us to stop
    Worker(int(sys.argv[1])).run()
