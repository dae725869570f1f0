"""Lifting over frames, angles, files: ``.map`` makes a lazy sequence, a ``Reduction`` folds one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np

from .algorithm import TRACE, Algorithm, ReductionAlgorithm, resolve_also
from .errors import ParameterError, WorkflowError
from .signature import Port, type_name

A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R")


class Reduction(Generic[A, T, R]):
    """An associative fold: the same on a list, on chunks in parallel, and on a stream.

    Keyword-only arguments of ``__init__`` are the parameters; the second argument of ``update`` is the folded item.

    Examples
    --------
    >>> from daisy_core import algorithm
    >>> @algorithm(version="1")
    ... class total(Reduction[float, float, float]):
    ...     def start(self) -> float:
    ...         return 0.0
    ...     def update(self, state: float, value: float) -> float:
    ...         return state + value
    ...     def merge(self, left: float, right: float) -> float:
    ...         return left + right
    ...     def finish(self, state: float) -> float:
    ...         return state
    >>> total.reduce([1.0, 2.0, 3.0])
    6.0
    """

    def start(self) -> A:
        """Return the state before the first item."""
        raise NotImplementedError

    def update(self, state: A, item: T) -> A:
        """Return the state with one more item; it may change ``state`` in place."""
        raise NotImplementedError

    def merge(self, left: A, right: A) -> A:
        """Return the state of two neighbouring runs of items."""
        raise NotImplementedError

    def finish(self, state: A) -> R:
        """Return the result."""
        raise NotImplementedError


@dataclass(frozen=True)
class Each:
    """A sequence lifted beside the first port; made by :func:`each`."""

    values: Any


def each(values: Any) -> Any:
    """Lift another port beside the first one: ``correct.map(frames, each(monitors))``."""
    return Each(values)


class Mapped(Sequence[R]):
    """The lazy result of ``.map``: items are computed when asked for, and not kept.

    Turn it into a ``list`` to keep the items, or :meth:`stack` it into one array.
    """

    def __init__(self, function: Callable[..., R], lifted: Mapping[int, Sequence[Any]], shared: Mapping[int, Any],
                 params: Mapping[str, Any], over: str) -> None:  # fmt: skip
        self._function = function
        self._lifted = lifted
        self._shared = shared
        self._params = params
        self.over = over
        self._length = len(lifted[0])

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            lifted = {place: values[index] for place, values in self._lifted.items()}
            return Mapped(self._function, lifted, self._shared, self._params, self.over)
        if not -self._length <= index < self._length:
            raise IndexError(f"item {index} of {self._length}")
        at = {**self._shared, **{place: values[index] for place, values in self._lifted.items()}}
        return self._function(*(at[place] for place in sorted(at)), **self._params)

    def __iter__(self) -> Iterator[R]:
        return (self[index] for index in range(self._length))

    def stack(self) -> Any:
        """Stack the items along a new first axis: arrays and numbers by NumPy, data types by their own ``stack``."""
        return stack(list(self))

    def __repr__(self) -> str:
        return f"<lazy sequence of {self._length} along '{self.over}'>"


resolve_also(Mapped)


def stack(items: Sequence[Any]) -> Any:
    """Stack items along a new first axis.

    Raises
    ------
    WorkflowError
        If the items are a data type without a ``stack`` class method.
    """
    if not items:
        raise WorkflowError("nothing to stack: the sequence has no items")
    own = getattr(type(items[0]), "stack", None)
    if own is not None:
        return own(items)
    if hasattr(items[0], "__daisy_type__"):
        raise WorkflowError(
            f"{type_name(type(items[0]))} does not say how to stack; give it a class method stack(items)"
        )
    return np.stack([np.asarray(item) for item in items])


def as_items(owner: str, port: Port, values: Any) -> Sequence[Any]:
    """Return a sequence of items, refusing what has no length or is one item.

    Raises
    ------
    ParameterError
        If the value is not a sequence.
    """
    if (
        isinstance(values, (str, bytes, Mapping))
        or not hasattr(values, "__getitem__")
        or not hasattr(values, "__len__")
    ):
        raise ParameterError(
            f"{owner}: port '{port.name}' is lifted and needs a sequence of items; got {type(values).__name__}"
        )
    return cast("Sequence[Any]", values)


def arrange(algorithm: Algorithm[..., Any], first: Any, others: Iterable[Any],
            keywords: Mapping[str, Any]) -> tuple[dict[str, Any], set[str], dict[str, Any]]:  # fmt: skip
    """Pair the arguments of a lifting with the ports; return values by port, the lifted ports, and the parameters."""
    ports = list(algorithm.ports)
    values = [first, *others]
    if len(values) > len(ports):
        raise ParameterError(f"{algorithm.name} has {len(ports)} input ports, but {len(values)} were given")
    named = {
        **dict(zip(ports, values, strict=False)),
        **{key: value for key, value in keywords.items() if key in ports},
    }
    lifted = {ports[0]} | {name for name, value in named.items() if type(value) is Each}
    params = {name: value for name, value in keywords.items() if name not in ports}
    return {name: value.values if type(value) is Each else value for name, value in named.items()}, lifted, params


def mapped(algorithm: Algorithm[..., R], first: Any, others: Iterable[Any], *, over: str, chunk: int,
           params: Mapping[str, Any]) -> Mapped[R]:  # fmt: skip
    """Lift an algorithm; see :meth:`daisy_core.algorithm.Algorithm.map`."""
    if chunk < 1:
        raise ParameterError(f"{algorithm.name}: chunk must be at least 1; got {chunk}")
    values, lifted, params = arrange(algorithm, first, others, params)
    trace = TRACE.get()
    if trace is not None:
        return trace.lift("map", algorithm, values, params, lifted, over=over, chunk=chunk)
    return eager_map(algorithm, values, lifted, params, over)


def eager_map(
    algorithm: Algorithm[..., R], values: Mapping[str, Any], lifted: set[str], params: Mapping[str, Any], over: str
) -> Mapped[R]:
    """Return the lazy sequence of one call for each item."""
    from .reading import resolve

    places = {name: place for place, name in enumerate(algorithm.ports)}
    defaults = {name: port.default for name, port in algorithm.ports.items() if not port.required}
    full = {**defaults, **values}
    many = {places[name]: as_items(algorithm.name, algorithm.ports[name], full[name]) for name in lifted}
    check_lengths(algorithm.name, {name: many[places[name]] for name in lifted})
    shared = {
        places[name]: resolve(algorithm, algorithm.ports[name], value, params)
        for name, value in full.items()
        if name not in lifted
    }
    if algorithm.parameters:
        algorithm.check_params(params)
    return Mapped(cast("Callable[..., R]", algorithm), many, shared, params, over)


def check_lengths(owner: str, lifted: Mapping[str, Sequence[Any]]) -> int:
    """Return the common number of items of all lifted ports.

    Raises
    ------
    ParameterError
        If the lifted ports have different numbers of items.
    """
    lengths = {name: len(values) for name, values in lifted.items()}
    if len(set(lengths.values())) > 1:
        raise ParameterError(f"{owner}: the lifted ports have different numbers of items: {lengths}")
    return next(iter(lengths.values()))


def reduced(algorithm: ReductionAlgorithm[R], first: Any, others: Iterable[Any], *, over: str, chunk: int,
            params: Mapping[str, Any]) -> R:  # fmt: skip
    """Fold a sequence; see :meth:`daisy_core.algorithm.ReductionAlgorithm.reduce`."""
    if chunk < 1:
        raise ParameterError(f"{algorithm.name}: chunk must be at least 1; got {chunk}")
    values, lifted, params = arrange(algorithm, first, others, params)
    trace = TRACE.get()
    if trace is not None:
        return trace.lift("reduce", algorithm, values, params, lifted, over=over, chunk=chunk)
    return eager_reduce(algorithm, values, lifted, params, chunk)


def eager_reduce(
    algorithm: ReductionAlgorithm[R], values: Mapping[str, Any], lifted: set[str], params: Mapping[str, Any], chunk: int
) -> R:
    """Fold chunk by chunk and merge, exactly as engines do."""
    many = {name: as_items(algorithm.name, algorithm.ports[name], values[name]) for name in lifted}
    length = check_lengths(algorithm.name, many)
    checked = algorithm.check_params(params)
    parts = [
        fold_chunk(
            algorithm,
            {**values, **{name: items[start : start + chunk] for name, items in many.items()}},
            lifted,
            checked,
        )
        for start in range(0, length, chunk)
    ]
    return merge_chunks(algorithm, parts, checked)


def fold_chunk(
    algorithm: ReductionAlgorithm[Any], values: Mapping[str, Any], lifted: set[str], params: Mapping[str, Any]
) -> Any:
    """Return the state after the items of one chunk."""
    from .reading import resolve

    fold = algorithm.cls(**params)
    state = fold.start()
    first = next(iter(algorithm.ports))
    ports = {**algorithm.ports, first: Port(first, algorithm.ports[first].item)}
    shared = {
        name: resolve(algorithm, ports[name], value, params) for name, value in values.items() if name not in lifted
    }
    for index in range(len(values[first])):
        items = {name: values[name][index] for name in lifted}
        at = {name: resolve(algorithm, ports[name], item, params, item=True) for name, item in items.items()}
        state = fold.update(state, at.pop(first), **at, **shared)
    return state


def merge_chunks(algorithm: ReductionAlgorithm[R], states: Sequence[Any], params: Mapping[str, Any]) -> R:
    """Merge chunk states pairwise, neighbours first, and finish: a tree that depends on the chunk bounds alone."""
    fold = algorithm.cls(**params)
    level = list(states)
    while len(level) > 1:
        pairs = [fold.merge(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
    return fold.finish(level[0] if level else fold.start())
