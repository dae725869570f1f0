"""The kernel itself, this machine and its storage."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from .finding import Finding, size, text_of, version_of

DISTRIBUTION = "daisy-suite"


def python() -> Iterator[Finding]:
    """Python and what the kernel needs."""
    new_enough = sys.version_info >= (3, 11)
    yield Finding("core", "Python", "found" if new_enough else "broken", f"{platform.python_version()} ({sys.executable})",
                  remedy="" if new_enough else "Python 3.11 or newer is needed")  # fmt: skip
    try:
        yield Finding("core", DISTRIBUTION, "found", version(DISTRIBUTION))
        needed = [name for name, extra in requirements() if extra is None]
    except PackageNotFoundError:
        yield Finding("core", DISTRIBUTION, "problem", "not installed, used from its folder", remedy="pip install -e .")
        needed = ["numpy", "pydantic", "h5py", "rich", "sqlalchemy"]
    for name in needed:
        number = version_of(name)
        yield Finding(
            "core", name, "found" if number else "broken", number, remedy="" if number else f"pip install {name}"
        )


def self_test() -> Iterator[Finding]:
    """Run an algorithm and write and read its result: what every run needs."""
    import numpy as np

    from .. import nexus
    from ..algorithm import Algorithm
    from ..context import Resources
    from ..engine import WorkflowEngine

    def twice(values: object) -> object:
        return np.asarray(values) * 2

    try:
        tried = Algorithm(twice, name="doctor.twice", version="1", resources=Resources())
        result = WorkflowEngine("inline").run(tried, {"values": np.arange(3.0)}).result()
        with tempfile.TemporaryDirectory(prefix="daisy-doctor-") as folder:
            path = nexus.write(Path(folder) / "test.nxs", {"result": result})
            right = nexus.read(path)["result"].tolist() == [0.0, 2.0, 4.0]
        yield Finding("core", "self-test", "found" if right else "broken", "a run, its result written and read again")
    except Exception as error:
        yield Finding(
            "core",
            "self-test",
            "broken",
            f"{type(error).__name__}: {error}",
            remedy="pip install --force-reinstall daisy-suite",
        )


def hdf5() -> Iterator[Finding]:
    """The HDF5 library and its filters."""
    import h5py

    yield Finding("core", "HDF5", "found", h5py.version.hdf5_version)
    number = version_of("hdf5plugin")
    path = os.environ.get("HDF5_PLUGIN_PATH", "")
    detail = f"hdf5plugin {number}" if number else (f"HDF5_PLUGIN_PATH={path}" if path else "")
    yield Finding("core", "HDF5 filters", "found" if detail else "missing", detail, "compressed detector data (bitshuffle, LZ4, zstd)",
                  "" if detail else "pip install hdf5plugin")  # fmt: skip


def system() -> Iterator[Finding]:
    """System, CPUs and memory."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    here = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield Finding("machine", "system", "found", here)
    yield Finding("machine", "CPUs", "found", f"{usable} usable of {os.cpu_count()}")
    memory = re.search(r"MemTotal:\s+(\d+).*?MemAvailable:\s+(\d+)", text_of("/proc/meminfo"), re.DOTALL)
    if memory:
        yield Finding(
            "machine", "memory", "found", f"{size(int(memory[1]) << 10)}, {size(int(memory[2]) << 10)} available"
        )


def shared_memory() -> Iterator[Finding]:
    """Shared memory of this host."""
    enables = "arrays mapped, not copied, between processes"
    try:
        os.close(os.memfd_create("daisy-doctor"))
        yield Finding("machine", "memfd", "found", "anonymous shared memory", enables)
    except (OSError, AttributeError) as error:
        yield Finding("machine", "memfd", "missing", str(error), enables, "Linux 3.17 or newer")
    if Path("/dev/shm").is_dir():
        usage = shutil.disk_usage("/dev/shm")
        small = usage.total < 1 << 30
        detail = f"{size(usage.total)}, {size(usage.free)} free"
        enables = "shared memory of other programs, such as PyTorch's workers"
        remedy = "docker run --shm-size=8g" if small else ""
        yield Finding("machine", "/dev/shm", "problem" if small else "found", detail, enables, remedy)


def storage() -> Iterator[Finding]:
    """Where runs and temporary files go."""
    from ..runs import default_root

    for name, root, remedy in (
        ("runs", default_root(), "choose another: DAISY_RUNS or --runs"),
        ("temporary files", Path(tempfile.gettempdir()), "choose another: TMPDIR"),
    ):
        place = next((path for path in (root.absolute(), *root.absolute().parents) if path.exists()), Path("/"))
        free, kind = shutil.disk_usage(place).free, file_system(place)
        detail = f"{root.absolute()}, {size(free)} free{f' ({kind})' if kind else ''}"
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            yield Finding("storage", name, "problem", f"{detail}: cannot be written ({error.strerror})", remedy=remedy)
            continue
        full, shared = free < 1 << 30, kind.startswith(("nfs", "lustre", "gpfs", "beegfs", "cifs", "fuse.sshfs"))
        advice = (
            remedy
            if full
            else ("a catalogue on PostgreSQL is safe on shared file systems" if shared and name == "runs" else "")
        )
        yield Finding("storage", name, "problem" if full else "found", detail, remedy=advice)


def file_system(path: Path) -> str:
    """Return the kind of the file system that a path is on; empty where nobody can tell."""
    mounts = [line.split()[1:3] for line in text_of("/proc/mounts").splitlines()]
    inside = [(len(at), kind) for at, kind in mounts if path.is_relative_to(at.replace("\\040", " "))]
    return max(inside, default=(0, ""))[1]


def requirements() -> Iterator[tuple[str, str | None]]:
    """Yield the distributions that we ask for, with the extra that they belong to."""
    for line in requires(DISTRIBUTION) or ():
        name = re.match(r"[A-Za-z0-9._-]+", line)
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", line)
        if name:
            yield name[0], extra[1] if extra else None
