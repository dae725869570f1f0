"""A tool in a TOML file is an algorithm without any Python."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core.kernel_lab import Curve  # declares core.Curve

from daisy_core import DaisyError, ParameterError, WorkflowError, nexus, registry
from daisy_core.cli import main
from daisy_core.runs import list_runs
from daisy_core.script import Conda, Container, Environment, Modules, from_toml

TOOL = r"""
name = "site.integrate"
version = "2"
doc = "Sum the columns of a table."
command = ["./sum columns.sh", "{table}", "--bins", "{npt}", ["--mask", "{mask}"], "{silent?--silent}", "{method}", "{result}"]
progress = 'done (\d+)%'

[inputs]
table = "file"
mask = { type = "file", optional = true }

[params.npt]
type = "int"
title = "Radial bins"
help = "How many"
ge = 10
default = 1000

[params]
silent = false
method = { choices = ["sum", "mean"], default = "sum" }

[outputs]
result = { path = "result #1.txt", type = "float" }

[resources]
cpus = 2
walltime = "00:01:00"
"""
SCRIPT = """#!/bin/bash
echo "done 50%"
for last; do :; done
echo "$@" >&2
awk '{ total += $1 } END { print total * '"$3"' }' "$1" > "$last"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "tools of the site #1 ü"
    home.mkdir()
    (home / "tool.toml").write_text(TOOL, encoding="utf-8")
    (home / "sum columns.sh").write_text(SCRIPT, encoding="utf-8")
    (home / "sum columns.sh").chmod(0o755)
    (tmp_path / "a b#ü.txt").write_text("1\n2\n3.5\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_ALGORITHMS", dict(registry._ALGORITHMS))  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setenv("DAISY_RUNS", str(tmp_path / "runs"))
    return home


def test_it_says_all_that_a_python_declaration_says(folder: Path) -> None:
    tool = from_toml(folder / "tool.toml")
    assert (tool.name, tool.version, tool.summary) == ("site.integrate", "2", "Sum the columns of a table.")
    assert (tool.resources.cpus, tool.resources.walltime) == (2, "00:01:00")
    assert [(name, port.required) for name, port in tool.ports.items()] == [("table", True), ("mask", False)]
    properties = tool.schema()["properties"]
    assert properties["npt"] == {
        "default": 1000, "description": "How many", "minimum": 10, "title": "Radial bins", "type": "integer",
    }  # fmt: skip
    assert properties["method"]["enum"] == ["sum", "mean"]
    assert tool("a b#ü.txt", npt=10) == 65.0
    with pytest.raises(ParameterError, match="'method': expected 'sum' or 'mean'; got 'max'"):
        tool("a b#ü.txt", method="max")


