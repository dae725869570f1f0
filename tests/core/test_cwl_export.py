"""CWL documents made of our declarations: valid, typed, free of JavaScript, and refused where CWL has no words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core import cwl_bench
from core.kernel_lab import same
from hypothesis import given
from hypothesis import strategies as st

from daisy_core import DaisyError, ParameterError, registry
from daisy_core.cwl import Refused, export, refusal
from daisy_core.cwl.text import parse_yaml, read_yaml, to_yaml
from daisy_core.signature import REQUIRED
from daisy_core.workflow import Workflow

lab = cwl_bench.lab()

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.text(), _json))
def test_what_is_written_as_yaml_is_read_back(content: dict[str, Any]) -> None:
    document = {"class": "Workflow", **content}
    assert parse_yaml(to_yaml(document), "text") == document


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents of the lab's large workflow."""
    folder = tmp_path_factory.mktemp("exported")
    export(lab.everything, folder)
    return folder


def test_all_that_the_apps_declare_exports_and_is_valid(tmp_path: Path) -> None:
    names = [name for name in registry.all_names() if name.partition(".")[0] in registry.apps()]
    found = [registry.find(name) for name in names]
    refused = {item.name: reason for item in found if (reason := refusal(item)) is not None}
    assert refused == {}
    assert len(found) > 10
    for item in found:
        assert cwl_bench.validate(export(item, tmp_path / item.name)) == []


def test_defaults_are_those_of_the_declaration(tmp_path: Path) -> None:
    for name in registry.all_names():
        item = registry.find(name)
        if (
            name.partition(".")[0] not in registry.apps()
            or isinstance(item, Workflow)
            or item.parameters == {}
            or refusal(item) is not None
        ):
            continue
        inputs = read_yaml(export(item, tmp_path))["inputs"]
        for key, parameter in item.parameters.items():
            if key in inputs and parameter.default not in (REQUIRED, None):
                given = inputs[key].get("default", parameter.default)
                assert given == (list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default)


def test_documents_have_no_javascript_and_name_software_and_resources(exported: Path) -> None:
    documents = {path.name: path.read_text(encoding="utf-8") for path in exported.glob("*.cwl")}
    assert len(documents) > 10
    for name, text in documents.items():
        assert "Javascript" not in text
        assert set(re.findall(r"\$[({][^)}]*[)}]", text)) <= {"$(inputs)", "$(inputs.name)"}, name
    tool = parse_yaml(documents["cwl_lab.profile.cwl"], "profile")
    assert tool["requirements"]["ResourceRequirement"] == {"coresMin": 1, "ramMin": 95}
    assert tool["requirements"]["ToolTimeLimit"] == {"timelimit": 300}
    assert "daisy-suite" in tool["hints"]["SoftwareRequirement"]["packages"]
    assert tool["baseCommand"] == ["daisy", "cwl", "node"]


def test_every_document_of_a_workflow_is_valid(exported: Path) -> None:
    for path in exported.glob("*.cwl"):
        assert cwl_bench.validate(path) == [], path.name


def test_parameters_are_typed_and_models_flattened(exported: Path) -> None:
    inputs = read_yaml(exported / "cwl_lab.fit.cwl")["inputs"]
    assert inputs["big"] == {"type": "long", "default": 2**40, "doc": "big"}
    assert inputs["recipe.window.low"]["type"] == "double"
    assert inputs["recipe.window.low"]["doc"] == "Low [Å] (>= 0)"
    assert inputs["recipe.mode"]["type"] == {"type": "enum", "symbols": ["mean", "sum", "8"]}
    assert inputs["recipe.weights"] == {"type": "double[]", "default": [1.0, -1e-05], "doc": "weights"}
    assert inputs["recipe.column"]["type"] == "long?"
    assert inputs["curve"]["type"] == "File"
    assert inputs["curve.column"]["type"] == "long?"  # of its reader


def test_null_means_the_default_where_none_is_a_value_too(exported: Path) -> None:
    tool = read_yaml(exported / "cwl_lab.scaled.cwl")["inputs"]
    assert tool["limit"] == {"type": "double?", "doc": "limit; by default 5.0"}
    assert tool["factor"]["type"] == ["double", "File"]
    assert tool["factor"]["default"] == 2.0
    steps = read_yaml(exported / "cwl_lab.everything.cwl")["steps"]
    assert json.loads(steps["alone"]["in"]["daisy.step"]["default"])["none"] == ["limit"]
    assert json.loads(steps["scaled"]["in"]["daisy.step"]["default"])["none"] == ["limit"]


