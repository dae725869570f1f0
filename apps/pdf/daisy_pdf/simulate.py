"""Exposures of known crystals, built from the other end: atoms, Debye's sum, and the trigonometry of each pixel.

Nothing here shares formula code with the analysis. Only the published table of form factors is the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daisy_core import Frame, Param, ParameterError, algorithm

from .crystal import CRYSTALS
from .data import Geometry, PairDistribution, Pattern
from .debye import amorphous_intensity, coherent_intensity, compton_like_intensity, truth_gr

Array = NDArray[np.floating[Any]]


class SimulatedExposure(NamedTuple):
    """A simulated measurement and its truth."""

    image: Frame
    """Sample in its container, with Poisson noise, uint32."""
    container: Frame
    """The empty container, same exposure, uint32."""
    flat: Frame
    """The detector's response, mean 1."""
    geometry: Geometry
    """The true geometry."""
    pattern: Pattern
    """What a perfect integration of ``image`` gives: the noise-free I(Q) at normal incidence."""
    truth: PairDistribution
    """G(r) of the crystal for the Q range asked for."""


@algorithm(version="1")
def simulate_exposure(
    *,
    crystal: Annotated[Literal["Ni", "CeO2"], Param("Crystal")] = "Ni",
    diameter: Annotated[float, Param("Particle diameter", unit="Å", ge=20, le=250)] = 100.0,
    rows: Annotated[int, Param("Rows", ge=16)] = 1024,
    columns: Annotated[int, Param("Columns", ge=16)] = 1024,
    pixel: Annotated[float, Param("Pixel size", unit="m", gt=0)] = 4e-4,
    distance: Annotated[float, Param("Detector distance", unit="m", gt=0)] = 0.2,
    wavelength: Annotated[float, Param("Wavelength", unit="Å", gt=0)] = 0.18,
    poni1: Annotated[float | None, Param("PONI 1", unit="m", help="Empty: a little off the middle")] = None,
    poni2: Annotated[float | None, Param("PONI 2", unit="m", help="Empty: a little off the middle")] = None,
    rot1: Annotated[float, Param("Rotation 1", unit="rad")] = 0.01,
    rot2: Annotated[float, Param("Rotation 2", unit="rad")] = -0.006,
    rot3: Annotated[float, Param("Rotation 3", unit="rad")] = 0.0,
    polarization: Annotated[float, Param("Polarization factor", ge=-1, le=1)] = 0.99,
    counts: Annotated[float, Param("Mean counts per pixel", gt=0)] = 3000.0,
    compton: Annotated[
        float, Param("Compton-like scattering", help="1: as tabulated form factors suggest", ge=0)
    ] = 1.0,
    container: Annotated[
        float, Param("Container", help="Scattering of the container, relative to the sample", ge=0)
    ] = 0.3,
    air: Annotated[float, Param("Air", help="Constant scattering, relative to the sample", ge=0)] = 0.03,
    response: Annotated[float, Param("Flat-field variation", help="Relative, over the detector", ge=0, lt=1)] = 0.0,
    oversample: Annotated[
        int, Param("Points per pixel side", help="1: the intensity at the pixel centre", ge=1, le=8)
    ] = 2,
    qmin: Annotated[float, Param("Lowest Q of the truth", unit="1/Å", ge=0)] = 0.8,
    qmax: Annotated[float, Param("Highest Q of the truth", unit="1/Å", gt=0)] = 24.0,
    rmax: Annotated[float, Param("Largest r of the truth", unit="Å", gt=0)] = 30.0,
    seed: Annotated[int, Param("Seed of the noise", ge=0)] = 0,
) -> SimulatedExposure:
    """Simulate a total-scattering exposure of a powder of spherical crystallites in a container.

    Debye's equation, summed over the distances in the crystal, gives the coherent intensity; a smooth Compton-like
    intensity, an amorphous container and constant air scattering are added, times polarization, solid angle and detector
    response, and Poisson noise. Absorption, multiple scattering and small-angle scattering are left out.

    Parameters
    ----------
    crystal : {"Ni", "CeO2"}, default "Ni"
        Built-in crystal.
    diameter : float, default 100
        Diameter of the crystallites in Å.
    rows, columns : int, default 1024
        Size of the detector in pixels.
    pixel, distance : float, default 0.0004 and 0.2
        Pixel size and distance in m.
    wavelength : float, default 0.18
        In Å.
    poni1, poni2 : float, optional
        Point of normal incidence in m; 0.48 and 0.56 of the detector's sides by default.
    rot1, rot2, rot3 : float, default 0.01, -0.006, 0
        Detector rotations in rad, in the convention of PONI files.
    polarization : float, default 0.99
        1 for light polarized along the image's second axis.
    counts : float, default 3000
        Mean counts per pixel of the sample image.
    compton : float, default 1
        Strength of ``sum c Z (1 - (f/Z)^2)``: smooth and rising to Z like Compton scattering, not a table of it.
    container, air : float, default 0.3 and 0.03
        Mean intensity of container and air, relative to that of the sample.
    response : float, default 0
        Relative variation of the detector's response.
    oversample : int, default 2
        Gauss-Legendre points along each pixel side over which the intensity is averaged.
    qmin, qmax : float, default 0.8 and 24
        Q range of ``truth`` in 1/Å.
    rmax : float, default 30
        End of ``truth`` in Å, from 0 in steps of 0.01.
    seed : int, default 0
        Seed of the noise.

    Returns
    -------
    SimulatedExposure
        ``image``, ``container``, ``flat``, ``geometry``, ``pattern``, ``truth``.

    References
    ----------
    Debye (1915), Ann. Phys. 351, 809, https://doi.org/10.1002/andp.19153510606

    Examples
    --------
    >>> exposure = simulate_exposure(crystal="CeO2", rows=64, columns=64, pixel=0.0064)
    >>> exposure.image.shape
    (64, 64)
    """
    if qmin >= qmax:
        raise ParameterError(f"simulate_exposure: 'qmin' = {qmin} must be below 'qmax' = {qmax} 1/Å")
    geometry = Geometry(
        distance=distance, wavelength=wavelength, pixel1=pixel, pixel2=pixel, rot1=rot1, rot2=rot2, rot3=rot3,
        poni1=0.48 * rows * pixel if poni1 is None else poni1, poni2=0.56 * columns * pixel if poni2 is None else poni2,
        rows=rows, columns=columns, source="simulation")  # fmt: skip
    structure = CRYSTALS[crystal]
    q = np.arange(0.0, _highest_q(geometry, (rows, columns)) + 0.02, 0.1 / diameter)
    sample = coherent_intensity(structure, q, diameter) + compton * compton_like_intensity(structure, q)
    empty = container * np.mean(sample) * amorphous_intensity(q) + air * np.mean(sample)

    flat = _response(rows, columns, response)
    with_sample, without = _project(q, (sample + empty, empty), geometry, (rows, columns), polarization, oversample)
    scale = counts / np.mean(with_sample * flat)
    random = np.random.default_rng(seed)
    image, empty_image = (random.poisson(scale * flat * mean).astype(np.uint32) for mean in (with_sample, without))
    r = np.arange(0.0, rmax + 0.005, 0.01)
    return SimulatedExposure(
        image=image,
        container=empty_image,
        flat=flat,
        geometry=geometry,
        pattern=Pattern(q, scale * (sample + empty), wavelength=wavelength, source=f"simulation of {crystal}"),
        truth=PairDistribution(r, truth_gr(structure, r, qmin=qmin, qmax=qmax, diameter=diameter)),
    )


