"""Cubic crystal structures, and the two built-in ones."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from daisy_core import Axes, InputError, Unit, data

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
