"""Which files a page may open."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from daisy_core import InputError
from shared_ui.roots import allowed_roots, check_links, file_key, files, guarded, natural_order, subfolders


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a file and a folder, beside things that are nobody's business."""
    inside = tmp_path / "data"
    (inside / "sub").mkdir(parents=True)
    (inside / "Ni.chi").write_text("1 2\n")
    (inside / "sub" / "deep.chi").write_text("1 2\n")
    (tmp_path / "secret.chi").write_text("secret\n")
    (tmp_path / "data-private").mkdir()
    (tmp_path / "data-private" / "x.chi").write_text("secret\n")
    return inside.resolve()


@pytest.mark.parametrize("typed", ["Ni.chi", "./Ni.chi", "sub/../Ni.chi", "sub/deep.chi"])
def test_files_under_the_root_may_be_opened(root: Path, typed: str) -> None:
    assert guarded(typed, [root]).is_file()


def test_an_absolute_path_under_the_root_may_be_opened(root: Path) -> None:
    assert guarded(root / "Ni.chi", [root]) == root / "Ni.chi"


@pytest.mark.parametrize(
    "typed",
    ["../secret.chi", "sub/../../secret.chi", "/etc/passwd", "../data-private/x.chi", "..", "/", "~root", "~/x"],
)
def test_paths_that_lead_outside_are_refused(root: Path, typed: str) -> None:
    with pytest.raises(InputError, match=r"outside the folders|cannot be used as a path"):
        guarded(typed, [root])


def test_a_name_with_two_dots_is_no_parent(root: Path) -> None:
    (root / "run..1.chi").write_text("1 2\n")
    assert guarded("run..1.chi", [root]).name == "run..1.chi"


def test_links_out_of_the_root_are_refused_and_not_offered(root: Path) -> None:
    (root / "link.chi").symlink_to(root.parent / "secret.chi")
    (root / "folder").symlink_to(root.parent / "data-private")
    for typed in ("link.chi", "folder", "folder/x.chi"):
        with pytest.raises(InputError, match="outside"):
            guarded(typed, [root])
    assert [path.name for path in files(root, ["*.chi"], [root])] == ["Ni.chi"]
    assert [path.name for path in subfolders(root, [root])] == ["sub"]


def test_links_within_the_root_are_followed(root: Path) -> None:
    (root / "link.chi").symlink_to(root / "sub" / "deep.chi")
    assert guarded("link.chi", [root]) == root / "sub" / "deep.chi"
    assert {path.name for path in files(root, ["*.chi"], [root])} == {"Ni.chi", "link.chi"}


def test_outside_nothing_is_told_of_what_exists(root: Path) -> None:
    messages = []
    for typed in ("../secret.chi", "../nothing.chi"):
        with pytest.raises(InputError) as error:
            guarded(typed, [root])
        messages.append(str(error.value).replace(typed, ""))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("typed", ["a\0b", "x" * 5000])
def test_text_that_is_no_path_is_refused(root: Path, typed: str) -> None:
    with pytest.raises(InputError):
        guarded(typed, [root])


def test_a_missing_file_is_named(root: Path) -> None:
    with pytest.raises(InputError, match=r"no such file: Cu\.chi"):
        guarded("Cu.chi", [root])


def test_relative_paths_start_from_the_chosen_folder(root: Path) -> None:
    assert guarded("deep.chi", [root], base=root / "sub").name == "deep.chi"


def test_roots_come_from_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAISY_UI_ROOTS", os.pathsep.join([str(root), str(root / "sub"), str(root)]))
    assert allowed_roots() == (root, root / "sub")


def test_without_roots_it_is_the_working_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAISY_UI_ROOTS", raising=False)
    monkeypatch.chdir(root)
    assert allowed_roots() == (root,)


def test_scans_are_listed_in_their_order(root: Path) -> None:
    names = ["scan_10.xy", "scan_9.xy", "Scan_1.xy"]
    assert [path.name for path in sorted(map(Path, names), key=natural_order)] == [
        "Scan_1.xy",
        "scan_9.xy",
        "scan_10.xy",
    ]


def test_hidden_files_are_not_offered(root: Path) -> None:
    (root / ".hidden.chi").write_text("1 2\n")
    assert [path.name for path in files(root, ["*.CHI"], [root])] == ["Ni.chi"]


def test_a_file_that_is_written_again_has_another_key(root: Path) -> None:
    path = root / "Ni.chi"
    before = file_key(path)
    assert file_key(path) == before
    path.write_text("1 2 3\n")
    os.utime(path, ns=(before.mtime, before.mtime))
    assert file_key(path) != before


def test_hdf5_files_that_lead_outside_are_refused(root: Path) -> None:
    with h5py.File(root.parent / "outside.h5", "w") as handle:
        handle["x"] = np.zeros((4, 4))
    for name, link in (("relative.h5", "../outside.h5"), ("absolute.h5", str(root.parent / "outside.h5"))):
        with h5py.File(root / name, "w") as handle:
            handle["group/x"] = h5py.ExternalLink(link, "/x")
        with pytest.raises(InputError, match="leads to"):
            check_links(root / name, [root])


