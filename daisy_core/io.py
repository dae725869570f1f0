"""Readers of detector images and masks: TIFF, EDF, CBF, MarCCD (fabio), HDF5 (h5py) and NumPy files."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from .algorithm import algorithm
from .errors import InputError, ParameterError
from .markers import File, Frame, Mask, Param

Flip = Literal["none", "vertical", "horizontal", "both"]
Image = NDArray[Any]

_DATASET = Param(
    "Dataset", help="HDF5 path of the image, where the file has several; file.h5::/entry/data says the same"
)
_FRAME = Param("Frame number", help="Which image of a file with several, counted from 0", ge=0)
_FLIP = Param("Flip", help="Turn the image upside down (vertical), left to right (horizontal), or both")
_TRANSPOSE = Param("Transpose", help="Exchange rows and columns, before any flip")

# What fabio only logs, and then fills the missing pixels with zeros.
_DAMAGE = ("incomplete", "truncated", "mismatch")


@algorithm(version="1", reads=Frame)
def read_frame(
    path: File,
    *,
    dataset: Annotated[str, _DATASET] = "",
    frame: Annotated[int | None, _FRAME] = None,
    flip: Annotated[Flip, _FLIP] = "none",
    transpose: Annotated[bool, _TRANSPOSE] = False,
) -> Frame:
    """Read one detector image.

    The format is found by the content of the file: HDF5, NumPy ``.npy``, or anything that fabio knows (TIFF, EDF, CBF,
    MarCCD, ...). The numbers are not changed: gaps stay negative and the dtype stays that of the file.

    Parameters
    ----------
    path : Path
        The file; ``file.h5::/entry/data`` names a dataset of an HDF5 file.
    dataset : str, default ""
        HDF5 path of the image. Not needed when the file says which data it shows (NXdata) or has a single image dataset.
    frame : int, optional
        Number of the image, from 0. Needed when the file has several: none is taken silently.
    flip : {"none", "vertical", "horizontal", "both"}, default "none"
        ``vertical`` reverses the rows, ``horizontal`` the columns.
    transpose : bool, default False
        Exchange rows and columns; done before the flip.

    Returns
    -------
    ndarray, shape (y, x)
        The image, C-contiguous, in the dtype of the file.

    Raises
    ------
    InputError
        If the file is missing, damaged, not an image, or does not say which of several images is meant.

    Examples
    --------
    >>> image = read_frame("CeO2.tif", flip="vertical")  # doctest: +SKIP
    """
    return _oriented(_read(Path(path), dataset, frame), flip, transpose)


@algorithm(version="1", reads=Mask)
def read_mask(
    path: File,
    *,
    dataset: Annotated[str, _DATASET] = "",
    frame: Annotated[int | None, _FRAME] = None,
    flip: Annotated[Flip, _FLIP] = "none",
    transpose: Annotated[bool, _TRANSPOSE] = False,
) -> Mask:
    """Read a mask: every pixel that is not zero is left out.

    Reads the formats of :func:`read_frame`, with the same options.

    Parameters
    ----------
    path : Path
        The file.
    dataset, frame, flip, transpose
        As in :func:`read_frame`.

    Returns
    -------
    ndarray of bool, shape (y, x)
        True where the pixel is masked.

    Raises
    ------
    InputError
        As :func:`read_frame`.
    """
    return _oriented(_read(Path(path), dataset, frame) != 0, flip, transpose)


def _oriented(image: Image, flip: Flip, transpose: bool) -> Image:
    if transpose:
        image = image.T
    if flip in ("vertical", "both"):
        image = image[::-1]
    if flip in ("horizontal", "both"):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _read(path: Path, dataset: str, frame: int | None) -> Image:
    """Read one image by the reader that the first bytes of the file call for."""
    if "::" in str(path):
        name, _, inside = str(path).partition("::")
        path, dataset = Path(name), dataset or inside
    magic = _first_bytes(path)
    try:
        if magic.startswith(b"\x89HDF"):
            image = _read_hdf5(path, dataset, frame)
        elif dataset:
            raise ParameterError(
                f"{path}: 'dataset' = '{dataset}' was given, but this is not an HDF5 file; leave it out"
            )
        elif magic.startswith(b"\x93NUMPY"):
            image = _one_of(path, np.load(path, mmap_mode="r", allow_pickle=False), frame)
        else:
            image = _read_fabio(path, frame)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(
            f"{path}: cannot be read as an image, the file may be damaged or cut short ({error})"
        ) from error
    if image.dtype.kind not in "biuf":
        raise InputError(f"{path}: holds values of type {image.dtype}, not an image of numbers")
    return image.astype(image.dtype.newbyteorder("="), copy=False)


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"{path}: is a folder, an image file is needed")
    try:
        with path.open("rb") as file:
            magic = file.read(8)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    if not magic:
        raise InputError(f"{path}: the file is empty")
    return magic


def _one_of(path: Path, stack: Any, frame: int | None) -> Image:
    """Take the image out of an array or HDF5 dataset with axes (y, x) or (frame, y, x), reading no more than that."""
    shape = tuple(int(n) for n in stack.shape)
    if len(shape) == 2:
        _check_frame(path, frame, 1)
        image = stack[...]
    elif len(shape) == 3:
        image = stack[_check_frame(path, frame, shape[0])]
    else:
        raise InputError(
            f"{path}: an image has two axes (y, x), or three with frames first; this has the shape {shape}"
        )
    if not image.size:
        raise InputError(f"{path}: the image is empty, its shape is {shape}")
    return np.array(image)


def _check_frame(path: Path, frame: int | None, count: int) -> int:
    if frame is None and count != 1:
        raise InputError(
            f"{path}: has {count} images; say which with 'frame' (0 to {count - 1}), or reduce them all with .map"
        )
    if frame is not None and frame >= count:
        raise InputError(
            f"{path}: has {count} image{'s' * (count != 1)}, so 'frame' cannot be {frame} (counted from 0)"
        )
    return frame or 0


def _read_fabio(path: Path, frame: int | None) -> Image:
    try:
        import fabio
    except ImportError:
        raise InputError(f'{path}: reading this format needs fabio: pip install "daisy-suite[pdf]"') from None
    with _fabio_messages() as messages:
        try:
            with fabio.open(str(path)) as file:
                number = _check_frame(path, frame, int(file.nframes))
                data = cast("Any", file.get_frame(number) if number else file).data
        except InputError:
            raise
        except Exception as error:  # fabio raises whatever its parsers meet, AssertionError and AttributeError included
            said = "; ".join(messages) or str(error) or type(error).__name__
            raise InputError(f"{path}: not an image of a known format, or damaged or cut short ({said})") from error
    damage = [message for message in messages if any(word in message for word in _DAMAGE)]
    if data is None or damage:
        raise InputError(
            f"{path}: the file is damaged or cut short ({'; '.join(damage) or 'no pixels'}); copy it again"
        )
    if data.ndim != 2:
        raise InputError(
            f"{path}: an image has two axes (y, x), this has the shape {data.shape}: a colour picture is no detector image"
        )
    return np.array(data)


@contextmanager
def _fabio_messages() -> Generator[list[str]]:
    """Collect what fabio logs in this thread: of a cut EDF or a wrong CBF checksum it says no more than that."""
    messages: list[str] = []
    thread = threading.get_ident()

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                messages.append(record.getMessage())

    handler, logger = Collect(logging.WARNING), logging.getLogger("fabio")
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


def _read_hdf5(path: Path, dataset: str, frame: int | None) -> Image:
    import importlib.util

    import h5py

    if importlib.util.find_spec("hdf5plugin"):
        __import__("hdf5plugin")  # registers the compression filters of detector files
    with h5py.File(path, "r") as file:
        found = cast("Any", file.get(dataset) if dataset else _only_image(path, file))
        if found is None:
            raise InputError(f"{path}: has no dataset '{dataset}'; its images are {_listed(_images(file))}")
        if not isinstance(found, h5py.Dataset):
            found = _default_signal(found)
        if not isinstance(found, h5py.Dataset):
            raise InputError(f"{path}: '{dataset}' is a group, not a dataset; its images are {_listed(_images(file))}")
        try:
            return _one_of(path, found, frame)
        except OSError as error:
            hint = (
                "its compression needs hdf5plugin: pip install hdf5plugin"
                if "filter" in str(error)
                else "the file may be damaged"
            )
            raise InputError(f"{path}::{found.name}: cannot be read; {hint} ({error})") from error


def _default_signal(group: Any) -> Any:
    """Follow the NeXus path of ``default`` and ``signal`` attributes from a group, or return None."""
    node = group
    for _ in range(4):
        name = node.attrs.get("signal", node.attrs.get("default")) if hasattr(node, "keys") else None
        if name is None:
            break
        node = node.get(name.decode() if isinstance(name, bytes) else str(name))
    return None if node is None or hasattr(node, "keys") else node


def _images(file: Any) -> list[str]:
    """Return the names of all datasets that could be images: two or three axes of numbers, more than one row and column."""
    names: list[str] = []

    def visit(name: str, node: Any) -> None:
        shape = getattr(node, "shape", ())
        if len(shape) in (2, 3) and min(shape[-2:]) > 1 and node.dtype.kind in "biuf":
            names.append(f"/{name}")

    file.visititems(visit)
    return names


def _only_image(path: Path, file: Any) -> Any:
    signal = _default_signal(file)
    if signal is not None and len(signal.shape) in (2, 3):
        return signal
    names = _images(file)
    if len(names) != 1:
        what = (
            f"has {len(names)} image datasets; say which with 'dataset': {_listed(names)}"
            if names
            else "has no image dataset"
        )
        raise InputError(f"{path}: {what}")
    return file[names[0]]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "none"
