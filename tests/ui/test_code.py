"""A form as code: the same call in Python and on the command line."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import numpy as np
import pytest

from daisy_core.cli.options import add_options, collect_inputs, collect_params
from daisy_core.reading import FileInput
from daisy_pdf import PDFConfig, reduce, reduce_image
from shared_ui.code import as_cli, as_python

CONFIG = PDFConfig(composition="Zr H2 P2 O8 H2 O", bgscale=(0.4, 1.5), rpoly=1.25, qmax=None, wavelength=0.1835957,
                   terminationfunctions=("lorch", "cosine"), dataformat="QA")  # fmt: skip


def parsed(text: str, algorithm) -> tuple[dict, dict]:
    words = shlex.split(text.replace("\\\n", " "))
    assert words[:3] == ["daisy", "run", algorithm.name]
    parser = argparse.ArgumentParser()
    add_options(parser, algorithm)
    parser.add_argument("--out")
    arguments = vars(parser.parse_args(words[3:]))
    return collect_inputs(algorithm, arguments), collect_params(algorithm, arguments)


def test_the_command_line_says_the_same_as_the_form() -> None:
    inputs = {"pattern": Path("/data/my sample.chi"), "backgrounds": [Path("/data/a.chi"), Path("/data/b'c.chi")]}
    found, params = parsed(as_cli(reduce, inputs, {"config": CONFIG}), reduce)
    assert params == {"config": CONFIG}
    assert str(found["pattern"].path) == "/data/my sample.chi"
    assert [str(item.path) for item in found["backgrounds"]] == ["/data/a.chi", "/data/b'c.chi"]


def test_reader_options_are_on_the_command_line() -> None:
    flipped = {"flip": "vertical"}
    inputs = {
        "image": FileInput("a.tif", flipped),
        "geometry": Path("a.poni"),
        "backgrounds": [FileInput("b.tif", flipped)],
        "mask": None,
    }
    found, params = parsed(as_cli(reduce_image, inputs, {"npt": 1500, "config": CONFIG}), reduce_image)
    assert found["image"].options == flipped
    assert found["backgrounds"][0].options == flipped
    assert "mask" not in found
    assert params["npt"] == 1500


def test_defaults_are_left_out() -> None:
    text = as_cli(reduce, {"pattern": "a.chi", "backgrounds": []}, {"config": PDFConfig(composition="Ni")})
    assert "rpoly" not in text
    assert "background" not in text
    text = as_python(reduce, {"pattern": "a.chi", "backgrounds": []}, {"config": PDFConfig(composition="Ni")})
    assert text == (
        "from daisy_pdf import PDFConfig, reduce\n\nresult = reduce(\n    pattern='a.chi',\n    config=PDFConfig(composition='Ni'),\n)\n"
    )


def test_the_python_code_runs(tmp_path: Path) -> None:
    q = np.arange(0.5, 25, 0.02)
    for name, level in (("a", 1.0), ("b", 0.1)):
        intensity = level * (28**2 * np.exp(-0.02 * q**2) + 1) * (1 + np.sin(2.5 * q) / q)
        np.savetxt(tmp_path / f"{name}.chi", np.column_stack((q, intensity)), header="q_A^-1 I")
    config = PDFConfig(composition="Ni", bgscale=(0.5,), qmin=0.5, rmax=10.0)
    space: dict = {}
    exec(
        as_python(reduce, {"pattern": tmp_path / "a.chi", "backgrounds": [tmp_path / "b.chi"]}, {"config": config}),
        space,
    )
    assert space["result"].config.bgscale == (0.5,)
    assert space["result"].gr.r[-1] == pytest.approx(10.0)


def test_reader_options_are_in_the_python_code() -> None:
    text = as_python(
        reduce_image,
        {"image": FileInput("a.tif", {"flip": "both"}), "geometry": "a.poni"},
        {"npt": 2000, "config": CONFIG},
    )
    assert "from daisy_core.reading import FileInput" in text
    assert "image=FileInput('a.tif', {'flip': 'both'})" in text
    assert "npt" not in text
    compile(text, "code", "exec")