# ---- The detector


def _highest_q(geometry: Geometry, shape: tuple[int, int]) -> float:
    corners = pixel_directions(geometry, np.array([-0.5, shape[0] - 0.5]), np.array([-0.5, shape[1] - 0.5]))[0]
    return float(momentum_transfer(corners, geometry.wavelength).max())


def pixel_directions(geometry: Geometry, row: Array, column: Array) -> tuple[Array, Array]:
    """Return the unit vectors from the sample to points of the detector, and their distances.

    Parameters
    ----------
    geometry : Geometry
        Detector position; rotations 1 and 2 are left-handed about axes 1 and 2, rotation 3 right-handed about the beam.
    row, column : ndarray
        Pixel coordinates, pixel centres at integers.

    Returns
    -------
    directions : ndarray, shape (3, row, column)
        Components along axis 1 (up), axis 2 (horizontal) and the beam.
    distances : ndarray, shape (row, column)
        In m.
    """
    (c1, s1), (c2, s2), (c3, s3) = ((np.cos(t), np.sin(t)) for t in (geometry.rot1, geometry.rot2, geometry.rot3))
    turn = (
        np.array([[c3, -s3, 0], [s3, c3, 0], [0, 0, 1]])
        @ np.array([[c2, 0, -s2], [0, 1, 0], [s2, 0, c2]])
        @ np.array([[1, 0, 0], [0, c1, s1], [0, -s1, c1]])
    )
    up = (row + 0.5) * geometry.pixel1 - geometry.poni1
    across = (column + 0.5) * geometry.pixel2 - geometry.poni2
    distances = np.sqrt(up[:, None] ** 2 + across[None, :] ** 2 + geometry.distance**2)
    vectors = [t[0] * up[:, None] + t[1] * across[None, :] + t[2] * geometry.distance for t in turn]
    return np.stack(vectors) / distances, distances


def momentum_transfer(directions: Array, wavelength: float) -> Array:
    """Return Q (1/Å) as the length of the difference between scattered and incident wave vector."""
    change = directions[0] ** 2 + directions[1] ** 2 + (directions[2] - 1) ** 2
    return 2 * np.pi / wavelength * np.sqrt(change)


def polarization_weight(directions: Array, factor: float) -> Array:
    """Return what is left of the intensity: a dipole does not radiate along its axis (2: horizontal, 1: vertical)."""
    horizontal, vertical = (1 + factor) / 2, (1 - factor) / 2
    return horizontal * (1 - directions[1] ** 2) + vertical * (1 - directions[0] ** 2)


def _project(
    q: Array,
    intensities: tuple[Array, ...],
    geometry: Geometry,
    shape: tuple[int, int],
    polarization: float,
    points: int,
) -> list[NDArray[np.float64]]:
    """Average each I(Q), with polarization and solid angle, over the area of each pixel."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    images = [np.zeros(shape) for _ in intensities]
    for up, weight_up in zip(nodes / 2, weights / 2, strict=True):
        for right, weight_right in zip(nodes / 2, weights / 2, strict=True):
            directions, distances = pixel_directions(geometry, np.arange(shape[0]) + up, np.arange(shape[1]) + right)
            weight = weight_up * weight_right * (geometry.distance / distances) ** 3
            weight *= polarization_weight(directions, polarization)
            place = momentum_transfer(directions, geometry.wavelength) / (q[1] - q[0])
            below = place.astype(np.int32)
            place -= below
            for image, intensity in zip(images, intensities, strict=True):
                slope = np.append(np.diff(intensity), 0.0)
                image += weight * (intensity[below] + place * slope[below])
    return images


def _response(rows: int, columns: int, variation: float) -> Array:
    """Return a smooth uneven response with mean 1."""
    y, x = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)[None, :]
    flat = 1 + variation * (0.5 * np.cos(2.3 * x + 1.1 * y) - 0.3 * x * y)
    return flat / flat.mean()
