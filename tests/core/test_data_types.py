"""``@data`` types are frozen, know their axes and units, and show themselves."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import numpy as np
import pytest
from core.kernel_lab import Array, Curve, Recipe, Report

from daisy_core import Axes, DaisyError, ErrorsOf, Frame, InputError, Mask, Unit, data, replace
from daisy_core.datatypes import data_type, describe, fields_of

CURVE = Curve([0, 1, 2], [3.0, 4.0, 5.0], label="a")  # type: ignore[arg-type]


@data
class Volume:
    """Arrays that share axes."""

    values: Annotated[Array, Axes("z", "y", "x")]
    x: Annotated[Array | None, Axes("x"), Unit("mm")] = None
    free: Array | None = None


@data(name="core_tests.Checked")
class Checked:
    """A type with a check of its own."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise InputError("low is above high")


def test_a_data_object_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CURVE.label = "b"  # type: ignore[misc]


def test_array_fields_become_arrays() -> None:
    assert isinstance(CURVE.x, np.ndarray)
    array = np.arange(3.0)
    assert Curve(array, array).x is array


def test_fields_that_share_an_axis_agree_in_length() -> None:
    with pytest.raises(InputError, match=r"core\.Curve: 'y' has 2 values along 'x' but 'x' has 3; they must agree"):
        Curve([0, 1, 2], [3, 4])  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'sigma' has 1 values along 'x'"):
        Curve([0, 1], [3, 4], sigma=[1])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'x' has 4 values along 'x' but 'values' has 3"):
        Volume(np.zeros((1, 2, 3)), x=np.zeros(4))


def test_an_array_has_the_declared_number_of_axes() -> None:
    with pytest.raises(
        InputError, match=r"tests\.Volume\.values needs the axes \('z', 'y', 'x'\), but the array has shape \(2, 3\)"
    ):
        Volume(np.zeros((2, 3)))
    assert Volume(np.zeros((1, 2, 3)), free=np.zeros((7, 8))).free is not None


def test_a_types_own_check_runs_as_well() -> None:
    assert Checked(1.0, 2.0).high == 2.0
    with pytest.raises(InputError, match="low is above high"):
        Checked(2.0, 1.0)


def test_data_objects_are_compared_by_identity() -> None:
    assert CURVE == CURVE
    assert Curve(CURVE.x, CURVE.y) != Curve(CURVE.x, CURVE.y)
    assert len({CURVE, CURVE}) == 1


def test_replace_makes_a_checked_copy() -> None:
    other = replace(CURVE, y=np.zeros(3))
    assert (other.label, other.y.sum(), CURVE.y.sum()) == ("a", 0.0, 12.0)
    with pytest.raises(InputError):
        replace(CURVE, y=np.zeros(4))


def test_annotations_say_axes_units_and_uncertainties() -> None:
    fields = fields_of(Curve)
    assert (fields["y"].axes, fields["y"].unit, fields["y"].is_array) == (("x",), "counts", True)
    assert (fields["sigma"].errors_of, fields["sigma"].optional) == ("y", True)
    assert fields["x"].is_coordinate
    assert not fields["y"].is_coordinate
    assert fields_of(Report)["scale"].unit == "1"


def test_frame_and_mask_are_annotated_arrays() -> None:
    assert (describe(Frame).axes, describe(Frame).unit, describe(Mask).axes) == (("y", "x"), "counts", ("y", "x"))
    assert describe(Annotated[Frame, Unit("keV")]).unit == "keV"
    assert describe(Frame | None).optional
    assert describe(Annotated[Array | None, Axes("q"), ErrorsOf("i")]).is_array


def test_data_types_are_known_by_name() -> None:
    assert data_type("core.Curve") is Curve
    assert data_type("core_tests.Checked") is Checked
    with pytest.raises(DaisyError, match=r"data type 'nowhere\.Thing' is not declared by any installed app"):
        data_type("nowhere.Thing")


def test_a_data_object_shows_shapes_ranges_and_units_not_numbers() -> None:
    shown = repr(Curve(np.linspace(0, 10, 1000), np.zeros(1000)))
    assert shown.startswith("Curve(x: float64 1000, 0 to 10 Å, y: float64 1000, 0 to 0 counts, ")
    assert len(shown) < 200


def test_the_notebook_view_is_escaped_html() -> None:
    html = Curve([0], [1], label="<b>")._repr_html_()  # type: ignore[arg-type, attr-defined]
    assert "core.Curve" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


@pytest.mark.parametrize("values", [[], [np.nan, 1.0], [np.inf], [1 + 2j], [True], ["a"]])
def test_any_array_can_be_shown(values: list[Any]) -> None:
    assert "values" in repr(Volume(np.array(values).reshape(1, 1, -1)))


def test_a_data_object_holds_others_and_parameters() -> None:
    report = Report(CURVE, Recipe(), parts=(CURVE, CURVE))
    assert report.parts[1].y is CURVE.y
    assert report.recipe.npt == 8
