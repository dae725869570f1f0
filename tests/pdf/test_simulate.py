"""The simulated exposure is what it claims to be: physics by an independent route, known noise, known truth."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import simpson

import daisy_pdf.simulate
from daisy_core import ParameterError
from daisy_pdf.crystal import CRYSTALS
from daisy_pdf.data import Geometry
from daisy_pdf.debye import amorphous_intensity, coherent_intensity, compton_like_intensity, truth_gr
from daisy_pdf.simulate import momentum_transfer, pixel_directions, polarization_weight, simulate_exposure

SMALL = {"rows": 128, "columns": 128, "pixel": 3.2e-3, "diameter": 30.0}


def _form_factors(crystal, q):
    from periodictable import cromermann

    f = np.array([cromermann.fxrayatq(element, q) for element in crystal.elements])
    return f.mean(axis=0), (f**2).mean(axis=0)


class TestTruth:
    @pytest.mark.parametrize("name", CRYSTALS)
    @pytest.mark.parametrize("diameter", [30.0, 80.0])
    def test_debye_sum_and_gaussians_in_r_are_the_same_crystal(self, name, diameter):
        """Fourier transform of the intensity by Simpson's rule, against the model that never leaves r space."""
        crystal, r = CRYSTALS[name], np.arange(1.5, 25, 0.05)
        q = np.arange(0, 24 + 1e-9, 0.001)
        mean, square = _form_factors(crystal, q)
        f = q * (coherent_intensity(crystal, q, diameter) - square) / mean**2
        used = q >= 1.0 - 1e-9
        by_q = np.array([2 / np.pi * simpson(f[used] * np.sin(q[used] * x), x=q[used]) for x in r])
        by_r = truth_gr(crystal, r, qmin=1.0, qmax=24.0, diameter=diameter)
        assert np.sqrt(np.sum((by_q - by_r) ** 2) / np.sum(by_r**2)) < 1e-4

    def test_nickel_has_twelve_neighbours_then_six(self):
        crystal, r, diameter = CRYSTALS["Ni"], np.arange(0.01, 6, 0.002), 100.0
        g = truth_gr(crystal, r, qmin=0.0, qmax=70.0, diameter=diameter)
        # The fewer pairs in a small sphere, from its geometry.
        pairs = 1 - 1.5 * r / diameter + 0.5 * (r / diameter) ** 3
        radial = r * g / pairs + 4 * np.pi * crystal.density * r**2

        def neighbours(low: float, high: float) -> float:
            inside = (r > low) & (r < high)
            return float(np.trapezoid(radial[inside], r[inside]))

        assert neighbours(2.0, 3.0) == pytest.approx(12, rel=0.01)
        assert neighbours(3.0, 3.95) == pytest.approx(6, rel=0.02)

    @pytest.mark.parametrize(("name", "reflections"), [("Ni", [3, 4, 8, 11, 12]), ("CeO2", [3, 4, 8, 11])])
    def test_bragg_peaks_are_where_bragg_says(self, name, reflections):
        crystal, q = CRYSTALS[name], np.arange(0, 8, 0.002)
        intensity = coherent_intensity(crystal, q, 150.0)
        for square in reflections:
            at = 2 * np.pi * np.sqrt(square) / crystal.a
            near = np.abs(q - at) < 0.1
            assert q[near][intensity[near].argmax()] == pytest.approx(at, abs=0.005)

    @pytest.mark.parametrize("name", CRYSTALS)
    def test_atoms_scatter_independently_at_high_q(self, name):
        q = np.arange(30, 40, 0.01)
        _, square = _form_factors(CRYSTALS[name], q)
        assert np.mean(coherent_intensity(CRYSTALS[name], q - 0, 40.0) / square) == pytest.approx(1, abs=0.02)

    def test_compton_like_intensity_rises_from_nothing_to_all_electrons(self):
        intensity = compton_like_intensity(CRYSTALS["Ni"], np.linspace(0, 60, 200))
        assert intensity[0] == pytest.approx(0, abs=1e-9)
        assert (np.diff(intensity) > 0).all()
        assert 27 < intensity[-1] < 28

    def test_the_container_is_broad_humps(self):
        """Nothing in it is narrower than a third of an inverse Å, where Bragg peaks are ten times narrower."""
        q = np.arange(0, 30, 0.01)
        profile = amorphous_intensity(q)
        assert profile.min() > 0
        assert profile.mean() == pytest.approx(1)
        blurred = np.convolve(profile, np.full(5, 0.2), "same")[10:-10]
        assert np.abs(blurred / profile[10:-10] - 1).max() < 1e-2


