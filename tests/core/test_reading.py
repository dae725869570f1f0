"""Any port accepts a path: the reader of its type is found, with its options, in direct calls and in engines alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import pytest
from core.kernel_lab import Array, Curve, frames, norm, profile, same, scale, subtract, total

from daisy_core import (
    Axes,
    File,
    InputError,
    Param,
    ParameterError,
    ParameterModel,
    Unit,
    algorithm,
    data,
    nexus,
    workflow,
)
from daisy_core.engine import WorkflowEngine
from daisy_core.plan import make_plan
from daisy_core.reading import FileInput


@data
class Trace:
    """What a text file holds."""

    t: Annotated[Array, Axes("t"), Unit("s")]
    v: Annotated[Array, Axes("t"), Unit("V")]


class Reading(ParameterModel):
    """A group that knows an option of the reader."""

    column: Annotated[int | None, Param("Column", reader=True, ge=1)] = None
    gain: float = 1.0


@algorithm(version="1", reads=Trace)
def read_trace(path: File, *, column: Annotated[int, Param("Column", ge=1)] = 1, skip: int = 0) -> Trace:
    """Read columns of a text file."""
    try:
        table = np.loadtxt(path, ndmin=2, skiprows=skip)
    except ValueError as error:
        raise InputError(f"{path} is not a table: {error}") from error
    return Trace(table[:, 0], table[:, column])


@algorithm(version="1")
def peak(trace: Trace, *, reading: Reading = Reading()) -> float:  # noqa: B008 - frozen
    """Largest value."""
    return float(trace.v.max()) * reading.gain


@algorithm(version="1")
def peak_of(traces: Sequence[Trace], *, column: Annotated[int | None, Param("Column", reader=True)] = None) -> float:
    """Largest value of several."""
    return max(float(trace.v.max()) for trace in traces)


@algorithm(version="1")
def size_of(path: File, others: Sequence[File] = ()) -> float:
    """Take paths as they are."""
    assert isinstance(path, Path)
    assert all(isinstance(other, Path) for other in others)
    return float(path.stat().st_size + sum(other.stat().st_size for other in others))


@algorithm(version="1")
def text_length(text: str) -> float:
    """Take a text that is no path."""
    return float(len(text))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A table of three columns."""
    path = tmp_path / "trace.txt"
    np.savetxt(path, [[0, 1, 10], [1, 5, 50], [2, 3, 30]])
    return path


def direct(made: Any, inputs: dict[str, Any], params: dict[str, Any]) -> Any:
    return made(*inputs.values(), **params)


def by_keyword(made: Any, inputs: dict[str, Any], params: dict[str, Any]) -> Any:
    return made(**inputs, **params)


def inline(made: Any, inputs: dict[str, Any], params: dict[str, Any]) -> Any:
    return WorkflowEngine("inline").run(made, inputs, params).result()


def threads(made: Any, inputs: dict[str, Any], params: dict[str, Any]) -> Any:
    return WorkflowEngine("threads", workers=2).run(made, inputs, params).result()


FACES = pytest.mark.parametrize("run", [direct, by_keyword, inline, threads])
Runner = Callable[[Any, dict[str, Any], dict[str, Any]], Any]


@FACES
@pytest.mark.parametrize("kind", [str, Path, FileInput])
def test_a_path_is_read_by_the_reader_of_the_port(run: Runner, kind: Any, file: Path) -> None:
    assert run(peak, {"trace": kind(file)}, {}) == 5.0


@FACES
def test_options_of_the_reader_stand_beside_the_path(run: Runner, file: Path) -> None:
    assert run(peak, {"trace": FileInput(file, {"column": 2})}, {}) == 50.0
    assert run(peak, {"trace": FileInput(file, {"column": 2, "skip": 2})}, {}) == 30.0


