"""Every result has a derivation id: the same for the same work on the same data, another one for anything else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core.kernel_lab import Array, Curve, Recipe, frames, profile, reduce_frame, same, scale, total
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from daisy_core import Frame, algorithm, registry, workflow
from daisy_core.engine import WorkflowEngine
from daisy_core.identity import SAMPLED_ABOVE, canonical, distribution_version, file_id, source_hash, value_id
from daisy_core.plan import make_plan
from daisy_core.workflow import Workflow

FRAME = frames()[0]


def identity(made: Any, inputs: dict[str, Any], params: dict[str, Any] | None = None, task: str = "") -> str:
    plan = make_plan(made, inputs, params or {})
    return plan.derivation_id(task or list(plan.tasks)[-1])


@workflow(version="1")
def maps_reduce_frame(images: Sequence[Frame]) -> Array:
    """A workflow lifted as a whole."""
    return total.reduce(reduce_frame.map(images))


@workflow(version="1")
def maps_changed(images: Sequence[Frame]) -> Array:
    """The same with a node parameter set."""
    return total.reduce(reduce_frame.with_params({"subtract.weight": 0.5}).map(images))


def test_the_same_work_on_the_same_data_is_the_same_result() -> None:
    assert identity(reduce_frame, {"frame": FRAME}) == identity(reduce_frame, {"frame": FRAME.copy()})
    assert identity(reduce_frame, {"frame": FRAME}, {"npt": 6}) == identity(reduce_frame, {"frame": FRAME})
    assert identity(reduce_frame, {"frame": FRAME, "mask": None}) == identity(reduce_frame, {"frame": FRAME})
    assert len(identity(reduce_frame, {"frame": FRAME})) == 64


def test_other_data_parameters_or_inputs_are_another_result() -> None:
    ids = {
        identity(reduce_frame, {"frame": FRAME}),
        identity(reduce_frame, {"frame": FRAME + 1}),
        identity(reduce_frame, {"frame": FRAME.astype(np.float32)}),
        identity(reduce_frame, {"frame": FRAME}, {"npt": 7}),
        identity(reduce_frame, {"frame": FRAME}, {"subtract.weight": 0.5}),
        identity(reduce_frame, {"frame": FRAME, "mask": np.zeros((5, 7), dtype=bool)}),
        identity(reduce_frame, {"frame": FRAME, "backgrounds": [FRAME]}),
        identity(reduce_frame, {"frame": FRAME, "backgrounds": [FRAME, FRAME]}),
    }
    assert len(ids) == 8


def test_another_version_or_source_is_another_result(tmp_path: Path) -> None:
    import sys

    def declare(text: str) -> Any:
        path = tmp_path / "lab_identity.py"
        path.write_text(f"from daisy_core import algorithm\n{text}")
        sys.modules.pop("lab_identity", None)
        import linecache

        linecache.clearcache()
        return registry.find(f"{path}:f")

    plain = "@algorithm(version='1')\ndef f(x: float) -> float:\n    return 2 * x\n"
    texts = [plain, plain.replace("2 * x", "3 * x"), plain.replace("'1'", "'2'")]
    ids = [identity(declare(text), {"x": 1.0}) for text in texts]
    again = identity(declare(plain), {"x": 1.0})
    sys.modules.pop("lab_identity", None)
    assert len(set(ids)) == 3
    assert again == ids[0]


def test_a_workflow_lifted_as_a_whole_knows_the_parameters_of_its_nodes() -> None:
    inputs = {"images": frames(2)}
    plain, changed = make_plan(maps_reduce_frame, inputs, {}), make_plan(maps_changed, inputs, {})
    assert plain.derivation_id("reduce_frame") != changed.derivation_id("reduce_frame")
    assert reduce_frame.source_hash != reduce_frame.with_params({"subtract.weight": 0.5}).source_hash


def test_a_workflow_lifted_as_a_whole_knows_the_versions_of_its_nodes() -> None:
    @algorithm(name="core_tests.step", version="1")
    def step(frame: Frame) -> Curve:
        return profile(frame)

    def outer() -> Workflow[..., Any]:
        @workflow(name="core_tests.outer_step")
        def outer_step(frame: Frame) -> Curve:
            return step(frame)

        return outer_step

    before = outer().source_hash
    assert outer().source_hash == before
    step.version = "2"
    assert outer().source_hash != before


def test_the_number_of_items_in_a_task_is_part_of_a_fold_but_not_of_a_map() -> None:
    def folded(chunk: int) -> Any:
        @workflow(name="core_tests.folded")
        def made(curves: Sequence[Curve]) -> Array:
            return total.reduce(curves, chunk=chunk)

        return made

    def mapped(chunk: int) -> Any:
        @workflow(name="core_tests.mapped")
        def made(curves: Sequence[Curve]) -> list[Curve]:
            return scale.map(curves, chunk=chunk)  # type: ignore[return-value]

        return made

    inputs = {"curves": [profile(FRAME)] * 3}
    assert identity(folded(2), inputs) != identity(folded(3), inputs)
    assert identity(mapped(2), inputs) == identity(mapped(3), inputs)


def test_json_keeps_the_set_parameters_of_a_workflow_inside() -> None:
    again = Workflow.from_json(maps_changed.to_json())
    inputs = {"images": frames(2)}
    assert identity(again, inputs) == identity(maps_changed, inputs)
    assert same(WorkflowEngine().run(again, inputs).result(), maps_changed(**inputs))


# -- values -----------------------------------------------------------------------------------------------------

values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5),
        npst.arrays(st.sampled_from([np.dtype("i4"), np.dtype("f8"), np.dtype("u1")]), npst.array_shapes(max_dims=2, max_side=3)),
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(first=values, second=values)
def test_values_have_the_same_identity_exactly_when_they_are_the_same(first: Any, second: Any) -> None:
    assert value_id(first) == value_id(first)
    if same(first, second):
        assert value_id(first) == value_id(second)
    elif repr(first) != repr(second):
        assert value_id(first) != value_id(second)


def test_shape_dtype_and_layout_are_told_apart_but_not_memory_order() -> None:
    array = np.arange(6.0)
    assert value_id(array) != value_id(array.reshape(2, 3))
    assert value_id(array) != value_id(array.astype(">f8"))
    assert value_id(array.reshape(2, 3)) == value_id(np.asfortranarray(array.reshape(2, 3)))
    assert value_id(array[::2]) == value_id(array[::2].copy())
    assert value_id(np.zeros((0, 3))) != value_id(np.zeros((3, 0)))
    curve = profile(FRAME)
    assert value_id(curve) == value_id(profile(FRAME.copy()))
    assert value_id(curve) != value_id(scale(curve))


def test_an_array_of_objects_has_no_identity() -> None:
    with pytest.raises(TypeError, match="use a numeric dtype"):
        value_id(np.array([object()]))


# -- files ------------------------------------------------------------------------------------------------------


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"abc")
    (tmp_path / "c").write_bytes(b"abd")
    assert file_id(tmp_path / "a") == file_id(tmp_path / "b")
    assert file_id(tmp_path / "a") != file_id(tmp_path / "c")
    assert file_id(tmp_path / "a")["method"] == "content"


def test_a_large_file_is_known_by_size_time_and_samples_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import daisy_core.identity as module

    assert SAMPLED_ABOVE == 1 << 30
    monkeypatch.setattr(module, "SAMPLED_ABOVE", 1000)
    monkeypatch.setattr(module, "_BLOCK", 16)
    path = tmp_path / "large"
    path.write_bytes(bytes(5000))
    first = file_id(path)
    assert (first["method"], first["size"]) == ("sampled", 5000)
    path.write_bytes(bytes(4999) + b"x")
    assert file_id(path)["sha256"] != first["sha256"]


# -- small things -----------------------------------------------------------------------------------------------


def test_canonical_text_does_not_know_the_order_of_keys() -> None:
    assert canonical({"b": 1, "a": (1, 2)}) == canonical({"a": [1, 2], "b": 1}) == '{"a":[1,2],"b":1}'
    assert json.loads(canonical(Recipe())) == Recipe().model_dump(mode="json")


def test_a_function_without_source_is_known_by_its_code() -> None:
    namespace: dict[str, Any] = {}
    exec("def f(x):\n    return x + 1\ndef g(x):\n    return x + 2", namespace)
    assert source_hash(namespace["f"]) != source_hash(namespace["g"])
    assert source_hash(namespace["f"]) == source_hash(namespace["f"])


def test_the_distribution_of_a_module_is_known_also_when_it_is_installed_editable() -> None:
    assert distribution_version("numpy.linalg") == f"numpy {np.__version__}"
    assert distribution_version("daisy_core.algorithm").startswith("daisy-suite ")
    assert distribution_version("daisy_pdf.io").startswith("daisy-suite ")
    assert distribution_version("core.kernel_lab") == ""
