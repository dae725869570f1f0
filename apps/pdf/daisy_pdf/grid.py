"""Regular grids in Q and r, and the linear interpolation of measured points onto them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daisy_core import InputError, ParameterError

Array = NDArray[np.float64]

ROUNDED = 1e-4
"""Files print Q with six digits: a limit that is this close (1/Å) to a datum means the datum."""

_NODE = 1e-3
"""A node that misses the end of the data by less than this part of a step belongs to them: printed steps are rounded."""

_LONGEST = 1_000_000


@dataclass(frozen=True)
class Grid:
    """A regular grid: ``start + step * (0, 1, ... count - 1)``. It is small and hashable, so results are cached by it."""

    start: float
    step: float
    count: int

    @property
    def values(self) -> Array:
        """The grid points, ``(count,)``."""
        return self.start + self.step * np.arange(self.count, dtype=float)

    @property
    def stop(self) -> float:
        """The last grid point."""
        return self.start + self.step * (self.count - 1)


def q_grid(q: Array, qmin: float, qmaxinst: float) -> Grid:
    """Return the regular Q grid of a pattern: multiples of the mean step of its points.

    Parameters
    ----------
    q : (n,) array
        Ascending Q of the measured points, 1/Å.
    qmin, qmaxinst : float
        Limits of the grid, 1/Å. Only points up to ``qmaxinst`` count for the mean step.

    Returns
    -------
    Grid
        Nodes ``j * step`` with ``j`` from ``ceil(qmin / step)`` to ``floor(min(qmaxinst, q[-1]) / step)``.

    Raises
    ------
    InputError
        If fewer than ten points or nodes lie between the limits.
    """
    used = q[q <= qmaxinst + ROUNDED]
    if used.size < 10:
        raise InputError(f"only {used.size} points lie below Q = {qmaxinst:g} 1/Å; check qmaxinst and the unit of Q")
    step = float(np.mean(np.diff(used)))
    first = int(np.ceil(qmin / step - _NODE))
    last = int(np.floor(min(qmaxinst, float(q[-1])) / step + _NODE))
    if last - first < 9:
        raise InputError(f"only {max(last - first + 1, 0)} points lie between qmin = {qmin:g} and {qmaxinst:g} 1/Å")
    return Grid(first * step, step, last - first + 1)


def r_grid(rmin: float, rmax: float, rstep: float) -> Grid:
    """Return the r grid, both ends included.

    Parameters
    ----------
    rmin, rmax, rstep : float
        Limits and step, Å.

    Raises
    ------
    ParameterError
        If ``rmin`` is not below ``rmax``, or the grid would have more than a million points.
    """
    if not rmin < rmax:
        raise ParameterError(f"rmin = {rmin:g} must be below rmax = {rmax:g} Å")
    count = (rmax - rmin) / rstep
    if count > _LONGEST:
        raise ParameterError(
            f"rstep = {rstep:g} Å gives {count:.3g} points up to rmax = {rmax:g} Å; take a larger step"
        )
    return Grid(float(rmin), float(rstep), int(np.floor(count + 1e-6)) + 1)


class Interpolation:
    """Linear interpolation from measured points onto a grid, holding the first and the last value outside them.

    Parameters
    ----------
    q : (n,) array
        Ascending Q of the measured points, 1/Å.
    grid : Grid
        Where values are wanted.
    """

    def __init__(self, q: Array, grid: Grid) -> None:
        nodes = np.clip(grid.values, q[0], q[-1])
        self.left = np.clip(np.searchsorted(q, nodes, side="right") - 1, 0, q.size - 2)
        self.weight: Array = (nodes - q[self.left]) / np.diff(q)[self.left]
        self.size = q.size

    def __call__(self, values: Array) -> Array:
        """Return the values at the nodes, ``(..., n)`` to ``(..., count)``."""
        return values[..., self.left] * (1 - self.weight) + values[..., self.left + 1] * self.weight

    def covariance(self, sigma: Array) -> Any:
        """Return the covariance of the node values as a sparse matrix, ``(count, count)``.

        Neighbouring nodes share measured points, so their errors are correlated even where those of the points are not.

        Parameters
        ----------
        sigma : (n,) array
            Independent standard uncertainties of the measured points.
        """
        from scipy.sparse import csr_array

        count = self.left.size
        columns = np.column_stack((self.left, self.left + 1)).ravel()
        weights = np.column_stack((1 - self.weight, self.weight)) * np.column_stack(
            (sigma[self.left], sigma[self.left + 1])
        )
        spread = csr_array((weights.ravel(), columns, np.arange(0, 2 * count + 1, 2)), shape=(count, self.size))
        return spread @ spread.T
