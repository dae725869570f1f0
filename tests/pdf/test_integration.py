"""Integrated patterns are right against the simulated truth and against pyFAI, and bad pixels never enter them."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from daisy_core import InputError, ParameterError, replace
from daisy_core.io import read_frame
from daisy_pdf.data import Geometry
from daisy_pdf.geometry import read_poni
from daisy_pdf.integration import integrate
from daisy_pdf.simulate import (
    SimulatedExposure,
    momentum_transfer,
    pixel_directions,
    polarization_weight,
    simulate_exposure,
)

SHAPE = (256, 300)
POLARIZATION = 0.9


@cache
def exposure() -> SimulatedExposure:
    """A small detector with an uneven response; the intensity is that of the pixel centres."""
    return simulate_exposure(
        rows=SHAPE[0], columns=SHAPE[1], pixel=1.5e-3, counts=2e4, response=0.3, oversample=1, polarization=POLARIZATION,
        diameter=40.0, rot3=0.2,
    )  # fmt: skip


def expected_pattern(q_edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the true I(Q) over the pixels of each bin, with the weight of each pixel; no pyFAI, no Daisy."""
    made = exposure()
    directions, distances = pixel_directions(made.geometry, np.arange(SHAPE[0]), np.arange(SHAPE[1]))
    q = momentum_transfer(directions, made.geometry.wavelength)
    weight = made.flat * (made.geometry.distance / distances) ** 3 * polarization_weight(directions, POLARIZATION)
    signal = weight * np.interp(q, made.pattern.q, made.pattern.intensity)
    pixels, _ = np.histogram(q, q_edges)
    return np.histogram(q, q_edges, weights=signal)[0] / np.histogram(q, q_edges, weights=weight)[0], pixels


class TestAgainstTheTruth:
    def test_intensity_is_that_of_the_simulation_within_its_sigma(self):
        made = exposure()
        pattern = integrate(made.image, made.geometry, None, None, made.flat, npt=300, polarization=POLARIZATION)
        step = np.median(np.diff(pattern.q))
        edges = np.append(pattern.q - step / 2, pattern.q[-1] + step / 2)
        truth, pixels = expected_pattern(edges)
        many = pixels > 20
        pull = ((pattern.intensity - truth) / pattern.sigma)[many]
        assert many.sum() > 250
        # 300 independent bins: mean 0 +- 0.06, standard deviation 1 +- 0.04.
        assert abs(pull.mean()) < 0.18
        assert 0.9 < pull.std() < 1.1
        assert np.abs(pull).max() < 5

    @pytest.mark.parametrize("wrong", [{"polarization": 0.0}, {"solidangle": False}, {"flat": None}])
    def test_each_correction_matters(self, wrong):
        made = exposure()
        flat = wrong.pop("flat", made.flat)
        right = integrate(made.image, made.geometry, None, None, made.flat, npt=300, polarization=POLARIZATION)
        other = integrate(
            made.image, made.geometry, None, None, flat, npt=300, **{"polarization": POLARIZATION, **wrong}
        )
        assert np.abs((other.intensity - right.intensity) / right.sigma).max() > 20

    @pytest.mark.parametrize("split", ["no", "bbox", "full"])
    @pytest.mark.parametrize("with_dark", [False, True])
    def test_sigma_is_the_scatter_of_repeated_exposures(self, split, with_dark):
        made, draws = exposure(), 60
        random = np.random.default_rng(1)
        mean, offset = made.image / 40.0, np.full(SHAPE, 200.0)
        patterns = []
        for _ in range(draws):
            dark = random.poisson(offset) if with_dark else None
            image = random.poisson(mean + offset) if with_dark else random.poisson(mean)
            patterns.append(
                integrate(image, made.geometry, None, dark, made.flat, npt=200, split=split, orientation=False)
            )
        scatter = np.std([pattern.intensity for pattern in patterns], axis=0, ddof=1)
        sigma = np.mean([pattern.sigma for pattern in patterns], axis=0)
        # The median of 200 ratios, each known to 9 %, is known to 1 %.
        assert np.median(scatter / sigma) == pytest.approx(1, abs=0.05)

    def test_the_detector_gain_scales_the_variance(self):
        made = exposure()
        photons = np.random.default_rng(2).poisson(made.image / 1000.0)
        single, many = (integrate(photons * gain, made.geometry, npt=100, gain=gain) for gain in (1.0, 50.0))
        assert np.allclose(many.intensity, 50 * single.intensity)
        assert np.allclose(many.sigma, 50 * single.sigma)

    def test_a_bin_without_counts_has_the_sigma_of_one_photon(self):
        image = np.zeros(SHAPE, np.uint32)
        pattern = integrate(image, exposure().geometry, npt=50)
        assert (pattern.intensity == 0).all()
        assert (pattern.sigma > 0).all()


