"""Which pixel belongs to which Q bin, and how much it counts: pyFAI's geometry as one sparse matrix, kept for reuse.

The sums over the pixels are ours: a matrix product is as exact as float64, and safe in threads, where pyFAI's own
integrators share a buffer.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daisy_core import InputError, ParameterError

from .data import Geometry

Array = NDArray[Any]
Split = Literal["no", "bbox", "full"]

# pyFAI and the numexpr below it crash when two threads describe a geometry at once, and a cache lets both miss.
_ONE_AT_A_TIME = threading.RLock()


class Sums(NamedTuple):
    """What a set of usable pixels gives whatever was measured: pixels in each bin, and what divides their counts."""

    bad: NDArray[np.bool_]
    flat: Array | None
    pixels: Array
    norm: Array


class Binning:
    """The bins of one geometry, image shape and correction.

    Attributes
    ----------
    q : ndarray, shape (npt,)
        Bin centres in 1/Å.
    split : bool
        Pixels are shared between bins.
    """

    def __init__(self, integrator: Any, shape: tuple[int, ...], npt: int, split: Split, corrections: tuple[bool, float],
                 span: tuple[float, float] | None) -> None:  # fmt: skip
        from pyFAI.units import to_unit
        from scipy.sparse import csr_matrix

        unit: Any = to_unit("q_A^-1")
        table = integrator.setup_sparse_integrator(shape, npt, pos0_range=span, unit=unit, split=split, algo="CSR")
        shares, pixels, starts = table.lut[:3]
        self.q: Array = table.bin_centers * unit.scale
        self.split = split != "no"
        # By columns, the image is read once in its order in memory: twice as fast as by rows.
        self._matrix: Any = csr_matrix((shares.astype(float), pixels, starts), shape=(npt, shape[0] * shape[1])).tocsc()
        self._squares: Any = self._matrix.power(2) if self.split else self._matrix
        solidangle, polarization = corrections
        weight = integrator.solidAngleArray(shape).astype(float) if solidangle else np.ones(shape)
        self._weight = weight * integrator.polarization(shape, polarization) if polarization else weight
        self._last: Sums | None = None

    def total(self, values: Array) -> Array:
        """Sum values over the pixels of each bin."""
        return self._matrix @ values.ravel()

    def variance(self, values: Array) -> Array:
        """Sum variances over the pixels of each bin; a share of a pixel brings its square."""
        return self._squares @ values.ravel()

    def norm(self, bad: NDArray[np.bool_], flat: Array | None) -> Sums:
        """Return pixels and divisors of the bins; those of the last call are kept, since frames of a series share them."""
        last = self._last
        same = last is not None and np.array_equal(last.bad, bad) and (flat is last.flat or _equal(flat, last.flat))
        if last is None or not same:
            usable = (~bad).astype(float)
            weight = usable * self._weight if flat is None else usable * self._weight * np.where(bad, 1, flat)
            last = self._last = Sums(bad, flat, self.total(usable), self.total(weight))
        return last


def _equal(one: Array | None, other: Array | None) -> bool:
    return one is not None and other is not None and np.array_equal(one, other)


def binning(
    geometry: Geometry,
    shape: tuple[int, ...],
    *,
    npt: int,
    split: Split,
    solidangle: bool,
    polarization: float,
    qmin: float | None = None,
    qmax: float | None = None,
) -> Binning:
    """Return the bins of a geometry, made at the first call.

    Parameters
    ----------
    geometry : Geometry
        Detector position and wavelength.
    shape : tuple of int
        Rows and columns of the image.
    npt, split, solidangle, polarization, qmin, qmax
        As in :func:`daisy_pdf.integrate`.

    Returns
    -------
    Binning
        Do not change it.

    Raises
    ------
    ParameterError
        If no pixel lies between ``qmin`` and ``qmax``.
    """
    with _ONE_AT_A_TIME:
        return _binning(_numbers(geometry), shape, npt, split, (solidangle, polarization), (qmin, qmax))


def q_of_pixels(geometry: Geometry, shape: tuple[int, ...]) -> Array:
    """Return Q (1/Å) at the centre of each pixel, shape (y, x), read-only."""
    with _ONE_AT_A_TIME:
        return _integrator(_numbers(geometry), shape)[1]


def _numbers(geometry: Geometry) -> tuple[float, ...]:
    return (geometry.distance, geometry.poni1, geometry.poni2, geometry.rot1, geometry.rot2, geometry.rot3,
            geometry.pixel1, geometry.pixel2, geometry.wavelength, geometry.orientation)  # fmt: skip


@lru_cache(maxsize=4)
def _integrator(numbers: tuple[float, ...], shape: tuple[int, ...]) -> tuple[Any, Array]:
    """Return pyFAI's description of the geometry, and Q of each pixel."""
    try:
        from pyFAI.detectors import Detector
        from pyFAI.integrator.azimuthal import AzimuthalIntegrator
    except ImportError:
        raise InputError('integrating images needs pyFAI, which is missing: pip install "daisy-suite[pdf]"') from None
    *position, pixel1, pixel2, wavelength, orientation = numbers
    detector = Detector(pixel1, pixel2, max_shape=shape, orientation=int(orientation))
    integrator = AzimuthalIntegrator(*position, detector=detector, wavelength=wavelength * 1e-10)
    q = integrator.center_array(shape, unit="q_A^-1")
    q.flags.writeable = False
    return integrator, q


@lru_cache(maxsize=3)
def _binning(
    numbers: tuple[float, ...], shape: tuple[int, ...], npt: int, split: Split, corrections: tuple[bool, float],
    limits: tuple[float | None, float | None],
) -> Binning:  # fmt: skip
    integrator, q = _integrator(numbers, shape)
    span = None
    if limits != (None, None):
        low, high = float(q.min()), float(q.max())
        span = (low if limits[0] is None else limits[0], high if limits[1] is None else limits[1])
        if span[0] >= min(high, span[1]) or span[1] <= low:
            raise ParameterError(
                f"integrate: no pixel lies between 'qmin' and 'qmax'; the image covers Q = {low:.4g} to {high:.4g} 1/Å"
            )
    return Binning(integrator, shape, npt, split, corrections, span)
