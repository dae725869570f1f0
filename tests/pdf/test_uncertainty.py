"""The uncertainty of G(r) is the scatter of G(r) over repeated measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daisy_pdf.adhoc import pair_distribution, prepare
from daisy_pdf.config import PDFConfig
from daisy_pdf.data import Pattern
from daisy_pdf.io import read_pattern
from daisy_pdf.scattering import mean_scattering
from daisy_pdf.uncertainty import gr_covariance, gr_jacobian

DRAWS = 500


def measured_again(pattern: Pattern, rng: np.random.Generator) -> np.ndarray:
    assert pattern.sigma is not None
    return pattern.intensity + pattern.sigma * rng.normal(size=(DRAWS, pattern.q.size))


def slow_g(q: np.ndarray, i: np.ndarray, k: np.ndarray, config: PDFConfig, r: np.ndarray) -> np.ndarray:
    """The definition, with dense matrices and plain polynomial fits: nothing of the fast route."""
    atoms = mean_scattering(config.composition, q)
    f = q * (k[:, None] * i / atoms.squared_mean - atoms.mean_square / atoms.squared_mean)
    degree = config.rpoly * (q[-1] - q[0]) / np.pi
    taken = np.zeros_like(f)
    for n, share in ((int(degree), 1 - degree % 1), (int(degree) + 1, degree % 1)):
        columns = (q / q[-1])[:, None] ** np.arange(1, n + 1)
        taken += share * (columns @ np.linalg.lstsq(columns, f.T, rcond=None)[0]).T
    assert config.qmax is not None
    kept = q <= config.qmax + 1e-4
    u = np.pi * q[kept] / config.qmax
    window = np.sin(u) / u if "lorch" in config.terminationfunctions else 1.0
    return 2 / np.pi * np.mean(np.diff(q)) * ((f - taken)[:, kept] * window) @ np.sin(np.outer(q[kept], r))


NICKEL = PDFConfig(composition="Ni", bgscale=(0.4,), qmaxinst=29.0, qmin=0.85, qmax=25.0)
LAB6 = PDFConfig(composition="LaB6", rpoly=1.5, qmin=1.0, qmax=23.0, rmin=0.5, rstep=0.02)


@pytest.mark.parametrize(
    ("files", "options", "config"),
    [
        (("ni_pdfttp/Ni.chi", "ni_pdfttp/kapton.chi"), {}, NICKEL),
        (
            ("ni_pdfttp/Ni.chi", "ni_pdfttp/kapton.chi"),
            {},
            NICKEL.model_copy(update={"rpoly": 1.7, "qmax": 18.0, "terminationfunctions": ("lorch",)}),
        ),
        (
            ("lab6_msujas/LaB6_0p4mm_011_av10_monitor.xye", "lab6_msujas/0p4mm_capillary_018_av17_monitor.xye"),
            {"dataformat": "twotheta", "wavelength": 0.270793},
            LAB6,
        ),
    ],
    ids=["nickel", "nickel-lorch", "lab6-from-angles"],
)
def test_sigma_is_the_scatter_over_repeated_measurements(
    shared_data: Path, files: tuple[str, str], options: dict, config: PDFConfig
) -> None:
    sample, background = (read_pattern(shared_data / "pdf" / name, **options) for name in files)
    result = pair_distribution(sample, [background], config=config)
    q, r, sigma = result.iq.q, result.gr.r, result.gr.sigma
    assert sigma is not None
    assert np.all(np.isfinite(sigma))
    rng = np.random.default_rng(20)
    nodes = np.array([np.interp(q, sample.q, row) for row in measured_again(sample, rng)])
    nodes -= config.bgscale[0] * np.array([np.interp(q, background.q, row) for row in measured_again(background, rng)])
    atoms = mean_scattering(config.composition, q)
    g, t = nodes / atoms.squared_mean, atoms.mean_square / atoms.squared_mean
    for name, k in (("k fixed", np.full(DRAWS, result.scale)), ("k refitted", (g @ t) / np.sum(g * g, axis=1))):
        scatter = slow_g(q, nodes, k, config, r).std(axis=0, ddof=1)
        ratio = sigma[r > 0] / scatter[r > 0]
        low, median, high = np.percentile(ratio, [5, 50, 95])
        print(f"{name}: median {median:.4f}, 5-95 % {low:.4f} to {high:.4f}")
        if name == "k fixed":
            assert 0.95 <= median <= 1.05
            assert low >= 0.9
            assert high <= 1.1
    if r[0] == 0:
        assert sigma[0] == 0


@pytest.mark.parametrize("rpoly", [0.0, 0.9, 1.6])
@pytest.mark.parametrize("spacing", ["nodes", "coarse", "fine", "gaps"])
def test_fast_sigma_is_the_diagonal_of_the_dense_covariance(rpoly: float, spacing: str) -> None:
    rng = np.random.default_rng(5)
    points = {
        "nodes": np.arange(0.5, 20, 0.05),
        "coarse": 0.5 + 19.5 * np.linspace(0, 1, 150) ** 1.3,
        "fine": np.sort(rng.uniform(0.5, 20, 700)),
        "gaps": np.r_[np.arange(0.8, 5, 0.05), np.arange(6, 20, 0.05)],
    }[spacing]
    counts = 1e4 * mean_scattering("Ni", points).squared_mean / 784 + 50
    pattern = Pattern(points, counts, np.sqrt(counts))
    background = Pattern(np.arange(0.3, 21, 0.07), np.full(296, 40.0), np.full(296, 6.0))
    config = PDFConfig(composition="Ni", qmin=0.5, qmax=17.0, rpoly=rpoly, rmax=20.0, rstep=0.1, bgscale=(0.3,))
    result = pair_distribution(pattern, [background], config=config)
    prepared = prepare(pattern, [background], config=config)
    dense = gr_covariance(prepared.operator, result.scale, prepared.covariance)
    sigma = np.sqrt(np.diag(dense))
    np.testing.assert_allclose(result.gr.sigma, sigma, atol=1e-7 * sigma.max())
    assert np.linalg.eigvalsh(dense).min() > -1e-10 * dense.max()


def test_jacobian_is_the_change_of_g_with_one_intensity() -> None:
    q = np.arange(0.5, 20, 0.05)
    config = PDFConfig(composition="Ni", qmin=0.5, rstep=0.5)
    counts = 1e4 * mean_scattering("Ni", q).squared_mean / 784
    operator = prepare(Pattern(q, counts), config=config).operator
    stages = operator.stages(counts[: operator.q.count])
    f = operator.q.values * operator.per_atom * np.eye(operator.q.count)[100]
    f = f - operator.polynomial.fit(f)
    expected = operator.transform.sine(f[: operator.used] * operator.kernel)
    np.testing.assert_allclose(gr_jacobian(operator, float(stages.scale))[:, 100], stages.scale * expected, atol=1e-12)


def test_sigma_scales_with_the_errors_and_not_with_g() -> None:
    q = np.arange(0.5, 20, 0.05)
    counts = 1e4 * mean_scattering("Ni", q).squared_mean / 784
    config = PDFConfig(composition="Ni", qmin=0.5)
    one = pair_distribution(Pattern(q, counts, np.sqrt(counts)), config=config)
    three = pair_distribution(Pattern(q, counts, 3 * np.sqrt(counts)), config=config)
    np.testing.assert_allclose(three.gr.sigma, 3 * one.gr.sigma, rtol=1e-6, atol=1e-7 * three.gr.sigma.max())
    assert one.iq.sigma is not None
    np.testing.assert_allclose(one.iq.sigma, np.sqrt(counts)[: one.iq.q.size], rtol=1e-2)
