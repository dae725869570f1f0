"""The small-box model agrees with direct summation, with published refinements, and recovers what it was given."""

from __future__ import annotations

import numpy as np
import pytest

from daisy_core import InputError, ParameterError, replace
from daisy_pdf.crystal import CRYSTALS, Crystal
from daisy_pdf.data import PairDistribution
from daisy_pdf.debye import truth_gr
from daisy_pdf.model import crystal_gr, fit_crystal

NICKEL = CRYSTALS["Ni"]
R = np.arange(1.5, 20, 0.01)


def rw(curve: np.ndarray, reference: np.ndarray) -> float:
    return float(np.sqrt(np.sum((curve - reference) ** 2) / np.sum(reference**2)))


def nickel_gr(shared_data, name: str = "Ni-hires.gr") -> PairDistribution:
    table = np.loadtxt(shared_data / f"pdf/ni_pdfttp/{name}", skiprows=27)
    return PairDistribution(table[:, 0], table[:, 1])


class TestPublishedNickel:
    """The structure refinement of the same file by PDFfit2 1.5.1: a 3.524884 Å, U 0.006889 Å^2, qdamp 0.05181, Rw 0.0987."""

    @pytest.mark.parametrize("start", [3.50, 3.5238, 3.56])
    def test_refinement_is_that_of_pdffit2(self, shared_data, start):
        fit = fit_crystal(nickel_gr(shared_data), replace(NICKEL, a=start), qmax=25.0)
        assert fit["a"] == pytest.approx(3.524884, abs=1e-4)
        assert fit["u_iso"] == pytest.approx(0.006889, rel=0.01)
        assert fit["qdamp"] == pytest.approx(0.05181, rel=0.01)
        assert fit.rw == pytest.approx(0.0987, rel=0.01)
        assert fit.warnings == ()

    def test_the_lattice_parameter_is_known_to_a_few_times_its_uncertainty(self, shared_data):
        fits = [fit_crystal(nickel_gr(shared_data), NICKEL, qmax=25.0, rmin=low, rmax=low + 14) for low in (1.5, 15.0)]
        apart = abs(fits[0]["a"] - fits[1]["a"])
        assert apart < 4 * np.hypot(*(fit.uncertainty("a") for fit in fits))


class TestModel:
    def test_agrees_with_the_sum_over_atoms_convolved_by_hand(self):
        qdamp = 0.06  # so that nothing is left where the sum by hand ends
        a, width = NICKEL.a, np.sqrt(2 * 0.0055)
        cells = np.stack(np.meshgrid(*[np.arange(-17, 18)] * 3), axis=-1).reshape(-1, 3)
        apart = np.concatenate([np.linalg.norm((cells + site) * a, axis=1) for site in NICKEL.positions])
        distance, number = np.unique(np.round(apart[(apart > 1e-3) & (apart < 58)], 6), return_counts=True)
        r = np.arange(0.005, 55, 0.005)
        g = sum(n * np.exp(-(((r - d) / width) ** 2) / 2) for d, n in zip(distance, number, strict=True))
        g = (g / (width * np.sqrt(2 * np.pi) * r) - 4 * np.pi * r * 4 / a**3) * np.exp(-((qdamp * r) ** 2) / 2)
        some = np.arange(1.5, 20, 0.07)
        apart_r = some[:, None] - r[None, :], some[:, None] + r[None, :]
        point = [24 / np.pi * np.sinc(24 * x / np.pi) for x in apart_r]
        direct = (point[0] - point[1]) @ g * 0.005
        assert rw(crystal_gr(NICKEL, some, qmax=24.0, qdamp=qdamp), direct) < 1e-3

    @pytest.mark.parametrize("name", CRYSTALS)
    def test_agrees_with_the_simulated_truth(self, name):
        """They differ by design: 1/r in the peaks of the small-box model, 1/r_ij in Debye's equation."""
        truth = truth_gr(CRYSTALS[name], R, qmin=0.8, qmax=24.0, diameter=80.0)
        model = crystal_gr(CRYSTALS[name], R, qmin=0.8, qmax=24.0, diameter=80.0)
        assert rw(model, truth) < 0.03

    def test_scattering_that_changes_with_q_matters_for_a_compound(self):
        truth = truth_gr(CRYSTALS["CeO2"], R, qmin=0.8, qmax=24.0, diameter=80.0)
        constant = crystal_gr(CRYSTALS["CeO2"], R, qmin=0.8, qmax=24.0, diameter=80.0, weights="constant")
        assert rw(constant, truth) > 0.1
        one, other = (crystal_gr(NICKEL, R, qmax=24.0, weights=weights) for weights in ("q", "constant"))
        assert np.allclose(one, other, atol=1e-12)

    def test_the_grid_does_not_matter(self):
        fine = crystal_gr(NICKEL, R, qmax=24.0, qdamp=0.03)
        coarse = crystal_gr(NICKEL, R[::7], qmax=24.0, qdamp=0.03)
        assert np.allclose(coarse, fine[::7], atol=1e-3 * np.abs(fine).max())

    def test_no_more_than_the_q_range_is_in_it(self):
        """Nothing oscillates faster than qmax: sampling at pi/qmax and interpolating loses nothing."""
        step = np.pi / 20.0
        r = step * np.arange(1, 400)
        sampled = crystal_gr(NICKEL, r, qmax=20.0 * 0.98, qdamp=0.1)
        between = r[20:100] + step / 3
        rebuilt = np.sinc((between[:, None] - r) / step) @ sampled - np.sinc((between[:, None] + r) / step) @ sampled
        assert rw(rebuilt, crystal_gr(NICKEL, between, qmax=20.0 * 0.98, qdamp=0.1)) < 0.01

    def test_correlated_motion_sharpens_near_neighbours_only(self):
        free, correlated = (crystal_gr(NICKEL, R, qmax=24.0, delta2=delta) for delta in (0.0, 2.5))
        near, far = np.abs(R - 2.49) < 0.2, R > 15
        assert correlated[near].max() > 1.1 * free[near].max()
        assert rw(correlated[far], free[far]) < 0.05


