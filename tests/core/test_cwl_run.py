"""Exported workflows under the runners of others: bit-equal to our own engine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from core import cwl_bench
from core.kernel_lab import same

from daisy_core import DaisyError, FileInput, InputError, RunError, WorkflowEngine, registry
from daisy_core.cli import main
from daisy_core.cwl import export, run, validate
from daisy_core.cwl.runner import Runner, located

lab = cwl_bench.lab()
PROGRAMS: dict[Runner, str] = {"cwltool": "cwltool", "toil": "toil-cwl-runner"}


def _agree(workflow: Any, job: Mapping[str, Any], inputs: Mapping[str, Any], params: Mapping[str, Any], folder: Path, *,
           runner: Runner = "cwltool", **more: Any) -> dict[str, Any]:  # fmt: skip
    """Run under a CWL runner and inline, and check that all outputs have the same bits."""
    cwl_bench.need(PROGRAMS[runner])
    document = export(workflow, folder / "cwl", **more)
    arguments = ["--parallel", "--quiet"] if runner == "cwltool" else []
    with (folder / "runner.log").open("w") as log:
        found = run(document, job, runner=runner, outdir=folder / "out", arguments=arguments, log=log)
    made = cwl_bench.read_outputs(found)
    expected = WorkflowEngine("inline").run(workflow, inputs, params).outputs
    assert made.keys() == expected.keys()
    for name, value in expected.items():
        assert same(made[name], value), name
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The files of the lab, in a folder with a name that shells and URIs stumble over."""
    folder = tmp_path / "my data #1 ü"
    folder.mkdir()
    cwl_bench.make_data(folder)
    return folder


