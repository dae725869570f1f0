"""Engines: the same results, events in order, progress, cancelling, failures, contexts, and arrays nobody can change."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core.kernel_lab import (
    Array,
    Curve,
    Fit,
    correct,
    fit,
    frames,
    profile,
    reduce_and_fit,
    reduce_frame,
    same,
    scale,
    sum_of_frames,
)

from daisy_core import (
    Cancelled,
    Frame,
    InputError,
    ParameterError,
    Resources,
    RunError,
    WorkflowError,
    algorithm,
    context,
    progress,
    workflow,
)  # fmt: skip
from daisy_core.engine import Run, WorkflowEngine

KINDS = pytest.mark.parametrize("kind", ["inline", "threads"])
GATES: dict[str, threading.Event] = {}
CALLS: list[str] = []


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Fresh gates and calls for each test; gates are opened at its end, so that no thread hangs."""
    GATES.clear()
    GATES.update(go=threading.Event(), there=threading.Event())
    CALLS.clear()
    yield
    GATES["go"].set()


@algorithm(version="1")
def waits(x: float) -> float:
    """Wait for the gate, asking for cancellation all the while."""
    CALLS.append("waits")
    GATES["there"].set()
    while not GATES["go"].wait(0.005):
        progress(0.5, "waiting")
    return x


@algorithm(version="1")
def doubles(x: float) -> float:
    """Multiply by two."""
    CALLS.append("doubles")
    return 2 * x


@algorithm(version="1")
def fails(x: float, *, at: float = 2.0) -> float:
    """Fail at a value."""
    CALLS.append("fails")
    if x == at:
        raise InputError(f"the value {x} is not what it should be")
    return x


@algorithm(version="1")
def crashes(x: float) -> float:
    """Fail with an ordinary error."""
    return x / 0


@algorithm(version="1")
def adds(values: Sequence[float]) -> float:
    """Add."""
    return float(sum(values))


@workflow(version="1")
def waits_then_doubles(x: float) -> float:
    """A chain."""
    return doubles(waits(x))


@workflow(version="1")
def fails_in_the_middle(x: float) -> float:
    """A chain with a failure."""
    return doubles.named("after")(fails(doubles(x)))


@workflow(version="1")
def fails_in_a_map(values: Sequence[float]) -> float:
    """A map with a failure."""
    return adds(fails.map(values, chunk=2))


@workflow(version="1")
def crashes_at_once(x: float) -> float:
    """An ordinary error."""
    return crashes(x)


def kinds_of(run: Run, task: str | None = None) -> list[str]:
    return [event["kind"] for event in run.events() if event["task"] == task]


# -- results ----------------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_engine_gives_the_bits_of_the_direct_call(kind: Any, workers: int) -> None:
    engine = WorkflowEngine(kind, workers=workers)
    inputs = {"frame": frames()[0], "backgrounds": frames(4, seed=2)}
    assert same(engine.run(reduce_and_fit, inputs).result(), reduce_and_fit(**inputs))
    many = {"frames": frames(9), "monitors": list(np.linspace(1, 2, 9))}
    assert same(engine.run(sum_of_frames, many).result(), sum_of_frames(**many))


@KINDS
def test_several_ports_come_back_as_the_declared_tuple(kind: Any) -> None:
    found = WorkflowEngine(kind).run(fit, {"curve": profile(frames()[0])}).result()
    assert isinstance(found, Fit)
    assert same(found, fit(profile(frames()[0])))


@pytest.mark.parametrize(
    ("arguments", "message"), [(("thread",), "unknown kind 'thread'"), (("threads", 0), "workers must be at least 1")]
)
def test_an_engine_that_there_is_not_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        WorkflowEngine(arguments[0], workers=arguments[1] if len(arguments) > 1 else None)


