"""One command as a process: its output to the log, its progress, its end by itself, by request or by the clock."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..context import context, progress
from ..errors import Cancelled, ParameterError, RunError

if TYPE_CHECKING:
    import subprocess

POLL = 0.05
"""Seconds between two looks at a silent process."""
LINGER = 1.0
"""Seconds that children of a command that has ended may go on writing to its pipes (``tee`` in a shell script)."""
FLUSH = 0.2
"""Seconds between two messages to the log."""
LOGGED = 1_000_000
"""Characters of one stream that go to the log; a result taken from stdout is whole in any case."""
LINE = 10_000
"""Characters after which a line without an end is cut."""
TAIL = 12
"""Lines of the end of the output that an error message shows."""
_BLOCK = 1 << 16
_ENDS = re.compile(rb"[\r\n]+")

_WATCH = 'trap \'\' TERM INT HUP; cat >/dev/null; kill -TERM 0; sleep "$1"; shift; "$@"; kill -KILL 0'
"""A shell in the process group that ends the group when this process is gone and its pipe is closed with it."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes
    ----------
    status : int
        Exit status; the negative number of the signal that ended it.
    tail : tuple of str
        The last lines that it wrote, those of stderr if there were any.
    """

    status: int
    tail: tuple[str, ...]

    @property
    def how(self) -> str:
        """The end in words: ``exit status 3``, ``SIGSEGV``."""
        number = (
            -self.status if self.status < 0 else self.status - 128
        )  # a shell tells of the signals of its children so
        name = ""
        with contextlib.suppress(ValueError):
            name = signal.Signals(number).name
        if self.status < 0:
            return name or f"signal {number}"
        return f"exit status {self.status}{f' ({name})' if name else ''}"


@dataclass
class Command:
    """A command that is ready to run.

    Attributes
    ----------
    owner : str
        Name of the algorithm, for messages and the log.
    argv : sequence of str
        Program and arguments; no shell sees them.
    folder : Path
        Where it runs.
    env : mapping
        Its whole environment.
    stdin, stdout, stderr : Path, optional
        The file that it reads, and the files that take what it writes, beside the log.
    progress : str
        Regular expression for lines of its output; one group is percent, two are "done" and "of how many".
    seconds : float, optional
        It is ended after so long.
    grace : float
        Seconds between SIGTERM and SIGKILL.
    end : tuple of str
        A command that ends what the process started elsewhere (a container); it is run when the process is ended.
    """

    owner: str
    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str]
    stdin: Path | None = None
    stdout: Path | None = None
    stderr: Path | None = None
    progress: str = ""
    seconds: float | None = None
    grace: float = 5.0
    end: tuple[str, ...] = ()

    def run(self) -> Ended:
        """Run it to its end; nothing that it started is left behind.

        Raises
        ------
        Cancelled
            If its run was asked to stop; the process group got SIGTERM and, after the grace time, SIGKILL.
        RunError
            If it could not be started, or did not end in time.
        """
        return _Running(self).to_end()


@dataclass
class _Stream:
    """One output of a process: cut into lines for log, progress and error message, and copied to a file."""

    log: Callable[[str], None]
    match: re.Pattern[str] | None = None
    copy: IO[bytes] | None = None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    _rest: bytes = b""
    _lines: list[str] = field(default_factory=list[str])
    _logged: int = 0

    def feed(self, data: bytes) -> None:
        """Take what the process wrote."""
        if self.copy is not None:
            self.copy.write(data)
        *lines, self._rest = _ENDS.split(self._rest + data)
        if self.match is None and self._logged > LOGGED:
            lines = lines[-TAIL:]
        for line in lines:
            self._line(line)
        while len(self._rest) > LINE:
            self._line(self._rest[:LINE])
            self._rest = self._rest[LINE:]

    def _line(self, data: bytes) -> None:
        line = data[:LINE].decode("utf-8", errors="replace").rstrip()
        if not line:
            return
        self.tail.append(line)
        if self.match is not None:
            _report(self.match, line)
        if self._logged <= LOGGED:
            self._logged += len(line) + 1
            self._lines.append(line if self._logged <= LOGGED else "(there is more; the log stops here)")

    def flush(self, *, last: bool = False) -> None:
        """Hand the lines so far to the log, as one message."""
        if last and self._rest:
            self._line(self._rest)
            self._rest = b""
        if self._lines:
            self.log("\n".join(self._lines))
            self._lines.clear()


def _report(match: re.Pattern[str], line: str) -> None:
    found = match.search(line)
    if found is None:
        return
    with contextlib.suppress(ValueError, TypeError, ZeroDivisionError):
        done = float(found[1])
        progress(done / float(found[2]) if match.groups > 1 else done / 100, line[:200])


class _Running:
    """A command while it runs."""

    def __init__(self, command: Command) -> None:
        self.command = command
        logger = logging.getLogger(f"{__package__}.{command.owner}")
        logger.setLevel(logging.INFO)  # the root logger stops at warnings, but the log of the run wants all
        match = re.compile(command.progress) if command.progress else None
        with contextlib.ExitStack() as opened:
            files = [
                opened.enter_context(path.open("wb")) if path else None for path in (command.stdout, command.stderr)
            ]
            stdin = opened.enter_context(command.stdin.open("rb")) if command.stdin else None
            self.process = _start(command, stdin)
            self._files = opened.pop_all()
        self.out = _Stream(lambda text: logger.info("%s", text), match, files[0])
        self.err = _Stream(lambda text: logger.info("stderr: %s", text), match, files[1])
        self._open = {pipe.fileno(): stream for pipe, stream in self._pipes()}
        for number in self._open:
            os.set_blocking(number, False)
        self._flushed = time.monotonic()
        self._guard = _Guard(self.process.pid, command)

    def _pipes(self) -> list[tuple[IO[bytes], _Stream]]:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        return [(self.process.stdout, self.out), (self.process.stderr, self.err)]

    def to_end(self) -> Ended:
        """Watch it until it ends, and clear up whatever happens."""
        try:
            self._watch()
        finally:
            self._clear_up()
        tail = self.err.tail or self.out.tail
        return Ended(self.process.returncode, tuple(tail))

    def _watch(self) -> None:
        command, cancelled = self.command, context().cancelled
        end = None if command.seconds is None else time.monotonic() + command.seconds
        try:
            while not self._exited():
                self._read(POLL)
                if cancelled is not None and cancelled():
                    raise Cancelled(f"{command.owner}: its command was ended because the run was cancelled")
                if end is not None and time.monotonic() > end:
                    raise RunError(
                        f"{command.owner}: the command did not end within its walltime of {command.seconds:g} s and was ended; "
                        f"give it more: Resources(walltime=...){shown(self.err.tail or self.out.tail)}"
                    )
            last = time.monotonic() + LINGER
            while self._open and time.monotonic() < last:
                self._read(POLL)
        except BaseException:
            self._end()
            raise

    def _exited(self) -> bool:
        """Look without reaping: as long as the leader is not reaped, the number of its group is nobody else's."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _end(self) -> None:
        """Ask the process group to end, then force it; its output is read on, or a full pipe would keep it from ending."""
        self._signal(signal.SIGTERM)
        end = time.monotonic() + self.command.grace
        while not self._exited() and time.monotonic() < end:
            with contextlib.suppress(Cancelled):  # raised by the progress that it still reports
                self._read(POLL)
        self._signal(signal.SIGKILL)
        self._end_elsewhere()

    def _end_elsewhere(self) -> None:
        import subprocess

        if self.command.end:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(self.command.end, stdin=subprocess.DEVNULL, timeout=60, check=False)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _read(self, wait: float) -> None:
        """Read what is there, waiting for it at most so long."""
        import selectors

        if not self._open:
            time.sleep(min(wait, 0.002))  # both outputs are closed: it is about to end
            return
        with selectors.DefaultSelector() as selector:
            for number in self._open:
                selector.register(number, selectors.EVENT_READ)
            for key, _ in selector.select(wait):
                data = _read_some(key.fd)
                if data:
                    self._open[key.fd].feed(data)
                elif data is not None:
                    del self._open[key.fd]
        if time.monotonic() - self._flushed > FLUSH:
            self._flushed = time.monotonic()
            self.out.flush()
            self.err.flush()

    def _clear_up(self) -> None:
        """End what the command left running in its group, take the last of its output, reap it."""
        self._signal(signal.SIGKILL)
        self.process.wait()
        self._guard.close()
        for number, stream in self._open.items():
            while data := _read_some(number):
                with contextlib.suppress(Cancelled):
                    stream.feed(data)
        for pipe, stream in self._pipes():
            with contextlib.suppress(Cancelled):
                stream.flush(last=True)
            pipe.close()
        self._files.close()