def test_maps_scatter_over_files_or_over_ranges_of_one(exported: Path) -> None:
    steps = read_yaml(exported / "cwl_lab.everything.cwl")["steps"]
    assert steps["correct"]["scatter"] == ["frame", "monitor"]
    assert steps["correct"]["scatterMethod"] == "dotproduct"
    assert steps["of_ranges"]["scatter"] == "daisy.range"
    assert steps["ranges.of_ranges"]["in"]["chunk"] == {"default": 2}
    assert "scatter" not in steps["total"]
    assert json.loads(steps["total"]["in"]["daisy.step"]["default"])["chunk"] == 2
    assert steps["reduce_frame"]["run"]["class"] == "Workflow"
    assert json.loads(steps["norm"]["in"]["daisy.step"]["default"])["fields"] == {"y": ["y"]}


def test_optional_inputs_are_optional_and_empty_sequences_stay_empty(tmp_path: Path) -> None:
    inputs = read_yaml(export(lab.reduce_frame, tmp_path))["inputs"]
    assert inputs["mask"]["type"] == "File?"
    assert inputs["backgrounds"] == {"type": "File[]", "default": []}
    assert inputs["frame"]["type"] == "File"


def test_an_input_that_changes_the_graph_is_required_or_left_out(tmp_path: Path) -> None:
    with_mask = read_yaml(export(lab.branching, tmp_path / "with"))
    assert with_mask["inputs"]["mask"]["type"] == "File"
    assert set(with_mask["steps"]) == {"masked", "profile"}
    without = read_yaml(export(lab.branching, tmp_path / "without", without=["mask"], params={"smooth": True}))
    assert "mask" not in without["inputs"]
    assert "smooth" not in without["inputs"]
    assert set(without["steps"]) == {"profile", "smooth"}
    for folder in ("with", "without"):
        assert cwl_bench.validate(tmp_path / folder / "cwl_lab.branching.cwl") == []


def test_parameters_that_are_defaults_of_readers_go_to_a_reading_step(tmp_path: Path) -> None:
    path = export(lab.of_curves, tmp_path)
    assert cwl_bench.validate(path) == []
    steps = read_yaml(path)["steps"]
    links = {key: link for key, link in steps["read.curve"]["in"].items() if key != "daisy.source"}
    assert links == {key: key for key in ("curve", "curve.select", "curve.column", "recipe.column")}
    assert steps["read.others"]["scatter"] == "others"


def test_a_json_workflow_exports_like_the_function_that_it_came_from(tmp_path: Path) -> None:
    function = read_yaml(export(lab.small, tmp_path / "function"))
    made = read_yaml(export(Workflow.from_json(lab.small.to_json()), tmp_path / "json"))
    assert cwl_bench.validate(tmp_path / "json" / "cwl_lab.small.cwl") == []
    assert (made["steps"], made["outputs"]) == (function["steps"], function["outputs"])


def test_parameters_set_before_are_the_defaults_of_the_document(tmp_path: Path) -> None:
    changed = lab.reduce_frame.with_params({"npt": 9, "subtract.weight": 0.5})
    inputs = read_yaml(export(changed, tmp_path))["inputs"]
    assert inputs["npt"]["default"] == 9
    assert inputs["subtract.weight"]["default"] == 0.5


