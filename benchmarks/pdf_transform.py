"""A series of patterns, I(Q) to G(r): the chirp-z operator against a cached sine matrix, PyStoG and a matrix rebuilt per call.

Ours starts from the intensities at the Q nodes (normalisation, scale, polynomial, transform); the peers get F(Q) for nothing
and only transform. One thread each, processor time, taken in turns.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import time
from collections.abc import Callable

import numpy as np
from _report import claim

from daisy_pdf.config import PDFConfig
from daisy_pdf.grid import Grid
from daisy_pdf.operators import PDFOperator, pdf_operator
from daisy_pdf.scattering import mean_scattering_on

PATTERNS, ROUNDS, REPEATS = 64, 9, 5
NODES = Grid(0.86, 0.02, 1408)
CONFIG = PDFConfig(composition="Ni", qmin=0.86, rmax=30.0, rstep=0.01)


def patterns() -> np.ndarray:
    """Counts of a nickel-like sample with noise, ``(PATTERNS, nq)``."""
    q, rng = NODES.values, np.random.default_rng(7)
    atoms = mean_scattering_on("Ni", NODES, "xray").squared_mean
    waves = sum(a * np.sin(q * r) / (q * r) for a, r in ((1.2, 2.49), (0.6, 3.52), (2.4, 4.31), (1.2, 4.98)))
    return rng.poisson(50 * atoms * (1 + waves * np.exp(-0.003 * q**2)) + 200, (PATTERNS, q.size)).astype(float)


def timed(function: Callable[[], object], patterns: int, repeats: int = 1) -> float:
    """Return processor milliseconds per pattern."""
    start = time.process_time()
    for _ in range(repeats):
        function()
    return 1e3 * (time.process_time() - start) / (patterns * repeats)


def reduced_f(operator: PDFOperator, intensities: np.ndarray) -> np.ndarray:
    """F(Q) of every pattern, what the peers start from."""
    return operator.stages(intensities).f


def main() -> None:
    from pystog import Transformer

    operator = pdf_operator(NODES, CONFIG)
    q, r = NODES.values, operator.r.values
    intensities = patterns()
    f = reduced_f(operator, intensities)
    weight = 2 / np.pi * NODES.step
    sines = weight * np.sin(np.outer(q, r))
    out = np.empty((PATTERNS, r.size))
    pystog = Transformer()

    ours = operator.apply(intensities)
    matrix = f @ sines
    largest = float(np.abs(matrix).max())
    print(f"{q.size} Q by {r.size} r, {PATTERNS} patterns, one thread")
    print(f"largest difference to the sine matrix: {np.abs(ours - matrix).max() / largest:.1e} of max |G|")
    assert np.abs(ours - matrix).max() <= 1e-6 * largest
    theirs = pystog.F_to_G(q, f[0], r)[1]
    print(
        f"largest difference to PyStoG (trapezoid, half weight at the ends): {np.abs(ours[0] - theirs).max() / largest:.1e}"
    )

    times: dict[str, list[float]] = {"ours": [], "matrix": [], "pystog": [], "rebuilt": []}
    for _ in range(ROUNDS):
        times["ours"].append(timed(lambda: operator.apply(intensities), PATTERNS, REPEATS))
        times["matrix"].append(timed(lambda: np.matmul(f, sines, out=out), PATTERNS, REPEATS))
        times["pystog"].append(timed(lambda: pystog.F_to_G(q, f[0], r), 1))
        times["rebuilt"].append(timed(lambda: f[0] @ (weight * np.sin(np.outer(q, r))), 1))
    unit = "ms CPU/pattern"
    cached = "pdf: batched I(Q) to G(r) against one product with a cached sine matrix that is given F(Q)"
    claim(cached, ours=times["ours"], peer=times["matrix"], unit=unit, cpu_time=True)
    slow = "pdf: batched I(Q) to G(r) against PyStoG Transformer.F_to_G"
    claim(slow, ours=times["ours"], peer=times["pystog"], unit=unit, demand=(">=", 100.0), cpu_time=True)
    rebuilt = "pdf: batched I(Q) to G(r) against a sine matrix rebuilt for each pattern"
    claim(rebuilt, ours=times["ours"], peer=times["rebuilt"], unit=unit, demand=(">=", 100.0), cpu_time=True)


if __name__ == "__main__":
    main()
