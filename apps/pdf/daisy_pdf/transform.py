"""The Fourier sum between Q and r on any pair of regular grids, and the windows that F(Q) may be multiplied by."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daisy_core import InputError, ParameterError

from .grid import Array, Grid

_ROWS = 8  # rows transformed together: their buffers stay in the processor's cache
_FIRST_ZERO_OF_J1 = 4.493409457909064


class ChirpZ:
    """Sums over a regular grid ``x`` of ``a(x) exp(i x y)`` at every point of a regular grid ``y``.

    Any start and step of both grids is exact (to about 1e-13): nothing is interpolated, and no matrix is stored. The cost
    is that of three fast Fourier transforms of the length of both grids together [1]_.

    Parameters
    ----------
    x, y : Grid
        Grids of the sum and of the result.

    References
    ----------
    .. [1] L. I. Bluestein, IEEE Trans. Audio Electroacoust. 18, 451 (1970), doi:10.1109/TAU.1970.1162132
    """

    def __init__(self, x: Grid, y: Grid) -> None:
        fft = _fft()
        self.x, self.y = x, y
        half = 0.5 * x.step * y.step
        m, k = np.arange(x.count, dtype=float), np.arange(y.count, dtype=float)
        self._length = fft.next_fast_len(x.count + y.count - 1, real=True)  # no factors of 7 and 11: a little faster
        self._before = np.exp(1j * (m * x.step * y.start + half * m * m))
        chirp = np.zeros(self._length, complex)
        chirp[: y.count] = np.exp(-1j * half * k * k)
        chirp[self._length - x.count + 1 :] = np.exp(-1j * half * m[:0:-1] ** 2)
        self._chirp: NDArray[np.complex128] = fft.fft(chirp)
        after: NDArray[np.complex128] = np.exp(1j * (x.start * y.values + half * k * k))
        self._real, self._imag = after.real.copy(), after.imag.copy()

    def sine(self, a: Array, *, workers: int = 1) -> Array:
        """Return the sums of ``a(x) sin(x y)``, ``(..., nx)`` to ``(..., ny)``."""
        return self._apply(a, self._imag, self._real, workers)

    def cosine(self, a: Array, *, workers: int = 1) -> Array:
        """Return the sums of ``a(x) cos(x y)``, ``(..., nx)`` to ``(..., ny)``."""
        return self._apply(a, self._real, -self._imag, workers)

    def _apply(self, a: Array, real: Array, imag: Array, workers: int) -> Array:
        fft = _fft()
        rows = np.asarray(a, float).reshape(-1, self.x.count)
        out = np.empty((len(rows), self.y.count))
        for first in range(0, len(rows), _ROWS * workers):
            some = slice(first, first + _ROWS * workers)
            work = np.zeros((len(rows[some]), self._length), complex)
            np.multiply(rows[some], self._before, out=work[:, : self.x.count])
            work = fft.fft(work, axis=1, overwrite_x=True, workers=workers)
            work *= self._chirp
            work = fft.ifft(work, axis=1, overwrite_x=True, workers=workers)[:, : self.y.count]
            np.multiply(work.real, real, out=out[some])
            out[some] += work.imag * imag
        return out.reshape(*np.shape(a)[:-1], self.y.count)


def _fft() -> Any:
    from scipy import fft

    return fft


@functools.lru_cache(maxsize=32)
def chirp_z(x: Grid, y: Grid) -> ChirpZ:
    """Return the transform between two grids, kept for the next call."""
    return ChirpZ(x, y)


def gr_from_fq(q: Array, f: Array, r: Array, *, workers: int = 1) -> Array:
    """Fourier transform F(Q) to G(r): ``2/pi * sum F sin(Q r) dQ``, each point with full weight.

    Parameters
    ----------
    q : (nq,) array
        Regular Q grid, 1/Å.
    f : (..., nq) array
        One or many F(Q), 1/Å.
    r : (nr,) array
        Regular r grid, Å.
    workers : int
        Threads.

    Returns
    -------
    (..., nr) array
        G(r), 1/Å².

    Raises
    ------
    InputError
        If a grid is not regular.

    Examples
    --------
    >>> q, r = np.arange(1, 20, 0.02), np.arange(0, 30, 0.01)
    >>> int(gr_from_fq(q, np.sin(2.5 * q), r).argmax())  # 2.5 Å
    250
    """
    grid = _regular(q, "q")
    return (2 / np.pi * grid.step) * chirp_z(grid, _regular(r, "r")).sine(f, workers=workers)


def _regular(values: Array, name: str) -> Grid:
    values = np.asarray(values, float)
    if values.ndim != 1 or values.size < 2:
        raise InputError(f"the {name} grid needs two points or more in one dimension; got the shape {values.shape}")
    grid = Grid(float(values[0]), float((values[-1] - values[0]) / (values.size - 1)), values.size)
    if not np.allclose(values, grid.values, rtol=0, atol=1e-3 * abs(grid.step)) or grid.step == 0:
        raise InputError(f"the {name} grid is not regular; interpolate it first")
    return grid


def window(q: Array, qmax: float, names: Sequence[str]) -> Array:
    """Return the product of termination functions, ``(nq,)``, at Q up to ``qmax``.

    Parameters
    ----------
    q : (nq,) array
        Q, 1/Å.
    qmax : float
        Where the data end, 1/Å.
    names : sequence of str
        ``step``: 1. ``lorch``: ``sin(x)/x``, x = pi Q/qmax [1]_. ``revised_lorch``: ``3 (sin x - x cos x)/x^3``, the
        transform of a sphere [2]_, with x = 4.4934 Q/qmax so that it falls to zero at qmax. ``cosine``:
        ``(1 + cos(pi Q/qmax))/2``.

    Raises
    ------
    ParameterError
        If a name is none of these.

    References
    ----------
    .. [1] E. Lorch, J. Phys. C 2, 229 (1969), doi:10.1088/0022-3719/2/2/305
    .. [2] A. K. Soper, E. R. Barney, J. Appl. Cryst. 44, 714 (2011), doi:10.1107/S0021889811021455
    """
    u = np.asarray(q, float) / qmax
    product = np.ones_like(u)
    for name in names:
        if name == "lorch":
            product *= np.sinc(u)
        elif name == "revised_lorch":
            product *= _sphere(_FIRST_ZERO_OF_J1 * u)
        elif name == "cosine":
            product *= 0.5 * (1 + np.cos(np.pi * u))
        elif name != "step":
            raise ParameterError(f"there is no window '{name}'; take step, lorch, revised_lorch or cosine")
    return product


def _sphere(x: Array) -> Array:
    """``3 (sin x - x cos x) / x^3``, by its series where the difference would lose digits."""
    safe = np.where(x < 0.05, 1.0, x)
    return np.where(x < 0.05, 1 - x**2 / 10 + x**4 / 280, 3 * (np.sin(safe) - safe * np.cos(safe)) / safe**3)
