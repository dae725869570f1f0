"""Where a command finds its software: a container, environment modules, or a conda environment."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ..errors import ParameterError, RunError

Runtime = Literal["apptainer", "singularity", "docker", "podman"]
RUNTIMES: tuple[Runtime, ...] = ("apptainer", "singularity", "docker", "podman")
_FOUND: set[Environment] = set()
"""Environments that were found to be there: asking takes longer than many a command."""


@dataclass(frozen=True)
class Launch:
    """A command as it is to be started.

    Attributes
    ----------
    argv : list of str
        Program and arguments.
    env : mapping
        The whole environment of the process.
    end : tuple of str
        A command that ends what the process started elsewhere.
    """

    argv: list[str]
    env: Mapping[str, str]
    end: tuple[str, ...] = ()


@dataclass(frozen=True)
class Environment:
    """The environment of the process that calls it: programs are found on ``PATH``."""

    kind: ClassVar[str] = "path"

    def check(self, owner: str) -> None:
        """Refuse what this machine does not have.

        Raises
        ------
        RunError
            Says what is missing and how to get it.
        """

    def finds(self, program: str) -> bool:
        """Return whether a program is there, as far as that can be known before it is started."""
        return shutil.which(program) is not None

    def launch(self, argv: Sequence[str], env: Mapping[str, str], folder: Path, files: Sequence[Path]) -> Launch:
        """Return the command as it is to be started.

        Parameters
        ----------
        argv : sequence of str
            Program and arguments.
        env : mapping
            Variables of the command, beside those of this process.
        folder : Path
            Where it runs, and may write.
        files : sequence of Path
            What it may read.
        """
        return Launch(list(argv), {**os.environ, **env})


@dataclass(frozen=True)
class Container(Environment):
    """A container image. The command sees its inputs (read only) and its scratch folder, under the same paths as outside.

    Parameters
    ----------
    image : str
        ``"registry/site/tool:1.2"``, with apptainer also a ``.sif`` file.
    runtime : {"apptainer", "singularity", "docker", "podman"}, optional
        The first that is installed, by default.
    network : bool
        Let the command use the network (docker and podman; apptainer always does).
    gpus : bool
        Give it the accelerators.
    """

    image: str
    runtime: Runtime | None = None
    network: bool = False
    gpus: bool = False
    kind: ClassVar[str] = "container"

    def __post_init__(self) -> None:
        """Refuse an image name that would be read as an option."""
        if not self.image or self.image.startswith("-"):
            raise ParameterError(f"container: '{self.image}' is not the name of an image")
        if self.runtime is not None and self.runtime not in RUNTIMES:
            raise ParameterError(f"container: unknown runtime '{self.runtime}'; known are: {', '.join(RUNTIMES)}")

    def check(self, owner: str) -> None:
        """Refuse where no container runtime is installed."""
        wanted = (self.runtime,) if self.runtime else RUNTIMES
        if not any(shutil.which(name) for name in wanted):
            raise RunError(
                f"{owner} runs in the container {self.image}, but {' or '.join(wanted)} is not installed on this machine; "
                "install one (apptainer.org needs no root to run), or declare the command without a container"
            )

    def finds(self, program: str) -> bool:
        """Nobody knows before the container runs."""
        return True

    def launch(self, argv: Sequence[str], env: Mapping[str, str], folder: Path, files: Sequence[Path]) -> Launch:
        """Return the call of the container runtime."""
        runtime = self.runtime or next(item for item in RUNTIMES if shutil.which(item))
        if runtime in ("apptainer", "singularity"):
            return Launch(self._apptainer(runtime, argv, env, folder, files), dict(os.environ))
        name = f"daisy-{secrets.token_hex(6)}"
        words = self._docker(runtime, name, argv, env, folder, files)
        return Launch(words, dict(os.environ), ("sh", "-c", _END, "sh", runtime, name))

    def _apptainer(self, runtime: Runtime, argv: Sequence[str], env: Mapping[str, str], folder: Path,
                   files: Sequence[Path]) -> list[str]:  # fmt: skip
        words = [runtime, "--silent", "exec", "--containall", "--no-home", "--pwd", str(folder)]
        words += ["--nv"] if self.gpus else []
        words += ["--mount", _mount(source=folder, destination=folder)]
        for path in files:
            words += ["--mount", f"{_mount(source=path, destination=path)},ro"]
        for key, value in env.items():
            words += ["--env", f"{key}={value}"]
        image = self.image
        if "://" not in image and not image.endswith(".sif"):
            image = f"docker://{image}"
        return [*words, image, *argv]

    def _docker(self, runtime: str, name: str, argv: Sequence[str], env: Mapping[str, str], folder: Path,
                files: Sequence[Path]) -> list[str]:  # fmt: skip
        words = [runtime, "run", "--rm", "--init", "--interactive", "--name", name, "--workdir", str(folder)]
        words += [] if self.network else ["--network", "none"]
        words += ["--gpus", "all"] if self.gpus else []
        words += ["--user", f"{os.getuid()}:{os.getgid()}"]
        words += ["--userns", "keep-id"] if runtime == "podman" and os.getuid() else []
        words += ["--mount", _mount(source=folder, target=folder)]
        for path in files:
            words += ["--mount", f"{_mount(source=path, target=path)},readonly"]
        for key, value in env.items():
            words += ["--env", f"{key}={value}"]
        return [*words, "--entrypoint", argv[0], self.image, *argv[1:]]


def _mount(**places: Path) -> str:
    """Return a bind mount in the CSV that both families of runtimes read, so that any path can be written."""
    fields = ["type=bind", *(f"{key}={path}" for key, path in places.items())]
    quoted = [f'"{field.replace(chr(34), chr(34) * 2)}"' if set(field) & set(',"\n') else field for field in fields]
    return ",".join(quoted)


_END = 'exec >/dev/null 2>&1; "$1" kill "$2"; "$1" rm --force "$2"'
"""Ends a container: the process of ``docker run`` is only its spectator."""

_WITH_MODULES = 'module load "${@:2:$1}" || exit 1; shift "$(($1 + 1))"; exec "$@"'


@dataclass(frozen=True)
class Modules(Environment):
    """Environment modules (Lmod or the classic ones), loaded in a login shell before the command.

    Parameters
    ----------
    names : str
        ``Modules("xds/2024", "ccp4")``.
    """

    names: tuple[str, ...]
    kind: ClassVar[str] = "module"

    def __init__(self, *names: str) -> None:
        if not names or any(not name or name.startswith("-") for name in names):
            raise ParameterError(f"module: {names} are not names of environment modules")
        object.__setattr__(self, "names", names)

    def check(self, owner: str) -> None:
        """Refuse where a login shell has no ``module``, or the modules cannot be loaded."""
        if self in _FOUND:
            return
        problem = _modules_problem(self.names)
        if problem:
            raise RunError(f"{owner} needs the environment modules {' '.join(self.names)}: {problem}")
        _FOUND.add(self)

    def finds(self, program: str) -> bool:
        """Nobody knows before the modules are loaded."""
        return True

    def launch(self, argv: Sequence[str], env: Mapping[str, str], folder: Path, files: Sequence[Path]) -> Launch:
        """Return the call of a login shell that loads the modules and becomes the command."""
        words = ["bash", "-lc", _WITH_MODULES, "bash", str(len(self.names)), *self.names, *argv]
        return Launch(words, {**os.environ, **env})


def _modules_problem(names: tuple[str, ...]) -> str:
    """Say what keeps the modules from being loaded."""
    import subprocess

    ask = 'type module >/dev/null 2>&1 || exit 77; module load "$@"'
    try:
        done = subprocess.run(
            ["bash", "-lc", ask, "bash", *names], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a login shell cannot be asked for them ({error})"
    if done.returncode == 77:
        return "there is no 'module' command on this machine (install Lmod or environment-modules)"
    said = (done.stderr or done.stdout).decode("utf-8", errors="replace").strip()
    return f"'module load' failed: {said}" if done.returncode else ""


@dataclass(frozen=True)
class Conda(Environment):
    """A conda environment.

    Parameters
    ----------
    name : str
        Its name, or its folder.
    """

    name: str
    kind: ClassVar[str] = "conda"

    def __post_init__(self) -> None:
        """Refuse a name that would be read as an option."""
        if not self.name or self.name.startswith("-"):
            raise ParameterError(f"conda: '{self.name}' is not the name of an environment")

    def check(self, owner: str) -> None:
        """Refuse where conda, or the environment, is not there."""
        program = _conda()
        if program is None:
            raise RunError(
                f"{owner} runs in the conda environment {self.name}, but conda is not on the PATH of this machine; "
                "install Miniforge, or 'conda init' and log in again"
            )
        if not self._where(program):
            raise RunError(
                f"{owner} runs in the conda environment {self.name}, which {program} does not have; make it: conda create"
            )

    def _where(self, program: str) -> bool:
        return Path(self.name).is_dir() if "/" in self.name else self.name in _conda_names(program)

    def finds(self, program: str) -> bool:
        """Nobody knows before the environment is active."""
        return True

    def launch(self, argv: Sequence[str], env: Mapping[str, str], folder: Path, files: Sequence[Path]) -> Launch:
        """Return the call of ``conda run``."""
        option = "-p" if "/" in self.name else "-n"
        program = _conda() or "conda"
        buffering = [] if "micromamba" in Path(program).name else ["--no-capture-output"]
        return Launch([program, "run", option, self.name, *buffering, *argv], {**os.environ, **env})


def _conda() -> str | None:
    """Return the program that runs things in conda environments."""
    named = os.environ.get("CONDA_EXE")
    found = named if named and os.access(named, os.X_OK) else None
    return found or next((path for name in ("conda", "mamba", "micromamba") if (path := shutil.which(name))), None)


def _conda_names(program: str) -> frozenset[str]:
    """Return the names of the environments."""
    import json
    import subprocess

    try:
        done = subprocess.run(
            [program, "env", "list", "--json"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
        folders = json.loads(done.stdout).get("envs", [])
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(["base", *(Path(folder).name for folder in folders)])
