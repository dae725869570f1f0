"""The fast Fourier sum is the plain one, on any grids; the windows are what the papers define."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daisy_core import InputError, ParameterError
from daisy_pdf.compare import rw
from daisy_pdf.grid import Grid, Interpolation, q_grid, r_grid
from daisy_pdf.polynomial import PolynomialCorrection
from daisy_pdf.transform import ChirpZ, gr_from_fq, window

grids = st.builds(
    Grid, start=st.floats(0, 20), step=st.floats(1e-3, 0.1), count=st.integers(2, 400)
)  # no grid of either kind is special


@settings(deadline=None, max_examples=60)
@given(grids, grids, st.integers(0, 2**32 - 1))
def test_fast_sum_equals_the_plain_sum_on_any_grids(x: Grid, y: Grid, seed: int) -> None:
    a = np.random.default_rng(seed).normal(size=x.count)
    phase = np.outer(x.values, y.values)
    fast = ChirpZ(x, y)
    np.testing.assert_allclose(fast.sine(a), a @ np.sin(phase), atol=1e-11 * np.abs(a).sum())
    np.testing.assert_allclose(fast.cosine(a), a @ np.cos(phase), atol=1e-11 * np.abs(a).sum())


def test_many_rows_are_the_same_as_one_by_one_with_any_number_of_workers() -> None:
    fast = ChirpZ(Grid(0.86, 0.02, 1408), Grid(0.0, 0.01, 3001))
    rows = np.random.default_rng(1).normal(size=(19, 1408))
    together = fast.sine(rows)
    np.testing.assert_allclose(together, [fast.sine(row) for row in rows], atol=1e-11)
    np.testing.assert_allclose(together, fast.sine(rows, workers=2), atol=1e-11)
    assert fast.sine(rows.reshape(19, 1, 1408)).shape == (19, 1, 3001)


def test_sine_wave_in_q_is_a_peak_in_r() -> None:
    q, r = np.arange(1, 30, 0.01), np.arange(0, 20, 0.01)
    for distance in (1.5, 2.49, 17.0):
        assert r[np.argmax(gr_from_fq(q, np.sin(distance * q), r))] == pytest.approx(distance, abs=0.011)


def test_irregular_grids_are_refused() -> None:
    q = np.linspace(1, 2, 50) ** 2
    with pytest.raises(InputError, match="not regular"):
        gr_from_fq(q, q, np.arange(10.0))
    with pytest.raises(InputError, match="two points"):
        gr_from_fq(np.ones(1), np.ones(1), np.arange(10.0))


def test_windows_start_at_one_and_end_as_defined() -> None:
    q = np.linspace(0, 25, 501)
    assert np.all(window(q, 25, ("step",)) == 1)
    for name in ("lorch", "revised_lorch", "cosine"):
        values = window(q, 25, (name,))
        assert values[0] == pytest.approx(1)
        assert values[-1] == pytest.approx(0, abs=1e-12)
        assert np.all(np.diff(values) < 0)
    np.testing.assert_allclose(
        window(q, 25, ("lorch", "cosine")), window(q, 25, ("lorch",)) * window(q, 25, ("cosine",))
    )


def test_revised_lorch_smooths_a_point_into_a_sphere() -> None:
    """The transform of the window over all Q is a uniform sphere of radius 4.4934/qmax, by the derivation of the paper."""
    radius = 4.493409457909064 / 20
    r = np.linspace(0, radius, 4001)
    q = np.array([0.0, 0.1, 1.0, 7.0, 13.0, 19.9])
    inside = 3 * np.trapezoid(r**2 * np.sinc(np.outer(q, r) / np.pi), r, axis=1) / radius**3
    np.testing.assert_allclose(window(q, 20, ("revised_lorch",)), inside, atol=1e-6)


@pytest.mark.parametrize("rpoly", [0.15, 0.5, 0.9, 1.37, 2.0, 3.0])
def test_polynomial_mixes_two_least_squares_fits_without_constant_term(rpoly: float) -> None:
    grid = Grid(0.86, 0.02, 1408)
    q = grid.values
    f = np.random.default_rng(3).normal(size=q.size) + 0.3 * q - 0.02 * q**2
    degree = rpoly * (q[-1] - q[0]) / np.pi
    low = int(degree)

    def fitted(n: int) -> np.ndarray:
        columns = q[:, None] * np.polynomial.chebyshev.chebvander(q / 15 - 1, n - 1)  # spans Q ... Q^n
        return columns @ np.linalg.lstsq(columns, f, rcond=None)[0]

    expected = (low + 1 - degree) * fitted(low) + (degree - low) * fitted(low + 1)
    correction = PolynomialCorrection(grid, rpoly)
    assert correction.degree == pytest.approx(degree)
    np.testing.assert_allclose(correction.fit(f), expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("rpoly", [0.0, 0.1])
def test_degree_below_one_means_no_polynomial(rpoly: float) -> None:
    grid = Grid(0.86, 0.02, 1408)
    assert not np.any(PolynomialCorrection(grid, rpoly).fit(np.ones(1408)))


def test_polynomial_of_high_degree_keeps_its_digits() -> None:
    grid = Grid(0.0, 0.02, 1501)
    correction = PolynomialCorrection(grid, 6.0)
    m = correction.weights.size
    assert m > 50
    np.testing.assert_allclose(correction.basis.T @ correction.basis, np.eye(m), atol=1e-12)
    smooth = (grid.values / 30) ** 3 - 2 * (grid.values / 30) ** 7
    np.testing.assert_allclose(correction.fit(smooth), smooth, atol=1e-10)


def test_slope_of_the_polynomial_at_zero() -> None:
    grid = Grid(0.0, 0.02, 1501)
    q = grid.values
    correction = PolynomialCorrection(grid, 10 * np.pi / q[-1])
    assert correction.slope_at_zero(0.7 * q - 0.1 * q**2) == pytest.approx(0.7)


def test_polynomial_with_more_terms_than_data_can_bear_is_refused() -> None:
    with pytest.raises(ParameterError, match="rpoly"):
        PolynomialCorrection(Grid(0.0, 0.1, 100), 60.0)


def test_r_grid_has_both_ends() -> None:
    values = r_grid(0.5, 50.0, 0.01).values
    assert len(values) == 4951
    assert values[[0, -1]] == pytest.approx([0.5, 50.0])


@pytest.mark.parametrize(("limits", "says"), [((5, 5, 0.1), "rmin"), ((0, 100, 1e-6), "rstep")])
def test_impossible_r_grids_are_refused(limits: tuple[float, float, float], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        r_grid(*limits)


def test_rounded_printed_q_does_not_shift_the_grid() -> None:
    """A header prints qmaxinst = 23.4501 for the datum 23.450118; the datum belongs to the data all the same."""
    q = np.linspace(0.65, 23.450118, 8000)
    exact, printed = q_grid(q, 1.0, q[-1]), q_grid(q, 1.0, 23.4501)
    assert exact == printed
    assert q_grid(np.arange(1576) * 0.02, 0.0, 31.26).count == 1564


def test_too_few_points_are_refused() -> None:
    with pytest.raises(InputError, match="points"):
        q_grid(np.linspace(1, 20, 100), 0, 2.0)
    with pytest.raises(InputError, match="points"):
        q_grid(np.linspace(1, 20, 100), 19.5, 20.0)


@given(st.integers(0, 2**32 - 1))
def test_interpolation_is_linear_and_holds_the_ends(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = np.cumsum(rng.uniform(0.01, 0.3, 40)) + 1
    values = rng.normal(size=(3, 40))
    grid = Grid(0.0, 0.11, 120)
    expected = [np.interp(grid.values, q, row) for row in values]
    np.testing.assert_allclose(Interpolation(q, grid)(values), expected, atol=1e-12)


def test_nodes_that_share_data_share_errors() -> None:
    q, grid = np.arange(0.0, 4.0), Grid(0.0, 0.5, 7)
    sigma = np.array([1.0, 2.0, 3.0, 4.0])
    spread = np.array(
        [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 1, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 1, 0], [0, 0, 0.5, 0.5], [0, 0, 0, 1]]
    )
    expected = spread @ np.diag(sigma**2) @ spread.T
    np.testing.assert_allclose(Interpolation(q, grid).covariance(sigma).toarray(), expected, atol=1e-14)


def test_rw_is_zero_for_equal_curves_and_one_for_nothing() -> None:
    curve = np.sin(np.arange(50.0))
    assert rw(curve, curve) == 0
    assert rw(np.zeros(50), curve) == pytest.approx(1)
    with pytest.raises(InputError, match="shapes"):
        rw(curve, curve[1:])
    with pytest.raises(InputError, match="zero"):
        rw(curve, np.zeros(50))


def test_window_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ParameterError, match="no window 'hann'"):
        window(np.linspace(0, 20, 50), 20.0, ("lorch", "hann"))
