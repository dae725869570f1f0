"""Detector images and masks are read as they are, whatever the format, or refused with the reason."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest

from daisy_core import Frame, InputError, ParameterError, algorithm
from daisy_core.io import read_frame, read_mask

fabio = pytest.importorskip("fabio")

RANDOM = np.random.default_rng(0).integers(0, 2**15, (60, 50)).astype(np.int32)
IMAGE = (np.arange(60 * 50).reshape(60, 50) % 4000 - 2).astype(np.int32)


def _edf(path: Path, *frames: np.ndarray) -> Path:
    file = fabio.edfimage.EdfImage(data=frames[0])
    for frame in frames[1:]:
        file.append_frame(data=frame)
    file.write(str(path))
    return path


def _hdf5(path: Path, **datasets: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file.create_dataset(name.replace("__", "/"), data=values)
    return path


def _written(folder: Path, suffix: str) -> Path:
    file = folder / f"a.{suffix}"
    if suffix == "npy":
        np.save(file, RANDOM)
    elif suffix == "h5":
        _hdf5(file, data=RANDOM)
    else:
        kind = {"tif": fabio.tifimage.TifImage, "edf": fabio.edfimage.EdfImage, "cbf": fabio.cbfimage.CbfImage}[suffix]
        kind(data=RANDOM).write(str(file))
    return file


def _cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


class TestFormats:
    def test_edf(self, tmp_path):
        assert np.array_equal(read_frame(_edf(tmp_path / "a.edf", IMAGE)), IMAGE)

    def test_cbf(self, tmp_path):
        fabio.cbfimage.CbfImage(data=IMAGE).write(str(tmp_path / "a.cbf"))
        image = read_frame(tmp_path / "a.cbf")
        assert np.array_equal(image, IMAGE)
        assert image.min() == -2

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32])
    def test_tiff_keeps_its_dtype(self, tmp_path, dtype):
        values = np.abs(IMAGE).astype(dtype)
        fabio.tifimage.TifImage(data=values).write(str(tmp_path / "a.tif"))
        image = read_frame(tmp_path / "a.tif")
        assert image.dtype == dtype
        assert np.array_equal(image, values)

    def test_numpy(self, tmp_path):
        np.save(tmp_path / "a.npy", IMAGE.astype(">i4"))
        image = read_frame(tmp_path / "a.npy")
        assert np.array_equal(image, IMAGE)
        assert image.dtype.isnative

    def test_the_content_decides_not_the_suffix(self, tmp_path):
        np.save(tmp_path / "a.npy", IMAGE)
        (tmp_path / "a.npy").rename(tmp_path / "a.tif")
        assert np.array_equal(read_frame(tmp_path / "a.tif"), IMAGE)

    def test_real_pilatus_tiff_keeps_its_gaps(self, shared_data):
        image = read_frame(shared_data / "pdf/ceo2_pilatus/CeO2_Pilatus1M.tif")
        assert image.shape == (1043, 981)
        assert image.dtype == np.int32
        assert set(np.unique(image[image < 0])) == {-1, -2}


class TestHdf5:
    def test_a_dataset_by_path_or_by_option(self, tmp_path):
        file = _hdf5(tmp_path / "a.h5", entry__data=IMAGE, entry__dark=IMAGE * 0)
        assert np.array_equal(read_frame(Path(f"{file}::/entry/data")), IMAGE)
        assert np.array_equal(read_frame(file, dataset="entry/data"), IMAGE)

    def test_the_only_image_needs_no_name(self, tmp_path):
        file = _hdf5(tmp_path / "a.h5", deep__inside__image=IMAGE, spectrum=np.arange(9.0))
        assert np.array_equal(read_frame(file), IMAGE)

    def test_nexus_says_which_data_it_shows(self, tmp_path):
        file = _hdf5(tmp_path / "a.nxs", entry__plot__counts=IMAGE, entry__other=IMAGE * 2)
        with h5py.File(file, "a") as handle:
            handle.attrs["default"] = "entry"
            handle["entry"].attrs["default"] = "plot"
            handle["entry/plot"].attrs["signal"] = "counts"
        assert np.array_equal(read_frame(file), IMAGE)
        assert np.array_equal(read_frame(file, dataset="/entry/plot"), IMAGE)

    def test_several_images_are_listed(self, tmp_path):
        file = _hdf5(tmp_path / "a.h5", entry__data=IMAGE, entry__dark=IMAGE)
        with pytest.raises(InputError, match=r"2 image datasets.*'dataset': /entry/dark, /entry/data"):
            read_frame(file)

    def test_a_wrong_name_lists_the_images(self, tmp_path):
        file = _hdf5(tmp_path / "a.h5", entry__data=IMAGE)
        with pytest.raises(InputError, match=r"a\.h5: has no dataset 'entry/dta'; its images are /entry/data"):
            read_frame(file, dataset="entry/dta")

    def test_a_group_is_no_image(self, tmp_path):
        file = _hdf5(tmp_path / "a.h5", entry__data=IMAGE)
        with pytest.raises(InputError, match="'entry' is a group"):
            read_frame(file, dataset="entry")

    def test_no_image_inside(self, tmp_path):
        with pytest.raises(InputError, match="has no image dataset"):
            read_frame(_hdf5(tmp_path / "a.h5", spectrum=np.arange(9.0)))

    def test_a_dataset_name_is_for_hdf5_only(self, tmp_path):
        np.save(tmp_path / "a.npy", IMAGE)
        with pytest.raises(ParameterError, match="not an HDF5 file"):
            read_frame(tmp_path / "a.npy", dataset="entry/data")


class TestSeveralFrames:
    def test_none_is_taken_silently(self, tmp_path):
        with pytest.raises(InputError, match=r"m\.edf: has 3 images; say which with 'frame' \(0 to 2\)"):
            read_frame(_edf(tmp_path / "m.edf", IMAGE, IMAGE + 1, IMAGE + 2))

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_by_number(self, tmp_path, number):
        stack = np.stack([IMAGE, IMAGE + 1, IMAGE + 2])
        np.save(tmp_path / "m.npy", stack)
        for file in (
            _edf(tmp_path / "m.edf", *stack),
            _hdf5(tmp_path / "m.h5", data=stack),
            tmp_path / "m.npy",
        ):
            assert np.array_equal(read_frame(file, frame=number), stack[number]), file

    def test_out_of_range(self, tmp_path):
        with pytest.raises(InputError, match=r"has 1 image, so 'frame' cannot be 1"):
            read_frame(_edf(tmp_path / "a.edf", IMAGE), frame=1)

    def test_a_stack_of_one_is_one_image(self, tmp_path):
        np.save(tmp_path / "a.npy", IMAGE[None])
        assert np.array_equal(read_frame(tmp_path / "a.npy"), IMAGE)


class TestOrientation:
    @pytest.mark.parametrize(
        ("flip", "expected"),
        [
            ("none", IMAGE),
            ("vertical", IMAGE[::-1]),
            ("horizontal", IMAGE[:, ::-1]),
            ("both", IMAGE[::-1, ::-1]),
        ],
    )
    def test_flip(self, tmp_path, flip, expected):
        np.save(tmp_path / "a.npy", IMAGE)
        image = read_frame(tmp_path / "a.npy", flip=flip)
        assert np.array_equal(image, expected)
        assert image.flags.c_contiguous
        assert np.array_equal(read_frame(tmp_path / "a.npy", flip=flip, transpose=True), _transposed_then(flip))

    def test_a_mask_turns_like_its_image(self, tmp_path):
        np.save(tmp_path / "a.npy", IMAGE)
        image = read_frame(tmp_path / "a.npy", flip="vertical", transpose=True)
        mask = read_mask(tmp_path / "a.npy", flip="vertical", transpose=True)
        assert np.array_equal(mask, image != 0)


def _transposed_then(flip: str) -> np.ndarray:
    turns = {"none": (1, 1), "vertical": (-1, 1), "horizontal": (1, -1), "both": (-1, -1)}
    up, right = turns[flip]
    return IMAGE.T[::up, ::right]


class TestMask:
    def test_what_is_not_zero_is_masked(self, tmp_path):
        np.save(tmp_path / "m.npy", np.array([[0, 1, -1], [255, 0, 0]]))
        mask = read_mask(tmp_path / "m.npy")
        assert mask.dtype == bool
        assert mask.tolist() == [[False, True, True], [True, False, False]]

    def test_tiff_mask(self, tmp_path):
        values = (IMAGE > 100).astype(np.uint8) * 255
        fabio.tifimage.TifImage(data=values).write(str(tmp_path / "m.tif"))
        assert np.array_equal(read_mask(tmp_path / "m.tif"), values > 0)

    def test_boolean_hdf5_mask(self, tmp_path):
        assert np.array_equal(read_mask(_hdf5(tmp_path / "m.h5", mask=IMAGE > 5)), IMAGE > 5)


class TestBadFiles:
    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match=r"nothing\.tif"):
            read_frame(tmp_path / "nothing.tif")

    def test_folder(self, tmp_path):
        with pytest.raises(InputError, match="is a folder"):
            read_frame(tmp_path)

    def test_empty(self, tmp_path):
        (tmp_path / "a.tif").touch()
        with pytest.raises(InputError, match=r"a\.tif: the file is empty"):
            read_frame(tmp_path / "a.tif")

    @pytest.mark.parametrize("suffix", ["tif", "cbf", "edf", "npy", "h5", "txt"])
    def test_not_an_image(self, tmp_path, suffix):
        file = tmp_path / f"a.{suffix}"
        file.write_text("this is no image, whatever it is called\n" * 40)
        with pytest.raises(InputError, match=rf"a\.{suffix}: .*(damaged|known format)"):
            read_frame(file)

    @pytest.mark.parametrize("share", [0.3, 0.6])
    @pytest.mark.parametrize("suffix", ["tif", "edf", "cbf", "npy", "h5"])
    def test_cut_short(self, tmp_path, suffix, share):
        file = _written(tmp_path, suffix)
        with pytest.raises(InputError, match=rf"a\.{suffix}.*(damaged|cut short)"):
            read_frame(_cut(file, share))

    @pytest.mark.parametrize("suffix", ["tif", "edf", "cbf", "npy", "h5"])
    def test_a_cut_file_never_gives_wrong_pixels(self, tmp_path, suffix):
        whole = _written(tmp_path, suffix).read_bytes()
        for missing in (1, 50, 700, 3000, 5000):
            (tmp_path / f"a.{suffix}").write_bytes(whole[:-missing])
            try:
                image = read_frame(tmp_path / f"a.{suffix}")
            except InputError:
                continue
            assert np.array_equal(image, RANDOM)  # only padding was lost

    def test_a_changed_cbf_is_noticed_by_its_checksum(self, tmp_path):
        file = tmp_path / "a.cbf"
        fabio.cbfimage.CbfImage(data=IMAGE).write(str(file))
        content = bytearray(file.read_bytes())
        content[-1000] ^= 0xFF
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.cbf"):
            read_frame(file)

    def test_a_colour_picture(self, tmp_path):
        image = pytest.importorskip("PIL.Image")
        image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "photo.tif")
        with pytest.raises(InputError, match=r"photo\.tif: an image has two axes .* \(20, 30, 3\)"):
            read_frame(tmp_path / "photo.tif")

    @pytest.mark.parametrize("shape", [(5,), (2, 3, 4, 5)])
    def test_wrong_number_of_axes(self, tmp_path, shape):
        np.save(tmp_path / "a.npy", np.zeros(shape))
        with pytest.raises(InputError, match=r"a\.npy: an image has two axes"):
            read_frame(tmp_path / "a.npy")

    @pytest.mark.parametrize("values", [np.zeros((3, 3), complex), np.full((3, 3), "a")])
    def test_no_real_numbers(self, tmp_path, values):
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(InputError, match="not an image of numbers"):
            read_frame(tmp_path / "a.npy")

    def test_pickles_are_not_loaded(self, tmp_path):
        np.save(tmp_path / "a.npy", np.array([[{}]]), allow_pickle=True)
        with pytest.raises(InputError, match=r"a\.npy"):
            read_frame(tmp_path / "a.npy")

    def test_reading_leaves_fabios_logger_as_it_was(self, tmp_path):
        before = list(logging.getLogger("fabio").handlers)
        read_frame(_edf(tmp_path / "a.edf", IMAGE))
        assert logging.getLogger("fabio").handlers == before


@algorithm(version="1", name="test.total_counts")
def total_counts(image: Frame) -> int:
    """Sum an image."""
    return int(image.sum())


def test_an_image_port_accepts_a_path(tmp_path):
    assert total_counts(_edf(tmp_path / "a.edf", IMAGE)) == IMAGE.sum()
