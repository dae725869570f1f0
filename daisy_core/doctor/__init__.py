"""What this installation and this machine have, and what each missing thing would enable."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from . import machine, software
from .finding import TIMEOUT, Finding, Probe

__all__ = ["PROBES", "Finding", "examine", "is_broken"]

PROBES: tuple[tuple[str, Probe], ...] = (
    ("core", machine.python),
    ("core", machine.self_test),
    ("core", machine.hdf5),
    ("machine", machine.system),
    ("machine", machine.shared_memory),
    ("storage", machine.storage),
    ("techniques", software.techniques),
    ("extras", software.extras),
    ("GPUs", software.gpus),
    ("Slurm", software.slurm),
    *(("programs", software.program(item)) for item in software.PROGRAMS),
    ("programs", software.docker_daemon),
    ("programs", software.modules),
)
"""What is asked, by group; each question is asked in a thread of its own."""


def examine(timeout: float = TIMEOUT) -> list[Finding]:
    """Look at everything, at the same time.

    Parameters
    ----------
    timeout : float
        Seconds that one question may take; what does not answer is a finding too. Nothing is ever raised.

    Returns
    -------
    list of Finding
        In the order of :data:`PROBES`.
    """
    answers: dict[int, list[Finding]] = {}

    def work(place: int, group: str, probe: Probe) -> None:
        try:
            answers[place] = list(probe())
        except Exception as error:
            answers[place] = [Finding(group, probe.__name__, "problem", f"{type(error).__name__}: {error}")]

    # Daemons: a question that never returns (a file system that hangs) must not keep the command from ending.
    threads = [threading.Thread(target=work, args=(place, *entry), daemon=True) for place, entry in enumerate(PROBES)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + timeout + 1.0
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    for place, (group, probe) in enumerate(PROBES):
        answers.setdefault(place, [Finding(group, probe.__name__, "problem", f"no answer in {timeout:g} s")])
    return [finding for place in range(len(PROBES)) for finding in answers[place]]


def is_broken(findings: Iterable[Finding]) -> bool:
    """True where the kernel itself cannot work."""
    return any(finding.state == "broken" for finding in findings)
