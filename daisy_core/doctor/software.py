"""Techniques and extras of ours, programs of others, GPUs and Slurm."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from .finding import Finding, Probe, ask, text_of, version_in, version_of
from .machine import DISTRIBUTION, requirements


@dataclass(frozen=True)
class Program:
    """A program of others, or a set of them, that some part of the suite can use.

    Attributes
    ----------
    ask : tuple of str or None
        Arguments that make it say its version; None where it is not asked.
    tools : tuple of str
        Its commands, where it is a set.
    """

    name: str
    enables: str
    remedy: str = ""
    ask: tuple[str, ...] | None = ("--version",)
    tools: tuple[str, ...] = ()


_CCP4 = "from ccp4.ac.uk (licence)"
_HXMT = ("hepical", "hegtigen", "hescreen", "hespecgen", "helcgen", "herspgen", "hebkgmap", "mepical", "lepical")
PROGRAMS = (
    Program("apptainer", "script nodes in containers, without root", "apptainer.org, or a module of your cluster"),
    Program("docker", "script nodes in containers", "apt-get install docker.io"),
    Program("podman", "script nodes in containers, without root", "apt-get install podman"),
    Program("conda", "script nodes in conda environments", "Miniforge from conda-forge.org"),
    Program("cwltool", "running and checking CWL exports", "pip install cwltool"),
    Program("toil-cwl-runner", "running CWL exports on clusters", 'pip install "toil[cwl]"'),
    Program("chromium", "browser tests of the pages", "apt-get install chromium"),
    Program(
        "dials",
        "mx: reduction of rotation data",
        "apt-get install dials",
        (),
        ("dials.version", "dials.import", "dials.index"),
    ),
    Program("xds", "mx: reduction by XDS", "from xds.mr.mpg.de (licence)", ()),
    Program("phaser", "mx: molecular replacement by Phaser", _CCP4, None),
    Program("molrep", "mx: molecular replacement by MOLREP", _CCP4, None),
    Program("servalcat", "mx: refinement", "pip install servalcat"),
    Program(
        "HXMTDAS",
        "astro: Insight-HXMT by the mission's own software",
        "from the mission's site at IHEP, with HEASoft",
        None,
        _HXMT,
    ),
)
EXTRAS = {
    "ui": "the web apps: daisy ui",
    "slurm": "runs on Slurm and Dask clusters",
    "dask": "runs on Dask clusters",
    "stream": "detector streams, and publishing of finished runs by ZeroMQ",
    "postgres": "a catalogue on PostgreSQL, for shared file systems",
    "cwl": "running CWL documents",
    "hdf5": "compressed detector data (bitshuffle, LZ4, zstd)",
    "peers": "benchmarks against other programs",
    "docs": "building the documentation",
    "dev": "working on Daisy Suite itself",
}


def techniques() -> Iterator[Finding]:
    """The installed techniques."""
    from .. import registry

    for app in registry.apps().values():
        missing = ", ".join(app.missing)
        yield Finding("techniques", app.name, "missing" if missing else "found", f"{missing} not installed" if missing else "",
                      app.title, app.install_line if missing else "")  # fmt: skip


def extras() -> Iterator[Finding]:
    """The extras of the distribution that belong to no technique."""
    from .. import registry

    try:
        wanted = [(name, extra) for name, extra in requirements() if extra not in (None, "all")]
    except PackageNotFoundError:
        return
    of_apps = {app.extra for app in registry.apps().values()}
    for extra in dict.fromkeys(extra for _, extra in wanted if extra not in of_apps):
        names = [name for name, of in wanted if of == extra]
        missing = [name for name in names if not version_of(name)]
        detail = (
            f"{', '.join(missing)} not installed"
            if missing
            else ", ".join(f"{name} {version_of(name)}" for name in names)
        )
        yield Finding("extras", extra, "missing" if missing else "found", detail, EXTRAS.get(extra, ""),
                      f'pip install "{DISTRIBUTION}[{extra}]"' if missing else "")  # fmt: skip


def program(item: Program) -> Probe:
    """Return the probe of a program."""

    def look() -> Iterator[Finding]:
        tools = item.tools or (item.name,)
        missing = [name for name in tools if shutil.which(name) is None]
        if missing:
            some = item.tools and len(missing) < len(tools)
            detail = f"{', '.join(missing)} not found" if some else ", ".join(item.tools)
            yield Finding("programs", item.name, "problem" if some else "missing", detail, item.enables, item.remedy)
            return
        path = str(shutil.which(tools[0]))
        answer = ask([path, *item.ask]) if item.ask is not None else (0, "")
        if answer is None:
            yield Finding("programs", item.name, "problem", f"{path} gives no answer", item.enables)
            return
        number = version_in(answer[1])
        yield Finding("programs", item.name, "found", f"{number} ({path})" if number else path, item.enables)

    look.__name__ = item.name
    return look


def docker_daemon() -> Iterator[Finding]:
    """Whether docker does its work."""
    if shutil.which("docker"):
        answer = ask(["docker", "version", "--format", "{{.Server.Version}}"])
        if answer is None or answer[0]:
            said = answer[1].strip().splitlines()[-1][:120] if answer and answer[1].strip() else "no answer"
            yield Finding(
                "programs", "docker daemon", "problem", said, "script nodes in containers", "systemctl start docker"
            )


def modules() -> Iterator[Finding]:
    """Environment modules."""
    answer = ask(["bash", "-lc", "type module >/dev/null 2>&1 && module --version 2>&1"])
    there = answer is not None and answer[0] == 0
    yield Finding("programs", "module", "found" if there else "missing", version_in(answer[1]) if answer and there else "",
                  "script nodes with environment modules", "" if there else "apt-get install environment-modules")  # fmt: skip


def gpus() -> Iterator[Finding]:
    """Accelerators, and whether torch can use them."""
    count = 0
    for tool, words in (
        ("nvidia-smi", ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]),
        ("rocm-smi", ["--showproductname", "--csv"]),
    ):
        if shutil.which(tool) is None:
            continue
        answer = ask([tool, *words])
        lines = [line.strip() for line in answer[1].splitlines() if line.strip()] if answer and answer[0] == 0 else []
        lines = [line for line in lines if not line.startswith("device,")]
        count += len(lines)
        yield Finding(
            "GPUs", tool, "found" if lines else "problem", "; ".join(lines) or "it finds no GPU", "work on accelerators"
        )
    if not count:
        yield Finding(
            "GPUs", "GPU", "missing", "no NVIDIA or AMD GPU", "fast reconstruction; everything also runs on CPUs"
        )
    yield _torch(count)


def _torch(gpus: int) -> Finding:
    """Look at torch without importing it, which takes seconds."""
    found = importlib.util.find_spec("torch")
    enables = "ptychography and other work on GPUs"
    if found is None or found.origin is None:
        return Finding("GPUs", "torch", "missing", "", enables, "pip install torch")
    text = text_of(Path(found.origin).with_name("version.py"))
    kinds = {
        name: built[1]
        for name in ("cuda", "hip")
        if (built := re.search(rf"^{name}\b.*=\s*'([^']+)'", text, re.MULTILINE))
    }
    built = ", ".join(f"{name} {number}" for name, number in kinds.items()) or "for CPUs only"
    useless = gpus > 0 and not kinds
    return Finding("GPUs", "torch", "problem" if useless else "found", f"{version_of('torch')}, built {built}", enables,
                   "install a build for your GPU: pytorch.org" if useless else "")  # fmt: skip


def slurm() -> Iterator[Finding]:
    """Slurm, and whether its controller answers."""
    enables = "runs on a cluster: pilot jobs and gang tasks"
    missing = [name for name in ("sbatch", "srun", "sinfo") if shutil.which(name) is None]
    if missing:
        yield Finding("Slurm", "Slurm", "missing", f"{', '.join(missing)} not found", enables,
                      "on a login node: module load slurm; to try it here: apt-get install slurm-wlm munge")  # fmt: skip
        return
    answer = ask(["sinfo", "--noheader", "--format=%P %a, %D nodes %T"], timeout=5.0)
    if answer is not None and answer[0] == 0:
        number = version_in((ask(["sinfo", "--version"], timeout=2.0) or (1, ""))[1])
        lines = [line.strip() for line in answer[1].splitlines()]
        yield Finding("Slurm", "Slurm", "found", f"{number}: {'; '.join(lines) or 'no partition'}", enables)
        return
    conf = os.environ.get("SLURM_CONF")
    said = answer[1].strip().splitlines()[-1:] if answer else []
    remedy = (
        f"SLURM_CONF is {conf}; is that cluster up?"
        if conf
        else "on a login node: module load slurm; here: deploy/slurm/single-node.sh up"
    )
    yield Finding("Slurm", "Slurm", "problem", said[0] if said else "its controller gives no answer", enables, remedy)
