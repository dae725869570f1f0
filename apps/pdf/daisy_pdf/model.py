"""G(r) of a cubic crystal in the small-box picture, and its refinement against measured data."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daisy_core import Axes, ErrorsOf, InputError, Param, ParameterError, Unit, algorithm, data, replace

from .compare import rw
from .crystal import Crystal
from .data import PairDistribution

Array = NDArray[np.floating[Any]]
Refinable = Literal["a", "u_iso", "qdamp", "qbroad", "delta1", "delta2", "diameter"]
Weights = Literal["q", "constant"]

_STEP = 0.01  # of the internal r grid, Å
_BEYOND = 30.0  # the model fades out this far past the last distance, Å: what termination smears comes from both sides
_LENGTH = 2**15  # points of the sine transform: a fine Q grid, so that qmax can be cut at exactly
_START = {"qdamp": 0.02, "qbroad": 0.01, "delta1": 0.3, "delta2": 1.0, "diameter": 100.0}


@data
class CrystalFit:
    """A refined crystal model: parameters with uncertainties, curves, and how well they agree.

    Correlated noise between neighbouring r is allowed for by counting only as many observations as the Q range holds.
    """

    parameters: tuple[str, ...]
    values: Annotated[Array, Axes("parameter")]
    sigma: Annotated[Array, Axes("parameter"), ErrorsOf("values")]
    r: Annotated[Array, Axes("r"), Unit("Å")]
    observed: Annotated[Array, Axes("r"), Unit("1/Å^2")]
    calculated: Annotated[Array, Axes("r"), Unit("1/Å^2")]
    rw: float
    crystal: Crystal
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> float:
        """Return the value of a parameter by name, such as ``fit["a"]``."""
        return float(self.values[self.parameters.index(name)])

    def uncertainty(self, name: str) -> float:
        """Return the standard uncertainty of a parameter by name."""
        return float(self.sigma[self.parameters.index(name)])


@algorithm(version="1")
def fit_crystal(
    gr: PairDistribution,
    crystal: Crystal,
    *,
    qmax: Annotated[float, Param("qmax", unit="1/Å", help="The one that G(r) was made with", gt=0)],
    qmin: Annotated[float, Param("qmin", unit="1/Å", help="The one that G(r) was made with", ge=0)] = 0.0,
    rmin: Annotated[float, Param("Fit from", unit="Å", gt=0)] = 1.5,
    rmax: Annotated[float, Param("Fit to", unit="Å", gt=0)] = 30.0,
    refine: Annotated[tuple[Refinable, ...], Param("Refined", help="Beside the scale")] = (
        "a",
        "u_iso",
        "qdamp",
        "delta2",
    ),
    qdamp: Annotated[float, Param("qdamp", unit="1/Å", help="Damping by the Q resolution", ge=0)] = 0.0,
    qbroad: Annotated[float, Param("qbroad", unit="1/Å", help="Broadening by the Q resolution", ge=0)] = 0.0,
    delta1: Annotated[float, Param("delta1", unit="Å", help="Correlated motion, 1/r", ge=0)] = 0.0,
    delta2: Annotated[float, Param("delta2", unit="Å^2", help="Correlated motion, 1/r^2", ge=0)] = 0.0,
    diameter: Annotated[float | None, Param("Particle diameter", unit="Å", help="Empty: endless", gt=0)] = None,
    weights: Annotated[
        Weights, Param("Scattering of the pairs", help="q: changes with Q; constant: that of Q = 0")
    ] = "q",
) -> CrystalFit:
    """Refine a cubic crystal against G(r) by least squares: scale, lattice parameter, U_iso, and what ``refine`` names.

    The model is ``G(r) = 1/r sum w_ij n_ij Gauss(r - r_ij, sigma_ij) - 4 pi r rho0`` with
    ``sigma^2 = (U_i + U_j) (1 - delta1/r - delta2/r^2 + qbroad^2 r^2)``, times ``exp(-(qdamp r)^2/2)`` and, for particles of
    finite diameter, the overlap of a sphere with itself; then limited to the Q range of the data. All points have the
    same weight.

    Parameters
    ----------
    gr : PairDistribution
        The data; any scale.
    crystal : Crystal
        Start values: the lattice parameter must be right within about 1 %.
    qmax, qmin : float
        Q range that G(r) was transformed from, in 1/Å. ``qmin`` is 0 by default.
    rmin, rmax : float, default 1.5 and 30
        Range of the fit in Å; cut to that of the data.
    refine : tuple of str, default ("a", "u_iso", "qdamp", "delta2")
        What is refined beside the scale: ``a``, ``u_iso`` (one for each element), ``qdamp``, ``qbroad``, ``delta1``,
        ``delta2``, ``diameter``.
    qdamp, qbroad, delta1, delta2 : float, default 0
        Fixed or start values; a refined one that is 0 starts from a small value.
    diameter : float, optional
        Diameter of spherical particles in Å.
    weights : {"q", "constant"}, default "q"
        Scattering of the pairs of a compound: as it changes with Q, or constant as in PDFfit2. No matter for an element.

    Returns
    -------
    CrystalFit
        Values, uncertainties, curves and Rw.

    Raises
    ------
    InputError
        If fewer points than parameters lie in the range, or G(r) is zero there.
    ParameterError
        If ``qmin >= qmax`` or ``rmin >= rmax``.

    References
    ----------
    Proffen & Billinge (1999), J. Appl. Cryst. 32, 572, https://doi.org/10.1107/S0021889899003532

    Examples
    --------
    >>> fit = fit_crystal(gr, CRYSTALS["Ni"], qmax=25)  # doctest: +SKIP
    >>> fit["a"], fit.rw  # doctest: +SKIP
    (3.5248, 0.099)
    """
    from scipy.optimize import least_squares

    if qmin >= qmax or rmin >= rmax:
        raise ParameterError(
            f"fit_crystal: needs qmin < qmax and rmin < rmax, got {qmin}, {qmax} 1/Å and {rmin}, {rmax} Å"
        )
    inside = (gr.r >= rmin - 1e-9) & (gr.r <= rmax + 1e-9)
    r, observed = gr.r[inside], gr.g[inside]
    fixed = {"qdamp": qdamp, "qbroad": qbroad, "delta1": delta1, "delta2": delta2, "diameter": diameter}
    start = _start_values(crystal, fixed, refine)
    if len(r) <= len(start) + 1 or not np.any(observed):
        raise InputError(f"G(r) has {len(r)} points between {rmin} and {rmax} Å, or is zero there: nothing to fit")

    def curve(values: Array) -> Array:
        """Return the model on an absolute scale; the scale itself is a linear parameter."""
        shape, changed = _with_values(crystal, fixed, dict(zip(start, values, strict=True)))
        return crystal_gr(shape, r, qmin=qmin, qmax=qmax, weights=weights, **changed)

    def misfit(values: Array) -> Array:
        return values[0] * curve(values[1:]) - observed

    first = curve(np.array(list(start.values())))
    scale = float(first @ observed / (first @ first))
    x0 = np.array([scale if scale > 0 else 1.0, *start.values()])
    low = np.array([0.0, *(1e-5 if name.startswith("u_iso") else 1.0 if name == "diameter" else 0.0 for name in start)])
    found = least_squares(
        misfit, x0, bounds=(low, np.inf), x_scale=np.maximum(np.abs(x0), 1e-3), xtol=1e-10, ftol=1e-10
    )
    names = ("scale", *start)
    independent = (r[-1] - r[0]) * (qmax - qmin) / np.pi
    sigma = _uncertainties(found.jac, found.fun, independent)
    calculated = observed + found.fun
    notes = [
        f"{name} ended at its lower limit {at:g}"
        for name, at, x in zip(names, low, found.x, strict=True)
        if x - at < 1e-6
    ]
    notes += [] if found.success else [f"the refinement did not converge: {found.message}"]
    refined, _ = _with_values(crystal, fixed, dict(zip(start, found.x[1:], strict=True)))
    return CrystalFit(
        names, found.x, sigma, r, observed, calculated, rw(calculated, observed), refined, tuple(notes)
    )  # fmt: skip


def _start_values(crystal: Crystal, fixed: dict[str, float | None], refine: tuple[str, ...]) -> dict[str, float]:
    """Return name and start value of what is refined beside the scale, one U_iso for each element."""
    start: dict[str, float] = {}
    for name in dict.fromkeys(refine):
        if name == "a":
            start["a"] = crystal.a
        elif name == "u_iso":
            kinds = list(dict.fromkeys(crystal.elements))
            for kind in kinds:
                mean = float(crystal.u_iso[np.array(crystal.elements) == kind].mean())
                start["u_iso" if len(kinds) == 1 else f"u_iso_{kind}"] = mean
        else:
            start[name] = fixed[name] or _START[name]
    return start


def _with_values(
    crystal: Crystal, fixed: dict[str, float | None], values: dict[str, float]
) -> tuple[Crystal, dict[str, Any]]:
    """Return the crystal and the other settings with refined values put in."""
    u_iso = [
        values.get("u_iso", values.get(f"u_iso_{element}", u))
        for element, u in zip(crystal.elements, crystal.u_iso, strict=True)
    ]
    changed = {name: values.get(name, value) for name, value in fixed.items()}
    return replace(crystal, a=values.get("a", crystal.a), u_iso=np.array(u_iso)), changed


def _uncertainties(jacobian: Array, residuals: Array, independent: float) -> Array:
    """Return standard uncertainties. Points closer than pi/qmax repeat each other and are not counted again."""
    free = max(independent - jacobian.shape[1], 1.0)
    size = np.linalg.norm(jacobian, axis=0)
    known = size > 1e-9 * size.max()
    scaled = jacobian[:, known] / size[known]
    covariance = np.linalg.pinv(scaled.T @ scaled) * (residuals @ residuals) / free
    sigma = np.full(len(size), np.inf)
    sigma[known] = np.sqrt(np.diag(covariance)) / size[known]
    return sigma


# ---- The model


class _Neighbours(NamedTuple):
    """Distances in units of the lattice parameter between two sites' kinds, and their number per atom of the crystal."""

    first: int
    second: int
    distance: Array
    number: Array


