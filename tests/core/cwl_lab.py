"""A technique in one file, as a beamline scientist writes it: what the CWL tests export and run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daisy_core import (
    Axes,
    ErrorsOf,
    File,
    Frame,
    Mask,
    Param,
    ParameterModel,
    Reduction,
    Resources,
    Unit,
    algorithm,
    data,
    each,
    workflow,
)

Array = NDArray[Any]


class Window(ParameterModel):
    """A range."""

    low: Annotated[float, Param("Low", unit="Å", ge=0)] = 0.0
    high: Annotated[float | None, Param("High", unit="Å")] = 10.0


class Recipe(ParameterModel):
    """A group with a group inside."""

    window: Window = Window()
    weights: tuple[float, ...] = (1.0, -1e-05)
    mode: Literal["mean", "sum", "8"] = "mean"
    column: Annotated[int | None, Param("Column", reader=True, ge=1)] = None


@data
class Curve:
    """A measured curve."""

    x: Annotated[Array, Axes("x"), Unit("Å")]
    y: Annotated[Array, Axes("x"), Unit("counts")]
    sigma: Annotated[Array | None, Axes("x"), Unit("counts"), ErrorsOf("y")] = None
    label: str = ""


class Fit(NamedTuple):
    """Two output ports."""

    curve: Curve
    scale: float


@algorithm(version="1", reads=Curve)
def read_curve(path: File, *, column: Annotated[int, Param("Column", ge=1)] = 1) -> Curve:
    """Read columns of text."""
    table = np.loadtxt(path, ndmin=2)
    return Curve(table[:, 0], table[:, column], label=path.name)


@algorithm(version="1", resources=Resources(cpus=1, memory="100 MB", walltime="00:05:00"))
def profile(frame: Frame, mask: Mask | None = None, *, npt: Annotated[int, Param("Bins", ge=2)] = 4) -> Curve:
    """Reduce a frame to a curve."""
    values = frame if mask is None else np.where(mask, 0, frame)
    y = np.linspace(0.1, 1.7, npt) * values.mean()
    return Curve(np.arange(npt, dtype=float), y, np.sqrt(y), label="profile")


@algorithm(version="1")
def stack(frame: Frame, *, count: int = 5) -> Annotated[Array, Axes("frame", "y", "x")]:
    """Several frames in one array."""
    return np.stack([frame * (1 + 0.1 * index) for index in range(count)])


@algorithm(version="1")
def scaled(curve: Curve, factor: float = 2.0, *, limit: float | None = 5.0, power: int = 1) -> Curve:
    """Multiply a curve; without a limit there is none."""
    y = curve.y * factor**power
    return Curve(curve.x, y if limit is None else np.minimum(y, limit * 1e6), label=f"limit {limit}")


@algorithm(version="1")
def fit(curve: Curve, *, recipe: Annotated[Recipe, Param("Recipe")] = Recipe(), big: int = 2**40) -> Fit:  # noqa: B008
    """Give two outputs."""
    high = 0.0 if recipe.window.high is None else recipe.window.high
    scale = float(curve.y.sum() * high + sum(recipe.weights) + (big % 7))
    return Fit(Curve(curve.x, curve.y / 3, label=recipe.mode), scale)


@algorithm(version="1")
def norm(y: Annotated[Array, Axes("x"), Unit("counts")]) -> float:
    """Take one field of a curve."""
    return float(np.sqrt((y**2).sum()))


@algorithm(version="1")
def subtract(curve: Curve, backgrounds: Sequence[Curve] = (), *, weight: float = 1.0) -> Curve:
    """Subtract the mean of backgrounds."""
    if not backgrounds:
        return curve
    return Curve(curve.x, curve.y - weight * sum(item.y for item in backgrounds) / len(backgrounds), label=curve.label)


@algorithm(version="1")
def monitor(frame: Frame) -> float:
    """One number of a frame."""
    return float(frame.max() / 7)


@algorithm(version="1")
def correct(frame: Frame, monitor: float, *, power: int = 1) -> Frame:
    """Divide a frame by its monitor count."""
    return frame / monitor**power


@algorithm(version="1")
def describe(file: File, words: Sequence[str] = ("a", "b"), anything: Any = None) -> str:
    """Text from a path, text and whatever."""
    return f"{file.name}: {len(file.read_bytes())} bytes, {list(words)}, {anything!r}"


@algorithm(version="1")
class total(Reduction[Array, Curve, Array]):
    """Sum curves."""

    def __init__(self, *, gain: Annotated[float, Param("Gain", ge=0)] = 1.0) -> None:
        self.gain = gain

    def start(self) -> Array:
        return np.zeros(1)

    def update(self, state: Array, item: Curve, weight: float = 1.0, offset: float = 0.0) -> Array:
        return state + self.gain * weight * item.y + offset

    def merge(self, left: Array, right: Array) -> Array:
        return left + right * 1.0000001

    def finish(self, state: Array) -> Array:
        return state


@workflow(version="1")
def reduce_frame(
    frame: Frame, backgrounds: Sequence[Frame] = (), mask: Mask | None = None, *, npt: Annotated[int, Param("Bins", ge=2)] = 6
) -> Curve:  # fmt: skip
    """Profile of a frame less its backgrounds."""
    curve = profile(frame, mask, npt=npt)
    curves = profile.named("background").map(backgrounds, mask, npt=npt)
    return subtract(curve, curves)


class Everything(NamedTuple):
    """The outputs of ``everything``."""

    curve: Curve
    scale: float
    length: float
    sum: Array
    smooth: list[Curve]
    together: Curve
    text: str


@workflow(version="1")
def everything(
    frame: Frame,
    frames: Sequence[Frame],
    weights: Sequence[float],
    note: File,
    mask: Mask | None = None,
    words: Sequence[str] = (),
    *,
    npt: int = 6,
    limit: float | None = None,
    recipe: Annotated[Recipe, Param("Recipe")] = Recipe(),  # noqa: B008
) -> Everything:
    """Nesting, projection, maps over files and over ranges of one file, folds, lists and several outputs."""
    curve = reduce_frame(frame, frames, mask, npt=npt)
    fitted = fit(curve, recipe=recipe)
    corrected = correct.map(frames, each(monitor.map(frames)), over="frame", chunk=2)
    of_files = profile.named("of_files").map(corrected, npt=npt)
    of_ranges = profile.named("of_ranges").map(stack(frame), npt=npt, chunk=2, over="frame")
    smooth = scaled.map(of_ranges, limit=limit, chunk=3)
    both = total.reduce(of_files, each(weights), chunk=2, gain=recipe.window.low)
    alone = scaled.named("alone")(fitted.curve, fitted.scale, limit=None)
    together = subtract.named("together")(curve, [fitted.curve, alone])
    return Everything(
        fitted.curve, fitted.scale, norm(fitted.curve.y), both, smooth, together, describe(note, words, fitted.scale)
    )


@workflow(version="1")
def of_curves(curve: Curve, others: Sequence[Curve], *, recipe: Annotated[Recipe, Param("Recipe")] = Recipe()) -> Curve:  # noqa: B008
    """Read curves, with parameters that are defaults of their reader; map a workflow."""
    lengths = total.reduce(others, chunk=2)
    reduced = shrink.map(others, chunk=2)
    return shift(subtract(curve, reduced, weight=0.5), lengths, norm(curve.y))


@algorithm(version="1")
def shift(curve: Curve, by: Array, length: float) -> Curve:
    """Add."""
    return Curve(curve.x, curve.y + by[: len(curve.y)] / length)


@workflow(version="1")
def shrink(curve: Curve, *, factor: float = 0.25) -> Curve:
    """A workflow that is lifted."""
    return subtract(scaled(curve, power=2), [curve], weight=factor)


@algorithm(version="1")
def apply(curve: Curve, function: Callable[[Array], Array]) -> Curve:
    """Take what no file can hold."""
    return Curve(curve.x, function(curve.y))


class Small(NamedTuple):
    """The outputs of ``small``."""

    sum: Array
    length: float


@workflow(version="1")
def small(frame: Frame, frames: Sequence[Frame], *, npt: int = 6, gain: float = 0.5) -> Small:
    """A nested workflow, a map, a fold and a projection."""
    curve = reduce_frame(frame, frames, npt=npt)
    curves = profile.named("again").map(frames, npt=npt)
    return Small(total.reduce(curves, chunk=2, gain=gain), norm(curve.y))


@workflow(version="1")
def of_stack(frames: Sequence[Frame], *, npt: int = 6) -> Array:
    """A map over the frames of one file."""
    return total.reduce(profile.map(frames, npt=npt, over="frame", chunk=2), chunk=2)


@workflow(version="1")
def branching(
    frame: Frame, mask: Mask | None = None, *, smooth: Annotated[bool, Param("Smooth", structural=True)] = False
) -> Curve:
    """The graph depends on a parameter, and on whether there is a mask."""
    curve = profile(frame) if mask is None else scaled.named("masked")(profile(frame, mask))
    return scaled.named("smooth")(curve) if smooth else curve


@workflow(version="1")
def whole_tuple(curve: Curve) -> float:
    """Hands two outputs on as one."""
    return unpack(fit(curve))


@algorithm(version="1")
def unpack(fit: Fit) -> float:
    """Take a NamedTuple."""
    return fit.scale


@algorithm(version="1")
def huge(*, number: int = 2**70) -> int:
    """Have a default beyond 64 bits."""
    return number


@algorithm(version="1")
def opaque(curve: Curve) -> Callable[[], None]:
    """Give what no file can hold."""
    raise NotImplementedError


@algorithm(version="1")
def grouped(
    *,
    recipes: tuple[Recipe, ...] = (Recipe(),),
    window: Window | None = None,
    table: dict[str, float] = {},  # noqa: B006
) -> str:
    """Parameters that CWL cannot spell out."""
    return f"{[item.mode for item in recipes]} {window} {table}"


@algorithm(version="1", resources=Resources(ranks=2))
def gang(*, x: float = 1.0) -> float:
    """Need two processes at once."""
    return x
