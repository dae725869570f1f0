"""From a simulated detector image, noise and container and all, back to the crystal that it was made of."""

from __future__ import annotations

import numpy as np
import pytest

from daisy_pdf.adhoc import pair_distribution
from daisy_pdf.config import PDFConfig
from daisy_pdf.crystal import CRYSTALS
from daisy_pdf.data import PDFResult
from daisy_pdf.integration import integrate
from daisy_pdf.model import fit_crystal
from daisy_pdf.simulate import SimulatedExposure, simulate_exposure

DIAMETER = 100.0


def reduced(made: SimulatedExposure, composition: str) -> PDFResult:
    sample, container = (
        integrate(image, made.geometry, None, None, made.flat) for image in (made.image, made.container)
    )
    config = PDFConfig(composition=composition, qmin=0.8, qmax=24.0, qmaxinst=26.0, rmax=30.0)
    return pair_distribution(sample, [container], config=config)


def scaled_rw(result: PDFResult, made: SimulatedExposure) -> float:
    """Rw against the truth from 1.5 to 30 Å; the ad hoc reduction has no absolute scale, so that one number is fitted."""
    inside = (result.gr.r >= 1.5) & (result.gr.r <= 30)
    g, truth = result.gr.g[inside], np.interp(result.gr.r[inside], made.truth.r, made.truth.g)
    scale = g @ truth / (g @ g)
    return float(np.sqrt(np.sum((scale * g - truth) ** 2) / np.sum(truth**2)))


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("detector", [{}, {"rows": 2048, "columns": 2048, "pixel": 2e-4, "response": 0.2, "seed": 7}])
def test_the_image_gives_back_its_crystal(name, detector):
    made = simulate_exposure(crystal=name, diameter=DIAMETER, **detector)
    result = reduced(made, name)
    assert scaled_rw(result, made) <= 0.10
    start = CRYSTALS[name]
    fit = fit_crystal(result.gr, start, qmin=0.8, qmax=24.0, diameter=DIAMETER, refine=("a", "u_iso", "qdamp"))
    assert fit["a"] == pytest.approx(start.a, rel=2e-4)
    for element in dict.fromkeys(start.elements):
        u_iso = fit["u_iso"] if name == "Ni" else fit[f"u_iso_{element}"]
        assert u_iso == pytest.approx(start.u_iso[start.elements.index(element)], rel=0.05)


def test_the_fit_finds_the_crystal_from_a_wrong_start():
    from daisy_core import replace

    made = simulate_exposure(diameter=DIAMETER)
    start = replace(CRYSTALS["Ni"], a=3.55, u_iso=np.full(4, 0.012))
    fit = fit_crystal(
        reduced(made, "Ni").gr, start, qmin=0.8, qmax=24.0, diameter=DIAMETER, refine=("a", "u_iso", "qdamp")
    )
    assert fit["a"] == pytest.approx(CRYSTALS["Ni"].a, rel=2e-4)


def test_a_wrong_way_up_image_does_not_pass():
    """The check of the checks: what the orientation warning is for gives a G(r) that is worthless."""
    made = simulate_exposure(diameter=DIAMETER)
    wrong = made._replace(image=made.image[::-1])
    assert scaled_rw(reduced(wrong, "Ni"), made) > 0.5


def test_sigma_of_g_is_the_scatter_of_repeated_exposures():
    """Counting statistics of the pixels, through integration and Fourier transform, to G(r)."""
    made = simulate_exposure(rows=256, columns=256, pixel=1.6e-3, diameter=30.0, counts=2e5)
    random = np.random.default_rng(0)
    results = []
    for _ in range(40):
        drawn = made._replace(image=random.poisson(made.image / 100), container=random.poisson(made.container / 100))
        results.append(reduced(drawn, "Ni").gr)
    scatter = np.std([gr.g for gr in results], axis=0, ddof=1)
    sigma = np.mean([gr.sigma for gr in results], axis=0)
    inside = results[0].r > 1
    assert np.median(scatter[inside] / sigma[inside]) == pytest.approx(1, abs=0.1)