@FACES
def test_a_parameter_marked_for_the_reader_is_its_option(run: Runner, file: Path) -> None:
    assert run(peak, {"trace": file}, {"reading": Reading(column=2)}) == 50.0
    assert run(peak, {"trace": file}, {"reading": {"column": 2, "gain": 2.0}}) == 100.0
    assert run(peak_of, {"traces": [file, file]}, {"column": 2}) == 50.0
    assert run(peak, {"trace": FileInput(file, {"column": 2})}, {"reading": Reading(column=2)}) == 50.0
    with pytest.raises(ParameterError, match=r"'column' is 1 for reading .* but 2 in the parameters"):
        run(peak, {"trace": FileInput(file, {"column": 1})}, {"reading": Reading(column=2)})


@FACES
def test_several_paths_are_read_one_by_one_and_may_stand_beside_values(run: Runner, file: Path) -> None:
    high = Trace([0.0], [99.0])  # type: ignore[arg-type]
    assert run(peak_of, {"traces": [str(file), file]}, {}) == 5.0
    assert run(peak_of, {"traces": (file, high)}, {}) == 99.0
    with pytest.raises(ParameterError, match="takes a sequence of files; got the one path"):
        run(peak_of, {"traces": str(file)}, {})


@FACES
def test_a_port_for_a_file_gets_the_path(run: Runner, file: Path) -> None:
    size = file.stat().st_size
    assert run(size_of, {"path": str(file), "others": [str(file), FileInput(file)]}, {}) == 3 * size
    with pytest.raises(ParameterError, match="port 'others' takes a sequence of files; got the one path"):
        run(size_of, {"path": str(file), "others": str(file)}, {})


@pytest.mark.parametrize("run", [inline, threads])
def test_an_array_is_no_path(run: Runner) -> None:
    with pytest.raises(ParameterError, match="port 'path' needs a path; got ndarray"):
        run(size_of, {"path": np.ones(3)}, {})


@FACES
def test_text_for_a_port_of_text_is_no_path(run: Runner) -> None:
    assert run(text_length, {"text": "abc"}, {}) == 3.0


@FACES
def test_a_file_that_is_not_there_is_said_with_a_near_name(run: Runner, file: Path) -> None:
    with pytest.raises(
        InputError, match=r"tests.peak: port 'trace': no such file: .*trcae.txt; did you mean 'trace.txt'\?"
    ):
        run(peak, {"trace": file.with_name("trcae.txt")}, {})
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        run(peak, {"trace": file.parent / "nowhere" / "a.txt"}, {})


@pytest.mark.parametrize("run", [inline, threads])
def test_a_missing_file_for_a_port_that_takes_the_path_fails_before_the_first_task(run: Runner, file: Path) -> None:
    with pytest.raises(InputError, match="port 'path': no such file"):
        run(size_of, {"path": file.with_name("gone.txt")}, {})


@FACES
def test_wrong_reader_options_are_refused_by_name(run: Runner, file: Path) -> None:
    with pytest.raises(ParameterError, match=r"tests.read_trace: unknown parameter 'colum'; did you mean 'column'"):
        run(peak, {"trace": FileInput(file, {"colum": 2})}, {})
    with pytest.raises(
        ParameterError, match=r"tests.read_trace: parameter 'column': expected greater than or equal to 1"
    ):
        run(peak, {"trace": FileInput(file, {"column": 0})}, {})


@FACES
def test_results_of_a_run_are_read_back_by_the_generic_reader(run: Runner, tmp_path: Path) -> None:
    curve = profile(frames()[0])
    nexus.write(tmp_path / "one.nxs", {"curve": curve})
    nexus.write(tmp_path / "two.nxs", {"first": curve, "second": scale(curve)})
    assert same(run(scale, {"curve": tmp_path / "one.nxs"}, {}), scale(curve))
    assert same(run(scale, {"curve": f"{tmp_path}/two.nxs::second"}, {}), scale(scale(curve)))
    assert same(run(scale, {"curve": f"{tmp_path}/two.nxs::/entry/second"}, {}), scale(scale(curve)))
    assert same(
        run(subtract, {"curve": tmp_path / "one.nxs", "backgrounds": [tmp_path / "one.nxs"]}, {}),
        subtract(curve, [curve]),
    )
    with pytest.raises(Exception, match=r"has several objects; say which: .*::first, .*::second"):
        run(scale, {"curve": tmp_path / "two.nxs"}, {})
    with pytest.raises(Exception, match="has no object 'third'; it has: first, second"):
        run(scale, {"curve": f"{tmp_path}/two.nxs::third"}, {})


