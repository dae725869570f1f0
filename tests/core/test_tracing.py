"""The body of a workflow becomes a graph: optional inputs, projections, names, nesting, structural parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
import pytest
from core.kernel_lab import (
    Array,
    Curve,
    Fit,
    Recipe,
    Reduced,
    correct,
    fit,
    frames,
    norm,
    profile,
    reduce_and_fit,
    reduce_frame,
    same,
    scale,
    subtract,
)  # fmt: skip

from daisy_core import Frame, Mask, Param, ParameterError, WorkflowError, algorithm, workflow
from daisy_core.engine import WorkflowEngine
from daisy_core.graph import Const, Ref, Several
from daisy_core.plan import make_plan
from daisy_core.workflow import Workflow


def links(made: Workflow[..., Any], *given: str) -> dict[str, dict[str, str]]:
    """Return the links of each node as text."""
    graph = made.graph(given or None)
    return {node.id: {port: str(ref) for port, ref in node.links()} for node in graph.nodes.values()}


def run(made: Any, inputs: dict[str, Any], params: dict[str, Any] | None = None, kind: Any = "inline") -> Any:
    return WorkflowEngine(kind).run(made, inputs, params).result()


def test_the_calls_of_the_body_are_the_nodes_in_the_order_in_which_they_were_written() -> None:
    assert links(reduce_frame) == {
        "profile": {"frame": "input.frame", "mask": "input.mask"},
        "background": {"frame": "input.backgrounds", "mask": "input.mask"},
        "subtract": {"curve": "profile", "backgrounds": "background"},
    }
    graph = reduce_frame.graph()
    assert [node.kind for node in graph.nodes.values()] == ["call", "map", "call"]
    assert graph.output_refs == {"result": Ref("subtract")}
    assert graph.nodes["profile"].params == {"npt": Ref(None, ("npt",))}


def test_an_absent_optional_input_is_its_default_and_each_set_of_inputs_has_its_graph() -> None:
    assert reduce_frame.graph(["frame"]).nodes["profile"].inputs["mask"] == Const(None)
    assert reduce_frame.graph(["frame"]).nodes["background"].inputs["frame"] == Const(())
    assert list(reduce_frame.graph(["frame"]).inputs) == ["frame"]
    assert list(reduce_frame.graph(["frame", "mask"]).inputs) == ["frame", "mask"]
    assert reduce_frame.graph(["frame"]) is reduce_frame.graph(["frame"])


@workflow(version="1")
def branching(frame: Frame, mask: Mask | None = None, dark: Frame | None = None) -> Curve:
    """Steps that are there only when an input is."""
    if dark is not None:
        frame = less(frame, dark)
    curve = profile(frame, mask)
    return scale(curve) if mask is None else curve


@algorithm(version="1")
def less(frame: Frame, dark: Frame) -> Frame:
    """Subtract a dark frame."""
    return frame - dark


@pytest.mark.parametrize(
    ("given", "nodes"),
    [
        ((), ["profile", "scale"]),
        (("mask",), ["profile"]),
        (("dark",), ["less", "profile", "scale"]),
        (("mask", "dark"), ["less", "profile"]),
    ],
)
def test_a_question_for_none_is_right_in_both_worlds(given: tuple[str, ...], nodes: list[str]) -> None:
    optional = {"mask": np.eye(5, 7, dtype=bool), "dark": np.ones((5, 7))}
    inputs = {"frame": frames()[0], **{name: optional[name] for name in given}}
    assert list(branching.graph(["frame", *given]).nodes) == nodes
    assert same(run(branching, inputs), branching(**inputs))
    assert same(run(branching, {**dict.fromkeys(optional), **inputs}), branching(**inputs))


def test_a_required_input_is_needed_for_any_graph() -> None:
    with pytest.raises(ParameterError, match=r"core.reduce_frame: input 'frame' is required"):
        reduce_frame.graph(["mask"])


def test_a_misspelt_input_gives_no_graph() -> None:
    with pytest.raises(ParameterError, match=r"core.reduce_frame: there is no input 'maks'; did you mean 'mask'?"):
        reduce_frame.graph(["frame", "maks"])


# -- projections ------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """Two arrays."""

    left: Array
    right: Array


@algorithm(version="1")
def split(curve: Curve) -> Pair:
    """Give the two halves of a curve."""
    return Pair(curve.y[::2], curve.y[1::2])


@workflow(version="1")
def projecting(curve: Curve, *, recipe: Recipe = Recipe()) -> float:  # noqa: B008 - frozen
    """Fields of inputs, of outputs, and of parameters."""
    fitted = fit(scale(curve, factor=recipe.window.high), recipe=recipe)
    halves = split(fitted.curve)
    profiled = norm.named("left")(halves.left)
    return add(profiled, norm(curve.y), weight=recipe.window.low, npt=recipe.npt)


@algorithm(version="1")
def add(first: float, second: float, *, weight: float = 0.5, npt: int = 1) -> float:
    """A weighted sum."""
    return first + weight * second + npt


def test_fields_of_data_tuples_and_parameter_groups_are_linked() -> None:
    assert links(projecting) == {
        "scale": {"curve": "input.curve"},
        "fit": {"curve": "scale"},
        "split": {"curve": "fit.curve"},
        "left": {"y": "split.left"},
        "norm": {"y": "input.curve.y"},
        "add": {"first": "left", "second": "norm"},
    }
    assert projecting.graph().nodes["add"].params["weight"] == Ref(None, ("recipe", "window", "low"))


@pytest.mark.parametrize("kind", ["inline", "threads"])
@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("recipe", [Recipe(), Recipe(window={"low": 2.0, "high": 3.0}, npt=5)])  # type: ignore[arg-type]
def test_projections_give_what_the_body_gives(kind: Any, as_json: bool, recipe: Recipe) -> None:
    curve = profile(frames()[0], npt=8)
    made = Workflow.from_json(projecting.to_json()) if as_json else projecting
    assert run(made, {"curve": curve}, {"recipe": recipe}, kind) == projecting(curve, recipe=recipe)


def test_an_input_used_by_field_only_survives_json() -> None:
    @workflow(name="core_tests.only_field")
    def only_field(curve: Curve) -> float:
        return norm(curve.y)

    again = Workflow.from_json(only_field.to_json())
    curve = profile(frames()[0])
    assert again(curve) == norm(curve.y)
    assert again.to_json() == only_field.to_json()


def test_a_parameter_used_by_field_only_survives_json() -> None:
    @workflow(name="core_tests.only_parameter_field")
    def only_parameter_field(curve: Curve, *, recipe: Recipe = Recipe(npt=4)) -> Curve:  # noqa: B008
        return scale(curve, factor=recipe.window.high)

    again = Workflow.from_json(only_parameter_field.to_json())
    curve = profile(frames()[0])
    assert same(again(curve), scale(curve, factor=10.0))
    assert same(again(curve, recipe=Recipe(window={"high": 2.0})), scale(curve, factor=2.0))  # type: ignore[arg-type]


# -- names ------------------------------------------------------------------------------------------------------


def test_a_second_use_without_a_name_fails_and_says_where_the_first_was() -> None:
    @workflow(name="core_tests.twice")
    def twice(curve: Curve) -> Curve:
        first = scale(curve)
        return scale(first)

    with pytest.raises(WorkflowError) as caught:
        twice.graph()
    message = str(caught.value)
    assert re.search(
        r"test_tracing\.py:\d+: return scale\(first\)\): a second node 'scale' \(first at .*first = scale\(curve\)",
        message,
    )
    assert 'scale.named("...")' in message


def test_named_uses_keep_their_names_when_a_step_is_inserted() -> None:
    @workflow(name="core_tests.named")
    def named(curve: Curve) -> Curve:
        return scale.named("after")(scale.named("before")(curve))

    assert list(named.graph().nodes) == ["before", "after"]


def test_a_list_of_results_is_one_sequence() -> None:
    @workflow(name="core_tests.several")
    def several(frame: Frame, other: Frame) -> Curve:
        curve = profile(frame)
        return subtract(curve, [profile.named("second")(other), curve])

    binding = several.graph().nodes["subtract"].inputs["backgrounds"]
    assert binding == Several((Ref("second"), Ref("profile")))
    first, second = frames(2)
    assert same(run(several, {"frame": first, "other": second}), several(first, second))
    assert same(run(Workflow.from_json(several.to_json()), {"frame": first, "other": second}), several(first, second))


# -- structural parameters --------------------------------------------------------------------------------------


@workflow(version="1")
def repeated(
    curve: Curve,
    *,
    rounds: Annotated[int, Param("Rounds", structural=True, ge=0)] = 2,
    smooth: Annotated[bool, Param(structural=True)] = False,
) -> Curve:
    """As many steps as a parameter says."""
    curve = scale(curve, factor=2.0)
    for index in range(rounds):
        curve = scale.named(f"scale{index}")(curve)
    return subtract(curve) if smooth else curve


@pytest.mark.parametrize(("rounds", "smooth"), [(0, False), (2, True), (3, False)])
def test_a_structural_parameter_is_concrete_while_the_graph_is_traced(rounds: int, smooth: bool) -> None:
    params: dict[str, Any] = {"rounds": rounds, "smooth": smooth}
    graph = repeated.graph(params=params)
    assert len(graph.nodes) == 1 + rounds + smooth
    assert graph.structural == params
    curve = profile(frames()[0])
    assert same(run(repeated, {"curve": curve}, params), repeated(curve, **params))


def test_a_graph_with_structural_parameters_survives_json() -> None:
    again = Workflow.from_json(repeated.to_json())
    curve = profile(frames()[0])
    assert same(again(curve), repeated(curve))
    assert again.to_json() == repeated.to_json()


def test_a_node_that_a_structural_parameter_brings_can_be_addressed() -> None:
    curve = profile(frames()[0])
    found = run(repeated, {"curve": curve}, {"rounds": 3, "scale2.factor": 4.0})
    assert same(found, scale(repeated(curve, rounds=2), factor=4.0))
    with pytest.raises(ParameterError, match=r"unknown parameter 'scale2.factor'"):
        run(repeated, {"curve": curve}, {"rounds": 2, "scale2.factor": 4.0})


def test_a_node_that_is_there_only_without_an_input_can_be_addressed() -> None:
    frame = frames()[0]
    assert same(run(branching, {"frame": frame}, {"scale.factor": 3.0}), scale(profile(frame), factor=3.0))


# -- nesting ----------------------------------------------------------------------------------------------------


@workflow(version="1")
def flattened(frame: Frame, backgrounds: Sequence[Frame] = (), *, npt: int = 6, recipe: Recipe = Recipe()) -> Reduced:  # noqa: B008
    """What ``reduce_and_fit`` does, without a workflow inside."""
    curve = profile(frame, None, npt=npt)
    curves = profile.named("background").map(backgrounds, None, npt=npt)
    fitted = fit(subtract(curve, curves), recipe=recipe)
    return Reduced(fitted.curve, fitted.scale, norm(fitted.curve.y))


@workflow(version="1")
def flattened_without_mask(frame: Frame, *, npt: int = 6) -> Curve:
    """What ``reduce_frame`` does with a frame alone, without naming the mask."""
    return subtract(profile(frame, npt=npt), profile.named("background").map((), npt=npt))


@pytest.mark.parametrize("kind", ["inline", "threads"])
def test_a_workflow_in_a_workflow_gives_what_its_body_gives(kind: Any) -> None:
    inputs = {"frame": frames()[0], "backgrounds": frames(2, seed=4)}
    expected = reduce_and_fit(**inputs, npt=7)
    assert same(run(reduce_and_fit, inputs, {"npt": 7}, kind), expected)
    assert same(run(flattened, inputs, {"npt": 7}, kind), expected)


def test_derivation_ids_see_through_nesting() -> None:
    inputs = {"frame": frames()[0], "backgrounds": frames(2, seed=4)}
    nested, flat = make_plan(reduce_and_fit, inputs, {"npt": 7}), make_plan(flattened, inputs, {"npt": 7})
    assert "reduce_frame/profile" in nested.tasks
    ids = {task_id.rpartition("/")[2]: nested.derivation_id(task_id) for task_id in nested.tasks}
    assert ids == {task_id: flat.derivation_id(task_id) for task_id in flat.tasks}


def test_naming_an_absent_input_changes_no_derivation_id() -> None:
    inputs = {"frame": frames()[0]}
    named, unnamed = make_plan(reduce_frame, inputs, {}), make_plan(flattened_without_mask, inputs, {})
    assert [named.derivation_id(item) for item in named.tasks] == [
        unnamed.derivation_id(item) for item in unnamed.tasks
    ]


@workflow(version="1")
def passes_all_on(curve: Curve) -> Fit:
    """Return all ports of one algorithm."""
    return fit(curve)


@workflow(version="1")
def passes_inner_on(frame: Frame) -> Reduced:
    """Return all ports of a workflow inside."""
    return reduce_and_fit(frame)


@algorithm(version="1")
def describe(reduced: Reduced) -> float:
    """Take several ports as one tuple."""
    return reduced.scale + reduced.length + float(reduced.curve.y[0])


@workflow(version="1")
def uses_inner_whole(frame: Frame) -> float:
    """Hand all ports of a workflow inside to an algorithm."""
    return describe(reduce_and_fit(frame))


@pytest.mark.parametrize("kind", ["inline", "threads"])
def test_several_ports_are_passed_on_whole(kind: Any, tmp_path: Any) -> None:
    curve, frame = profile(frames()[0]), frames()[0]
    for made, value in ((passes_all_on, curve), (passes_inner_on, frame), (uses_inner_whole, frame)):
        port = next(iter(made.ports))
        finished = WorkflowEngine(kind, runs=tmp_path).run(made, {port: value})
        assert same(finished.result(), made(value))
        assert finished.folder is not None
        assert finished.folder.results.is_file()


def test_nesting_goes_deep() -> None:
    inner = reduce_frame
    for depth in range(4):
        inner = wrapped(inner, f"core_tests.deep{depth}")
    inputs = {"frame": frames()[0]}
    plan = make_plan(inner, inputs, {"wrapped.wrapped.wrapped.wrapped.subtract.weight": 0.5})
    assert plan.tasks["wrapped/wrapped/wrapped/wrapped/subtract"].params["weight"] == 0.5
    assert same(run(inner, inputs), reduce_frame(frames()[0]))


def wrapped(inner: Any, name: str) -> Any:
    """Return a workflow that only calls another one."""

    @workflow(name=name)
    def outer(frame: Frame) -> Curve:
        return inner.named("wrapped")(frame)

    return outer


def test_tracing_one_workflow_does_not_trace_another_one_that_runs() -> None:
    seen: list[Any] = []

    @algorithm(name="core_tests.calls_others")
    def calls_others(frame: Frame) -> Curve:
        seen.append(type(frame))
        return reduce_frame(frame)

    @workflow(name="core_tests.outer_of_calls")
    def outer_of_calls(frame: Frame) -> Curve:
        return calls_others(frame)

    assert list(outer_of_calls.graph().nodes) == ["calls_others"]
    assert seen == []
    assert same(run(outer_of_calls, {"frame": frames()[0]}), reduce_frame(frames()[0]))


# -- what a workflow returns ------------------------------------------------------------------------------------


def _returns_nothing(curve: Curve) -> None:
    scale(curve)


def _returns_a_list(curve: Curve) -> Any:
    return [scale(curve)]


def _returns_a_plain_tuple(curve: Curve) -> Any:
    return scale(curve), norm(curve.y)


def _returns_a_number(curve: Curve) -> float:
    return 3.0


def _returns_its_input(curve: Curve) -> Curve:
    return curve


def _returns_an_undeclared_tuple(curve: Curve):  # type: ignore[no-untyped-def]
    return Fit(scale(curve), norm(curve.y))


def _returns_another_tuple(curve: Curve) -> Reduced:
    return Fit(scale(curve), norm(curve.y))  # type: ignore[return-value]


def _returns_another_type(curve: Curve) -> float:
    return scale(curve)  # type: ignore[return-value]


def _returns_another_type_in_a_port(curve: Curve) -> Fit:
    return Fit(norm(curve.y), norm.named("again")(curve.y))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        _returns_nothing, _returns_a_list, _returns_a_plain_tuple, _returns_a_number, _returns_its_input, _returns_an_undeclared_tuple,
        _returns_another_tuple, _returns_another_type, _returns_another_type_in_a_port,
    ],
)  # fmt: skip
def test_a_workflow_returns_results_as_it_declares_them(body: Any) -> None:
    with pytest.raises(WorkflowError, match=rf"tests\.{body.__name__}"):
        workflow(body).graph()


def test_the_body_of_a_workflow_has_too_many_or_repeated_arguments() -> None:
    @workflow(name="core_tests.too_many")
    def too_many(frame: Frame, monitor: float) -> Frame:
        return correct(frame, monitor, frame)  # type: ignore[call-arg]

    @workflow(name="core_tests.again")
    def given_twice(frame: Frame, monitor: float) -> Frame:
        return correct(frame, monitor, frame=frame)  # type: ignore[call-arg]

    with pytest.raises(WorkflowError, match=r"core.correct has 2 inputs, but 3 were given"):
        too_many.graph()
    with pytest.raises(WorkflowError, match=r"core.correct got 'frame' twice"):
        given_twice.graph()