class TestAgainstPyFAI:
    @pytest.mark.parametrize("split", ["no", "bbox", "full"])
    @pytest.mark.parametrize("orientation", [1, 2, 3, 4])
    def test_intensity_and_sigma(self, split, orientation):
        from pyFAI.detectors import Detector
        from pyFAI.integrator.azimuthal import AzimuthalIntegrator

        made = exposure()
        geometry = replace(made.geometry, orientation=orientation, poni2=0.2)
        mask = np.random.default_rng(3).random(SHAPE) < 0.05
        dark = np.random.default_rng(4).poisson(50, SHAPE).astype(np.uint16)
        ours = integrate(made.image, geometry, mask, dark, made.flat, npt=400, split=split, polarization=0.95)

        detector = Detector(geometry.pixel1, geometry.pixel2, max_shape=SHAPE, orientation=orientation)
        position = (geometry.distance, geometry.poni1, geometry.poni2, geometry.rot1, geometry.rot2, geometry.rot3)
        integrator = AzimuthalIntegrator(*position, detector=detector, wavelength=geometry.wavelength * 1e-10)
        # Masked as NaN, because with a mask pyFAI bins from the first to the last usable pixel.
        signal = np.where(mask, np.nan, made.image.astype(float) - dark).astype(np.float32)
        theirs = integrator.integrate1d_ng(
            signal, 400, unit="q_A^-1", method=(split, "csr", "cython"), polarization_factor=0.95,
            flat=(made.flat / made.flat[~mask].mean()).astype(np.float32),
            variance=(made.image.astype(float) + dark).astype(np.float32),
        )  # fmt: skip
        both = np.searchsorted(theirs.radial, ours.q - 1e-6)
        assert np.allclose(theirs.radial[both], ours.q, rtol=1e-9)
        assert np.allclose(theirs.intensity[both], ours.intensity, rtol=2e-5)
        assert np.allclose(theirs.sigma[both], ours.sigma, rtol=1e-4)

    def test_real_image_agrees_with_the_program_that_calibrated_it(self, shared_data):
        """Dioptas splits pixels by their bounding box; the file says 2theta."""
        folder = shared_data / "pdf/ceo2_pilatus"
        twotheta, reference = np.loadtxt(folder / "CeO2_Pilatus1M.xy").T
        image = read_frame(folder / "CeO2_Pilatus1M.tif", flip="vertical")
        pattern = integrate(image, read_poni(folder / "CeO2_Pilatus1M.poni"), npt=2000, split="bbox")
        inside = (twotheta > 1) & (twotheta < 29)
        ours = np.interp(twotheta[inside], pattern.twotheta, pattern.intensity)
        assert np.corrcoef(ours, reference[inside])[0, 1] >= 0.99


