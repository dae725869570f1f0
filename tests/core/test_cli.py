"""The command line: what a scientist types, and what comes back."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from daisy_core import nexus
from daisy_core.cli import main
from daisy_core.runs import RunFolder, list_runs

PLUGIN = '''
from __future__ import annotations
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal
import numpy as np
from numpy.typing import NDArray
from daisy_core import (Axes, File, InputError, Param, ParameterModel, Unit, algorithm, data, progress, workflow)

@data
class Spectrum:
    """A spectrum."""
    energy: Annotated[NDArray[Any], Axes("energy"), Unit("keV")]
    counts: Annotated[NDArray[Any], Axes("energy"), Unit("counts")]

class Smoothing(ParameterModel):
    """How to smooth."""
    width: Annotated[int, Param("Window", unit="points", ge=1)] = 3
    edge: Annotated[Literal["same", "8"], Param("Edge")] = "same"
    column: Annotated[int | None, Param("Column", reader=True, ge=1)] = None

@algorithm(version="1", reads=Spectrum)
def read_spectrum(path: File, *, column: Annotated[int, Param("Column", ge=1)] = 1) -> Spectrum:
    """Read columns of text."""
    try:
        table = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise InputError(f"{path} is not a table of numbers: {error}") from error
    return Spectrum(table[:, 0], table[:, column])

@algorithm(version="1")
def scale(spectrum: Spectrum, *, factor: Annotated[float, Param("Factor", gt=0)] = 2.0) -> Spectrum:
    """Multiply the counts."""
    return Spectrum(spectrum.energy, spectrum.counts * factor)

@algorithm(version="1")
def total(spectra: Sequence[Spectrum], offset: float = 0.0, *, smoothing: Annotated[Smoothing, Param("Smoothing")] = Smoothing()) -> float:
    """Add everything."""
    return float(sum(s.counts.sum() for s in spectra)) * smoothing.width + offset

@workflow(version="1")
def scaled_total(spectra: Sequence[Spectrum], *, smoothing: Annotated[Smoothing, Param("Smoothing")] = Smoothing()) -> float:
    """Scale, then add."""
    return total(scale.map(spectra), smoothing=smoothing)

@algorithm(version="1")
def dream(spectrum: Spectrum, *, seconds: float = 30.0) -> float:
    """Sleep, reporting."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        progress(0.5, "dreaming")
        time.sleep(0.02)
    return 1.0

@algorithm(version="1")
def deaf(spectrum: Spectrum, *, seconds: float = 2.0) -> float:
    """Sleep, reporting once."""
    progress(0.5, "deaf from here")
    time.sleep(seconds)
    return 1.0

