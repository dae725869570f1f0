"""What we write, we and the programs of the field read; it tells how it was made."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from daisy_core import InputError, replace
from daisy_pdf.adhoc import pair_distribution
from daisy_pdf.config import PDFConfig
from daisy_pdf.data import Pattern, PDFResult
from daisy_pdf.io import read_config, read_gr, read_pattern, write_fq, write_gr, write_iq, write_sq
from daisy_pdf.io.columns import read_columns
from daisy_pdf.scattering import mean_scattering


def example(*, sigma: bool = True, mode: str = "xray") -> PDFResult:
    q = np.arange(0.5, 20, 0.05)
    counts = 1e4 * mean_scattering("Ni", q).squared_mean / 784 * (1 + np.sin(2.5 * q) / q)
    sample = Pattern(q, counts, np.sqrt(counts) if sigma else None, source="C:\\data\\run 7\\Ni.chi")
    background = Pattern(q, 10 + 0 * q, 1 + 0 * q if sigma else None, source="kapton.chi")
    config = PDFConfig(composition="Ni", mode=mode, qmin=0.5, rmax=10.0, bgscale=(0.4,), dataformat="QA")  # type: ignore[arg-type]
    return pair_distribution(sample, [background], config=config)


@pytest.mark.parametrize("sigma", [True, False])
def test_gr_survives_its_file(tmp_path: Path, sigma: bool) -> None:
    result = example(sigma=sigma)
    read = read_gr(write_gr(result, tmp_path / "a.gr"))
    np.testing.assert_allclose(read.r, result.gr.r, atol=1e-12)
    np.testing.assert_allclose(read.g, result.gr.g, rtol=1e-11)
    if sigma:
        np.testing.assert_allclose(read.sigma, result.gr.sigma, rtol=1e-11)
    else:
        assert read.sigma is None


def test_result_can_be_made_again_from_its_own_header(tmp_path: Path) -> None:
    result = example()
    config = read_config(write_gr(result, tmp_path / "a.gr"))
    assert config == result.config
    assert config.qmaxinst is not None


def test_header_tells_engine_scale_and_files(tmp_path: Path) -> None:
    result = replace(example(), warnings=("first thing\nof two lines", "second"))
    text = write_gr(result, tmp_path / "a.gr").read_text(encoding="utf-8")
    for line in (
        "engine = adhoc",
        "absolute = False",
        f"scale = {result.scale!r}",
        "inputfile = C:\\data\\run 7\\Ni.chi",
        "backgroundfile = kapton.chi",
        "outputtype = gr",
        "warning1 = first thing of two lines",
        "bgscale = 0.4",
        "#### start data",
        "#S 1",
    ):
        assert line in text.splitlines(), line
    assert re.search(r"program = daisy-suite \S", text)
    assert "pdfgetx" not in text.lower()
    assert read_config(tmp_path / "a.gr") == result.config


def test_header_of_neutron_data_never_says_x_ray(tmp_path: Path) -> None:
    """diffpy takes the scattering type from the first such word in the header."""
    text = write_gr(example(mode="neutron"), tmp_path / "a.gr").read_text(encoding="utf-8")
    assert not re.search("x-?ray|PDFgetX", text, re.IGNORECASE)
    assert "mode = neutron" in text


def test_columns_are_in_the_order_of_the_field(tmp_path: Path) -> None:
    """r, G, dr, dG: the order that diffpy, PDFgetX2 and PDFgetN use; numpy reads them too."""
    result = example()
    write_gr(result, tmp_path / "a.gr")
    text = (tmp_path / "a.gr").read_text(encoding="utf-8").partition("#### start data\n")[2]
    numbers = np.loadtxt(text.splitlines(), comments="#")
    assert numbers.shape[1] == 4
    assert not numbers[:, 2].any()
    np.testing.assert_allclose(numbers[:, 3], result.gr.sigma, rtol=1e-11)


def test_other_functions_survive_their_files(tmp_path: Path) -> None:
    result = example()
    fq = read_columns(write_fq(result, tmp_path / "a.fq")).numbers.T
    sq = read_columns(write_sq(result, tmp_path / "a.sq")).numbers.T
    np.testing.assert_allclose(fq, [result.fq.q, result.fq.f], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(sq, [result.sq.q, result.sq.s], rtol=1e-10)
    iq = read_pattern(write_iq(result, tmp_path / "a.iq"))
    np.testing.assert_allclose(iq.intensity, result.iq.i, rtol=1e-10)
    np.testing.assert_allclose(iq.sigma, result.iq.sigma, rtol=1e-10)
    for name in ("a.fq", "a.sq"):
        with pytest.raises(InputError, match="not intensities"):
            read_pattern(tmp_path / name)


def test_published_gr_is_read(shared_data: Path) -> None:
    gr = read_gr(shared_data / "pdf" / "ni_pdfttp" / "Ni.gr")
    assert gr.r.size == 6001
    assert gr.g[1] == -0.0121578
    assert gr.sigma is None


def test_files_that_hold_no_gr_are_refused(shared_data: Path, tmp_path: Path) -> None:
    for name in ("LaB6_v2.1.1.fq", "LaB6_v2.1.1.sq"):
        with pytest.raises(InputError, match=r"does not hold G\(r\)"):
            read_gr(shared_data / "pdf" / "lab6_msujas" / name)
    with pytest.raises(InputError, match=r"does not hold G\(r\)"):
        read_gr(shared_data / "pdf" / "zrp_tio2_pdfttp" / "aZrP.chi")
    with pytest.raises(InputError, match="no such file"):
        read_gr(tmp_path / "none.gr")


def test_failed_writing_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.gr"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(InputError, match="No space left"):
        write_gr(example(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write there"):
        write_gr(example(), tmp_path / "none" / "a.gr")
