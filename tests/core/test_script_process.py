"""What a command does to the run that started it, and what is left of it: real processes, good ones and bad ones."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daisy_core import Cancelled, Resources, Run, RunError, WorkflowEngine
from daisy_core.script import script

PATIENCE = 20.0


def shell(text: str, **more: Any) -> Any:
    return script("lab.shell", text, shell=True, outputs={"result": ("stdout", str)}, **{"grace": 0.5, **more})


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen in {PATIENCE} s")


def pids_in(path: Path, count: int) -> list[int]:
    """Wait until a script has written the pids of its processes."""

    def read() -> list[int]:
        with contextlib.suppress(OSError, ValueError):
            found = [int(word) for word in path.read_text().split()]
            return found if len(found) >= count else []
        return []

    return wait_for(read, "the script writing its pids")


def started(text: str, folder: Path, kind: Any = "threads", count: int = 1, **more: Any) -> tuple[Run, list[int]]:
    tool = shell(text, params={"pids": str(folder / "pids")}, **more)
    run = WorkflowEngine(kind, workers=1).submit(tool, {})
    return run, pids_in(folder / "pids", count)


def test_a_failure_tells_status_and_last_words() -> None:
    with pytest.raises(RunError) as caught:
        shell("for i in $(seq 1 40); do echo line $i >&2; done; exit 3")()
    lines = str(caught.value).split("\n")
    assert lines[0] == "lab.shell: the command 'bash' failed with exit status 3"
    assert lines[-1] == "  | line 40"
    assert len(lines) == 13
    with pytest.raises(RunError, match="exit status 1; it wrote nothing"):
        shell("false")()
    with pytest.raises(RunError, match="failed with SIGSEGV"):
        shell("kill -SEGV $$")()
    with pytest.raises(RunError, match=r"exit status 141 \(SIGPIPE\)"):
        shell("yes | head -n 1")()


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_cancelled_command_is_asked_first(tmp_path: Path, kind: Any) -> None:
    polite = f"trap 'echo asked > {tmp_path}/asked; exit 0' TERM; echo $$ > {{pids}}; while true; do sleep 0.05; done"
    run, pids = started(polite, tmp_path, kind, grace=PATIENCE)
    run.cancel()
    with pytest.raises(Cancelled):
        run.result(PATIENCE)
    assert (tmp_path / "asked").read_text() == "asked\n"
    assert not any(map(alive, pids))


def test_a_command_that_ignores_the_request_is_forced_with_all_its_children(tmp_path: Path) -> None:
    run, pids = started(
        "trap '' TERM; (sleep 300; sleep 300) & echo $! >> {pids}; echo $$ >> {pids}; sleep 300", tmp_path, count=2
    )
    run.cancel()
    with pytest.raises(Cancelled):
        run.result(PATIENCE)
    assert run.state == "cancelled"
    wait_for(lambda: not any(map(alive, pids)), "the end of all processes")


def test_a_command_that_writes_while_it_ends_does_not_block(tmp_path: Path) -> None:
    run, pids = started("trap 'head -c 1000000 /dev/zero; exit 0' TERM; echo $$ > {pids}; while true; do sleep 0.05; done",
                        tmp_path, grace=PATIENCE)  # fmt: skip
    run.cancel()
    with pytest.raises(Cancelled):
        run.result(PATIENCE)
    assert not any(map(alive, pids))


def test_the_walltime_ends_it(tmp_path: Path) -> None:
    slow = shell("echo still here; echo $$ > {pids}; sleep 300", params={"pids": str(tmp_path / "pids")},
                 resources=Resources(walltime="00:00:01"))  # fmt: skip
    with pytest.raises(RunError, match=r"did not end within its walltime of 1 s and was ended.*\n  \| still here"):
        slow()
    assert not any(map(alive, pids_in(tmp_path / "pids", 1)))


def test_nothing_that_it_leaves_in_the_background_goes_on(tmp_path: Path) -> None:
    tool = shell("sleep 300 >/dev/null 2>&1 & echo $! > {pids}; echo done", params={"pids": str(tmp_path / "pids")})
    assert tool() == "done"
    wait_for(lambda: not any(map(alive, pids_in(tmp_path / "pids", 1))), "the end of what it left")


def test_children_may_finish_writing_what_the_command_gave_them() -> None:
    assert shell("exec > >(sleep 0.2; cat); echo written late")() == "written late"


MAIN = """
import sys
from daisy_core.script import script
tool = script("lab.orphan", "trap '' TERM; sleep 300 & echo $! >> {pids}; echo $$ >> {pids}; wait", shell=True, grace=0.2,
              params={"pids": sys.argv[1]}, outputs={"result": ("stdout", str)})