@algorithm(version="1")
def less(spectrum: Spectrum, backgrounds: Sequence[Spectrum] = (), *, labels: Annotated[tuple[str, ...], Param("Labels")] = ()) -> str:
    """Say what there is."""
    return f"{len(backgrounds)} {labels}"
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plug-in and a file, from which the commands are given."""
    name = f"mine_{abs(hash(tmp_path)):x}"
    (tmp_path / f"{name}.py").write_text(PLUGIN, encoding="utf-8")
    np.savetxt(tmp_path / "a b#ü.txt", [[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAISY_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("DAISY_PLUGINS", raising=False)
    return tmp_path


def _name(folder: Path, function: str) -> str:
    return f"{next(folder.glob('mine_*.py')).name}:{function}"


def test_a_run_writes_results_and_leaves_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(
        ["run", _name(folder, "scale"), "a b#ü.txt", "--factor", "3", "--out", "out.nxs", "--context", "sample=Ni"]
    )
    assert status == 0
    np.testing.assert_array_equal(nexus.read("out.nxs")["result"].counts, [30.0, 60.0])
    (run,) = list_runs()
    assert run.state() == "succeeded"
    assert run.request()["context"]["sample"] == "Ni"
    assert run.id in capsys.readouterr().err


def test_results_of_one_run_are_the_input_of_the_next(folder: Path) -> None:
    assert main(["run", _name(folder, "scale"), "a b#ü.txt", "--out", "out.nxs", "--quiet"]) == 0
    assert main(["run", _name(folder, "scale"), "out.nxs", "--out", "again.nxs", "--quiet"]) == 0
    np.testing.assert_array_equal(nexus.read("again.nxs")["result"].counts, [40.0, 80.0])


def test_reader_options_lists_and_model_fields_are_options(folder: Path) -> None:
    words = [
        "run",
        _name(folder, "scaled_total"),
        "a b#ü.txt",
        "a b#ü.txt",
        "--spectra.column",
        "2",
        "--width",
        "5",
        "--out",
        "t.nxs",
    ]
    assert main(words) == 0
    assert nexus.read("t.nxs")["result"] == 2 * 2 * 300.0 * 5


def test_open_parameters_of_nodes_are_options(folder: Path) -> None:
    assert main(["run", _name(folder, "scaled_total"), "a b#ü.txt", "--scale.factor", "10", "--out", "t.nxs"]) == 0
    assert nexus.read("t.nxs")["result"] == 30.0 * 10 * 3


def test_a_parameter_model_is_filled_from_json_and_options_override_it(folder: Path) -> None:
    Path("set.json").write_text('{"width": 7, "edge": "8"}', encoding="utf-8")
    assert (
        main(["run", _name(folder, "total"), "--spectra", "a b#ü.txt", "--smoothing", "@set.json", "--out", "t.nxs"])
        == 0
    )
    assert nexus.read("t.nxs")["result"] == 30.0 * 7
    assert main(["run", _name(folder, "total"), "--spectra", "a b#ü.txt", "--smoothing", "@set.json", "--smoothing.width", "2",
                 "--edge", "8", "--offset", "0.5", "--out", "t.nxs"]) == 0  # fmt: skip
    assert nexus.read("t.nxs")["result"] == 30.0 * 2 + 0.5


def test_a_parameter_marked_for_readers_is_their_default_and_a_conflict_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "run",
        _name(folder, "total"),
        "a b#ü.txt",
        "--smoothing.column",
        "2",
        "--smoothing.width",
        "1",
        "--out",
        "t.nxs",
    ]
    assert main(words) == 0
    assert nexus.read("t.nxs")["result"] == 300.0
    assert main([*words, "--spectra.column", "1"]) == 2
    message = capsys.readouterr().err
    assert "'column' is 1 for reading" in message
    assert "2 in the parameters" in message


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--factor", "x"], "parameter 'factor': expected a valid number; got 'x' (str)"),
        (["--factor", "true"], "expected a valid number; got True (bool)"),
        (["--factor", "-1"], "greater than 0"),
        (["--out", "nowhere/out.nxs"], "there is no folder nowhere"),
        (["--out", "out.xyz"], "can write .nxs"),
        (["--context", "sample"], "KEY=VALUE"),
        (["more.txt"], "too many inputs"),
    ],
)
def test_wrong_options_are_refused_with_a_reason(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(["run", _name(folder, "scale"), "a b#ü.txt", *words]) == 2
    assert says in capsys.readouterr().err


def test_a_missing_file_is_named_and_the_run_is_recorded_as_failed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", _name(folder, "scale"), "a b#u.txt"]) == 2
    assert "no such file: a b#u.txt; did you mean 'a b#ü.txt'?" in capsys.readouterr().err
    assert [run.state() for run in list_runs()] == ["failed"]


def test_a_failing_node_gives_status_1_its_id_and_a_log(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.txt").write_text("no numbers here\n", encoding="utf-8")
    assert main(["run", _name(folder, "scale"), "bad.txt"]) == 1
    message = capsys.readouterr().err
    assert "node 'read:spectrum'" in message
    assert "bad.txt is not a table of numbers" in message
    (run,) = list_runs()
    assert run.state() == "failed"
    assert "Traceback" in run.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["pdf.redcue", "nothing.there", "gone.py:f", "gone.json"])
def test_unknown_names_are_refused(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["run", name]) == 2
    assert capsys.readouterr().err.startswith("daisy: ")


def test_help_names_ports_options_units_and_defaults(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["run", _name(folder, "scaled_total"), "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for part in ("--spectra", "--spectra.column", "--smoothing.width", "points", "default 3", "--scale.factor"):
        assert part in text


def test_list_and_show_know_plug_ins_and_json(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from daisy_core import registry

    monkeypatch.setenv("DAISY_PLUGINS", str(folder))
    registry.apps.cache_clear()
    stem = next(folder.glob("mine_*.py")).stem
    try:
        assert main(["list", stem]) == 0
        assert f"{stem}.scaled_total" in capsys.readouterr().out
        assert main(["show", f"{stem}.scaled_total", "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["graph"]["nodes"][0]["kind"] == "map"
        assert "scale.factor" in shown["params"]["properties"]
    finally:
        monkeypatch.delenv("DAISY_PLUGINS")
        registry.apps.cache_clear()


def test_a_workflow_file_runs_like_the_workflow_it_came_from(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", _name(folder, "scaled_total"), "--json"]) == 0
    graph = json.loads(capsys.readouterr().out)["graph"]
    Path("wf.json").write_text(json.dumps(graph), encoding="utf-8")
    assert main(["run", "wf.json", "a b#ü.txt", "--smoothing.width", "5", "--out", "t.nxs"]) == 0
    assert nexus.read("t.nxs")["result"] == 2 * 30.0 * 5


def test_runs_lists_and_shows_and_refuses_what_is_no_id(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", _name(folder, "scale"), "a b#ü.txt", "--quiet"]) == 0
    (run,) = list_runs()
    assert main(["runs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)[0]
    assert (listed["id"], listed["state"], listed["workflow"]) == (run.id, "succeeded", run.request()["workflow"])
    assert main(["runs", run.id]) == 0
    assert "succeeded" in capsys.readouterr().out
    assert main(["runs", "../../etc"]) == 1
    assert "is not a run id" in capsys.readouterr().err


def test_cancel_from_another_process_ends_a_run_and_its_status_says_so(folder: Path) -> None:
    command = [sys.executable, "-m", "daisy_core.cli", "run", _name(folder, "dream"), "a b#ü.txt"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    run = _running(process)
    assert main(["cancel", run.id]) == 0
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert run.state() == "cancelled"


def test_control_c_cancels_the_run(folder: Path) -> None:
    command = [sys.executable, "-m", "daisy_core.cli", "run", _name(folder, "dream"), "a b#ü.txt"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    run = _running(process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert run.state() == "cancelled"


def _running(process: subprocess.Popen[str]) -> RunFolder:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        runs = list_runs()
        if runs and any(event["kind"] == "progress" for event in runs[0].events()):
            return runs[0]
        time.sleep(0.05)
    raise AssertionError(f"the run did not start: {process.communicate(timeout=5)}")


@pytest.mark.parametrize("engine", ["inline", "threads"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_told_to_end_is_cancelled_and_not_lost(folder: Path, engine: str, number: int) -> None:
    words = ["run", _name(folder, "dream"), "a b#ü.txt", "--engine", engine]
    # a test run under nohup hands an ignored SIGHUP down, which the command respects: begin from the default here
    code = f"import signal, sys; signal.signal({int(number)}, signal.SIG_DFL); from daisy_core.cli import main; sys.exit(main({words!r}))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    run = _running(process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert run.state() == "cancelled"


def test_a_cancel_that_comes_too_late_is_said(folder: Path) -> None:
    command = [sys.executable, "-m", "daisy_core.cli", "run", _name(folder, "deaf"), "a b#ü.txt", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    run = _running(process)
    assert main(["cancel", run.id]) == 0
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert f"the request to stop run {run.id} came too late" in errors


def test_a_second_file_is_no_background_unless_it_is_called_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", _name(folder, "less"), "a b#ü.txt", "a b#ü.txt"]) == 2
    assert "optional inputs are given by name: --backgrounds 'a b#ü.txt'" in capsys.readouterr().err
    assert list_runs() == []
    assert main(["run", _name(folder, "less"), "a b#ü.txt", "--backgrounds", "a b#ü.txt", "--out", "t.nxs"]) == 0
    assert nexus.read("t.nxs")["result"] == "1 ()"


def test_words_that_look_like_numbers_stay_words_in_a_list_of_words(folder: Path) -> None:
    assert main(["run", _name(folder, "less"), "a b#ü.txt", "--labels", "1", "2", "--out", "t.nxs"]) == 0
    assert nexus.read("t.nxs")["result"] == "0 ('1', '2')"


@pytest.mark.parametrize("text", ["[1]", "3", "@list.json", "@broken.json", "@latin.json", "{"])
def test_a_parameter_model_is_filled_from_an_object_only(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    Path("list.json").write_text("[1]", encoding="utf-8")
    Path("broken.json").write_text("{", encoding="utf-8")
    Path("latin.json").write_bytes(b'{"edge": "\xfc"}')
    assert main(["run", _name(folder, "total"), "a b#ü.txt", "--smoothing", text]) == 2
    assert "daisy: Smoothing: " in capsys.readouterr().err


def test_results_are_not_written_over_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out.nxs").mkdir()
    assert main(["run", _name(folder, "scale"), "a b#ü.txt", "--out", "out.nxs"]) == 2
    assert "--out out.nxs is a folder" in capsys.readouterr().err


def test_a_folder_that_may_not_be_written_is_said_before_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write everywhere
    assert main(["run", _name(folder, "scale"), "a b#ü.txt", "--out", "out.nxs"]) == 2
    assert "may not be written" in capsys.readouterr().err
    assert list_runs() == []


def test_a_full_disk_leaves_the_run_and_says_where_its_results_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    assert main(["run", _name(folder, "scale"), "a b#ü.txt", "--out", "out.nxs"]) == 1
    (run,) = list_runs()
    assert f"out.nxs cannot be written: No space left on device; the results are in {run.results}" in (
        capsys.readouterr().err
    )
    assert not Path("out.nxs").exists()


def test_files_that_may_not_be_read_folders_and_pipes_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = _name(folder, "scale")
    Path("folder").mkdir()
    os.mkfifo("pipe")
    for word, says in (("folder", "is a folder"), ("pipe", "is a pipe or device")):
        assert main(["run", name, word]) == 2
        assert says in capsys.readouterr().err
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)  # root may read everything
    assert main(["run", name, "a b#ü.txt"]) == 2
    assert "a b#ü.txt may not be read" in capsys.readouterr().err


def test_a_missing_file_in_a_folder_that_may_not_be_read_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    assert main(["run", _name(folder, "scale"), "gone.txt", "--quiet"]) == 2
    assert "no such file: gone.txt (the folder . may not be read)" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_request_keeps_file_names_that_are_not_utf_8(folder: Path) -> None:
    name = os.fsdecode(b"scan\xff.txt")
    shutil.copyfile("a b#ü.txt", name)
    main(["run", _name(folder, "scale"), name, "--quiet"])
    (run,) = list_runs()
    assert Path(run.request()["inputs"]["spectrum"]["path"]).is_file()


def test_a_run_folder_that_cannot_be_filled_is_taken_away(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        RunFolder.create(tmp_path, {"inputs": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["pdf", "numpy"])
def test_a_new_app_takes_no_name_that_is_taken(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["new", "app", name]) == 2
    assert f"'{name}'" in capsys.readouterr().err
    assert not Path(f"daisy-{name}").exists()


@pytest.mark.parametrize(("script", "peer"), [("_report", True), ("kernel_overhead", False)])
def test_a_claim_lists_every_round(
    script: str, peer: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(benchmarks)
    spec = importlib.util.spec_from_file_location(f"benchmark{script}", benchmarks / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if peer:
        module.claim("x: y", ours=[1.0, 2.0, 4.0], peer=[2.0, 2.0, 2.0], unit="s", cpu_time=True)
    else:
        module.bound("x: y", [2.0, 1.0, 0.5], "s", ("<", 3.0), cpu_time=True)
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["rounds"] == [2.0, 1.0, 0.5]
