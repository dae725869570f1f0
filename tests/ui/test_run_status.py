"""What the page says of a run is what the run's folder says."""

from __future__ import annotations

import json
import os
from pathlib import Path

from daisy_core.runs import RunFolder, write_json
from shared_ui.runs import clock, run_status, tail


def folder(root: Path, events: list[dict], submitted: float = 1000.0) -> RunFolder:
    made = RunFolder.create(root, {"workflow": "pdf.reduce", "submitted": submitted})
    lines = (json.dumps({"time": 1000.0 + index, "task": None, **event}) + "\n" for index, event in enumerate(events))
    (made.path / "events.jsonl").write_text("".join(lines))
    return made


def test_a_run_that_was_just_asked_for_is_pending(tmp_path: Path) -> None:
    status = run_status(folder(tmp_path, []))
    assert (status.state, status.tasks, status.ended) == ("pending", [], False)


def test_tasks_have_their_progress_and_message(tmp_path: Path) -> None:
    run = folder(tmp_path, [
        {"kind": "running"}, {"kind": "started", "task": "integrate"},
        {"kind": "progress", "task": "integrate", "fraction": 0.4, "message": "frame 2 of 5"},
    ])  # fmt: skip
    (task,) = run_status(run).tasks
    assert (task.name, task.state, task.fraction, task.message) == ("integrate", "running", 0.4, "frame 2 of 5")


def test_the_parts_of_a_lifted_task_are_one_task(tmp_path: Path) -> None:
    run = folder(tmp_path, [
        {"kind": "running"}, {"kind": "started", "task": "background"},
        {"kind": "progress", "task": "background[0]", "fraction": 0.9},
        {"kind": "progress", "task": "background", "fraction": 0.5, "message": "1 of 2"},
    ])  # fmt: skip
    (task,) = run_status(run).tasks
    assert (task.name, task.fraction, task.message) == ("background", 0.5, "1 of 2")


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    run = folder(tmp_path, [
        {"kind": "running"}, {"kind": "started", "task": "integrate"},
        {"kind": "failed", "task": "integrate", "message": "InputError: no"}, {"kind": "failed", "message": "node 'integrate': no"},
    ])  # fmt: skip
    status = run_status(run)
    assert (status.state, status.error, status.ended) == ("failed", "node 'integrate': no", True)
    assert status.tasks[0].state == "failed"
    assert status.seconds == 3.0


def test_a_run_whose_process_died_is_lost_and_not_watched_for_ever(tmp_path: Path) -> None:
    run = folder(tmp_path, [{"kind": "running"}])
    import socket

    write_json(
        run.path / "lease.json", {"host": socket.gethostname(), "pid": 2**22 + 7, "started": 1.0, "heartbeat": 0.0}
    )
    status = run_status(run)
    assert (status.state, status.ended) == ("lost", True)


def test_only_the_end_of_a_long_log_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("".join(f"line {number}{os.linesep}" for number in range(1000)))
    assert tail(log, 2).split() == ["line", "998", "line", "999"]
    assert tail(tmp_path / "none.txt") == ""


def test_durations_are_hours_minutes_seconds() -> None:
    assert [clock(seconds) for seconds in (0.4, 59.9, 61, 3600 * 25 + 2)] == [
        "0:00:00",
        "0:00:59",
        "0:01:01",
        "25:00:02",
    ]
