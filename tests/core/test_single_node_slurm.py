"""The single-node Slurm is a real one: jobs run, arrays, exit statuses, cancelling, GPUs; and nothing of it stays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from core.slurm_cluster import SCRIPT, SlurmCluster, cluster, need_slurm, single_node

DAEMONS = ("munged", "slurmctld", "slurmd")


@pytest.fixture(scope="module")
def slurm() -> Iterator[SlurmCluster]:
    """A cluster of these tests alone, which count its jobs."""
    need_slurm()
    with cluster() as found:
        yield found


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.1)


def running(folder: Path) -> list[str]:
    """Daemons and job steps whose environment names a cluster."""
    found: list[str] = []
    for process in Path("/proc").iterdir():
        try:
            mark = f"SLURM_CONF={folder}/slurm.conf".encode()
            if process.name.isdigit() and mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "comm").read_text().strip())
        except OSError:
            continue
    return sorted(found)


def test_the_node_is_ready_with_the_cpus_of_this_machine(slurm: SlurmCluster) -> None:
    state, cpus, gpus = slurm.run("sinfo", "-h", "-o", "%T %c %G").stdout.split()
    assert state in ("idle", "mixed", "allocated")
    assert int(cpus) == int(subprocess.check_output(["nproc", "--all"]))
    assert gpus == "gpu:1"


def test_it_runs_commands_and_passes_exit_statuses(slurm: SlurmCluster) -> None:
    assert slurm.run("srun", "hostname").stdout.strip() == socket.gethostname()
    assert slurm.run("srun", "sh", "-c", "exit 7", check=False).returncode == 7
    assert slurm.run("sbatch", "--wait", "-o", "/dev/null", "--wrap", "exit 3", check=False).returncode == 3


def test_ranks_of_one_step_start_together(slurm: SlurmCluster) -> None:
    """A gang: two tasks of one step, each with its own rank."""
    out = slurm.run("srun", "--ntasks=2", "--overcommit", "sh", "-c", "echo $SLURM_PROCID of $SLURM_NTASKS").stdout
    assert sorted(out.splitlines()) == ["0 of 2", "1 of 2"]


def test_an_array_runs_every_element(slurm: SlurmCluster, tmp_path: Path) -> None:
    slurm.run("sbatch", "--wait", "--array=1-10", "-o", "/dev/null", "--wrap", f"touch {tmp_path}/$SLURM_ARRAY_TASK_ID")
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(1, 11))


@pytest.mark.slow
def test_more_jobs_than_cpus_run_at_once_but_never_two_on_the_one_gpu(slurm: SlurmCluster, tmp_path: Path) -> None:
    script = f"echo $CUDA_VISIBLE_DEVICES >> {tmp_path}/$SLURM_JOB_ID; while [ ! -e {tmp_path}/go ]; do sleep 0.1; done"
    cpus = os.cpu_count() or 1
    for _ in range(cpus + 1):
        slurm.run("sbatch", "-o", "/dev/null", "--wrap", script)
    wait_for(lambda: len(list(tmp_path.iterdir())) == cpus + 1, "all jobs running at once")
    (tmp_path / "go").touch()
    wait_for(lambda: not slurm.jobs(), "their end")
    hold = f"(set -o noclobber; echo $CUDA_VISIBLE_DEVICES > {tmp_path}/gpu) || exit 9; sleep 0.3; rm {tmp_path}/gpu"
    jobs = [
        slurm.run("sbatch", "--parsable", "--gpus=1", "-o", "/dev/null", "--wrap", hold).stdout.strip()
        for _ in range(4)
    ]
    wait_for(lambda: not slurm.jobs(), "their end")
    for job in jobs:
        told = slurm.run("scontrol", "show", "job", job).stdout
        assert "JobState=COMPLETED" in told
        assert "ExitCode=0:0" in told


def test_the_gpu_is_named_to_the_job_that_has_it_and_to_no_other(slurm: SlurmCluster) -> None:
    ask = ("sh", "-c", "echo gpu=$CUDA_VISIBLE_DEVICES")
    assert slurm.run("srun", "--gpus=1", *ask).stdout.strip() == "gpu=0"
    assert slurm.run("srun", *ask).stdout.strip() == "gpu="
    assert slurm.run("srun", "--gpus=2", *ask, check=False).returncode != 0


@pytest.mark.slow
def test_scancel_ends_a_job_that_does_not_listen(slurm: SlurmCluster) -> None:
    job = slurm.run(
        "sbatch", "--parsable", "-o", "/dev/null", "--wrap", "trap '' TERM; while true; do sleep 1; done"
    ).stdout.strip()
    wait_for(lambda: "RUNNING" in slurm.run("scontrol", "show", "job", job).stdout, "its start")
    slurm.run("scancel", job)
    wait_for(lambda: job not in slurm.jobs(), "its end")
    assert "JobState=CANCELLED" in slurm.run("scontrol", "show", "job", job).stdout


def test_it_listens_to_this_machine_only(slurm: SlurmCluster) -> None:
    ports = {
        line.partition("=")[2]
        for line in slurm.conf.read_text().splitlines()
        if line.startswith(("SlurmctldPort", "SlurmdPort"))
    }
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    ours = [where for where in listening if str(int(where.partition(":")[2], 16)) in ports]
    assert len(ours) == 2
    assert {where.partition(":")[0] for where in ours} == {"0100007F"}


@pytest.mark.slow
def test_up_twice_is_up_once_and_repairs_what_died(tmp_path_factory: pytest.TempPathFactory) -> None:
    need_slurm()
    with cluster(gpus=0) as own:
        first = running(own.folder)
        assert [name for name in DAEMONS if name in first] == list(DAEMONS)
        assert single_node("up", "--dir", str(own.folder)).stdout == f"export SLURM_CONF={own.conf}\n"
        assert running(own.folder) == first
        assert single_node("status", "--dir", str(own.folder)).returncode == 0
        os.kill(int((own.folder / "slurmctld.pid").read_text()), signal.SIGKILL)
        wait_for(lambda: "slurmctld" not in running(own.folder), "its death")
        told = single_node("status", "--dir", str(own.folder), check=False)
        assert (told.returncode, "slurmctld: not running" in told.stdout) == (3, True)
        single_node("up", "--dir", str(own.folder))
        assert own.run("srun", "echo", "again").stdout == "again\n"
        assert "has 0 GPUs, not 2" in single_node("up", "--dir", str(own.folder), "--gpus", "2", check=False).stderr


@pytest.mark.slow
def test_down_ends_jobs_and_daemons_and_removes_the_folder() -> None:
    need_slurm()
    with cluster(gpus=0) as own:
        own.run("sbatch", "-o", "/dev/null", "--wrap", "trap '' TERM; while true; do sleep 1; done")
        own.run("sbatch", "-o", "/dev/null", "--wrap", "sleep 300")
        wait_for(lambda: "slurmstepd" in running(own.folder) or len(running(own.folder)) > 4, "the jobs running")
        single_node("down", "--dir", str(own.folder))
        wait_for(lambda: not running(own.folder), "the end of all processes")
        assert not own.folder.exists()
        assert "nothing to take down" in single_node("down", "--dir", str(own.folder)).stderr
        assert single_node("status", "--dir", str(own.folder), check=False).returncode == 3


def test_it_takes_no_folder_of_others(tmp_path: Path) -> None:
    need_slurm()
    (tmp_path / "precious").write_text("data")
    assert "has other files" in single_node("up", "--dir", str(tmp_path), check=False).stderr
    down = single_node("down", "--dir", str(tmp_path), check=False)
    assert (down.returncode, "was not made by this script" in down.stderr) == (1, True)
    assert (tmp_path / "precious").exists()
    assert "without spaces and '#'" in single_node("up", "--dir", str(tmp_path / "a #b"), check=False).stderr
    assert "too long" in single_node("up", "--dir", f"/tmp/{'x' * 100}", check=False).stderr


def test_missing_packages_are_named_with_the_line_that_installs_them(tmp_path: Path) -> None:
    for name in ("bash", "id", "realpath", "env"):
        (tmp_path / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())
    text = SCRIPT.read_text().replace("PATH=$PATH:/usr/sbin:/sbin", "")
    done = subprocess.run(
        ["bash", "-c", text, "x", "up", "--dir", str(tmp_path / "c")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "not installed: munged slurmctld slurmd sinfo; as root: apt-get install -y slurm-wlm munge" in done.stderr


def test_wrong_words_are_told() -> None:
    assert "usage:" in single_node("sideways", check=False).stderr
    assert single_node("--help").stdout.startswith("usage:")
    assert "--gpus needs a number" in single_node("up", "--gpus", "many", check=False).stderr
