"""Any command is an algorithm: declared in a few lines, with the same face as all others."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core.kernel_lab import Curve, Recipe

from daisy_core import (
    File,
    Frame,
    InputError,
    Param,
    ParameterError,
    RunError,
    Unit,
    WorkflowEngine,
    WorkflowError,
    workflow,
)
from daisy_core.script import Input, KeptFile, Output, script

ODD = "a b'c\"#$(touch gone);ü*[1].txt"
COUNT = """#!/bin/sh
# counts the lines of a file, times a factor
printf 'counted 50%%\\n'
echo $(( $(wc -l < "$1") * $2 )) > "$3"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a script and a file of three lines, and a scratch folder that must be empty in the end."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "count.sh").write_text(COUNT, encoding="utf-8")
    (tmp_path / "count.sh").chmod(0o755)
    (tmp_path / ODD).write_text("1\n2\n3\n", encoding="utf-8")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    from daisy_core.context import _temporary_folder  # pyright: ignore[reportPrivateUsage]

    _temporary_folder.cache_clear()
    return tmp_path


def counting(here: Path, **more: Any) -> Any:
    return script(
        "lab.count", ["count.sh", "{text}", "{times}", "{result}"], inputs={"text": File},
        params={"times": (int, Param("Times", ge=1), 2)}, outputs={"result": ("lines.txt", int)}, here=here, **more,
    )  # fmt: skip


def echo(*words: Any, **more: Any) -> Any:
    """A node that gives its arguments back, one a line."""
    code = "import sys; print('\\n'.join(sys.argv[1:]))"
    return script("lab.echo", [sys.executable, "-c", code, *words], outputs={"result": ("stdout", str)}, **more)


def test_a_script_runs_like_a_function_and_leaves_nothing(here: Path) -> None:
    count = counting(here)
    assert count(ODD) == 6
    assert count(text=here / ODD, times=5) == 15
    assert not list((here / "scratch").iterdir())
    assert not (here / "gone").exists()


def test_its_parameters_are_checked_like_those_of_any_algorithm(here: Path) -> None:
    count = counting(here)
    with pytest.raises(ParameterError, match="'times': expected greater than or equal to 1; got 0"):
        count(ODD, times=0)
    with pytest.raises(ParameterError, match="unknown parameter 'tims'; did you mean 'times'"):
        count(ODD, tims=2)
    with pytest.raises(ParameterError, match="missing a required argument: 'text'"):
        count()
    assert count.schema()["properties"]["times"] == {"default": 2, "minimum": 1, "title": "Times", "type": "integer"}
    assert list(count.ports) == ["text"]
    assert count.ports["text"].is_file


@pytest.mark.parametrize("kind", ["inline", "threads", "processes"])
def test_every_engine_gives_the_same(here: Path, kind: Any) -> None:
    engine = WorkflowEngine(kind, workers=2, runs=here / "runs")
    run = engine.run(counting(here, progress=r"counted (\d+)%"), {"text": ODD}, {"times": 3})
    assert run.result() == 9
    assert run.folder is not None
    assert "counted 50%" in run.folder.log.read_text(encoding="utf-8")
    assert [event["fraction"] for event in run.events() if event["kind"] == "progress"][:1] == [0.5]


def test_in_a_workflow_it_is_a_node_and_can_be_mapped(here: Path) -> None:
    count = counting(here)

    @workflow
    def lines(texts: Sequence[File], *, times: int = 1) -> list[int]:
        return count.map(texts, times=times)

    (here / "two").write_text("1\n2\n", encoding="utf-8")
    assert list(lines([ODD, "two"])) == [3, 2]
    assert WorkflowEngine("threads", workers=2).run(lines, {"texts": [ODD, "two"]}, {"times": 2}).result() == [6, 4]
    assert lines.graph().to_json()["nodes"][0]["algorithm"] == "lab.count"


def test_words_are_filled_in_one_by_one_and_no_shell_sees_them(here: Path) -> None:
    same = echo("{text}", "--x={x:.3f}", "{x}", "{n}", "{word}", "{{brace}}", "{text.stem}{text.suffix}", "{flag}",
                inputs={"text": File},
                params={"x": 0.1, "n": 2**40, "word": "$(touch gone) `id` ; # *", "flag": True})  # fmt: skip
    assert same(ODD).split("\n") == [
        str(here / ODD), "--x=0.100", "0.1", str(2**40), "$(touch gone) `id` ; # *", "{brace}", ODD, "true",
    ]  # fmt: skip
    assert same(ODD, word="", x=1e-7).split("\n")[1:5] == ["--x=0.000", "1e-07", str(2**40), ""]
    with pytest.raises(ParameterError, match="null byte"):
        same(ODD, word="a\0b")


