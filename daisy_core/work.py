"""A piece of work that can be handed to anyone: an algorithm, its values and parameters, and where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, cast

from .algorithm import TRACE, Algorithm, ReductionAlgorithm
from .context import CONTEXT, Context
from .graph import Kind
from .lifting import fold_chunk
from .reading import Reading, resolve


@dataclass(frozen=True)
class Work:
    """One call of an algorithm, one chunk of a lifted one, or the reading of a file; it can be pickled."""

    algorithm: Algorithm[..., Any]
    values: Mapping[str, Any]
    params: Mapping[str, Any]
    kind: Kind = "call"
    lifted: tuple[str, ...] = ()
    source: Reading | None = None

    def __call__(self) -> Any:
        """Do it and return the result: one value, the values of a chunk, or the state of a chunk of a fold."""
        if self.source is not None:
            return self.source()
        if self.kind == "call":
            return cast("Callable[..., Any]", self.algorithm.function)(**self._resolved(), **self.params)
        lifted = set(self.lifted)
        if self.kind == "reduce":
            return fold_chunk(cast("ReductionAlgorithm[Any]", self.algorithm), self.values, lifted, self.params)
        shared = {name: value for name, value in self.values.items() if name not in lifted}
        length = len(self.values[self.lifted[0]])
        items = ({name: self.values[name][index] for name in self.lifted} for index in range(length))
        return [self.algorithm(**shared, **item, **self.params) for item in items]

    def _resolved(self) -> dict[str, Any]:
        """Read the paths that an earlier algorithm returned, as a direct call does."""
        ports = self.algorithm.ports
        return {
            name: resolve(self.algorithm, ports[name], value, self.params)
            if isinstance(value, (str, PurePath, list, tuple)) and name in ports else value
            for name, value in self.values.items()
        }  # fmt: skip


def perform(work: Work, context: Context) -> Any:
    """Do a piece of work in a context."""
    token = CONTEXT.set(context)
    trace = TRACE.set(None)
    try:
        return work()
    finally:
        CONTEXT.reset(token)
        TRACE.reset(trace)
