"""A DataStore is an explicit set of named objects that are handed out read-only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from core.kernel_lab import Curve, Recipe, Report, frames, profile, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from daisy_core import DaisyError
from daisy_core.store import DataStore


def test_two_stores_know_nothing_of_each_other() -> None:
    first, second = DataStore(), DataStore()
    first["a"] = 1.0
    assert "a" not in second
    assert dict(first) == {"a": 1.0}


def test_objects_are_handed_out_read_only_and_the_callers_flag_stays() -> None:
    mine = np.zeros(3)
    store = DataStore({"mine": mine, "curve": profile(frames()[0])})
    with pytest.raises(ValueError, match="read-only"):
        store["mine"][0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        store["curve"].y[0] = 1.0
    mine[0] = 1.0
    assert mine.flags.writeable


def test_a_large_object_is_not_copied() -> None:
    mine = np.zeros(3)
    assert np.shares_memory(DataStore({"mine": mine})["mine"], mine)


def test_the_store_knows_type_shape_unit_size_and_origin() -> None:
    store = DataStore()
    store.put("curve", Curve(np.zeros(5), np.zeros(5)), origin="scan.tif")
    store["image"] = np.zeros((2, 3), dtype=np.uint16)
    store["list"] = [np.zeros(2), np.zeros(3)]
    store["number"] = 2.0
    entry = store.entry("curve")
    assert (entry.name, entry.type, entry.shape, entry.unit, entry.nbytes, entry.origin) == (
        "curve", "core.Curve", "5", "counts", 80, "scan.tif",
    )  # fmt: skip
    assert (store.entry("image").shape, store.entry("image").nbytes) == ("2 x 3", 12)
    assert (store.entry("list").shape, store.entry("list").nbytes) == ("2", 40)
    assert store.entry("number").shape == ""
    assert store.nbytes == 132
    assert [item.name for item in store.entries()] == ["curve", "image", "list", "number"]


def test_objects_are_renamed_replaced_and_deleted() -> None:
    store = DataStore({"a": 1.0, "b": 2.0})
    store.put("a", 3.0, origin="again")
    store.rename("a", "c")
    assert dict(store) == {"b": 2.0, "c": 3.0}
    assert store.entry("c").origin == "again"
    with pytest.raises(DaisyError, match="already has an object 'b'"):
        store.rename("c", "b")
    del store["b"]
    assert list(store) == ["c"]
    assert len(store) == 1


def test_a_misspelt_name_is_said_with_a_near_one() -> None:
    store = DataStore({"pattern": 1.0})
    with pytest.raises(KeyError, match="no object 'patern' in the store; did you mean 'pattern'"):
        store["patern"]
    with pytest.raises(KeyError, match="no object 'patern'"):
        del store["patern"]


@pytest.mark.parametrize("name", ["", "a/b", "a::b", ".", "provenance"])
def test_a_name_that_could_not_be_saved_or_addressed_is_refused(name: str) -> None:
    with pytest.raises(DaisyError, match="cannot be the name of an object"):
        DataStore()[name] = 1.0


def test_a_store_is_saved_and_loaded_with_its_provenance(tmp_path: Path) -> None:
    from daisy_core import nexus

    store = DataStore({"report": Report(profile(frames()[0]), Recipe()), "image": frames()[0], "text": "a"})
    store.save(tmp_path / "a.nxs", provenance={"by": "me"})
    again = DataStore.load(tmp_path / "a.nxs")
    assert list(again) == list(store)
    assert all(same(again[name], store[name]) for name in store)
    assert again.entry("image").origin == str(tmp_path / "a.nxs")
    assert nexus.read_provenance(tmp_path / "a.nxs") == {"by": "me"}
    store.save(tmp_path / "b.nxs", ["text"])
    assert dict(DataStore.load(tmp_path / "b.nxs")) == {"text": "a"}
    with pytest.raises(KeyError, match="no object 'nothing'"):
        store.save(tmp_path / "c.nxs", ["nothing"])
    assert not (tmp_path / "c.nxs").exists()


names = st.text(st.characters(codec="utf-8", exclude_characters="/\x00"), min_size=1, max_size=12).filter(
    lambda name: "::" not in name and name not in (".", "..", "provenance")
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    objects=st.dictionaries(
        names, npst.arrays(np.float32, npst.array_shapes(max_dims=2)) | st.floats() | st.text(), max_size=12
    )
)
def test_any_names_and_objects_survive_a_file(tmp_path: Path, objects: dict[str, object]) -> None:
    store = DataStore(objects)
    again = DataStore.load(store.save(tmp_path / "a.nxs"))
    assert list(again) == list(objects)
    assert all(same(again[name], value) for name, value in objects.items())


def test_the_store_shows_itself() -> None:
    store = DataStore({"image<b>": np.zeros((2, 3))})
    assert repr(store) == "DataStore(image<b>: ndarray 2 x 3)"
    assert "image&lt;b&gt;" in store._repr_html_()
