"""Where a command finds its software: real modules and containers where they are installed, refusals everywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daisy_core import Cancelled, File, ParameterError, RunError, WorkflowEngine
from daisy_core.script import Conda, Container, Modules, Output, script

ODD = 'a, "b":c #ü.txt'


def needs(*programs: str, packages: str) -> None:
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        reason = f"not installed: {', '.join(missing)} (apt-get install -y {packages})"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def count(environment: Any, **more: Any) -> Any:
    declared: dict[str, Any] = {"outputs": {"result": "lines of it.txt"}, "inputs": {"text": File}, **more}
    return script("lab.env", ["sh", "-c", 'cat "$1" > "$2"; echo $V; pwd', "sh", "{text}", "{result}"],
                  environment=environment, env={"V": "a, b=c"}, **declared)  # fmt: skip


# -- modules ----------------------------------------------------------------------------------------------------


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of module files with the module ``lab/1.0``, which brings the program ``lab-tool``."""
    needs("bash", packages="environment-modules")
    if subprocess.run(["bash", "-lc", "type module"], capture_output=True, check=False).returncode:
        needs("modulecmd", packages="environment-modules")
    (tmp_path / "modulefiles" / "lab").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "modulefiles/lab/1.0").write_text(
        f"#%Module1.0\nprepend-path PATH {tmp_path}/bin\nsetenv LAB_HOME {{a b}}\n", encoding="utf-8"
    )
    (tmp_path / "bin/lab-tool").write_text('#!/bin/sh\necho "$LAB_HOME"; echo "$@"\n', encoding="utf-8")
    (tmp_path / "bin/lab-tool").chmod(0o755)
    monkeypatch.setenv("MODULEPATH", str(tmp_path / "modulefiles"))


def test_modules_are_loaded_before_the_command(modules: None) -> None:
    tool = script("lab.module", ["lab-tool", "{word}"], params={"word": "$x  'y"}, outputs={"result": ("stdout", str)},
                  environment=Modules("lab/1.0"))  # fmt: skip
    assert tool() == "a b\n$x  'y"


def test_a_module_that_is_not_there_is_refused(modules: None) -> None:
    with pytest.raises(RunError, match=r"lab.env needs the environment modules lab/9: 'module load' failed: .*lab/9"):
        count(Modules("lab/9"))(__file__)


def test_a_machine_without_modules_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bash = tmp_path / "bash"
    bash.write_text(
        '#!/bin/bash -p\nshift\nunset -f module\nexec /bin/bash -c "$@"\n', encoding="utf-8"
    )  # no login files
    bash.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in [name for name in os.environ if name.startswith(("BASH_FUNC", "MODULE", "LMOD"))]:
        monkeypatch.delenv(name)
    with pytest.raises(RunError, match=r"no 'module' command on this machine \(install Lmod or environment-modules\)"):
        count(Modules("xds/2024"))(__file__)


# -- containers -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with nothing but busybox, made here: no registry is asked."""
    needs("podman", "runc", "busybox", packages="podman runc busybox-static")
    folder = tmp_path_factory.mktemp("image")
    (folder / "root/bin").mkdir(parents=True)
    (folder / "root/tmp").mkdir()
    busybox = str(shutil.which("busybox"))
    shutil.copy(busybox, folder / "root/bin/busybox")
    for name in ("sh", "cat", "sleep", "env", "touch"):
        (folder / "root/bin" / name).symlink_to("busybox")
    subprocess.run(["tar", "-C", folder / "root", "-cf", folder / "root.tar", "."], check=True)
    limits = (
        'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]'  # may be below what a container asks for by default
    )
    (folder / "containers.conf").write_text(f'[containers]\n{limits}\n[engine]\nruntime = "runc"\n', encoding="utf-8")
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n', encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(folder / "containers.conf"))
        patch.setenv("CONTAINERS_STORAGE_CONF", str(folder / "storage.conf"))
        for words in (
            ["import", folder / "root.tar", "lab/busybox:1"],
            ["run", "--rm", "lab/busybox:1", "cat", "/dev/null"],
        ):
            done = subprocess.run(["podman", *words], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"podman cannot run containers on this machine: {done.stderr[-300:]}")
        yield "lab/busybox:1"
        subprocess.run(["podman", "rmi", "--all", "--force"], capture_output=True, check=False)


def test_a_container_sees_its_inputs_and_its_scratch_folder_and_no_more(image: str, tmp_path: Path) -> None:
    (tmp_path / ODD).write_text("content", encoding="utf-8")
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    boxed = count(Container(image, "podman"), outputs={"result": "it.txt", "said": Output("stdout", str)})
    found = boxed(tmp_path / ODD)
    assert found.result.read_text() == "content"
    assert found.result.stat().st_uid == os.getuid()
    value, folder = found.said.split("\n")
    assert value == "a, b=c"
    assert not Path(folder).exists()
    look = script(
        "lab.look", ["cat", f"{tmp_path}/secret"], environment=Container(image, "podman"), outputs={"result": "x"}
    )
    with pytest.raises(RunError, match="No such file"):
        look()
    write = script("lab.write", ["sh", "-c", 'echo x >> "$1"', "sh", "{text}"], inputs={"text": File},
                   environment=Container(image, "podman"), outputs={"result": "x"})  # fmt: skip
    with pytest.raises(RunError, match="Read-only file system"):
        write(tmp_path / ODD)


