"""The fields of a form are those of the declaration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from daisy_core import Param, ParameterModel, algorithm
from daisy_core.signature import REQUIRED
from daisy_pdf import Geometry, PDFConfig, reduce_image
from shared_ui.fields import FormField, flat, form_fields, nested
from shared_ui.units import label, pretty_unit


class Inner(ParameterModel):
    width: Annotated[float, Param("Width", unit="1/Å", gt=0, help="How wide.")] = 0.5
    kinds: Annotated[tuple[Literal["a", "b"], ...], Param("Kinds")] = ("a",)


@algorithm(version="1", name="test.everything")
def everything(
    data: list[Any],
    *,
    count: Annotated[int, Param("Count", ge=1)] = 3,
    on: bool = True,
    name: str = "x",
    mode: Literal["fast", "slow"] = "fast",
    limit: Annotated[float | None, Param("Limit", unit="deg", le=10)] = None,
    scales: Annotated[tuple[float, ...], Param("Scales", ge=0)] = (1.0,),
    span: tuple[float, float] = (0.0, 1.0),
    inner: Inner,
    needed: float,
) -> list[Any]:
    """Have one parameter of each kind."""
    return data


FIELDS = {field.name: field for field in form_fields(everything)}


def test_each_parameter_becomes_a_field_of_its_kind() -> None:
    assert {name: field.kind for name, field in FIELDS.items()} == {
        "count": "integer", "on": "bool", "name": "text", "mode": "choice", "limit": "number", "scales": "numbers",
        "span": "numbers", "inner.width": "number", "inner.kinds": "choices", "needed": "number",
    }  # fmt: skip


def test_units_are_in_the_labels() -> None:
    assert FIELDS["inner.width"].label == "Width (Å⁻¹)"
    assert FIELDS["limit"].label == "Limit (°)"
    assert FIELDS["count"].label == "Count"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("count", 0, "greater than or equal to 1"), ("count", 1.5, "valid integer"), ("count", True, "valid integer"),
        ("limit", 11.0, "less than or equal to 10"), ("limit", float("nan"), "finite"), ("scales", (1.0, -1.0), "greater than"),
        ("scales", "1 x", "numbers, with blanks"), ("mode", "warp", "'fast' or 'slow'"), ("needed", None, "needed"),
        ("inner.width", 0.0, "greater than 0"), ("span", (1.0,), "required"),
    ],
)  # fmt: skip
def test_a_fault_is_said_in_words_for_the_field(name: str, value: Any, says: str) -> None:
    fault = FIELDS[name].fault(value)
    assert fault is not None
    assert says in fault


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", None), ("limit", 2), ("scales", (0.5, 1)), ("inner.kinds", ("b", "a")), ("needed", 1.0)],
)
def test_good_values_have_no_fault(name: str, value: Any) -> None:
    assert FIELDS[name].fault(value) is None


def test_a_parameter_without_default_starts_empty() -> None:
    assert FIELDS["needed"].default is REQUIRED
    assert FIELDS["needed"].start is None


def test_the_form_of_a_reduction_has_all_its_parameters() -> None:
    names = [field.name for field in form_fields(reduce_image)]
    assert names == ["npt", *(f"config.{name}" for name in PDFConfig.model_fields)]
    defaults = {field.name: field.default for field in form_fields(PDFConfig)}
    assert PDFConfig(**defaults) == PDFConfig()


def test_a_geometry_can_be_a_form() -> None:
    fields = {field.name: field for field in form_fields(Geometry)}
    assert fields["wavelength"].label == "wavelength (Å)"
    assert fields["rows"].optional
    assert fields["orientation"].kind == "integer"


def test_nesting_and_flattening_are_opposites() -> None:
    values = {"npt": 2000, "config.rpoly": 0.9, "config.qmax": None}
    assert flat(nested(values)) == values
    assert flat({"config": PDFConfig(composition="Ni")})["config.composition"] == "Ni"


def test_what_declares_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="declares no form"):
        form_fields(int)


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        ("1/Å^2", "Å⁻²"),
        ("1/Å", "Å⁻¹"),
        ("deg", "°"),
        ("ADU/photon", "ADU/photon"),
        ("1", ""),
        (None, ""),
        ("m^-2", "m⁻²"),
    ],
)
def test_units_are_written_as_people_write_them(unit: str | None, shown: str) -> None:
    assert pretty_unit(unit) == shown
    assert label("x", unit) == (f"x ({shown})" if shown else "x")


def test_an_annotation_of_no_known_kind_is_json() -> None:
    @algorithm(version="1", name="test.mapping")
    def mapping(data: list[Any], *, table: dict[str, float] = {}) -> list[Any]:  # noqa: B006
        """Take a table."""
        return data

    field: FormField = form_fields(mapping)[0]
    assert field.kind == "json"
    assert field.fault({"a": 1.0}) is None
    assert field.fault("{") == "should be JSON"
