"""The data types of total scattering. Q in 1/Å, r in Å, wavelengths in Å, lengths of the geometry in metres."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from daisy_core import Axes, ErrorsOf, InputError, Unit, data

from .config import PDFConfig

Array = NDArray[Any]


@data
class Pattern:
    """A powder pattern: intensity against the momentum transfer Q.

    ``sigma`` is the standard uncertainty of each intensity where the file or the counting statistics gave one.
    ``wavelength`` (Å) is known when the pattern came from angles or from an image.
    """

    q: Annotated[Array, Axes("q"), Unit("1/Å")]
    intensity: Annotated[Array, Axes("q"), Unit("counts")]
    sigma: Annotated[Array | None, Axes("q"), Unit("counts"), ErrorsOf("intensity")] = None
    wavelength: Annotated[float | None, Unit("Å")] = None
    source: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def twotheta(self) -> Array:
        """Scattering angle 2theta in degrees, where the wavelength is known."""
        if self.wavelength is None:
            raise InputError(
                f"pattern {self.source or '(in memory)'} has no wavelength, so its Q cannot be shown as 2theta"
            )
        return np.degrees(2 * np.arcsin(np.clip(self.q * self.wavelength / (4 * np.pi), -1, 1)))


@data
class Intensity:
    """Background-subtracted intensity on the regular Q grid."""

    q: Annotated[Array, Axes("q"), Unit("1/Å")]
    i: Annotated[Array, Axes("q"), Unit("counts")]
    sigma: Annotated[Array | None, Axes("q"), Unit("counts"), ErrorsOf("i")] = None


@data
class StructureFunction:
    """The total-scattering structure function S(Q)."""

    q: Annotated[Array, Axes("q"), Unit("1/Å")]
    s: Annotated[Array, Axes("q"), Unit("1")]


@data
class ReducedStructureFunction:
    """F(Q) = Q (S(Q) - 1), and the polynomial that the ad hoc correction took off it."""

    q: Annotated[Array, Axes("q"), Unit("1/Å")]
    f: Annotated[Array, Axes("q"), Unit("1/Å")]
    polynomial: Annotated[Array | None, Axes("q"), Unit("1/Å")] = None


@data
class PairDistribution:
    """The reduced pair distribution function G(r) with its propagated standard uncertainty."""

    r: Annotated[Array, Axes("r"), Unit("Å")]
    g: Annotated[Array, Axes("r"), Unit("1/Å^2")]
    sigma: Annotated[Array | None, Axes("r"), Unit("1/Å^2"), ErrorsOf("g")] = None


@data
class PDFResult:
    """Everything a reduction gives: G, F, S, I, the scale, and what the user should know.

    ``absolute`` says whether the intensities, and so G, are on an absolute scale: never with the ad hoc engine.
    """

    gr: PairDistribution
    fq: ReducedStructureFunction
    sq: StructureFunction
    iq: Intensity
    scale: float
    config: PDFConfig
    warnings: tuple[str, ...] = ()
    engine: str = "adhoc"
    absolute: bool = False
    sources: tuple[str, ...] = ()


@data
class Geometry:
    """Where the detector stands, in the PONI convention of pyFAI, and the wavelength (Å).

    The image is read with its first axis (``y``, slow) along axis 1 and its second (``x``, fast) along axis 2.
    ``orientation`` is that of PONI 2.1 files (3: as read; 1, 2, 4: both, the first, the second axis reversed).
    ``detector`` is the name of the detector in pyFAI's registry, whose built-in mask is then used; ``rows`` and
    ``columns`` are its size in pixels, where the file tells.
    """

    distance: Annotated[float, Unit("m")]
    poni1: Annotated[float, Unit("m")]
    poni2: Annotated[float, Unit("m")]
    pixel1: Annotated[float, Unit("m")]
    pixel2: Annotated[float, Unit("m")]
    wavelength: Annotated[float, Unit("Å")]
    rot1: Annotated[float, Unit("rad")] = 0.0
    rot2: Annotated[float, Unit("rad")] = 0.0
    rot3: Annotated[float, Unit("rad")] = 0.0
    orientation: int = 3
    detector: str = ""
    rows: int | None = None
    columns: int | None = None
    source: str = ""
