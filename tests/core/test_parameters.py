"""Parameters are JSON: schema, defaults, bounds, and messages that say algorithm, parameter, expected and got."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from core.kernel_lab import Recipe, Window, fit, frames, profile, reduce_and_fit, reduce_frame, scale
from hypothesis import given
from hypothesis import strategies as st

from daisy_core import Param, ParameterError, ParameterModel, algorithm
from daisy_core.params import to_json


class Shape(enum.Enum):
    """A choice as an enum."""

    FLAT = "flat"
    ROUND = "round"


class Spots(ParameterModel):
    """A group with a list."""

    centers: list[float] = [1.0]  # noqa: RUF012 - pydantic copies it
    shape: Shape = Shape.FLAT


@algorithm(version="1")
def many_kinds(
    x: float,
    *,
    count: Annotated[int, Param("Count", ge=1, lt=1000, help="How many")] = 3,
    size: Annotated[float, Param("Size", unit="mm", gt=0)] = 1.0,
    on: bool = False,
    text: str = "a",
    choice: Literal["fast", "exact", 3] = "fast",
    maybe: Annotated[float | None, Param("Maybe", ge=0, le=1)] = None,
    pair: Annotated[tuple[float, float], Param("Pair", ge=0)] = (0.0, 1.0),
    numbers: tuple[int, ...] = (),
    listed: list[float] = [],  # noqa: B006 - never changed
    table: dict[str, float] = {},  # noqa: B006
    shape: Shape = Shape.FLAT,
    window: Window = Window(),  # noqa: B008 - frozen
    spots: Spots | None = None,
) -> Any:
    """Return its parameters."""
    return {key: value for key, value in locals().items() if key != "x"}


@algorithm(version="1")
def needs(x: float, *, level: float, window: Window) -> float:
    """Return the level; no defaults."""
    return level * window.high


def accepted(**params: Any) -> Any:
    return many_kinds(1.0, **params)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", True, "a valid integer"),
        ("count", 3.0, "a valid integer"),
        ("count", "3", "a valid integer"),
        ("count", None, "a valid integer"),
        ("count", 0, "greater than or equal to 1"),
        ("count", 1000, "less than 1000"),
        ("size", "1.0", "a valid number"),
        ("size", True, "a valid number"),
        ("size", float("nan"), "a finite number"),
        ("size", float("inf"), "a finite number"),
        ("size", 0, "greater than 0"),
        ("size", -1.5, "greater than 0"),
        ("size", 1j, "a valid number"),
        ("size", [1.0], "a valid number"),
        ("on", 1, "a valid boolean"),
        ("on", "yes", "a valid boolean"),
        ("text", 5, "a valid string"),
        ("text", b"a", "a valid string"),
        ("choice", "slow", "'fast', 'exact' or 3"),
        ("maybe", 1.5, "less than or equal to 1"),
        ("maybe", float("nan"), "a finite number"),
        ("pair", (1.0,), "required"),
        ("pair", (-1.0, 1.0), "greater than or equal to 0"),
        ("pair", (1.0, True), "a valid number"),
        ("numbers", (1, 2.5), "a valid integer"),
        ("numbers", "12", "a valid tuple"),
        ("listed", ["a"], "a valid number"),
        ("table", {"a": "b"}, "a valid number"),
        ("shape", "square", "an instance of Shape"),
        ("window", {"low": -1.0}, "greater than or equal to 0"),
        ("window", {"lo": 1.0}, "unknown parameter 'window.lo'"),
        ("window", 5, "Window"),
        ("spots", {"centers": [True]}, "a valid number"),
    ],
)
def test_a_wrong_value_is_refused_with_algorithm_parameter_expected_and_got(
    name: str, value: Any, expected: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        accepted(**{name: value})
    message = str(caught.value)
    assert message.startswith("tests.many_kinds: ")
    assert name in message
    assert expected in message
    if "unknown" not in message and "required" not in message:
        assert "; got " in message


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("count", np.int32(7), 7),
        ("count", np.uint8(7), 7),
        ("size", np.float32(0.5), 0.5),
        ("size", np.float64(0.5), 0.5),
        ("size", np.int64(2), 2.0),
        ("size", 2, 2.0),
        ("on", np.bool_(True), True),
        ("text", np.str_("b"), "b"),
        ("maybe", np.float32(0.5), 0.5),
        ("maybe", None, None),
        ("pair", [1, 2], (1.0, 2.0)),
        ("pair", np.array([1.0, 2.0]), (1.0, 2.0)),
        ("pair", [np.float32(1.0), np.int8(2)], (1.0, 2.0)),
        ("numbers", np.arange(3), (0, 1, 2)),
        ("listed", [1.0, 2], [1.0, 2.0]),
        ("listed", (1.0, np.float32(2)), [1.0, 2.0]),
        ("listed", np.array([0.5]), [0.5]),
        ("table", {"a": np.float32(0.5)}, {"a": 0.5}),
        ("choice", 3, 3),
        ("shape", "round", Shape.ROUND),
        ("shape", Shape.ROUND, Shape.ROUND),
        ("window", Window(low=2.0), Window(low=2.0)),
        ("window", {"low": 2}, Window(low=2.0)),
        ("spots", {"centers": [2], "shape": "round"}, Spots(centers=[2.0], shape=Shape.ROUND)),
        ("spots", Spots(centers=(np.float32(2),)), Spots(centers=[2.0])),
    ],
)
def test_numpy_scalars_lists_and_plain_json_are_accepted(name: str, value: Any, kept: Any) -> None:
    found = accepted(**{name: value})[name]
    assert found == kept
    assert type(found) is type(kept)


def test_several_faults_are_all_said_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        accepted(count="a", size=-1, unknown=3)
    assert len(str(caught.value).splitlines()) == 3


def test_a_required_parameter_is_asked_for_by_name() -> None:
    with pytest.raises(
        ParameterError, match=r"tests.needs: parameter 'level' is required and has no default"
    ) as caught:
        needs(1.0)
    assert "'window' is required" in str(caught.value)
    assert needs(1.0, level=2.0, window={"high": 3.0}) == 6.0


def test_an_unknown_name_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ParameterError, match=r"tests.many_kinds: unknown parameter 'cont'; did you mean 'count'\?"):
        accepted(cont=3)


def test_check_params_returns_all_parameters_with_defaults() -> None:
    checked = many_kinds.check_params({"count": 9})
    assert list(checked) == list(many_kinds.parameters)
    assert (checked["count"], checked["size"], checked["window"]) == (9, 1.0, Window())


def test_some_parameters_can_be_checked_without_the_others() -> None:
    needs.check_some_params({"level": 2.0})
    with pytest.raises(ParameterError, match="'level'"):
        needs.check_some_params({"level": "x"})
    with pytest.raises(ParameterError, match="unknown parameter 'lvl'"):
        needs.check_some_params({"lvl": 1.0})


# -- groups -----------------------------------------------------------------------------------------------------


def test_a_parameter_group_is_frozen_and_knows_its_names() -> None:
    window = Window(low=1)
    assert window.low == 1.0
    with pytest.raises(Exception, match="frozen"):
        window.low = 2.0  # type: ignore[misc]
    with pytest.raises(ParameterError, match=r"Window: unknown parameter 'lov'; did you mean 'low'\?"):
        Window(lov=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("value", [True, "1", float("nan"), float("inf"), -1.0, None])
def test_a_parameter_group_refuses_what_a_parameter_refuses(value: Any) -> None:
    with pytest.raises(ParameterError, match="Window: parameter 'low'"):
        Window(low=value)


def test_groups_nest_and_are_made_from_json() -> None:
    recipe = Recipe(window={"low": 1.0}, weights=[1, 2], mode="sum")  # type: ignore[arg-type]
    assert recipe.window == Window(low=1.0)
    assert recipe.weights == (1.0, 2.0)
    assert Recipe(**to_json(recipe)) == recipe
    with pytest.raises(ParameterError, match=r"Recipe: parameter 'window\.low'"):
        Recipe(window={"low": "x"})  # type: ignore[arg-type]


@given(st.builds(
    Recipe,
    window=st.builds(Window, low=st.floats(0, 1e6), high=st.floats(0, 1e6)),
    weights=st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(tuple),
    mode=st.sampled_from(["mean", "sum"]),
    npt=st.integers(2, 10**20),
))  # fmt: skip
def test_a_group_survives_json(recipe: Recipe) -> None:
    assert Recipe(**json.loads(json.dumps(to_json(recipe)))) == recipe


# -- schema -----------------------------------------------------------------------------------------------------


def test_the_schema_has_types_bounds_units_titles_and_defaults() -> None:
    schema = many_kinds.schema()
    assert schema["title"] == "tests.many_kinds"
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["count"] == {
        "title": "Count", "description": "How many", "type": "integer", "minimum": 1, "exclusiveMaximum": 1000, "default": 3,
    }  # fmt: skip
    assert properties["size"] == {
        "title": "Size",
        "type": "number",
        "unit": "mm",
        "exclusiveMinimum": 0,
        "default": 1.0,
    }
    assert properties["on"]["type"] == "boolean"
    assert properties["choice"]["enum"] == ["fast", "exact", 3]
    assert properties["maybe"]["anyOf"] == [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]
    assert properties["numbers"]["items"] == {"type": "integer"}
    assert "required" not in schema


def test_required_parameters_are_required_in_the_schema() -> None:
    assert needs.schema()["required"] == ["level", "window"]


def test_nested_groups_are_nested_in_the_schema() -> None:
    schema = fit.schema()
    recipe = schema["$defs"]["Recipe"]["properties"]
    assert recipe["npt"]["minimum"] == 2
    assert recipe["window"]["$ref"] == "#/$defs/Window"
    assert schema["$defs"]["Window"]["properties"]["low"]["unit"] == "Å"


def test_the_schema_of_a_workflow_has_its_own_and_the_open_node_parameters() -> None:
    properties = reduce_frame.schema()["properties"]
    assert list(properties) == ["npt", "subtract.weight"]
    assert properties["subtract.weight"]["default"] == 1.0


def test_the_schema_of_nested_workflows_addresses_through_the_nesting() -> None:
    schema = reduce_and_fit.schema()
    assert list(schema["properties"]) == ["npt", "recipe", "reduce_frame.subtract.weight"]
    assert {"Recipe", "Window"} <= set(schema["$defs"])


def test_every_schema_is_plain_json_and_says_no_more_than_json_schema_draft_2020_allows() -> None:
    for made in (profile, scale, fit, many_kinds, needs, reduce_frame, reduce_and_fit):
        assert json.loads(json.dumps(made.schema())) == made.schema()
        for item in made.schema()["properties"].values():
            assert isinstance(item, Mapping)
            assert item.keys() & {"type", "$ref", "anyOf", "enum", "allOf", "const"}


def test_the_defaults_of_the_schema_are_the_defaults_of_the_function() -> None:
    for made in (profile, scale, many_kinds):
        shown = {name: item["default"] for name, item in made.schema()["properties"].items() if "default" in item}
        assert made.check_params(shown) == made.check_params({})


def test_a_schema_default_can_be_given_back_to_every_call() -> None:
    curve = profile(frames()[0])
    shown = fit.schema()["properties"]["recipe"]["default"]
    assert fit(curve, recipe=shown).scale == fit(curve).scale