def crystal_gr(
    crystal: Crystal,
    r: Array,
    *,
    qmax: float,
    qmin: float = 0.0,
    qdamp: float = 0.0,
    qbroad: float = 0.0,
    delta1: float = 0.0,
    delta2: float = 0.0,
    diameter: float | None = None,
    weights: Weights = "q",
) -> Array:
    """Calculate G(r) of a cubic crystal; see :func:`fit_crystal` for the model.

    Parameters
    ----------
    crystal : Crystal
        The structure.
    r : ndarray, shape (nr,)
        Distances in Å.
    qmax, qmin : float
        Q range in 1/Å.
    qdamp, qbroad, delta1, delta2, diameter, weights
        As in :func:`fit_crystal`.

    Returns
    -------
    ndarray, shape (nr,)
        G(r) in 1/Å^2, on an absolute scale.

    Examples
    --------
    >>> from daisy_pdf.crystal import CRYSTALS
    >>> r = np.arange(2, 3, 0.01)
    >>> round(float(r[crystal_gr(CRYSTALS["Ni"], r, qmax=25).argmax()]), 2)
    2.49
    """
    from scipy.fft import dst, idst
    from scipy.interpolate import CubicSpline

    grid = _STEP * np.arange(1, int((np.max(r) + _BEYOND) / _STEP) + 1)
    fade = np.clip((grid[-1] - grid) / (_BEYOND - 2), 0, 1)
    envelope = np.exp(-0.5 * (qdamp * grid) ** 2) * np.sin(np.pi / 2 * fade) ** 2
    if diameter is not None:
        envelope *= np.where(grid < diameter, 1 - 1.5 * grid / diameter + 0.5 * (grid / diameter) ** 3, 0)
    q = np.pi / (_STEP * (_LENGTH + 1)) * np.arange(1, _LENGTH + 1)
    passed = _passed(q, qmin, qmax)
    used = int(np.count_nonzero(q < qmax + 0.1))
    spectrum = np.zeros(_LENGTH)

    def in_q(g: Array) -> Array:
        return np.asarray(dst(np.concatenate([g * envelope, np.zeros(_LENGTH - len(grid))]), type=1))[:used]

    kinds = _kinds(crystal)
    strength = _pair_strength(tuple(crystal.elements), q[:used], weights)
    spectrum[:used] = in_q(-4 * np.pi * crystal.density * grid)
    for pair in _neighbours(*_structure(crystal), int(grid[-1] / crystal.a) + 2):
        (one, u_one), (other, u_other) = kinds[pair.first], kinds[pair.second]
        distance = pair.distance * crystal.a
        reduction = 1 - delta1 / distance - delta2 / distance**2 + (qbroad * distance) ** 2
        width = np.sqrt((u_one + u_other) * np.maximum(reduction, 0.05))
        spectrum[:used] += strength[one, other] * in_q(_peaks(grid, distance, pair.number, width))
    limited = np.asarray(idst(spectrum * passed, type=1))[: len(grid)]
    return CubicSpline(np.append(0, grid), np.append(0, limited))(r)


