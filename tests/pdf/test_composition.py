"""Formulas are read as chemists write them, and nothing else is accepted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daisy_core import InputError
from daisy_pdf.composition import Atom, parse_composition
from daisy_pdf.scattering import mean_scattering


def fractions(formula: str) -> dict[str, float]:
    return {str(atom): value for atom, value in parse_composition(formula).items()}


@pytest.mark.parametrize(
    ("formula", "counts"),
    [
        ("Ni", {"Ni": 1}),
        ("LaB6", {"La": 1, "B": 6}),
        ("CH3 (CH2)3 OH", {"C": 4, "H": 10, "O": 1}),
        ("Zr H2 P2 O8 H2 O", {"Zr": 1, "H": 4, "P": 2, "O": 9}),
        ("Ti 1/2 O", {"Ti": 0.5, "O": 1}),
        ("Ni0.5Fe.5", {"Ni": 0.5, "Fe": 0.5}),
        ("(Al(OH)3)2", {"Al": 2, "O": 6, "H": 6}),
        ("CuSO4·5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}),
        ("Ce4+ O2-2", {"Ce4+": 1, "O2-": 2}),
        ("Na+ Cl-", {"Na1+": 1, "Cl1-": 1}),
        ("D2O", {"H[2]": 2, "O": 1}),
        ("B[11]4 C", {"B[11]": 4, "C": 1}),
    ],
)
def test_formula_means_these_atoms(formula: str, counts: dict[str, float]) -> None:
    total = sum(counts.values())
    assert fractions(formula) == pytest.approx({name: count / total for name, count in counts.items()})


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("Xx2 O", "unknown element 'Xx'"),
        ("LAB6", "unknown element 'L'"),
        ("ni", "cannot read 'ni'"),
        ("Ni?", "cannot read"),
        ("Ni0", "greater than zero"),
        ("Ni 1/0", "greater than zero"),
        ("2 Ni", "does not follow"),
        ("(NiO", "not closed"),
        ("NiO)", "closing parenthesis"),
        ("()2", "closing parenthesis"),
        ("B[99]", "no isotope"),
        ("Ca+2", "before its sign"),
        ("·", "names no element"),
    ],
)
def test_formula_that_cannot_be_meant_is_refused_by_name(formula: str, says: str) -> None:
    with pytest.raises(InputError, match="composition") as caught:
        parse_composition(formula)
    assert says in str(caught.value)


@given(
    st.dictionaries(st.sampled_from(["H", "C", "O", "Ti", "Zr", "U"]), st.integers(1, 40), min_size=1),
    st.sampled_from(["", " "]),
)
def test_fractions_sum_to_one_and_blanks_mean_nothing(counts: dict[str, int], blank: str) -> None:
    written = blank.join(f"{symbol}{blank}{count}" for symbol, count in counts.items())
    found = fractions(written)
    assert sum(found.values()) == pytest.approx(1)
    assert found == pytest.approx({symbol: count / sum(counts.values()) for symbol, count in counts.items()})


def test_form_factor_at_zero_is_the_number_of_electrons() -> None:
    for formula, electrons in (("Ni", 28), ("La", 57), ("Ce4+", 54), ("O2-", 10)):
        assert mean_scattering(formula, np.zeros(1)).squared_mean[0] == pytest.approx(electrons**2, rel=2e-3)


def test_mean_of_squares_is_never_below_the_square_of_the_mean() -> None:
    q = np.linspace(0, 50, 200)
    alone, mixed = mean_scattering("Ni", q), mean_scattering("LaB6", q)
    np.testing.assert_allclose(alone.mean_square, alone.squared_mean, rtol=1e-12)
    assert np.all(mixed.mean_square > mixed.squared_mean)


def test_neutron_lengths_know_deuterium_from_hydrogen() -> None:
    q = np.linspace(0, 30, 5)
    light, heavy = mean_scattering("H", q, "neutron"), mean_scattering("D", q, "neutron")
    assert light.squared_mean[0] == pytest.approx(3.74**2, rel=5e-3)
    assert heavy.squared_mean[0] == pytest.approx(6.67**2, rel=5e-3)
    assert np.ptp(heavy.squared_mean) == 0


def test_absorbing_atoms_scatter_with_a_complex_length_and_say_so() -> None:
    found = mean_scattering("Gd", np.zeros(1), "neutron")
    assert found.squared_mean[0] == pytest.approx(9.5**2 + 13.6**2, rel=1e-3)
    assert any("resonance" in text for text in found.warnings)


def test_deuterium_is_hydrogen_to_x_rays() -> None:
    q = np.linspace(0, 20, 50)
    np.testing.assert_array_equal(mean_scattering("D2O", q).squared_mean, mean_scattering("H2O", q).squared_mean)


def test_ion_without_a_table_falls_back_to_the_atom_and_says_so() -> None:
    q = np.linspace(0, 20, 5)
    found = mean_scattering("Ni7+", q)
    np.testing.assert_array_equal(found.squared_mean, mean_scattering("Ni", q).squared_mean)
    assert any("Ni7+" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("formula", "mode", "says"),
    [("Po", "neutron", "scattering length"), ("Og", "xray", "form factor"), ("Ti7.16 Zr3.37", "neutron", "vanishes")],
)
def test_atoms_without_scattering_are_refused(formula: str, mode: str, says: str) -> None:
    q = np.linspace(0, 20, 5)
    with pytest.raises(InputError, match=says):
        mean_scattering(formula, q, mode)  # type: ignore[arg-type]


def test_form_factors_are_not_extrapolated() -> None:
    with pytest.raises(InputError, match="1/nm"):
        mean_scattering("Ni", np.array([1.0, 120.0]))


def test_atom_names_round_trip() -> None:
    for atom in (Atom("Ni"), Atom("O", -2), Atom("H", 0, 2), Atom("Fe", 3)):
        assert list(parse_composition(str(atom))) == [atom]
