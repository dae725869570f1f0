"""How well two curves agree."""

from __future__ import annotations

import numpy as np

from daisy_core import InputError

from .grid import Array


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
