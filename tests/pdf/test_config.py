"""Configurations survive files, and those of other programs are read as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daisy_core import InputError, ParameterError
from daisy_pdf.config import PDFConfig

positive = st.floats(1e-6, 1e6)
windows = st.lists(st.sampled_from(["step", "lorch", "revised_lorch", "cosine"]), min_size=1, max_size=3)
configs = st.builds(
    PDFConfig,
    composition=st.text(st.sampled_from("LaBO6 (2)1/.+-·"), max_size=20),
    mode=st.sampled_from(["xray", "neutron"]),
    dataformat=st.sampled_from([None, "twotheta", "QA", "Qnm"]),
    wavelength=st.none() | positive,
    twothetazero=st.floats(-5, 5),
    bgscale=st.lists(st.floats(0, 1e3), min_size=1, max_size=4).map(tuple),
    rpoly=st.floats(0, 5),
    qmaxinst=st.none() | positive,
    qmin=st.floats(0, 50),
    qmax=st.none() | positive,
    terminationfunctions=windows.map(tuple),
    rmin=st.floats(0, 10),
    rmax=positive,
    rstep=positive,
)


@given(configs)
def test_configuration_survives_its_file(tmp_path_factory: pytest.TempPathFactory, config: PDFConfig) -> None:
    path = tmp_path_factory.mktemp("cfg") / "a.cfg"
    config.to_cfg(path)
    assert PDFConfig.from_cfg(path) == config
    assert path.read_text(encoding="utf-8") == config.cfg_text()


def test_defaults_are_those_of_the_field() -> None:
    config = PDFConfig()
    assert (config.rpoly, config.rmin, config.rmax, config.rstep, config.qmin) == (0.9, 0.0, 30.0, 0.01, 0.0)
    assert config.terminationfunctions == ("step",)


def test_one_number_is_a_list_of_one() -> None:
    assert PDFConfig(bgscale=0.4).bgscale == (0.4,)  # type: ignore[arg-type]
    assert PDFConfig(bgscale=[0.4, 1]).bgscale == (0.4, 1.0)  # type: ignore[arg-type]
    assert PDFConfig(terminationfunctions="lorch").terminationfunctions == ("lorch",)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"qmaxx": 3}, "unknown parameter 'qmaxx'"),
        ({"mode": "sas"}, "'xray' or 'neutron'"),
        ({"bgscale": -0.1}, "bgscale"),
        ({"bgscale": True}, "bgscale"),
        ({"bgscale": ()}, "bgscale"),
        ({"rpoly": -1}, "rpoly"),
        ({"rstep": 0}, "rstep"),
        ({"qmax": float("nan")}, "qmax"),
        ({"wavelength": 0}, "wavelength"),
        ({"terminationfunctions": ["hann"]}, "terminationfunctions"),
        ({"qmin": "1"}, "qmin"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_by_name(values: dict[str, object], says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        PDFConfig(**values)  # type: ignore[arg-type]
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("ni_pdfttp/Ni.gr", {"composition": "Ni", "bgscale": (1.0,), "qmaxinst": 31.26, "qmax": 24.0, "rmax": 60.0}),
        ("ni_pdfttp/Ni-hires.gr", {"bgscale": (0.4,), "qmaxinst": 29.0, "qmin": 0.85, "dataformat": "QA"}),
        ("lab6_msujas/LaB6_v2.1.1.gr", {"dataformat": "twotheta", "wavelength": 0.270793, "rpoly": 1.5, "qmin": 1.0}),
        ("lab6_msujas/LaB6_v2.1.1.fq", {"composition": "LaB6", "qmax": 23.0}),
        ("zrp_tio2_pdfttp/aZrP.gr", {"composition": "Zr H2 P2 O8 H2 O", "dataformat": "Qnm", "qmin": 0.49995}),
        ("zrp_tio2_pdfttp/tio2-ito-glass-250.iq", {"bgscale": (1.010394815,), "qmaxinst": 20.0}),
    ],
)
def test_headers_of_published_files_are_configurations(
    shared_data: Path, file: str, expected: dict[str, object]
) -> None:
    config = PDFConfig.from_cfg(shared_data / "pdf" / file)
    assert {key: getattr(config, key) for key in expected} == expected


CFG = r"""
# made by hand
[DEFAULT]
dataformat = qa
inputfile = C:\data\run 7\Ni.chi
backgroundfiles = /Users/me/kapton.chi
    /Users/me/air.chi
