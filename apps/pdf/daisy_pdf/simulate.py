"""Exposures of known crystals, built from the other end: atoms, Debye's sum, and the trigonometry of each pixel.

Nothing here shares formula code with the analysis. Only the published table of form factors is the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daisy_core import Frame, InputError, Param, ParameterError, algorithm

from .crystal import CRYSTALS, Crystal
from .data import Geometry, PairDistribution, Pattern

Array = NDArray[np.floating[Any]]

_CUT = 6.0  # a Gaussian is followed this many sigma out


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


class _Pairs(NamedTuple):
    """Pairs between two kinds of atoms: distances, pairs per atom of the whole sample, variance of the distance."""

    first: str
    second: str
    distance: Array
    number: Array
    variance: float


@algorithm(version="1")
def simulate_exposure(
    *,
    crystal: Annotated[Literal["Ni", "CeO2"], Param("Crystal")] = "Ni",
    diameter: Annotated[float, Param("Particle diameter", unit="Å", ge=20, le=400)] = 100.0,
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
        Point of normal incidence in m; 0.48 and 0.53 of the detector's sides by default.
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
        poni1=0.48 * rows * pixel if poni1 is None else poni1, poni2=0.53 * columns * pixel if poni2 is None else poni2,
        rows=rows, columns=columns, source="simulation")  # fmt: skip
    structure = CRYSTALS[crystal]
    q = np.arange(0.0, _highest_q(geometry, (rows, columns)) + 0.02, 0.1 / diameter)
    sample = coherent_intensity(structure, q, diameter) + compton * compton_like_intensity(structure, q)
    empty = container * np.mean(sample) * amorphous_intensity(q) + air * np.mean(sample)

    flat = _response(rows, columns, response)
    with_sample, without = _project(q, (sample + empty, empty), geometry, (rows, columns), polarization, oversample)
    scale = counts / np.mean(with_sample * flat)
    random = np.random.default_rng(seed)
    images = [random.poisson(scale * flat * expected).astype(np.uint32) for expected in (with_sample, without)]
    r = np.arange(0.0, rmax + 0.005, 0.01)
    return SimulatedExposure(
        *images, flat, geometry,
        Pattern(q, scale * (sample + empty), wavelength=wavelength, source=f"simulation of {crystal}"),
        PairDistribution(r, truth_gr(structure, r, qmin=qmin, qmax=qmax, diameter=diameter)),
    )  # fmt: skip


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
) -> list[Array]:
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


# ---- Intensities in Q space, per atom


def coherent_intensity(crystal: Crystal, q: Array, diameter: float) -> Array:
    """Return the coherent intensity per atom of a spherical crystallite, by Debye's equation.

    The small-angle scattering of the sphere as a whole is taken off.

    Parameters
    ----------
    crystal : Crystal
        The structure; atoms vibrate independently, with their U_iso.
    q : ndarray, shape (nq,)
        In 1/Å, regular, from 0.
    diameter : float
        Of the sphere, in Å.

    Returns
    -------
    ndarray, shape (nq,)
        In electron units.
    """
    from scipy.interpolate import CubicSpline

    fractions = {element: crystal.elements.count(element) / len(crystal.elements) for element in crystal.elements}
    # Nothing in the sum oscillates faster than sin(diameter q), so a spline through a sparser grid loses nothing.
    sparse = np.linspace(0, q[-1], int(q[-1] * diameter / 0.5) + 2)
    f = {element: _form_factor(element, sparse) for element in fractions}
    total: Array = sum(fractions[element] * f[element] ** 2 for element in fractions) + np.zeros_like(sparse)
    for pairs in _pair_shells(crystal, diameter):
        shape = _common_volume(pairs.distance, diameter) * pairs.number
        waves = np.zeros_like(sparse)
        for part in np.array_split(np.arange(len(shape)), max(1, len(shape) // 200)):
            waves += np.sinc(np.outer(sparse, pairs.distance[part] / np.pi)) @ shape[part]
        total += f[pairs.first] * f[pairs.second] * np.exp(-(sparse**2) * pairs.variance / 2) * waves
    x = np.maximum(sparse * diameter / 2, 1e-3)
    sphere = (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2
    mean = sum(fractions[element] * f[element] for element in fractions)
    total -= mean**2 * crystal.density * np.pi / 6 * diameter**3 * sphere
    # Below Q = 0.2 the difference of two large numbers can come out a little under zero.
    return np.maximum(CubicSpline(sparse, total)(q), 0)


def compton_like_intensity(crystal: Crystal, q: Array) -> Array:
    """Return a smooth incoherent intensity per atom, ``Z (1 - (f/Z)^2)`` averaged: like Compton scattering, not a table."""
    z = {element: float(_form_factor(element, np.zeros(1))[0]) for element in crystal.elements}
    return np.mean(
        [z[element] * (1 - (_form_factor(element, q) / z[element]) ** 2) for element in crystal.elements], axis=0
    )


def amorphous_intensity(q: Array) -> Array:
    """Return the intensity of a glassy container: two humps on a falling slope, with mean 1."""
    profile = (
        0.5 * np.exp(-(((q - 1.55) / 0.35) ** 2))
        + 0.2 * np.exp(-(((q - 3.1) / 0.8) ** 2))
        + 0.5 / (1 + (q / 6) ** 2)
        + 0.1
    )
    return profile / profile.mean()


def _form_factor(element: str, q: Array) -> Array:
    """Return f0 of Waasmaier & Kirfel (1995), https://doi.org/10.1107/S0108767394013292, as tabulated by periodictable."""
    try:
        from periodictable import cromermann
    except ImportError:
        raise InputError('simulations need periodictable, which is missing: pip install "daisy-suite[pdf]"') from None
    return np.asarray(cromermann.fxrayatq(element, q), float)


