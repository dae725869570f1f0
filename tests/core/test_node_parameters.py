"""Parameters of nodes: addressed by ``node.parameter``, for direct calls and engines alike, unless the body binds them."""

from __future__ import annotations

from typing import Any

import pytest
from core.kernel_lab import Curve, Recipe, frames, profile, reduce_and_fit, reduce_frame, same, scale

from daisy_core import Frame, ParameterError, workflow
from daisy_core.engine import WorkflowEngine

FRAME = frames()[0]
BACKGROUNDS = frames(2, seed=8)


def engine(made: Any, params: dict[str, Any], kind: Any = "inline") -> Any:
    return WorkflowEngine(kind).run(made, {"frame": FRAME, "backgrounds": BACKGROUNDS}, params).result()


def test_only_what_the_body_leaves_open_is_addressable() -> None:
    assert list(reduce_frame.node_parameters()) == ["subtract.weight"]
    assert list(reduce_and_fit.node_parameters()) == ["reduce_frame.subtract.weight"]


@pytest.mark.parametrize("kind", ["inline", "threads"])
def test_with_params_is_the_same_for_direct_calls_and_engines(kind: Any) -> None:
    changed = reduce_frame.with_params({"subtract.weight": 0.25})
    direct = changed(FRAME, BACKGROUNDS)
    assert same(engine(changed, {}, kind), direct)
    assert same(engine(reduce_frame, {"subtract.weight": 0.25}, kind), direct)
    assert not same(reduce_frame(FRAME, BACKGROUNDS), direct)


@pytest.mark.parametrize("kind", ["inline", "threads"])
def test_parameters_of_nested_workflows_are_addressed_through_them(kind: Any) -> None:
    changed = reduce_and_fit.with_params({"reduce_frame.subtract.weight": 0.25, "npt": 9})
    direct = changed(FRAME, BACKGROUNDS)
    assert same(engine(changed, {}, kind), direct)
    assert direct.curve.y.shape == (9,)
    expected = reduce_frame.with_params({"subtract.weight": 0.25})(FRAME, BACKGROUNDS, npt=9)
    assert same(direct.curve.y, expected.y / Recipe().npt)


def test_a_workflow_with_set_parameters_keeps_them_when_nested() -> None:

    changed = reduce_frame.with_params({"subtract.weight": 0.25, "npt": 3})

    @workflow(name="core_tests.nests_changed")
    def nests_changed(frame: Frame, background: Frame) -> Curve:
        return scale(changed(frame, [background]), factor=1.0)

    inputs = {"frame": FRAME, "background": BACKGROUNDS[0]}
    expected = changed(FRAME, [BACKGROUNDS[0]])
    assert same(nests_changed(**inputs).y, expected.y)
    assert same(WorkflowEngine().run(nests_changed, inputs).result().y, expected.y)


def test_an_argument_of_the_call_wins_over_with_params() -> None:
    changed = reduce_frame.with_params({"npt": 9})
    assert changed(FRAME).y.shape == (9,)
    assert changed(FRAME, npt=5).y.shape == (5,)
    assert engine(changed, {"npt": 5}).y.shape == (5,)


def test_with_params_leaves_the_workflow_itself_alone_and_adds_up() -> None:
    changed = reduce_frame.with_params({"npt": 9}).with_params({"subtract.weight": 2.0})
    assert changed.overrides == {"npt": 9, "subtract.weight": 2.0}
    assert reduce_frame.overrides == {}
    assert reduce_frame(FRAME).y.shape == (6,)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"profile.npt": 5}, "parameter 'profile.npt' is bound by the workflow and cannot be set from outside"),
        ({"background.npt": 5}, "'background.npt' is bound"),
        ({"subtract.wieght": 1.0}, "unknown parameter 'subtract.wieght'; did you mean 'subtract.weight'"),
        ({"subtrac.weight": 1.0}, "unknown parameter 'subtrac.weight'; did you mean 'subtract.weight'"),
        ({"weight": 1.0}, "unknown parameter 'weight'"),
        ({"nptt": 5}, "unknown parameter 'nptt'; did you mean 'npt'"),
        ({"npt": 1}, "parameter 'npt': expected greater than or equal to 2; got 1"),
        (
            {"subtract.weight": "x"},
            r"core.reduce_frame: node 'subtract': parameter 'weight': expected a valid number; got 'x' \(str\)",
        ),
        ({"subtract.weight": True}, "node 'subtract': parameter 'weight': expected a valid number"),
    ],
)
def test_wrong_node_parameters_are_refused_everywhere_alike(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        reduce_frame.with_params(params)
    with pytest.raises(ParameterError, match=message):
        engine(reduce_frame, params)


def test_a_wrong_parameter_deep_inside_is_named_with_its_place() -> None:
    with pytest.raises(ParameterError, match=r"core.reduce_frame: node 'subtract': parameter 'weight'"):
        engine(reduce_and_fit, {"reduce_frame.subtract.weight": "x"})
    with pytest.raises(ParameterError, match=r"unknown parameter 'reduce_frame.subtract.wait'"):
        engine(reduce_and_fit, {"reduce_frame.subtract.wait": 1.0})
    with pytest.raises(ParameterError, match=r"'reduce_frame.npt' is bound"):
        engine(reduce_and_fit, {"reduce_frame.npt": 3})


def test_an_algorithm_by_itself_has_no_nodes_to_address() -> None:
    with pytest.raises(ParameterError, match=r"core.profile: unknown parameter 'profile.npt'"):
        WorkflowEngine().run(profile, {"frame": FRAME}, {"profile.npt": 5})
