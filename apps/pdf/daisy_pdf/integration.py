"""From a detector image to a powder pattern: azimuthal integration, bad pixels found, sigma carried."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from daisy_core import Frame, InputError, Mask, Param, ParameterError, algorithm

from .binning import Binning, Split, binning, q_of_pixels
from .data import Geometry, Pattern
from .orientation import check_orientation

Image = NDArray[Any]

# Codes of detectors that no pixel counts up to: dead pixels of int32 and uint32 images, saturation of 16 bit images.
_DEAD = 2**31 - 1
_SATURATED_16_BIT = 2**16 - 1
# Gaps carry one or two codes (-1 and -2, or a multiple in a sum of frames); noise around zero takes many values.
_MOST_GAP_CODES = 4


@algorithm(version="1")
def integrate(
    image: Frame,
    geometry: Geometry,
    mask: Mask | None = None,
    dark: Frame | None = None,
    flat: Frame | None = None,
    *,
    npt: Annotated[int, Param("Radial bins", ge=10)] = 2000,
    qmin: Annotated[float | None, Param("Lowest Q", unit="1/Å", help="Empty: the lowest Q of the image", ge=0)] = None,
    qmax: Annotated[
        float | None, Param("Highest Q", unit="1/Å", help="Empty: the highest Q of the image", gt=0)
    ] = None,
    polarization: Annotated[
        float, Param("Polarization factor", help="1: horizontal, -1: vertical, 0: none or circular", ge=-1, le=1)
    ] = 0.99,
    solidangle: Annotated[bool, Param("Solid angle", help="Correct for the solid angle of each pixel")] = True,
    split: Annotated[
        Split, Param("Pixel splitting", help="Share a pixel between bins; neighbouring bins are then correlated")
    ] = "no",
    min_pixels: Annotated[int, Param("Pixels per bin", help="Bins with fewer pixels are left out", ge=1)] = 1,
    gain: Annotated[
        float, Param("Detector gain", unit="ADU/photon", help="For sigma only; 1 for a photon counter", gt=0)
    ] = 1.0,
    orientation: Annotated[
        bool, Param("Check the orientation", help="Warn if a flipped image has sharper rings")
    ] = True,
) -> Pattern:
    """Integrate a detector image to I(Q) with its counting-statistics uncertainty.

    Each bin is the mean of ``(image - dark) / (flat * polarization * solid angle)``, weighted by that divisor, over its
    usable pixels; its variance is ``gain * (image + dark)`` propagated through the same sum. Pixels below zero (detector
    gaps), not finite, or at the top of their range (dead or saturated) are left out beside the mask and counted in
    ``warnings``. Negative values that are spread like noise are kept: they come from a dark that is already subtracted.

    Parameters
    ----------
    image : ndarray, shape (y, x)
        The image in counts, any real dtype.
    geometry : Geometry
        Detector position and wavelength.
    mask : ndarray, shape (y, x), optional
        Non-zero where a pixel is to be left out.
    dark : ndarray, shape (y, x), optional
        Dark image of the same exposure, subtracted.
    flat : ndarray, shape (y, x), optional
        Detector response; divided by its mean first, so that intensities stay in counts.
    npt : int, default 2000
        Number of radial bins between the lowest and highest Q.
    qmin, qmax : float, optional
        Range of the bins in 1/Å; the whole image by default.
    polarization : float, default 0.99
        Polarization factor, 1 for light polarized along the image's second axis.
    solidangle : bool, default True
        Correct for the solid angle of each pixel.
    split : {"no", "bbox", "full"}, default "no"
        Pixel splitting. Without it the bins are statistically independent, which sigma(G) relies on.
    min_pixels : int, default 1
        Bins with fewer pixels are left out, and counted in ``warnings``.
    gain : float, default 1
        Signal per photon; counting statistics give a variance of ``gain`` times the signal.
    orientation : bool, default True
        Warn when the rings would be clearly sharper in a flipped image (:func:`orientation_check`).

    Returns
    -------
    Pattern
        Q (1/Å), intensity and sigma (counts per pixel at the point of normal incidence, float64), wavelength, warnings.

    Raises
    ------
    InputError
        If shapes disagree, the detector of the geometry has another size, or no usable pixel is left.
    ParameterError
        If ``qmin`` is not below ``qmax``.

    References
    ----------
    Kieffer & Ashiotis (2013), arXiv:1412.6367; Ashiotis et al., J. Appl. Cryst. 48 (2015) 510,
    https://doi.org/10.1107/S1600576715004306

    Examples
    --------
    >>> pattern = integrate(image, read_poni("Ni.poni"), npt=2500)  # doctest: +SKIP
    """
    image = _checked(image, geometry)
    if qmin is not None and qmax is not None and qmin >= qmax:
        raise ParameterError(f"integrate: 'qmin' = {qmin} must be below 'qmax' = {qmax} 1/Å")
    mask, dark, flat = (
        _matching(name, array, image) for name, array in (("mask", mask), ("dark", dark), ("flat", flat))
    )
    bad, notes = _bad_pixels(image, mask, dark, flat, geometry)

    bins = binning(
        geometry,
        image.shape,
        npt=npt,
        split=split,
        solidangle=solidangle,
        polarization=polarization,
        qmin=qmin,
        qmax=qmax,
    )
    sums = bins.norm(bad, None if flat is None else flat / np.mean(flat, where=~bad, dtype=np.float64))
    signal, variance = _summed(bins, image, dark, bad)
    if orientation:
        found = check_orientation(image, ~bad, q_of_pixels(geometry, image.shape))
        notes += [found.advice()] if found.clear else []
    keep, dropped = _full_bins(sums.pixels, min_pixels)
    where = f" with {Path(geometry.source).name}" if geometry.source else ""
    norm = sums.norm[keep]
    return Pattern(
        q=bins.q[keep],
        intensity=signal[keep] / norm,
        # A bin in which nothing was counted has the sigma of one photon.
        sigma=np.sqrt(gain * np.maximum(variance[keep], gain)) / norm,
        wavelength=geometry.wavelength,
        source=f"image of {_size(image.shape)} pixels{where}",
        warnings=(*notes, *dropped),
    )


def _checked(image: Frame, geometry: Geometry) -> Image:
    image = np.asarray(image)
    if image.ndim != 2 or not image.size or image.dtype.kind not in "biuf":
        raise InputError(
            f"integrate needs an image of real numbers with two axes (y, x), not shape {image.shape}, {image.dtype}"
        )
    expected = (geometry.rows, geometry.columns)
    if None not in expected and image.shape != expected:
        hint = "; the image looks transposed" if image.shape == expected[::-1] else "; was it binned or cut?"
        raise InputError(
            f"the image is {_size(image.shape)} pixels but {geometry.source or 'the geometry'} is for a detector of "
            f"{_size(expected)}{hint} Use the calibration of the same detector mode"
        )
    return image


def _matching(name: str, array: Any, image: Image) -> Image | None:
    """Return a companion image as an array of the image's shape."""
    if array is None:
        return None
    array = np.asarray(array)
    if array.shape != image.shape:
        transposed = array.shape == image.shape[::-1]
        hint = (
            f"transposed it would fit (--{name}.transpose true)"
            if transposed
            else "they must be of the same detector mode"
        )
        raise InputError(f"the {name} is {_size(array.shape)} but the image is {_size(image.shape)} pixels; {hint}")
    return array


