"""How strongly the atoms of a sample scatter: ``<f>^2`` and ``<f^2>`` for X-rays, the same of b for neutrons."""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple

import numpy as np

from daisy_core import InputError

from .composition import Atom, parse_composition
from .grid import Array, Grid

Q_LIMIT = 24 * np.pi
"""The tabulated form factors end here, 1/Å (sin(theta)/lambda = 6)."""


class MeanScattering(NamedTuple):
    """Averages over the atoms of a sample, and what the user should know of them."""

    squared_mean: Array
    mean_square: Array
    warnings: tuple[str, ...] = ()


def mean_scattering(composition: str, q: Array, mode: Literal["xray", "neutron"] = "xray") -> MeanScattering:
    """Return ``<f>^2`` and ``<f^2>`` of a sample, averaged with its atomic fractions.

    X-rays: the form factors of Waasmaier and Kirfel [1]_, of ions where the formula names them. Neutrons: the bound
    coherent scattering lengths b in fm, complex where the atom absorbs, so ``|<b>|^2`` and ``<|b|^2>``.

    Parameters
    ----------
    composition : str
        Chemical formula, see :func:`parse_composition`.
    q : (nq,) array
        Q, 1/Å.
    mode : {'xray', 'neutron'}
        Radiation.

    Returns
    -------
    MeanScattering
        ``squared_mean`` and ``mean_square``, both ``(nq,)``, in electrons² or fm².

    Raises
    ------
    InputError
        If an atom has no tabulated value, Q exceeds the table, or the average vanishes.

    References
    ----------
    .. [1] D. Waasmaier, A. Kirfel, Acta Cryst. A51, 416 (1995), doi:10.1107/S0108767394013292
    """
    atoms = parse_composition(composition)
    q = np.asarray(q, float)
    notes: list[str] = []
    if mode == "xray" and q.size and q.max() > Q_LIMIT:
        raise InputError(
            f"Q runs to {q.max():g} 1/Å but form factors are tabulated to {Q_LIMIT:.1f} 1/Å; is Q in 1/nm?"
        )
    mean: Any = np.zeros_like(q)
    square: Array = np.zeros_like(q)
    for atom, fraction in atoms.items():
        factor: Any = _form_factor(atom, q, notes) if mode == "xray" else _scattering_length(atom, notes)
        mean = mean + fraction * factor
        square = square + fraction * np.abs(factor) ** 2
    squared: Array = np.abs(mean) ** 2
    if np.any(squared <= 1e-4 * square):
        what = "scattering length" if mode == "neutron" else "form factor"
        raise InputError(f"the average {what} of '{composition}' vanishes, so S(Q) cannot be normalised by it")
    return MeanScattering(squared, square, tuple(notes))


@functools.lru_cache(maxsize=32)
def mean_scattering_on(composition: str, grid: Grid, mode: Literal["xray", "neutron"]) -> MeanScattering:
    """Return :func:`mean_scattering` on a grid, kept for the next call."""
    return mean_scattering(composition, grid.values, mode)


def _form_factor(atom: Atom, q: Array, notes: list[str]) -> Array:
    from periodictable import cromermann

    for name in dict.fromkeys((str(Atom(atom.symbol, atom.charge)), atom.symbol)):
        try:
            values: Array = cromermann.fxrayatq(name, q)
        except KeyError:
            continue
        if atom.charge and name == atom.symbol:
            notes.append(f"no form factor is tabulated for the ion {atom}; the one of the neutral atom was used")
        return values
    raise InputError(f"no X-ray form factor is tabulated for {atom.symbol}")


def _scattering_length(atom: Atom, notes: list[str]) -> complex:
    import periodictable

    element = periodictable.elements.symbol(atom.symbol)
    neutron = (element[atom.isotope] if atom.isotope else element).neutron
    if neutron is None or neutron.b_c is None:
        raise InputError(f"no coherent neutron scattering length is tabulated for {atom}")
    length = complex(neutron.b_c, neutron.b_c_i or 0.0)
    if abs(length.imag) > 0.1 * abs(length.real):
        notes.append(f"{atom} absorbs neutrons near a resonance: its scattering length depends on the wavelength")
    return length
