"""What a user should know of a reduction before trusting it: impossible requests, and warnings in whole sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from daisy_core import InputError, ParameterError

from .composition import parse_composition
from .config import PDFConfig
from .grid import ROUNDED, Array, Grid

QMAX_LIMITS = (3.0, 60.0)
"""Data that end outside these Q (1/Å) are not total scattering but a mix-up of units."""

_USUAL_QMAX = (5.0, 40.0)
_SHORTEST_BOND = 0.7  # Å, H-H is 0.74
_NOISY = 0.02  # share of noise in sum(g^2), by which the scale is wrong


def check_q_range(last: float, name: str) -> None:
    """Refuse data that end at a Q where total scattering never does.

    Parameters
    ----------
    last : float
        Largest Q with data, 1/Å.
    name : str
        File or pattern, for the message.

    Raises
    ------
    InputError
        Naming the likely mix-up of units.
    """
    low, high = QMAX_LIMITS
    if last > high:
        raise InputError(
            f"{name}: the data would run to Q = {last:.4g} 1/Å, more than any instrument reaches; the axis is probably Q in "
            "1/nm (dataformat Qnm) or 2theta in degrees (dataformat twotheta)"
        )
    if last < low:
        raise InputError(
            f"{name}: the data would end at Q = {last:.4g} 1/Å, too low for a PDF; the axis is probably Q in 1/Å "
            "(dataformat QA) or the wavelength is too long"
        )


def limits(config: PDFConfig, q: Array, intensity: Array, name: str) -> tuple[float, float, list[str]]:
    """Return the ``qmaxinst`` and ``qmax`` that the data allow, and what was changed for it.

    Parameters
    ----------
    config : PDFConfig
        What was asked for.
    q, intensity : (n,) array
        The sample pattern; intensities of zero at its end are no data.
    name : str
        Name of the pattern, for messages.

    Raises
    ------
    InputError
        If all intensities are zero, or Q ends where total scattering never does.
    ParameterError
        If ``qmin`` is not below ``qmax``.
    """
    filled = np.flatnonzero(intensity)
    if filled.size == 0:
        raise InputError(f"{name}: all intensities are zero")
    last = float(q[filled[-1]])
    check_q_range(last, name)
    notes: list[str] = []
    if filled[-1] < q.size - 1 and (config.qmaxinst is None or config.qmaxinst > last + ROUNDED):
        notes.append(f"{name}: the intensities above Q = {last:g} 1/Å are zero, so qmaxinst = {last:g} 1/Å was used")
    elif config.qmaxinst is not None and config.qmaxinst > last + ROUNDED:
        notes.append(f"qmaxinst = {config.qmaxinst:g} 1/Å is beyond the data, which end at {last:g} 1/Å; that was used")
    qmaxinst = last if config.qmaxinst is None else min(config.qmaxinst, last)
    qmax = qmaxinst if config.qmax is None else min(config.qmax, qmaxinst)
    if config.qmax is not None and config.qmax > qmaxinst + ROUNDED:
        notes.append(
            f"qmax = {config.qmax:g} 1/Å is above qmaxinst = {qmaxinst:g} 1/Å; qmax = {qmaxinst:g} 1/Å was used"
        )
    if config.qmin >= qmax:
        raise ParameterError(f"qmin = {config.qmin:g} must be below qmax = {qmax:g} 1/Å")
    return qmaxinst, qmax, notes


def leading_data(config: PDFConfig, q: Array, intensity: Array, step: float, name: str) -> Iterator[str]:
    """Yield warnings about the start of the data: a held first value, zeros behind the beam stop."""
    if q[0] - config.qmin > 2 * step:
        yield (f"{name}: the data start at Q = {q[0]:.4g} 1/Å; from qmin = {config.qmin:g} up to there the first intensity "
               "is held constant")  # fmt: skip
    first = float(q[np.flatnonzero(intensity)[0]])
    if np.any((q >= config.qmin) & (q < first)):
        yield f"{name}: the intensities below Q = {first:.4g} 1/Å are zero (beam stop?); a qmin from there on leaves them out"


def sampling(q: Grid, qmax: float, r: Grid) -> Iterator[str]:
    """Yield warnings about grids that cannot carry what they are asked to."""
    if r.step > np.pi / qmax * (1 + 1e-9):
        yield f"rstep = {r.step:g} Å is coarser than pi/qmax = {np.pi / qmax:.3g} Å: G(r) is not fully sampled"
    if r.stop > np.pi / q.step:
        yield (f"rmax = {r.stop:g} Å is beyond pi/dQ = {np.pi / q.step:.4g} Å for the Q step {q.step:.4g} 1/Å: "
               "G(r) repeats itself there")  # fmt: skip
    low, high = _USUAL_QMAX
    if not low <= qmax <= high:
        yield f"qmax = {qmax:.4g} 1/Å is unusual for a PDF ({low:g} to {high:g}); check the unit of Q and the wavelength"


def negative_share(intensity: Array, q: Array) -> Iterator[str]:
    """Yield a warning with the share of negative intensities, if any.

    Raises
    ------
    InputError
        If most are negative.
    """
    negative = intensity < 0
    share = float(negative.mean())
    if share > 0.5:
        raise InputError(
            f"{share:.0%} of the intensities are negative after background subtraction; lower bgscale, or check that sample "
            "and background were not exchanged"
        )
    if share > 0:
        where = q[negative]
        advice = (
            "the background is oversubtracted: lower bgscale"
            if share > 0.1
            else "raise qmin or lower bgscale if it matters"
        )
        yield (f"{share:.1%} of the intensities are negative after background subtraction (Q = {where[0]:.3g} to "
               f"{where[-1]:.3g} 1/Å); {advice}")  # fmt: skip


def first_peak(r: Array, g: Array) -> Iterator[str]:
    """Yield a warning where the strongest feature of G(r) is at a distance that no two atoms have."""
    at = float(r[np.argmax(np.abs(g))])
    if 0 < at < _SHORTEST_BOND and r[-1] > 3:
        yield (f"the strongest feature of G(r) is at r = {at:.3g} Å, closer than any two atoms; check the unit of Q, "
               "the composition, bgscale and rpoly")  # fmt: skip


def _bonds(composition: str) -> tuple[float, float, float]:
    """Return distances between which the first strong peak lies, and the shortest bond of the heaviest atom, all in Å.

    Sums of covalent radii (Cordero et al. 2008, doi:10.1039/b801115j), with room for multiple bonds and for packing without
    bonds. Hydrogen, hardly seen, does not count.
    """
    import periodictable

    symbols = {atom.symbol for atom in parse_composition(composition)}
    elements = [periodictable.elements.symbol(symbol) for symbol in symbols - {"H"} or symbols]
    sized = [(element.number, float(element.covalent_radius)) for element in elements if element.covalent_radius]
    if not sized:
        return _SHORTEST_BOND, 4.5, np.inf
    radii, heaviest = [radius for _, radius in sized], max(sized)[1]
    return max(_SHORTEST_BOND, 1.4 * min(radii)), max(4.0, 3.2 * max(radii)), 0.9 * (heaviest + min(radii))


def peaks(r: Array, g: Array, config: PDFConfig) -> Iterator[str]:
    """Yield warnings where the peaks of G(r) are not where atoms of the composition can be, or where rpoly takes them off."""
    low, high, bond = _bonds(config.composition)
    if config.rpoly >= bond:
        yield (f"rpoly = {config.rpoly:g} Å reaches the bond lengths of {config.composition} (from about {bond:.2g} Å): the "
               "polynomial takes off the peaks of G(r) below rpoly; lower it")  # fmt: skip
        return
    near = (r > _SHORTEST_BOND) & (r < max(5.0, high))
    if r[0] > low or r[-1] < max(5.0, high) or np.count_nonzero(near) < 3:
        return
    at, height = r[near], g[near]
    tops = np.flatnonzero((height[1:-1] > height[:-2]) & (height[1:-1] >= height[2:])) + 1
    if not tops.size:
        return
    strongest = tops[np.argmax(height[tops])]
    first = tops[(height[tops] >= 0.3 * height[strongest]) & (at[tops] >= low)]
    advice = "check the unit of Q, the wavelength and the composition"
    if at[strongest] < low:
        yield (f"the strongest peak of G(r) near the origin is at r = {at[strongest]:.3g} Å, closer than atoms of "
               f"{config.composition} come ({low:.2g} Å); {advice}")  # fmt: skip
    elif at[first[0]] > high:
        yield (f"the first strong peak of G(r) is at r = {at[first[0]]:.3g} Å, farther than neighbours in "
               f"{config.composition} usually are (up to {high:.2g} Å); {advice}")  # fmt: skip


def holes(q: Array, intensity: Array, grid: Grid, name: str) -> Iterator[str]:
    """Yield a warning where points are exactly zero though those around them are not: bins without pixels.

    Zeros that counting noise can give are left alone.
    """
    filled = np.flatnonzero(intensity)
    inside = (q >= max(grid.start, float(q[filled[0]]))) & (q <= min(grid.stop, float(q[filled[-1]])))
    edges = np.diff((inside & (intensity == 0)).astype(int), prepend=0, append=0)
    empty: list[int] = []
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        at = int(np.searchsorted(filled, start))
        around = intensity[filled[max(at - 15, 0) : at + 15]]
        steps = np.abs(np.diff(around))
        # Few counts often repeat: only the steps between different ones tell how large a count is.
        noise = float(np.median(steps[steps > 0])) if steps.any() else 0.0
        if abs(float(np.median(around))) > 5 * noise:
            empty += range(int(start), int(stop))
    if empty:
        yield (f"{name}: {len(empty)} point(s) between Q = {q[empty[0]]:.4g} and {q[empty[-1]]:.4g} 1/Å are exactly zero, those "
               "around them are not (bins without pixels?); leave these points out, or make them NaN")  # fmt: skip


def hot_point(q: Array, normalised: Array) -> Iterator[str]:
    """Yield a warning where a single point carries much of what the scale is fitted to: a hot pixel, no diffraction peak."""
    squares = normalised**2
    top = int(np.argmax(squares))
    share = float(squares[max(top - 1, 0) : top + 2].sum() / squares.sum())
    beside = np.abs(np.r_[normalised[max(top - 5, 0) : max(top - 1, 0)], normalised[top + 2 : top + 6]])
    if share > 0.3 and abs(normalised[top]) > 10 * float(np.median(beside)):
        yield (f"the intensity at Q = {q[top]:.4g} 1/Å stands alone and carries {share:.0%} of the fit of the scale (a hot pixel?); "
               "mask it, or leave that point out")  # fmt: skip


def low_counts(normalised: Array, variance: Array) -> Iterator[str]:
    """Yield a warning where noise is so large that it biases the scale.

    The scale divides by ``sum(g^2)``, to which noise adds its variance: k, and G with it, comes out too small.
    """
    share = float(variance.sum() / max(float(np.sum(normalised**2)) - variance.sum(), np.finfo(float).tiny))
    if share > _NOISY:
        size = f"about {share:.0%}" if share < 1 else "more than a half"
        yield (f"the counts are low: the scale, and G(r) with it, is too small by {size}, and sigma does not contain that; "
               "count longer, use wider Q bins or lower qmaxinst")  # fmt: skip