def test_what_is_absent_is_left_out_and_a_sequence_is_repeated(here: Path) -> None:
    same = echo(["--mask", "{mask}"], "{files}", ["--range", "{low}:{high}"], "--n={more}", "{loud?--loud}", "end",
                inputs={"files": Sequence[File], "mask": Input(File, optional=True)},
                params={"low": (float | None, None), "high": 2.5, "loud": False, "more": (tuple[int, ...], ())})  # fmt: skip
    assert same([]) == "end"
    Path("m").touch()
    shown = same([ODD, "m"], "m", low=1.0, loud=True, more=(4, 5)).split("\n")
    assert shown[:4] == ["--mask", f"{here}/m", f"{here}/{ODD}", f"{here}/m"]
    assert shown[4:] == ["--range", "1.0:2.5", "--n=4", "--n=5", "--loud", "end"]


def test_a_parameter_model_is_named_by_field_or_is_json(here: Path) -> None:
    same = echo("{recipe.npt}", "{recipe}", params={"recipe": (Recipe, Recipe())})
    first, second = same(recipe=Recipe(npt=5)).split("\n")
    assert first == "5"
    assert '"npt":5' in second


def test_a_shell_is_used_only_when_declared_and_then_values_are_quoted(here: Path) -> None:
    count = script("lab.piped", "cat {texts} | grep -c {what} {last?| cat} || true", shell=True,
                   inputs={"texts": Sequence[File]}, params={"what": "1", "last": False},
                   outputs={"result": ("stdout", int)})  # fmt: skip
    assert count([ODD, ODD]) == 2
    assert count([ODD], what="$(touch gone)|'", last=True) == 0
    assert not (here / "gone").exists()
    with pytest.raises(WorkflowError, match=r"shell=True if a shell must read it"):
        script("lab.bad", "cat {texts}", inputs={"texts": File}, outputs={"result": "x"})
    with pytest.raises(WorkflowError, match=r"'\{texts\}' stands inside quotes"):
        script("lab.bad", 'cat "{texts}"', shell=True, inputs={"texts": File}, outputs={"result": "x"})


def test_a_failure_inside_a_pipe_is_a_failure(here: Path) -> None:
    broken = script("lab.pipe", "cat /no/such/file | wc -l", shell=True, outputs={"result": ("stdout", int)})
    with pytest.raises(RunError, match=r"failed with exit status 1\n  \| cat: /no/such/file"):
        broken()


def test_it_may_read_its_input_from_stdin_and_knows_its_cpus(here: Path) -> None:
    from daisy_core import Resources

    count = script("lab.stdin", ["sh", "-c", "cat; echo $OMP_NUM_THREADS $N; pwd; echo $TMPDIR"], stdin="{text}",
                   inputs={"text": File}, outputs={"result": ("stdout", str)}, env={"N": "{cpus}-{scratch}"},
                   resources=Resources(cpus=3))  # fmt: skip
    *lines, threads, folder, temporary = count(ODD).split("\n")
    assert lines == ["1", "2", "3"]
    assert threads == f"3 3-{folder}"
    assert Path(folder).is_relative_to(here / "scratch")
    assert not Path(temporary).exists()


def test_data_go_in_and_come_out_as_files_of_their_type(here: Path) -> None:
    code = "import numpy as np; a = np.load('in.npy'); np.save('out.npy', a * {k}); print('max =', a.max()); print('max =', 2)"
    double = script("lab.scale", [sys.executable, "-c", code], inputs={"frame": (Frame, "in.npy")}, params={"k": 2},
                    outputs={"frame2": ("out.npy", Frame), "top": Output("stdout", float, match=r"max = (\S+)")})  # fmt: skip
    found = double(np.arange(6.0).reshape(2, 3), k=3)
    np.testing.assert_array_equal(found.frame2, np.arange(0, 18, 3.0).reshape(2, 3))
    assert found.top == 2.0
    run = WorkflowEngine("processes", workers=1).run(double, {"frame": np.ones((2, 2))})
    assert run.result().top == 2.0
    copy = script(
        "lab.copy",
        ["cp", "{curve}", "{result}"],
        inputs={"curve": Input(Curve, "in.nxs")},
        outputs={"result": ("o.nxs", Curve)},
    )
    np.testing.assert_array_equal(copy(Curve([1.0, 2.0], [3.0, 4.0])).y, [3.0, 4.0])


