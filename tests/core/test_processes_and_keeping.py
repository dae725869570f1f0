"""Runs that survive: killed workers, killed engines, kept results, declared resources; the same results everywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from daisy_core import Cancelled, ParameterError, RunError, WorkflowEngine, registry
from daisy_core.checkpoints import Corrupted, ResultFiles
from daisy_core.cli import main
from daisy_core.launch import resume
from daisy_core.runs import RunFolder, list_runs

LAB = '''
from __future__ import annotations
import logging, os, signal, time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple
import numpy as np
from numpy.typing import NDArray
from daisy_core import Axes, File, Reduction, Resources, Unit, algorithm, data, progress, workflow

@data
class Wave:
    """A wave."""
    t: Annotated[NDArray[Any], Axes("t"), Unit("s")]
    y: Annotated[NDArray[Any], Axes("t")]

@algorithm(version="1")
def wave(phase: float, *, points: int = 20000) -> Wave:
    """Make one."""
    t = np.linspace(0, 1, points)
    return Wave(t, np.sin(t + phase) @ np.eye(1, points).T * np.cos(t))

@algorithm(version="1")
class mean(Reduction[Any, Any, Any]):
    """The mean wave."""
    def start(self) -> list[Any]:
        return [0.0, 0]
    def update(self, state: list[Any], wave: Wave) -> list[Any]:
        return [state[0] + wave.y / 3, state[1] + 1]
    def merge(self, left: list[Any], right: list[Any]) -> list[Any]:
        return [left[0] + right[0], left[1] + right[1]]
    def finish(self, state: list[Any]) -> NDArray[Any]:
        return state[0] / state[1]

@algorithm(version="1")
def power(y: NDArray[Any]) -> float:
    """Its power."""
    return float(np.vdot(y, y))

@workflow(version="1")
def inner(phases: Sequence[float]) -> NDArray[Any]:
    """Nested."""
    return mean.reduce(wave.map(phases, chunk=2), chunk=3)

@workflow(version="1")
def outer(phases: Sequence[float]) -> float:
    """Everything."""
    return power(inner(phases))

@algorithm(version="1")
def dies_once(flag: File) -> float:
    """Killed the first time."""
    if not Path(flag).with_suffix(".done").exists():
        Path(flag).with_suffix(".done").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 7.0

@algorithm(version="1")
def dies(x: float) -> float:
    """Always killed."""
    os.kill(os.getpid(), signal.SIGKILL)

@algorithm(version="1")
def stubborn(x: float) -> float:
    """Ignores everything."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.05)

@algorithm(version="1", resources=Resources(walltime="0:01"))
def endless(x: float) -> float:
    """Never ends."""
    while True:
        time.sleep(0.05)

@algorithm(version="1")
def fails(x: float) -> float:
    """Fails."""
    raise ValueError("as it should")

@algorithm(version="1")
def tells(x: float) -> int:
    """Reports and logs."""
    progress(0.5, "half way")
    logging.getLogger("lab").warning("look here")
    return os.getpid()

@algorithm(version="1", resources=Resources(gpus=1))
def on_gpu(x: float, log: str) -> float:
    """Uses the one GPU."""
    with open(log, "a") as handle:
        handle.write("+")
    time.sleep(0.05)
    with open(log, "a") as handle:
        handle.write("-")
    return x

@workflow(version="1")
def gpus(xs: Sequence[float], log: str) -> Sequence[float]:
    """Several on one GPU."""
    return on_gpu.map(xs, log)

@algorithm(version="1")
def counted(x: float, tally: str) -> float:
    """Leaves a trace; the fifth kills the engine until a file says not to."""
    if x == 4.0 and not Path(tally + ".go").exists():
        os.kill(os.getpid() if Path(tally + ".self").exists() else os.getppid(), signal.SIGKILL)
        time.sleep(30)
    with open(tally, "a") as handle:
        handle.write(f"{x}\\n")
    return x + 1

@algorithm(version="1")
def summed(values: Sequence[float]) -> float:
    """The sum."""
    return float(sum(values))

@workflow(version="1")
def counting(xs: Sequence[float], tally: str) -> float:
    """Counted, then summed."""
    return summed(counted.map(xs, tally))
