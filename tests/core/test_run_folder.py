"""A run is a folder: request, events, lease, log and results; whoever looks sees whole files and the true state."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core.kernel_lab import Recipe, frames, profile, reduce_and_fit, reduce_frame, same

from daisy_core import InputError, ParameterError, RunError, algorithm, nexus, registry, workflow
from daisy_core.engine import WorkflowEngine
from daisy_core.launch import start_detached
from daisy_core.reading import FileInput
from daisy_core.runs import RunFolder, default_root, list_runs, write_json

KINDS = pytest.mark.parametrize("kind", ["inline", "threads"])

LAB = """
from __future__ import annotations
import os, signal, time
from daisy_core import File, ParameterModel, algorithm, progress, workflow

class Speed(ParameterModel):
    '''A group.'''
    factor: float = 1.0

@algorithm(version="1")
def slow(x: float, *, seconds: float = 60.0) -> float:
    '''Take long.'''
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        progress(0.5, "waiting")
        time.sleep(0.01)
    return x

@algorithm(version="1")
def size_of(path: File, *, speed: Speed = Speed()) -> float:
    '''Size of a file.'''
    return path.stat().st_size * speed.factor

@algorithm(version="1")
def refuses(x: float) -> float:
    '''Fail.'''
    raise ValueError("not today")

@algorithm(version="1")
def dies(x: float) -> float:
    '''Kill the process.'''
    os.kill(os.getpid(), signal.SIGKILL)

@workflow(version="1")
def sizes(path: File, *, unused: float = 0.0) -> float:
    '''A workflow with a group below.'''
    return size_of(path)
"""


@algorithm(version="1")
def logs(x: float) -> float:
    """Say something in the log."""
    logging.getLogger("lab").warning("the beam is off at %s", x)
    return x


@algorithm(version="1")
def breaks(x: float) -> float:
    """Fail with a traceback."""
    raise InputError("the file is empty; copy it again")


@workflow(version="1")
def breaks_inside(x: float) -> float:
    """Fail in a node."""
    return breaks(logs(x))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Path]:
    """A file of algorithms, as a beamline scientist writes one."""
    name = f"lab_{os.getpid()}_{time.monotonic_ns()}"
    path = tmp_path / f"{name}.py"
    path.write_text(LAB)
    yield path
    sys.modules.pop(name, None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of runs."""
    return tmp_path / "runs"


def until(question: Any, timeout: float = 20.0) -> None:
    end = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


# -- what is in the folder --------------------------------------------------------------------------------------


@KINDS
def test_a_run_leaves_request_events_lease_and_results(kind: Any, root: Path) -> None:
    inputs = {"frame": frames()[0]}
    run = WorkflowEngine(kind, runs=root).run(
        reduce_and_fit, inputs, {"npt": 5}, context={"proposal": 7, "sample": "CeO2"}
    )
    folder = run.folder
    assert folder is not None
    assert folder.path == root / run.id
    assert {"request.json", "events.jsonl", "lease.json", "results.nxs"} <= {
        item.name for item in folder.path.iterdir()
    }
    request = folder.request()
    assert (request["format"], request["id"], request["workflow"]) == (1, run.id, "core.reduce_and_fit")
    assert request["params"] == {"npt": 5}
    assert (request["context"]["proposal"], request["context"]["sample"]) == (7, "CeO2")
    assert request["inputs"] == {"frame": {"memory": "ndarray"}}
    assert request["engine"]["kind"] == kind
    assert {"python", "numpy", "daisy-suite"} <= set(request["versions"])
    assert list(folder.events()) == list(run.events())
    assert (folder.state(), folder.error()) == ("succeeded", None)
    lease = folder.lease()
    assert lease is not None
    assert (lease["host"], lease["pid"]) == (socket.gethostname(), os.getpid())
    assert not [item for item in folder.path.iterdir() if item.name.startswith(".")]


@KINDS
def test_the_results_file_has_the_outputs_and_can_rebuild_the_run(kind: Any, root: Path) -> None:
    run = WorkflowEngine(kind, runs=root).run(reduce_and_fit, {"frame": frames()[0]}, {"recipe": Recipe(npt=3)})
    assert run.folder is not None
    stored = nexus.read(run.folder.results)
    assert list(stored) == ["curve", "scale", "length"]
    assert same(tuple(stored.values()), tuple(run.result()))
    record = nexus.read_provenance(run.folder.results)
    assert record["run"] == run.id
    assert record["params"]["recipe"] == Recipe(npt=3).model_dump(mode="json")
    assert record["params"]["npt"] == 6
    assert set(record["tasks"]) == {
        "reduce_frame/profile",
        "reduce_frame/background",
        "reduce_frame/subtract",
        "fit",
        "norm",
    }
    assert record["input_ids"]["frame"].startswith("value:")
    again = WorkflowEngine(kind).run(reduce_and_fit, {"frame": frames()[0]}, record["params"])
    assert again.provenance()["tasks"] == record["tasks"]
    assert same(again.result(), run.result())


