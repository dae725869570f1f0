"""One writer and one reader for everything: what is written comes back, and is NeXus to whoever else opens it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import pytest
from core.kernel_lab import Array, Curve, Recipe, Report, Window, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from daisy_core import Axes, DaisyError, ErrorsOf, InputError, Unit, data, nexus

CURVE = Curve(np.arange(4.0), np.arange(4) * 2.0, sigma=np.ones(4), label="äöü", notes=("one", "two"))
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@data
class Everything:
    """A field of each kind."""

    image: Annotated[Array, Axes("y", "x"), Unit("counts")]
    x: Annotated[Array | None, Axes("x"), Unit("mm")] = None
    error: Annotated[Array | None, Axes("y", "x"), ErrorsOf("image")] = None
    free: Array | None = None
    number: Annotated[float, Unit("keV")] = 0.0
    count: int = 0
    flag: bool = False
    wave: complex = 0j
    text: str = ""
    words: tuple[str, ...] = ()
    numbers: list[float] | None = None
    maybe: int | None = None
    recipe: Recipe = Recipe()
    inner: Curve | None = None
    several: tuple[Curve, ...] = ()
    table: dict[str, Any] | None = None


@data
class Optional:
    """A type whose main array may be absent."""

    first: Annotated[Array | None, Axes("x")] = None
    second: Annotated[Array | None, Axes("x")] = None
    x: Annotated[Array | None, Axes("x"), Unit("s")] = None


def round_trip(path: Path, value: Any) -> Any:
    nexus.write(path / "file.nxs", {"value": value})
    return nexus.read(path / "file.nxs")["value"]


# -- what is written comes back ---------------------------------------------------------------------------------

numbers = st.one_of(
    npst.boolean_dtypes(), npst.integer_dtypes(endianness="?"), npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)), npst.complex_number_dtypes(endianness="?", sizes=(64, 128)),
)  # fmt: skip
shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@quickly
@given(array=numbers.flatmap(lambda dtype: npst.arrays(dtype, shapes)))
def test_arrays_of_all_dtypes_shapes_and_byte_orders_come_back(tmp_path: Path, array: Array) -> None:
    assert same(round_trip(tmp_path, array), array)


@quickly
@given(array=npst.arrays(npst.byte_string_dtypes(max_len=5), shapes))
def test_arrays_of_byte_strings_come_back(tmp_path: Path, array: Array) -> None:
    assert same(round_trip(tmp_path, array), array)


@quickly
@given(
    array=npst.arrays(
        np.dtype("U5"), shapes, elements=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
    )
)
def test_arrays_of_text_come_back(tmp_path: Path, array: Array) -> None:
    found = round_trip(tmp_path, array)
    assert found.dtype.kind == "U"
    assert found.shape == array.shape
    assert (found == array).all()


@pytest.mark.parametrize("view", [np.s_[::2, ::-1], np.s_[:, 1:3], np.s_[::-1]])
def test_arrays_that_are_not_contiguous_come_back(tmp_path: Path, view: Any) -> None:
    array = np.arange(24.0).reshape(4, 6)[view]
    assert same(round_trip(tmp_path, array), array.copy())
    assert same(round_trip(tmp_path, np.asfortranarray(array)), array.copy())


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(max_size=20),
    st.sampled_from(["", " ", "\x00", "a\x00b", "日本\n", "1"]),
)  # fmt: skip


@quickly
@given(value=scalars)
def test_numbers_text_and_none_come_back(tmp_path: Path, value: Any) -> None:
    found = round_trip(tmp_path, value)
    assert type(found) is type(value)
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (np.float32(0.5), 0.5),
        (np.int8(-3), -3),
        (np.bool_(True), True),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.str_("a"), "a"),
    ],
)
def test_numpy_scalars_come_back_as_numbers(tmp_path: Path, value: Any, kept: Any) -> None:
    assert same(round_trip(tmp_path, value), kept)


@quickly
@given(value=st.recursive(scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=12))
def test_nested_lists_come_back(tmp_path: Path, value: Any) -> None:
    assert repr(round_trip(tmp_path, value)) == repr(value)


@quickly
@given(
    value=st.dictionaries(
        st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.lists(st.booleans())), max_size=4
    )
)
def test_mappings_of_plain_values_come_back(tmp_path: Path, value: Any) -> None:
    assert round_trip(tmp_path, value) == value


def curves(size: int = 3) -> st.SearchStrategy[Curve]:
    line = npst.arrays(float, size, elements=st.floats(width=64))
    return st.builds(Curve, line, line, sigma=st.none() | line, label=st.text(max_size=8),
                     notes=st.lists(st.text(max_size=8), max_size=3).map(tuple))  # fmt: skip


recipes = st.builds(
    Recipe,
    window=st.builds(Window, low=st.floats(0, 1e9), high=st.floats(0, 1e9)),
    weights=st.lists(st.floats(-1e9, 1e9), max_size=3).map(tuple),
    mode=st.sampled_from(["mean", "sum"]),
    npt=st.integers(2, 10**6),
)


@quickly
@given(
    value=st.builds(
        Everything,
        image=npst.arrays(np.int32, (2, 3)),
        x=st.none() | npst.arrays(float, 3),
        error=st.none() | npst.arrays(float, (2, 3)),
        free=st.none() | npst.arrays(np.uint8, shapes),
        number=st.floats(),
        count=st.integers(-(2**63), 2**63 - 1),
        flag=st.booleans(),
        wave=st.complex_numbers(),
        text=st.text(),
        words=st.lists(st.text(max_size=5), max_size=3).map(tuple),
        numbers=st.none() | st.lists(st.floats(), max_size=3),
        maybe=st.none() | st.integers(0, 5),
        recipe=recipes,
        inner=st.none() | curves(),
        several=st.lists(curves(), max_size=2).map(tuple),
        table=st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    )
)
def test_data_objects_come_back_whole(tmp_path: Path, value: Everything) -> None:
    assert same(round_trip(tmp_path, value), value)


@quickly
@given(
    value=st.builds(
        Report, curves(), recipes, background=st.none() | curves(), parts=st.lists(curves(), max_size=2).map(tuple)
    )
)
def test_data_objects_in_data_objects_come_back(tmp_path: Path, value: Report) -> None:
    assert same(round_trip(tmp_path, value), value)


@pytest.mark.parametrize(
    "value", [Optional(), Optional(second=[1.0, 2.0]), Optional(first=[1.0], x=[2.0]), Optional(x=[1.0])]
)  # type: ignore[arg-type]
def test_absent_arrays_come_back_as_none(tmp_path: Path, value: Optional) -> None:
    assert same(round_trip(tmp_path, value), value)


def test_lists_of_data_objects_and_arrays_come_back(tmp_path: Path) -> None:
    value = [CURVE, [np.arange(3), 2.5], "text", None, ["a", "b"], []]
    assert same(round_trip(tmp_path, value), value)
    many = [np.full(2, index) for index in range(15)]
    assert same(round_trip(tmp_path, many), many)


def test_objects_come_back_in_the_order_of_writing(tmp_path: Path) -> None:
    names = ["zeta", "alpha", "mid", *(f"n{index}" for index in range(20))]
    nexus.write(tmp_path / "a.nxs", dict.fromkeys(names, CURVE))
    assert list(nexus.read(tmp_path / "a.nxs")) == names


def test_a_field_that_was_added_later_has_its_default(tmp_path: Path) -> None:
    nexus.write(tmp_path / "a.nxs", {"curve": CURVE})
    with h5py.File(tmp_path / "a.nxs", "a") as handle:
        del handle["entry/curve/label"]
    assert nexus.read(tmp_path / "a.nxs")["curve"].label == ""
    with h5py.File(tmp_path / "a.nxs", "a") as handle:
        del handle["entry/curve/y"]
    with pytest.raises(InputError, match=r"curve: this version of Curve does not fit the file.*'y'"):
        nexus.read(tmp_path / "a.nxs")


# -- what others see --------------------------------------------------------------------------------------------


def text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def test_the_file_is_nexus_to_plain_h5py(tmp_path: Path) -> None:
    nexus.write(tmp_path / "a.nxs", {"number": 1.5, "curve": CURVE}, {"run": "x"})
    with h5py.File(tmp_path / "a.nxs") as handle:
        assert handle.attrs["NX_class"] == "NXroot"
        assert handle.attrs["creator"] == "daisy-suite"
        entry = handle[handle.attrs["default"]]
        assert entry.attrs["NX_class"] == "NXentry"
        curve = entry[entry.attrs["default"]]
        assert curve.name == "/entry/curve"
        assert curve.attrs["NX_class"] == "NXdata"
        assert curve.attrs["signal"] == "y"
        assert list(curve.attrs["axes"]) == ["x"]
        assert curve["x"].attrs["units"] == "Å"
        assert curve["y"].attrs["units"] == "counts"
        assert curve["y_errors"].attrs["units"] == "counts"
        assert "sigma" not in curve
        assert curve["y"][()].tolist() == [0.0, 2.0, 4.0, 6.0]
        assert text(curve["label"][()]) == "äöü"
        assert entry["provenance"].attrs["NX_class"] == "NXprocess"
        assert json.loads(entry["provenance/record"][()]) == {"run": "x"}


def test_axes_without_values_are_dots_and_scalars_have_units(tmp_path: Path) -> None:
    value = Everything(np.zeros((2, 3)), x=np.arange(3), number=8.0)
    nexus.write(tmp_path / "a.nxs", {"value": value, "bare": np.zeros(3)})
    with h5py.File(tmp_path / "a.nxs") as handle:
        assert list(handle["entry/value"].attrs["axes"]) == [".", "x"]
        assert handle["entry/value/number"].attrs["units"] == "keV"
        assert handle["entry/bare"].attrs["NX_class"] == "NXdata"
        assert handle["entry/bare"].attrs["signal"] == "data"
    nexus.write(tmp_path / "b.nxs", {"value": Everything(np.zeros((2, 3)))})
    with h5py.File(tmp_path / "b.nxs") as handle:
        assert list(handle["entry/value"].attrs["axes"]) == [".", "."]


def test_the_signal_is_an_array_that_is_there(tmp_path: Path) -> None:
    nexus.write(tmp_path / "a.nxs", {"later": Optional(second=[1.0]), "none": Optional()})  # type: ignore[arg-type]
    with h5py.File(tmp_path / "a.nxs") as handle:
        assert handle["entry/later"].attrs["signal"] == "second"
        assert handle["entry/none"].attrs["NX_class"] == "NXcollection"
        assert "signal" not in handle["entry/none"].attrs


def test_the_default_leads_step_by_step_to_the_first_plot_in_the_order_of_writing(tmp_path: Path) -> None:
    report = Report(CURVE, Recipe())
    nexus.write(tmp_path / "a.nxs", {"zeta": 1.0, "report": report, "curve": CURVE})
    with h5py.File(tmp_path / "a.nxs") as handle:
        node = handle
        steps = []
        while "default" in node.attrs:
            steps.append(node.attrs["default"])
            node = node[node.attrs["default"]]
        assert steps == ["entry", "report", "curve"]
        assert node.attrs["NX_class"] == "NXdata"


def test_every_group_says_its_class(tmp_path: Path) -> None:
    report = Report(CURVE, Recipe(), background=CURVE, parts=(CURVE, CURVE))
    nexus.write(tmp_path / "a.nxs", {"report": report, "list": [CURVE, [1.0]]}, {})
    with h5py.File(tmp_path / "a.nxs") as handle:
        groups: list[Any] = []
        handle.visititems(lambda _, item: groups.append(item) if isinstance(item, h5py.Group) else None)
        assert {group.attrs["NX_class"] for group in groups} <= {"NXentry", "NXdata", "NXcollection", "NXprocess"}


# -- what cannot be written or read -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (object(), "a object cannot be stored"),
        (lambda: 1, "a function cannot be stored"),
        ({1, 2}, "a set cannot be stored"),
        (b"raw", "a bytes cannot be stored"),
        ({"a": np.zeros(3)}, "a dict cannot be stored"),
        (np.array([object()]), "an array of object cannot be stored"),
        (np.zeros(2, dtype=[("a", int)]), "cannot be stored"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "cannot be stored"),
        (np.array(["a\x00b"]), "NUL character"),
        ([1.0, object()], r"value\[1\]: a object cannot be stored"),
    ],
)
def test_what_has_no_place_in_the_format_is_refused_by_name(tmp_path: Path, value: Any, what: str) -> None:
    with pytest.raises(DaisyError, match=what):
        round_trip(tmp_path, value)
    assert list(tmp_path.iterdir()) == []


def test_a_field_that_cannot_be_stored_is_named(tmp_path: Path) -> None:
    with pytest.raises(DaisyError, match=r"value\.several\[0\]\.label: a set cannot be stored"):
        round_trip(tmp_path, Everything(np.zeros((1, 1)), several=(Curve([0], [0], label={1}),)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "provenance", "a\x00b"])
def test_a_name_that_would_be_lost_in_the_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DaisyError, match="cannot be the name of an object"):
        nexus.write(tmp_path / "a.nxs", {name: 1.0})


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    nexus.write(tmp_path / "a.nxs", {"old": 1.0})
    with pytest.raises(DaisyError):
        nexus.write(tmp_path / "a.nxs", {"new": 2.0, "bad": object()})
    assert nexus.read(tmp_path / "a.nxs") == {"old": 1.0}
    assert [item.name for item in tmp_path.iterdir()] == ["a.nxs"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.nxs"
    nexus.write(path, {"value": np.zeros(1000)})
    stop = threading.Event()

    def write() -> None:
        for index in range(40):
            nexus.write(path, {"value": np.full(1000, index)})
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        value = nexus.read(path)["value"]
        assert value.shape == (1000,)
        assert (value == value[0]).all()
    writer.join()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DaisyError, match=r"cannot write .*nowhere/a\.nxs"):
        nexus.write(tmp_path / "nowhere" / "a.nxs", {"a": 1.0})


def test_a_missing_damaged_or_foreign_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file: .*gone\.nxs"):
        nexus.read(tmp_path / "gone.nxs")
    (tmp_path / "text.nxs").write_text("not HDF5")
    with pytest.raises(InputError, match=r"text\.nxs is not a readable HDF5 file"):
        nexus.read(tmp_path / "text.nxs")
    with h5py.File(tmp_path / "foreign.nxs", "w") as handle:
        handle["entry/data"] = 1
    with pytest.raises(InputError, match=r"foreign\.nxs was not written by Daisy Suite; name the dataset"):
        nexus.read(tmp_path / "foreign.nxs")
    nexus.write(tmp_path / "bare.nxs", {"a": 1.0})
    with pytest.raises(InputError, match=r"bare\.nxs has no provenance record"):
        nexus.read_provenance(tmp_path / "bare.nxs")


def test_a_cut_file_is_said(tmp_path: Path) -> None:
    nexus.write(tmp_path / "a.nxs", {"report": Report(CURVE, Recipe()), "big": np.arange(5000.0)})
    whole = (tmp_path / "a.nxs").read_bytes()
    for length in range(0, len(whole), 997):
        (tmp_path / "cut.nxs").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.nxs"):
            nexus.read(tmp_path / "cut.nxs")


def test_a_data_type_of_an_app_that_is_not_there_is_said(tmp_path: Path) -> None:
    nexus.write(tmp_path / "a.nxs", {"curve": CURVE})
    with h5py.File(tmp_path / "a.nxs", "a") as handle:
        handle["entry/curve"].attrs["daisy_type"] = "nowhere.Thing"
    with pytest.raises(DaisyError, match=r"'nowhere\.Thing' is not declared by any installed app"):
        nexus.read(tmp_path / "a.nxs")


def test_a_file_that_somebody_edited_is_said_or_read(tmp_path: Path) -> None:
    def without_json(handle: Any) -> None:
        handle["entry/report/recipe"][()] = b"{"

    def without_list_item(handle: Any) -> None:
        del handle["entry/list/0"]

    def with_a_plain_group(handle: Any) -> None:
        handle.create_group("entry/extra")

    def without_entry(handle: Any) -> None:
        del handle["entry"]

    for change in (without_json, without_list_item, with_a_plain_group, without_entry):
        nexus.write(tmp_path / "a.nxs", {"report": Report(CURVE, Recipe()), "list": [CURVE, CURVE]})
        with h5py.File(tmp_path / "a.nxs", "a") as handle:
            change(handle)
        with pytest.raises(InputError, match=r"a\.nxs"):
            nexus.read(tmp_path / "a.nxs")
