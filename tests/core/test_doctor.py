"""``daisy doctor`` tells what there is, never raises, always ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daisy_core import doctor
from daisy_core.cli import main
from daisy_core.doctor import Finding, examine, machine, software
from daisy_core.doctor.finding import ask, size, version_in


def named(findings: list[Finding], name: str) -> Finding:
    (found,) = [item for item in findings if item.name == name]
    return found


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no programs but those that a test puts there."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("SLURM_CONF", raising=False)
    return tmp_path / "bin"


def test_here_the_kernel_works(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAISY_RUNS", str(tmp_path / "not yet" / "runs"))
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    findings = [Finding(**item) for item in told["findings"]]
    assert named(findings, "self-test").state == "found"
    assert named(findings, "numpy").detail.count(".") >= 1
    assert named(findings, "runs").detail.startswith(f"{tmp_path}/not yet/runs, ")
    assert not (tmp_path / "not yet").exists()
    assert named(findings, "memfd").state == "found"


def test_the_table_says_what_a_missing_thing_would_enable(
    bare: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "script nodes in containers, without root: apptainer.org" in shown
    assert "The kernel works." in shown
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["doctor"]) == 0


def test_a_broken_kernel_is_the_only_reason_for_a_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("the HDF5 library does not load")

    monkeypatch.setattr("daisy_core.nexus.write", refuse)
    assert main(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    broken = [item for item in told["findings"] if item["state"] == "broken"]
    assert [(item["name"], item["detail"]) for item in broken] == [
        ("self-test", "OSError: the HDF5 library does not load")
    ]
    assert main(["doctor"]) == 1
    assert "The kernel cannot work here: self-test" in capsys.readouterr().out


def test_on_a_bare_machine_everything_is_missing_and_nothing_raises(bare: Path) -> None:
    findings = examine()
    programs = [item for item in findings if item.group == "programs"]
    assert {item.state for item in programs} == {"missing"}
    assert all(item.enables for item in programs)
    assert named(findings, "Slurm").state == "missing"
    assert named(findings, "GPU").state == "missing"


def test_versions_are_those_that_the_programs_say(bare: Path) -> None:
    put(bare, "apptainer", "echo apptainer version 1.3.4-1.el9")
    put(bare, "xds", "echo ' ***** XDS ***** (VERSION Jun 30, 2024  BUILT=20240723)'; exit 1")
    put(bare, "cwltool", "echo '/usr/bin/cwltool 3.3.20260925135507'")
    put(bare, "phaser", "sleep 60")
    found = {item.name: item for item in examine()}
    assert found["apptainer"].detail == f"1.3.4-1.el9 ({bare}/apptainer)"
    assert found["xds"].detail == f"VERSION Jun 30, 2024  BUILT=20240723 ({bare}/xds)"
    assert found["cwltool"].detail.startswith("3.3.20260925135507 ")
    assert (found["phaser"].state, found["phaser"].detail) == ("found", f"{bare}/phaser")


def test_a_set_of_tools_that_is_not_whole_is_told(bare: Path) -> None:
    put(bare, "hepical", "true")
    found = named(examine(), "HXMTDAS")
    assert found.state == "problem"
    assert "hescreen" in found.detail
    assert "hepical" not in found.detail


def test_programs_run_in_an_empty_folder_of_their_own(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XDS would begin to work on an XDS.INP of the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "XDS.INP").touch()
    put(bare, "xds", 'echo version 1.0 > out.txt; for f in *; do echo "$f"; done')
    assert named(examine(), "xds").state == "found"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["XDS.INP", "bin"]


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    put(tmp_path, "hang", f"/bin/sleep 300 & echo $! > {tmp_path}/pid; wait")
    begun = time.monotonic()
    assert ask([str(tmp_path / "hang")], timeout=0.5) is None
    assert time.monotonic() - begun < 60
    pid = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 20
    while (
        time.monotonic() < end
        and Path(f"/proc/{pid}/stat").exists()
        and " Z " not in Path(f"/proc/{pid}/stat").read_text()
    ):
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}/stat").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text()
    assert ask([str(tmp_path / "nothing")]) == (127, "No such file or directory")


def test_a_question_that_never_returns_or_raises_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    def stuck() -> Iterator[Finding]:
        threading.Event().wait(30)
        yield Finding("storage", "x", "found")

    def bad() -> Iterator[Finding]:
        raise ValueError("odd machine")
        yield

    monkeypatch.setattr(doctor, "PROBES", (("storage", stuck), ("core", bad), ("machine", machine.system)))
    findings = examine(timeout=0.2)
    assert [(item.name, item.state, item.detail) for item in findings[:2]] == [
        ("stuck", "problem", "no answer in 0.2 s"),
        ("bad", "problem", "ValueError: odd machine"),
    ]
    assert findings[2].name == "system"


def test_a_slurm_that_does_not_answer_is_told(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sbatch", "srun"):
        put(bare, name, "echo slurm-wlm 22.05.8")
    put(bare, "sinfo", "echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1")
    monkeypatch.setenv("SLURM_CONF", "/gone/slurm.conf")
    (found,) = software.slurm()
    assert (found.state, found.detail) == ("problem", "slurm_load_partitions: Unable to contact slurm controller")
    assert found.remedy == "SLURM_CONF is /gone/slurm.conf; is that cluster up?"
    put(bare, "sinfo", 'if [ "$1" = --version ]; then echo slurm-wlm 22.05.8; else echo "daisy* up, 1 nodes idle"; fi')
    (found,) = software.slurm()
    assert (found.state, found.detail) == ("found", "22.05.8: daisy* up, 1 nodes idle")


def test_gpus_and_the_build_of_torch_are_seen_without_importing_it(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers of nvidia-smi and rocm-smi are stand-ins: no GPU was at hand."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    (tmp_path / "torch/version.py").write_text(
        "__version__ = '2.8.0+cpu'\ncuda: Optional[str] = None\nhip = None\n", encoding="utf-8"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    put(bare, "nvidia-smi", "echo 'NVIDIA H200, 143771 MiB, 570.86'; echo 'NVIDIA H200, 143771 MiB, 570.86'")
    gpus, torch = software.gpus()
    assert (gpus.state, gpus.detail.count("H200")) == ("found", 2)
    assert (torch.state, "built for CPUs only" in torch.detail, torch.remedy) == (
        "problem",
        True,
        "install a build for your GPU: pytorch.org",
    )
    (tmp_path / "torch/version.py").write_text("cuda: Optional[str] = '12.8'\nhip = None\n", encoding="utf-8")
    assert list(software.gpus())[1].detail.endswith("built cuda 12.8")
    put(bare, "nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    put(bare, "rocm-smi", "echo 'device,Card series'; echo 'card0,AMD Instinct MI250X'")
    nvidia, amd, _ = software.gpus()
    assert (nvidia.state, nvidia.detail) == ("problem", "it finds no GPU")
    assert (amd.state, amd.detail) == ("found", "card0,AMD Instinct MI250X")


def test_a_runs_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAISY_RUNS", "/proc/runs")
    runs, _ = machine.storage()
    assert runs.state == "problem"
    assert "cannot be written" in runs.detail
    assert runs.remedy == "choose another: DAISY_RUNS or --runs"


def test_missing_packages_of_techniques_and_extras_come_with_their_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from daisy_core import App, registry

    app = App("lab", "A laboratory", ("lab",), extra="lab", requires=("no_such_package",))
    monkeypatch.setattr(registry, "apps", lambda: {"lab": app})
    (found,) = software.techniques()
    assert (found.state, found.detail, found.remedy) == (
        "missing",
        "no_such_package not installed",
        'pip install "daisy-suite[lab]"',
    )
    monkeypatch.setattr(
        software, "requirements", lambda: [("numpy", None), ("no-such", "stream"), ("numpy", "stream"), ("x", "lab")]
    )
    (found,) = software.extras()
    assert (found.name, found.state, found.detail) == ("stream", "missing", "no-such not installed")
    assert found.remedy == 'pip install "daisy-suite[stream]"'


def test_a_core_package_that_is_missing_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "requirements", lambda: [("no-such-core", None)])
    found = named(list(machine.python()), "no-such-core")
    assert (found.state, found.remedy) == ("broken", "pip install no-such-core")


@pytest.mark.parametrize(
    ("text", "number"),
    [("v1.2.3, build x", "1.2.3"), ("nothing", ""), ("(VERSION Jun 30, 2024)", "VERSION Jun 30, 2024")],
)
def test_a_version_is_found_in_what_programs_say(text: str, number: str) -> None:
    assert version_in(text) == number


def test_sizes_are_for_people() -> None:
    assert [size(count) for count in (0, 999, 1500, 25_300_000_000)] == ["0 B", "999 B", "1.5 kB", "25.3 GB"]


def test_it_imports_nothing_heavy() -> None:
    code = """
import sys, daisy_core.cli
daisy_core.cli.main(["doctor", "--json"])
print([name for name in ("torch", "pyFAI", "scipy", "streamlit", "dask") if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PATH": "/nowhere"}
    )
    assert done.stderr.strip() == "[]"