class TestDetector:
    geometry = Geometry(0.2, 0.03, 0.05, 1e-3, 2e-3, 0.18, rot1=0.3, rot2=-0.2, rot3=0.5)

    def _pyfai(self):
        from pyFAI.detectors import Detector
        from pyFAI.integrator.azimuthal import AzimuthalIntegrator

        detector = Detector(1e-3, 2e-3, max_shape=(40, 50), orientation=3)
        return AzimuthalIntegrator(0.2, 0.03, 0.05, 0.3, -0.2, 0.5, detector=detector, wavelength=1.8e-11)

    def test_trigonometry_is_the_convention_of_poni_files(self):
        directions, distances = pixel_directions(self.geometry, np.arange(40), np.arange(50))
        assert np.allclose(np.linalg.norm(directions, axis=0), 1)
        q = momentum_transfer(directions, 0.18)
        assert np.allclose(q, self._pyfai().center_array((40, 50), unit="q_A^-1"), rtol=1e-6)
        solid_angle = (self.geometry.distance / distances) ** 3
        assert np.allclose(solid_angle, self._pyfai().solidAngleArray((40, 50)), rtol=1e-6)

    @pytest.mark.parametrize("factor", [-1.0, 0.0, 0.5, 0.99])
    def test_a_dipole_gives_the_polarization_of_pyfai(self, factor):
        directions, _ = pixel_directions(self.geometry, np.arange(40), np.arange(50))
        theirs = self._pyfai().polarization((40, 50), factor)
        assert np.allclose(polarization_weight(directions, factor), theirs, rtol=1e-5, atol=1e-6)


class TestExposure:
    def test_the_noise_is_that_of_counting(self):
        one, other = (simulate_exposure(**SMALL, counts=500.0, seed=seed) for seed in (1, 2))
        difference = one.image.astype(float) - other.image
        assert np.var(difference) == pytest.approx(np.mean(one.image) + np.mean(other.image), rel=0.03)

    def test_a_seed_repeats_itself(self):
        one, same, other = (simulate_exposure(**SMALL, seed=seed) for seed in (3, 3, 4))
        assert np.array_equal(one.image, same.image)
        assert not np.array_equal(one.image, other.image)
        assert not np.array_equal(one.image, one.container)

    def test_counts_are_the_mean_of_the_image(self):
        assert simulate_exposure(**SMALL, counts=700.0).image.mean() == pytest.approx(700, rel=0.01)

    def test_the_image_is_the_sample_in_its_container(self):
        made = simulate_exposure(**SMALL, counts=1e5, container=0.5, air=0.1)
        assert 0 < made.container.mean() < made.image.mean()
        bare = simulate_exposure(**SMALL, container=0.0, air=0.0)
        assert bare.container.max() == 0

    def test_the_flat_has_mean_one_and_shows_in_the_image(self):
        even, uneven = (simulate_exposure(**SMALL, counts=1e5, response=response) for response in (0.0, 0.4))
        assert (even.flat == 1).all()
        assert uneven.flat.mean() == pytest.approx(1)
        # Both images are scaled to the same mean, so the ratio is the response but for a constant.
        ratio = uneven.image / even.image
        assert np.corrcoef(ratio.ravel(), uneven.flat.ravel())[0, 1] > 0.98

    def test_pixels_average_over_their_area(self):
        sharp, blurred = (simulate_exposure(**SMALL, counts=1e6, oversample=n) for n in (1, 6))
        assert blurred.image.max() < sharp.image.max()

    def test_the_outputs_have_their_types(self):
        made = simulate_exposure(**SMALL)
        assert made.image.dtype == made.container.dtype == np.uint32
        assert made.image.shape == made.container.shape == made.flat.shape == (128, 128)
        assert (made.geometry.rows, made.geometry.columns) == (128, 128)
        assert made.truth.r[-1] == pytest.approx(30)
        assert made.pattern.wavelength == 0.18

    def test_the_q_range_of_the_truth_must_be_one(self):
        with pytest.raises(ParameterError, match=r"'qmin' = 5\.0 must be below 'qmax' = 4\.0"):
            simulate_exposure(qmin=5.0, qmax=4.0)


def test_simulation_and_analysis_share_no_formula_code():
    folder = Path(daisy_pdf.simulate.__file__).parent

    def imported(name: str) -> set[str]:
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1}

    assert imported("simulate") == {"crystal", "data", "debye"}
    assert imported("debye") == {"crystal"}
    assert imported("crystal") == set()
    for name in (
        "adhoc",
        "binning",
        "integration",
        "model",
        "orientation",
        "polynomial",
        "scattering",
        "transform",
        "uncertainty",
    ):
        assert not {"simulate", "debye"} & imported(name), name