# ---- Distances, and the truth in r space


def _pair_shells(crystal: Crystal, diameter: float) -> list[_Pairs]:
    """Return all distances below the diameter for each pair of kinds of atoms, equal ones collected."""
    kinds = list(dict.fromkeys(zip(crystal.elements, crystal.u_iso.tolist(), strict=True)))
    kind_of = np.array([kinds.index(kind) for kind in zip(crystal.elements, crystal.u_iso.tolist(), strict=True)])
    reach = int(np.ceil(diameter / crystal.a)) + 1
    steps = np.arange(-reach, reach + 1)
    shells: list[_Pairs] = []
    for first, (element1, u1) in enumerate(kinds):
        for second, (element2, u2) in enumerate(kinds):
            between = crystal.positions[kind_of == second][None] - crystal.positions[kind_of == first][:, None]
            shifts, times = np.unique(np.round(between.reshape(-1, 3) % 1, 6) % 1, axis=0, return_counts=True)
            squares = [(steps[None, :] + shifts[:, axis, None]) ** 2 for axis in range(3)]
            cells = squares[0][:, :, None, None] + squares[1][:, None, :, None] + squares[2][:, None, None, :]
            apart = crystal.a * np.sqrt(cells)
            near = (apart > 1e-3) & (apart < diameter)
            weight = np.broadcast_to(times[:, None, None, None], apart.shape)[near]
            # Collected to 1e-5 Å, far below any width.
            same, where = np.unique(np.round(apart[near] * 1e5), return_inverse=True)
            number = np.bincount(where, weight) / len(crystal.elements)
            shells.append(_Pairs(element1, element2, same / 1e5, number, u1 + u2))
    return shells


def _common_volume(r: Array, diameter: float) -> Array:
    """Return the share of a sphere's volume that overlaps with the sphere shifted by r."""
    x = np.minimum(r / diameter, 1)
    return (1 - x) ** 2 * (1 + x / 2)


def truth_gr(crystal: Crystal, r: Array, *, qmin: float, qmax: float, diameter: float) -> Array:
    """Return G(r) of a spherical crystallite for a finite Q range, without ever leaving r space.

    Gaussians at the distances, less the average density, are convolved with what a range of Q makes of a point: the
    termination function, which is ``(sin(qmax x) - sin(qmin x)) / (pi x)`` for one element; with several elements, each
    pair of them has its own, since their scattering changes with Q.

    Parameters
    ----------
    crystal : Crystal
        The structure.
    r : ndarray, shape (nr,)
        Distances in Å, from 0 on.
    qmin, qmax : float
        The Q range in 1/Å.
    diameter : float
        Diameter of the crystallite in Å.

    Returns
    -------
    ndarray, shape (nr,)
        G in 1/Å^2, on an absolute scale.
    """
    from scipy.interpolate import CubicSpline
    from scipy.signal import fftconvolve

    step = 0.01
    own = np.arange(0.0, diameter + 1 + step, step)
    apart = np.arange(len(own) + round(float(np.max(r)) / step) + 10) * step
    knots = np.linspace(qmin, qmax, 400)
    f = {element: _form_factor(element, knots) for element in crystal.elements}
    mean = np.mean([f[element] for element in crystal.elements], axis=0)

    def limited(g: Array, weight: Array) -> Array:
        """Convolve the odd function g with the even termination function."""
        point = _termination(apart, knots, weight)
        odd, even = np.concatenate([-g[:0:-1], g]), np.concatenate([point[:0:-1], point])
        whole = fftconvolve(odd, even)[len(own) + len(apart) - 2 :] * step
        return CubicSpline(apart[: len(whole)], whole[: len(apart)])(r)

    total = limited(-4 * np.pi * own * crystal.density * _common_volume(own, diameter), np.ones_like(knots))
    for pairs in _pair_shells(crystal, diameter):
        peaks = _gaussians(own, pairs, diameter)
        total = total + limited(peaks, f[pairs.first] * f[pairs.second] / mean**2)
    return total


def _gaussians(r: Array, pairs: _Pairs, diameter: float) -> Array:
    """Return the sum of the normalised Gaussians at all distances of a kind of pair, each times number / distance."""
    width = np.sqrt(pairs.variance)
    step = r[1] - r[0]
    reach = int(np.ceil(_CUT * width / step))
    nearest = np.round(pairs.distance / step).astype(int)
    places = nearest[:, None] + np.arange(-reach, reach + 1)
    height = pairs.number / pairs.distance * _common_volume(pairs.distance, diameter) / (width * np.sqrt(2 * np.pi))
    values = height[:, None] * np.exp(-(((places * step - pairs.distance[:, None]) / width) ** 2) / 2)
    inside = (places >= 0) & (places < len(r))
    return np.bincount(places[inside], values[inside], minlength=len(r))


def _termination(x: Array, q: Array, weight: Array) -> Array:
    """Return ``1/pi`` times the integral of ``weight(q) cos(q x)``, exactly for a weight that is linear between knots."""
    slope = np.diff(weight) / np.diff(q)
    safe = np.where(x == 0, 1.0, x)
    ends = weight[-1] * np.sin(q[-1] * safe) - weight[0] * np.sin(q[0] * safe)
    bends = np.zeros_like(safe)
    if np.any(slope):
        waves = np.cos(np.outer(safe, q))
        bends = waves[:, 1:] @ slope - waves[:, :-1] @ slope
    return np.where(x == 0, np.trapezoid(weight, q), ends / safe + bends / safe**2) / np.pi
