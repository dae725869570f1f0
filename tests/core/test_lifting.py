"""Map, each and reduce: the same bits eagerly, traced, and in every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from core.kernel_lab import (
    Array,
    Curve,
    correct,
    frames,
    profile,
    reduce_frame,
    same,
    scale,
    subtract,
    sum_of_frames,
    total,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from daisy_core import Frame, ParameterError, Reduction, WorkflowError, algorithm, each, workflow
from daisy_core.engine import WorkflowEngine
from daisy_core.lifting import Mapped, stack
from daisy_core.workflow import Workflow

Runner = Callable[[Any, dict[str, Any], dict[str, Any]], Any]


def eagerly(made: Any, inputs: dict[str, Any], params: dict[str, Any]) -> Any:
    return made(**inputs, **params)


def inline(made: Any, inputs: dict[str, Any], params: dict[str, Any]) -> Any:
    return WorkflowEngine("inline").run(made, inputs, params).result()


def threads(made: Any, inputs: dict[str, Any], params: dict[str, Any]) -> Any:
    return WorkflowEngine("threads", workers=3).run(made, inputs, params).result()


def from_json(made: Any, inputs: dict[str, Any], params: dict[str, Any]) -> Any:
    return WorkflowEngine("threads", workers=2).run(Workflow.from_json(made.to_json(inputs)), inputs, params).result()


@pytest.mark.parametrize("run", [inline, threads, from_json])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_map_each_and_reduce_give_identical_bits_everywhere(run: Runner, count: int) -> None:
    inputs = {"frames": frames(count), "monitors": [1.0 + index / 7 for index in range(count)]}
    expected = eagerly(sum_of_frames, inputs, {"npt": 9, "gain": 0.3})
    assert same(run(sum_of_frames, inputs, {"npt": 9, "gain": 0.3}), expected)
    assert expected.shape == (9,)


@pytest.mark.parametrize("run", [inline, threads, from_json])
@pytest.mark.parametrize("given", [(), ("backgrounds",), ("mask",), ("backgrounds", "mask")])
def test_a_workflow_gives_identical_bits_everywhere_for_each_set_of_inputs(run: Runner, given: tuple[str, ...]) -> None:
    optional = {"backgrounds": frames(3, seed=1), "mask": np.eye(5, 7, dtype=bool)}
    inputs = {"frame": frames()[0], **{name: optional[name] for name in given}}
    assert same(run(reduce_frame, inputs, {"npt": 11}), eagerly(reduce_frame, inputs, {"npt": 11}))


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.floats(-1e10, 1e10), max_size=40), chunk=st.integers(1, 9), workers=st.integers(1, 4))
def test_a_fold_does_not_depend_on_the_number_of_workers(values: list[float], chunk: int, workers: int) -> None:
    @workflow(name="core_tests.fold")
    def fold(numbers: Sequence[float]) -> float:
        return rounding_sum.reduce(numbers, chunk=chunk)

    expected = fold(values)
    found = WorkflowEngine("threads", workers=workers).run(fold, {"numbers": values}).result()
    assert (found, type(found)) == (expected, type(expected))


@algorithm(version="1")
class rounding_sum(Reduction[float, float, float]):
    """A sum whose rounding shows the order of additions."""

    def start(self) -> float:
        return 0.0

    def update(self, state: float, number: float) -> float:
        return state + number

    def merge(self, left: float, right: float) -> float:
        return left + right

    def finish(self, state: float) -> float:
        return state


def test_the_merge_tree_follows_from_the_chunk_bounds_alone() -> None:
    values = [0.1 * index for index in range(10)]
    chunks = [sum(values[0:3], 0.0), sum(values[3:6], 0.0), sum(values[6:9], 0.0), sum(values[9:10], 0.0)]
    assert rounding_sum.reduce(values, chunk=3) == (chunks[0] + chunks[1]) + (chunks[2] + chunks[3])


def test_a_fold_is_called_like_a_function_too() -> None:
    assert rounding_sum([1.0, 2.0]) == 3.0
    assert rounding_sum([]) == 0.0
    with pytest.raises(ParameterError, match="the sequence to fold is the first argument"):
        rounding_sum()


def test_the_result_of_map_is_a_lazy_sequence() -> None:
    seen: list[float] = []

    @algorithm(name="core_tests.noting")
    def noting(x: float, *, add: float = 1.0) -> float:
        seen.append(x)
        return x + add

    items = noting.map([1.0, 2.0, 3.0, 4.0], add=2.0, over="angle")
    assert isinstance(items, Mapped)
    assert (len(items), seen) == (4, [])
    assert items[1] == 4.0
    assert items[-1] == 6.0
    assert seen == [2.0, 4.0]
    assert list(items[1:3]) == [4.0, 5.0]
    assert list(reversed(items)) == [6.0, 5.0, 4.0, 3.0]
    assert repr(items) == "<lazy sequence of 4 along 'angle'>"
    with pytest.raises(IndexError):
        items[4]


def test_wrong_parameters_of_a_map_are_refused_before_any_item() -> None:
    with pytest.raises(ParameterError, match="'npt'"):
        profile.map([], npt=1)


def test_maps_chain_without_computing_anything_twice_over() -> None:
    curves = scale.map(profile.map(frames(3)), factor=2.0)
    assert isinstance(curves, Sequence)
    assert curves[2].y.tobytes() == scale(profile(frames(3)[2]), factor=2.0).y.tobytes()


def test_another_port_is_lifted_beside_and_the_rest_are_shared() -> None:
    stack_of = correct.map(frames(3), each([1.0, 2.0, 4.0]), power=2)
    assert same(stack_of[2], frames(3)[2] / 16.0)
    shared = correct.map(frames(3), 2.0)
    assert same(shared[1], frames(3)[1] / 2.0)
    by_name = correct.map(frames(3), monitor=each([1.0, 2.0, 4.0]), power=2)
    assert same(list(by_name), list(stack_of))


def test_an_array_is_a_sequence_along_its_first_axis() -> None:
    whole = np.stack(frames(3))
    assert same(profile.map(whole)[1], profile(whole[1]))
    inputs = {"frames": whole, "monitors": np.ones(3)}
    assert same(inline(sum_of_frames, inputs, {}), sum_of_frames(**inputs))


@pytest.mark.parametrize("values", ["abc", 5.0, {"a": 1}, iter([1.0])])
def test_what_is_not_a_sequence_cannot_be_lifted(values: Any) -> None:
    with pytest.raises(ParameterError, match="port 'frame' is lifted and needs a sequence of items; got"):
        profile.map(values)


@pytest.mark.parametrize("run", [eagerly, inline, threads])
def test_lifted_ports_of_different_length_are_refused(run: Runner) -> None:
    with pytest.raises(Exception, match="different numbers of items") as caught:
        run(sum_of_frames, {"frames": frames(3), "monitors": [1.0]}, {})
    cause = caught.value.__cause__ or caught.value
    assert isinstance(cause, ParameterError)


@pytest.mark.parametrize("chunk", [0, -1])
def test_a_chunk_has_at_least_one_item_eagerly_and_traced(chunk: int) -> None:
    @workflow(name="core_tests.empty_chunks")
    def empty_chunks(images: Sequence[Frame]) -> list[Curve]:
        return profile.map(images, chunk=chunk)  # type: ignore[return-value]

    with pytest.raises(ParameterError, match="chunk must be at least 1"):
        profile.map(frames(2), chunk=chunk)
    with pytest.raises(ParameterError, match="chunk must be at least 1"):
        total.reduce([profile(frames()[0])], chunk=chunk)
    with pytest.raises(ParameterError, match="chunk must be at least 1"):
        empty_chunks.graph()


def test_arrays_numbers_and_types_with_their_own_way_stack() -> None:
    assert correct.map(frames(3), 1.0).stack().shape == (3, 5, 7)
    assert stack([1.0, 2.0]).tolist() == [1.0, 2.0]
    with pytest.raises(WorkflowError, match=r"core.Curve does not say how to stack"):
        profile.map(frames(2)).stack()
    with pytest.raises(WorkflowError, match="no items"):
        stack([])


# -- ports of a fold beside the first ---------------------------------------------------------------------------


@workflow(version="1")
def weighted_total(curves: Sequence[Curve], weights: Sequence[float], offset: float) -> Array:
    """A fold with a port lifted beside and a shared one given by name, past a default."""
    return total.reduce(curves, each(weights), offset=offset, chunk=2, gain=2.0)


@workflow(version="1")
def offset_total(curves: Sequence[Curve], offset: float) -> Array:
    """A fold whose middle port keeps its default."""
    return total.reduce(curves, offset=offset)


@workflow(version="1")
def called_total(curves: Sequence[Curve], weights: Sequence[float]) -> Array:
    """A fold called like a function."""
    return total(curves, each(weights), gain=3.0)


@pytest.mark.parametrize("run", [inline, threads, from_json])
@pytest.mark.parametrize(
    ("made", "names"),
    [
        (weighted_total, ("curves", "weights", "offset")),
        (offset_total, ("curves", "offset")),
        (called_total, ("curves", "weights")),
    ],
)
def test_folds_take_further_ports_by_place_by_name_and_lifted(made: Any, names: tuple[str, ...], run: Runner) -> None:
    everything = {
        "curves": [profile(frame) for frame in frames(5)],
        "weights": [1.0, 0.5, 0.25, 2.0, 3.0],
        "offset": 0.125,
    }
    inputs = {name: everything[name] for name in names}
    assert same(run(made, inputs, {}), eagerly(made, inputs, {}))


def test_a_shared_port_of_a_fold_goes_where_its_name_says() -> None:
    curve = profile(frames()[0])
    assert total.reduce([curve, curve], offset=10.0) == pytest.approx(2 * curve.y + 20.0)
    assert total.reduce([curve, curve], 3.0) == pytest.approx(6 * curve.y)


def test_parameters_of_a_fold_are_checked() -> None:
    with pytest.raises(
        ParameterError, match=r"core\.total: parameter 'gain': expected greater than or equal to 0; got -1.0"
    ):
        total.reduce([], gain=-1.0)
    with pytest.raises(ParameterError, match=r"core\.total: unknown parameter 'gian'; did you mean 'gain'\?"):
        total.reduce([], gian=1.0)


# -- workflows lifted -------------------------------------------------------------------------------------------


@workflow(version="1")
def many(images: Sequence[Frame], backgrounds: Sequence[Frame] = ()) -> Curve:
    """A workflow mapped over frames, and its results used as one sequence."""
    curves = reduce_frame.map(images, backgrounds, npt=5, chunk=2)
    first = profile(images_mean(images), npt=5)
    return subtract(first, curves)


@algorithm(version="1")
def images_mean(images: Sequence[Frame]) -> Frame:
    """Mean of frames."""
    return sum(images[1:], images[0]) / len(images)


@pytest.mark.parametrize("run", [inline, threads, from_json])
def test_a_workflow_is_lifted_like_an_algorithm(run: Runner) -> None:
    inputs = {"images": frames(5), "backgrounds": frames(2, seed=3)}
    assert same(run(many, inputs, {}), eagerly(many, inputs, {}))


def test_a_lifted_workflow_keeps_its_node_parameters_everywhere() -> None:
    changed = reduce_frame.with_params({"subtract.weight": 0.0})

    @workflow(name="core_tests.many_changed")
    def many_changed(images: Sequence[Frame], backgrounds: Sequence[Frame]) -> Array:
        return total.reduce(changed.map(images, backgrounds))

    inputs = {"images": frames(3), "backgrounds": frames(2, seed=3)}
    expected = total.reduce([profile(frame, npt=6) for frame in frames(3)])
    assert same(eagerly(many_changed, inputs, {}), expected)
    assert same(threads(many_changed, inputs, {}), expected)


def test_an_empty_sequence_maps_to_an_empty_one_and_folds_to_the_start() -> None:
    inputs: dict[str, Any] = {"frames": [], "monitors": []}
    for run in (eagerly, inline, threads):
        assert same(run(sum_of_frames, inputs, {}), np.zeros(1))


def test_a_whole_map_can_be_the_result_of_a_workflow() -> None:
    @workflow(name="core_tests.all_curves")
    def all_curves(images: Sequence[Frame]) -> list[Curve]:
        return profile.map(images)  # type: ignore[return-value]

    expected = [profile(frame) for frame in frames(3)]
    assert same(list(all_curves(frames(3))), expected)
    assert same(threads(all_curves, {"images": frames(3)}, {}), expected)


def test_an_algorithm_runs_by_itself_in_an_engine_like_a_workflow() -> None:
    curve = profile(frames()[0])
    assert same(inline(profile, {"frame": frames()[0]}, {"npt": 7}), profile(frames()[0], npt=7))
    assert same(threads(total, {"item": [curve] * 40}, {"gain": 0.5}), total.reduce([curve] * 40, gain=0.5))


def test_a_lifted_port_left_out_has_its_default_for_every_item() -> None:
    curves = [profile(frame) for frame in frames(3)]
    expected = total.reduce(curves, chunk=1)

    @workflow(name="core_tests.no_weight")
    def no_weight(items: Sequence[Curve]) -> Array:
        return total.reduce(items, chunk=1)

    assert same(threads(no_weight, {"items": curves}, {}), expected)


def test_the_lazy_sequence_of_a_map_can_be_given_to_an_engine() -> None:
    curves = profile.map(frames(3))
    assert same(inline(total, {"item": curves}, {}), total.reduce(curves))
