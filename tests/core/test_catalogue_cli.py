"""``daisy runs``: the results table on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from core.catalogue_lab import DAY, make_run

from daisy_core.cli import main
from daisy_core.runs import list_runs

PLUGIN = '''
from __future__ import annotations
from typing import Annotated, Any
import numpy as np
from numpy.typing import NDArray
from daisy_core import Axes, File, Param, algorithm, data

@data
class Merged:
    """A result."""
    i: Annotated[NDArray[Any], Axes("reflection")]
    rmeas: float
    def summary(self):
        return {"rmeas": self.rmeas, "n": len(self.i)}

@algorithm(version="1")
def merge(path: File, *, rmeas: Annotated[float, Param("Rmeas")] = 0.05) -> Merged:
    """Pretend to merge."""
    return Merged(np.zeros(3), rmeas)
'''


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three runs, which is the default one."""
    folder = tmp_path / "runs"
    make_run(
        folder,
        number=1,
        age=100 * DAY,
        context={"sample": "Ni", "user": "ada"},
        summary={"rmeas": 0.05, "verdict": "good [1]"},
    )
    make_run(
        folder,
        number=2,
        age=2 * DAY,
        context={"sample": "Cu", "user": "ada"},
        summary={"rmeas": 0.123456789, "extra": 1},
    )
    make_run(folder, "failed", number=3, age=DAY, workflow="pdf.reduce", message="no peaks")
    monkeypatch.setenv("DAISY_RUNS", str(folder))
    monkeypatch.delenv("DAISY_CATALOGUE", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    return folder


def _numbers(text: str) -> list[int]:
    return [
        int(word.split("-")[2], 16)
        for line in text.splitlines()
        if (word := line.strip().split(" ")[0]).count("-") == 2
    ]


def test_the_table_shows_the_values_that_there_are(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    shown = capsys.readouterr()
    head, *lines = shown.out.splitlines()
    assert head.split() == ["run", "state", "workflow", "submitted", "context", "rmeas", "extra", "verdict"]
    assert _numbers(shown.out) == [3, 2, 1]
    assert "0.12346" in lines[1]
    assert "good [1]" in lines[2]
    assert "sample=Ni" in lines[2]
    assert "made the catalogue" in shown.err
    assert main(["runs"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--where", "rmeas < 0.1", "--app", "mx"], [1]),
        (["--where", "sample == 'Cu' or state == 'failed'"], [3, 2]),
        (["--app", "pdf"], [3]),
        (["--state", "succeeded", "--limit", "1"], [2]),
        (["--since", "36h"], [3]),
        (["--workflow", "mx.process"], [2, 1]),
        (["--tag", "paper"], []),
    ],
)
def test_conditions_choose_the_runs(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], numbers: list[int]
) -> None:
    assert main(["runs", *words]) == 0
    shown = capsys.readouterr().out
    assert _numbers(shown) == numbers
    assert ("no runs in" in shown) == (not numbers)


def test_columns_and_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--columns", "verdict, rmeas"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[-2:] == ["verdict", "rmeas"]
    assert main(["runs", "--where", "extra == 1"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[-2:] == ["extra", "rmeas"]
    assert main(["runs", "--json", "--where", "rmeas < 0.1"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["summary"] == {"rmeas": 0.05, "verdict": "good [1]"}
    assert record["context"]["sample"] == "Ni"
    assert (record["state"], record["app"], record["tags"]) == ("succeeded", "mx", [])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--where", "rmaes < 0.1"], "did you mean 'rmeas'?"),
        (["--where", "__import__('os')"], "is refused"),
        (["--since", "yesterday"], "is not a time"),
        (["prune", "--older", "90"], "is not an age"),
        (["tag", "20260101-000000-abcdef", ""], "there is no run"),
        (["nonsense"], "is not a run id"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_a_reason(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(["runs", *words]) in (1, 2)
    assert says in capsys.readouterr().err
    assert len(list_runs(root)) == 3


@pytest.mark.parametrize("words", [["--limit", "0"], ["--state", "dead"], ["prune"], ["tag"], ["--where"]])
def test_wrong_usage_is_refused(root: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as told:
        main(["runs", *words])
    assert told.value.code == 2
    assert "usage: daisy runs" in capsys.readouterr().err


def test_pruning_says_what_and_how_much_and_can_be_tried(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = list_runs(root)[-1]
    assert main(["runs", "prune", "--older", "90d", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"{old.id}  succeeded  mx.process  100 d" in said
    assert "would delete 1 runs" in said
    assert main(["runs", "tag", old.id, "paper", "figure 2"]) == 0
    assert "has the tags figure 2, paper" in capsys.readouterr().out
    assert main(["runs", "--tag", "paper"]) == 0
    assert "figure 2, paper" in capsys.readouterr().out
    for path in (old.path / "tags.json", old.path):
        os.utime(path, (0, 0))
    assert main(["runs", "prune", "--older", "90d", "--keep-tagged"]) == 0
    assert f"kept {old.id}: it is tagged figure 2, paper" in capsys.readouterr().out
    assert main(["runs", "untag", old.id, "paper", "figure 2"]) == 0
    assert "has no tags" in capsys.readouterr().out
    for path in (old.path / "tags.json", old.path):
        os.utime(path, (0, 0))
    assert main(["runs", "prune", "--older", "90d", "--keep-tagged"]) == 0
    assert "deleted 1 runs" in capsys.readouterr().out
    assert main(["runs"]) == 0
    assert _numbers(capsys.readouterr().out) == [3, 2]


def test_the_catalogue_is_made_again_with_one_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    (root / "catalogue.sqlite").write_bytes(b"rubbish" * 1000)
    (list_runs(root)[0].path / "request.json").write_text("{")
    assert main(["runs", "--rebuild"]) == 0
    shown = capsys.readouterr()
    assert "was damaged" in shown.err
    assert "made the catalogue again from 3 run folders" in shown.out
    assert "is damaged: JSONDecodeError" in shown.out


def test_one_run_is_shown_with_its_summary_and_tags(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = list_runs(root)[-1]
    assert main(["runs", "tag", run.id, "paper"]) == 0
    assert main(["runs", run.id]) == 0
    shown = capsys.readouterr().out
    assert '"rmeas": 0.05' in shown
    assert "tags     paper" in shown
    assert main(["runs", run.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["rmeas"] == 0.05
    failed = list_runs(root)[0]
    assert main(["runs", failed.id]) == 0
    assert "no peaks" in capsys.readouterr().out
    (failed.path / "request.json").write_text('{"format": 9}')
    assert main(["runs", failed.id]) == 1
    assert "newer version" in capsys.readouterr().err


def test_runs_started_at_once_are_all_in_the_table_with_context_of_file_and_command(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAISY_CATALOGUE", str(tmp_path / "shared.sqlite"))
    name = f"mine_{abs(hash(tmp_path)):x}"
    (tmp_path / f"{name}.py").write_text(PLUGIN, encoding="utf-8")
    with h5py.File(tmp_path / "scan.nxs", "w") as handle:
        handle.create_group("entry").attrs["NX_class"] = "NXentry"
        handle["entry/experiment_identifier"] = "HC-1"
        sample = handle.create_group("entry/sample")
        sample.attrs["NX_class"] = "NXsample"
        sample["name"] = "Ni"
    words = [
        sys.executable,
        "-m",
        "daisy_core.cli",
        "run",
        f"{name}.py:merge",
        "scan.nxs",
        "--quiet",
        "--context",
        "scan=7",
    ]
    processes = [
        subprocess.Popen([*words, "--rmeas", f"0.{number}"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for number in range(1, 4)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert main(["runs", "--json", "--where", "rmeas > 0.15 and sample == 'Ni' and scan == 7", "--app", name]) == 0
    records = json.loads(capsys.readouterr().out)
    assert sorted(record["summary"]["rmeas"] for record in records) == [0.2, 0.3]
    assert all(record["context"]["proposal"] == "HC-1" for record in records)
    assert main(["runs", "prune", "--older", "0s"]) == 0
    capsys.readouterr()
    assert main(["runs"]) == 0
    assert "no runs in" in capsys.readouterr().out


def test_without_the_database_package_the_catalogue_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "sqlalchemy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert main(["runs"]) == 2
    assert "needs the package sqlalchemy" in capsys.readouterr().err
