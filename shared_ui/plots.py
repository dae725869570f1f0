"""One-dimensional plots: curves with error bands, drawn by plotly in the page and updated in place."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Color = Literal["main", "second", "third", "fourth", "muted", "text"]

MOST_POINTS = 20_000
"""Curves with more points are thinned to their extremes."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve of a plot.

    Parameters
    ----------
    x, y : (n,) array
        Points; NaN leaves a gap.
    name : str
        For the legend; empty: not in the legend.
    sigma : (n,) array, optional
        Standard uncertainty, drawn as a band.
    color : str
        Role of the colour; the page's theme decides what it looks like.
    dash : bool
        Dashed line.
    width : float
        Line width in pixels.
    """

    x: Array
    y: Array
    name: str = ""
    sigma: Array | None = None
    color: Color = "main"
    dash: bool = False
    width: float = 1.5


def thinned(x: Array, *others: Array, most: int = MOST_POINTS) -> tuple[Array, ...]:
    """Return curves with at most ``most`` points that look the same: of each stretch the lowest and the highest point.

    Parameters
    ----------
    x : (n,) array
        Common x of the curves.
    *others : (n,) array
        The curves; the first decides which points are kept.
    most : int
        Number of points above which curves are thinned.
    """
    if x.size <= most:
        return (x, *others)
    stretches = most // 2
    length = -(-x.size // stretches)
    starts = np.arange(0, x.size, length)
    y = np.asarray(others[0], float)
    padded = np.full(starts.size * length, np.nan)
    padded[: x.size] = y
    blocks = padded.reshape(starts.size, length)
    empty = np.isnan(blocks).all(axis=1)
    lows = np.where(empty, 0, np.argmin(np.where(np.isnan(blocks), np.inf, blocks), axis=1))
    highs = np.where(empty, 0, np.argmax(np.where(np.isnan(blocks), -np.inf, blocks), axis=1))
    kept = np.unique(np.concatenate([starts + lows, starts + highs]))
    return tuple(np.asarray(array)[kept] for array in (x, *others))


def figure1d(curves: Sequence[Curve], *, xlabel: str, ylabel: str, title: str = "", xrange: tuple[float, float] | None = None,
             yrange: tuple[float, float] | None = None, zero: bool = False, height: int = 260) -> dict[str, Any]:  # fmt: skip
    """Return the figure of some curves as plain JSON data for plotly.

    Parameters
    ----------
    curves : sequence of Curve
        Drawn in order, the last on top.
    xlabel, ylabel : str
        Axis titles with units: ``"Q (Å⁻¹)"``.
    title : str
        A few words above the plot.
    xrange, yrange : (float, float), optional
        Ranges; by default those of the data.
    zero : bool
        Draw the line y = 0.
    height : int
        Pixels.

    Returns
    -------
    dict
        ``data``, ``layout`` and ``height``. Colours are names of roles, put in by the page.
    """
    traces: list[dict[str, Any]] = []
    for curve in curves:
        traces += _traces(curve)
    axis = {"title": {"text": xlabel, "standoff": 4}, "zeroline": False, "ticks": "outside", "ticklen": 4}
    layout: dict[str, Any] = {
        "title": {"text": title}, "showlegend": sum(bool(curve.name) for curve in curves) > 1,
        "xaxis": {**axis, **({"range": list(xrange)} if xrange else {})},
        "yaxis": {**axis, "title": {"text": ylabel, "standoff": 4}, "zeroline": zero, **({"range": list(yrange)} if yrange else {})},
        "uirevision": title or ylabel,
    }  # fmt: skip
    return {"data": traces, "layout": layout, "height": height}


def _traces(curve: Curve) -> list[dict[str, Any]]:
    x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
    line = {"color": curve.color, "width": curve.width, "dash": "dash" if curve.dash else "solid"}
    shown = {"type": "scatter", "mode": "lines", "name": curve.name, "legendgroup": curve.name or None}
    if curve.sigma is None:
        x, y = thinned(x, y)
        return [{**shown, "x": packed(x), "y": packed(y), "line": line, "showlegend": bool(curve.name)}]
    x, y, sigma = thinned(x, y, np.asarray(curve.sigma, float))
    edge = {**shown, "line": {"width": 0, "color": curve.color}, "hoverinfo": "skip", "showlegend": False}
    return [
        {**edge, "x": packed(x), "y": packed(y - sigma)},
        {**edge, "x": packed(x), "y": packed(y + sigma), "fill": "tonexty", "fillcolor": curve.color},
        {**shown, "x": packed(x), "y": packed(y), "line": line, "showlegend": bool(curve.name)},
    ]


def packed(values: Array) -> dict[str, str]:
    """Return an array as plotly takes it with the least work: the bytes of 32 bit floats, in base 64."""
    return {"dtype": "f4", "bdata": b64encode(np.asarray(values, "<f4").tobytes()).decode("ascii")}


def plot1d(curves: Sequence[Curve], *, key: str, xlabel: str, ylabel: str, **options: Any) -> None:
    """Show curves; a second call with the same key changes the plot in place, and a zoom stays.

    Parameters
    ----------
    curves, xlabel, ylabel, **options
        As in :func:`figure1d`.
    key : str
        Name of the plot on the page.
    """
    show(figure1d(curves, xlabel=xlabel, ylabel=ylabel, **options), key=key)


def show(figure: dict[str, Any], *, key: str) -> None:
    """Show a figure of :func:`figure1d` or of :func:`shared_ui.images.figure2d`."""
    _component()(data=json.dumps(figure).encode(), key=key, height=figure["height"])


@cache
def _component() -> Any:
    from streamlit.components.v2 import component

    script = Path(__file__).parent / "static" / "plot.js"
    return component(
        "daisy_plot", html='<div class="daisy-plot"></div>', js=script.read_text(encoding="utf-8"), isolate_styles=False
    )