datapath = .
output = processed/@b.@o
outputtypes = iq, gr
composition = Ni
bgscales = 0.4, 0.1
qmax = 24  # 1/A
wavelength = None
formfactorfile =

[low]
qmax = 15
outputtype = gr
force = once

[neutron]
MODE = neutron
plot = none
"""


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "pdfgetx3.cfg"
    path.write_text(CFG)
    return path


def test_sections_inherit_from_the_default(cfg: Path) -> None:
    base = PDFConfig(composition="Ni", dataformat="QA", bgscale=(0.4, 0.1), qmax=24.0)
    assert PDFConfig.from_cfg(cfg) == base
    assert PDFConfig.from_cfg(cfg, "DEFAULT") == base
    assert PDFConfig.from_cfg(cfg, "low") == base.model_copy(update={"qmax": 15.0})
    assert PDFConfig.from_cfg(cfg, "neutron").mode == "neutron"


def test_missing_section_names_those_there_are(cfg: Path) -> None:
    with pytest.raises(ParameterError, match="low, neutron"):
        PDFConfig.from_cfg(cfg, "high")


def test_windows_line_ends_and_latin_text_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "w.cfg"
    path.write_bytes("# Temperatur 20 °C\r\n[DEFAULT]\r\ncomposition = Ni\r\nqmax = 24\r\n".encode("latin-1"))
    assert PDFConfig.from_cfg(path) == PDFConfig(composition="Ni", qmax=24.0)


def test_keys_without_a_section_are_the_default_one(tmp_path: Path) -> None:
    path = tmp_path / "bare.cfg"
    path.write_text("composition = Ni\nqmax = 24\n")
    assert PDFConfig.from_cfg(path).qmax == 24.0


def test_single_section_needs_no_name_and_several_do(tmp_path: Path) -> None:
    path = tmp_path / "one.cfg"
    path.write_text("[Ni]\ncomposition = Ni\n")
    assert PDFConfig.from_cfg(path).composition == "Ni"
    path.write_text("[Ni]\ncomposition = Ni\n[Cu]\ncomposition = Cu\n")
    with pytest.raises(ParameterError, match="choose one: Ni, Cu"):
        PDFConfig.from_cfg(path)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("composition = Ni\nqmaxints = 3\n", ParameterError, "did you mean 'qmaxinst'"),
        ("composition = Ni\ncolour = red\n", ParameterError, "unknown key 'colour'"),
        ("composition = Ni\nqmax = many\n", ParameterError, "qmax"),
        ("composition = Ni\nbgscale = 1 x\n", ParameterError, "bgscale"),
        ("composition = Ni\nmode = sas\n", ParameterError, "mode"),
        ("composition = Ni\ndataformat = Qum\n", ParameterError, "dataformat"),
        ("composition = Ni\nrstep = -1\n", ParameterError, "rstep"),
        ("0.1 5\n0.2 6\n", InputError, "no PDF configuration"),
        ("wavelength = 0.1\n", InputError, "no PDF configuration"),
        ("[DEFAULT\ncomposition = Ni\n", ParameterError, "unknown key '[default'"),
        ("= Ni\n", InputError, "cannot be read"),
        ("", InputError, "empty"),
    ],
)
def test_wrong_files_are_refused_with_the_file_and_the_key(
    tmp_path: Path, text: str, error: type[Exception], says: str
) -> None:
    path = tmp_path / "bad.cfg"
    path.write_text(text)
    with pytest.raises(error) as caught:
        PDFConfig.from_cfg(path)
    assert says in str(caught.value)
    assert "bad.cfg" in str(caught.value)


def test_unknown_keys_in_a_header_are_those_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "a.gr"
    path.write_text("[PDF]\ncomposition = Ni\nshinynewkey = 3\n#### start data\n#S 1\n#L r G\n0 0\n")
    assert PDFConfig.from_cfg(path).composition == "Ni"


def test_pattern_header_is_no_configuration(shared_data: Path) -> None:
    with pytest.raises(InputError, match="no PDF configuration"):
        PDFConfig.from_cfg(shared_data / "pdf" / "ni_pdfttp" / "Ni.chi")


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        PDFConfig.from_cfg(tmp_path / "none.cfg")
    with pytest.raises(InputError, match="folder"):
        PDFConfig.from_cfg(tmp_path)
    with pytest.raises(InputError, match="folder"):
        PDFConfig().to_cfg(tmp_path / "missing" / "a.cfg")
