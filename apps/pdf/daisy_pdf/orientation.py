"""Which way up is the image? Powder rings are sharpest in the orientation that the geometry was calibrated for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daisy_core import Frame, InputError, Mask, algorithm

from .binning import q_of_pixels
from .data import Geometry

Array = NDArray[Any]

_PIXELS = 250_000  # a sample of the image is enough, and keeps the check far below the cost of the integration
_WINDOW = 31  # bins of the running mean that is taken off: what varies slower is no ring
_CLEAR = 1.5  # how many times sharper another orientation must be before anyone is bothered

_FLIPS = {"none": (1, 1), "vertical": (-1, 1), "horizontal": (1, -1), "both": (-1, -1)}


class OrientationCheck(NamedTuple):
    """The orientation that makes the rings sharpest.

    ``flip`` and ``transpose`` are the options of :func:`daisy_core.io.read_frame` to apply to the image as it is;
    ``gain`` is how many times sharper the rings then are; ``clear`` says whether that is beyond doubt.
    """

    flip: str
    transpose: bool
    gain: float
    clear: bool

    def advice(self) -> str:
        """Return the sentence for the user."""
        turns = ["transposed"] * self.transpose
        turns += {"none": [], "both": ["flipped both ways"]}.get(self.flip, [f"flipped {self.flip}ly"])
        options = ["--image.transpose true"] * self.transpose + [f"--image.flip {self.flip}"] * (self.flip != "none")
        given, what = " ".join(options), "the flip" if self.flip != "none" else "transposing"
        background = f" (backgrounds alike: {given.replace('--image.', '--backgrounds.')})"
        times = f"{self.gain:.2g}x" if self.gain < 99 else "more than 99x"
        return (
            f"rings are {times} sharper if the image is {' and '.join(turns)}: the geometry may be for that orientation; "
            f"read the image with {given}, or without {what} if it was given one{background}; or calibrate the image as it is"
        )


class _Rings(NamedTuple):
    """Power of the rings in the radial profile, of its noise, and of the scatter along the rings."""

    power: float
    noise: float
    scatter: float


@algorithm(version="1")
def orientation_check(image: Frame, geometry: Geometry, mask: Mask | None = None) -> OrientationCheck:
    """Compare how sharp the powder rings are when the image is flipped (and transposed, if square).

    The sharpness is the rms of the radial profile after its slow part is removed; the profiles of two interleaved halves
    of the pixels are multiplied, so that noise does not count. Orientations that the geometry cannot tell apart, as with
    a beam in the middle of the detector, are never called clear.

    Parameters
    ----------
    image : ndarray, shape (y, x)
        The image as read.
    geometry : Geometry
        The calibration to check it against.
    mask : ndarray, shape (y, x), optional
        Non-zero where a pixel is left out; it is flipped together with the image.

    Returns
    -------
    OrientationCheck
        ``flip``, ``transpose``, ``gain``, ``clear``.

    Raises
    ------
    InputError
        If the mask has another shape than the image.

    Examples
    --------
    >>> orientation_check(image, read_poni("CeO2.poni")).flip  # doctest: +SKIP
    'vertical'
    """
    image = np.asarray(image)
    usable = np.isfinite(image) & (image >= 0)
    if mask is not None:
        if np.shape(mask) != image.shape:
            raise InputError(f"the mask has the shape {np.shape(mask)} but the image {image.shape}; they must agree")
        usable &= np.asarray(mask) == 0
    return check_orientation(image, usable, q_of_pixels(geometry, image.shape))


def check_orientation(image: Array, usable: NDArray[np.bool_], q: Array) -> OrientationCheck:
    """Do the check of :func:`orientation_check` where Q (1/Å) of each pixel and the usable pixels are known."""
    # An odd step admits a sample that is symmetric about the middle, so that one sample serves all orientations.
    step = int(np.sqrt(image.size / _PIXELS)) | 1
    image, usable, q = (_sample(array, step) for array in (image, usable, q))
    count = max(image.shape) * step // 2
    bins = _radial_bins(q, count)
    # The square root makes counting noise equal everywhere, and single bright spots harmless.
    values, valid = np.sqrt(np.where(usable, image, 0).clip(0).astype(float)).ravel(), usable.ravel().astype(float)
    found: dict[tuple[str, bool], _Rings] = {}
    for transpose in (False, True) if image.shape[0] == image.shape[1] else (False,):
        for flip, (up, right) in _FLIPS.items():
            # Turning the bins the other way round is the same as turning the image.
            turned = bins[::up, ::right]
            found[flip, transpose] = _rings(values, valid, (turned.T if transpose else turned).ravel(), count)
    given, highest = found["none", False], max(found.values(), key=lambda rings: rings.power - rings.scatter)
    if highest.power <= 0:
        return OrientationCheck("none", False, 1.0, False)
    # Of orientations that are as good as equal, the one that changes least.
    enough = 0.9 * highest.power - highest.scatter
    turn, best = next((turn, rings) for turn, rings in found.items() if rings.power - rings.scatter >= enough)
    gain = float(np.sqrt(max(best.power, 0) / max(given.power, 1e-4 * best.power, 1e-30)))
    if gain <= 1:
        return OrientationCheck("none", False, 1.0, False)
    # What the profile gains, the scatter along the rings must lose: else the structure is that of the image's edges.
    moved = given.scatter - best.scatter > (best.power - given.power) / 2
    return OrientationCheck(*turn, gain, bool(gain > _CLEAR and best.power > best.noise and moved))


def _sample(array: Array, step: int) -> Array:
    """Return every ``step``-th row and column, the same number of them left out at both ends."""
    for axis in (0, 1):
        length = array.shape[axis]
        kept = (length - 1) // step + 1
        kept -= (length - 1 - step * (kept - 1)) % 2
        first = (length - 1 - step * (kept - 1)) // 2
        array = np.moveaxis(np.moveaxis(array, axis, 0)[first : first + step * (kept - 1) + 1 : step], 0, axis)
    return array


def _radial_bins(q: Array, count: int) -> NDArray[np.intp]:
    """Number each pixel by its Q and by the half it belongs to, like the black and white squares of a board."""
    low, high = q.min(), q.max()
    radial = np.minimum(((q - low) * (count / max(high - low, 1e-9))).astype(np.intp), count - 1)
    rows, columns = np.ogrid[: q.shape[0], : q.shape[1]]
    return 2 * radial + (rows + columns) % 2


def _rings(values: Array, valid: Array, bins: NDArray[np.intp], count: int) -> _Rings:
    """Measure the rings in one orientation; values are zero where they are not valid."""
    pixels = np.bincount(bins, valid, 2 * count).reshape(count, 2)
    sums = np.bincount(bins, values, 2 * count).reshape(count, 2)
    full = (pixels >= 4).all(axis=1)
    if np.count_nonzero(full) < _WINDOW:
        return _Rings(0.0, 0.0, 0.0)
    halves = sums[full] / pixels[full]
    window = np.ones(_WINDOW)
    norm = np.convolve(np.ones(len(halves)), window, "same")
    sharp = halves - np.stack([np.convolve(half, window, "same") / norm for half in halves.T], axis=1)
    weight = pixels[full].sum(axis=1) / pixels[full].sum()
    power = weight @ (sharp[:, 0] * sharp[:, 1])
    noise = weight @ (sharp[:, 0] - sharp[:, 1]) ** 2 / 4
    scatter = (values @ values - (sums**2 / np.maximum(pixels, 1)).sum()) / valid.sum()
    return _Rings(float(power), float(noise), float(scatter))