@KINDS
def test_a_failed_run_keeps_reason_node_and_traceback(kind: Any, root: Path) -> None:
    run = WorkflowEngine(kind, runs=root).submit(breaks_inside, {"x": 1.0})
    with pytest.raises(RunError):
        run.result(5)
    assert run.folder is not None
    assert run.folder.state() == "failed"
    assert run.folder.error() == "node 'breaks': the file is empty; copy it again"
    assert not run.folder.results.exists()
    log = run.folder.log.read_text(encoding="utf-8")
    assert "node 'breaks' (tests.breaks) failed" in log
    assert "Traceback (most recent call last)" in log
    assert "InputError: the file is empty; copy it again" in log
    assert log.count("Traceback") == 1
    failed = [event for event in run.folder.events() if event["kind"] == "failed"]
    assert [event["task"] for event in failed] == ["breaks", None]


@KINDS
def test_the_log_of_a_run_has_what_its_algorithms_said_and_no_one_elses(kind: Any, root: Path) -> None:
    engine = WorkflowEngine(kind, runs=root)
    logging.getLogger("lab").warning("outside")
    runs = [engine.run(logs, {"x": value}) for value in (1.0, 2.0)]
    for run, value in zip(runs, (1.0, 2.0), strict=True):
        assert run.folder is not None
        log = run.folder.log.read_text(encoding="utf-8")
        assert f"WARNING logs lab: the beam is off at {value}" in log
        assert len(log.splitlines()) == 1


def test_a_run_that_is_refused_is_recorded_with_the_reason(root: Path) -> None:
    with pytest.raises(ParameterError):
        WorkflowEngine(runs=root).submit(reduce_frame, {"frame": frames()[0]}, {"npt": 1})
    folder = list_runs(root)[0]
    assert folder.state() == "failed"
    assert "'npt': expected greater than or equal to 2" in (folder.error() or "")


def test_results_that_cannot_be_stored_fail_the_run(root: Path) -> None:
    @algorithm(name="core_tests.gives_an_object")
    def gives_an_object(x: float) -> Any:
        return object()

    run = WorkflowEngine(runs=root).submit(gives_an_object, {"x": 1.0})
    with pytest.raises(RunError, match="result: a object cannot be stored"):
        run.result()
    assert run.folder is not None
    assert run.folder.state() == "failed"
    assert "cannot be stored" in run.folder.log.read_text(encoding="utf-8")


def test_inputs_from_files_are_recorded_with_path_and_content(root: Path, tmp_path: Path) -> None:
    curve = profile(frames()[0])
    path = nexus.write(tmp_path / "curve.nxs", {"curve": curve})
    from core.kernel_lab import scale

    run = WorkflowEngine(runs=root).run(scale, {"curve": f"{path}::curve"})
    assert run.folder is not None
    assert run.folder.request()["inputs"] == {"curve": {"path": f"{path}::curve"}}
    identity = nexus.read_provenance(run.folder.results)["input_ids"]["read:curve"]
    assert identity["size"] == path.stat().st_size
    assert identity["method"] == "content"
    assert len(identity["sha256"]) == 64


# -- whoever looks sees whole files -----------------------------------------------------------------------------


def test_a_json_file_is_never_seen_half_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"n": 0})
    stop = threading.Event()

    def write() -> None:
        for index in range(300):
            write_json(path, {"n": index, "fill": ["x" * 50] * 200})
        stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not stop.is_set():
        assert json.loads(path.read_text())["n"] >= 0
    thread.join()
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_a_line_that_is_still_being_written_is_left_for_the_next_time(root: Path) -> None:
    run = WorkflowEngine(runs=root).run(logs, {"x": 1.0})
    assert run.folder is not None
    before = list(run.folder.events())
    line = json.dumps({"time": 0, "kind": "progress", "task": "a", "message": "Å" * 5}, ensure_ascii=False).encode()
    events = run.folder.path / "events.jsonl"
    whole = events.read_bytes()
    for length in range(1, len(line) + 1):
        events.write_bytes(whole + line[:length])
        assert list(run.folder.events()) == before
    events.write_bytes(whole + line + b"\n")
    assert len(list(run.folder.events())) == len(before) + 1
    events.write_bytes(whole + b"\xff garbage\n" + line + b"\n")
    assert len(list(run.folder.events())) == len(before) + 1


