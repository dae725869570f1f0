"""A preview of a detector image: small enough for the page, with nothing bright lost and what is invalid left grey."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .plots import packed

LARGEST = 512
"""Longest side of a preview, in blocks of pixels."""


class Preview(NamedTuple):
    """A small image: of each block of pixels the maximum, NaN where all are invalid."""

    values: NDArray[np.float32]
    block: int


def preview(image: NDArray[Any], invalid: NDArray[np.bool_] | None = None, *, largest: int = LARGEST) -> Preview:
    """Reduce an image by the maximum over square blocks of its valid pixels.

    Parameters
    ----------
    image : (y, x) array
        Any real type; negative and non-finite pixels are invalid, as are those at the top of a 32 bit range.
    invalid : (y, x) array of bool, optional
        Further invalid pixels, such as a mask.
    largest : int
        Longest side of the result.

    Returns
    -------
    Preview
        ``values`` (float32) and the side of a ``block`` in pixels. A single bright pixel is kept.
    """
    values = np.array(image, np.float32)
    bad = ~np.isfinite(values) | (values < 0) | (np.asarray(image) >= 2**31 - 1)
    if invalid is not None:
        bad |= np.asarray(invalid) != 0
    values[bad] = -np.inf
    block = -(-max(values.shape) // largest)
    rows, columns = (-(-length // block) for length in values.shape)
    padded = np.full((rows * block, columns * block), -np.inf, np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    small = padded.reshape(rows, block, columns, block).max(axis=(1, 3))
    small[np.isneginf(small)] = np.nan
    return Preview(small, block)


def limits(values: NDArray[Any], low: float = 1.0, high: float = 99.8) -> tuple[float, float]:
    """Return contrast limits: percentiles of the valid values, apart from each other even in a flat image."""
    valid = values[np.isfinite(values)]
    if not valid.size:
        return 0.0, 1.0
    bottom, top = (float(value) for value in np.percentile(valid, (low, high)))
    return (bottom, top) if top > bottom else (bottom, bottom + max(1.0, abs(bottom)))


def figure2d(
    small: Preview, *, vmin: float, vmax: float, log: bool = True, unit: str = "counts", height: int = 560
) -> dict[str, Any]:
    """Return the figure of a preview for :func:`shared_ui.plots.show`.

    Parameters
    ----------
    small : Preview
        The image.
    vmin, vmax : float
        Contrast limits.
    log : bool
        Logarithmic colours; what is not positive has the lowest one.
    """
    values = small.values
    with np.errstate(invalid="ignore", divide="ignore"):
        floor = np.nanmin(np.where(values > 0, values, np.nan)) if np.any(values > 0) else 1.0
        shown = np.log10(np.maximum(values, floor)) if log else values
    ends = [float(np.log10(max(end, floor))) if log else end for end in (vmin, vmax)]
    rows, columns = values.shape
    trace: dict[str, Any] = {
        "type": "heatmap", "z": {**packed(shown), "shape": f"{rows}, {columns}"}, "x0": (small.block - 1) / 2, "dx": small.block,
        "y0": (small.block - 1) / 2, "dy": small.block, "zmin": ends[0], "zmax": ends[1], "colorscale": "Viridis",
        "customdata": {**packed(values), "shape": f"{rows}, {columns}"}, "hoverongaps": False,
        "hovertemplate": f"column %{{x:.0f}}, row %{{y:.0f}}<br>%{{customdata:.6~g}} {unit}<extra></extra>",
        "colorbar": {"title": {"text": unit, "side": "right"}, "thickness": 12, **(_log_ticks(*ends) if log else {})},
    }  # fmt: skip
    side: dict[str, Any] = {"showgrid": False, "zeroline": False, "constrain": "domain", "ticks": "outside"}
    layout = {
        "title": {"text": ""}, "showlegend": False, "hovermode": "closest", "invalid": True, "uirevision": "image",
        "xaxis": {**side, "title": {"text": "column (pixel)"}},
        "yaxis": {**side, "title": {"text": "row (pixel)"}, "scaleanchor": "x", "autorange": "reversed"},
    }  # fmt: skip
    return {"data": [trace], "layout": layout, "height": height}


def _log_ticks(low: float, high: float) -> dict[str, Any]:
    """Return ticks of a logarithmic colour bar at 1, 2 and 5 times the powers of ten."""
    exponents = np.arange(np.floor(low), np.ceil(high) + 1)
    places = np.concatenate([exponents + np.log10(digit) for digit in (1, 2, 5)])
    kept = np.sort(places[(places >= low) & (places <= high)])
    return {"tickmode": "array", "tickvals": kept.tolist(), "ticktext": [f"{10**place:.6g}" for place in kept]}
