"""Powder patterns are read from what beamlines write, and what is doubtful is refused with a way out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from daisy_core import InputError
from daisy_pdf.io import read_pattern
from daisy_pdf.io.headers import read_header
from daisy_pdf.textfile import read_text

Q = np.arange(0.5, 25.0, 0.05)
I = 1000 * np.exp(-Q / 8) + 10  # noqa: E741 - the field's letter
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(*columns: np.ndarray, head: str = "", tail: str = "", name: str = "a.xy", sep: str = " ") -> Path:
        rows = "\n".join(sep.join(f"{value:.10g}" for value in row) for row in np.column_stack(columns))
        path = tmp_path / name
        path.write_text(head + rows + "\n" + tail, encoding="utf-8")
        return path

    return _write


@pytest.mark.parametrize(
    ("file", "options", "rows", "first", "last", "sigma", "wavelength"),
    [
        ("ni_pdfttp/Ni.chi", {}, 1576, 0.0, 31.5, True, 0.1835957),
        ("zrp_tio2_pdfttp/aZrP.chi", {}, 1478, 0.010732947, 31.715857, False, None),
        ("liquids/Mg2SiO4_ambient.xy", {}, 4845, 1.235171111, 28.43890482, False, 0.1908),
        ("liquids/Ga_liquid_LiquidDiffract_example.dat", {"dataformat": "QA"}, 850, 0.03715, 12.4318, False, None),
        ("zrp_tio2_pdfttp/tio2-ito-glass-250.iq", {}, 892, 0.703091, 19.9786, False, 0.1),
        ("ceo2_pilatus/CeO2_Pilatus1M.xy", {}, 1512, 0.00275024, 8.2131, False, 0.4066),
        (
            "lab6_msujas/LaB6_0p4mm_011_av10_monitor.xye",
            {"dataformat": "twotheta", "wavelength": 0.270793}, 8455, 0.64797, 23.450118, True, 0.270793,
        ),
    ],
)  # fmt: skip
def test_published_patterns_are_read_with_their_units(
    shared_data: Path, file: str, options: dict, rows: int, first: float, last: float, sigma: bool, wavelength: float
) -> None:
    pattern = read_pattern(shared_data / "pdf" / file, **options)
    assert pattern.q.size == rows
    assert pattern.q[[0, -1]] == pytest.approx([first, last], rel=1e-4)
    assert (pattern.sigma is not None) is sigma
    assert pattern.wavelength == (pytest.approx(wavelength) if wavelength else None)
    assert pattern.source == Path(file).name
    assert pattern.warnings == ()


def test_angles_become_q_and_back(write: Write) -> None:
    twotheta = np.linspace(1, 60, 500)
    pattern = read_pattern(write(twotheta, 1 + twotheta), dataformat="twotheta", wavelength=0.2, twothetazero=0.05)
    np.testing.assert_allclose(pattern.q, 4 * np.pi / 0.2 * np.sin(np.radians((twotheta - 0.05) / 2)), rtol=1e-9)
    np.testing.assert_allclose(pattern.twotheta, twotheta - 0.05, rtol=1e-9)


@pytest.mark.parametrize("sep", [" ", "\t", ",", ", ", ";"])
def test_separators_do_not_matter(write: Write, sep: str) -> None:
    np.testing.assert_allclose(read_pattern(write(Q, I, sep=sep), dataformat="QA").intensity, I, rtol=1e-9)


def test_third_column_is_the_uncertainty(write: Write) -> None:
    pattern = read_pattern(write(Q, I, np.sqrt(I), I), dataformat="QA")
    np.testing.assert_allclose(pattern.sigma, np.sqrt(I), rtol=1e-9)
    silent = read_pattern(write(Q, I, 0 * I), dataformat="QA")
    assert silent.sigma is None
    assert "uncertainties are all zero" in silent.warnings[0]


@pytest.mark.parametrize(
    "head",
    [
        "     490\n",
        "a title\nQ (Inverse Angstroms)\nIntensity\n       490\n",
        "junk 1 2 3\n490 0.05 0.5 25\n",
        "\ufeff# note\n",
    ],
)
def test_any_header_may_stand_above_the_numbers(write: Write, head: str) -> None:
    assert read_pattern(write(Q, I, head=head), dataformat="QA").q.size == Q.size


def test_comments_and_text_around_the_numbers_do_no_harm(write: Write) -> None:
    path = write(Q, I, head="# q_A^-1 I\n", tail="# end of scan\ndone\n")
    assert read_pattern(path).q.size == Q.size


@pytest.mark.parametrize(
    ("line", "dataformat"),
    [
        ("# 2th_deg I", "twotheta"),
        ("2-Theta Angle (Degrees)", "twotheta"),
        ("#       q_nm^-1             I", "Qnm"),
        ("Q (Inverse Nanometres)", "Qnm"),
        ("# q_A^-1\tI", "QA"),
        ("#L Q(1/A) I", "QA"),
        ("#L Q(Å$^{-1}$)  I", "QA"),
        (r"#L Q($\AA^{-1}$)  intensity(a.u.)", "QA"),
        ("integrationspace = qspace", "QA"),
        ("/data/2theta/run.tif", None),
        ("tthstepd = 0.02", None),
        ("# --> /tmp/q_A^-1.xy", None),
        ("# Q  I", None),
    ],
)
def test_header_lines_are_understood_or_left_alone(line: str, dataformat: str | None) -> None:
    assert read_header([line]).dataformat == dataformat


@pytest.mark.parametrize(
    ("line", "wavelength"),
    [
        ("# Wavelength: 4.066e-11 m", 0.4066),
        ("# Wavelength: 1.908e-11", 0.1908),
        ('#     "wavelength": 2e-11', 0.2),
        ("wavelength = 0.1835957", 0.1835957),
        ("wavelength (nm): 0.018", 0.18),
        ("lambda = 0.7 A", 0.7),
        ("Wavelength: None", None),
    ],
)
def test_wavelengths_are_in_angstrom_whatever_the_header_uses(line: str, wavelength: float | None) -> None:
    found = read_header([line]).wavelength
    assert found == (pytest.approx(wavelength) if wavelength else None)


def test_unit_that_nobody_says_is_asked_for(write: Write) -> None:
    with pytest.raises(InputError, match="pass dataformat"):
        read_pattern(write(Q, I))


def test_option_against_the_header_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match="header says Qnm"):
        read_pattern(write(10 * Q, I, head="# q_nm^-1 I\n"), dataformat="QA")


def test_radians_are_refused(write: Write) -> None:
    with pytest.raises(InputError, match="radians"):
        read_pattern(write(Q / 30, I, head="# 2th_rad I\n"))


def test_angles_need_a_wavelength(write: Write) -> None:
    with pytest.raises(InputError, match="wavelength"):
        read_pattern(write(Q, I), dataformat="twotheta")
    assert read_pattern(write(Q, I, head="# Wavelength: 2e-11 m\n"), dataformat="twotheta").wavelength == pytest.approx(
        0.2
    )


def test_given_wavelength_wins_for_angles_and_says_so(write: Write) -> None:
    pattern = read_pattern(write(Q, I, head="wavelength = 0.19\n"), dataformat="twotheta", wavelength=0.2)
    assert pattern.wavelength == 0.2
    assert "0.19" in pattern.warnings[0]


def test_leftover_wavelength_of_a_front_end_is_not_believed_for_q(shared_data: Path, write: Write) -> None:
    nickel = read_pattern(shared_data / "pdf/ni_pdfttp/Ni.chi", dataformat="QA", wavelength=0.1)
    assert nickel.wavelength == pytest.approx(0.1835957)
    assert "0.1 Å was not used" in nickel.warnings[0]
    impossible = read_pattern(write(Q, I), dataformat="QA", wavelength=0.7093)
    assert impossible.wavelength is None
    assert "0.7093" in impossible.warnings[0]


@pytest.mark.parametrize(
    ("x", "options", "says"),
    [
        (10 * Q, {"dataformat": "QA"}, "1/nm"),
        (Q / 20, {"dataformat": "QA"}, "too low"),
        (Q, {"dataformat": "Qnm"}, "1/Å"),
        (10 * Q, {"dataformat": "twotheta", "wavelength": 0.2}, "180|degrees"),
        (Q, {"dataformat": "twotheta", "wavelength": 5.0}, "wavelength is too long"),
        (4 * Q, {"dataformat": "twotheta", "wavelength": 0.1}, "more than any instrument"),
        (Q, {"dataformat": "twotheta", "wavelength": 0.2, "twothetazero": 3.0}, "twothetazero"),
        (Q - 2, {"dataformat": "QA"}, "negative"),
    ],
)
def test_units_that_were_mixed_up_are_noticed(write: Write, x: np.ndarray, options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_pattern(write(x, I), **options)


def test_trailing_zeros_do_not_count_for_the_range(write: Write) -> None:
    x = np.arange(0.0, 70.0, 0.1)
    assert read_pattern(write(x, np.where(x < 30, 5.0, 0.0)), dataformat="QA").q[-1] == pytest.approx(69.9)


def replaced(values: np.ndarray, at: int, by: float) -> np.ndarray:
    out = values.copy()
    out[at] = by
    return out


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ((replaced(Q, 7, np.nan), I), "line 8"),
        ((Q, replaced(I, 7, np.nan)), "NaN"),
        ((Q, replaced(I, 7, np.inf)), "infinite"),
        ((replaced(Q, 7, Q[6]), I), "repeats at line 8"),
        ((replaced(Q, 7, 0.1), I), "decreases at line 8"),
        ((np.r_[Q, Q], np.r_[I, I]), "more than one pattern"),
        ((Q, 0 * I), "all intensities are zero"),
        ((Q, I, -I), "no uncertainty"),
        ((Q[:5], I[:5]), "only 5 points"),
        ((Q,), "one column"),
    ],
)
def test_columns_that_are_no_pattern_are_refused(write: Write, columns: tuple[np.ndarray, ...], says: str) -> None:
    path = write(*columns)
    with pytest.raises(InputError, match=says) as caught:
        read_pattern(path, dataformat="QA")
    assert "a.xy" in str(caught.value)


def test_broken_table_is_not_cut_in_silence(write: Write) -> None:
    with pytest.raises(InputError, match="line 491 breaks the table"):
        read_pattern(write(Q, I, np.sqrt(I), tail="25.0 3\n25.05 3\n"), dataformat="QA")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"  \n\n", "empty"),
        (b"\x89HDF\r\n\x1a\n\0\0\0", "binary"),
        (b"no numbers here\n", "no columns"),
    ],
)
def test_files_without_numbers_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "b.xy"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_pattern(path, dataformat="QA")


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_pattern(tmp_path / "none.xy")
    with pytest.raises(InputError, match="folder"):
        read_pattern(tmp_path)


@pytest.mark.parametrize(("file", "what"), [("LaB6_v2.1.1.gr", "G"), ("LaB6_v2.1.1.sq", "S"), ("LaB6_v2.1.1.fq", "F")])
def test_results_are_not_mistaken_for_patterns(shared_data: Path, file: str, what: str) -> None:
    with pytest.raises(InputError, match=rf"holds {what}\("):
        read_pattern(shared_data / "pdf" / "lab6_msujas" / file, dataformat="QA")


def test_file_with_fewer_points_than_its_header_announces_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match="announces 490 points but 300"):
        read_pattern(write(Q[:300], I[:300], head="a title\nQ (Inverse Angstroms)\nIntensity\n       490\n"))


@pytest.mark.parametrize("lost", [3, 9])
def test_file_that_ends_inside_its_last_number_is_mentioned(tmp_path: Path, lost: int) -> None:
    whole = "".join(f"  {q:.6e}  {i:.6e}\n" for q, i in zip(Q, I, strict=True))
    path = tmp_path / "cut.chi"
    path.write_text(whole[:-lost], encoding="utf-8")
    assert "may be cut" in read_pattern(path, dataformat="QA").warnings[0]
    path.write_text(whole[:-1], encoding="utf-8")
    assert read_pattern(path, dataformat="QA").warnings == ()


def test_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.chi")
    with pytest.raises(InputError, match="pipe"):
        read_pattern(tmp_path / "pipe.chi")
    with pytest.raises(InputError, match="not a regular file"):
        read_text(tmp_path / "pipe.chi")
