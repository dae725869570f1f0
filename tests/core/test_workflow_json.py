"""A workflow is JSON and back; a graph that is not right says what is wrong before anything runs."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pytest
from core.kernel_lab import (
    Array,
    Curve,
    Fit,
    Recipe,
    fit,
    frames,
    norm,
    profile,
    reduce_and_fit,
    reduce_frame,
    same,
    scale,
    subtract,
    sum_of_frames,
    total,
)  # fmt: skip

from daisy_core import Axes, DaisyError, Frame, Param, ParameterError, Unit, WorkflowError, algorithm, each, workflow
from daisy_core.engine import WorkflowEngine
from daisy_core.plan import make_plan
from daisy_core.workflow import Workflow

INPUTS: dict[str, dict[str, Any]] = {
    "core.reduce_frame": {"frame": frames()[0], "backgrounds": frames(2, seed=5), "mask": np.eye(5, 7, dtype=bool)},
    "core.reduce_and_fit": {"frame": frames()[0], "backgrounds": frames(2, seed=5)},
    "core.sum_of_frames": {"frames": frames(5), "monitors": [1.0, 2.0, 3.0, 4.0, 5.0]},
}
ALL = [reduce_frame, reduce_and_fit, sum_of_frames]


@pytest.mark.parametrize("made", ALL, ids=lambda made: made.name)
def test_a_workflow_from_json_is_the_same_workflow(made: Workflow[..., Any]) -> None:
    again = Workflow.from_json(made.to_json())
    inputs = INPUTS[made.name]
    assert again.name == made.name
    assert list(again.ports) == list(made.ports)
    assert list(again.parameters) == list(made.parameters)
    assert list(again.node_parameters()) == list(made.node_parameters())
    assert same(tuple(again(**inputs)) if made is reduce_and_fit else again(**inputs),
                tuple(made(**inputs)) if made is reduce_and_fit else made(**inputs))  # fmt: skip
    here, there = make_plan(made, inputs, {"npt": 5}), make_plan(again, inputs, {"npt": 5})
    assert {name: here.derivation_id(name) for name in here.tasks} == {
        name: there.derivation_id(name) for name in there.tasks
    }


@pytest.mark.parametrize("made", ALL, ids=lambda made: made.name)
def test_json_is_stable_when_it_goes_round(made: Workflow[..., Any]) -> None:
    assert Workflow.from_json(made.to_json()).to_json() == made.to_json()


def test_the_json_keeps_the_set_of_given_inputs() -> None:
    alone = json.loads(reduce_frame.to_json(["frame"]))
    assert list(alone["inputs"]) == ["frame"]
    assert alone["nodes"][0]["inputs"]["mask"] == {"value": None}
    again = Workflow.from_json(alone)
    assert same(again(frames()[0]), reduce_frame(frames()[0]))
    with pytest.raises(ParameterError, match="there is no input 'mask'"):
        WorkflowEngine().run(again, {"frame": frames()[0], "mask": np.eye(5, 7, dtype=bool)})


def test_the_json_says_lifting_names_links_and_fields() -> None:
    content = json.loads(reduce_and_fit.to_json())
    assert content["daisy"] == 1
    assert content["workflow"] == "core.reduce_and_fit"
    assert content["output"] == {
        "ports": {
            "curve": {"node": "fit", "field": ["curve"]},
            "scale": {"node": "fit", "field": ["scale"]},
            "length": {"node": "norm"},
        }
    }
    nodes = {item["id"]: item for item in content["nodes"]}
    assert nodes["norm"]["inputs"] == {"y": {"node": "fit", "field": ["curve", "y"]}}
    assert nodes["fit"]["params"] == {"recipe": {"parameter": "recipe"}}
    assert content["parameters"]["recipe"]["default"] == Recipe().model_dump(mode="json")
    lifted = {item["id"]: item for item in json.loads(sum_of_frames.to_json())["nodes"]}
    assert lifted["correct"]["kind"] == "map"
    assert (lifted["correct"]["lifted"], lifted["correct"]["over"], lifted["correct"]["chunk"]) == (
        ["frame", "monitor"],
        "frame",
        2,
    )
    assert (lifted["total"]["kind"], lifted["total"]["chunk"]) == ("reduce", 3)


def test_a_parameter_group_bound_in_the_body_survives_json() -> None:

    @workflow(name="core_tests.bound_group")
    def bound_group(curve: Curve) -> Fit:
        return fit(curve, recipe=Recipe(npt=3, weights=(1.0, 2.0)))

    curve = profile(frames()[0])
    again = Workflow.from_json(bound_group.to_json())
    assert same(again(curve), bound_group(curve))
    assert again.to_json() == bound_group.to_json()


def test_a_workflow_from_json_nests_lifts_pickles_and_takes_parameters() -> None:
    again = Workflow.from_json(reduce_frame.to_json(["frame"]))
    frame = frames()[0]
    assert same(again.with_params({"npt": 9})(frame), reduce_frame(frame, npt=9))
    assert same(again(frame, npt=9), reduce_frame(frame, npt=9))
    assert same(pickle.loads(pickle.dumps(again))(frame), reduce_frame(frame))
    assert same(list(again.map(frames(2))), [reduce_frame(item) for item in frames(2)])
    assert again.source_hash == Workflow.from_json(reduce_frame.to_json(["frame"])).source_hash
    with pytest.raises(ParameterError, match="'npt'"):
        again(frame, npt="x")


def test_a_workflow_from_json_keeps_the_bounds_and_labels_of_its_parameters() -> None:
    @workflow(name="core_tests.tighter")
    def tighter(
        frame: Frame, *, bins: Annotated[int, Param("Number of bins", unit="1", help="Few", ge=5, le=9)] = 7
    ) -> Curve:
        return profile(frame, npt=bins)

    again = Workflow.from_json(tighter.to_json())
    assert again.schema()["properties"]["bins"] == tighter.schema()["properties"]["bins"]
    for made in (tighter, again):
        with pytest.raises(ParameterError, match="'bins': expected greater than or equal to 5"):
            made(frames()[0], bins=3)


# -- what is wrong with a graph ---------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], Any]


def node(content: dict[str, Any], node_id: str) -> dict[str, Any]:
    return next(item for item in content["nodes"] if item["id"] == node_id)


def feeds(node_id: str, **inputs: Any) -> Change:
    return lambda content: node(content, node_id)["inputs"].update(inputs)


def binds(node_id: str, **params: Any) -> Change:
    return lambda content: node(content, node_id)["params"].update(params)


def says(node_id: str, **more: Any) -> Change:
    return lambda content: node(content, node_id).update(more)


def with_a_loop(content: dict[str, Any]) -> None:
    content["nodes"].append({"id": "loop", "algorithm": "tests.as_frame", "inputs": {"curve": {"node": "subtract"}}})
    node(content, "profile")["inputs"]["frame"] = {"node": "loop"}


WRONG: dict[str, tuple[Change, str]] = {
    "missing port": (lambda c: node(c, "subtract")["inputs"].pop("curve"), r"node 'subtract' \(core.subtract\).*input 'curve'.*missing"),
    "port bound to null": (feeds("subtract", curve={"value": None}), "input 'curve'.*missing"),
    "unknown port": (feeds("subtract", crve={"node": "profile"}), "no input 'crve'; did you mean 'curve'"),
    "wrong type": (feeds("subtract", curve={"input": "frame"}), "'curve' cannot take input.frame"),
    "sequence for one": (feeds("subtract", curve={"node": "background"}), "list of core.Curve does not fit core.Curve"),
    "one for a sequence": (feeds("subtract", backgrounds={"node": "profile"}), "core.Curve does not fit list of core.Curve"),
    "list of wrong items": (feeds("subtract", backgrounds=[{"input": "frame"}]), "its items"),
    "cycle": (with_a_loop, r"cycle: .*(profile -> .*subtract -> .*loop|loop -> .*profile|subtract -> .*loop)"),
    "node that feeds itself": (feeds("subtract", curve={"node": "subtract"}), "cycle: subtract -> subtract"),
    "duplicate id": (lambda c: c["nodes"].append(copy.deepcopy(c["nodes"][0])), "two nodes are called 'profile'"),
    "bad id": (lambda c: c["nodes"].append({**copy.deepcopy(c["nodes"][0]), "id": "a.b"}), "'a.b' cannot be the name of a node"),
    "unknown node": (feeds("subtract", curve={"node": "profle"}), "no node 'profle'; did you mean 'profile'"),
    "unknown input": (feeds("profile", frame={"input": "fram"}), "no input 'fram'; did you mean 'frame'"),
    "unknown field": (feeds("subtract", curve={"node": "profile", "field": ["z"]}), "no field 'z'; its fields: x, y"),
    "unknown output node": (lambda c: c.update(output={"node": "subtrac"}), "no node 'subtrac'; did you mean 'subtract'"),
    "unknown output field": (lambda c: c.update(output={"node": "subtract", "field": ["q"]}), "no field 'q'"),
    "input handed through": (lambda c: c.update(output={"input": "frame"}), "handed through"),
    "unknown parameter": (binds("subtract", wieght={"value": 1.0}), "no parameter 'wieght'; did you mean 'weight'"),
    "wrong parameter value": (binds("profile", npt={"value": 1}), r"node 'profile'.*parameter 'npt': expected greater"),
    "wrong parameter type": (binds("profile", npt={"value": "4"}), "parameter 'npt': expected a valid integer"),
    "unknown parameter of the workflow": (binds("profile", npt={"parameter": "npts"}), "no parameter 'npts'; did you mean 'npt'"),
    "unknown algorithm": (says("subtract", algorithm="core.subtrct"), "core.subtrct"),
    "another version": (says("subtract", version="99"), "version 99 of core.subtract, installed is version 1"),
    "map used as fold": (says("background", kind="reduce"), "cannot be used as 'reduce'"),
    "unknown kind": (says("background", kind="scan"), "cannot be used as 'scan'"),
    "nothing lifted": (says("background", lifted=[]), "node 'background'.*lifted"),
    "unknown port lifted": (says("background", lifted=["fram"]), "lifted.*'fram'; did you mean 'frame'"),
    "empty chunks": (says("background", chunk=0), "chunk must be at least 1"),
    "newer format": (lambda c: c.update(daisy=2), "format 2, this version reads format 1"),
    "no nodes": (lambda c: c.pop("nodes"), "not a workflow"),
    "nodes are text": (lambda c: c.update(nodes="abc"), "not a workflow"),
    "no output": (lambda c: c.pop("output"), "not a workflow"),
    "binding is text": (feeds("subtract", curve="profile"), "not a workflow"),
}  # fmt: skip


@algorithm(version="1")
def as_frame(curve: Curve) -> Frame:
    """Make a frame of a curve."""
    return np.outer(curve.y, curve.y)


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_graph_is_refused_before_anything_runs(what: str) -> None:
    change, message = WRONG[what]
    content = json.loads(reduce_frame.to_json())
    change(content)
    with pytest.raises(DaisyError, match=message) as caught:
        Workflow.from_json(content)
    assert isinstance(caught.value, WorkflowError) or what in (
        "unknown algorithm",
        "wrong parameter value",
        "wrong parameter type",
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"a"', "null", "{}", '{"workflow": "a", "daisy": 1}'])
def test_text_that_is_no_workflow_is_said_to_be_none(text: str) -> None:
    with pytest.raises(WorkflowError, match="not a workflow"):
        Workflow.from_json(text)


# -- units and axes ---------------------------------------------------------------------------------------------

Angles = Annotated[Array, Axes("q"), Unit("deg")]
Momenta = Annotated[Array, Axes("q"), Unit("1/Å")]
Radii = Annotated[Array, Axes("r"), Unit("1/Å")]
Unmarked = Annotated[Array, Axes("q")]


@algorithm(version="1")
def angles(frame: Frame) -> Angles:
    """Give degrees."""
    return frame[0]


@algorithm(version="1")
def energy_ev(frame: Frame) -> Annotated[float, Unit("eV")]:
    """Give an energy."""
    return float(frame[0, 0])


@algorithm(version="1")
def takes_momenta(q: Momenta) -> float:
    """Take momenta."""
    return float(q[0])


@algorithm(version="1")
def takes_radii(r: Radii) -> float:
    """Take radii."""
    return float(r[0])


@algorithm(version="1")
def takes_unmarked(q: Unmarked) -> float:
    """Take any unit."""
    return float(q[0])


@algorithm(version="1")
def takes_kev(energy: Annotated[float, Unit("keV")]) -> float:
    """Take an energy."""
    return energy


@algorithm(version="1")
def takes_line(line: Annotated[Array, Axes("x")]) -> float:
    """Take one axis."""
    return float(line[0])


def _degrees_as_momenta(frame: Frame) -> float:
    return takes_momenta(angles(frame))


def _q_as_r(q: Momenta) -> float:
    return takes_radii(q)


def _ev_as_kev(frame: Frame) -> float:
    return takes_kev(energy_ev(frame))


def _image_as_line(frame: Frame) -> float:
    return takes_line(frame)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_degrees_as_momenta, "'q' cannot take angles: unit deg does not fit unit 1/Å"),
        (_q_as_r, r"'r' cannot take input.q: axes \('q',\) do not fit axes \('r',\)"),
        (_ev_as_kev, "'energy' cannot take energy_ev: unit eV does not fit unit keV"),
        (_image_as_line, r"axes \('y', 'x'\) do not fit axes \('x',\)"),
    ],
)
def test_units_and_axes_that_disagree_are_refused_at_build_with_the_line(body: Any, message: str) -> None:
    with pytest.raises(WorkflowError, match=message) as caught:
        workflow(body).graph()
    assert re.search(r"test_workflow_json\.py:\d+: return takes_", str(caught.value))


def test_what_does_not_say_its_unit_fits() -> None:
    @workflow(name="core_tests.unmarked")
    def unmarked(frame: Frame) -> float:
        return takes_unmarked(angles(frame))

    unmarked.graph()


def test_a_parameter_of_another_type_is_refused_at_build() -> None:
    @workflow(name="core_tests.float_for_int")
    def float_for_int(frame: Frame, *, npt: float = 4.0) -> Curve:
        return profile(frame, npt=npt)  # type: ignore[arg-type]

    @workflow(name="core_tests.bool_for_int")
    def bool_for_int(frame: Frame, *, npt: bool = True) -> Curve:
        return profile(frame, npt=npt)

    @workflow(name="core_tests.constant")
    def constant(frame: Frame) -> Curve:
        return profile(frame, npt=1)

    for made in (float_for_int, bool_for_int):
        with pytest.raises(WorkflowError, match=r"parameter 'npt' cannot take 'npt': (float|bool) does not fit int"):
            made.graph()
    with pytest.raises(
        ParameterError,
        match=r"node 'profile' \(core.profile\).*parameter 'npt': expected greater than or equal to 2; got 1",
    ):
        constant.graph()


def test_a_missing_port_is_refused_at_build_with_the_line() -> None:
    @workflow(name="core_tests.missing")
    def missing(frame: Frame) -> Curve:
        profile(frame)
        return subtract()  # type: ignore[call-arg]

    with pytest.raises(
        WorkflowError,
        match=r"node 'subtract' \(core.subtract\).*test_workflow_json.py:\d+: return subtract\(\).*'curve' \(core.Curve\) is missing",
    ):
        missing.graph()


def test_a_thousand_nodes_in_a_chain_are_no_matter() -> None:
    content: dict[str, Any] = {
        "daisy": 1,
        "workflow": "core_tests.long",
        "version": "1",
        "inputs": {"curve": "core.Curve"},
        "parameters": {},
    }
    source: dict[str, str] = {"input": "curve"}
    content["nodes"] = []
    for index in range(1000):
        content["nodes"].append(
            {
                "id": f"n{index}",
                "algorithm": "core.scale",
                "inputs": {"curve": source},
                "params": {"factor": {"value": 1.0}},
            }
        )
        source = {"node": f"n{index}"}
    content["output"] = source
    made = Workflow.from_json(content)
    curve = profile(frames()[0])
    assert same(made(curve).y, curve.y)
    plan = make_plan(made, {"curve": curve}, {})
    assert len(plan.derivation_id("n999")) == 64


@workflow(version="1")
def uses_each(items: list[Curve], weights: list[float]) -> Array:
    """A fold with a port beside."""
    return total.reduce(items, each(weights))


def test_a_lifted_port_of_the_wrong_item_type_is_refused() -> None:
    @workflow(name="core_tests.wrong_items")
    def wrong_items(numbers: list[float]) -> list[Curve]:
        return scale.map(numbers)  # type: ignore[return-value]

    with pytest.raises(WorkflowError, match=r"list of float|float does not fit core.Curve"):
        wrong_items.graph()
    uses_each.graph()


def test_the_notebook_view_of_a_workflow_shows_its_nodes() -> None:
    shown = reduce_and_fit._repr_html_()
    assert "core.reduce_frame" in shown
    assert "y ← fit.curve.y" in shown
    assert norm.name in shown
