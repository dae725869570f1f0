"""Claims about worker processes: an array handed over beside dask.distributed, and the cost of events and journal."""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from _report import claim

from daisy_core import WorkflowEngine, algorithm, workflow
from daisy_core.context import Context
from daisy_core.work import Work
from daisy_core.workers.remote import Workers

ROUNDS = 7
ARRAY = np.random.default_rng(1).random(1 << 20)
"""8.4 MB."""


@algorithm(version="1")
def first(values: np.ndarray) -> float:
    """Touch an array."""
    return float(values[0] + values[-1])


@algorithm(version="1")
def millisecond(x: float) -> float:
    """Take a millisecond."""
    time.sleep(0.001)
    return x


def _seconds(function: Callable[[], Any]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def handed_over() -> None:
    """Measure the way of an array to another process and of a number back, each time another array."""
    from distributed import Client, LocalCluster

    arrays = [ARRAY + number for number in range(ROUNDS + 2)]
    performer = Workers(5.0, lambda *_: None).performer()
    context = Context(run_id="bench", task_id="first")
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):

        def ours(array: np.ndarray) -> float:
            return performer(Work(first, {"values": array}, {}), context)

        def theirs(array: np.ndarray) -> float:
            return client.submit(first.function, client.scatter(array, hash=False), pure=False).result()

        for array in arrays[:2]:
            assert ours(array) == theirs(array)
        pairs = [
            (_seconds(lambda a=array: ours(a)) * 1e3, _seconds(lambda a=array: theirs(a)) * 1e3) for array in arrays[2:]
        ]
    performer.close()
    mine, other = zip(*pairs, strict=True)
    claim("kernel: 8.4 MB array handed to another process", ours=mine, peer=other, unit="ms", demand=(">=", 5.0))


def journal() -> None:
    """Measure 10,000 tasks of a millisecond in a recorded run beside the bare loop in as many threads.

    As many as there are CPUs, which is what the engine takes by itself.
    """
    items = [float(number) for number in range(10_000)]
    threads = os.cpu_count() or 1
    mine, bare = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            engine = WorkflowEngine("threads", workers=threads, runs=folder)
            mine.append(_seconds(lambda engine=engine: engine.run(many, {"xs": items})))
        with ThreadPoolExecutor(threads) as pool:
            bare.append(_seconds(lambda pool=pool: list(pool.map(millisecond.function, items))))
    claim("kernel: events and journal of 10,000 tasks of 1 ms", ours=mine, peer=bare, unit="s", demand=(">=", 1 / 1.25))


@workflow(version="1")
def many(xs: Sequence[float]) -> Sequence[float]:
    """Lift over all."""
    return millisecond.map(xs)


if __name__ == "__main__":
    handed_over()
    journal()
