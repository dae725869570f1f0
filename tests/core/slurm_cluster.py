"""A real Slurm of one node for tests: brought up in a temporary folder by ``deploy/slurm/single-node.sh``, and taken down."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "slurm" / "single-node.sh"
PACKAGES = "apt-get install -y slurm-wlm munge"


@dataclass(frozen=True)
class SlurmCluster:
    """A running cluster.

    Attributes
    ----------
    folder : Path
        Configuration, state and logs.
    conf : Path
        What ``SLURM_CONF`` names.
    gpus : int
        GPUs that it hands out; they are stand-ins.
    """

    folder: Path
    conf: Path
    gpus: int

    def run(self, *words: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a Slurm command, or any other, against this cluster."""
        return subprocess.run(
            words, env={**os.environ, "SLURM_CONF": str(self.conf)}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=check, timeout=timeout,
        )  # fmt: skip

    def jobs(self) -> list[str]:
        """Return the ids of the jobs that are not over."""
        return self.run("squeue", "--noheader", "--format=%i").stdout.split()


def single_node(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the script that brings a cluster up and takes it down."""
    done = subprocess.run(
        [str(SCRIPT), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
    )
    if check and done.returncode:
        raise AssertionError(f"single-node.sh {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return done


def need_slurm() -> None:
    """Skip where Slurm is not installed; in CI that is a failure."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name, path=path) is None]
    if missing:
        reason = f"Slurm is not installed ({', '.join(missing)} missing): {PACKAGES}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@contextlib.contextmanager
def cluster(gpus: int = 1) -> Iterator[SlurmCluster]:
    """Bring a cluster up, and take it down whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="daisy-slurm-", dir="/tmp"))  # a short name: sockets lie inside
    try:
        single_node("up", "--dir", str(folder), "--gpus", str(gpus))
        yield SlurmCluster(folder, folder / "slurm.conf", gpus)
    finally:
        if (folder / "slurm.conf").exists():
            single_node("down", "--dir", str(folder), check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmCluster]:
    """One cluster for all tests of a session, with one stand-in GPU; ``SLURM_CONF`` names it."""
    need_slurm()
    with cluster() as found, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(found.conf))
        yield found
