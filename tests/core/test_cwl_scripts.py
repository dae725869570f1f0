"""Script nodes as CWL: their own command where CWL can say it, a call of ours where it cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from core import cwl_bench

from daisy_core import File, Param, Resources, WorkflowEngine, registry
from daisy_core.cwl import export, run
from daisy_core.cwl.text import read_yaml
from daisy_core.script import Container, Input, Output, from_toml, script

lab = cwl_bench.lab()
COUNT = '#!/bin/sh\necho $(( $(wc -l < "$1") * $2 )) "$3" > "$4"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a program and a text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "count.sh").write_text(COUNT)
    (tmp_path / "bin" / "count.sh").chmod(0o755)
    (tmp_path / "a b#ü.txt").write_text("1\n2\n")
    with cwl_bench.scratch(tmp_path, monkeypatch):
        yield tmp_path


def _under_cwltool(algorithm: Any, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    cwl_bench.need("cwltool")
    document = export(algorithm, folder / "cwl")
    assert cwl_bench.validate(document) == []
    return run(document, job, outdir=folder / "out", arguments=["--quiet"])


def test_a_command_is_exported_as_itself(here: Path) -> None:
    tool = script(
        "cwllab.sorted", ["sort", "{reverse?-r}", ["-k", "{key}"], "--output={result}", "{text}"], here=here,
        inputs={"text": File}, params={"reverse": False, "key": (int | None, Param("Column"), None)}, outputs={"result": "sorted.txt"},
        env={"LC_ALL": "C"}, resources=Resources(cpus=2, memory="1 GB", walltime="00:01:00"), version="3",
    )  # fmt: skip
    document = read_yaml(export(tool, here / "cwl"))
    assert [item["valueFrom"] for item in document["arguments"]] == [
        "sort",
        "--output=$(runtime.outdir)/sorted.txt",
        "$(inputs.text.path)",
    ]
    assert document["inputs"]["reverse"]["inputBinding"] == {"position": 1, "prefix": "-r"}
    assert document["inputs"]["key"]["inputBinding"] == {"position": 2, "prefix": "-k"}
    assert document["requirements"]["ResourceRequirement"] == {"coresMin": 2, "ramMin": 954}
    assert document["requirements"]["EnvVarRequirement"]["envDef"]["LC_ALL"] == "C"
    job = {"text": cwl_bench.file(here / "a b#ü.txt"), "reverse": True, "key": 1}
    found = _under_cwltool(tool, job, here)
    assert Path(found["result"]["path"]).read_text() == tool("a b#ü.txt", reverse=True, key=1).read_text() == "2\n1\n"


def test_its_own_files_and_the_container_go_along(here: Path) -> None:
    tool = script(
        "cwllab.count", ["bin/count.sh", "{text}", "{times}", "a $(b) {text.stem}", "{result}"], here=here, inputs={"text": File},
        params={"times": (int, Param("Times", ge=1), 2)}, outputs={"result": "lines.txt"},
    )  # fmt: skip
    job = {"text": cwl_bench.file(here / "a b#ü.txt"), "times": 2**35}
    found = _under_cwltool(tool, job, here)
    assert (here / "cwl" / "cwllab.count.files" / "bin" / "count.sh").stat().st_mode & 0o100
    assert Path(found["result"]["path"]).read_text() == tool("a b#ü.txt", times=2**35).read_text()
    assert Path(found["result"]["path"]).read_text() == f"{2 * 2**35} a $(b) a b#ü\n"
    boxed = script(
        "cwllab.boxed",
        ["cat", "{text}"],
        inputs={"text": File},
        outputs={"result": "stdout"},
        environment=Container("site/tool:1"),
    )
    document = read_yaml(export(boxed, here / "boxed"))
    assert document["requirements"]["DockerRequirement"] == {"dockerPull": "site/tool:1"}
    assert document["outputs"] == {"result": {"type": "stdout"}}


TOML = """
name = "cwllab.scaled_text"
command = ["{here}/bin/scale.sh", "{curve}", "{factor:.3f}", "{result}"]
[inputs]
curve = { type = "cwl_lab.Curve", path = "in.nxs" }
[params]
factor = { type = "float", default = 2.0 }
[outputs]
result = { path = "out.txt", type = "float" }
"""


def test_what_cwl_cannot_say_is_called_by_us_with_its_files(here: Path) -> None:
    (here / "bin" / "scale.sh").write_text('#!/bin/sh\n[ -s "$1" ] && echo "$2" > "$3"\n')
    (here / "bin" / "scale.sh").chmod(0o755)
    (here / "tool.toml").write_text(TOML)
    (here / "c.txt").write_text("0 1\n1 2\n")
    document = read_yaml(export(from_toml(here / "tool.toml"), here / "cwl"))
    assert document["baseCommand"] == ["daisy", "cwl", "node"]
    assert document["arguments"][:5] == ["cwllab.scaled_text", "--version", "1", "--declared", "daisy.tool/tool.toml"]
    assert {item["entryname"] for item in document["requirements"]["InitialWorkDirRequirement"]["listing"]} == {
        "inputs.json", "daisy.tool/tool.toml", "daisy.tool/bin/scale.sh"}  # fmt: skip


def test_a_script_with_data_agrees_under_cwltool(here: Path) -> None:
    (here / "sum.py").write_text(
        "import sys, h5py\n"
        "with h5py.File(sys.argv[1]) as f: print(f['entry/curve/y'][()].sum() * float(sys.argv[2]))\n"
    )  # fmt: skip
    (here / "wrapped.py").write_text(
        "import sys\nfrom daisy_core import Frame\nfrom daisy_core.script import Input, script\n"
        "total = script('wrapped.total', [sys.executable, '-c', 'import sys, numpy; print(numpy.load(sys.argv[1]).sum())', '{frame}'],\n"
        "               inputs={'frame': Input(Frame, 'f.npy')}, outputs={'result': ('stdout', float)}, files=['sum.py'])\n"
    )
    cwl_bench.make_data(here)
    tool = registry.find(f"{here / 'wrapped.py'}:total")
    found = _under_cwltool(tool, {"frame": cwl_bench.file(here / "f 1#ü.npy")}, here)
    assert (here / "cwl" / "wrapped.total.files" / "sum.py").is_file()
    assert cwl_bench.read_outputs(found)["result"] == tool("f 1#ü.npy")


NUMBER = {"result": ("stdout", int)}


@pytest.mark.parametrize(
    "declaration",
    [
        {"command": "cat {text}", "shell": True},
        {"command": ["printf", "{x:.2f}", "{text}"], "params": {"x": 1.0}},
        {"command": ["cat", "{text}"], "outputs": {"result": ("*.x", Sequence[File])}},
        {"command": ["cat", "{text}", "{many}"], "inputs": {"text": File, "many": Input(Sequence[float])}, "outputs": NUMBER},
        {"command": ["cat", ["a-{flag}", "{text}"]], "params": {"flag": (str | None, None)}},
        {"command": ["cat", "{text}"], "outputs": {"result": Output("stdout", str, match="(.)")}},
    ],
)  # fmt: skip
def test_what_has_no_words_in_cwl_is_still_valid(here: Path, declaration: dict[str, Any]) -> None:
    given = {"inputs": {"text": File}, "outputs": {"result": "stdout"}, **declaration}
    command = given.pop("command")
    (here / "decl.py").write_text("")
    tool = script("decl.case", command, here=here, **given)
    tool.file = here / "decl.py"  # as if it had been declared there
    document = export(tool, here / "cwl")
    assert read_yaml(document)["baseCommand"] == ["daisy", "cwl", "node"]
    assert cwl_bench.validate(document) == []


def test_scripts_in_a_workflow_hand_files_on(here: Path) -> None:
    (here / "flowlab.py").write_text(
        "from __future__ import annotations\nfrom collections.abc import Sequence\n"
        "from daisy_core import File, algorithm, workflow\nfrom daisy_core.script import script\n"
        "upper = script('flowlab.upper', ['tr', 'a-z', 'A-Z'], stdin='{text}', inputs={'text': File}, outputs={'result': 'stdout'})\n"
        "@algorithm(version='1')\n"
        "def together(texts: Sequence[File], *, end: str = '.') -> str:\n"
        "    return ''.join(path.read_text() for path in texts) + end\n"
        "@workflow(version='1')\n"
        "def shout(texts: Sequence[File]) -> str:\n"
        "    return together(upper.map(texts))\n"
    )
    (here / "b.txt").write_text("bb\n")
    (here / "a.txt").write_text("aa\n")
    found = registry.find(f"{here / 'flowlab.py'}:shout")
    made = _under_cwltool(found, {"texts": [cwl_bench.file(here / "b.txt"), cwl_bench.file(here / "a.txt")]}, here)
    expected = WorkflowEngine("inline").run(found, {"texts": ["b.txt", "a.txt"]}).result()
    assert cwl_bench.read_outputs(made)["result"] == expected == "BB\nAA\n."
