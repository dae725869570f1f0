"""PONI files mean what the programs that wrote them mean."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daisy_core import InputError
from daisy_pdf.data import Geometry
from daisy_pdf.geometry import read_poni, write_poni
from daisy_pdf.simulate import momentum_transfer, pixel_directions

V1 = {
    "PixelSize1": "0.0002",
    "PixelSize2": "0.0001",
    "Distance": "0.25",
    "Poni1": "0.1",
    "Poni2": "0.12",
    "Rot1": "0.01",
    "Rot2": "-0.02",
    "Rot3": "0.3",
    "SplineFile": "None",
    "Wavelength": "1.8e-11",
}
V2 = {
    "poni_version": "2.1",
    "Detector": "Detector",
    "Detector_config": json.dumps({"pixel1": 2e-4, "pixel2": 1e-4, "max_shape": [100, 200], "orientation": 3}),
    **{key: V1[key] for key in ("Distance", "Poni1", "Poni2", "Rot1", "Rot2", "Rot3", "Wavelength")},
}


def _poni(folder: Path, keys: dict[str, str], **changes: str | None) -> Path:
    keys = {**keys, **changes}
    file = folder / "a.poni"
    file.write_text(
        "# Nota: C-Order\n" + "".join(f"{key}: {value}\n" for key, value in keys.items() if value is not None)
    )
    return file


def _pyfai(file: Path, shape: tuple[int, int]) -> np.ndarray:
    import pyFAI

    return pyFAI.load(str(file)).center_array(shape, unit="q_A^-1")


class TestReading:
    def test_version_1_of_2015(self, shared_data):
        geometry = read_poni(shared_data / "pdf/ceo2_pilatus/CeO2_Pilatus1M.poni")
        assert geometry.distance == 0.208651380603
        assert geometry.pixel1 == geometry.pixel2 == 0.000172
        assert geometry.wavelength == pytest.approx(0.4066)
        assert (geometry.rot1, geometry.rot2) == (-0.0184422457059, 0.00413760084465)
        assert geometry.orientation == 3

    @pytest.mark.parametrize("keys", [V1, V2], ids=["1", "2.1"])
    def test_both_versions(self, tmp_path, keys):
        geometry = read_poni(_poni(tmp_path, keys))
        assert (geometry.pixel1, geometry.pixel2) == (2e-4, 1e-4)
        assert (geometry.distance, geometry.poni1, geometry.poni2) == (0.25, 0.1, 0.12)
        assert (geometry.rot1, geometry.rot2, geometry.rot3) == (0.01, -0.02, 0.3)
        assert geometry.wavelength == pytest.approx(0.18)
        assert geometry.source.endswith("a.poni")

    def test_version_2_knows_the_size_of_the_detector(self, tmp_path):
        geometry = read_poni(_poni(tmp_path, V2))
        assert (geometry.rows, geometry.columns) == (100, 200)

    def test_a_named_detector_brings_its_pixels(self, tmp_path):
        geometry = read_poni(_poni(tmp_path, V2, Detector="Pilatus1M", Detector_config='{"orientation": 2}'))
        assert (geometry.pixel1, geometry.rows, geometry.columns) == (172e-6, 1043, 981)
        assert (geometry.detector, geometry.orientation) == ("Pilatus1M", 2)

    def test_a_named_detector_may_be_binned(self, tmp_path):
        config = '{"pixel1": 4e-4, "pixel2": 4e-4, "orientation": 3}'
        geometry = read_poni(_poni(tmp_path, V2, Detector="Perkin", Detector_config=config))
        assert (geometry.pixel1, geometry.rows) == (4e-4, 1024)

    def test_the_last_of_two_calibrations_holds(self, tmp_path):
        file = _poni(tmp_path, V1)
        with file.open("a") as handle:
            handle.write("# Calibration done later\nDistance: 0.3\n")
        assert read_poni(file).distance == 0.3

    def test_rotations_may_be_absent(self, tmp_path):
        assert read_poni(_poni(tmp_path, V1, Rot1=None, Rot2=None, Rot3="None")).rot3 == 0


class TestMeaning:
    @pytest.mark.parametrize("orientation", [1, 2, 3, 4])
    def test_q_of_the_pixels_is_that_of_pyfai(self, tmp_path, orientation):
        config = json.dumps({"pixel1": 2e-4, "pixel2": 1e-4, "max_shape": [60, 90], "orientation": orientation})
        file = _poni(tmp_path, V2, Detector_config=config)
        geometry = read_poni(file)
        # Our own trigonometry, for the orientation as read; the others reverse axes.
        directions, _ = pixel_directions(geometry, np.arange(60), np.arange(90))
        q = momentum_transfer(directions, geometry.wavelength)
        q = q[:: -1 if orientation in (1, 2) else 1, :: -1 if orientation in (1, 4) else 1]
        assert np.allclose(q, _pyfai(file, (60, 90)), rtol=2e-6, atol=2e-6)

    def test_what_is_written_means_the_same_to_pyfai(self, tmp_path):
        geometry = read_poni(_poni(tmp_path, V2))
        write_poni(geometry, tmp_path / "b.poni")
        before, after = _pyfai(tmp_path / "a.poni", (100, 200)), _pyfai(tmp_path / "b.poni", (100, 200))
        assert np.array_equal(before, after)

    @settings(max_examples=50, deadline=None)
    @given(
        st.builds(
            Geometry,
            distance=st.floats(1e-3, 100),
            poni1=st.floats(-10, 10),
            poni2=st.floats(-10, 10),
            pixel1=st.floats(1e-6, 1e-2),
            pixel2=st.floats(1e-6, 1e-2),
            wavelength=st.floats(0.01, 10),
            rot1=st.floats(-3, 3),
            rot2=st.floats(-3, 3),
            rot3=st.floats(-3, 3),
            orientation=st.integers(1, 4),
        )
    )
    def test_nothing_is_lost_on_the_way_through_a_file(self, tmp_path_factory, geometry):
        file = tmp_path_factory.getbasetemp() / "round.poni"
        write_poni(geometry, file)
        again = read_poni(file)
        for name in ("distance", "poni1", "poni2", "pixel1", "pixel2", "rot1", "rot2", "rot3", "orientation"):
            assert getattr(again, name) == getattr(geometry, name), name
        assert again.wavelength == pytest.approx(geometry.wavelength, rel=1e-14)

    def test_a_named_detector_survives_a_file(self, tmp_path):
        geometry = read_poni(_poni(tmp_path, V2, Detector="Pilatus1M", Detector_config='{"orientation": 3}'))
        write_poni(geometry, tmp_path / "b.poni")
        again = read_poni(tmp_path / "b.poni")
        assert (again.detector, again.rows, again.pixel1) == ("Pilatus1M", 1043, 172e-6)


class TestRefused:
    def test_missing_file(self, tmp_path):
        with pytest.raises(InputError, match=r"none\.poni"):
            read_poni(tmp_path / "none.poni")

    @pytest.mark.parametrize("content", [b"\x00\xff\xfe\x00", b"some text\nwithout: meaning\n", b"\n\n"])
    def test_no_poni_file(self, tmp_path, content):
        (tmp_path / "a.poni").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.poni"):
            read_poni(tmp_path / "a.poni")

    @pytest.mark.parametrize("key", ["Distance", "Poni1", "Poni2", "PixelSize1", "PixelSize2"])
    def test_a_missing_key_is_named(self, tmp_path, key):
        with pytest.raises(InputError, match=rf"a\.poni: the key '{key}' is missing"):
            read_poni(_poni(tmp_path, V1, **{key: None}))

    @pytest.mark.parametrize("value", [None, "None", ""])
    def test_no_wavelength_says_what_to_add(self, tmp_path, value):
        with pytest.raises(InputError, match=r"no wavelength.*add a line in metres such as 'Wavelength: 1\.8e-11'"):
            read_poni(_poni(tmp_path, V1, Wavelength=value))

    @pytest.mark.parametrize("value", ["0.18", "1.8", "0", "-1e-11"])
    def test_a_wavelength_in_angstrom_is_noticed(self, tmp_path, value):
        with pytest.raises(InputError, match="cannot be in metres"):
            read_poni(_poni(tmp_path, V1, Wavelength=value))

    def test_no_number(self, tmp_path):
        with pytest.raises(InputError, match="'Poni1: abc' is not a number"):
            read_poni(_poni(tmp_path, V1, Poni1="abc"))

    def test_distance_not_above_zero(self, tmp_path):
        with pytest.raises(InputError, match="must be above zero"):
            read_poni(_poni(tmp_path, V1, Distance="0"))

    def test_distorted_detectors(self, tmp_path):
        with pytest.raises(InputError, match="distortion"):
            read_poni(_poni(tmp_path, V1, SplineFile="frelon.spline"))

    def test_detectors_that_are_no_regular_grid(self, tmp_path):
        with pytest.raises(InputError, match="not a flat regular grid"):
            read_poni(_poni(tmp_path, V2, Detector="Xpad_flat", Detector_config='{"orientation": 3}'))

    def test_unknown_detector(self, tmp_path):
        with pytest.raises(InputError, match="does not know the detector 'Nonesuch'"):
            read_poni(_poni(tmp_path, V2, Detector="Nonesuch", Detector_config='{"orientation": 3}'))

    def test_broken_configuration(self, tmp_path):
        with pytest.raises(InputError, match="not valid JSON"):
            read_poni(_poni(tmp_path, V2, Detector_config='{"pixel1": '))

    def test_configuration_that_is_no_object(self, tmp_path):
        with pytest.raises(InputError, match="not a JSON object"):
            read_poni(_poni(tmp_path, V2, Detector_config="[1, 2]"))

    def test_unknown_orientation(self, tmp_path):
        with pytest.raises(InputError, match="orientation 6 is not known"):
            read_poni(_poni(tmp_path, V2, Detector_config='{"pixel1": 1e-4, "pixel2": 1e-4, "orientation": 6}'))

    def test_parallax(self, tmp_path):
        with pytest.raises(InputError, match="Parallax"):
            read_poni(_poni(tmp_path, V2, Parallax="True"))
