"""Running and checking CWL documents with the runners of others: cwltool and toil."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from ..errors import DaisyError, InputError, RunError
from .text import read_yaml

Runner = Literal["cwltool", "toil"]
_PROGRAMS = {"cwltool": "cwltool", "toil": "toil-cwl-runner"}
_INSTALL = {
    "cwltool": 'pip install "daisy-suite[cwl]"',
    "toil": 'python -m venv toil && toil/bin/pip install "toil[cwl]==9.6.0", and put toil/bin on the PATH',
}
UNSUPPORTED = 33
"""Exit status of CWL runners for a document that asks for what they do not have."""


def program(runner: Runner) -> Path:
    """Return the program of a runner: beside this Python, or on the PATH.

    Raises
    ------
    DaisyError
        If it is not installed; the message has the line that installs it.
    """
    if runner not in _PROGRAMS:
        raise DaisyError(f"unknown CWL runner '{runner}'; there are: {', '.join(_PROGRAMS)}")
    found = shutil.which(_PROGRAMS[runner], path=os.pathsep.join([str(_own_bin()), os.environ.get("PATH", "")]))
    if found is None:
        raise DaisyError(f"{_PROGRAMS[runner]} is not installed; {_INSTALL[runner]}")
    return Path(found)


def validate(file: str | os.PathLike[str]) -> str:
    """Check a CWL document with ``cwltool --validate`` and return what it says, warnings included.

    Raises
    ------
    InputError
        If the document is not valid.
    DaisyError
        If cwltool is not installed.
    """
    _check_there(Path(file))
    done = subprocess.run(
        [str(program("cwltool")), "--validate", "--disable-color", str(file)], env=_environment("cwltool"),
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    said = _problems(f"{done.stdout}\n{done.stderr}")
    if done.returncode:
        raise InputError(f"{file} is not valid CWL:\n{said}")
    return said


def run(file: str | os.PathLike[str], job: str | os.PathLike[str] | Mapping[str, Any] | None = None, *, runner: Runner = "cwltool",
        outdir: str | os.PathLike[str] = ".", arguments: Sequence[str] = (), log: Any = None) -> dict[str, Any]:  # fmt: skip
    """Run a CWL document and return its output object.

    Parameters
    ----------
    file : path
        A CommandLineTool or Workflow.
    job : path or mapping, optional
        Its inputs: a YAML or JSON file, or the inputs themselves. A relative ``path`` is one beside that file, or beside
        the working folder; names with ``#``, blanks and any letters are fine.
    runner : {"cwltool", "toil"}
        Who runs it.
    outdir : path
        Where the outputs go.
    arguments : sequence of str
        Further options of the runner.
    log : file, optional
        Where the messages of the runner go; standard error by default.

    Raises
    ------
    RunError
        If the run fails.
    DaisyError
        If the runner is not installed.
    """
    _check_there(Path(file))
    where = str(program(runner))
    with tempfile.TemporaryDirectory(prefix="daisy-cwl-") as scratch:
        options = ["--outdir", str(outdir), "--relax-path-checks", *_options(runner, Path(scratch)), *arguments]
        command = [where, *options, str(file), *_job(job, Path(scratch))]
        done = subprocess.run(
            command, env=_environment(runner), stdout=subprocess.PIPE, stderr=log, text=True, check=False
        )
    if done.returncode == UNSUPPORTED:
        raise RunError(f"{file}: {runner} does not support what the document asks for; its message is above")
    if done.returncode:
        raise RunError(f"{file}: {runner} failed with exit status {done.returncode}; its message is above")
    try:
        return json.loads(done.stdout or "{}")
    except json.JSONDecodeError:
        raise RunError(f"{file}: {runner} gave no output object, but: {done.stdout[:200]!r}") from None


def _check_there(file: Path) -> None:
    if not Path(str(file).partition("#")[0]).is_file() and not file.is_file():
        raise InputError(f"no such CWL document: {file}")


def _options(runner: Runner, scratch: Path) -> list[str]:
    # Toil must be told where to keep its files: what it chooses by itself does not work with every batch system.
    return ["--jobStore", str(scratch / f"jobs-{secrets.token_hex(4)}")] if runner == "toil" else ["--disable-color"]


def _own_bin() -> Path:
    return Path(sys.executable).parent


def _environment(runner: Runner) -> dict[str, str]:
    """Return an environment in which the runner finds its own programs first, then ours: the tools call ``daisy``."""
    folders = [str(program(runner).parent), str(_own_bin()), os.environ.get("PATH", "")]
    return {**os.environ, "PATH": os.pathsep.join(folders)}


def _job(job: str | os.PathLike[str] | Mapping[str, Any] | None, scratch: Path) -> list[str]:
    if job is None:
        return []
    content: Any = job if isinstance(job, Mapping) else read_yaml(Path(job))
    if not isinstance(content, Mapping):
        raise InputError(f"{job} does not hold the inputs of a CWL document: a mapping is needed")
    base = Path.cwd() if isinstance(job, Mapping) else Path(job).absolute().parent
    path = scratch / "job.json"
    path.write_text(json.dumps(located(content, base)), encoding="utf-8")
    return [str(path)]


def located(value: Any, base: Path) -> Any:
    """Return inputs with each file named by its URI, which has no trouble with ``#`` and blanks in names."""
    if isinstance(value, Mapping):
        found = {key: located(item, base) for key, item in cast("Mapping[str, Any]", value).items()}
        if found.get("class") in ("File", "Directory") and "path" in found:
            found["location"] = (base / str(found.pop("path"))).as_uri()
        elif found.get("class") in ("File", "Directory") and "location" in found and ":" not in found["location"]:
            from urllib.parse import unquote

            found["location"] = (base / unquote(found["location"])).as_uri()
        return found
    return [located(item, base) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _problems(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("INFO")]
    return "\n".join(lines[:20])