def _size(shape: tuple[Any, ...]) -> str:
    return " x ".join(str(n) for n in shape)


def _bad_pixels(
    image: Image, mask: Image | None, dark: Image | None, flat: Image | None, geometry: Geometry
) -> tuple[NDArray[np.bool_], list[str]]:
    """Return what is left out (the mask included), and sentences that count what was added to the mask, and why."""
    bad = np.zeros(image.shape, bool) if mask is None else mask != 0
    if geometry.detector:
        bad |= _detector_mask(geometry.detector, geometry.orientation, image.shape)
    if bad.all():
        raise InputError(
            "the mask covers the whole image; a mask is non-zero where pixels are left out: is it inverted?"
        )
    counts: dict[str, int] = {}
    for reason, found in _faults(image, dark, flat):
        counts[reason] = int(np.count_nonzero(found & ~bad))
        bad |= found
    if bad.all():
        raise InputError(f"no usable pixel is left in the image; {_sentence(counts)[0]}, beside the mask")
    notes = _sentence(counts)
    noise = int(np.count_nonzero((image < 0) & ~bad)) if image.dtype.kind in "if" else 0
    if noise:
        notes.append(
            f"{noise:,} pixels below zero were kept because they look like noise of an image whose dark was subtracted; "
            "sigma then lacks the noise of the dark: give the raw image and the dark instead"
        )
    return bad, notes