def _read_some(number: int) -> bytes | None:
    """Return bytes of a pipe; none at its end, None where there is nothing at the moment."""
    try:
        return os.read(number, _BLOCK)
    except BlockingIOError:
        return None


def _start(command: Command, stdin: IO[bytes] | None) -> subprocess.Popen[bytes]:
    import subprocess

    try:
        return subprocess.Popen(
            list(command.argv), cwd=command.folder, env=dict(command.env), stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0,
        )  # fmt: skip
    except FileNotFoundError:
        raise RunError(
            f"{command.owner}: there is no program '{command.argv[0]}', or the interpreter in its first line is missing"
        ) from None
    except PermissionError:
        raise RunError(f"{command.owner}: {command.argv[0]} is not executable: chmod +x {command.argv[0]}") from None
    except ValueError as error:
        raise ParameterError(f"{command.owner}: a value cannot be given to a command: {error}") from None
    except OSError as error:
        raise RunError(f"{command.owner}: {command.argv[0]} cannot be started: {error.strerror}") from None


class _Guard:
    """Ends a process group should this process die (SIGKILL, a crash) before the command has ended."""

    def __init__(self, group: int, command: Command) -> None:
        import subprocess

        reader, self._writer = os.pipe()  # this end is closed by us, or by the kernel when we die
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH, "sh", f"{command.grace:g}", *(command.end or ("true",))], stdin=reader, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, process_group=group,
            )  # fmt: skip
        except OSError:
            pass  # the command has ended already, and its group with it
        finally:
            os.close(reader)

    def close(self) -> None:
        """Reap it: it ended with the group."""
        if self._process is not None:
            self._process.wait()
        os.close(self._writer)


def shown(tail: Sequence[str]) -> str:
    """Return the last lines of an output as they stand in an error message."""
    return "".join(f"\n  | {line}" for line in tail)


def failure(command: Command, ended: Ended) -> RunError:
    """Return the error of a command that did not succeed: how it ended, and the last lines that it wrote."""
    said = shown(ended.tail) or "; it wrote nothing"
    return RunError(f"{command.owner}: the command '{Path(command.argv[0]).name}' failed with {ended.how}{said}")
