"""The whole way from published data and headers to published G(r), S(Q) and F(Q), with no scale fitted before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daisy_core import replace
from daisy_pdf.adhoc import pair_distribution
from daisy_pdf.compare import rw
from daisy_pdf.config import PDFConfig
from daisy_pdf.data import PDFResult
from daisy_pdf.io import read_gr, read_pattern
from daisy_pdf.io.columns import read_columns

NICKEL = ("ni_pdfttp/Ni.chi", "ni_pdfttp/kapton.chi")
LAB6 = ("lab6_msujas/LaB6_0p4mm_011_av10_monitor.xye", "lab6_msujas/0p4mm_capillary_018_av17_monitor.xye")
CASES = {
    "ni_pdfttp/Ni.gr": NICKEL,
    "ni_pdfttp/Ni-hires.gr": NICKEL,
    "ni_pdfttp/Ni-lownoise.gr": NICKEL,
    "lab6_msujas/LaB6_v2.1.1.gr": LAB6,
    "zrp_tio2_pdfttp/aZrP.gr": ("zrp_tio2_pdfttp/aZrP.chi", "zrp_tio2_pdfttp/kapton_background.chi"),
    "zrp_tio2_pdfttp/tio2-ito-glass-250.gr": (
        "zrp_tio2_pdfttp/tio2-ito-glass-250.chi",
        "zrp_tio2_pdfttp/ito-glass-conv.chi",
    ),
}


def reduce_as_published(folder: Path, published: str, files: tuple[str, str]) -> PDFResult:
    """Everything from the header of the published file; nothing is set by hand."""
    config = PDFConfig.from_cfg(folder / published)
    options = {"dataformat": config.dataformat, "wavelength": config.wavelength, "twothetazero": config.twothetazero}
    sample, background = (read_pattern(folder / name, **options) for name in files)
    return pair_distribution(sample, [background], config=config)


@pytest.mark.parametrize("published", CASES)
def test_gr_matches_the_published_one(shared_data: Path, published: str) -> None:
    folder = shared_data / "pdf"
    result = reduce_as_published(folder, published, CASES[published])
    reference = read_gr(folder / published)
    np.testing.assert_allclose(result.gr.r, reference.r, atol=1e-9)
    compared = (reference.r > 1.495) & (reference.r < 30.005)
    ours, theirs = result.gr.g[compared], reference.g[compared]
    correlation = np.corrcoef(ours, theirs)[0, 1]
    print(f"{published}: Rw {rw(ours, theirs):.5f}, correlation {correlation:.7f}")
    assert rw(ours, theirs) <= 0.005
    assert correlation >= 0.9999
    assert np.all(np.isfinite(result.gr.g))


@pytest.mark.parametrize(("suffix", "bar"), [("fq", 1.5e-3), ("sq", 1.5e-3)])
def test_lab6_structure_functions_match_the_published_ones(shared_data: Path, suffix: str, bar: float) -> None:
    folder = shared_data / "pdf"
    published = f"lab6_msujas/LaB6_v2.1.1.{suffix}"
    result = reduce_as_published(folder, published, LAB6)
    q, values = read_columns(folder / published).numbers.T
    curve = result.fq.f if suffix == "fq" else result.sq.s
    assert len(result.fq.q) == len(q)
    by_index = rw(curve, values)
    interpolated = rw(np.interp(q, result.fq.q, curve), values)
    print(f"LaB6 .{suffix}: {by_index:.2e} by index, {interpolated:.2e} interpolated on the printed Q")
    assert by_index <= bar
    assert interpolated <= bar


def test_background_subtracted_intensity_matches_the_published_one(shared_data: Path) -> None:
    """An older program kept the measured points; half a step off our nodes, so compare on a smooth part of the curve."""
    folder = shared_data / "pdf"
    published = "zrp_tio2_pdfttp/tio2-ito-glass-250.iq"
    result = reduce_as_published(folder, published, CASES["zrp_tio2_pdfttp/tio2-ito-glass-250.gr"])
    q, values = read_columns(folder / published).numbers.T
    assert rw(np.interp(q[5:-5], result.iq.q, result.iq.i), values[5:-5]) < 0.01


def test_published_nickel_carries_an_uncertainty_everywhere(shared_data: Path) -> None:
    for published in ("ni_pdfttp/Ni-hires.gr", "lab6_msujas/LaB6_v2.1.1.gr"):
        sigma = reduce_as_published(shared_data / "pdf", published, CASES[published]).gr.sigma
        assert sigma is not None
        assert np.all(np.isfinite(sigma))
        assert np.all(sigma[1:] > 0)


@pytest.mark.parametrize(
    ("taken_as", "says"),
    [
        ("Q for 2theta", "farther than neighbours in Ni"),
        ("Q for 2theta of a long wavelength", "closer than atoms of Ni come"),
        ("2theta for Q in 1/nm", "closer than atoms of Ni come"),
        ("2theta for Q", "closer than atoms of Ni come"),
    ],
)
def test_first_peak_where_no_neighbour_is_betrays_the_unit(shared_data: Path, taken_as: str, says: str) -> None:
    pattern = read_pattern(shared_data / "pdf/ni_pdfttp/Ni.chi")
    q = {
        "Q for 2theta": 4 * np.pi / 0.1835957 * np.sin(np.radians(pattern.q) / 2),
        "Q for 2theta of a long wavelength": 4 * np.pi / 0.5 * np.sin(np.radians(pattern.q) / 2),
        "2theta for Q in 1/nm": pattern.twotheta / 10,
        "2theta for Q": pattern.twotheta,
    }[taken_as]
    result = pair_distribution(replace(pattern, q=q), config=PDFConfig(composition="Ni", qmin=0.5))
    assert any(says in note for note in result.warnings)


@pytest.mark.parametrize("published", CASES)
def test_published_data_raise_no_false_alarm(shared_data: Path, published: str) -> None:
    notes = " ".join(reduce_as_published(shared_data / "pdf", published, CASES[published]).warnings)
    for alarm in (
        "closer than",
        "farther than",
        "exactly zero",
        "stands alone",
        "counts are low",
        "bond lengths",
        "cut",
    ):
        assert alarm not in notes