def _sentence(counts: dict[str, int]) -> list[str]:
    """Return the sentence that counts the pixels left out, none where there are none."""
    parts = [f"{count:,} {reason}" for reason, count in counts.items() if count]
    if len(parts) == 1:
        return [f"{sum(counts.values()):,} pixels left out: {parts[0].partition(' ')[2]}"]
    return [f"{sum(counts.values()):,} pixels left out: {', '.join(parts)}"] if parts else []


def _faults(image: Image, dark: Image | None, flat: Image | None) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the kinds of unusable pixels that are there."""
    low, high = image.min(), image.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = np.isfinite(image)
        yield "not finite", ~finite
        low, high = image.min(where=finite, initial=0), image.max(where=finite, initial=0)
    if low < 0 and _is_gap_code(image[image < 0]):
        yield "below zero (gaps)", image < 0
    limit = np.iinfo(image.dtype).max if image.dtype.kind in "iu" else np.inf
    if high >= _DEAD:
        yield "dead or saturated", image >= _DEAD
    elif high in (limit, _SATURATED_16_BIT):
        yield "saturated", image >= high
    if dark is not None and dark.dtype.kind == "f":
        yield "without a dark value", ~np.isfinite(dark)
    if flat is not None:
        yield "without response in the flat", ~(np.isfinite(flat) & (flat > 0))


def _is_gap_code(negative: Image) -> bool:
    return np.unique(negative[:: max(1, negative.size // 100_000)]).size <= _MOST_GAP_CODES


@lru_cache(maxsize=8)
def _detector_mask(name: str, orientation: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the built-in mask of a named detector (module gaps), nothing masked where it has none of this shape."""
    from pyFAI.detectors import detector_factory

    mask: Any = detector_factory(name, {"orientation": orientation}).mask
    return mask != 0 if mask is not None and mask.shape == shape else np.zeros(shape, bool)


def _summed(bins: Binning, image: Image, dark: Image | None, bad: NDArray[np.bool_]) -> tuple[Image, Image]:
    """Return the sums over each bin of the signal and, in counts, of its variance."""
    signal = image.astype(np.float64)
    signal[bad] = 0
    if dark is None:
        total = bins.total(signal)
        plain = not bins.split and (image.dtype.kind in "bu" or signal.min() >= 0)
        return total, total if plain else bins.variance(np.maximum(signal, 0))
    offset = np.where(bad, 0, dark).astype(np.float64)
    variance = bins.variance(np.maximum(signal, 0) + np.maximum(offset, 0))
    return bins.total(signal - offset), variance


def _full_bins(pixels: Image, min_pixels: int) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which bins have enough pixels, and a sentence on those that have not."""
    # The shares of a split pixel are float32 and sum to a little less than the pixel.
    keep = pixels >= min_pixels * (1 - 1e-6)
    dropped = int(keep.size - np.count_nonzero(keep))
    few = f"fewer than {min_pixels} usable pixels" if min_pixels > 1 else "no usable pixel"
    if dropped == keep.size:
        raise InputError(f"all {keep.size:,} bins have {few}; lower 'min_pixels' or 'npt', or check the mask")
    return keep, [f"{dropped:,} of {keep.size:,} bins left out: {few}"] if dropped else []