def test_a_file_can_be_given_a_name_that_the_command_likes(here: Path) -> None:
    named = script("lab.named", "cat data/input.txt; ls", shell=True, inputs={"text": Input(File, "data/input.txt")},
                   outputs={"result": ("stdout", str), "rest": Output("data/*", optional=True)})  # fmt: skip
    assert named(ODD).result == "1\n2\n3\ndata"
    assert named(ODD).rest is None


def test_a_file_as_result_stays_and_travels_with_its_content(here: Path) -> None:
    made = script(
        "lab.made", ["cp", "{text}", "{result}"], inputs={"text": File}, outputs={"result": "copy of {text.stem}.dat"}
    )
    path = made(ODD)
    assert isinstance(path, KeptFile)
    assert path.name == f"copy of {Path(ODD).stem}.dat"
    assert path.read_text() == "1\n2\n3\n"
    text = pickle.dumps(path)
    assert pickle.loads(text) == path
    path.unlink()
    again = pickle.loads(text)
    assert again != path
    assert (again.name, again.read_text()) == (path.name, "1\n2\n3\n")
    count = counting(here)

    @workflow
    def both(text: File) -> int:
        return count(made(text))

    assert both(ODD) == 6
    assert WorkflowEngine("processes", workers=2).run(both, {"text": ODD}).result() == 6


def test_many_files_come_in_their_natural_order(here: Path) -> None:
    many = script("lab.many", "for i in 10 9 1; do echo $i > f_$i.txt; done", shell=True,
                  outputs={"files": ("f_*.txt", list[File]), "values": ("f_*.txt", list[int])})  # fmt: skip
    found = many()
    assert found.values == [1, 9, 10]
    assert [path.name for path in found.files] == ["f_1.txt", "f_9.txt", "f_10.txt"]
    assert [path.read_text() for path in found.files] == ["1\n", "9\n", "10\n"]


@pytest.mark.parametrize(
    ("command", "output", "message"),
    [
        ("true", "x.txt", r"left no file 'x.txt' for output 'result'; it left no file at all"),
        ("touch y.txt; echo oh >&2", "x.txt", r"it left y.txt\n  \| oh"),
        ("touch 1.txt 2.txt", "*.txt", r"'\*.txt' are 2: 1.txt, 2.txt; make the pattern narrower"),
        ("mkdir x.txt", "x.txt", r"x.txt is a folder"),
        ("echo abc > x.txt", ("x.txt", float), r"should be float, but the file 'x.txt' says 'abc'"),
        ("echo abc", Output("stdout", float, match="x=(.*)"), r"nothing in stdout matches 'x=\(.\*\)'"),
        ("echo abc > x.npy", ("x.npy", Frame), r"x.npy"),
        ("ln -s /no/such/place x.txt", "x.txt", r"x.txt"),
    ],
)
def test_an_output_that_is_not_as_declared_is_told(here: Path, command: str, output: Any, message: str) -> None:
    tool = script("lab.wrong", command, shell=True, outputs={"result": output})
    with pytest.raises((RunError, InputError), match=message):
        tool()
    assert not list((here / "scratch").iterdir())


def test_a_pattern_is_what_the_declaration_says_not_what_a_value_says(here: Path) -> None:
    tool = script("lab.glob", ["touch", "a1.txt", "{name}.txt"], params={"name": "a1"}, outputs={"result": "{name}*"})
    assert tool(name="a[1]").name == "a[1].txt"


def test_an_optional_output_is_none_when_it_is_not_there(here: Path) -> None:
    tool = script("lab.maybe", ["true"], outputs={"result": Output("x.txt", int, optional=True)})
    assert tool() is None