tool()
"""


def test_it_does_not_outlive_a_caller_that_is_killed(tmp_path: Path) -> None:
    caller = subprocess.Popen(
        [sys.executable, "-c", MAIN, str(tmp_path / "pids")], env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    pids = pids_in(tmp_path / "pids", 2)
    assert all(map(alive, pids))
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    wait_for(lambda: not any(map(alive, pids)), "the end of the orphans")


def test_control_c_ends_it_too(tmp_path: Path) -> None:
    caller = subprocess.Popen([sys.executable, "-c", MAIN, str(tmp_path / "pids")], env={**os.environ, "TMPDIR": str(tmp_path)},
                              stderr=subprocess.PIPE)  # fmt: skip
    pids = pids_in(tmp_path / "pids", 2)
    caller.send_signal(signal.SIGINT)
    _, said = caller.communicate(timeout=PATIENCE)
    assert b"KeyboardInterrupt" in said
    assert not any(map(alive, pids))
    assert [path.name for path in tmp_path.iterdir()] == ["pids"]


def test_a_large_output_is_whole_in_the_result_and_short_in_the_log(tmp_path: Path) -> None:
    lines = 400_000
    tool = shell("seq -f 'this is line number %.0f of the output' {n}; echo bye >&2", params={"n": lines})
    run = WorkflowEngine("inline", runs=tmp_path).run(tool, {})
    text = run.result()
    assert text.count("\n") == lines - 1
    assert text.endswith(f"number {lines} of the output")
    assert run.folder is not None
    assert 900_000 < run.folder.log.stat().st_size < 1_200_000
    log = run.folder.log.read_text()
    assert "(there is more; the log stops here)" in log
    assert "stderr: bye" in log


def test_output_of_any_kind_does_no_harm() -> None:
    odd = shell(r"printf 'a\0b\xff\xc3\xa9 \r50%%\r100%%'; head -c 300000 /dev/zero; printf '\nend' >&2; printf last")
    text = odd()
    assert text.startswith("a\0b\ufffdé")
    assert text.endswith("last")


def test_progress_is_what_it_says(tmp_path: Path) -> None:
    tool = shell(r"printf 'frame 1 of 4\rframe 3 of 4\n'; sleep 0.3; echo frame x of 0; echo frame 4 of 0; echo frame 4 of 4",
                 progress=r"frame (\S+) of (\d+)")  # fmt: skip
    run = WorkflowEngine("inline", runs=tmp_path).run(tool, {})
    told = [(event["fraction"], event["message"]) for event in run.events() if event["kind"] == "progress"]
    assert told[0] == (0.25, "frame 1 of 4")
    assert told[-1] == (1.0, "frame 4 of 4")


def test_many_at_a_time_do_not_meet() -> None:
    tool = shell("echo {n} > same-name; sleep 0.05; cat same-name", params={"n": 0})
    found: dict[int, str] = {}
    threads = [threading.Thread(target=lambda n=n: found.__setitem__(n, tool(n=n))) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == {n: str(n) for n in range(12)}


def test_calls_leave_no_descriptor_open() -> None:
    tool = script("lab.true", ["true"], outputs={"result": ("stdout", str)})
    tool()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        tool()
    assert len(os.listdir("/proc/self/fd")) == before
