"""The atoms of a simulated exposure: Debye's sum in Q space, and the same crystal in r space as the truth.

Nothing here shares formula code with the analysis. Only the published table of form factors is the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daisy_core import InputError

from .crystal import Crystal

Array = NDArray[np.floating[Any]]

_CUT = 6.0  # a Gaussian is followed this many sigma out


class _Pairs(NamedTuple):
    """Pairs between two kinds of atoms: distances, pairs per atom of the whole sample, variance of the distance."""

    first: str
    second: str
    distance: Array
    number: Array
    variance: float


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
    return np.bincount(places[inside], values[inside], minlength=len(r)).astype(float)


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