def test_exit_statuses_that_mean_success_are_declared(here: Path) -> None:
    found = script("lab.grep", ["grep", "-c", "{what}", "{text}"], inputs={"text": File}, params={"what": "9"},
                   outputs={"result": ("stdout", int)}, success_codes=[0, 1])  # fmt: skip
    assert found(ODD) == 0
    with pytest.raises(RunError, match="the command 'grep' failed with exit status 2"):
        found(ODD, what="\\(")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            {"command": ["x", "{imgae}"], "inputs": {"image": File}},
            r"'\{imgae\}' is not declared; did you mean 'image'",
        ),
        ({"command": ["x"], "inputs": {"image": File}}, r"'image' is declared, but '\{image\}' stands nowhere"),
        ({"command": ["x"], "params": {"npt": 3}}, r"'npt' is declared, but"),
        ({"command": ["x", "{a"]}, r"cannot understand '\{a'"),
        ({"command": ["x", "{}"]}, r"is not a name"),
        ({"command": []}, "is empty"),
        ({"command": ["x", []]}, "is empty"),
        ({"command": ["x", 3]}, "3 in the command is not text"),
        ({"command": ["x"], "outputs": {}}, "at least one output"),
        ({"command": ["x"], "outputs": {"result": "/etc/passwd"}}, "not a name inside the scratch folder"),
        ({"command": ["x"], "outputs": {"result": "../x"}}, "not a name inside the scratch folder"),
        ({"command": ["x"], "outputs": {"result": Output("x", int, match="a")}}, "needs a group"),
        ({"command": ["x", "{result}"], "outputs": {"result": "*.chi"}}, r"its path must be a name; it is '\*.chi'"),
        ({"command": ["x", "{here}"], "params": {"here": 3}}, "'here' is the name of"),
        ({"command": ["x", "{class}"], "params": {"class": 3}}, "'class' cannot be the name of"),
        ({"command": ["x", "{f}"], "inputs": {"f": Frame}}, r"say its name: Input\(type, 'data.npy'\)"),
        ({"command": ["x", "{f.size}"], "inputs": {"f": File}}, "of a file there is name, stem, suffix, parent"),
        ({"command": ["x", "{n.bit}"], "params": {"n": 3}}, "'n' has no 'bit'"),
        ({"command": ["x", "{here}/no.py"]}, "there is no file .*no.py"),
        ({"command": ["x"], "progress": "("}, "is not a regular expression"),
        ({"command": ["x"], "progress": "abc"}, "needs one group"),
        ({"command": ["x", "{n}"], "params": {"n": (np.ndarray,)}}, "is not JSON; a file is an input"),
        ({"command": ["x", "{n}"], "params": {"n": (int, Param(ge=5), 3)}}, "the default of parameter 'n'"),
    ],
)
def test_a_declaration_that_does_not_fit_together_is_refused(declared: dict[str, Any], message: str) -> None:
    with pytest.raises((WorkflowError, ParameterError), match=message):
        script("lab.bad", **{"outputs": {"result": "x"}, **declared})


def test_what_is_missing_is_refused_with_what_to_do(here: Path) -> None:
    absent = script("lab.absent", ["no-such-program"], outputs={"result": "x"}, install="apt-get install no-such")
    with pytest.raises(
        RunError, match=r"'no-such-program' is not installed on this machine; install it: apt-get install no-such"
    ):
        absent()
    with pytest.raises(InputError, match=r"port 'text': no such file: nothing.txt"):
        counting(here)("nothing.txt")
    (here / "count.sh").chmod(0o644)
    with pytest.raises(RunError, match=r"count.sh is not executable: chmod \+x"):
        counting(here)(ODD)
    (here / "count.sh").write_text("#!/no/such/interpreter\n", encoding="utf-8")
    (here / "count.sh").chmod(0o755)
    with pytest.raises(RunError, match="the interpreter in its first line is missing"):
        counting(here)(ODD)


def test_the_identity_is_that_of_declaration_and_script(here: Path) -> None:
    first = counting(here).source_hash
    assert counting(here, doc="other words", grace=1.0).source_hash == first
    assert counting(here, env={"A": "1"}).source_hash != first
    assert counting(here, version_command=["echo", "tool 2.0"]).source_hash != first
    (here / "count.sh").write_text(COUNT.replace("* $2", "* $2 + 1"), encoding="utf-8")
    edited = counting(here)
    assert edited.source_hash != first
    (here / "count.sh").write_text(COUNT, encoding="utf-8")
    assert edited.source_hash == first  # looked at each time, also in a process that lives on
    assert pickle.loads(pickle.dumps(edited.named("other"))).source_hash == first


def test_a_script_named_in_the_command_is_part_of_the_identity(here: Path) -> None:
    (here / "tool.py").write_text("print(1)", encoding="utf-8")
    tool = script("lab.py", [sys.executable, "{here}/tool.py"], outputs={"result": ("stdout", int)}, here=here)
    assert tool() == 1
    first = tool.source_hash
    (here / "tool.py").write_text("print(2)", encoding="utf-8")
    assert tool() == 2
    assert tool.source_hash != first


def test_units_and_types_of_ports_are_checked_when_a_workflow_is_built(here: Path) -> None:
    from typing import Annotated

    angle = script("lab.angle", ["true"], outputs={"result": Output("x", Annotated[float, Unit("deg")])})
    energy = script("lab.energy", ["x", "{e}"], inputs={"e": Annotated[float, Unit("keV")]}, outputs={"result": "x"})

    @workflow
    def wrong() -> Any:
        return energy(angle())

    with pytest.raises(WorkflowError, match="unit deg does not fit unit keV"):
        wrong.graph()