def test_the_command_line_runs_it_by_its_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(folder / "tool.toml")
    Path("m.txt").touch()
    assert main(["run", file, "a b#ü.txt", "--npt", "20", "--mask", "m.txt", "--quiet", "--out", "out.nxs"]) == 0
    assert nexus.read("out.nxs")["result"] == 130.0
    (run,) = list_runs()
    assert run.state() == "succeeded"
    assert f"{os.getcwd()}/a b#ü.txt --bins 20 --mask {os.getcwd()}/m.txt sum" in run.log.read_text(encoding="utf-8")
    assert any(event["kind"] == "progress" and event["fraction"] == 0.5 for event in run.events())
    assert main(["show", file, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["kind"], shown["inputs"]["table"]["type"]) == ("site.integrate", "script", "file")
    with pytest.raises(SystemExit):
        main(["run", file, "--help"])
    assert "Radial bins: How many (int; default 1000)" in capsys.readouterr().out.replace(
        "\n                        ", " "
    )
    assert main(["run", file, "a b#ü.txt", "--npt", "3"]) == 2
    assert "greater than or equal to 10" in capsys.readouterr().err


def test_a_failing_tool_fails_the_run_with_its_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sum columns.sh").write_text("#!/bin/sh\necho no beam >&2; exit 4\n", encoding="utf-8")
    assert main(["run", str(folder / "tool.toml"), "a b#ü.txt"]) == 1
    assert "failed with exit status 4\n  | no beam" in capsys.readouterr().err


def test_a_workflow_file_joins_tools_and_algorithms(folder: Path) -> None:
    (folder / "double.toml").write_text(
        'command = ["sh", "-c", "echo $((2 * $(printf %.0f $1)))", "sh", "{x}"]\ninputs = { x = "float" }\n'
        'outputs = { result = { path = "stdout", type = "float" } }\n',
        encoding="utf-8",
    )
    workflow = {
        "daisy": 1, "workflow": "site.both", "version": "1", "inputs": {"table": "file"}, "parameters": {},
        "nodes": [
            {"id": "first", "algorithm": str(folder / "tool.toml"), "inputs": {"table": {"input": "table"}},
             "params": {"npt": {"value": 10}}},
            {"id": "second", "algorithm": str(folder / "double.toml"), "inputs": {"x": {"node": "first"}}},
        ],
        "output": {"node": "second"},
    }  # fmt: skip
    Path("both.json").write_text(json.dumps(workflow), encoding="utf-8")
    assert main(["run", "both.json", "a b#ü.txt", "--out", "both.nxs", "--quiet"]) == 0
    assert nexus.read("both.nxs")["result"] == 130.0


def test_data_types_are_named_as_in_the_registry(folder: Path) -> None:
    (folder / "copy.toml").write_text(
        'command = ["cp", "{curve}", "{result}"]\n[inputs]\ncurve = { type = "core.Curve", path = "in.nxs" }\n'
        '[outputs]\nresult = { path = "out.nxs", type = "core.Curve" }\nrest = { path = "*.none", many = true, optional = true }\n',
        encoding="utf-8",
    )
    tool = from_toml(folder / "copy.toml")
    assert tool.name == "script.copy"
    found = tool(Curve([1.0, 2.0], [3.0, 4.0]))
    np.testing.assert_array_equal(found.result.y, [3.0, 4.0])
    assert found.rest == []


@pytest.mark.parametrize(
    ("table", "environment"),
    [
        ("", Environment()),
        ('container = "site/tool:1"\nruntime = "docker"', Container("site/tool:1", "docker")),
        ('module = ["xds/2024", "ccp4"]', Modules("xds/2024", "ccp4")),
        ('module = "xds"', Modules("xds")),
        ('conda = "pdf"', Conda("pdf")),
    ],
)
def test_its_environment_is_a_table(folder: Path, table: str, environment: Environment) -> None:
    (folder / "e.toml").write_text(
        f'command = ["true"]\noutputs = {{ result = "x" }}\n[environment]\n{table}\n', encoding="utf-8"
    )
    assert from_toml(folder / "e.toml").tool.environment == environment


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("command = [", "is not a TOML file"),
        ("", "it has no command"),
        ('comand = ["x"]', "unknown key 'comand'; did you mean 'command'"),
        ('command = "x y"\noutputs = { result = "x" }', "say shell=True"),
        ("command = 3", "'command' must be a list of words"),
        ('command = ["x"]\nname = 3', "'name' must be text in quotes"),
        ('command = ["x"]\nfiles = "x"', "'files' must be a list of texts"),
        ('command = ["x"]\nsuccess_codes = ["0"]', "'success_codes' must be a list of numbers"),
        ('command = ["x"]\ninputs = "file"', "'inputs' must be a table"),
        ('command = ["x"]\ninputs.a = "fil"', "inputs.a: unknown type 'fil'"),
        ('command = ["x"]\ninputs.a = "nosuch.Type"', "inputs.a: data type 'nosuch.Type' is not declared"),
        ('command = ["x"]\ninputs.a = { typ = "file" }', "unknown key 'inputs.a.typ'; did you mean 'type'"),
        ('command = ["x"]\nparams.a = { default = [1] }', "params.a: say its type"),
        ('command = ["x"]\nparams.a = { type = "file" }', "params.a: unknown type 'file'"),
        ('command = ["x"]\nresources.cpu = 1', "unknown key 'resources.cpu'; did you mean 'cpus'"),
        ('command = ["x"]\nenvironment = { conda = "a", module = "b" }', "one environment, but module and conda"),
        ('command = ["x"]\nenvironment = { container = "-v" }', "'-v' is not the name of an image"),
        ('command = ["x", "{a}"]\noutputs.result = "x"', r"'\{a\}' is not declared"),
    ],
)
def test_a_mistake_is_told_with_the_file(folder: Path, text: str, message: str) -> None:
    (folder / "bad.toml").write_text(text, encoding="utf-8")
    with pytest.raises((WorkflowError, DaisyError), match=message) as caught:
        from_toml(folder / "bad.toml")
    assert "bad.toml" in str(caught.value)


def test_two_tools_of_one_name_are_refused(folder: Path) -> None:
    from_toml(folder / "tool.toml")
    other = folder / "other.toml"
    other.write_text('name = "site.integrate"\ncommand = ["true"]\noutputs = { result = "x" }\n', encoding="utf-8")
    with pytest.raises(DaisyError, match=r"declared by both .*tool.toml and .*other.toml"):
        from_toml(other)
    (folder / "tool.toml").rename(folder / "moved.toml")
    assert from_toml(folder / "moved.toml").file == folder / "moved.toml"


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(DaisyError, match=r"cannot read the tool nothing.toml: No such file"):
        registry.find("nothing.toml")


def test_a_tool_can_be_read_again_after_it_was_edited(folder: Path) -> None:
    first: Any = from_toml(folder / "tool.toml")
    (folder / "tool.toml").write_text(TOOL.replace('"--bins"', '"--bin"'), encoding="utf-8")
    second = from_toml(folder / "tool.toml")
    assert first.source_hash != second.source_hash


def test_the_how_to_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    text = (Path(__file__).resolve().parents[2] / "docs/how-to/wrap-a-script.md").read_text(encoding="utf-8")
    blocks = dict(reversed(re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)))
    (tmp_path / "tool.toml").write_text(blocks["toml"], encoding="utf-8")
    (tmp_path / "rebin.sh").write_text(blocks["bash"], encoding="utf-8")
    (tmp_path / "rebin.sh").chmod(0o755)
    (tmp_path / "Ni.chi").write_text("1 10\n2 20\n3 30\n4 40\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = from_toml("tool.toml")("Ni.chi", points=2)
    assert found.result.name == "Ni-rebinned.chi"
    assert found.result.read_text() == "1.5 30\n3.5 70\n"
    assert found.total == 100.0
    namespace: dict[str, Any] = {"__file__": str(tmp_path / "tools.py"), "__name__": "tools"}
    exec(blocks["python"].replace("site.rebin", "tools.rebin").replace("\nrebin(", "\nfound = rebin("), namespace)
    assert namespace["found"] == 100.0