class TestBadPixels:
    def test_gaps_dead_and_saturated_pixels_are_counted_and_left_out(self):
        made = exposure()
        clean = made.image.astype(np.int64)
        dirty = clean.copy()
        dirty[100:110] = -1
        dirty[:, 40:42] = -2
        dirty[5, 5:9] = 2**32 - 1
        mask = dirty != clean
        pattern = integrate(dirty, made.geometry, npt=200)
        same = integrate(clean, made.geometry, mask, npt=200)
        assert np.array_equal(pattern.intensity, same.intensity)
        assert np.array_equal(pattern.sigma, same.sigma)
        left_out = 10 * 300 + 2 * 246
        assert (
            f"{left_out + 4:,} pixels left out: {left_out:,} below zero (gaps), 4 dead or saturated" in pattern.warnings
        )

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64])
    def test_the_top_of_the_range_is_saturated(self, dtype):
        image = np.full(SHAPE, 7, dtype)
        image[3, :20] = np.iinfo(dtype).max
        pattern = integrate(image, exposure().geometry, npt=50, solidangle=False, polarization=0.0)
        assert pattern.intensity.max() == pytest.approx(7)
        assert any(note.startswith("20 pixels left out:") and "saturated" in note for note in pattern.warnings)

    def test_sixteen_bit_saturation_is_seen_in_wider_images(self):
        image = np.full(SHAPE, 7.0, np.float32)
        image[3, :20] = 65535
        assert integrate(image, exposure().geometry, npt=50).intensity.max() < 100

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_what_is_not_finite_is_left_out(self, value):
        image = exposure().image.astype(np.float32)
        image[10:20, 30] = value
        pattern = integrate(image, exposure().geometry, npt=200)
        assert np.isfinite(pattern.intensity).all()
        assert np.isfinite(pattern.sigma).all()
        assert "10 pixels left out: not finite" in pattern.warnings

    def test_noise_below_zero_is_no_gap(self):
        """Masking the negative half of the noise would lift the mean of an empty image to +0.8 sigma."""
        image = np.random.default_rng(5).normal(0, 10, SHAPE)
        pattern = integrate(image, exposure().geometry, npt=30, solidangle=False, polarization=0.0)
        assert abs(np.average(pattern.intensity)) < 1
        assert any("below zero were kept" in note for note in pattern.warnings)

    def test_masked_pixels_are_not_counted_again(self):
        image = exposure().image.astype(np.int32)
        image[:10] = -1
        mask = np.zeros(SHAPE, np.uint8)
        mask[:10] = 1
        assert not any("left out:" in note and "pixels" in note.split(":")[0] for note in
                       integrate(image, exposure().geometry, mask, npt=100).warnings)  # fmt: skip

    def test_pixels_without_flat_or_dark_are_left_out(self):
        made = exposure()
        flat, dark = made.flat.copy(), np.zeros(SHAPE, np.float32)
        flat[0, :7], flat[1, :7], dark[2, :7] = 0, np.nan, np.nan
        pattern = integrate(made.image, made.geometry, None, dark, flat, npt=100)
        assert np.isfinite(pattern.intensity).all()
        assert "21 pixels left out: 7 without a dark value, 14 without response in the flat" in pattern.warnings

    def test_a_mask_changes_from_frame_to_frame(self):
        made = exposure()
        hot = made.image.copy()
        hot[50:60, 50:60] = 10**6
        mask = np.zeros(SHAPE, bool)
        mask[50:60, 50:60] = True
        before = integrate(hot, made.geometry, npt=100)
        masked = integrate(hot, made.geometry, mask, npt=100)
        again = integrate(hot, made.geometry, npt=100)
        assert np.array_equal(before.intensity, again.intensity)
        assert masked.intensity.sum() < before.intensity.sum()

    def test_the_gaps_of_a_named_detector_are_masked(self):
        geometry = Geometry(0.2, 0.08, 0.08, 172e-6, 172e-6, 0.4, detector="Pilatus1M", rows=1043, columns=981)
        image = np.full((1043, 981), 100, np.int32)
        image[195:212] = 0  # a module gap that another program has set to zero
        pattern = integrate(image, geometry, npt=300, solidangle=False, polarization=0.0)
        assert np.allclose(pattern.intensity, 100)