def _small(data: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [data / f"f {index}#ü.npy" for index in range(3)]
    job = {"frame": cwl_bench.file(names[0]), "frames": [cwl_bench.file(name) for name in names[1:]], "npt": 5}
    return job, {"frame": names[0], "frames": names[1:]}


def test_nesting_map_fold_and_projection_agree_under_cwltool(data: Path, tmp_path: Path) -> None:
    job, inputs = _small(data)
    made = _agree(lab.small, job, inputs, {"npt": 5}, tmp_path)
    assert made["sum"].shape == (5,)
    assert made["length"] > 0


@pytest.mark.slow
def test_nesting_map_fold_and_projection_agree_under_toil(data: Path, tmp_path: Path) -> None:
    job, inputs = _small(data)
    _agree(lab.small, job, inputs, {"npt": 5}, tmp_path, runner="toil")


def _pattern(path: Path, scale: float) -> None:
    q = np.arange(0.5, 20, 0.02)
    noise = np.random.default_rng(1).normal(0, 1, q.size)
    intensity = scale * (2 + np.sin(3 * q) * np.exp(-q / 8)) * np.exp(-q / 12) + noise + 5
    np.savetxt(path, np.column_stack((q, intensity, np.sqrt(intensity))))


def test_pdf_reduce_agrees_under_cwltool(tmp_path: Path) -> None:
    _pattern(tmp_path / "Ni #1 ü.xy", 1000)
    _pattern(tmp_path / "kapton.xy", 100)
    job = {
        "pattern": cwl_bench.file(tmp_path / "Ni #1 ü.xy"), "backgrounds": [cwl_bench.file(tmp_path / "kapton.xy")],
        "config.composition": "Ni", "config.dataformat": "QA", "config.bgscale": [0.5], "config.rmax": 8.0,
    }  # fmt: skip
    reduce = registry.find("pdf.reduce")
    config: Any = registry.load_app("pdf") and __import__("daisy_pdf").PDFConfig
    params = {"config": config(composition="Ni", dataformat="QA", bgscale=(0.5,), rmax=8.0)}
    inputs = {"pattern": tmp_path / "Ni #1 ü.xy", "backgrounds": [tmp_path / "kapton.xy"]}
    made = _agree(reduce, job, inputs, params, tmp_path)
    assert made["result"].gr.g.size == 801


@pytest.mark.slow
def test_all_that_a_workflow_can_have_agrees_under_cwltool(data: Path, tmp_path: Path) -> None:
    names = [data / f"f {index}#ü.npy" for index in range(4)]
    job = {
        "frame": cwl_bench.file(names[0]), "frames": [cwl_bench.file(name) for name in names[1:]], "frames.flip": "vertical",
        "weights": [1.0, 0.5, -1e-5], "note": cwl_bench.file(data / "note.txt"), "mask": cwl_bench.file(data / "mask.npy"),
        "words": ["x y", "ü#"], "npt": 8, "recipe.window.low": 0.3, "fit.big": 2**40 + 1,
    }  # fmt: skip
    inputs = {
        "frame": names[0], "frames": [FileInput(name, {"flip": "vertical"}) for name in names[1:]],
        "weights": [1.0, 0.5, -1e-5], "note": data / "note.txt", "mask": data / "mask.npy", "words": ["x y", "ü#"],
    }  # fmt: skip
    recipe = lab.Recipe(window=lab.Window(low=0.3))
    made = _agree(lab.everything, job, inputs, {"npt": 8, "recipe": recipe, "fit.big": 2**40 + 1}, tmp_path)
    assert [curve.label for curve in made["smooth"]] == ["limit None"] * 5
    assert "note.txt: 5 bytes, ['x y', 'ü#']" in made["text"]


def test_parameters_of_readers_and_lifted_workflows_agree_under_cwltool(data: Path, tmp_path: Path) -> None:
    names = [data / f"c{index}.txt" for index in range(3)]
    job = {
        "curve": cwl_bench.file(names[0]),
        "others": [cwl_bench.file(name) for name in names[1:]],
        "recipe.column": 2,
    }
    inputs = {"curve": names[0], "others": names[1:]}
    _agree(lab.of_curves, job, inputs, {"recipe": lab.Recipe(column=2)}, tmp_path)


def test_a_map_over_ranges_of_one_file_agrees_under_cwltool(data: Path, tmp_path: Path) -> None:
    frames = np.stack([np.load(data / f"f {index}#ü.npy") for index in range(4)])
    with h5py.File(data / "scan #1.h5", "w") as handle:
        handle["entry/data"] = frames
    job = {"frames": cwl_bench.file(data / "scan #1.h5"), "frames.select": "entry/data"}
    path = f"{data / 'scan #1.h5'}::entry/data"
    inputs = {"frames": [FileInput(path, {"frame": index}) for index in range(4)]}
    _agree(lab.of_stack, job, inputs, {}, tmp_path, single=["frames"])


def test_absent_optional_inputs_are_absent_under_cwltool(data: Path, tmp_path: Path) -> None:
    frame = data / "f 0#ü.npy"
    made = _agree(lab.reduce_frame, {"frame": cwl_bench.file(frame)}, {"frame": frame}, {}, tmp_path)
    assert made["result"].label == "profile"


def test_values_of_the_wrong_type_are_refused_by_the_runner(data: Path, tmp_path: Path) -> None:
    cwl_bench.need("cwltool")
    document = export(lab.reduce_frame, tmp_path)
    with (tmp_path / "log").open("w") as log, pytest.raises(RunError, match="cwltool failed with exit status 1"):
        run(document, {"frame": cwl_bench.file(data / "f 0#ü.npy"), "npt": "many"}, outdir=tmp_path, log=log)
    assert "npt" in (tmp_path / "log").read_text()


# -- the runners ------------------------------------------------------------------------------------------------


def test_a_missing_runner_is_named_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = export(lab.profile, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("daisy_core.cwl.runner._own_bin", lambda: tmp_path)
    with pytest.raises(DaisyError, match=r'cwltool is not installed; pip install "daisy-suite\[cwl\]"'):
        run(document)
    with pytest.raises(DaisyError, match=r"toil-cwl-runner is not installed; .*toil/bin/pip install"):
        run(document, runner="toil")
    with pytest.raises(DaisyError, match="unknown CWL runner 'arvados'; there are: cwltool, toil"):
        run(document, runner="arvados")  # type: ignore[arg-type]


def test_documents_that_are_not_there_or_not_valid_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such CWL document"):
        run(tmp_path / "none.cwl")
    cwl_bench.need("cwltool")
    (tmp_path / "bad.cwl").write_text("cwlVersion: v1.2\nclass: Workflow\ninputs: {}\noutputs: {}\n")
    with pytest.raises(InputError, match=r"(?s)bad.cwl is not valid CWL:.*steps"):
        validate(tmp_path / "bad.cwl")


def test_files_of_a_job_are_named_by_uri_and_relative_to_it(tmp_path: Path) -> None:
    job = {"a": {"class": "File", "path": "a b#ü.txt"}, "b": [{"class": "File", "location": "c%20d.txt"}], "n": 2**60}
    found = located(job, tmp_path)
    assert found["a"]["location"] == (tmp_path / "a b#ü.txt").as_uri()
    assert found["b"][0]["location"] == (tmp_path / "c d.txt").as_uri()
    assert found["n"] == 2**60


def test_a_job_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    cwl_bench.need("cwltool")
    (tmp_path / "job.yml").write_text("- 1\n")
    with pytest.raises(InputError, match="a mapping is needed"):
        run(export(lab.profile, tmp_path), tmp_path / "job.yml")


# -- the command line -------------------------------------------------------------------------------------------


def test_export_validate_and_run_from_the_command_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cwl_bench.need("cwltool")
    monkeypatch.chdir(data)
    source = str(Path(__file__).with_name("cwl_lab.py"))
    assert main(["cwl", "export", f"{source}:profile", "--out", str(tmp_path / "cwl")]) == 0
    document = capsys.readouterr().out.strip()
    assert Path(document).name == "cwl_lab.profile.cwl"
    assert main(["cwl", "validate", document]) == 0
    assert "is valid CWL" in capsys.readouterr().out
    Path("job.yml").write_text('frame: {class: File, path: "f 0#ü.npy"}\nnpt: 7\n', encoding="utf-8")
    assert main(["cwl", "run", document, "job.yml", "--outdir", str(tmp_path / "out"), "--", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert same(cwl_bench.read_outputs(found)["result"], lab.profile(np.load("f 0#ü.npy"), npt=7))


def test_export_of_all_lists_what_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plug").mkdir()
    text = Path(__file__).with_name("cwl_lab.py").read_text(encoding="utf-8")
    (tmp_path / "plug" / "cwl_plug.py").write_text(text, encoding="utf-8")
    monkeypatch.setenv("DAISY_PLUGINS", str(tmp_path / "plug"))
    registry.apps.cache_clear()
    try:
        assert main(["cwl", "export", "--all", "--out", str(tmp_path / "cwl")]) == 0
    finally:
        monkeypatch.delenv("DAISY_PLUGINS")
        registry.apps.cache_clear()
    said = capsys.readouterr()
    assert "refused: cwl_plug.apply: input 'function'" in said.err
    assert "cwl_plug.everything.cwl" in said.out
    assert os.fspath(tmp_path / "cwl" / "pdf.reduce.cwl") in said.out
    assert cwl_bench.validate(tmp_path / "cwl" / "cwl_plug.everything.cwl") == []


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["export", "--out", "x"], 2, "name what to export, or give --all"),
        (["export", "pdf.nothing", "--out", "x"], 2, "has no algorithm 'pdf.nothing'"),
        (["export", "pdf.reduce", "--out", "x", "--set", "rpoly=1"], 2, "--set needs NAME=VALUE"),
        (["run", "gone.cwl"], 2, "no such CWL document: gone.cwl"),
        (["node", "pdf.integrate", "inputs.json"], 2, "input 'image' is required"),
    ],
)
def test_wrong_usage_is_refused_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, says: str
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inputs.json").write_text("{}")
    assert main(["cwl", *words]) == status
    assert says in capsys.readouterr().err
