"""Cubic crystal structures: the two built-in ones, and a reader for CIF files."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from daisy_core import Axes, File, InputError, Unit, algorithm, data

from .textfile import read_text

Array = NDArray[Any]


@data
class Crystal:
    """A cubic crystal: lattice parameter, and element, fractional position and U_iso of each atom in the cell."""

    name: str
    a: Annotated[float, Unit("Å")]
    elements: tuple[str, ...]
    positions: Annotated[Array, Axes("atom", "xyz"), Unit("1")]
    u_iso: Annotated[Array, Axes("atom"), Unit("Å^2")]

    def __post_init__(self) -> None:
        if self.positions.shape != (len(self.elements), 3) or self.u_iso.shape != (len(self.elements),):
            raise InputError(
                f"crystal {self.name}: needs one element, one position (x, y, z) and one U_iso for each atom"
            )
        if self.a <= 0 or (self.u_iso <= 0).any():
            raise InputError(f"crystal {self.name}: lattice parameter and U_iso must be above zero")

    @property
    def density(self) -> float:
        """Number density in atoms/Å^3."""
        return len(self.elements) / self.a**3

    @property
    def composition(self) -> str:
        """Chemical formula, such as ``CeO2``."""
        kinds = list(dict.fromkeys(self.elements))
        counts = [self.elements.count(kind) for kind in kinds]
        unit = math.gcd(*counts)
        return "".join(kind + (str(n // unit) if n > unit else "") for kind, n in zip(kinds, counts, strict=True))


_FACE_CENTRED = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
_OXYGEN = tuple((x, y, z) for x in (0.25, 0.75) for y in (0.25, 0.75) for z in (0.25, 0.75))

CRYSTALS = {
    "Ni": Crystal("Ni", 3.5238, ("Ni",) * 4, np.array(_FACE_CENTRED), np.full(4, 0.0055)),
    "CeO2": Crystal(
        "CeO2",
        5.4116,
        ("Ce",) * 4 + ("O",) * 8,
        np.array(_FACE_CENTRED + _OXYGEN),
        np.array([0.0031] * 4 + [0.0070] * 8),
    ),
}
"""Built-in crystals: nickel, and ceria (fluorite structure)."""


@algorithm(version="1", reads=Crystal)
def read_cif(path: File) -> Crystal:
    """Read a cubic crystal from a CIF file.

    Parameters
    ----------
    path : Path
        The file, with cell, symmetry operations and atom sites. Sites without U_iso or B_iso get 0.005 Å^2.

    Returns
    -------
    Crystal
        All atoms of the cell.

    Raises
    ------
    InputError
        If the file lacks what is needed, the cell is not cubic, or a site is not fully occupied.

    References
    ----------
    Hall, Allen & Brown (1991), Acta Cryst. A47, 655, https://doi.org/10.1107/S010876739101067X

    Examples
    --------
    >>> nickel = read_cif("Ni.cif")  # doctest: +SKIP
    """
    items, loops = _parse(read_text(path), str(path))
    a = _cubic(items, str(path))
    operations = _column(loops, "_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
    sites = next((loop for loop in loops if "_atom_site_fract_x" in loop), None)
    if sites is None or not operations:
        what = (
            "atom sites (_atom_site_fract_x ...)"
            if sites is None
            else "symmetry operations (_symmetry_equiv_pos_as_xyz)"
        )
        raise InputError(f"{path}: has no {what}")
    elements, positions, u_iso = [], [], []
    for element, xyz, u in _sites(sites, str(path)):
        equivalent = _orbit(xyz, operations, str(path))
        elements += [element] * len(equivalent)
        positions += equivalent
        u_iso += [u] * len(equivalent)
    return Crystal(Path(path).stem, a, tuple(elements), np.array(positions), np.array(u_iso))


def _parse(text: str, path: str) -> tuple[dict[str, str], list[dict[str, list[str]]]]:
    """Split a CIF into its single items and its loops, each a mapping of column names to values."""
    items: dict[str, str] = {}
    loops: list[dict[str, list[str]]] = []
    names: list[str] | None = None  # of the loop that is being read
    for line in re.sub(r"^;.*?^;", "", text, flags=re.MULTILINE | re.DOTALL).splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        if not words:
            continue
        first = words[0].lower()
        if first == "loop_":
            names = []
            loops.append({})
        elif first.startswith("_") and names is not None and len(words) == 1 and not any(loops[-1].values()):
            names.append(first)
            loops[-1][first] = []
        elif first.startswith(("_", "data_")):
            names = None
            if len(words) > 1:
                items[first] = words[1]
        elif names:
            if len(words) != len(names):
                raise InputError(
                    f"{path}: a row of a loop has {len(words)} values for {len(names)} names: '{line.strip()}'"
                )
            for name, word in zip(names, words, strict=True):
                loops[-1][name].append(word)
    return items, loops


def _number(text: str, path: str) -> float:
    """Read a number that may end with its uncertainty in brackets, ``3.524(1)``."""
    try:
        return float(text.split("(")[0])
    except ValueError:
        raise InputError(f"{path}: '{text}' is not a number") from None


def _cubic(items: dict[str, str], path: str) -> float:
    missing = [name for name in ("a", "b", "c") if f"_cell_length_{name}" not in items]
    if missing:
        raise InputError(f"{path}: has no _cell_length_{missing[0]}")
    a, b, c = (_number(items[f"_cell_length_{name}"], path) for name in "abc")
    angles = [_number(items.get(f"_cell_angle_{name}", "90"), path) for name in ("alpha", "beta", "gamma")]
    if not np.allclose([b, c], a, rtol=1e-4) or not np.allclose(angles, 90, atol=1e-3):
        raise InputError(
            f"{path}: the cell ({a} {b} {c} Å, {angles} deg) is not cubic; only cubic crystals are supported"
        )
    return a


def _column(loops: list[dict[str, list[str]]], *names: str) -> list[str]:
    return next((loop[name] for loop in loops for name in names if name in loop), [])


def _sites(loop: dict[str, list[str]], path: str) -> Iterator[tuple[str, Array, float]]:
    labels = loop.get("_atom_site_type_symbol") or loop.get("_atom_site_label") or []
    for number, label in enumerate(labels):
        row = {name: values[number] for name, values in loop.items()}
        symbol = re.match(r"[A-Z][a-z]?", label)
        if symbol is None:
            raise InputError(f"{path}: '{label}' does not begin with the symbol of an element")
        if abs(_number(row.get("_atom_site_occupancy", "1"), path) - 1) > 1e-3:
            raise InputError(f"{path}: the site {label} is only partly occupied, which is not supported")
        yield symbol.group(), np.array([_number(row[f"_atom_site_fract_{x}"], path) for x in "xyz"]), _u_iso(row, path)


def _u_iso(row: dict[str, str], path: str) -> float:
    for name, factor in (("_atom_site_u_iso_or_equiv", 1.0), ("_atom_site_b_iso_or_equiv", 1 / (8 * np.pi**2))):
        if row.get(name, "?") not in ("?", "."):
            return max(_number(row[name], path) * factor, 1e-4)
    return 0.005


def _orbit(xyz: Array, operations: list[str], path: str) -> list[Array]:
    """Return the different positions in the cell that the symmetry operations make of one."""
    found: list[Array] = []
    for operation in operations:
        position = np.array([_apply(term, xyz, path) for term in operation.lower().split(",")]) % 1
        if all(np.abs((position - other + 0.5) % 1 - 0.5).max() > 1e-3 for other in found):
            found.append(position)
    return found


def _apply(term: str, xyz: Array, path: str) -> float:
    """Evaluate one coordinate of a symmetry operation, such as ``1/2-x``."""
    value = 0.0
    parts = re.findall(r"([+-]?)(?:(\d+(?:\.\d+)?)(?:/(\d+))?|([xyz]))", term.replace(" ", ""))
    if "".join(f"{s}{n}{'/' + d if d else ''}{axis}" for s, n, d, axis in parts) != term.replace(" ", ""):
        raise InputError(f"{path}: cannot read the symmetry operation '{term}'")
    for sign, number, divisor, axis in parts:
        size = xyz["xyz".index(axis)] if axis else float(number) / float(divisor or 1)
        value += -size if sign == "-" else size
    return value
