"""Algorithm: a typed function, the smallest unit of processing."""

from __future__ import annotations

import functools
import inspect
import operator
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, cast, overload

from . import registry
from .context import Resources
from .datatypes import app_of
from .errors import ParameterError, WorkflowError
from .signature import REQUIRED, Parameter, Port, Signature, check_shape, read_signature

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .lifting import Mapped, Reduction

P = ParamSpec("P")
R = TypeVar("R")

_NODE_NAME = re.compile(r"[\w-]+\Z")

TRACE: ContextVar[Any] = ContextVar("daisy_trace", default=None)
"""The trace that records algorithm calls into a graph; None while functions simply run."""


class Algorithm(Generic[P, R]):
    """A function with declared ports, parameters and output. Calling it calls the function.

    Made by :func:`algorithm`. Positional arguments are input ports, keyword-only arguments are parameters, the return
    value is the output; from this declaration alone come schema, command line, form and documentation.

    Attributes
    ----------
    name : str
        ``<app>.<function>``, unique in the process.
    version : str
        Raise it when results change; part of the identity of every result.
    resources : Resources
        What one call needs.
    """

    kind = "algorithm"

    def __init__(
        self, function: Callable[P, R], *, name: str, version: str, resources: Resources, reads: Any = None
    ) -> None:
        self.function = function
        self.name = name
        self.version = version
        self.resources = resources
        self.reads = reads
        self.node_name = name.rpartition(".")[2]
        shape = self._shape()
        self._param_names = frozenset(item.name for item in shape if item.kind is item.KEYWORD_ONLY)
        self._required_params = any(item.kind is item.KEYWORD_ONLY and item.default is item.empty for item in shape)
        functools.update_wrapper(cast("Callable[..., Any]", self), function)

    def _shape(self) -> list[inspect.Parameter]:
        return list(check_shape(self.name, self.function).parameters.values())

    # -- calling ------------------------------------------------------------------------------------------------

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function on values; inside a workflow that is being traced, add a node to its graph."""
        trace = TRACE.get()
        if trace is not None:
            return trace.call(self, args, kwargs)
        if kwargs or self._required_params:
            kwargs = cast("Any", self._checked(kwargs))
        for value in args:
            if isinstance(value, _to_resolve):
                args = cast("Any", self._resolved(args, kwargs))
                break
        return self.function(*args, **kwargs)

    def _checked(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Check the parameters among the keywords, read ports given as paths, and return all of them."""
        if self._param_names.issuperset(kwargs):
            return self._validate(kwargs)
        from .reading import resolve

        ports = self.signature.ports
        given = {name: value for name, value in kwargs.items() if name in self._param_names or name not in ports}
        if given or self._required_params:
            given = dict(self._validate(given))
        for name, value in kwargs.items():
            if name in ports:
                given[name] = resolve(self, ports[name], value, given) if isinstance(value, _to_resolve) else value
        return given

    def _resolved(self, args: tuple[Any, ...], params: Mapping[str, Any]) -> tuple[Any, ...]:
        from .reading import resolve

        ports = list(self.signature.ports.values())
        resolved = [resolve(self, port, value, params) for port, value in zip(ports, args, strict=False)]
        return (*resolved, *args[len(ports) :])

    # -- lifting ------------------------------------------------------------------------------------------------

    def map(self, first: Any, *shared: Any, over: str = "item", chunk: int = 1, **params: Any) -> Mapped[R]:
        """Lift the function over the items of its first port; the other ports are shared by all items.

        Parameters
        ----------
        first : sequence
            The items; another port is lifted beside it as ``each(values)``.
        over : str
            Name of the dimension that the items run along.
        chunk : int
            Items of one task of an engine; part of the graph, not of the machine.

        Returns
        -------
        Mapped
            A lazy sequence: items are computed when asked for and not kept.
        """
        from .lifting import mapped

        return mapped(self, first, shared, over=over, chunk=chunk, params=params)

    def named(self, node_name: str) -> Self:
        """Return the same algorithm under another node name, for its second use in a workflow.

        Raises
        ------
        WorkflowError
            If parameters of the node could not be addressed by this name, as ``"node.parameter"``.
        """
        if not _NODE_NAME.match(node_name):
            raise WorkflowError(
                f"'{node_name}' cannot be the name of a node of {self.name}; use letters, digits, '_' and '-'"
            )
        other = self._copy()
        other.node_name = node_name
        return other

    def _copy(self) -> Self:
        """Return a copy; ``copy.copy`` would go through pickling and give the registered object itself."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    # -- declaration --------------------------------------------------------------------------------------------

    @functools.cached_property
    def signature(self) -> Signature:
        """Ports, parameters and output, resolved from the type hints at first use."""
        return read_signature(self.name, self.function)

    @property
    def ports(self) -> dict[str, Port]:
        """The input ports by name, in order."""
        return self.signature.ports

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters by name."""
        return self.signature.parameters

    @functools.cached_property
    def param_model(self) -> type[BaseModel]:
        """The pydantic model of the parameters."""
        from .params import make_model

        fields = {
            item.name: (item.annotation, ... if item.default is REQUIRED else item.default)
            for item in self.parameters.values()
        }
        return make_model(self.name, fields)

    @functools.cached_property
    def _validate(self) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        from .params import validate

        return functools.partial(validate, self.param_model, self.name)

    def check_params(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Check parameter values and return all of them, defaults filled in.

        Raises
        ------
        ParameterError
            Names algorithm, parameter, what was expected and what was given.
        """
        return self._validate(values)

    def check_some_params(self, values: Mapping[str, Any], *, where: str = "") -> None:
        """Check some parameter values, whatever the others are."""
        from .params import validate_some

        validate_some(self.param_model, where or self.name, values)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the parameters, nested ones included."""
        return {**self.param_model.model_json_schema(), "title": self.name}

    @property
    def source_hash(self) -> str:
        """Hash of source text and constants read, part of the identity: an edited function never gives an old answer."""
        from .identity import source_hash

        return source_hash(self.function)

    @property
    def doc(self) -> str:
        """The docstring."""
        return inspect.getdoc(self.function) or ""

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.partition("\n")[0]

    # -- being an object ----------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by registry name."""
        return registry.unpickle, (self.name, self.function.__module__, self.node_name)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Bind like a function when declared inside a class."""
        return self if instance is None else functools.partial(cast("Any", self), instance)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} version {self.version}>"

    def _repr_html_(self) -> str:
        from .views import algorithm_html

        return algorithm_html(self)


_to_resolve: tuple[type, ...] = (str, PurePath, list, tuple)


def resolve_also(*kinds: type) -> None:
    """Name further argument types that a direct call hands to :func:`daisy_core.reading.resolve`."""
    global _to_resolve
    _to_resolve = (*_to_resolve, *kinds)


class ReductionAlgorithm(Algorithm[..., R]):
    """A fold over a sequence, declared by a :class:`~daisy_core.lifting.Reduction` class."""

    kind = "reduction"

    def __init__(self, cls: type[Reduction[Any, Any, R]], **declaration: Any) -> None:
        self.cls = cls
        super().__init__(cast("Callable[..., R]", cls), **declaration)
        self._param_names = frozenset(self._init_params())

    def _shape(self) -> list[inspect.Parameter]:
        return list(check_shape(self.name, self.cls.update, skip_self=True).parameters.values())[1:]

    def _init_params(self) -> dict[str, Parameter]:
        if self.cls.__init__ is object.__init__:
            return {}
        return read_signature(self.name, self.cls.__init__, skip_self=True).parameters

    @functools.cached_property
    def signature(self) -> Signature:
        """The fold as an algorithm: its first port takes the sequence."""
        from collections.abc import Sequence

        update = read_signature(self.name, self.cls.update, skip_self=True)
        (_, first), *others = list(update.ports.items())[1:]
        lifted = Port(first.name, Sequence[first.annotation], REQUIRED)
        output = read_signature(self.name, self.cls.finish, skip_self=True).output
        return Signature({first.name: lifted, **dict(others)}, self._init_params(), output)

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Fold the sequence given as first argument."""
        if not args:
            raise ParameterError(f"{self.name}: the sequence to fold is the first argument")
        return self.reduce(*args, **kwargs)

    def reduce(self, first: Any, *shared: Any, over: str = "item", chunk: int = 32, **params: Any) -> R:
        """Fold the items of a sequence.

        Parameters
        ----------
        first : sequence
            The items; another port runs beside it as ``each(values)``, the rest are shared.
        chunk : int
            Items of one partial fold. Partial results are merged pairwise in a fixed tree, so the result does not
            depend on who computed them.
        """
        from .lifting import reduced

        return reduced(self, first, shared, over=over, chunk=chunk, params=params)


@overload
def algorithm(function: Callable[P, R], /) -> Algorithm[P, R]: ...
@overload
def algorithm(
    *, version: str = ..., name: str | None = ..., resources: Resources | None = ..., reads: Any = ...
) -> _Decorator: ...
def algorithm(
    function: Any = None,
    /,
    *,
    version: str = "1",
    name: str | None = None,
    resources: Resources | None = None,
    reads: Any = None,
) -> Any:
    """Declare a function (or a ``Reduction`` class) as an algorithm.

    Parameters
    ----------
    version : str
        Raise it when results change.
    name : str, optional
        ``<app>.<function>`` by default, from the module and the function.
    resources : Resources, optional
        What one call needs: one CPU by default.
    reads : type, optional
        The algorithm is a reader: its first port is the file, and any port of this type then accepts a path.

    Raises
    ------
    ParameterError
        If a parameter has no JSON schema.
    WorkflowError
        If the signature has ``*args``, ``**kwargs`` or positional-only arguments.

    Examples
    --------
    >>> @algorithm(version="1")
    ... def scale(values: list, *, factor: float = 2.0) -> list:
    ...     return [factor * value for value in values]
    >>> scale([1.0, 2.0], factor=3.0)
    [3.0, 6.0]
    """

    def declare(target: Any) -> Any:
        full = name or f"{app_of(target.__module__)}.{target.__name__}"
        declaration: dict[str, Any] = {
            "name": full,
            "version": version,
            "resources": resources or Resources(),
            "reads": reads,
        }
        made = (
            ReductionAlgorithm(cast("Any", target), **declaration)
            if isinstance(target, type)
            else Algorithm(target, **declaration)
        )
        _check_declaration(made)
        registry.register(made)
        return made

    return declare if function is None else declare(function)


def _check_declaration(made: Algorithm[..., Any]) -> None:
    """Refuse parameters that are not JSON, and wrong defaults; with names that are defined later, at first use."""
    try:
        parameters = made.parameters
    except WorkflowError as error:
        if isinstance(error.__cause__, NameError):
            return
        raise
    if not all(_plainly_right(item) for item in parameters.values()):
        _ = made.param_model


def _plainly_right(item: Parameter) -> bool:
    """True for a number, text or bool with a good default, so that most declarations build no pydantic model at import."""
    marked = hasattr(item.annotation, "__metadata__")
    kind = item.annotation.__origin__ if marked else item.annotation
    if kind not in (int, float, str, bool):
        return False
    return item.default is REQUIRED or (
        type(item.default) is kind
        and all(getattr(operator, name)(item.default, at) for name, at in item.param.bounds().items())
    )


class _Decorator:
    """The type of ``@algorithm(version="1")``: functions keep their signature, Reduction classes become folds."""

    @overload
    def __call__(self, function: type[Reduction[Any, Any, R]], /) -> ReductionAlgorithm[R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Algorithm[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        raise NotImplementedError
