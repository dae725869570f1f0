"""Runs in a process of their own: they survive the page, the notebook or the terminal that started them."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from . import registry
from .algorithm import Algorithm
from .catalogue.context import run_context
from .engine import Kind, Run, WorkflowEngine
from .errors import RunError
from .params import to_json
from .plan import settle
from .reading import FileInput
from .recorder import describe_input, versions
from .runs import RunFolder, default_root
from .secrecy import refuse_secrets


def start_detached(workflow: str, inputs: Mapping[str, Any], params: Mapping[str, Any] | None = None, *,
                   context: Mapping[str, Any] | None = None, root: Path | None = None, engine: Kind = "threads") -> RunFolder:  # fmt: skip
    """Start a run in a process of its own and return its folder at once.

    Parameters
    ----------
    workflow : str
        Registry name, ``my.py:func`` or a workflow JSON file.
    inputs : mapping
        Paths, :class:`~daisy_core.reading.FileInput`, numbers, or lists of them by port: what can be written down.
    params : mapping, optional
        Parameters by name.
    context : mapping, optional
        Proposal, sample, scan, beamline, user and free keys.
    root : path, optional
        Folder of runs; ``DAISY_RUNS`` or ``runs`` by default.

    Raises
    ------
    ParameterError
        If an input or a parameter is missing, unknown or refused; nothing is started then.
    RunError
        If an input cannot be written down, or the folder cannot be made.
    """
    found = registry.find(workflow)
    refuse_secrets("parameter", params or {})
    settle(found, inputs, params or {})
    described = {name: describe_input(value) for name, value in inputs.items() if value is not None}
    if any(_only_in_memory(value) for value in described.values()):
        raise RunError(
            f"{workflow}: an input that is only in memory cannot be handed to another process; save it to a file first"
        )
    request = {
        "workflow": found.name,
        "version": found.version,
        "origin": registry.origin(found),
        "inputs": described,
        "params": {name: to_json(value) for name, value in (params or {}).items()},
        "context": run_context(context or {}, inputs, found),
        "engine": {"kind": engine},
        "versions": versions(found),
    }
    folder = RunFolder.create((root or default_root()).absolute(), request)
    with folder.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "daisy_core.launch", str(folder.path)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=Path.cwd(),
        )  # fmt: skip
    folder.take_lease(process.pid)  # so that a process which dies before it says anything is seen to be lost
    threading.Thread(target=process.wait, name=f"reaper-{folder.id}", daemon=True).start()  # leaves no zombie
    return folder


def _only_in_memory(described: Any) -> bool:
    return any(map(_only_in_memory, described)) if isinstance(described, list) else "memory" in described


def execute(folder: RunFolder) -> int:
    """Run what a prepared folder asks for; return the exit status."""
    engine, algorithm, inputs, params = prepared(folder)
    with cancelling(inline=engine.kind == "inline") as started:
        run = started(engine.submit(algorithm, inputs, params, context=folder.request()["context"], folder=folder))
        run.wait()
    return 0 if run.state == "succeeded" else 1


@contextlib.contextmanager
def cancelling(*, inline: bool) -> Generator[Callable[[Run], Run]]:
    """Cancel a run on SIGTERM and SIGHUP, from before it starts, so that it ends cancelled and not lost.

    Parameters
    ----------
    inline : bool
        The run goes on in this thread: it is interrupted as by Ctrl-C, because nobody has the run before it ends.

    Yields
    ------
    callable
        Takes the started run, and gives it back.
    """
    runs: list[Run] = []
    asked = threading.Event()

    def stop(*_: object) -> None:
        asked.set()
        for run in runs:
            run.cancel()
        if inline and not runs:
            raise KeyboardInterrupt

    def started(run: Run) -> Run:
        runs.append(run)
        if asked.is_set():
            run.cancel()
        return run

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [getattr(signal, name) for name in names] if threading.current_thread() is threading.main_thread() else []
    # what is ignored stays ignored: nohup
    before = {
        number: signal.signal(number, stop) for number in numbers if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield started
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def resume(folder: RunFolder, *, listen: Callable[[dict[str, Any]], None] | None = None) -> Run:
    """Go on with a run that was lost, failed or cancelled, in this process.

    Results that the folder keeps (``checkpoint``) are taken; tasks without one are computed, with those of their ancestors
    that are not kept either.

    Raises
    ------
    RunError
        If the run is still running or has succeeded, or had an input that was only in memory.
    InputError
        If an input file is gone.
    """
    engine, algorithm, inputs, params = prepared(folder)
    return engine.resume(folder, algorithm, inputs, params, listen=listen)


def prepared(folder: RunFolder) -> tuple[WorkflowEngine, Algorithm[..., Any], dict[str, Any], dict[str, Any]]:
    """Return engine, algorithm, inputs and parameters that a run folder asks for.

    Raises
    ------
    RunError
        If an input was only in memory.
    """
    request = folder.request()
    algorithm = registry.restore(request["workflow"], request.get("origin"))
    memory = [name for name, value in request["inputs"].items() if _only_in_memory(value)]
    if memory:
        raise RunError(f"run {folder.id}: its input '{memory[0]}' was only in memory; run it again with that value")
    asked = request["engine"]
    engine = WorkflowEngine(
        asked["kind"], workers=asked.get("workers"), runs=folder.path.parent, gpus=asked.get("gpus", 0),
        checkpoint=asked.get("checkpoint", "none"), cache=asked.get("cache"),
    )  # fmt: skip
    inputs = {name: input_from_json(value) for name, value in request["inputs"].items()}
    return engine, algorithm, inputs, parameters_from_json(algorithm, request["params"])


def input_from_json(described: Any) -> Any:
    """Return the input that :func:`~daisy_core.recorder.describe_input` described."""
    if isinstance(described, list):
        return [input_from_json(item) for item in described]
    if "path" in described:
        return FileInput(described["path"], described.get("options", {}))
    return described["value"]


def parameters_from_json(algorithm: Algorithm[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters read from JSON, with mappings turned into their parameter models."""
    from .params import model_of

    found: dict[str, Any] = {}
    for name, value in values.items():
        model = model_of(algorithm.parameters[name].annotation) if name in algorithm.parameters else None
        found[name] = model(**value) if model is not None and isinstance(value, Mapping) else value
    return found


def _main() -> int:
    folder = RunFolder(Path(sys.argv[1]))
    try:
        return execute(folder)
    except Exception as error:
        if folder.state() not in ("failed", "cancelled"):
            with (folder.path / "events.jsonl").open("a", encoding="utf-8") as handle:
                import time

                handle.write(
                    json.dumps({"time": time.time(), "kind": "failed", "task": None, "message": str(error)}) + "\n"
                )
        raise


if __name__ == "__main__":
    sys.exit(_main())
