"""What the kernel costs: a direct call, an empty task in the threads engine, a long chain from JSON, the import.

Peers: dask's threaded scheduler on the same number of independent tasks with the same number of workers; ewoks on a short
chain, for information. Run it with ``python benchmarks/kernel_overhead.py``; ``pip install "daisy-suite[peers]"`` first.
"""

from __future__ import annotations

import gc
import json
import operator
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from _report import claim

from daisy_core import Param, Workflow, WorkflowEngine, algorithm

ROUNDS = 9
CALLS = 20_000
TASKS = 1_000
WORKERS = 2


@algorithm(version="1")
def nothing(x: float) -> float:
    """Give back the input: an empty task."""
    return x


@algorithm(version="1")
def tuned(
    x: float, *, count: Annotated[int, Param("Count", ge=1)] = 1, level: Annotated[float, Param("Level", ge=0)] = 1.0
) -> float:
    """Two parameters with bounds."""
    return x


@algorithm(version="1")
def gather(values: Sequence[float]) -> float:
    """Take the results of many tasks."""
    return float(len(values))


def main() -> None:
    """Measure everything, one JSON line for each claim."""
    direct_call()
    empty_tasks()
    chain()
    ewoks_for_information()
    fresh_import()


# -- a direct call ----------------------------------------------------------------------------------------------


def direct_call() -> None:
    """Cost of the declaration over the bare function, without parameters and with two that are checked."""
    cases: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "no parameters": (lambda: nothing(1.0), lambda: nothing.function(1.0)),
        "two parameters": (lambda: tuned(1.0, count=3, level=2.0), lambda: tuned.function(1.0, count=3, level=2.0)),
    }
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for ours, bare in cases.values():
        ours(), bare()
    for _ in range(ROUNDS):
        for name, (ours, bare) in cases.items():
            base = cpu_of_many(bare)
            figures[name].append((cpu_of_many(ours) - base) / CALLS * 1e6)
    worst = max(figures, key=lambda name: statistics.median(figures[name]))
    for name, values in figures.items():
        print(f"direct call, {name}: {statistics.median(values):.3f} us over the bare function")
    bound(
        "kernel: direct call of an algorithm", figures[worst], "us over the bare function", ("<=", 5.0), cpu_time=True
    )


def cpu_of_many(call: Callable[[], Any]) -> float:
    """Return the CPU seconds of many calls."""
    began = time.process_time()
    for _ in range(CALLS):
        call()
    return time.process_time() - began


# -- empty tasks ------------------------------------------------------------------------------------------------


def empty_tasks() -> None:
    """One run of many independent empty tasks and one that takes their results, against dask's threads."""
    import dask
    import dask.threaded

    made = Workflow.from_json(wide(TASKS))
    memory = WorkflowEngine("threads", workers=WORKERS)
    delayed = dask.delayed(len)([dask.delayed(identity)(1.0) for _ in range(TASKS)])
    graph: dict[str, Any] = {f"t{index}": (identity, 1.0) for index in range(TASKS)}
    graph["all"] = (len, [f"t{index}" for index in range(TASKS)])
    with tempfile.TemporaryDirectory() as runs:
        folder = WorkflowEngine("threads", workers=WORKERS, runs=runs)
        runners: dict[str, Callable[[], Any]] = {
            "ours": lambda: memory.run(made, {"x": 1.0}).result(),
            "ours with a run folder": lambda: folder.run(made, {"x": 1.0}).result(),
            "dask graph": lambda: dask.threaded.get(graph, "all", num_workers=WORKERS),
            "dask delayed": lambda: delayed.compute(scheduler="threads", num_workers=WORKERS),
        }
        times: dict[str, list[float]] = {name: [] for name in runners}
        for run in runners.values():
            assert run() == TASKS
        for _ in range(ROUNDS):
            for name, run in runners.items():
                gc.collect()
                began = time.perf_counter()
                run()
                times[name].append((time.perf_counter() - began) / (TASKS + 1) * 1e6)
    for name, values in times.items():
        print(f"{name}: {statistics.median(values):.1f} us/task (best {min(values):.1f})")
    peer = [min(pair) for pair in zip(times["dask graph"], times["dask delayed"], strict=True)]
    demand = (">=", round(1 / 1.2, 4))  # ours/peer <= 1.2
    claim("kernel: threads engine per empty task", ours=times["ours"], peer=peer, unit="us/task", demand=demand)
    with_folder = statistics.median(times["ours with a run folder"]) / statistics.median(peer)
    print(f"with a run folder, for information: {with_folder:.2f} times the peer, which records nothing")


def identity(x: float) -> float:
    """Give back the input, for the peer."""
    return x


def wide(count: int) -> dict[str, Any]:
    """Return the JSON of a workflow of independent tasks."""
    nodes = [node(f"t{index}", "nothing", {"x": {"input": "x"}}) for index in range(count)]
    nodes.append(node("all", "gather", {"values": [{"node": f"t{index}"} for index in range(count)]}))
    return workflow_json("wide", nodes, "all")


def node(name: str, function: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "algorithm": nothing.name.replace("nothing", function), "inputs": inputs}


def workflow_json(name: str, nodes: list[dict[str, Any]], last: str) -> dict[str, Any]:
    content = {"daisy": 1, "workflow": f"benchmark.{name}", "version": "1", "inputs": {"x": "float"}, "parameters": {}}
    return {**content, "nodes": nodes, "output": {"node": last}}


