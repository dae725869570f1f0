"""Chemical formulas as people write them, turned into atomic fractions."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from fractions import Fraction

from daisy_core import InputError


@dataclass(frozen=True, order=True)
class Atom:
    """One kind of atom: element symbol, charge, and the isotope's mass number where one was named."""

    symbol: str
    charge: int = 0
    isotope: int | None = None

    def __str__(self) -> str:
        mass = f"[{self.isotope}]" if self.isotope else ""
        charge = f"{abs(self.charge)}{'+' if self.charge > 0 else '-'}" if self.charge else ""
        return f"{self.symbol}{mass}{charge}"


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<open>\() | (?P<close>\)) | (?P<part>[·•*])
    | (?P<symbol>[A-Z][a-z]?) (?:\[(?P<isotope>\d+)\])? (?:(?P<charge>\d*)(?P<sign>[+-]))?
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:\s*/\s*\d+\.?\d*)?)
    )""",
    re.VERBOSE,
)


def parse_composition(formula: str) -> dict[Atom, float]:
    """Return the atomic fractions of a chemical formula; they sum to one.

    Parameters
    ----------
    formula : str
        Symbols and amounts in any order, blanks where one likes: ``LaB6``, ``CH3 (CH2)3 OH``, ``Zr H2 P2 O8 H2 O``,
        ``Ti 1/2 O``, ``Ni0.5 Fe0.5``, ``CuSO4·5H2O``. Ions have the charge before its sign, then the amount: ``Ce4+``,
        ``Fe3+2 O2-3``. ``D`` is deuterium, ``B[11]`` an isotope: they count for neutrons.

    Returns
    -------
    dict
        Atom to fraction.

    Raises
    ------
    InputError
        If the formula is empty, cannot be read, or names an unknown element.

    Examples
    --------
    >>> {str(atom): fraction for atom, fraction in parse_composition("H2O").items()} == {"H": 2 / 3, "O": 1 / 3}
    True
    """
    return dict(_parse(" ".join(formula.split())))


@functools.lru_cache(maxsize=256)
def _parse(formula: str) -> tuple[tuple[Atom, float], ...]:
    if not formula:
        raise InputError(
            "the composition is empty; give the chemical formula of the sample, such as composition = LaB6"
        )
    counts: dict[Atom, Fraction] = {}
    for atom, amount in _amounts(formula):
        counts[atom] = counts.get(atom, Fraction(0)) + amount
    total = sum(counts.values())
    return tuple((atom, float(amount / total)) for atom, amount in counts.items())


def _amounts(formula: str) -> list[tuple[Atom, Fraction]]:
    """Read the formula with a stack of groups; an amount multiplies what stands before it."""
    groups: list[list[tuple[Atom, Fraction]]] = [[]]
    last: list[tuple[Atom, Fraction]] = []  # what the next amount belongs to
    ready = False
    factor = Fraction(1)  # of a part such as 5H2O
    start, position = 0, 0
    while position < len(formula):
        token = _TOKEN.match(formula, position)
        if token is None:
            raise InputError(f"composition '{formula}': cannot read '{formula[position:].strip()}'")
        if token["symbol"]:
            last, ready = [(_atom(token, formula), factor)], True
            groups[-1] += last
        elif token["open"]:
            groups.append([])
            ready = False
        elif token["close"]:
            if len(groups) == 1 or not groups[-1]:
                raise InputError(f"composition '{formula}': a closing parenthesis without atoms before it")
            last, ready = groups.pop(), True
            groups[-1] += last
        elif token["part"]:
            start, ready, factor = token.end(), False, Fraction(1)
        elif ready:
            amount = _amount(token["number"], formula)
            groups[-1][-len(last) :] = [(atom, count * amount) for atom, count in last]
            ready = False
        elif position == start and start and len(groups) == 1:
            factor = _amount(token["number"], formula)
        else:
            raise InputError(
                f"composition '{formula}': the amount '{token['number']}' does not follow an element or a group"
            )
        position = token.end()
    if len(groups) > 1:
        raise InputError(f"composition '{formula}': a parenthesis is not closed")
    if not groups[0]:
        raise InputError(f"composition '{formula}' names no element")
    return groups[0]


def _atom(token: re.Match[str], formula: str) -> Atom:
    import periodictable

    symbol, sign = token["symbol"], token["sign"]
    isotope = int(token["isotope"]) if token["isotope"] else None
    if symbol in ("D", "T"):
        symbol, isotope = "H", {"D": 2, "T": 3}[symbol]
    try:
        element = periodictable.elements.symbol(symbol)
    except ValueError:
        raise InputError(
            f"composition '{formula}': unknown element '{symbol}'; symbols are written as in the periodic table (Co, not CO)"
        ) from None
    if isotope is not None and isotope not in element.isotopes:
        raise InputError(f"composition '{formula}': {symbol} has no isotope of mass {isotope}")
    if not sign:
        return Atom(symbol, 0, isotope)
    if not token["charge"] and formula[token.end() : token.end() + 1].isdigit():
        raise InputError(
            f"composition '{formula}': write the charge before its sign, {symbol}2{sign}, and a blank before an amount"
        )
    return Atom(symbol, int(f"{sign}{token['charge'] or 1}"), isotope)


def _amount(text: str, formula: str) -> Fraction:
    above, _, below = text.partition("/")
    denominator = Fraction(below.strip() or 1)
    if not denominator or not Fraction(above.strip()):
        raise InputError(f"composition '{formula}': the amount '{text}' must be greater than zero")
    return Fraction(above.strip()) / denominator
