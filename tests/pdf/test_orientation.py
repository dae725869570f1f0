"""An image that is the wrong way up is noticed; one that is right, or cannot be told, is left in peace."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest

from daisy_core import InputError, replace
from daisy_core.io import read_frame
from daisy_pdf.geometry import read_poni
from daisy_pdf.integration import integrate
from daisy_pdf.orientation import orientation_check
from daisy_pdf.simulate import SimulatedExposure, simulate_exposure

TURNS = {"none": (1, 1), "vertical": (-1, 1), "horizontal": (1, -1), "both": (-1, -1)}


@cache
def exposure(**changes: float) -> SimulatedExposure:
    return simulate_exposure(rows=512, columns=512, pixel=8e-4, diameter=40.0, **changes)


def turned(image: np.ndarray, flip: str, transpose: bool = False) -> np.ndarray:
    up, right = TURNS[flip]
    return (image.T if transpose else image)[::up, ::right]


class TestRealImage:
    @pytest.mark.parametrize("flip", TURNS)
    def test_the_calibrated_orientation_is_found_from_any(self, shared_data, flip):
        folder = shared_data / "pdf/ceo2_pilatus"
        geometry = read_poni(folder / "CeO2_Pilatus1M.poni")
        right = read_frame(folder / "CeO2_Pilatus1M.tif", flip="vertical")
        found = orientation_check(turned(right, flip), geometry)
        assert found.flip == flip
        assert found.clear == (flip != "none")

    def test_integration_warns_of_the_image_as_it_is_in_the_file(self, shared_data):
        folder = shared_data / "pdf/ceo2_pilatus"
        geometry = read_poni(folder / "CeO2_Pilatus1M.poni")
        wrong, right = (
            integrate(read_frame(folder / "CeO2_Pilatus1M.tif", flip=flip), geometry, npt=1000)
            for flip in ("none", "vertical")
        )
        assert any("sharper if the image is flipped vertically" in note for note in wrong.warnings)
        assert any("--image.flip vertical" in note for note in wrong.warnings)
        assert not any("sharper" in note for note in right.warnings)

    def test_paths_are_read_by_the_readers(self, shared_data):
        folder = shared_data / "pdf/ceo2_pilatus"
        pattern = integrate(str(folder / "CeO2_Pilatus1M.tif"), folder / "CeO2_Pilatus1M.poni", npt=1000)
        assert any("sharper" in note for note in pattern.warnings)
        assert pattern.source.endswith("CeO2_Pilatus1M.poni")


class TestSimulatedImages:
    @pytest.mark.parametrize("transpose", [False, True])
    @pytest.mark.parametrize("flip", TURNS)
    def test_the_advice_brings_back_the_right_orientation(self, flip, transpose):
        made = exposure()
        found = orientation_check(turned(made.image, flip, transpose), made.geometry)
        assert np.array_equal(turned(turned(made.image, flip, transpose), found.flip, found.transpose), made.image)
        assert found.clear == ((flip, transpose) != ("none", False))

    @pytest.mark.parametrize("counts", [0.5, 5.0, 500.0, 50000.0])
    def test_the_right_orientation_is_quiet_at_any_exposure(self, counts):
        made = exposure(counts=counts)
        assert not orientation_check(made.image, made.geometry).clear
        assert orientation_check(made.image[::-1], made.geometry).clear

    @pytest.mark.parametrize("flip", TURNS)
    def test_a_beam_in_the_middle_cannot_tell(self, flip):
        middle = 256 * 8e-4
        made = exposure(poni1=middle, poni2=middle, rot1=0.0, rot2=0.0)
        found = orientation_check(turned(made.image, flip), made.geometry)
        assert not found.clear
        assert (found.flip, found.gain) == ("none", 1.0)

    @pytest.mark.parametrize("poni1", [0.008, -0.04, 0.2])
    @pytest.mark.parametrize("poni2", [0.02, 0.1])
    def test_the_right_orientation_is_quiet_wherever_the_beam_is(self, poni1, poni2):
        made = exposure(poni1=poni1, poni2=poni2, rot1=0.0, rot2=0.0)
        for image in (made.image, made.container):
            assert not orientation_check(image, made.geometry).clear

    def test_the_smallest_change_is_advised(self):
        """With the beam in the middle column, left and right cannot be told: vertical is enough."""
        made = exposure(poni2=256 * 8e-4, rot1=0.0)
        found = orientation_check(made.image[::-1], made.geometry)
        assert (found.flip, found.transpose, found.clear) == ("vertical", False, True)

    def test_noise_has_no_orientation(self):
        image = np.random.default_rng(0).poisson(100, (512, 512))
        assert not orientation_check(image, exposure().geometry).clear
        assert not orientation_check(np.zeros((512, 512)), exposure().geometry).clear

    def test_bright_spots_and_gaps_do_not_mislead(self):
        made = exposure()
        image = made.image.astype(np.int64)
        random = np.random.default_rng(1)
        image[random.integers(0, 512, 300), random.integers(0, 512, 300)] = 10**6
        image[200:210] = -1
        image[:, 50:60] = -1
        assert not orientation_check(image, made.geometry).clear
        assert orientation_check(image[:, ::-1], made.geometry).flip == "horizontal"

    def test_a_mask_is_turned_with_the_image(self):
        made = exposure()
        image, mask = made.image.copy(), np.zeros((512, 512), bool)
        image[:200], mask[:200] = 10**6, True
        found = orientation_check(image[::-1], made.geometry, mask[::-1])
        assert (found.flip, found.clear) == ("vertical", True)

    def test_the_orientation_of_the_poni_file_counts(self):
        made = exposure()
        geometry = replace(made.geometry, orientation=2)
        assert not orientation_check(made.image[::-1], geometry).clear
        assert orientation_check(made.image, geometry).flip == "vertical"

    def test_the_check_can_be_switched_off(self):
        made = exposure()
        quiet = integrate(made.image[::-1], made.geometry, npt=200, orientation=False)
        assert not any("sharper" in note for note in quiet.warnings)

    def test_the_advice_holds_for_an_image_that_was_flipped_already(self):
        advice = orientation_check(exposure().image[::-1], exposure().geometry).advice()
        assert "--image.flip vertical, or without the flip if it was given one" in advice
        assert "--backgrounds.flip vertical" in advice

    def test_a_mask_of_another_shape(self):
        with pytest.raises(InputError, match="the mask has the shape"):
            orientation_check(exposure().image, exposure().geometry, np.zeros((3, 3)))


def test_the_check_takes_a_small_part_of_a_second():
    made = exposure()
    image = np.kron(made.image, np.ones((4, 4), np.uint32))
    geometry = replace(made.geometry, pixel1=2e-4, pixel2=2e-4, rows=2048, columns=2048)
    orientation_check(image, geometry)
    start = time.process_time()
    orientation_check(image, geometry)
    assert time.process_time() - start < 0.2