# -- a chain ----------------------------------------------------------------------------------------------------


def chain() -> None:
    """A chain from JSON text, checked and run: CPU time, and how it grows with the length."""
    texts = {count: json.dumps(chain_json(count)) for count in (100, 200)}
    kinds: tuple[Any, ...] = ("inline", "threads")
    figures: dict[tuple[int, str], list[float]] = {(count, kind): [] for count in texts for kind in kinds}
    for count, text in texts.items():
        load_and_run(text, "inline", count)
    for _ in range(ROUNDS):
        for count, kind in figures:
            gc.collect()
            figures[count, kind].append(load_and_run(texts[count], kind, count))
    worst = max(kinds, key=lambda kind: statistics.median(figures[200, kind]))
    for (count, kind), values in figures.items():
        print(f"chain of {count}, {kind}: {statistics.median(values):.4f} CPU s")
    bound(
        "kernel: chain of 200 tasks from JSON, checked and run", figures[200, worst], "CPU s", ("<", 0.3), cpu_time=True
    )
    growth = [long / short for long, short in zip(figures[200, worst], figures[100, worst], strict=True)]
    bound("kernel: chain of 200 tasks over a chain of 100", growth, "times the CPU time", ("<", 2.5), cpu_time=True)


def chain_json(count: int) -> dict[str, Any]:
    """Return the JSON of a workflow in which each task takes the result of the one before."""
    nodes: list[dict[str, Any]] = []
    source: dict[str, str] = {"input": "x"}
    for index in range(count):
        nodes.append({**node(f"t{index}", "tuned", {"x": source}), "params": {"count": {"value": index + 1}}})
        source = {"node": f"t{index}"}
    return workflow_json("chain", nodes, f"t{count - 1}")


def load_and_run(text: str, kind: Any, count: int) -> float:
    """Return the CPU seconds of reading, checking and running a chain."""
    began = time.process_time()
    made = Workflow.from_json(text)
    run = WorkflowEngine(kind, workers=WORKERS).run(made, {"x": 2.0})
    spent = time.process_time() - began
    assert run.result() == 2.0
    assert len(run.tasks) == count
    return spent


def ewoks_for_information(count: int = 16) -> None:
    """Print what ewoks takes for a short chain; its time doubles with each task."""
    try:
        from ewoks import execute_graph
        from ewokscore import Task

        class Nothing(Task, input_names=["x"], output_names=["x"]):  # type: ignore[call-arg, misc]
            def run(self) -> None:
                self.outputs.x = self.inputs.x

        kind = {"task_type": "class", "task_identifier": f"{__name__}.Nothing"}
        globals()["Nothing"] = Nothing
        nodes = [{"id": f"t{index}", **kind} for index in range(count)]
        links = [
            {
                "source": f"t{index}",
                "target": f"t{index + 1}",
                "data_mapping": [{"source_output": "x", "target_input": "x"}],
            }
            for index in range(count - 1)
        ]
        nodes[0]["default_inputs"] = [{"name": "x", "value": 2.0}]  # type: ignore[assignment]
        graph = {"graph": {"id": "chain"}, "nodes": nodes, "links": links}
        began = time.process_time()
        result = execute_graph(graph)
        print(f"ewoks, chain of {count}, for information: {time.process_time() - began:.3f} CPU s, result {result}")
        short = Workflow.from_json(json.dumps(chain_json(count)))
        began = time.process_time()
        WorkflowEngine("inline").run(short, {"x": 2.0})
        print(f"ours, chain of {count}: {time.process_time() - began:.4f} CPU s")
    except Exception as error:  # for information only: whatever stops the peer is told, not hidden
        print(f"ewoks did not run: {type(error).__name__}: {error}")


# -- the import -------------------------------------------------------------------------------------------------


def fresh_import() -> None:
    """A fresh interpreter that imports the kernel and ends; its start is not taken off."""
    walls: list[float] = []
    cpus: list[float] = []
    cache = tempfile.mkdtemp()  # byte code is kept there, as an installed package has it; the first import makes it
    surroundings = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    surroundings.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-c", "import daisy_core"], check=True, cwd=cache, env=surroundings)
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import daisy_core"], check=True, cwd=cache, env=surroundings)
        walls.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    shutil.rmtree(cache)
    print(f"import daisy_core: {statistics.median(cpus):.3f} CPU s, interpreter included")
    bound("kernel: import daisy_core", walls, "s", ("<", 0.3))


def bound(name: str, ours: Sequence[float], unit: str, demand: tuple[str, float], *, cpu_time: bool = False) -> None:
    """Print a claim that is held against a number, not against a peer."""
    for number, value in enumerate(ours, 1):
        print(f"  round {number}: {value:.4g} {unit}")
    sign, limit = demand
    compare = {"<": operator.lt, "<=": operator.le}[sign]
    load, value = os.getloadavg()[0], statistics.median(ours)
    holds = None if load > 1.5 and not cpu_time else compare(value, limit)
    rounds = [round(each, 6) for each in ours]
    record = {"claim": name, "ours": round(value, 6), "peer": None, "unit": unit, "ratio": None, "rounds": rounds,
              "demand": f"{sign} {limit:g} {unit}", "holds": holds, "load": round(load, 2)}  # fmt: skip
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
