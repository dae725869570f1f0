"""What is drawn is what was measured."""

from __future__ import annotations

import json
from base64 import b64decode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_ui.images import figure2d, limits, preview
from shared_ui.plots import Curve, figure1d, packed, thinned


def unpacked(array: dict[str, str]) -> np.ndarray:
    return np.frombuffer(b64decode(array["bdata"]), array["dtype"])


def test_a_short_curve_is_drawn_as_it_is() -> None:
    x = np.linspace(0, 30, 3001)
    figure = figure1d([Curve(x, np.sin(x), "G")], xlabel="r (Å)", ylabel="G (Å⁻²)")
    np.testing.assert_array_equal(unpacked(figure["data"][0]["x"]), x.astype("f4"))
    np.testing.assert_array_equal(unpacked(figure["data"][0]["y"]), np.sin(x).astype("f4"))
    assert figure["layout"]["xaxis"]["title"]["text"] == "r (Å)"
    json.dumps(figure, allow_nan=False)


def test_the_band_is_one_sigma_wide() -> None:
    x, y, sigma = np.arange(5.0), np.arange(5.0), np.full(5, 0.25)
    low, high, line = figure1d([Curve(x, y, sigma=sigma)], xlabel="x", ylabel="y")["data"]
    np.testing.assert_allclose(unpacked(high["y"]) - unpacked(low["y"]), 0.5)
    np.testing.assert_allclose(unpacked(line["y"]), y)
    assert high["fill"] == "tonexty"


@given(st.integers(100, 5000), st.integers(10, 90), st.integers(0, 2**32 - 1))
def test_a_thinned_curve_keeps_its_extremes(size: int, most: int, seed: int) -> None:
    y = np.random.default_rng(seed).normal(size=size)
    x, z = thinned(np.arange(size), y, most=most)
    assert len(x) <= 2 * (most // 2 + 1)
    assert z.min() == y.min()
    assert z.max() == y.max()
    np.testing.assert_array_equal(y[x], z)
    assert np.all(np.diff(x) > 0)


def test_a_single_spike_survives_a_million_points() -> None:
    y = np.zeros(1_000_000)
    y[654_321] = 1.0
    figure = figure1d([Curve(np.arange(y.size), y)], xlabel="x", ylabel="y")
    drawn = unpacked(figure["data"][0]["y"])
    assert drawn.size <= 20_000
    assert drawn.max() == 1.0


def test_gaps_stay_gaps() -> None:
    y = np.sin(np.arange(1000.0))
    y[200:400] = np.nan
    x, z = thinned(np.arange(1000), y, most=100)
    assert np.isfinite(z).any()
    assert np.isnan(z[(x >= 220) & (x < 380)]).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, ">u2"])
def test_one_hot_pixel_is_seen_in_the_preview(dtype: object) -> None:
    image = np.ones((2048, 1500), dtype)
    image[1234, 777] = 5000
    small = preview(image)
    assert max(small.values.shape) <= 512
    row, column = np.unravel_index(np.argmax(small.values), small.values.shape)
    assert small.values.max() == 5000
    assert (row, column) == (1234 // small.block, 777 // small.block)


def test_invalid_pixels_are_not_drawn_and_not_in_the_limits() -> None:
    image = np.full((64, 64), 100, np.int64)
    image[:8] = -2
    image[8:16] = 2**32 - 1
    mask = np.zeros((64, 64), bool)
    mask[16:24] = True
    image[16:24] = 10_000
    small = preview(image, mask)
    assert np.isnan(small.values[:24]).all()
    assert limits(small.values)[0] == 100


@pytest.mark.parametrize("image", [np.full((8, 8), -1), np.zeros((8, 8)), np.full((8, 8), np.nan), np.ones((1, 9))])
@pytest.mark.parametrize("log", [True, False])
def test_poor_images_can_be_drawn(image: np.ndarray, log: bool) -> None:
    small = preview(image)
    low, high = limits(small.values)
    assert low < high
    figure = figure2d(small, vmin=low, vmax=high, log=log)
    assert np.all(np.isfinite([figure["data"][0]["zmin"], figure["data"][0]["zmax"]]))
    json.dumps(figure, allow_nan=False)


def test_positions_in_a_preview_are_pixels() -> None:
    trace = figure2d(preview(np.ones((1024, 1024))), vmin=0, vmax=2)["data"][0]
    assert (trace["x0"], trace["dx"]) == (0.5, 2)


def test_numbers_travel_as_32_bit_floats() -> None:
    assert packed(np.array([1.0]))["dtype"] == "f4"
