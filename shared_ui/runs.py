"""A run on a page: state, tasks, progress, log, cancel. All of it is read from the run's folder."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from daisy_core.runs import FINAL, RunFolder

from .forms import escape

SHOWN_LINES = 40
"""Lines of the log that are shown."""


@dataclass
class TaskStatus:
    """One task: its state, how far it is (0 to 1), and what it said last."""

    name: str
    state: str = "pending"
    fraction: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class RunStatus:
    """What a run folder tells at one moment."""

    id: str
    workflow: str
    state: str
    seconds: float
    tasks: list[TaskStatus] = field(default_factory=list[TaskStatus])
    error: str | None = None
    log: str = ""

    @property
    def ended(self) -> bool:
        """True where nothing will change any more."""
        return self.state in (*FINAL, "lost")


def run_status(folder: RunFolder) -> RunStatus:
    """Read the status of a run from its folder."""
    request = folder.request()
    begun, last = float(request.get("submitted", time.time())), 0.0
    tasks: dict[str, TaskStatus] = {}
    for event in folder.events():
        last = float(event["time"])
        name = event.get("task")
        if name is None:
            continue
        whole = name.rpartition("[")[0] if name.endswith("]") and "[" in name.rpartition("/")[2] else name
        task = tasks.setdefault(whole if whole in tasks else name, TaskStatus(name))
        _follow(task, event, whole=name == task.name)
    state = folder.state()
    ended = state in (*FINAL, "lost")
    return RunStatus(folder.id, request["workflow"], state, (last if ended and last else time.time()) - begun,
                     list(tasks.values()), folder.error(), tail(folder.log))  # fmt: skip


def _follow(task: TaskStatus, event: dict[str, object], *, whole: bool) -> None:
    kind = str(event["kind"])
    if kind == "progress":
        if whole:
            task.fraction, task.message = float(str(event["fraction"])), str(event.get("message", ""))
        return
    task.state = "running" if kind == "started" else kind
    if kind in ("succeeded", "cached", "skipped"):
        task.fraction, task.message = 1.0, ""
    if kind == "failed":
        task.message = str(event.get("message", ""))


def tail(path: Path, lines: int = SHOWN_LINES) -> str:
    """Return the last lines of a text file; empty where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as handle:
            return "".join(deque(handle, lines))
    except OSError:
        return ""


def clock(seconds: float) -> str:
    """Return a duration as people read it: ``0:01:05``.

    Examples
    --------
    >>> clock(65.4)
    '0:01:05'
    """
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


_STATES = {"pending": ("gray", "schedule"), "running": ("blue", "sync"), "succeeded": ("green", "check"),
           "cached": ("green", "check"), "skipped": ("gray", "remove"), "failed": ("red", "error"),
           "cancelled": ("orange", "block"), "lost": ("violet", "help")}  # fmt: skip


def _badge(state: str) -> str:
    color, icon = _STATES.get(state, ("gray", "help"))
    return f":{color}-badge[:material/{icon}: {state}]"


def run_panel(folder: RunFolder, *, key: str = "run", close: Callable[[], None] | None = None) -> None:
    """Show a run, once a second while it goes on, and no more when it has ended.

    Parameters
    ----------
    folder : RunFolder
        The run.
    key : str
        Name of the panel on the page.
    close : callable, optional
        Called when the panel is closed; without it there is no button for that.
    """
    every = None if run_status(folder).ended else 1.0

    @st.fragment(run_every=every)
    def panel() -> None:
        status = run_status(folder)
        if status.ended and every is not None:
            st.rerun()
        with st.container(border=True, key=f"{key}-panel"):
            _head(folder, status, key, close)
            _tasks(status)
            with st.expander("Folder, tasks and log", expanded=status.state in ("failed", "lost")):
                st.code(str(folder.path), language=None)
                st.markdown("  \n".join(f"{_badge(task.state)} {escape(task.name)}" for task in status.tasks))
                if status.log:
                    st.code(status.log, language=None)

    panel()


def _head(folder: RunFolder, status: RunStatus, key: str, close: Callable[[], None] | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**Run {status.id}** {_badge(status.state)} {status.workflow} :gray[{clock(status.seconds)}]",
            width="stretch",
        )
        if folder.results.is_file():
            st.download_button("results.nxs", lambda: folder.results.read_bytes(), f"{status.id}.nxs", "application/x-hdf5",
                               key=f"{key}:results", icon=":material/download:", on_click="ignore")  # fmt: skip
        if not status.ended:
            st.button("Cancel", key=f"{key}:cancel", icon=":material/stop_circle:", on_click=folder.request_cancel,
                      disabled=folder.cancel_requested())  # fmt: skip
        if close is not None and st.button("Close", key=f"{key}:close", icon=":material/close:", type="tertiary"):
            close()
            st.rerun()


def _tasks(status: RunStatus) -> None:
    """Show what went wrong, or how far the tasks are that are not done."""
    if status.error:
        st.error(escape(status.error), icon=":material/error:")
    for task in status.tasks:
        if not status.ended and task.state == "running":
            text = f"{task.name} · {task.message}" if task.message else task.name
            st.progress(min(max(task.fraction, 0.0), 1.0), escape(text))