def test_a_run_in_progress_has_no_results_yet_and_is_running(root: Path, lab: Path) -> None:
    made = registry.find(f"{lab}:slow")
    run = WorkflowEngine("threads", runs=root).submit(made, {"x": 1.0})
    assert run.folder is not None
    folder = RunFolder(run.folder.path)
    until(lambda: folder.state() == "running")
    assert not folder.results.exists()
    assert folder.lease() is not None
    folder.request_cancel()
    run.wait(10)
    assert folder.state() == "cancelled"


# -- the state --------------------------------------------------------------------------------------------------


def running_folder(root: Path, lease: dict[str, Any] | None) -> RunFolder:
    folder = RunFolder.create(root, {"workflow": "x"})
    (folder.path / "events.jsonl").write_text('{"time": 1, "kind": "running", "task": null}\n')
    if lease is not None:
        write_json(folder.path / "lease.json", lease)
    return folder


def test_a_run_whose_process_is_gone_is_lost(root: Path) -> None:
    here = socket.gethostname()
    own = running_folder(root, None)
    own.take_lease()
    assert own.state() == "running"
    lease = own.lease()
    assert lease is not None
    assert running_folder(root, {**lease, "pid": 2**22 - 3}).state() == "lost"
    assert running_folder(root, {**lease, "started": -1.0}).state() == "lost"  # another process has the pid now
    assert running_folder(root, {**lease, "host": f"not-{here}", "heartbeat": time.time()}).state() == "running"
    assert running_folder(root, {**lease, "host": f"not-{here}", "heartbeat": time.time() - 60}).state() == "lost"
    assert running_folder(root, None).state() == "running"


def test_a_run_that_ended_is_never_lost(root: Path) -> None:
    folder = running_folder(root, {"host": "gone", "pid": 1, "started": 0.0, "heartbeat": 0.0})
    with (folder.path / "events.jsonl").open("a") as handle:
        handle.write('{"time": 2, "kind": "succeeded", "task": null}\n')
    assert folder.state() == "succeeded"


def test_a_task_that_failed_is_not_the_state_of_the_run(root: Path) -> None:
    folder = running_folder(root, None)
    with (folder.path / "events.jsonl").open("a") as handle:
        handle.write('{"time": 2, "kind": "failed", "task": "a", "message": "no"}\n')
    assert folder.state() == "running"
    assert folder.error() is None


# -- finding runs -----------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first_and_found_by_id(root: Path) -> None:
    assert list_runs(root) == []
    folders = [RunFolder.create(root, {"workflow": "x"}) for _ in range(3)]
    (root / "something-else").mkdir()
    assert {item.id for item in list_runs(root)} == {item.id for item in folders}
    assert [item.id for item in list_runs(root)] == sorted((item.id for item in folders), reverse=True)
    assert RunFolder.find(folders[0].id, root).path == folders[0].path
    folders[0].delete()
    assert len(list_runs(root)) == 2


@pytest.mark.parametrize("name", ["../../etc", "", "20260101-000000-abcdef/..", "20260101-000000-abcdef\n"])
def test_an_id_that_is_none_is_refused(root: Path, name: str) -> None:
    with pytest.raises(RunError, match="is not a run id"):
        RunFolder.find(name, root)


def test_what_is_no_run_folder_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run 20260101-000000-abcdef"):
        RunFolder.find("20260101-000000-abcdef", root)
    with pytest.raises(RunError, match="is not a run folder"):
        RunFolder(tmp_path)
    folder = RunFolder.create(root, {"workflow": "x"})
    write_json(folder.path / "request.json", {**folder.request(), "format": 99})
    with pytest.raises(RunError, match=r"made by a newer version \(format 99\); update daisy-suite"):
        folder.request()
    (tmp_path / "file").touch()
    with pytest.raises(
        RunError, match=r"cannot make a run folder in .*file.*; choose another with --runs or DAISY_RUNS"
    ):
        RunFolder.create(tmp_path / "file", {})