class TestFit:
    @pytest.mark.parametrize("name", CRYSTALS)
    def test_recovers_what_the_data_were_made_with(self, name):
        crystal = CRYSTALS[name]
        g = 0.37 * crystal_gr(crystal, R, qmax=22.0, qdamp=0.04, delta2=1.5)
        start = replace(crystal, a=crystal.a * 1.004, u_iso=crystal.u_iso * 1.7)
        fit = fit_crystal(PairDistribution(R, g), start, qmax=22.0)
        assert fit.rw < 1e-5
        assert fit["scale"] == pytest.approx(0.37, rel=1e-4)
        assert fit["a"] == pytest.approx(crystal.a, rel=1e-6)
        assert fit["qdamp"] == pytest.approx(0.04, rel=1e-3)
        assert fit["delta2"] == pytest.approx(1.5, rel=1e-3)
        assert np.allclose(fit.crystal.u_iso, crystal.u_iso, rtol=1e-3)

    def test_a_particle_diameter_can_be_refined(self):
        g = crystal_gr(NICKEL, R, qmax=22.0, diameter=40.0)
        fit = fit_crystal(PairDistribution(R, g), NICKEL, qmax=22.0, rmax=19.0, refine=("a", "u_iso", "diameter"))
        assert fit["diameter"] == pytest.approx(40, rel=1e-3)

    def test_uncertainties_are_the_scatter_of_repeated_measurements(self):
        """Noise that is white in F(Q), as that of a transform is: neighbouring r are not independent."""
        r, qmax, draws = np.arange(1.5, 10, 0.02), 22.0, 30
        clean = crystal_gr(NICKEL, r, qmax=qmax)
        q = np.arange(0.05, qmax, 0.05)
        waves = np.sin(np.outer(q, r))
        random = np.random.default_rng(0)
        fits = [
            fit_crystal(
                PairDistribution(r, clean + 0.02 * random.normal(size=len(q)) @ waves), NICKEL, qmax=qmax, rmax=9.9,
                refine=("a", "u_iso"),
            )
            for _ in range(draws)
        ]  # fmt: skip
        for name in ("scale", "a", "u_iso"):
            scatter = np.std([fit[name] for fit in fits], ddof=1)
            assert 0.6 < np.mean([fit.uncertainty(name) for fit in fits]) / scatter < 1.6, name

    def test_a_parameter_at_its_limit_is_reported(self):
        g = crystal_gr(NICKEL, R, qmax=22.0)
        fit = fit_crystal(PairDistribution(R, g), NICKEL, qmax=22.0, rmax=19.0, refine=("a", "u_iso", "qdamp"))
        assert fit["qdamp"] < 1e-3
        assert np.isfinite(fit.values).all()
        assert not np.isnan(fit.sigma).any()

    def test_the_result_holds_its_curves(self):
        g = crystal_gr(NICKEL, R, qmax=22.0)
        fit = fit_crystal(PairDistribution(R, g), NICKEL, qmax=22.0, rmin=3.0, rmax=9.0, refine=("a",))
        assert fit.parameters == ("scale", "a")
        assert fit.r[0] == pytest.approx(3)
        assert fit.r[-1] == pytest.approx(9)
        assert rw(fit.calculated, fit.observed) == fit.rw

    def test_wrong_ranges(self):
        gr = PairDistribution(R, crystal_gr(NICKEL, R, qmax=22.0))
        with pytest.raises(ParameterError, match="qmin < qmax and rmin < rmax"):
            fit_crystal(gr, NICKEL, qmax=20.0, qmin=25.0)
        with pytest.raises(ParameterError, match="qmin < qmax and rmin < rmax"):
            fit_crystal(gr, NICKEL, qmax=20.0, rmin=9.0, rmax=8.0)
        with pytest.raises(InputError, match="nothing to fit"):
            fit_crystal(gr, NICKEL, qmax=20.0, rmin=25.0)
        with pytest.raises(InputError, match="nothing to fit"):
            fit_crystal(PairDistribution(R, np.zeros_like(R)), NICKEL, qmax=20.0)


class TestCrystal:
    def test_density_and_composition(self):
        assert CRYSTALS["Ni"].density == pytest.approx(0.0914, abs=1e-4)
        assert CRYSTALS["CeO2"].composition == "CeO2"

    @pytest.mark.parametrize(
        "changes", [{"a": 0.0}, {"u_iso": np.zeros(4)}, {"elements": ("Ni",)}, {"positions": np.zeros((4, 2))}]
    )
    def test_nonsense_is_refused(self, changes):
        fields = {
            "name": "x", "a": 3.5, "elements": ("Ni",) * 4, "positions": NICKEL.positions, "u_iso": NICKEL.u_iso,
        }  # fmt: skip
        with pytest.raises(InputError):
            Crystal(**{**fields, **changes})