def test_a_script_beside_the_declaration_runs_inside(image: str, tmp_path: Path) -> None:
    (tmp_path / "own.sh").write_text("#!/bin/sh\necho inside $1\n", encoding="utf-8")
    (tmp_path / "own.sh").chmod(0o755)
    own = script("lab.own", ["own.sh", "{n}"], params={"n": 3}, outputs={"result": ("stdout", str)},
                 environment=Container(image, "podman"), here=tmp_path)  # fmt: skip
    assert own() == "inside 3"


def test_a_cancelled_container_is_gone(image: str) -> None:
    slow = script("lab.slow", ["sh", "-c", "trap '' TERM; echo up; while true; do sleep 1; done"], outputs={"result": "x"},
                  progress="(u)(p)", grace=0.2, environment=Container(image, "podman"))  # fmt: skip
    run = WorkflowEngine("threads").submit(slow, {})
    end = time.monotonic() + 30
    while not _containers() and time.monotonic() < end:
        time.sleep(0.05)
    assert _containers()
    run.cancel()
    with pytest.raises(Cancelled):
        run.result(30)
    assert _containers() == []


CALLER = """
import sys
from daisy_core.script import Container, script
script("lab.slow", ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"], outputs={"result": "x"}, grace=0.2,
       environment=Container(sys.argv[1], "podman"))()
"""


def test_a_container_does_not_outlive_a_caller_that_is_killed(image: str, tmp_path: Path) -> None:
    caller = subprocess.Popen([sys.executable, "-c", CALLER, image], env={**os.environ, "TMPDIR": str(tmp_path)})
    end = time.monotonic() + 30
    while not any(item["State"] == "running" for item in _containers()) and time.monotonic() < end:
        time.sleep(0.05)
    assert _containers()
    caller.kill()
    caller.wait()
    while _containers() and time.monotonic() < end:
        time.sleep(0.1)
    assert _containers() == []


def _containers() -> list[Any]:
    return json.loads(
        subprocess.run(["podman", "ps", "--all", "--format", "json"], capture_output=True, check=True).stdout
    )


def test_a_runtime_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        RunError, match=r"container site/tool:1, but apptainer or singularity or docker or podman is not installed"
    ):
        count(Container("site/tool:1"))(__file__)
    with pytest.raises(RunError, match=r"but docker is not installed on this machine"):
        count(Container("site/tool:1", "docker"))(__file__)
    with pytest.raises(ParameterError, match="unknown runtime 'rkt'"):
        Container("x", "rkt")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="'--privileged' is not the name of an image"):
        Container("--privileged")


def test_a_docker_that_does_not_answer_is_told_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("docker"):
        pytest.skip("docker is not installed; a machine without it is another test")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(RunError, match=r"'docker' failed with exit status 125.*\n.*docker"):
        count(Container("site/tool:1", "docker"))(__file__)


def test_apptainer_is_called_with_the_same_paths_inside_and_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not run with a real apptainer, which Debian does not have: a stand-in shows the call."""
    stand_in = tmp_path / "apptainer"
    stand_in.write_text('#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done\n', encoding="utf-8")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    text = tmp_path / ODD
    text.touch()
    boxed = script("lab.boxed", ["tool", "{text}"], inputs={"text": File}, outputs={"result": ("stdout", str)},
                   environment=Container("site/tool:1", gpus=True), env={"V": "a,b"})  # fmt: skip
    words = boxed(text).split("\n")
    folder = words[words.index("--pwd") + 1]
    quoted = str(text).replace('"', '""')
    assert words[:4] == ["--silent", "exec", "--containall", "--no-home"]
    assert f"type=bind,source={folder},destination={folder}" in words
    assert f'type=bind,"source={quoted}","destination={quoted}",ro' in words
    assert words[words.index("V=a,b") - 1] == "--env"
    assert words[-3:] == ["docker://site/tool:1", "tool", str(text)]
    assert "--nv" in words


# -- conda ------------------------------------------------------------------------------------------------------

CONDA = """#!/bin/sh
if [ "$1" = env ]; then echo '{"envs": ["/opt/conda", "/opt/conda/envs/lab"]}'; exit; fi
echo "$1 $2 $3 $4"; shift 4; exec "$@"
"""


def test_conda_runs_the_command_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not run with a real conda, which no Debian package brings: a stand-in shows the call."""
    (tmp_path / "conda").write_text(CONDA, encoding="utf-8")
    (tmp_path / "conda").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CONDA_EXE", raising=False)
    echo = script(
        "lab.conda",
        ["echo", "{word}"],
        params={"word": "a  b"},
        outputs={"result": ("stdout", str)},
        environment=Conda("lab"),
    )
    assert echo() == "run -n lab --no-capture-output\na  b"
    with pytest.raises(RunError, match=r"conda environment other, which .*/conda does not have; make it: conda create"):
        count(Conda("other"))(__file__)


def test_a_machine_without_conda_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CONDA_EXE", raising=False)
    with pytest.raises(RunError, match=r"conda environment pdf, but conda is not on the PATH of this machine"):
        count(Conda("pdf"))(__file__)


def test_the_environment_is_part_of_the_identity() -> None:
    found = {
        count(item).source_hash
        for item in (None, Modules("a"), Modules("b"), Conda("a"), Container("a"), Container("a:2"))
    }
    assert len(found) == 6