@KINDS
@pytest.mark.parametrize(
    ("inputs", "params", "message"),
    [
        ({}, {}, "input 'frame' is required"),
        ({"frame": None}, {}, "input 'frame' is required"),
        ({"frame": frames()[0], "maks": 1}, {}, "no input 'maks'; did you mean 'mask'"),
        ({"frame": frames()[0]}, {"npt": True}, "parameter 'npt': expected a valid integer; got True"),
    ],
)
def test_what_is_wrong_before_the_first_task_is_raised_at_once_and_recorded(
    kind: Any, inputs: Any, params: Any, message: str, tmp_path: Path
) -> None:
    seen: list[Any] = []
    with pytest.raises(ParameterError, match=message):
        WorkflowEngine(kind, runs=tmp_path).submit(reduce_frame, inputs, params, listen=seen.append)
    assert [event["kind"] for event in seen] == ["pending", "failed"]
    assert message in seen[-1]["message"]


# -- events -----------------------------------------------------------------------------------------------------


@KINDS
def test_events_tell_the_run_and_each_task_in_order(kind: Any) -> None:
    seen: list[dict[str, Any]] = []
    run = WorkflowEngine(kind).run(fails_in_the_middle, {"x": 3.0}, {"fails.at": 0.0}, listen=seen.append)
    assert seen == list(run.events())
    assert [(event["kind"], event["task"]) for event in seen if event["kind"] != "progress"] == [
        ("pending", None), ("running", None),
        ("started", "doubles"), ("succeeded", "doubles"),
        ("started", "fails"), ("succeeded", "fails"),
        ("started", "after"), ("succeeded", "after"),
        ("succeeded", None),
    ]  # fmt: skip
    assert [event["time"] for event in seen] == sorted(event["time"] for event in seen)
    assert run.tasks == dict.fromkeys(["doubles", "fails", "after"], "succeeded")
    assert run.state == "succeeded"
    assert seen[2]["algorithm"] == "tests.doubles"
    assert seen[-1]["seconds"] >= 0


@KINDS
def test_a_task_starts_after_what_it_needs(kind: Any) -> None:
    run = WorkflowEngine(kind, workers=4).run(reduce_frame, {"frame": frames()[0], "backgrounds": frames(3)})
    order = [(event["kind"], event["task"]) for event in run.events()]
    for before in ("profile", "background"):
        assert order.index(("succeeded", before)) < order.index(("started", "subtract"))


def test_a_task_that_waits_for_a_worker_is_not_said_to_have_started() -> None:
    @workflow(name="core_tests.two_waits")
    def two_waits(x: float) -> float:
        return adds([waits(x), waits.named("second")(x)])

    run = WorkflowEngine("threads", workers=1).submit(two_waits, {"x": 1.0})
    assert GATES["there"].wait(5)
    assert kinds_of(run, "waits")[0] == "started"
    assert kinds_of(run, "second") == []
    assert run.tasks.get("second", "pending") == "pending"
    GATES["go"].set()
    assert run.result(5) == 2.0


@KINDS
def test_a_lifted_task_tells_how_many_items_are_done(kind: Any) -> None:
    run = WorkflowEngine(kind).run(fails_in_a_map, {"values": [1.0] * 6})
    told = [event["fraction"] for event in run.events() if event["kind"] == "progress" and event["task"] == "fails"]
    assert told[-1] == 1.0
    assert told == sorted(told)
    assert kinds_of(run, "fails")[0] == "started"
    assert kinds_of(run, "fails")[-1] == "succeeded"


@algorithm(version="1")
def reports(x: float, *, times: int = 2000) -> float:
    """Report progress very often."""
    for index in range(times):
        progress(index / times, f"step {index}")
    progress(1.0, "done")
    return x


@KINDS
def test_progress_is_told_a_few_times_a_second_and_the_end_always(kind: Any) -> None:
    began = time.monotonic()
    run = WorkflowEngine(kind).run(reports, {"x": 1.0})
    told = [event for event in run.events() if event["kind"] == "progress"]
    assert len(told) <= 3 + (time.monotonic() - began) / 0.1
    assert (told[0]["fraction"], told[0]["message"]) == (0.0, "step 0")
    assert (told[-1]["fraction"], told[-1]["message"]) == (1.0, "done")
    assert {event["task"] for event in told} == {"reports"}


@algorithm(version="1")
def reports_nonsense(x: float) -> float:
    """Report outside of 0 to 1."""
    progress(-3.0)
    progress(7.0, "too far")
    return x


def test_progress_is_kept_between_nothing_and_all() -> None:
    run = WorkflowEngine().run(reports_nonsense, {"x": 1.0})
    assert [event["fraction"] for event in run.events() if event["kind"] == "progress"] == [0.0, 1.0]