def _passed(q: Array, qmin: float, qmax: float) -> Array:
    """Return 1 inside the Q range and 0 outside; the nodes at its ends count by the share of their cell."""
    step = q[1] - q[0]
    return np.clip((qmax - q) / step + 0.5, 0, 1) * np.clip((q - qmin) / step + 0.5, 0, 1)


def _peaks(grid: Array, distance: Array, number: Array, width: Array) -> Array:
    """Return ``1/r sum number Gauss(r - distance, width)``, each Gaussian evaluated where it is not zero."""
    reach = 6 * width
    first = np.searchsorted(grid, distance - reach)
    last = np.searchsorted(grid, distance + reach)
    lengths = np.maximum(last - first, 0)
    which = np.repeat(np.arange(len(distance)), lengths)
    place = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[which]
    x = (grid[place] - distance[which]) / width[which]
    values = (number / width)[which] * np.exp(-0.5 * x * x)
    return np.bincount(place, values, minlength=len(grid)) / (np.sqrt(2 * np.pi) * grid)


def _pair_strength(elements: tuple[str, ...], q: Array, weights: Weights) -> dict[tuple[str, str], Any]:
    """Return ``f_i f_j / <f>^2`` for each pair of elements."""
    try:
        from periodictable import cromermann
    except ImportError:
        raise InputError('models need periodictable, which is missing: pip install "daisy-suite[pdf]"') from None
    at = q if weights == "q" else np.zeros(1)
    factors = {element: np.asarray(cromermann.fxrayatq(element, at), float) for element in set(elements)}
    average = sum(factors[element] for element in elements) / len(elements)
    return {(i, j): factors[i] * factors[j] / average**2 for i in factors for j in factors}