def test_virtual_and_external_data_sets_are_links_too(root: Path) -> None:
    with h5py.File(root.parent / "outside.h5", "w") as handle:
        handle["x"] = np.zeros((4, 4))
    layout = h5py.VirtualLayout((4, 4), float)
    layout[:] = h5py.VirtualSource(str(root.parent / "outside.h5"), "x", (4, 4))
    with h5py.File(root / "virtual.h5", "w") as handle:
        handle.create_virtual_dataset("x", layout)
    with h5py.File(root / "external.h5", "w") as handle:
        handle.create_dataset("x", (4,), "u1", external=[(str(root.parent / "secret.chi"), 0, 4)])
    for name in ("virtual.h5", "external.h5"):
        with pytest.raises(InputError, match="leads to"):
            check_links(root / name, [root])


def test_a_chain_of_links_is_followed_to_its_end(root: Path) -> None:
    with h5py.File(root / "second.h5", "w") as handle:
        handle["x"] = h5py.ExternalLink("../outside.h5", "/x")
    with h5py.File(root / "first.h5", "w") as handle:
        handle["x"] = h5py.ExternalLink("second.h5", "/x")
    with pytest.raises(InputError, match="leads to"):
        check_links(root / "first.h5", [root])


def test_hdf5_files_with_links_inside_the_root_are_fine(root: Path) -> None:
    with h5py.File(root / "data_1.h5", "w") as handle:
        handle["x"] = np.zeros((4, 4))
    with h5py.File(root / "master.h5", "w") as handle:
        handle["entry/x"] = h5py.ExternalLink("data_1.h5", "/x")
        handle["loop"] = h5py.ExternalLink("master.h5", "/entry")
    check_links(root / "master.h5", [root])
    check_links(root / "Ni.chi", [root])


def _outside(root: Path) -> Path:
    with h5py.File(root.parent / "outside.h5", "w") as handle:
        handle["x"] = np.zeros((4, 4))
    return root.parent / "outside.h5"


def test_a_user_block_does_not_hide_links(root: Path) -> None:
    with h5py.File(root / "block.h5", "w", userblock_size=512) as handle:
        handle["x"] = h5py.ExternalLink(str(_outside(root)), "/x")
    with pytest.raises(InputError, match="leads to"):
        check_links(root / "block.h5", [root])


@pytest.mark.parametrize("kind", ["link", "virtual", "raw"])
def test_relative_names_count_from_the_working_folder_too(
    root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _outside(root)
    monkeypatch.chdir(root.parent)
    with h5py.File(root / "master.h5", "w") as handle:
        if kind == "link":
            handle["x"] = h5py.ExternalLink("outside.h5", "/x")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4, 4), float)
            layout[:] = h5py.VirtualSource("outside.h5", "x", (4, 4))
            handle.create_virtual_dataset("x", layout)
        else:
            handle.create_dataset("x", (4,), "u1", external=[("secret.chi", 0, 4)])
    with pytest.raises(InputError, match="leads to"):
        check_links(root / "master.h5", [root])


def test_an_absolute_name_that_is_gone_counts_by_its_last_part(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _outside(root)
    monkeypatch.chdir(root.parent)
    with h5py.File(root / "master.h5", "w") as handle:
        handle["x"] = h5py.ExternalLink(str(root / "gone" / "outside.h5"), "/x")
    with pytest.raises(InputError, match="leads to"):
        check_links(root / "master.h5", [root])


def test_each_file_of_a_series_of_sources_is_looked_into(root: Path) -> None:
    with h5py.File(root / "part_0.h5", "w") as handle:
        handle["x"] = h5py.ExternalLink(str(_outside(root)), "/x")
    space = h5py.h5s.create_simple((4,), (h5py.h5s.UNLIMITED,))
    space.select_hyperslab((0,), (h5py.h5s.UNLIMITED,), (1,), (1,))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_virtual(space, b"part_%b.h5", b"x", h5py.h5s.create_simple((1,)))
    with h5py.File(root / "master.h5", "w") as handle:
        h5py.h5d.create(handle.id, b"x", h5py.h5t.NATIVE_DOUBLE, space, plist)
    with pytest.raises(InputError, match="leads to"):
        check_links(root / "master.h5", [root])


def test_links_of_a_file_that_is_itself_linked_count_from_both_folders(root: Path) -> None:
    _outside(root)
    with h5py.File(root / "sub" / "real.h5", "w") as handle:
        handle["x"] = h5py.ExternalLink("../outside.h5", "/x")
    (root / "name.h5").symlink_to(root / "sub" / "real.h5")
    with h5py.File(root / "master.h5", "w") as handle:
        handle["x"] = h5py.ExternalLink("name.h5", "/x")
    check_links(root / "sub" / "real.h5", [root])
    with pytest.raises(InputError, match="leads to"):
        check_links(root / "master.h5", [root])


def test_groups_that_contain_themselves_and_deep_ones_are_walked_once(root: Path) -> None:
    with h5py.File(root / "loop.h5", "w") as handle:
        group = handle.create_group("a")
        group["again"] = group
        group["root"] = handle["/"]
        for _ in range(1500):
            group = group.create_group("a")
        group["x"] = 1.0
    check_links(root / "loop.h5", [root])
    with h5py.File(root / "loop.h5", "a") as handle:
        handle["a/out"] = h5py.ExternalLink(str(_outside(root)), "/x")
    with pytest.raises(InputError, match="leads to"):
        check_links(root / "loop.h5", [root])
