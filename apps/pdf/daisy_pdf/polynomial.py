"""The polynomial through zero that the ad hoc correction takes off F(Q)."""

from __future__ import annotations

import functools

import numpy as np

from daisy_core import ParameterError

from .grid import Array, Grid


class PolynomialCorrection:
    """Least-squares polynomials in Q without a constant term, of a degree that need not be whole.

    The degree ``n = rpoly (Q_last - Q_first) / pi`` is such that the polynomial cannot follow features of G(r) beyond about
    ``rpoly`` [1]_. Between two whole degrees the fits of both are mixed linearly. With an orthonormal basis whose leading
    columns span the lower degrees, that is ``B diag(1, ... 1, n - floor(n)) B^T F``: one linear map.

    Parameters
    ----------
    q : Grid
        The Q grid of F, 1/Å.
    rpoly : float
        Å. The correction is nothing where it gives a degree below one.

    Attributes
    ----------
    degree : float
        The degree n.
    basis : (nq, m) array
        Orthonormal columns.
    weights : (m,) array
        One, but for the last.

    References
    ----------
    .. [1] P. Juhás et al., J. Appl. Cryst. 46, 560 (2013), doi:10.1107/S0021889813005190
    """

    def __init__(self, q: Grid, rpoly: float) -> None:
        self.degree = rpoly * (q.stop - q.start) / np.pi
        columns = int(np.ceil(self.degree)) if self.degree >= 1 else 0
        if columns >= q.count // 2:
            raise ParameterError(
                f"rpoly = {rpoly:g} Å means a polynomial of degree {self.degree:.0f}, too many for {q.count} points"
            )
        # Q times Legendre polynomials on [0, Q_last] span the powers 1..m as Q, Q^2 ... do, but stay far from parallel.
        last = q.stop
        vander = (q.values / last)[:, None] * np.polynomial.legendre.legvander(
            2 * q.values / last - 1, max(columns - 1, 0)
        )
        self.basis, triangle = np.linalg.qr(vander[:, :columns])
        self.weights = np.ones(columns)
        if columns and self.degree < columns:
            self.weights[-1] = self.degree - np.floor(self.degree)
        self._slopes = np.linalg.solve(triangle.T, (-1.0) ** np.arange(columns) / last) if columns else np.zeros(0)

    def fit(self, f: Array) -> Array:
        """Return the polynomial of F, ``(..., nq)``."""
        return self.coefficients(f) @ self.basis.T

    def coefficients(self, f: Array) -> Array:
        """Return the weighted coefficients in the orthonormal basis, ``(..., m)``."""
        return (f @ self.basis) * self.weights

    def slope_at_zero(self, f: Array) -> Array:
        """Return the slope of the polynomial at Q = 0, ``(...)``: what it takes off S(0)."""
        return self.coefficients(f) @ self._slopes


@functools.lru_cache(maxsize=32)
def polynomial_correction(q: Grid, rpoly: float) -> PolynomialCorrection:
    """Return the correction of a grid, kept for the next call."""
    return PolynomialCorrection(q, rpoly)
