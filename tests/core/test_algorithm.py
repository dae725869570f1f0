"""An algorithm is a typed function: what it declares, how it is called, what it refuses when declared."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from core.kernel_lab import Curve, Fit, fit, frames, profile, reduce_frame, scale, subtract, total

from daisy_core import (
    Axes,
    File,
    Frame,
    Param,
    ParameterError,
    Resources,
    Unit,
    WorkflowError,
    algorithm,
    context,
    progress,
)
from daisy_core.signature import REQUIRED


def test_positional_arguments_are_ports_and_keyword_only_arguments_parameters() -> None:
    assert list(profile.ports) == ["frame", "mask"]
    assert [port.required for port in profile.ports.values()] == [True, False]
    assert list(profile.parameters) == ["npt"]
    assert profile.parameters["npt"].default == 4
    assert profile.parameters["npt"].param.title == "Bins"


def test_one_result_is_one_output_port_and_a_named_tuple_several() -> None:
    assert list(profile.signature.output_ports) == ["result"]
    assert list(fit.signature.output_ports) == ["curve", "scale"]
    assert fit.signature.output is Fit


def test_names_are_app_and_function() -> None:
    assert profile.name == "core.profile"
    assert repr(profile) == "<algorithm core.profile version 1>"
    assert repr(reduce_frame) == "<workflow core.reduce_frame version 1>"
    assert total.name == "core.total"
    assert total.kind == "reduction"


def test_a_direct_call_is_the_function() -> None:
    frame = frames()[0]
    result = profile(frame, npt=5)
    expected = profile.function(frame, npt=5)
    assert result.y.tobytes() == expected.y.tobytes()
    assert profile(frame).y.shape == (4,)
    assert profile(frame=frame, mask=None, npt=3).y.shape == (3,)


def test_the_function_keeps_its_name_docstring_and_signature() -> None:
    assert profile.__name__ == "profile"
    assert profile.__doc__ == "Reduce a frame to a curve."
    assert profile.summary == "Reduce a frame to a curve."
    assert list(inspect.signature(profile).parameters) == ["frame", "mask", "npt"]


def test_a_result_of_a_direct_call_is_the_callers_own_and_writable() -> None:
    curve = scale(profile(frames()[0]))
    curve.y[0] = -1.0
    assert curve.y[0] == -1.0


def test_the_errors_of_a_direct_call_are_those_of_the_function() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        profile()
    with pytest.raises(TypeError, match="takes from 1 to 2 positional arguments"):
        profile(1, 2, 3)


def test_a_wrong_parameter_is_refused_by_a_direct_call() -> None:
    with pytest.raises(
        ParameterError, match=r"core\.profile: parameter 'npt': expected greater than or equal to 2; got 1 \(int\)"
    ):
        profile(frames()[0], npt=1)
    with pytest.raises(ParameterError, match=r"core\.profile: unknown parameter 'ntp'; did you mean 'npt'\?"):
        profile(frames()[0], ntp=5)


def test_outside_an_engine_progress_does_nothing_and_the_context_is_plain() -> None:
    progress(0.5, "half")
    assert context().run_id is None
    assert context().device == "cpu"
    assert context().cancelled is None


def test_a_copy_under_another_node_name_is_the_same_algorithm() -> None:
    again = profile.named("again")
    assert (again.node_name, again.name) == ("again", "core.profile")
    assert profile.node_name == "profile"
    assert again(frames()[0]).y.tobytes() == profile(frames()[0]).y.tobytes()


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "a b[0]"])
def test_a_node_name_that_could_not_be_addressed_is_refused(name: str) -> None:
    with pytest.raises(WorkflowError, match="cannot be the name of a node"):
        profile.named(name)


@pytest.mark.parametrize("made", [profile, fit, total, reduce_frame, profile.named("again")], ids=repr)
def test_algorithms_pickle_by_registry_name(made: Any) -> None:
    text = pickle.dumps(made)
    found = pickle.loads(text)
    assert len(text) < 300
    assert (found.name, found.node_name) == (made.name, made.node_name)
    assert found.function is made.function


def test_a_workflow_keeps_its_node_parameters_when_pickled() -> None:
    changed = reduce_frame.with_params({"subtract.weight": 0.5})
    found = pickle.loads(pickle.dumps(changed))
    assert found.overrides == {"subtract.weight": 0.5}
    assert reduce_frame.overrides == {}


def test_resources_are_declared_and_one_cpu_by_default() -> None:
    @algorithm(name="core_tests.wide", resources=Resources(cpus=4, memory="2 GB"))
    def wide(x: float) -> float:
        return x

    assert wide.resources.cpus == 4
    assert profile.resources.cpus == 1


def test_an_algorithm_in_a_class_binds_like_a_function() -> None:
    class Holder:
        @algorithm(name="core_tests.method")
        def method(self, x: float) -> float:
            return 2 * x

    assert Holder().method(2.0) == 4.0


def test_the_declaration_decorator_works_with_and_without_arguments() -> None:
    @algorithm
    def bare_declaration(x: float) -> float:
        return x

    assert bare_declaration.version == "1"
    assert bare_declaration(3.0) == 3.0


# -- what cannot be declared ------------------------------------------------------------------------------------


def _variadic(*values: float) -> float:
    return sum(values)


def _keywords(x: float, **options: float) -> float:
    return x


def _positional_only(x: float, /) -> float:
    return x


@pytest.mark.parametrize("function", [_variadic, _keywords, _positional_only])
def test_open_ended_arguments_are_refused_when_declared(function: Any) -> None:
    with pytest.raises(WorkflowError, match="cannot be declared"):
        algorithm(function)


def _array_parameter(x: float, *, mask: np.ndarray = None) -> float:  # type: ignore[assignment]
    return x


def _any_parameter(x: float, *, thing: Any = None) -> float:
    return x


def _object_parameter(x: float, *, thing: object = None) -> float:
    return x


def _path_parameter(x: float, *, file: Path) -> float:
    return x


def _file_parameter(x: float, *, file: File) -> float:
    return x


def _bytes_parameter(x: float, *, raw: bytes = b"") -> float:
    return x


def _set_parameter(x: float, *, items: set[int]) -> float:
    return x


def _complex_parameter(x: float, *, z: complex = 0j) -> float:
    return x


def _data_parameter(x: float, *, curve: Curve) -> float:
    return x


def _hidden_path_parameter(x: float, *, files: tuple[Path, ...] = ()) -> float:
    return x


def _callable_default(x: float, *, n: int = len) -> float:  # type: ignore[assignment]
    return x


@pytest.mark.parametrize(
    "function",
    [
        _array_parameter, _any_parameter, _object_parameter, _path_parameter, _file_parameter, _bytes_parameter, _set_parameter,
        _complex_parameter, _data_parameter, _hidden_path_parameter,
    ],
)  # fmt: skip
def test_a_parameter_that_is_not_json_is_refused_when_declared(function: Any) -> None:
    name = list(inspect.signature(function).parameters)[-1]
    with pytest.raises(ParameterError, match=rf"tests\.{function.__name__}: parameter '{name}'.*JSON.*port"):
        algorithm(function)


def _untyped_parameter(x: float, *, n=3) -> float:  # type: ignore[no-untyped-def]
    return x


def test_a_parameter_without_a_type_is_refused_when_declared() -> None:
    with pytest.raises(WorkflowError, match="parameter 'n' needs a type"):
        algorithm(_untyped_parameter)


def _bad_default(x: float, *, n: Annotated[int, Param(ge=10)] = 5) -> float:
    return x


def _wrong_default(x: float, *, n: int = "many") -> float:  # type: ignore[assignment]
    return x


@pytest.mark.parametrize("function", [_bad_default, _wrong_default, _callable_default])
def test_a_default_that_would_be_refused_is_refused_when_declared(function: Any) -> None:
    with pytest.raises(ParameterError, match="default of parameter 'n'"):
        algorithm(function)


def _unknown_hint(x: Nowhere, *, n: int = 3) -> float:  # type: ignore[name-defined]  # noqa: F821
    return 1.0


def test_a_type_hint_that_does_not_exist_is_named_at_first_use() -> None:
    made = algorithm(_unknown_hint)
    with pytest.raises(WorkflowError, match="a type hint names 'Nowhere'"):
        _ = made.signature


# -- ports ------------------------------------------------------------------------------------------------------


def _marked(image: Frame, path: File, wave: Annotated[float, Unit("Å")], plain, line: Annotated[np.ndarray, Axes("q")]):  # type: ignore[no-untyped-def]
    return image


def test_ports_say_what_they_take() -> None:
    from daisy_core.signature import type_name

    made = algorithm(_marked)
    assert [type_name(port.annotation) for port in made.ports.values()] == [
        "array(y, x)",
        "file",
        "float",
        "any",
        "array(q)",
    ]
    assert made.ports["path"].is_file
    assert not made.ports["image"].is_file
    assert made.signature.output is Any


def test_a_fold_takes_a_sequence_in_its_first_port() -> None:
    assert list(total.ports) == ["item", "weight", "offset"]
    assert total.ports["item"].is_sequence
    assert total.ports["item"].default is REQUIRED
    assert list(total.parameters) == ["gain"]
    assert subtract.ports["backgrounds"].is_sequence
