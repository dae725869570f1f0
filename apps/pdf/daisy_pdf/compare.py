"""How well two curves agree."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daisy_core import InputError, Param, ParameterError, algorithm

from .data import PairDistribution

Array = NDArray[Any]


class Agreement(NamedTuple):
    """How well a G(r) agrees with another, no scale fitted."""

    rw: float
    correlation: float


def rw(curve: Array, reference: Array) -> float:
    """Return the residual ``sqrt(sum (curve - reference)^2 / sum reference^2)``, with no scale fitted before.

    Parameters
    ----------
    curve, reference : (n,) array
        Values at the same points.

    Raises
    ------
    InputError
        If the shapes differ or the reference is zero everywhere.
    """
    curve, reference = np.asarray(curve, float), np.asarray(reference, float)
    if curve.shape != reference.shape:
        raise InputError(
            f"the curves have different shapes: {curve.shape} and {reference.shape}; interpolate one first"
        )
    norm = float(np.sum(reference**2))
    if norm == 0:
        raise InputError("the reference curve is zero everywhere")
    return float(np.sqrt(np.sum((curve - reference) ** 2) / norm))


@algorithm(version="1")
def agreement(
    gr: PairDistribution,
    reference: PairDistribution,
    *,
    rmin: Annotated[float, Param("From", unit="Å", ge=0)] = 1.5,
    rmax: Annotated[float, Param("To", unit="Å", gt=0)] = 30.0,
) -> Agreement:
    """Compare a G(r) with a reference, with no scale fitted.

    Parameters
    ----------
    gr, reference : PairDistribution
        The points of the reference are used; ``gr`` is interpolated linearly onto them.
    rmin, rmax : float, default 1.5 and 30
        Range of r in Å.

    Returns
    -------
    Agreement
        ``rw`` and the correlation coefficient.

    Raises
    ------
    InputError
        If the two do not cover the range.
    """
    if rmin >= rmax:
        raise ParameterError(f"agreement: 'rmin' = {rmin} must be below 'rmax' = {rmax} Å")
    inside = (reference.r >= rmin) & (reference.r <= rmax)
    points = reference.r[inside]
    if len(points) < 2 or points[0] < gr.r[0] or points[-1] > gr.r[-1] + 1e-9:
        raise InputError(
            f"the range {rmin} to {rmax} Å is not covered: G(r) has {gr.r[0]:g} to {gr.r[-1]:g} Å, "
            f"the reference {reference.r[0]:g} to {reference.r[-1]:g} Å"
        )
    ours, theirs = np.interp(points, gr.r, gr.g), reference.g[inside]
    return Agreement(rw(ours, theirs), float(np.corrcoef(ours, theirs)[0, 1]))