def test_what_cwl_cannot_spell_is_json_text(tmp_path: Path) -> None:
    path = export(lab.grouped, tmp_path)
    assert cwl_bench.validate(path) == []
    inputs = read_yaml(path)["inputs"]
    assert inputs["window"]["type"] == "Any?"
    assert json.loads(inputs["recipes"]["default"])[0]["mode"] == "mean"
    step = json.dumps({"x": 1})
    given = {key: item.get("default") for key, item in inputs.items() if key != "daisy.source"}
    assert cwl_bench.node(tmp_path, "cwl_lab.grouped", given)["result"]["result"] == lab.grouped()
    more = {**given, "window": {"low": 2.0}, "recipes": [{"mode": "sum"}, {"mode": "8"}], "table": step}
    expected = lab.grouped(
        window=lab.Window(low=2.0), recipes=(lab.Recipe(mode="sum"), lab.Recipe(mode="8")), table={"x": 1.0}
    )
    assert cwl_bench.node(tmp_path, "cwl_lab.grouped", more)["result"]["result"] == expected


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("apply", "input 'function' (Callable) cannot be read from a file"),
        ("opaque", "output 'result'"),
        ("whole_tuple", "takes all outputs of node 'fit' as one object"),
        ("huge", "too large for CWL"),
        ("gang", "is one task of 2 processes (ranks), which CWL v1.2 cannot ask for"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_reason(tmp_path: Path, name: str, says: str) -> None:
    reason = refusal(getattr(lab, name))
    assert reason is not None
    assert says.replace("(Callable) ", "") in re.sub(r"\(\S*Callable\S*\) ", "", reason)
    with pytest.raises(Refused, match=r"cwl_lab|number"):
        export(getattr(lab, name), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_algorithm_of_an_interactive_session_is_refused(tmp_path: Path) -> None:
    from daisy_core import algorithm

    def local(*, x: float = 1.0) -> float:
        """Live nowhere."""
        return x

    local.__module__ = "__main__"
    with pytest.raises(Refused, match=r"'__main__', which another process cannot find; put it into a file"):
        export(algorithm(name="main.local")(local), tmp_path)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"without": ["nothing"]}, "there is no input 'nothing'"),
        ({"single": ["frame"]}, "input 'frame' is no sequence"),
        ({"without": ["frame"]}, "input 'frame' is required"),
    ],
)
def test_wrong_wishes_are_refused(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        export(lab.reduce_frame, tmp_path, **more)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(DaisyError, match="cannot write the CWL documents into"):
        export(lab.profile, tmp_path / "taken")


# -- the nodes of exported tools, run by hand --------------------------------------------------------------------


def test_a_tool_gives_what_the_function_gives(tmp_path: Path) -> None:
    cwl_bench.make_data(tmp_path)
    curve = {
        "curve": cwl_bench.file(tmp_path / "c1.txt"),
        "curve.column": 2,
        "recipe.window.low": 1e-300,
        "big": 2**53 + 1,
    }
    made = cwl_bench.node(
        tmp_path, "cwl_lab.fit", {**curve, "recipe.weights": [0.1, 2**40], "recipe.window.high": None}
    )
    recipe = lab.Recipe(weights=(0.1, float(2**40)), window=lab.Window(low=1e-300))
    expected = lab.fit(lab.read_curve(tmp_path / "c1.txt", column=2), recipe=recipe, big=2**53 + 1)
    assert same(made["curve"]["curve"], expected.curve)
    assert same(made["scale"]["scale"], expected.scale)


@pytest.mark.parametrize(("none", "label"), [([], "limit 5.0"), (["limit"], "limit None")])
def test_null_is_none_only_where_the_step_says_so(tmp_path: Path, none: list[str], label: str) -> None:
    cwl_bench.make_data(tmp_path)
    given = {"curve": cwl_bench.file(tmp_path / "c1.txt"), "limit": None, "daisy.step": json.dumps({"none": none})}
    assert cwl_bench.node(tmp_path, "cwl_lab.scaled", given)["result"]["result"].label == label


def test_ranges_of_one_file_are_mapped_like_the_whole(tmp_path: Path) -> None:
    cwl_bench.make_data(tmp_path)
    frames = np.stack([np.load(tmp_path / f"f {index}#ü.npy") for index in range(4)])
    import h5py

    with h5py.File(tmp_path / "scan #1.h5", "w") as handle:
        handle["entry/data"] = frames
    source = {"file": cwl_bench.file(tmp_path / "scan #1.h5"), "select": "entry/data", "chunk": 3}
    cwl_bench.node(tmp_path, "daisy.ranges", source)
    ranges = json.loads((tmp_path / "cwl.output.json").read_text())["ranges"]
    assert ranges == ["0:3", "3:4"]
    found: list[Any] = []
    for span in ranges:
        given = {"frame": source["file"], "frame.select": "entry/data", "frame.flip": "vertical", "daisy.range": span, "npt": 5,
                 "daisy.step": json.dumps({"lift": ["frame"]})}  # fmt: skip
        found += cwl_bench.node(tmp_path, "cwl_lab.profile", given)["result"]["[items]"]
    assert same(found, [lab.profile(np.ascontiguousarray(frame[::-1]), npt=5) for frame in frames])


def test_split_and_gather_undo_each_other(tmp_path: Path) -> None:
    from daisy_core import nexus

    items = [lab.Curve(np.arange(3.0), np.arange(3.0) + index) for index in range(11)]
    nexus.write(tmp_path / "all.h5", {"result": items})
    made = cwl_bench.node(tmp_path, "daisy.split", {"files": cwl_bench.file(tmp_path / "all.h5")})
    assert list(made) == [f"item-{index:02d}" for index in range(11)]
    files = [cwl_bench.file(tmp_path / f"{name}.nxs") for name in made]
    again = cwl_bench.node(tmp_path, "daisy.gather", {"files": files, "name": "again"})["again"]["again"]
    assert same(again, items)


def test_a_tool_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"exported with version 0, installed is version 1; export it again"):
        cwl_bench.node(tmp_path, "cwl_lab.huge", {}, version="0")


def test_the_failure_of_a_node_is_told(tmp_path: Path) -> None:
    with pytest.raises(DaisyError, match="input 'curve' is required"):
        cwl_bench.node(tmp_path, "cwl_lab.scaled", {})
    (tmp_path / "bad.txt").write_text("no numbers")
    with pytest.raises(DaisyError, match="could not convert"):
        cwl_bench.node(tmp_path, "cwl_lab.scaled", {"curve": cwl_bench.file(tmp_path / "bad.txt")})