class TestBins:
    def test_empty_bins_are_dropped_and_counted(self):
        made = exposure()
        mask = np.ones(SHAPE, bool)
        mask[:, 150:] = False
        pattern = integrate(made.image, made.geometry, mask, npt=3000)
        assert np.isfinite(pattern.intensity).all()
        assert (np.diff(pattern.q) > 0).all()
        assert f"{3000 - len(pattern.q):,} of 3,000 bins left out: no usable pixel" in pattern.warnings

    def test_bins_with_few_pixels_can_be_dropped(self):
        made = exposure()
        some, more = (integrate(made.image, made.geometry, npt=500, min_pixels=n) for n in (1, 50))
        assert len(more.q) < len(some.q)
        assert any("fewer than 50 usable pixels" in note for note in more.warnings)

    def test_the_range_can_be_chosen(self):
        made = exposure()
        pattern = integrate(made.image, made.geometry, npt=100, qmin=2.0, qmax=12.0)
        assert pattern.q[0] == pytest.approx(2.05)
        assert pattern.q[-1] == pytest.approx(11.95)
        assert integrate(made.image, made.geometry, npt=100, qmin=2.0).q[0] > 2

    def test_a_wrong_range(self):
        made = exposure()
        with pytest.raises(ParameterError, match=r"'qmin' = 5\.0 must be below 'qmax' = 4\.0"):
            integrate(made.image, made.geometry, qmin=5.0, qmax=4.0)
        with pytest.raises(ParameterError, match="no pixel lies between"):
            integrate(made.image, made.geometry, qmin=500.0)

    def test_the_pattern_knows_where_it_comes_from(self):
        made = exposure()
        pattern = integrate(made.image, made.geometry, npt=100)
        assert pattern.wavelength == made.geometry.wavelength
        assert pattern.source == "image of 256 x 300 pixels with simulation"
        assert pattern.warnings == ()


class TestRefused:
    @pytest.mark.parametrize("name", ["mask", "dark", "flat"])
    def test_companions_of_another_shape(self, name):
        made = exposure()
        with pytest.raises(InputError, match=rf"the {name} is 20 x 30 but the image is 256 x 300 pixels"):
            integrate(made.image, made.geometry, **{name: np.ones((20, 30))})
        with pytest.raises(InputError, match=rf"transposed it would fit \(--{name}.transpose true\)"):
            integrate(made.image, made.geometry, **{name: np.ones(SHAPE[::-1])})

    def test_an_image_of_another_detector(self):
        made = exposure()
        with pytest.raises(InputError, match=r"the image is 128 x 150 pixels but simulation is for .* 256 x 300"):
            integrate(made.image[::2, ::2], made.geometry)
        with pytest.raises(InputError, match="looks transposed"):
            integrate(made.image.T, made.geometry)

    @pytest.mark.parametrize("image", [np.zeros(5), np.zeros((2, 3, 4)), np.zeros((0, 5)), np.zeros((3, 3), complex)])
    def test_no_image(self, image):
        with pytest.raises(InputError, match="needs an image of real numbers"):
            integrate(image, exposure().geometry)

    def test_everything_masked(self):
        made = exposure()
        with pytest.raises(InputError, match="is it inverted"):
            integrate(made.image, made.geometry, np.ones(SHAPE, bool))

    def test_nothing_usable(self):
        with pytest.raises(
            InputError, match=r"no usable pixel is left in the image; 76,800 pixels left out: not finite"
        ):
            integrate(np.full(SHAPE, np.nan), exposure().geometry)


def test_threads_give_what_one_thread_gives():
    """The integrators of pyFAI share a buffer and are wrong in threads; ours must not be."""
    made = exposure()
    images = [np.roll(made.image, 7 * n, axis=0) for n in range(12)]
    alone = [integrate(image, made.geometry, npt=300).intensity for image in images]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda image: integrate(image, made.geometry, npt=300).intensity, images))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_an_image_is_not_changed():
    made = exposure()
    image, dark = made.image.astype(np.float64), np.ones(SHAPE)
    image.flags.writeable = dark.flags.writeable = False
    integrate(image, made.geometry, None, dark)


THREADS = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from daisy_core import replace
from daisy_pdf import integrate
from daisy_pdf.data import Geometry

geometry = Geometry(0.2, 0.02, 0.02, 1e-4, 1e-4, 0.2)
image = np.random.default_rng(0).poisson(100, (500, 500))
several = [replace(geometry, distance=0.2 + 0.01 * (number % 4)) for number in range(8)]
with ThreadPoolExecutor(8) as pool:
    together = list(pool.map(lambda one: integrate(image, one, npt=300).intensity, several))
assert all(np.array_equal(a, integrate(image, one, npt=300).intensity) for a, one in zip(together, several))
"""


def test_threads_may_integrate_before_anything_is_cached():
    """A process of its own, where nothing was imported or made yet: pyFAI alone ends with a segmentation fault."""
    done = subprocess.run(
        [sys.executable, "-c", THREADS], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