@FACES
def test_arrays_are_read_from_npy_and_hdf5(run: Runner, tmp_path: Path) -> None:
    y = np.arange(5.0)
    np.save(tmp_path / "y.npy", y)
    with h5py.File(tmp_path / "y.h5", "w") as handle:
        handle["entry/y"] = y
    assert run(norm, {"y": tmp_path / "y.npy"}, {}) == norm(y)
    assert run(norm, {"y": f"{tmp_path}/y.h5::/entry/y"}, {}) == norm(y)
    with pytest.raises(Exception, match="has no dataset '/entry/z'"):
        run(norm, {"y": f"{tmp_path}/y.h5::/entry/z"}, {})
    (tmp_path / "y.csv").write_text("1,2")
    with pytest.raises(Exception, match=r"do not know how to read an array from '.csv'"):
        run(norm, {"y": tmp_path / "y.csv"}, {})


@pytest.mark.parametrize("run", [direct, inline, threads])
def test_paths_are_lifted_like_values(run: Runner, tmp_path: Path) -> None:
    curve = profile(frames()[0])
    paths = [nexus.write(tmp_path / f"{index}.nxs", {"curve": scale(curve, factor=index + 1.0)}) for index in range(3)]
    expected = total.reduce([scale(curve, factor=index + 1.0) for index in range(3)])
    assert same(total.reduce([str(path) for path in paths]), expected)
    assert same(run(total, {"item": paths}, {}), expected)
    assert same([item.y for item in scale.map(paths)], [scale(curve, factor=index + 1.0).y * 1.5 for index in range(3)])

    @workflow(name="core_tests.lifts_paths")
    def lifts_paths(curves: Sequence[Curve]) -> Array:
        return total.reduce(scale.map(curves, factor=2.0))

    assert same(run(lifts_paths, {"curves": paths}, {}), lifts_paths([nexus.read(path)["curve"] for path in paths]))


def test_the_identity_of_a_result_does_not_know_the_name_of_the_file(file: Path) -> None:
    other = file.with_name("copy.txt")
    other.write_bytes(file.read_bytes())
    for made, port in ((peak, "trace"), (size_of, "path")):
        here, there = make_plan(made, {port: file}, {}), make_plan(made, {port: other}, {})
        assert list(here.tasks) == list(there.tasks)
        assert [here.derivation_id(item) for item in here.tasks] == [there.derivation_id(item) for item in there.tasks]
    other.write_text("0 1 1\n")
    for made, port in ((peak, "trace"), (size_of, "path")):
        here, there = make_plan(made, {port: file}, {}), make_plan(made, {port: other}, {})
        assert here.derivation_id(made.node_name) != there.derivation_id(made.node_name)


def test_the_options_of_a_reader_enter_the_identity(file: Path) -> None:
    plans = [make_plan(peak, {"trace": FileInput(file, options)}, {}) for options in ({}, {"column": 1}, {"column": 2})]
    ids = [plan.derivation_id("peak") for plan in plans]
    assert ids[0] == ids[1] != ids[2]


def test_a_file_that_is_damaged_is_said_by_its_reader(tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("a b c\n")
    with pytest.raises(InputError, match=r"bad\.txt is not a table"):
        peak(bad)
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY nothing")
    with pytest.raises(InputError, match=r"bad\.npy is not a NumPy array file"):
        norm(tmp_path / "bad.npy")
    (tmp_path / "bad.nxs").write_bytes(b"\x89HDF\r\n\x1a\n nothing")
    with pytest.raises(InputError, match=r"bad\.nxs is not a readable HDF5 file"):
        scale(tmp_path / "bad.nxs")
