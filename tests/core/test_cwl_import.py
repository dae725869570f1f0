"""Tools and workflows of others, described in CWL, as algorithms and workflows of ours."""

from __future__ import annotations

import json
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from core import cwl_bench

from daisy_core import DaisyError, InputError, ParameterError, RunError, WorkflowEngine
from daisy_core.cwl import Refused
from daisy_core.cwl.importer import find
from daisy_core.cwl.text import to_yaml

PRINT = "import json, os, sys; json.dump(sys.argv[1:], open('args.json', 'w'))"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a document, and work in its folder."""
    monkeypatch.chdir(tmp_path)

    def write(name: str = "tool.cwl", **content: Any) -> Path:
        document = {"cwlVersion": "v1.2", "class": "CommandLineTool", "inputs": {}, "outputs": {}, **content}
        (tmp_path / name).write_text(to_yaml(document), encoding="utf-8")
        return tmp_path / name

    with cwl_bench.scratch(tmp_path, monkeypatch):
        yield write


def printing(**content: Any) -> dict[str, Any]:
    """A tool that writes down its arguments."""
    found = {"glob": "args.json", "loadContents": True, "outputEval": "$(self[0].contents)"}
    outputs = {"args": {"type": "string", "outputBinding": found}}
    return {"baseCommand": [sys.executable, "-c", PRINT], "outputs": outputs, **content}


def words(tool: Path, *args: Any, **params: Any) -> list[str]:
    """The arguments that a printing tool was called with; folders of inputs are left out."""
    found = json.loads(find(str(tool))(*args, **params))
    return [Path(word).name if word.startswith("/") else word for word in found]


# -- command lines ----------------------------------------------------------------------------------------------


def test_arguments_stand_in_the_order_of_their_positions(write: Write) -> None:
    (Path.cwd() / "in put#ü.txt").write_text("x")
    tool = write(**printing(
        arguments=["first", {"valueFrom": "late", "position": 9}, {"valueFrom": "$(inputs.text.nameroot)", "prefix": "--root"}],
        inputs={
            "b": {"type": "int", "inputBinding": {"position": 2, "prefix": "-b"}},
            "a": {"type": "int", "inputBinding": {"position": 2, "prefix": "-a", "separate": False}},
            "text": {"type": "File", "inputBinding": {"position": 3}},
            "unbound": {"type": "string", "default": "nothing"},
            "zero": {"type": "double", "default": 1e-05, "inputBinding": {}},
        },
    ))  # fmt: skip
    assert words(tool, "in put#ü.txt", b=2, a=-1) == [
        "first", "--root", "in put#ü", "0.00001", "-a-1", "-b", "2", "in put#ü.txt", "late"]  # fmt: skip


def test_arrays_are_joined_repeated_or_listed(write: Write) -> None:
    tool = write(**printing(inputs={
        "joined": {"type": "int[]", "default": [1, 2], "inputBinding": {"position": 1, "prefix": "-j", "itemSeparator": ","}},
        "listed": {"type": "string[]", "default": ["x y", "$HOME"], "inputBinding": {"position": 2, "prefix": "-l"}},
        "each": {"type": {"type": "array", "items": "int", "inputBinding": {"prefix": "-e", "separate": False}},
                 "default": [3, 4], "inputBinding": {"position": 3}},
        "empty": {"type": "int[]", "default": [], "inputBinding": {"position": 4, "prefix": "-n"}},
    }))  # fmt: skip
    assert words(tool) == ["-j", "1,2", "-l", "x y", "$HOME", "-e3", "-e4"]
    assert words(tool, joined=(5,), listed=(), each=()) == ["-j", "5"]


def test_flags_choices_and_absent_values(write: Write) -> None:
    tool = write(**printing(inputs={
        "yes": {"type": "boolean", "default": True, "inputBinding": {"prefix": "--yes"}},
        "no": {"type": "boolean", "default": False, "inputBinding": {"prefix": "--no"}},
        "mode": {"type": {"type": "enum", "symbols": ["fast", "slow"]}, "default": "fast", "inputBinding": {"prefix": "--mode="}},
        "gone": {"type": "int?", "inputBinding": {"prefix": "--gone"}},
    }))  # fmt: skip
    assert words(tool) == ["--mode=", "fast", "--yes"]
    assert words(tool, yes=False, no=True, gone=2**40) == ["--gone", str(2**40), "--mode=", "fast", "--no"]
    with pytest.raises(ParameterError, match="parameter 'mode': expected 'fast' or 'slow'"):
        find(str(tool))(mode="medium")


def test_no_shell_reads_the_words(write: Write) -> None:
    evil = "; touch gone #`touch gone` $(touch gone) && 'x"
    tool = write(**printing(inputs={"text": {"type": "string", "inputBinding": {}}}))
    assert words(tool, text=evil) == [evil]
    assert not list(Path.cwd().rglob("gone"))


@pytest.mark.slow
def test_command_lines_are_those_of_cwltool(write: Write, tmp_path: Path) -> None:
    cwl_bench.need("cwltool")
    from daisy_core.cwl import run

    (tmp_path / "a.txt").write_text("x")
    tool = write(**printing(
        arguments=["w", {"valueFrom": "v", "position": 2}, {"valueFrom": "$(runtime.cores)", "prefix": "-c", "position": 1}],
        inputs={
            "files": {"type": {"type": "array", "items": "File", "inputBinding": {"prefix": "-f"}}, "inputBinding": {"position": 1}},
            "n": {"type": "long", "inputBinding": {"position": 1, "prefix": "-n"}},
            "x": {"type": "double", "inputBinding": {"prefix": "-x="}},
            "plain": {"type": "string[]", "inputBinding": {"position": -1}},
            "inner": {"type": {"type": "array", "items": "string", "inputBinding": {"prefix": "-i", "position": 5}}},
            "const": {"type": "string", "default": "d", "inputBinding": {"valueFrom": "<$(self)>", "position": 7}},
        },
    ))  # fmt: skip
    job = {
        "files": [cwl_bench.file(tmp_path / "a.txt")] * 2,
        "n": 2**40,
        "x": 1e-7,
        "plain": ["p q", "r"],
        "inner": ["s", "t"],
    }
    theirs = [Path(w).name if w.startswith("/") else w for w in json.loads(run(tool, job, outdir=tmp_path)["args"])]
    assert words(tool, ["a.txt", "a.txt"], n=2**40, x=1e-7, plain=("p q", "r"), inner=("s", "t")) == theirs


# -- inputs and surroundings ------------------------------------------------------------------------------------


def test_inputs_are_ports_and_parameters(write: Write) -> None:
    tool = find(str(write(
        label="Count", doc="Counts things.",
        baseCommand="true",
        inputs={"in": "File", "more-files": "File[]?", "n": {"type": "long", "default": 2**40, "label": "Number", "doc": "How many"},
                "x": "double?", "2theta": {"type": "boolean"}},
    )))  # fmt: skip
    assert list(tool.ports) == ["in_", "more_files"]
    assert not tool.ports["more_files"].required
    assert list(tool.parameters) == ["n", "x", "x2theta"]
    assert tool.parameters["n"].param.title == "Number"
    assert tool.schema()["properties"]["n"]["default"] == 2**40
    assert "Counts things" in tool.doc
    with pytest.raises(ParameterError, match="input 'in_' is required"):
        tool(x2theta=True)
    with pytest.raises(ParameterError, match="parameter 'x2theta' is required"):
        tool(__file__)


def test_standard_streams_environment_and_defaults(write: Write) -> None:
    (Path.cwd() / "in.txt").write_text("two\nlines\n")
    (Path.cwd() / "default file.txt").write_text("default")
    tool = write(
        baseCommand=["sh", "-c", 'cat; cat "$FILE"; echo "$WORDS" >&2; env | sort >&2'],
        requirements={"EnvVarRequirement": {"envDef": {"FILE": "$(inputs.other.path)", "WORDS": "a b $HOME"}}},
        inputs={"text": "stdin", "other": {"type": "File", "default": {"class": "File", "location": "default%20file.txt"}}},
        outputs={"out": "stdout", "err": {"type": "stderr"}}, stderr="said $(inputs.other.nameroot).log",
    )  # fmt: skip
    found = find(str(tool))("in.txt")
    assert found.out.read_text() == "two\nlines\ndefault"
    assert found.err.name == "said default file.log"
    assert found.err.read_text().startswith("a b $HOME\n")
    names = {line.partition("=")[0] for line in found.err.read_text().splitlines()[1:]}
    assert names <= {"FILE", "WORDS", "HOME", "PATH", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_", "LANG", "LC_ALL"}


def test_files_that_belong_together_stay_together(write: Write) -> None:
    for name in ("a.dat", "a.dat.idx", "a.hdr"):
        (Path.cwd() / name).write_text(name)
    tool = write(
        baseCommand=["sh", "-c", 'd=$(dirname "$1"); cat "$1" "$1.idx" "$d/a.hdr" > b.out; echo i > b.out.idx', "sh"],
        inputs={"data": {"type": "File", "secondaryFiles": [".idx", "^.hdr", ".gone?"], "inputBinding": {}}},
        outputs={"made": {"type": "File", "outputBinding": {"glob": "*.out"}, "secondaryFiles": [{"pattern": ".idx"}]}},
    )
    made = find(str(tool))("a.dat")
    assert made.read_text() == "a.data.dat.idxa.hdr"
    assert (made.parent / "b.out.idx").read_text() == "i\n"
    (Path.cwd() / "a.hdr").unlink()
    with pytest.raises(InputError, match=r"input 'data': a.dat needs the file a.hdr beside it"):
        find(str(tool))("a.dat")


def test_a_kept_file_is_written_again_where_it_is_gone(write: Write) -> None:
    tool = write(
        baseCommand=["sh", "-c", "echo 1 > x; echo 2 > x.idx"],
        outputs={"made": {"type": "File", "outputBinding": {"glob": "x"}, "secondaryFiles": ".idx"}},
    )
    made = find(str(tool))()
    content = pickle.dumps(made)
    made.unlink()
    (made.parent / "x.idx").unlink()
    again = pickle.loads(content)
    assert again != made
    assert [again.read_text(), (again.parent / "x.idx").read_text()] == ["1\n", "2\n"]


def test_the_folder_of_the_command_is_prepared(write: Write) -> None:
    (Path.cwd() / "in.txt").write_text("original")
    tool = write(
        baseCommand=["sh", "-c", "cat sub/conf.txt copy.txt numbers.json in.txt; echo more >> copy.txt"],
        requirements={"InitialWorkDirRequirement": {"listing": [
            {"entryname": "sub/conf.txt", "entry": "n=$(inputs.n) \\$(HOME) ${'$'}".replace("${'$'}", "$")},
            {"entryname": "copy.txt", "entry": "$(inputs.text)", "writable": True},
            {"entryname": "numbers.json", "entry": "$(inputs.numbers)"},
            "$(inputs.text)",
        ]}},
        inputs={"text": "File", "n": "int", "numbers": {"type": "double[]", "default": [1.5, 2]}},
        outputs={"out": "stdout"},
    )  # fmt: skip
    out = find(str(tool))("in.txt", n=3).read_text()
    assert out == "n=3 $(HOME) $original[1.5, 2]original"
    assert (Path.cwd() / "in.txt").read_text() == "original"


def test_a_command_that_is_not_there_is_named(write: Write) -> None:
    tool = find(str(write(baseCommand="daisy-no-such-program", outputs={"o": "stdout"})))
    with pytest.raises(RunError, match=r"tool.cwl: there is no program 'daisy-no-such-program'"):
        tool()
    with pytest.raises(RunError, match="gives no command to run"):
        find(str(write("empty.cwl")))()


@pytest.mark.parametrize(
    ("status", "codes", "says"),
    [
        (3, {"successCodes": [3]}, None),
        (3, {}, "failed with exit status 3"),
        (0, {"successCodes": [1]}, "failed with exit status 0"),
        (4, {"temporaryFailCodes": [4]}, "failed temporarily with exit status 4"),
    ],
)
def test_exit_codes_mean_what_the_document_says(
    write: Write, status: int, codes: dict[str, Any], says: str | None
) -> None:
    tool = find(
        str(write(baseCommand=["sh", "-c", f"echo trouble >&2; exit {status}"], outputs={"o": "stdout"}, **codes))
    )
    if says is None:
        tool()
    else:
        with pytest.raises(RunError, match=rf"(?s)'sh' {says}.*\| trouble"):
            tool()


def test_a_time_limit_ends_the_command(write: Write) -> None:
    tool = find(
        str(
            write(
                baseCommand=["sleep", "30"], requirements={"ToolTimeLimit": {"timelimit": 1}}, outputs={"o": "stdout"}
            )
        )
    )
    start = time.monotonic()
    with pytest.raises(RunError, match="did not end within its walltime of 1 s"):
        tool()
    assert time.monotonic() - start < 20


def test_cancelling_a_run_ends_the_command(write: Write) -> None:
    tool = find(str(write(baseCommand=["sh", "-c", "touch \"$1\"; sleep 60 & wait", "sh"], arguments=[str(Path.cwd() / "began")],
                          outputs={"o": "stdout"})))  # fmt: skip
    run = WorkflowEngine("threads").submit(tool, {})
    end = time.monotonic() + 20
    while not (Path.cwd() / "began").exists() and time.monotonic() < end:
        time.sleep(0.02)
    threading.Timer(0.0, run.cancel).start()
    run.wait(20)
    assert run.state == "cancelled"


# -- outputs ----------------------------------------------------------------------------------------------------


def test_outputs_are_found_by_pattern(write: Write) -> None:
    tool = write(
        baseCommand=["sh", "-c", "for i in 2 10 1; do echo $i > part-$i.txt; done; echo 7 > n.txt"],
        outputs={
            "parts": {"type": "File[]", "outputBinding": {"glob": ["part-*.txt"]}},
            "one": {"type": "File", "outputBinding": {"glob": "$(inputs.name).txt"}},
            "none": {"type": "File?", "outputBinding": {"glob": "*.gone"}},
            "number": {"type": "int", "outputBinding": {"outputEval": "$(inputs.n)"}},
            "status": {"type": "int", "outputBinding": {"outputEval": "$(runtime.exitCode)"}},
            "size": {"type": "long", "outputBinding": {"glob": "n.txt", "outputEval": "$(self[0].size)"}},
            "count": {"type": "int", "outputBinding": {"glob": "part-*", "outputEval": "$(self.length)"}},
        },
        inputs={"name": {"type": "string", "default": "n"}, "n": {"type": "int", "default": 4}},
    )
    found = find(str(tool))()
    assert [part.read_text() for part in found.parts] == ["1\n", "10\n", "2\n"]
    assert found.one.read_text() == "7\n"
    assert (found.none, found.number, found.status, found.size, found.count) == (None, 4, 0, 2, 3)


def test_an_output_object_of_the_command_counts(write: Write) -> None:
    content = {
        "n": 2**40,
        "text": {"class": "File", "path": "sub/a.txt"},
        "made": {"class": "File", "basename": "b.txt", "contents": "hi"},
    }
    script = f"mkdir sub; echo a > sub/a.txt; echo '{json.dumps(content)}' > cwl.output.json"
    tool = write(baseCommand=["sh", "-c", script], outputs={"n": "long", "text": "File", "made": "File"})
    found = find(str(tool))()
    assert (found.n, found.text.read_text(), found.made.read_text(), found.made.name) == (2**40, "a\n", "hi", "b.txt")


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({"type": "File", "outputBinding": {"glob": "*.gone"}}, "output 'o': the command wrote no such file"),
        ({"type": "File", "outputBinding": {"glob": "*.txt"}}, "output 'o': one file is wanted, 2 were found: a.txt, b.txt"),
        ({"type": "File", "outputBinding": {"glob": "../*"}}, "looks outside the folder"),
        ({"type": "File", "outputBinding": {"glob": "/etc/passwd"}}, "looks outside the folder"),
        ({"type": "File", "outputBinding": {"glob": "folder"}}, "'folder' finds the folder folder; a folder is no result"),
        ({"type": "int", "outputBinding": {"outputEval": "text"}}, "int is wanted; the command gave 'text'"),
        ({"type": "File", "outputBinding": {"glob": "a.txt"}, "secondaryFiles": ".idx"}, "a.txt.idx that belongs to a.txt was not written"),
        ({"type": "string", "outputBinding": {"outputEval": "$(inputs.none.path)"}}, "leads nowhere: there is no 'none'"),
    ],
)  # fmt: skip
def test_outputs_that_are_not_as_declared_are_told(write: Write, output: dict[str, Any], says: str) -> None:
    tool = find(str(write(baseCommand=["sh", "-c", "mkdir folder; touch a.txt b.txt"], outputs={"o": output})))
    with pytest.raises(DaisyError, match=says):
        tool()


# -- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"arguments": ["$(inputs.a + 1)"]}, r"'\$\(inputs.a \+ 1\)' is JavaScript"),
        ({"stdout": "${return 'x'}"}, r"is JavaScript, which is not run here"),
        ({"requirements": {"ShellCommandRequirement": {}}}, "ShellCommandRequirement: it wants a shell"),
        ({"requirements": {"InplaceUpdateRequirement": {"inplaceUpdate": True}}}, "changes its input files in place"),
        ({"requirements": {"NetworkAccess": {"networkAccess": True}}}, "NetworkAccess: it needs the network"),
        ({"requirements": [{"class": "SchemaDefRequirement", "types": []}]}, "defines types of its own"),
        (
            {"requirements": [{"class": "cwltool:MPIRequirement"}]},
            "cwltool:MPIRequirement: this requirement is not known here",
        ),
        ({"inputs": {"d": "Directory"}}, "input 'd': the type Directory has no counterpart"),
        ({"inputs": {"r": {"type": {"type": "record", "fields": []}}}}, "'r': a record has no counterpart"),
        ({"inputs": {"m": ["File", "string"]}}, "input 'm': a file or something else"),
        ({"inputs": {"t": "other.yml#thing"}}, "the type 'other.yml#thing' is defined elsewhere"),
        ({"outputs": {"d": "Directory"}}, "output 'd': a folder has no counterpart among our results"),
        ({"inputs": {"f": {"type": "File", "secondaryFiles": "$(self.nameroot).x"}}}, "secondaryFiles: .* is computed"),
        ({"class": "ExpressionTool"}, "a process of class ExpressionTool is JavaScript"),
        ({"class": "Operation"}, "a process of class Operation says nothing of how it is done"),
        ({"requirements": {"DockerRequirement": {"dockerFile": "FROM x"}}}, "the image must be built or loaded first"),
    ],
)
def test_what_our_engines_do_not_do_is_refused_with_the_reason(
    write: Write, content: dict[str, Any], says: str
) -> None:
    tool = write(**{"baseCommand": "true", **content})
    with pytest.raises(Refused, match=says):
        _ = find(str(tool)).signature


def test_a_container_needs_a_runtime_and_is_only_a_hint_where_it_is_one(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hint = write(
        "hint.cwl",
        baseCommand=["echo", "hi"],
        hints={"DockerRequirement": {"dockerPull": "x/y:1"}},
        outputs={"o": "stdout"},
    )
    assert find(str(hint))().read_text() == "hi\n"
    needed = write(
        baseCommand=["cat"], requirements={"DockerRequirement": {"dockerPull": "x/y:1"}},
        inputs={"text": {"type": "File", "inputBinding": {}}}, outputs={"o": "stdout"},
    )  # fmt: skip
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr("shutil.which", lambda name, *_, **__: None)
    with pytest.raises(Refused, match=r"must run in the container x/y:1, and none of apptainer, .* is installed"):
        find(str(needed))
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    runtime = tmp_path / "bin" / "docker"
    runtime.write_text(
        '#!/bin/sh\necho "$@" > "$LOG"\n'
        'while [ "$1" != x/y:1 ]; do [ "$1" = --entrypoint ] && p=$2; shift; done\nshift\nexec "$p" "$@"\n'
    )
    runtime.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    (tmp_path / "a b.txt").write_text("content")
    assert find(str(needed))("a b.txt").read_text() == "content"
    said = (tmp_path / "log").read_text()
    assert "--network none" in said
    assert f"source={tmp_path / 'a b.txt'}" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cwlVersion: v2.0\nclass: CommandLineTool\n", "is not a CWL document of version v1.0, v1.1, v1.2; its cwlVersion is 'v2.0'"),
        ("a: [1\n", "is not YAML"),
        ("- 1\n", "is not a CWL document"),
        ('{"cwlVersion": "v1.2", "class": "CommandLineTool", "inputs": {"x": "nothing"}, "outputs": {}}', "'nothing' is defined elsewhere"),
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a b#.cwl").write_text(text)
    with pytest.raises(DaisyError, match=says):
        find(str(tmp_path / "a b#.cwl"))
    with pytest.raises(InputError, match="cannot read"):
        find(str(tmp_path / "gone.cwl"))


def test_packed_documents_imports_and_older_versions_are_read(write: Write, tmp_path: Path) -> None:
    (tmp_path / "inputs.yml").write_text("- id: text\n  type: string\n  inputBinding: {}\n")
    tool = {
        "id": "#echo", "class": "CommandLineTool", "baseCommand": "echo", "inputs": {"$import": "inputs.yml"},
        "outputs": [{"id": "#echo/out", "type": "stdout"}],
    }  # fmt: skip
    (tmp_path / "packed.cwl").write_text(json.dumps({"cwlVersion": "v1.0", "$graph": [tool, {**tool, "id": "#other"}]}))
    assert find(str(tmp_path / "packed.cwl#echo"))(text="hi").read_text() == "hi\n"
    with pytest.raises(InputError, match=r"has no process '#'; it has: #echo, #other"):
        find(str(tmp_path / "packed.cwl"))