@KINDS
def test_a_listener_that_fails_does_not_harm_the_run(kind: Any) -> None:
    def listen(event: dict[str, Any]) -> None:
        raise RuntimeError("the screen is gone")

    run = WorkflowEngine(kind).submit(reports, {"x": 1.0}, listen=listen)
    assert run.result(5) == 1.0


# -- cancelling -------------------------------------------------------------------------------------------------


def test_a_run_is_cancelled_at_the_next_progress() -> None:
    run = WorkflowEngine("threads").submit(waits_then_doubles, {"x": 1.0})
    assert GATES["there"].wait(5)
    run.cancel()
    with pytest.raises(Cancelled, match=f"run {run.id} was cancelled"):
        run.result(5)
    assert run.state == "cancelled"
    assert run.cancelled()
    assert kinds_of(run)[-1] == "cancelled"
    assert kinds_of(run, "waits")[-1] == "cancelled"
    assert kinds_of(run, "doubles") == []
    assert CALLS == ["waits"]


@KINDS
def test_a_run_is_cancelled_by_a_file_in_its_folder(kind: Any, tmp_path: Path) -> None:
    def cancel() -> None:
        assert GATES["there"].wait(5)
        folder = next(tmp_path.iterdir())
        (folder / "cancel").touch()

    thread = threading.Thread(target=cancel)
    thread.start()
    run = WorkflowEngine(kind, runs=tmp_path).submit(waits_then_doubles, {"x": 1.0})
    thread.join()
    with pytest.raises(Cancelled):
        run.result(5)
    assert run.folder is not None
    assert run.folder.state() == "cancelled"
    assert not run.folder.results.exists()


def test_cancelling_starts_no_further_item_of_a_map() -> None:
    @workflow(name="core_tests.waits_in_a_map")
    def waits_in_a_map(values: Sequence[float]) -> float:
        return adds(waits.map(values))

    run = WorkflowEngine("threads", workers=2).submit(waits_in_a_map, {"values": [1.0] * 50})
    assert GATES["there"].wait(5)
    run.cancel()
    with pytest.raises(Cancelled):
        run.result(5)
    assert len(CALLS) <= 3
    assert run.tasks["waits"] == "cancelled"


def test_cancelling_reaches_a_workflow_that_runs_inside_an_algorithm() -> None:
    inner = waits_then_doubles.with_params({})

    @algorithm(name="core_tests.runs_inside")
    def runs_inside(x: float) -> float:
        return WorkflowEngine("inline").run(inner, {"x": x}).result()

    run = WorkflowEngine("threads").submit(runs_inside, {"x": 1.0})
    assert GATES["there"].wait(5)
    run.cancel()
    with pytest.raises(Cancelled):
        run.result(5)


def test_cancelling_a_run_that_has_ended_changes_nothing() -> None:
    run = WorkflowEngine().run(doubles, {"x": 1.0})
    run.cancel()
    assert run.state == "succeeded"
    assert run.result() == 2.0


def test_an_algorithm_that_never_asks_ends_before_the_run_does() -> None:
    @algorithm(name="core_tests.deaf")
    def deaf(x: float) -> float:
        GATES["there"].set()
        GATES["go"].wait(5)
        return x

    @workflow(name="core_tests.deaf_then_doubles")
    def deaf_then_doubles(x: float) -> float:
        return doubles(deaf(x))

    run = WorkflowEngine("threads").submit(deaf_then_doubles, {"x": 1.0})
    assert GATES["there"].wait(5)
    run.cancel()
    with pytest.raises(TimeoutError, match="is still running after"):
        run.wait(0.02)
    GATES["go"].set()
    with pytest.raises(Cancelled):
        run.result(5)
    assert CALLS == []


# -- failures ---------------------------------------------------------------------------------------------------


@KINDS
def test_a_failed_task_ends_the_run_with_node_and_reason(kind: Any) -> None:
    run = WorkflowEngine(kind).submit(fails_in_the_middle, {"x": 1.0})
    with pytest.raises(
        RunError, match=rf"run {run.id} of tests.fails_in_the_middle failed: node 'fails': the value 2.0 is not"
    ) as caught:
        run.result(5)
    assert isinstance(caught.value.__cause__, InputError)
    assert run.state == "failed"
    assert run.tasks == {"doubles": "succeeded", "fails": "failed"}
    assert run.failed_task == "fails"
    assert kinds_of(run)[-1] == "failed"
    assert CALLS == ["doubles", "fails"]


@KINDS
def test_a_failed_item_of_a_map_is_named(kind: Any) -> None:
    run = WorkflowEngine(kind, workers=1).submit(fails_in_a_map, {"values": [1.0, 1.0, 1.0, 2.0, 1.0, 1.0]})
    with pytest.raises(RunError, match=r"node 'fails\[1\]': the value 2.0"):
        run.result(5)
    assert run.tasks["fails"] == "failed"
    assert len(CALLS) <= 4


@KINDS
def test_an_ordinary_error_is_said_with_its_kind(kind: Any) -> None:
    run = WorkflowEngine(kind).submit(crashes_at_once, {"x": 1.0})
    with pytest.raises(RunError, match="node 'crashes': ZeroDivisionError: float division by zero"):
        run.result(5)


def test_one_failure_ends_the_run_once_though_others_still_ran() -> None:
    @workflow(name="core_tests.fails_beside")
    def fails_beside(x: float) -> float:
        return adds([waits(x), fails(x, at=1.0), doubles.named("third")(waits.named("second")(x))])

    run = WorkflowEngine("threads", workers=3).submit(fails_beside, {"x": 1.0})
    assert GATES["there"].wait(5)
    time.sleep(0.05)
    GATES["go"].set()
    with pytest.raises(RunError, match="node 'fails'"):
        run.result(5)
    assert kinds_of(run).count("failed") == 1
    assert "doubles" not in CALLS


def test_a_wrong_lifted_input_is_the_failure_of_its_node() -> None:
    run = WorkflowEngine().submit(sum_of_frames, {"frames": frames(2), "monitors": [1.0]})
    with pytest.raises(
        RunError, match=r"node 'correct': core.correct: the lifted ports have different numbers of items"
    ):
        run.result()


def test_a_direct_call_of_a_set_workflow_raises_the_error_itself() -> None:
    with pytest.raises(InputError, match=r"the value 3\.0"):
        fails_in_the_middle.with_params({"fails.at": 3.0})(1.5)


def test_an_interrupt_in_the_calling_thread_is_passed_on() -> None:
    @algorithm(name="core_tests.interrupted")
    def interrupted(x: float) -> float:
        raise KeyboardInterrupt

    seen: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        WorkflowEngine("inline").submit(interrupted, {"x": 1.0}, listen=seen.append)
    assert seen[-1]["kind"] == "cancelled"


def test_waiting_for_a_run_has_an_end() -> None:
    run = WorkflowEngine("threads").submit(waits_then_doubles, {"x": 1.0})
    with pytest.raises(TimeoutError, match="is still running"):
        run.result(0.05)
    GATES["go"].set()
    assert run.result(5) == 2.0


# -- surroundings -----------------------------------------------------------------------------------------------


@KINDS
def test_an_algorithm_knows_where_it_runs(kind: Any) -> None:
    seen: list[Any] = []

    @algorithm(name="core_tests.looks_around", resources=Resources(cpus=3))
    def looks_around(x: float) -> float:
        seen.append(context())
        return x

    run = WorkflowEngine(kind).run(looks_around, {"x": 1.0})
    assert (seen[0].run_id, seen[0].task_id, seen[0].threads, seen[0].device) == (run.id, "looks_around", 3, "cpu")
    assert context().run_id is None


@KINDS
def test_what_an_algorithm_gets_is_read_only_and_the_callers_array_is_not(kind: Any) -> None:
    flags: list[bool] = []

    @algorithm(name="core_tests.looks_at_flags")
    def looks_at_flags(frame: Frame, curve: Curve, many: Sequence[Frame]) -> Array:
        flags.extend([frame.flags.writeable, curve.y.flags.writeable, many[0].flags.writeable])
        return np.ones(2)

    @algorithm(name="core_tests.looks_at_result")
    def looks_at_result(values: Array) -> Array:
        flags.append(values.flags.writeable)
        return values

    @workflow(name="core_tests.looks")
    def looks(frame: Frame, curve: Curve, many: Sequence[Frame]) -> Array:
        return looks_at_result(looks_at_flags(frame, curve, many))

    frame, curve, many = frames()[0], profile(frames()[0]), frames(2)
    result = WorkflowEngine(kind).run(looks, {"frame": frame, "curve": curve, "many": many}).result()
    assert flags == [False] * 4
    assert frame.flags.writeable
    assert curve.y.flags.writeable
    assert many[0].flags.writeable
    assert not result.flags.writeable


@KINDS
def test_an_algorithm_that_writes_into_its_input_fails_and_the_input_is_unharmed(kind: Any) -> None:
    @algorithm(name="core_tests.writes")
    def writes(frame: Frame) -> Frame:
        frame[0, 0] = -1
        return frame

    frame = frames()[0]
    before = frame.copy()
    run = WorkflowEngine(kind).submit(writes, {"frame": frame})
    with pytest.raises(RunError, match="read-only"):
        run.result(5)
    assert same(frame, before)


def test_a_large_input_is_not_copied() -> None:
    seen: list[Any] = []

    @algorithm(name="core_tests.keeps")
    def keeps(frame: Frame) -> float:
        seen.append(frame)
        return 0.0

    frame = frames()[0]
    WorkflowEngine("threads").run(keeps, {"frame": frame})
    assert np.shares_memory(seen[0], frame)


def test_independent_tasks_run_at_the_same_time() -> None:
    barrier = threading.Barrier(3)

    @algorithm(name="core_tests.meets")
    def meets(x: float) -> float:
        barrier.wait(5)
        return x

    @workflow(name="core_tests.meets_thrice")
    def meets_thrice(x: float) -> float:
        return adds([meets(x), meets.named("b")(x), meets.named("c")(x)])

    @workflow(name="core_tests.meets_in_a_map")
    def meets_in_a_map(values: Sequence[float]) -> float:
        return adds(meets.map(values))

    assert WorkflowEngine("threads", workers=3).run(meets_thrice, {"x": 1.0}).result() == 3.0
    assert WorkflowEngine("threads", workers=3).run(meets_in_a_map, {"values": [1.0, 2.0, 3.0]}).result() == 6.0


def test_several_runs_at_once_do_not_mix() -> None:
    engine = WorkflowEngine("threads", workers=2)
    runs = [engine.submit(reduce_frame, {"frame": frame}, {"npt": 3 + index}) for index, frame in enumerate(frames(6))]
    for index, (run, frame) in enumerate(zip(runs, frames(6), strict=True)):
        assert same(run.result(10), reduce_frame(frame, npt=3 + index))
    assert len({run.id for run in runs}) == 6


def test_an_engine_and_a_run_show_themselves() -> None:
    run = WorkflowEngine("inline").run(scale, {"curve": profile(frames()[0])})
    assert repr(WorkflowEngine("threads", workers=3)) == "WorkflowEngine('threads', workers=3)"
    assert repr(run) == f"<run {run.id} of core.scale: succeeded>"
    assert "succeeded" in run._repr_html_()


def test_a_run_tells_its_provenance() -> None:
    record = (
        WorkflowEngine().run(reduce_frame, {"frame": frames()[0]}, {"npt": 5}, context={"sample": "CeO2"}).provenance()
    )
    assert record["workflow"] == "core.reduce_frame"
    assert record["params"] == {"npt": 5}
    assert record["context"]["sample"] == "CeO2"
    assert record["inputs"] == {"frame": {"memory": "ndarray"}}
    assert set(record["tasks"]) == {"profile", "background", "subtract"}
    assert record["input_ids"]["frame"].startswith("value:")
    assert {"python", "numpy", "daisy-suite"} <= set(record["versions"])
    assert record["engine"]["kind"] == "inline"
    assert record["ended"] >= record["started"]


def test_an_algorithm_in_an_engine_is_not_traced() -> None:
    with pytest.raises(WorkflowError):
        workflow(_runs_an_engine).graph()


def _runs_an_engine(frame: Frame) -> Frame:
    return WorkflowEngine().run(correct, {"frame": frame, "monitor": 1.0}).result()
