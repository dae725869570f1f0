"""The four plots of a reduction: I(Q), S(Q), F(Q) with its polynomial, and G(r)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared_ui.plots import Array, Curve, figure1d
from shared_ui.units import label

from ..compare import rw
from ..data import PairDistribution, Pattern, PDFResult

Q = label("Q", "1/Å")
TALL, LOW = 290, 240
"""Heights of the plots, in pixels."""

_COMPARED_FROM = 1.5  # Å; below there are no atoms, only what is left of the corrections


@dataclass(frozen=True)
class Reference:
    """Another G(r) to compare with: ``scaled`` to this one by least squares, or as it is."""

    name: str
    gr: PairDistribution
    scaled: bool = False

    def factor(self, result: PDFResult) -> float:
        """Return the factor that it is drawn with."""
        own, other = _overlap(result, self.gr)
        return float(own @ other) / float(other @ other) if self.scaled and other.any() else 1.0

    def rw(self, result: PDFResult) -> float | None:
        """Return Rw of G(r) to it, from 1.5 Å to the end of the shorter one; None where they do not overlap."""
        own, other = _overlap(result, self.gr)
        return rw(own, self.factor(result) * other) if other.any() else None


def _overlap(result: PDFResult, reference: PairDistribution) -> tuple[Array, Array]:
    """Return G(r) and the reference at the same distances."""
    r = result.gr.r
    inside = (r >= max(_COMPARED_FROM, reference.r[0])) & (r <= reference.r[-1])
    return result.gr.g[inside], np.interp(r[inside], reference.r, reference.g)


def intensity_figure(
    pattern: Pattern, backgrounds: Sequence[Pattern], scales: Sequence[float], result: PDFResult | None = None
) -> dict[str, Any]:
    """Return I(Q): the sample, each background with its scale, and what is left."""
    curves = [Curve(pattern.q, pattern.intensity, "sample", color="muted")]
    for number, (other, scale) in enumerate(zip(backgrounds, scales, strict=False), 1):
        name = f"background {number}" if len(backgrounds) > 1 else "background"
        curves.append(Curve(other.q, scale * np.asarray(other.intensity, float), _scaled(name, scale), color="second"))
    if result is not None and backgrounds:
        curves.append(Curve(result.iq.q, result.iq.i, "difference", sigma=result.iq.sigma))
    return figure1d(curves, xlabel=Q, ylabel=label("I", "counts"), title="I(Q)", zero=True, height=LOW)


def _scaled(name: str, scale: float) -> str:
    return name if scale == 1 else f"{scale:g} × {name}"


def structure_figure(result: PDFResult) -> dict[str, Any]:
    """Return S(Q), over the line that it tends to."""
    q, s = result.sq.q, result.sq.s
    curves = [Curve(q, np.ones_like(s), color="muted", width=1), Curve(q, s)]
    return figure1d(curves, xlabel=Q, ylabel="S", title="S(Q)", yrange=steady_range(q, s), height=LOW)


def reduced_figure(result: PDFResult) -> dict[str, Any]:
    """Return F(Q), and the polynomial that was taken off it."""
    fq = result.fq
    curves = [Curve(fq.q, fq.f, "F")]
    if fq.polynomial is not None:
        curves.insert(0, Curve(fq.q, fq.polynomial, "polynomial", color="second", dash=True))
    return figure1d(curves, xlabel=Q, ylabel=label("F", "1/Å"), title="F(Q) = Q [S(Q) − 1]", zero=True, height=LOW,
                    yrange=steady_range(fq.q, *(curve.y for curve in curves)))  # fmt: skip


def distribution_figure(result: PDFResult, reference: Reference | None = None) -> dict[str, Any]:
    """Return G(r) with its standard uncertainty, over a reference where there is one."""
    gr = result.gr
    curves = [Curve(gr.r, gr.g, "G", sigma=gr.sigma)]
    if reference is not None:
        shown, factor = reference.gr.r <= gr.r[-1], reference.factor(result)
        # Wider and below, so that it is seen where both agree.
        name = f"{factor:.3g} × {reference.name}" if reference.scaled else reference.name
        curves.insert(0, Curve(reference.gr.r[shown], factor * reference.gr.g[shown], name, color="second", width=4))
    return figure1d(curves, xlabel=label("r", "Å"), ylabel=label("G", "1/Å^2"), title="G(r)", zero=True, height=TALL)


def steady_range(x: Array, *curves: Array) -> tuple[float, float]:
    """Return a y range for curves that their first part, near the beam stop, does not blow up."""
    inner = np.concatenate([y[x > x[0] + 0.03 * (x[-1] - x[0])] for y in curves])
    low, high = float(np.nanmin(inner)), float(np.nanmax(inner))
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin
