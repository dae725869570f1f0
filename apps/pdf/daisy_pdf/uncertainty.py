"""Standard uncertainties and covariances of G(r), propagated linearly from those of the intensities.

The scale k is held fixed: it is one number from the whole pattern, and its own uncertainty only scales G by a common factor.
Everything else is linear, ``G = J I``, so ``cov(G) = J cov(I) J^T``. No Jacobian of nQ by nr is needed for the diagonal: with
``M`` the covariance of F before the polynomial correction, ``sin a sin b = (cos(a - b) - cos(a + b)) / 2`` makes the double sum
over Q two cosine transforms, and the polynomial adds a few sine transforms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .grid import Array, Grid
from .operators import PDFOperator
from .transform import chirp_z


def gr_sigma(operator: PDFOperator, scale: float, covariance: Any) -> Array:
    """Return the standard uncertainty of G(r), ``(nr,)``, in 1/Å².

    Parameters
    ----------
    operator : PDFOperator
        The reduction.
    scale : float
        Its scale k.
    covariance : sparse (nq, nq) array
        Covariance of the background-subtracted intensities at the Q nodes, see :meth:`Interpolation.covariance`.
    """
    weight = scale * operator.q.values * operator.per_atom
    of_f = _scaled(covariance, weight)
    variance = _kernel_variance(operator, of_f)
    basis, weights = operator.polynomial.basis, operator.polynomial.weights
    if weights.size:
        mixed = of_f @ basis
        taken = operator.transform.sine((operator.kernel[:, None] * basis[: operator.used]).T) * weights[:, None]
        cross = operator.transform.sine((operator.kernel[:, None] * mixed[: operator.used]).T)
        variance += np.einsum("ir,ir->r", taken, (basis.T @ mixed) @ taken - 2 * cross)
    # Near r = 0 the polynomial takes nearly everything: what is left below the rounding of the sums is that rounding.
    noise = np.finfo(float).eps * variance.max()
    return np.where(operator.r.values > 0, np.sqrt(np.maximum(variance, noise)), 0.0)


def gr_covariance(operator: PDFOperator, scale: float, covariance: Any) -> Array:
    """Return the full covariance of G(r), ``(nr, nr)``, in 1/Å⁴; neighbouring r are strongly correlated.

    Parameters
    ----------
    operator, scale, covariance
        As for :func:`gr_sigma`. The matrices are dense here: choose the r grid no finer than pi/qmax needs.
    """
    jacobian = gr_jacobian(operator, scale)
    return jacobian @ (covariance @ jacobian.T)


def gr_jacobian(operator: PDFOperator, scale: float) -> Array:
    """Return dG/dI at fixed scale, ``(nr, nq)``, for the background-subtracted intensities at the Q nodes."""
    sines = np.zeros((operator.r.count, operator.q.count))
    nodes = operator.q.values[: operator.used]
    sines[:, : operator.used] = np.sin(np.outer(operator.r.values, nodes)) * operator.kernel
    sines -= operator.polynomial.coefficients(sines) @ operator.polynomial.basis.T
    return sines * (scale * operator.q.values * operator.per_atom)


def _scaled(covariance: Any, weight: Array) -> Any:
    from scipy.sparse import csr_array, diags_array

    diagonal = diags_array(weight)
    return csr_array(diagonal @ covariance @ diagonal)


def _kernel_variance(operator: PDFOperator, of_f: Any) -> Array:
    """Return ``sum kernel sin(Q r) M kernel sin(Q' r)`` over Q and Q' up to qmax, ``(nr,)``."""
    from scipy.sparse import coo_array

    used, step = operator.used, operator.q.step
    entries = coo_array(of_f[:used, :used])
    row, column = entries.coords
    values = entries.data * operator.kernel[row] * operator.kernel[column]
    by_difference = np.bincount(np.abs(row - column), values, minlength=1).astype(float)
    by_sum = np.bincount(row + column, values, minlength=2 * used - 1).astype(float)
    differences = chirp_z(Grid(0.0, step, by_difference.size), operator.r).cosine(by_difference)
    sums = chirp_z(Grid(2 * operator.q.start, step, by_sum.size), operator.r).cosine(by_sum)
    return (differences - sums) / 2