'''


@pytest.fixture(scope="module")
def lab_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lab") / "survival_lab.py"
    path.write_text(LAB, encoding="utf-8")
    registry.load_file(path)
    return path


@pytest.fixture
def lab(lab_file: Path) -> object:
    return registry.load_file(lab_file)


@pytest.fixture
def processes(tmp_path: Path) -> WorkflowEngine:
    return WorkflowEngine("processes", workers=2, runs=tmp_path / "runs", grace=0.3)


def test_processes_give_the_bits_of_the_other_engines(lab) -> None:
    phases = [0.1 * index for index in range(7)]
    results = {
        kind: WorkflowEngine(kind, workers=2).run(lab.outer, {"phases": phases}).result()
        for kind in ("inline", "threads", "processes")
    }
    assert len(set(results.values())) == 1
    assert results["inline"] == lab.outer(phases)


def test_data_objects_come_back_whole_and_read_only(lab) -> None:
    made = WorkflowEngine("processes", workers=1).run(lab.wave, {"phase": 0.5}).result()
    np.testing.assert_array_equal(made.y, lab.wave(0.5).y)
    assert not made.y.flags.writeable


def test_a_killed_worker_costs_one_retry(lab, processes: WorkflowEngine, tmp_path: Path) -> None:
    (tmp_path / "flag").touch()
    run = processes.run(lab.dies_once, {"flag": tmp_path / "flag"})
    assert run.result() == 7.0
    assert [event["kind"] for event in run.events()].count("retried") == 1


def test_a_worker_that_always_dies_fails_the_run_with_the_signal(lab, processes: WorkflowEngine) -> None:
    run = processes.submit(lab.dies, {"x": 1.0}).wait(30)
    assert run.state == "failed"
    assert "SIGKILL" in run.reason()


def test_an_error_in_a_worker_keeps_its_type_and_its_traceback(lab, processes: WorkflowEngine) -> None:
    run = processes.submit(lab.fails, {"x": 1.0}).wait(30)
    assert isinstance(run.error, ValueError)
    assert run.folder is not None
    assert 'raise ValueError("as it should")' in run.folder.log.read_text(encoding="utf-8")


def test_a_worker_that_ignores_everything_is_ended_when_cancelled(lab, processes: WorkflowEngine) -> None:
    run = processes.submit(lab.stubborn, {"x": 1.0})
    while run.tasks.get("stubborn") != "running":
        time.sleep(0.01)
    time.sleep(0.5)
    run.cancel()
    assert run.wait(20).state == "cancelled"
    with pytest.raises(Cancelled):
        run.result()


def test_walltime_ends_a_task(lab, processes: WorkflowEngine) -> None:
    run = processes.submit(lab.endless, {"x": 1.0}).wait(30)
    assert run.state == "failed"
    assert "walltime of 1 s" in run.reason()


def test_progress_and_log_messages_come_from_the_worker(lab, processes: WorkflowEngine) -> None:
    run = processes.run(lab.tells, {"x": 1.0})
    assert run.result() != os.getpid()
    assert any(event["kind"] == "progress" and event["message"] == "half way" for event in run.events())
    assert run.folder is not None
    assert "look here" in run.folder.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_two_tasks_never_share_the_one_gpu(lab, tmp_path: Path, kind: str) -> None:
    log = tmp_path / "gpu.txt"
    engine = WorkflowEngine(kind, workers=3, gpus=1)
    assert engine.run(lab.gpus, {"xs": [1.0, 2.0, 3.0, 4.0], "log": str(log)}).result() == [1.0, 2.0, 3.0, 4.0]
    assert log.read_text(encoding="utf-8") == "+-" * 4


def test_a_gpu_that_is_not_there_is_said_at_once(lab) -> None:
    run = WorkflowEngine("threads").submit(lab.on_gpu, {"x": 1.0, "log": "x"}).wait(10)
    assert "needs 1 GPU, but the engine was given 0" in run.reason()


def _tally(path: Path) -> list[float]:
    return sorted(float(line) for line in path.read_text(encoding="utf-8").split())


def _killed_engine(lab_file: Path, folder: Path, checkpoint: str) -> RunFolder:
    """Start a run in a process of its own whose fifth item kills that process."""
    code = (
        "import sys; from daisy_core import registry, WorkflowEngine; from pathlib import Path; "
        f"lab = registry.load_file(Path({str(lab_file)!r})); "
        f"WorkflowEngine('inline', runs={str(folder / 'runs')!r}, checkpoint={checkpoint!r})"
        f".run(lab.counting, {{'xs': [float(i) for i in range(8)], 'tally': {str(folder / 'tally')!r}}})"
    )
    (folder / "tally.self").touch()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (folder / "tally.go").touch()
    return list_runs(folder / "runs")[0]


def test_resume_after_a_killed_engine_computes_exactly_what_is_unfinished(
    lab, lab_file: Path, tmp_path: Path, monkeypatch
) -> None:
    folder = _killed_engine(lab_file, tmp_path, "all")
    assert folder.state() == "lost"
    assert _tally(tmp_path / "tally") == [0.0, 1.0, 2.0, 3.0]
    (tmp_path / "tally").unlink()
    monkeypatch.chdir(tmp_path)
    assert main(["resume", folder.id, "--runs", str(tmp_path / "runs")]) == 1  # its list of numbers was only in memory
    run = WorkflowEngine("inline", runs=tmp_path / "runs", checkpoint="all").resume(
        folder, lab.counting, {"xs": [float(i) for i in range(8)], "tally": str(tmp_path / "tally")}
    )
    assert run.result() == sum(range(8)) + 8
    assert _tally(tmp_path / "tally") == [4.0, 5.0, 6.0, 7.0]
    assert folder.state() == "succeeded"


def test_resume_without_checkpoints_computes_everything_again(lab, lab_file: Path, tmp_path: Path) -> None:
    folder = _killed_engine(lab_file, tmp_path, "none")
    (tmp_path / "tally").unlink()
    WorkflowEngine("inline", runs=tmp_path / "runs").resume(
        folder, lab.counting, {"xs": [float(i) for i in range(8)], "tally": str(tmp_path / "tally")}
    ).result()
    assert len(_tally(tmp_path / "tally")) == 8


def test_a_succeeded_run_is_not_resumed(lab, tmp_path: Path) -> None:
    run = WorkflowEngine("inline", runs=tmp_path / "runs").run(lab.tells, {"x": 1.0})
    assert run.folder is not None
    with pytest.raises(RunError, match="is succeeded; only"):
        resume(run.folder)


def test_the_cache_gives_what_was_computed_before_and_says_so(lab, tmp_path: Path) -> None:
    engine = WorkflowEngine("threads", cache=tmp_path / "cache")
    inputs = {"xs": [1.0, 2.0], "tally": str(tmp_path / "tally")}
    first, second = engine.run(lab.counting, inputs), engine.run(lab.counting, inputs)
    assert first.result() == second.result() == 5.0
    assert len(_tally(tmp_path / "tally")) == 2
    assert set(second.tasks.values()) == {"cached", "skipped"}
    assert any(event["kind"] == "cached" and "same algorithm" in event["message"] for event in second.events())


def test_a_damaged_cache_entry_is_computed_again(lab, tmp_path: Path) -> None:
    engine = WorkflowEngine("inline", cache=tmp_path / "cache")
    inputs = {"xs": [1.0, 2.0], "tally": str(tmp_path / "tally")}
    engine.run(lab.counting, inputs)
    for path in (tmp_path / "cache").glob("*/value"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert engine.run(lab.counting, inputs).result() == 5.0
    assert len(_tally(tmp_path / "tally")) == 4


def test_kept_results_are_checked_limited_and_pruned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ResultFiles(tmp_path / "cache", limit=3000)
    for index in range(5):
        store.put(f"key{index}", np.full(100, index))
        os.utime(tmp_path / "cache" / f"key{index}" / "value", (index, index))
    assert store.size() <= 3000
    assert "key4" in store
    assert "key0" not in store
    (tmp_path / "cache" / "key4" / "value").write_bytes(b"0" * 64 + b"\nnothing")
    with pytest.raises(Corrupted):
        store.get("key4")
    with pytest.raises(KeyError):
        store.get("key4")
    assert main(["cache", "prune", "--cache", str(tmp_path / "cache"), "--limit", "0"]) == 0
    assert "0 results" in capsys.readouterr().out


def test_checkpoints_need_a_run_folder() -> None:
    with pytest.raises(ParameterError, match="folder of runs"):
        WorkflowEngine("inline", checkpoint="all")
