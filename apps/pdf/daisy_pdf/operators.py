"""The array core of the ad hoc reduction: everything that does not depend on the intensities, made once and kept."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import numpy as np

from daisy_core import InputError, ParameterError

from .config import PDFConfig, Window
from .grid import ROUNDED, Array, Grid, r_grid
from .polynomial import polynomial_correction
from .scattering import mean_scattering_on
from .transform import chirp_z, window

_ROWS = 8  # patterns reduced together: their arrays stay in the processor's cache


class Stages(NamedTuple):
    """The functions on the way from I(Q) to G(r), each ``(..., nq)`` but for ``scale`` ``(...)`` and ``g`` ``(..., nr)``."""

    scale: Array
    s: Array
    f: Array
    polynomial: Array
    g: Array


class PDFOperator:
    """Everything of a reduction that does not depend on the intensities; see :func:`pdf_operator`.

    With ``g = I/<f>^2`` and ``t = <f^2>/<f>^2``, the scale ``k = sum(g t)/sum(g^2)`` brings the intensities onto the
    scattering of free atoms by least squares, ``S = k g - (t - 1)``, and F = Q (S - 1) loses its polynomial part. For a
    given scale all that is linear in the intensities.

    Parameters
    ----------
    q : Grid
        Q nodes from qmin to qmaxinst, 1/Å.
    r : Grid
        r grid of G, Å.
    composition, mode
        Sample and radiation, see :func:`mean_scattering`.
    rpoly : float
        Å, see :class:`PolynomialCorrection`.
    qmax : float
        End of the Fourier transform, 1/Å.
    windows : tuple of str
        Termination functions, see :func:`window`.

    Attributes
    ----------
    used : int
        Number of nodes up to qmax: F and S are given there.
    kernel : (used,) array
        ``2/pi dQ`` times the window.
    """

    def __init__(
        self, q: Grid, r: Grid, composition: str, mode: Literal["xray", "neutron"], rpoly: float, qmax: float,
        windows: tuple[Window, ...],
    ) -> None:  # fmt: skip
        self.q, self.r = q, r
        atoms = mean_scattering_on(composition, q, mode)
        self.warnings = atoms.warnings
        self.per_atom: Array = 1 / atoms.squared_mean
        self.self_scattering: Array = atoms.mean_square * self.per_atom
        self.polynomial = polynomial_correction(q, rpoly)
        self.used = int(np.sum(q.values <= qmax + ROUNDED))
        kept = q.values[: self.used]
        self.kernel: Array = (2 / np.pi * q.step) * window(kept, qmax, windows)
        self.transform = chirp_z(Grid(q.start, q.step, self.used), r)

    def scale(self, intensity: Array) -> Array:
        """Return the scale k of one or many patterns, ``(..., nq)`` to ``(...)``.

        Raises
        ------
        InputError
            If a pattern has no positive scale, or one beyond the range of numbers.
        """
        # Counts in any unit: their squares must neither overflow nor vanish.
        largest = np.abs(intensity).max(axis=-1)
        unit = np.where(largest > 0, largest, 1.0)
        normalised = intensity / unit[..., None] * self.per_atom
        overlap, power = normalised @ self.self_scattering, np.einsum("...q,...q->...", normalised, normalised)
        if np.any(~(overlap > 0)):
            which = f" of pattern {int(np.argmin(np.atleast_1d(overlap > 0)))}" if np.ndim(overlap) else ""
            raise InputError(
                f"the intensities{which} are zero or negative on the whole, so they cannot be scaled to the scattering of the "
                "sample's atoms; lower bgscale, or check that sample and background were not exchanged"
            )
        with np.errstate(over="ignore"):
            scale = overlap / power / unit
        if not np.all(np.isfinite(scale)):
            raise InputError(
                f"the intensities are too small to be scaled (largest {np.max(largest):.3g}); give them in counts"
            )
        return scale

    def stages(self, intensity: Array, *, workers: int = 1) -> Stages:
        """Return all functions from I(Q) at the nodes, background already subtracted, to G(r)."""
        q = self.q.values
        scale = self.scale(intensity)
        s = scale[..., None] * (intensity * self.per_atom) - (self.self_scattering - 1)
        f = q * (s - 1)
        polynomial = self.polynomial.fit(f)
        slope = self.polynomial.slope_at_zero(f)
        with np.errstate(divide="ignore", invalid="ignore"):
            s = s - np.where(q > 0, polynomial / q, slope[..., None])
        f = (f - polynomial)[..., : self.used]
        g = self.transform.sine(f * self.kernel, workers=workers)
        return Stages(scale, s[..., : self.used], f, polynomial[..., : self.used], g)

    def apply(self, intensities: Array, *, workers: int = 1) -> Array:
        """Reduce many patterns at once.

        Parameters
        ----------
        intensities : (n, nq) array
            Intensities at the Q nodes, background already subtracted.
        workers : int
            Threads of the Fourier transform.

        Returns
        -------
        (n, nr) array
            G(r), 1/Å².
        """
        q, basis = self.q.values, self.polynomial.basis
        out = np.empty((len(intensities), self.r.count))
        weighted = self.polynomial.weights[:, None] * basis[: self.used].T
        for first in range(0, len(intensities), _ROWS * workers):
            some = intensities[first : first + _ROWS * workers]
            f = some * self.per_atom
            f *= self.scale(some)[:, None]
            f -= self.self_scattering
            f *= q
            kept = f[:, : self.used] - (f @ basis) @ weighted
            kept *= self.kernel
            out[first : first + len(some)] = self.transform.sine(kept, workers=workers)
        return out


@functools.lru_cache(maxsize=32)
def _operator(
    q: Grid,
    r: Grid,
    composition: str,
    mode: Literal["xray", "neutron"],
    rpoly: float,
    qmax: float,
    windows: tuple[Window, ...],
) -> PDFOperator:
    return PDFOperator(q, r, composition, mode, rpoly, qmax, windows)


def pdf_operator(q: Grid, config: PDFConfig) -> PDFOperator:
    """Return the operator of a Q grid and a configuration, kept for the next call.

    Parameters
    ----------
    q : Grid
        Q nodes, 1/Å, see :func:`q_grid`.
    config : PDFConfig
        ``qmax`` empty means the end of the grid.

    Returns
    -------
    PDFOperator
        ``.apply(intensities)`` gives G(r) of many patterns, ``.stages(intensity)`` all functions of one.
    """
    if not config.composition:
        raise ParameterError(
            "composition is empty; give the chemical formula of the sample, such as composition = LaB6"
        )
    qmax = q.stop if config.qmax is None else config.qmax
    r = r_grid(config.rmin, config.rmax, config.rstep)
    return _operator(q, r, config.composition, config.mode, config.rpoly, qmax, config.terminationfunctions)
