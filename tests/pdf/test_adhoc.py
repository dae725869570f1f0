"""The ad hoc reduction gives what its definition says, warns of what is doubtful and refuses what is impossible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daisy_core import InputError, ParameterError
from daisy_pdf.adhoc import pair_distribution, prepare, reduce_many
from daisy_pdf.config import PDFConfig
from daisy_pdf.data import Pattern, PDFResult
from daisy_pdf.grid import Grid
from daisy_pdf.operators import pdf_operator
from daisy_pdf.scattering import mean_scattering

Q = np.arange(0.4, 25.001, 0.02)


def nickel_like(q: np.ndarray = Q, *, scale: float = 50.0) -> np.ndarray:
    """Intensity of atoms at a few sharp distances, in arbitrary units."""
    f2 = mean_scattering("Ni", q).squared_mean
    waves = sum(
        weight * np.sin(q * r) / (q * r) * np.exp(-0.003 * q**2)
        for r, weight in ((2.49, 1.2), (3.52, 0.6), (4.31, 2.4))
    )
    return scale * f2 * (1 + waves)


def pattern(q: np.ndarray = Q, i: np.ndarray | None = None, **fields: Any) -> Pattern:
    return Pattern(q, nickel_like(q) if i is None else i, **fields)


def reduced(sample: Pattern, *backgrounds: Pattern, **options: Any) -> PDFResult:
    return pair_distribution(sample, backgrounds, config=PDFConfig(composition="Ni", **{"qmin": 0.4, **options}))


def warned(result: PDFResult, text: str) -> bool:
    return any(text in warning for warning in result.warnings)


def test_peaks_of_g_are_at_the_distances_of_the_atoms() -> None:
    gr = reduced(pattern()).gr
    inside = (gr.r > 2) & (gr.r < 3)
    assert gr.r[inside][np.argmax(gr.g[inside])] == pytest.approx(2.49, abs=0.02)


def test_result_does_not_depend_on_the_scale_of_the_counts() -> None:
    one, many = reduced(pattern(i=nickel_like(scale=1.0))), reduced(pattern(i=nickel_like(scale=1e5)))
    np.testing.assert_allclose(one.gr.g, many.gr.g, atol=1e-9)
    assert one.scale / many.scale == pytest.approx(1e5)


def test_result_is_the_definition_written_out() -> None:
    """Plain sums, a plain polynomial fit, a plain sine matrix."""
    sample, background = nickel_like(), 20 + 30 * np.exp(-Q)
    result = reduced(pattern(i=sample + 0.7 * background), pattern(i=background), bgscale=0.7, rpoly=1.1, qmax=23.0)
    q = result.iq.q
    np.testing.assert_allclose(result.iq.i, np.interp(q, Q, sample), rtol=1e-10)
    f2 = mean_scattering("Ni", q).squared_mean
    g = result.iq.i / f2
    k = np.sum(g) / np.sum(g * g)
    assert result.scale == pytest.approx(k)
    f = q * (k * g - 1)
    degree = 1.1 * (q[-1] - q[0]) / np.pi
    low = int(degree)
    fits = []
    for n in (low, low + 1):
        columns = (q / q[-1])[:, None] ** np.arange(1, n + 1)
        fits.append(columns @ np.linalg.lstsq(columns, f, rcond=None)[0])
    f = f - (low + 1 - degree) * fits[0] - (degree - low) * fits[1]
    kept = q <= 23.0 + 1e-9
    np.testing.assert_allclose(result.fq.f, f[kept], atol=1e-9)
    np.testing.assert_allclose(result.sq.s, f[kept] / q[kept] + 1, atol=1e-9)
    expected = 2 / np.pi * np.mean(np.diff(q)) * f[kept] @ np.sin(np.outer(q[kept], result.gr.r))
    np.testing.assert_allclose(result.gr.g, expected, atol=1e-9)


def test_s_is_f_over_q_plus_one_even_at_zero() -> None:
    q = np.arange(0.0, 25.001, 0.02)
    result = pair_distribution(pattern(q, nickel_like(q + 1e-9)), config=PDFConfig(composition="Ni"))
    s, q = result.sq.s, result.sq.q
    assert q[0] == 0
    np.testing.assert_allclose(s[1:], result.fq.f[1:] / q[1:] + 1, atol=1e-12)
    assert s[0] == pytest.approx(2 * s[1] - s[2], abs=0.05)


def test_result_says_what_was_used() -> None:
    result = reduced(pattern(source="Ni.chi"), pattern(i=0.1 + 0 * Q, source="kapton.chi"))
    assert result.config.qmaxinst == result.config.qmax == pytest.approx(25.0)
    assert result.config.bgscale == (1.0,)
    assert result.sources == ("Ni.chi", "kapton.chi")
    assert (result.engine, result.absolute) == ("adhoc", False)
    again = pair_distribution(pattern(), [pattern(i=0.1 + 0 * Q)], config=result.config)
    np.testing.assert_array_equal(again.gr.g, result.gr.g)


def test_backgrounds_have_scales_of_their_own_and_grids_of_their_own() -> None:
    sample = nickel_like()
    air_q, cell_q = np.arange(0.2, 26, 0.05), np.r_[0.3, np.arange(0.41, 25.5, 0.013)]
    air, cell = 3 + 0.1 * air_q, 7 + 0.2 * cell_q
    dirty = sample + 0.5 * (3 + 0.1 * Q) + 2.0 * (7 + 0.2 * Q)
    result = reduced(pattern(i=dirty), pattern(air_q, air), pattern(cell_q, cell), bgscale=(0.5, 2.0))
    np.testing.assert_allclose(result.iq.i, np.interp(result.iq.q, Q, sample), rtol=1e-9)
    both = reduced(pattern(i=sample + 0.5 * (3 + 0.1 * Q) * 2), pattern(air_q, air), pattern(air_q, air), bgscale=0.5)
    np.testing.assert_allclose(both.iq.i, np.interp(both.iq.q, Q, sample), rtol=1e-9)


def test_scales_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ParameterError, match="2 values for 1 background"):
        reduced(pattern(), pattern(), bgscale=(0.1, 0.2))


def test_scale_without_a_background_is_mentioned() -> None:
    assert warned(reduced(pattern(), bgscale=0.4), "no background was given")


def test_many_patterns_at_once_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    rows = nickel_like() * rng.normal(1, 0.02, (11, Q.size))
    background = pattern(i=20 + 0 * Q)
    config = PDFConfig(composition="Ni", qmin=0.4, qmax=22.0, bgscale=(0.5,), terminationfunctions=("lorch",))
    r, g = reduce_many(Q, rows, [background], config=config)
    single = [pair_distribution(pattern(i=row), [background], config=config).gr.g for row in rows]
    np.testing.assert_allclose(g, single, atol=1e-11)
    np.testing.assert_allclose(reduce_many(Q, rows, [background], config=config, workers=2)[1], g, atol=1e-11)
    assert r[-1] == pytest.approx(30)


def test_series_with_nan_is_refused() -> None:
    rows = np.vstack((nickel_like(), nickel_like()))
    rows[1, 5] = np.nan
    with pytest.raises(InputError, match="series"):
        reduce_many(Q, rows, config=PDFConfig(composition="Ni"))


def test_bad_pattern_of_a_series_is_named() -> None:
    operator = pdf_operator(Grid(0.4, 0.02, 1231), PDFConfig(composition="Ni"))
    rows = np.vstack((nickel_like(operator.q.values), np.zeros(1231)))
    with pytest.raises(InputError, match="pattern 1"):
        operator.apply(rows)


def test_operator_is_made_once() -> None:
    config = PDFConfig(composition="Ni", qmin=0.4)
    assert prepare(pattern(), config=config).operator is prepare(pattern(i=2 * nickel_like()), config=config).operator
    other = config.model_copy(update={"qmax": 20.0})
    assert prepare(pattern(), config=config).operator is not prepare(pattern(), config=other).operator


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_any_number_type_will_do(dtype: type) -> None:
    result = reduced(pattern(i=nickel_like(scale=1e4).astype(dtype)))
    np.testing.assert_allclose(result.gr.g, reduced(pattern(i=nickel_like(scale=1e4))).gr.g, atol=1e-2)
    assert result.gr.g.dtype == np.float64


def test_windows_reach_g() -> None:
    step, lorch = reduced(pattern()), reduced(pattern(), terminationfunctions=("lorch",))
    np.testing.assert_array_equal(step.fq.f, lorch.fq.f)
    assert np.ptp(lorch.gr.g) < np.ptp(step.gr.g)


def test_rpoly_zero_leaves_f_alone() -> None:
    result = reduced(pattern(), rpoly=0.0)
    assert not np.any(result.fq.polynomial)


def test_neutrons_are_reduced_with_scattering_lengths() -> None:
    q = np.arange(0.02, 30, 0.02)
    i = 3.0 * (1 + 2 * np.sin(2.49 * q) / (2.49 * q) * np.exp(-0.003 * q**2))
    result = pair_distribution(pattern(q, i), config=PDFConfig(composition="Ni", mode="neutron"))
    inside = (result.gr.r > 2) & (result.gr.r < 3)
    assert result.gr.r[inside][np.argmax(result.gr.g[inside])] == pytest.approx(2.49, abs=0.02)


# What a user must be told


def test_trailing_zeros_end_the_data_and_the_user_knows() -> None:
    i = np.where(Q < 22.0, nickel_like(), 0.0)
    result = reduced(pattern(i=i))
    assert result.config.qmaxinst == pytest.approx(21.98)
    assert warned(result, "qmaxinst = 21.98")
    assert not warned(reduced(pattern(i=i), qmaxinst=21.0), "qmaxinst")
    assert warned(reduced(pattern(i=i), qmaxinst=24.0), "qmaxinst = 21.98")


def test_qmaxinst_beyond_the_data_is_brought_back() -> None:
    result = reduced(pattern(), qmaxinst=30.0)
    assert result.config.qmaxinst == pytest.approx(25.0)
    assert warned(result, "beyond the data")


def test_qmax_above_qmaxinst_is_brought_back() -> None:
    result = reduced(pattern(), qmax=24.0, qmaxinst=20.0)
    assert result.config.qmax == 20.0
    assert result.fq.q[-1] <= 20.0 + 1e-6
    assert warned(result, "qmax = 24")


def test_leading_zeros_and_missing_start_are_mentioned() -> None:
    q = np.arange(0.0, 25, 0.02)
    i = np.where(q > 0.1, nickel_like(q + 1e-9), 0)
    assert warned(reduced(pattern(q, i), qmin=0.0), "beam stop")
    assert not warned(reduced(pattern(q, i), qmin=0.5), "beam stop")
    assert warned(reduced(pattern(), qmin=0.0), "held constant")


def test_coarse_and_aliased_r_are_mentioned() -> None:
    assert warned(reduced(pattern(), rstep=0.2), "rstep")
    assert warned(reduced(pattern(), rmax=200.0), "rmax")
    assert not reduced(pattern()).warnings


def test_empty_bins_never_reach_the_transform() -> None:
    i = nickel_like()
    i[[0, 100, 101, 700]] = np.nan
    result = reduced(pattern(i=i, sigma=np.sqrt(nickel_like())))
    assert np.all(np.isfinite(result.gr.g))
    assert np.all(np.isfinite(result.gr.sigma))
    assert warned(result, "4 of 1231 points are NaN")


def test_background_that_ends_early_limits_the_data() -> None:
    short = Q < 20.0
    result = reduced(pattern(), pattern(Q[short], 1 + 0 * Q[short], source="air"))
    assert result.config.qmaxinst == pytest.approx(19.98)
    assert warned(result, "air ends at Q = 19.98")


def test_background_that_starts_late_or_is_partly_zero_is_mentioned() -> None:
    late = Q > 1.0
    assert warned(reduced(pattern(), pattern(Q[late], 1 + 0 * Q[late])), "held constant")
    assert warned(reduced(pattern(), pattern(i=np.where(Q < 20, 1.0, 0.0))), "nothing is subtracted")


def test_share_of_negative_intensities_is_reported() -> None:
    result = reduced(pattern(), pattern(i=np.where(Q < 2, 1.2, 0.1) * nickel_like()))
    assert warned(result, "negative after background subtraction")
    assert warned(result, "6.5%")


def test_background_without_uncertainty_is_mentioned() -> None:
    sample = pattern(sigma=np.sqrt(nickel_like()))
    assert warned(reduced(sample, pattern(i=1 + 0 * Q)), "has no uncertainties")
    assert reduced(pattern()).gr.sigma is None


def test_features_closer_than_atoms_are_mentioned() -> None:
    f2 = mean_scattering("Ni", Q).squared_mean
    result = reduced(pattern(i=f2 * (1 + 0.5 * np.sin(0.5 * Q) / Q)), rpoly=0.0)
    assert warned(result, "closer than any two atoms")


def test_warnings_of_the_reader_are_passed_on() -> None:
    assert reduced(pattern(warnings=("from the reader",))).warnings == ("from the reader",)


# What is refused


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (pattern(i=0 * Q), "all intensities are zero"),
        (pattern(i=np.nan * Q), "no numbers"),
        (pattern(10 * Q, nickel_like()), "1/nm"),
        (pattern(Q / 10, nickel_like()), "too low"),
        (pattern(Q[::-1], nickel_like()), "does not increase"),
        (pattern(np.repeat(Q[::2], 2)[: Q.size], nickel_like()), "does not increase"),
        (pattern(Q - 1, nickel_like()), "negative"),
        (pattern(i=-nickel_like()), "negative"),
        (pattern(sigma=-np.ones(Q.size)), "uncertainties are negative"),
        (pattern(Q[-5:], nickel_like()[-5:]), "points"),
    ],
)
def test_data_that_cannot_be_reduced_are_refused(sample: Pattern, says: str) -> None:
    with pytest.raises(InputError, match=says):
        reduced(sample)


def test_oversubtraction_is_refused() -> None:
    with pytest.raises(InputError, match="lower bgscale"):
        reduced(pattern(), pattern(i=1e3 * nickel_like()))
    mostly = np.where(Q < 5, -1e4, 1.0) * nickel_like()
    with pytest.raises(InputError, match="lower bgscale"):
        reduced(pattern(i=mostly))


def test_empty_background_is_refused() -> None:
    with pytest.raises(InputError, match="leave this background out"):
        reduced(pattern(), pattern(i=0 * Q))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"composition": ""}, "composition is empty"),
        ({"qmin": 24.0, "qmax": 20.0}, "qmin"),
        ({"qmin": 26.0}, "qmin"),
        ({"rmin": 30.0}, "rmin"),
        ({"rstep": 1e-6}, "rstep"),
        ({"rpoly": 90.0}, "rpoly"),
    ],
)
def test_configurations_that_contradict_themselves_are_refused(options: dict[str, Any], says: str) -> None:
    config = PDFConfig(**{"composition": "Ni", "qmin": 0.4, **options})
    with pytest.raises(ParameterError, match=says):
        pair_distribution(pattern(), config=config)


# Data that are silently wrong


@pytest.mark.parametrize("run", [slice(400, 406), slice(700, 701)])
def test_bins_without_pixels_are_mentioned(run: slice) -> None:
    holed = nickel_like()
    holed[run] = 0
    assert warned(reduced(pattern(i=holed)), "are exactly zero, those around them are not")
    background = np.full(Q.size, 20.0)
    background[run] = 0
    assert warned(reduced(pattern(), pattern(i=background, source="air")), "air: ")


def test_zeros_of_few_counts_are_left_alone() -> None:
    counts = np.random.default_rng(2).poisson(nickel_like(scale=3 / 100))
    assert np.count_nonzero(counts == 0) > 20
    assert not warned(reduced(pattern(i=counts)), "exactly zero")


@pytest.mark.parametrize("hot", [1e6, 1e9, 1e12])
def test_one_hot_bin_is_mentioned(hot: float) -> None:
    i = nickel_like(scale=1.0)
    i[700] = hot
    assert warned(reduced(pattern(i=i)), "stands alone")
    assert not warned(reduced(pattern()), "stands alone")


def test_scale_of_low_counts_is_too_small_as_the_warning_says() -> None:
    clean = nickel_like(scale=0.5)
    rng = np.random.default_rng(3)
    results = [reduced(pattern(i=drawn, sigma=np.sqrt(clean))) for drawn in rng.poisson(clean, (20, Q.size))]
    assert all(warned(result, "counts are low") for result in results)
    share = reduced(pattern(i=clean)).scale / np.mean([result.scale for result in results]) - 1
    said = [int(note.split("about ")[1].split("%")[0]) for note in results[0].warnings if "counts are low" in note]
    assert said[0] == pytest.approx(100 * share, rel=0.25)
    assert not warned(reduced(pattern(sigma=np.sqrt(nickel_like()))), "counts are low")


def test_polynomial_that_takes_off_the_peaks_is_mentioned() -> None:
    assert warned(reduced(pattern(), rpoly=5.0), "reaches the bond lengths of Ni")
    assert not warned(reduced(pattern(), rpoly=1.5), "bond lengths")


@pytest.mark.parametrize("where", ["nowhere", "beyond"])
def test_uncertainties_that_are_zero_where_used_are_left_out(where: str) -> None:
    sigma = np.where((Q > 24) & (where == "beyond"), 1.0, 0.0)
    result = reduced(pattern(sigma=sigma), qmaxinst=20.0)
    assert result.gr.sigma is None
    assert warned(result, "uncertainties are all zero")
    above = reduced(pattern(sigma=np.where(Q > 24, 1.0, 0.0)), qmax=20.0, rpoly=0.0).gr.sigma
    assert above is not None
    assert not above.any()


@pytest.mark.parametrize("unit", [1e-300, 1e250])
def test_any_unit_of_the_intensities_gives_the_same_g(unit: float) -> None:
    np.testing.assert_allclose(reduced(pattern(i=unit * nickel_like())).gr.g, reduced(pattern()).gr.g, atol=1e-9)


def test_intensities_beyond_the_range_of_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="too small to be scaled"):
        reduced(pattern(i=1e-313 * nickel_like()))


def test_range_of_fewer_than_ten_points_is_refused() -> None:
    with pytest.raises(InputError, match="points lie between qmin"):
        reduced(pattern(), qmin=10.0, qmax=10.1)


@pytest.mark.parametrize("q", [np.linspace(30, 40, 200), np.linspace(0.01, 0.3, 200)])
def test_background_of_another_range_is_refused(q: np.ndarray) -> None:
    with pytest.raises(InputError, match="does not overlap"):
        reduced(pattern(), pattern(q, np.ones(200)))


@pytest.mark.parametrize("dtype", [complex, str])
def test_numbers_that_are_not_real_are_refused(dtype: type) -> None:
    with pytest.raises(InputError, match="must be real numbers"):
        reduced(pattern(i=nickel_like().astype(dtype)))
    with pytest.raises(InputError, match="must be real numbers"):
        reduce_many(Q, nickel_like()[None].astype(dtype), config=PDFConfig(composition="Ni"))


def test_every_pattern_of_a_series_is_checked() -> None:
    config = PDFConfig(composition="Ni", qmin=0.4)
    rows = np.vstack([nickel_like()] * 3)
    short, negative = rows.copy(), rows.copy()
    short[1, -200:] = 0
    negative[2, 500:] *= -0.01
    with pytest.raises(InputError, match="pattern 1 of the series is zero above"):
        reduce_many(Q, short, config=config)
    with pytest.raises(InputError, match="pattern 2 of the series are negative"):
        reduce_many(Q, negative, config=config)
