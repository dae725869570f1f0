"""What a user should know of a reduction before trusting it: impossible requests, and warnings in whole sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from daisy_core import InputError, ParameterError

from .config import PDFConfig
from .grid import ROUNDED, Array, Grid

QMAX_LIMITS = (3.0, 60.0)
"""Data that end outside these Q (1/Å) are not total scattering but a mix-up of units."""

_USUAL_QMAX = (5.0, 40.0)
_SHORTEST_BOND = 0.7  # Å, H-H is 0.74


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