def _kinds(crystal: Crystal) -> list[tuple[str, float]]:
    """Return the kinds of atoms: element and U_iso."""
    return list(dict.fromkeys(zip(crystal.elements, crystal.u_iso.tolist(), strict=True)))


def _structure(crystal: Crystal) -> tuple[tuple[int, ...], tuple[tuple[float, ...], ...]]:
    """Return kind and position of each atom: what the neighbours depend on, in a form that can be a key."""
    kinds = _kinds(crystal)
    kind_of = tuple(kinds.index(kind) for kind in zip(crystal.elements, crystal.u_iso.tolist(), strict=True))
    return kind_of, tuple(map(tuple, crystal.positions.tolist()))


@functools.lru_cache(maxsize=8)
def _neighbours(kinds: tuple[int, ...], positions: tuple[tuple[float, ...], ...], reach: int) -> list[_Neighbours]:
    """Return the neighbours up to ``reach`` lattice parameters, found with a k-d tree, equal distances collected."""
    from scipy.spatial import KDTree

    kind_of, sites = np.array(kinds), np.array(positions)
    cells = np.arange(-reach - 1, reach + 2)
    origins = np.stack(np.meshgrid(cells, cells, cells, indexing="ij"), axis=-1).reshape(-1, 3)
    found: list[_Neighbours] = []
    for second in np.unique(kind_of):
        tree = KDTree((origins[:, None] + sites[kind_of == second]).reshape(-1, 3))
        for first in np.unique(kind_of):
            centres = sites[kind_of == first]
            near = zip(tree.query_ball_point(centres, reach), centres, strict=True)
            apart = np.concatenate([np.linalg.norm(tree.data[some] - centre, axis=1) for some, centre in near])
            distances, counts = np.unique(np.round(apart[apart > 1e-6], 7), return_counts=True)
            found.append(_Neighbours(int(first), int(second), distances, counts / len(sites)))
    return found
