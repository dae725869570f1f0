"""Small algorithms, data types and workflows that the tests of the kernel share (imported as ``core.kernel_lab``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daisy_core import Axes, ErrorsOf, Frame, Mask, Param, ParameterModel, Reduction, Unit, algorithm, data, workflow

Array = NDArray[Any]


class Window(ParameterModel):
    """A parameter group."""

    low: Annotated[float, Param("Low", unit="Å", ge=0)] = 0.0
    high: Annotated[float, Param("High", unit="Å", ge=0)] = 10.0


class Recipe(ParameterModel):
    """A parameter group with a group inside."""

    window: Window = Window()
    weights: tuple[float, ...] = (1.0,)
    mode: Literal["mean", "sum"] = "mean"
    npt: Annotated[int, Param("Bins", ge=2)] = 8


@data
class Curve:
    """A measured curve."""

    x: Annotated[Array, Axes("x"), Unit("Å")]
    y: Annotated[Array, Axes("x"), Unit("counts")]
    sigma: Annotated[Array | None, Axes("x"), Unit("counts"), ErrorsOf("y")] = None
    label: str = ""
    notes: tuple[str, ...] = ()


@data
class Report:
    """A data object that holds others."""

    curve: Curve
    recipe: Recipe
    background: Curve | None = None
    scale: Annotated[float, Unit("1")] = 1.0
    parts: tuple[Curve, ...] = ()


class Fit(NamedTuple):
    """Two output ports."""

    curve: Curve
    scale: float


@algorithm(version="1")
def profile(frame: Frame, mask: Mask | None = None, *, npt: Annotated[int, Param("Bins", ge=2)] = 4) -> Curve:
    """Reduce a frame to a curve."""
    values = frame if mask is None else np.where(mask, 0, frame)
    y = np.linspace(0.1, 1.7, npt) * values.mean()
    return Curve(np.arange(npt, dtype=float), y)


@algorithm(version="1")
def scale(curve: Curve, *, factor: Annotated[float, Param("Factor", gt=0, le=100)] = 1.5) -> Curve:
    """Multiply a curve."""
    return Curve(curve.x, curve.y * factor, label=curve.label)


@algorithm(version="1")
def subtract(curve: Curve, backgrounds: Sequence[Curve] = (), *, weight: float = 1.0) -> Curve:
    """Subtract the mean of backgrounds."""
    if not backgrounds:
        return curve
    return Curve(curve.x, curve.y - weight * sum(item.y for item in backgrounds) / len(backgrounds))


@algorithm(version="1")
def fit(curve: Curve, *, recipe: Recipe = Recipe()) -> Fit:  # noqa: B008 - frozen
    """Return two ports."""
    return Fit(Curve(curve.x, curve.y / recipe.npt), float(curve.y.sum() * recipe.window.high))


@algorithm(version="1")
def norm(y: Annotated[Array, Axes("x"), Unit("counts")]) -> float:
    """Take one field of a curve."""
    return float(np.sqrt((y**2).sum()))


@algorithm(version="1")
def correct(frame: Frame, monitor: float, *, power: int = 1) -> Frame:
    """Divide a frame by its monitor count."""
    return frame / monitor**power


@algorithm(version="1")
class total(Reduction[Array, Array, Array]):
    """Sum curves."""

    def __init__(self, *, gain: Annotated[float, Param("Gain", ge=0)] = 1.0) -> None:
        self.gain = gain

    def start(self) -> Array:
        return np.zeros(1)

    def update(self, state: Array, item: Curve, weight: float = 1.0, offset: float = 0.0) -> Array:
        return state + self.gain * weight * item.y + offset

    def merge(self, left: Array, right: Array) -> Array:
        return left + right

    def finish(self, state: Array) -> Array:
        return state


@workflow(version="1")
def reduce_frame(
    frame: Frame,
    backgrounds: Sequence[Frame] = (),
    mask: Mask | None = None,
    *,
    npt: Annotated[int, Param("Bins", ge=2)] = 6,
) -> Curve:
    """Profile of a frame less its backgrounds."""
    curve = profile(frame, mask, npt=npt)
    curves = profile.named("background").map(backgrounds, mask, npt=npt)
    return subtract(curve, curves)


class Reduced(NamedTuple):
    """The outputs of ``reduce_and_fit``."""

    curve: Curve
    scale: float
    length: float


@workflow(version="1")
def reduce_and_fit(
    frame: Frame,
    backgrounds: Sequence[Frame] = (),
    *,
    npt: int = 6,
    recipe: Recipe = Recipe(),  # noqa: B008
) -> Reduced:
    """A workflow in a workflow, with projections."""
    curve = reduce_frame(frame, backgrounds, npt=npt)
    fitted = fit(curve, recipe=recipe)
    return Reduced(fitted.curve, fitted.scale, norm(fitted.curve.y))


@workflow(version="1")
def sum_of_frames(frames: Sequence[Frame], monitors: Sequence[float], *, npt: int = 5, gain: float = 1.0) -> Array:
    """Map, map beside, fold."""
    from daisy_core import each

    corrected = correct.map(frames, each(monitors), over="frame", chunk=2)
    curves = profile.map(corrected, npt=npt)
    return total.reduce(curves, chunk=3, gain=gain)


def frames(count: int = 1, seed: int = 0) -> list[Array]:
    """Noise frames from an explicit seed."""
    generator = np.random.default_rng(seed)
    return [generator.poisson(50, (5, 7)).astype(float) for _ in range(count)]


def same(left: Any, right: Any) -> bool:
    """True if two values have the same types, dtypes and bits."""
    if isinstance(left, np.ndarray):
        return (
            isinstance(right, np.ndarray)
            and left.dtype == right.dtype
            and left.shape == right.shape
            and (left.tobytes() == right.tobytes())
        )
    if hasattr(left, "__daisy_type__"):
        return type(left) is type(right) and all(same(vars(left)[key], vars(right)[key]) for key in vars(left))
    if isinstance(left, (list, tuple)):
        return (
            type(left) is type(right)
            and len(left) == len(right)
            and all(same(a, b) for a, b in zip(left, right, strict=True))
        )
    return type(left) is type(right) and (left == right or (left != left and right != right))