def test_the_folder_of_runs_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAISY_RUNS", "/data/runs")
    assert default_root() == Path("/data/runs")
    monkeypatch.delenv("DAISY_RUNS")
    assert default_root() == Path("runs")


# -- runs in a process of their own -----------------------------------------------------------------------------


def test_a_detached_run_has_a_process_of_its_own_and_ends(root: Path, lab: Path) -> None:
    folder = start_detached(
        f"{lab}:size_of", {"path": lab}, {"speed": {"factor": 2.0}}, root=root, context={"sample": "x"}
    )
    until(lambda: folder.state() == "succeeded")
    assert nexus.read(folder.results) == {"result": 2.0 * lab.stat().st_size}
    lease = folder.lease()
    assert lease is not None
    assert lease["pid"] != os.getpid()
    assert folder.request()["context"]["sample"] == "x"


def test_a_detached_run_takes_parameters_of_nodes_and_options_of_readers(root: Path, lab: Path) -> None:
    folder = start_detached(f"{lab}:sizes", {"path": FileInput(lab)}, {"size_of.speed": {"factor": 3.0}}, root=root)
    until(lambda: folder.state() in ("succeeded", "failed"))
    assert folder.error() is None
    assert nexus.read(folder.results) == {"result": 3.0 * lab.stat().st_size}


def test_a_detached_run_that_is_killed_is_lost(root: Path, lab: Path) -> None:
    folder = start_detached(f"{lab}:slow", {"x": 1.0}, root=root)
    until(lambda: folder.state() == "running" and folder.lease() is not None)
    lease = folder.lease()
    assert lease is not None
    os.kill(lease["pid"], signal.SIGKILL)
    until(lambda: folder.state() == "lost")


def test_a_detached_run_that_dies_before_it_starts_is_lost(
    root: Path, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    folder = start_detached(f"{lab}:slow", {"x": 1.0}, root=root)
    until(lambda: folder.state() == "lost")


def test_a_detached_run_is_cancelled_by_anyone(root: Path, lab: Path) -> None:
    folder = start_detached(f"{lab}:slow", {"x": 1.0}, root=root)
    until(lambda: folder.state() == "running")
    RunFolder.find(folder.id, root).request_cancel()
    until(lambda: folder.state() == "cancelled")


def test_a_detached_run_that_fails_says_why(root: Path, lab: Path) -> None:
    folder = start_detached(f"{lab}:refuses", {"x": 1.0}, root=root)
    until(lambda: folder.state() == "failed")
    assert folder.error() == "node 'refuses': ValueError: not today"
    assert "Traceback" in folder.log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("function", "params", "message"),
    [
        ("slow", {"seconds": "x"}, "'seconds': expected a valid number"),
        ("slow", {"secnds": 1.0}, "unknown parameter 'secnds'; did you mean 'seconds'"),
        ("sizes", {"size_of.sped": {}}, r"unknown parameter 'size_of\.sped'"),
        ("sizes", {"size_of.speed": {"factor": "x"}}, "node 'size_of'.*factor"),
    ],
)
def test_a_refused_parameter_starts_nothing(root: Path, lab: Path, function: str, params: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        start_detached(f"{lab}:{function}", {"x": 1.0} if function == "slow" else {"path": lab}, params, root=root)
    assert list_runs(root) == []


def test_a_missing_or_unknown_input_starts_nothing(root: Path, lab: Path) -> None:
    for inputs, message in (({}, "input 'x' is required"), ({"y": 1.0}, "no input 'y'")):
        with pytest.raises(ParameterError, match=message):
            start_detached(f"{lab}:slow", inputs, root=root)
    assert list_runs(root) == []


def test_an_input_that_is_only_in_memory_cannot_be_detached(root: Path, lab: Path) -> None:
    for value in (np.zeros(3), [1.0, np.zeros(3)]):
        with pytest.raises(
            RunError, match="only in memory cannot be handed to another process; save it to a file first"
        ):
            start_detached(f"{lab}:slow", {"x": value}, root=root)
    assert list_runs(root) == []


def test_a_path_may_have_any_words_in_it(root: Path, lab: Path, tmp_path: Path) -> None:
    odd = tmp_path / "from memory #1 äö"
    odd.mkdir()
    (odd / "a.txt").write_text("abc")
    folder = start_detached(f"{lab}:size_of", {"path": odd / "a.txt"}, root=root)
    until(lambda: folder.state() in ("succeeded", "failed"))
    assert nexus.read(folder.results) == {"result": 3.0}
