# pyright: reportPrivateUsage=false
"""Symbols and the trace: how the body of a workflow becomes a graph, and why it can never be silently wrong."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, cast

from .algorithm import TRACE, Algorithm
from .errors import ParameterError, WorkflowError
from .graph import Binding, Const, Graph, Kind, Node, Ref, Several
from .params import to_json
from .signature import Parameter, field_type, is_named_tuple, mismatch, type_name

if TYPE_CHECKING:
    from collections.abc import Generator

_ADVICE = "a workflow body only passes values on; do this inside an algorithm"
_FORBIDDEN = {
    "truth value": ["__bool__"],
    "comparison": ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"],
    "arithmetic": [
        *(f"__{side}{name}__" for side in ("", "r", "i")
          for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")),
        "__divmod__", "__rdivmod__", "__neg__", "__pos__", "__abs__", "__invert__", "__round__", "__trunc__",
    ],
    "number": ["__int__", "__float__", "__complex__", "__index__"],
    "iteration": ["__iter__", "__next__", "__reversed__"],
    "len": ["__len__"],
    "membership": ["__contains__"],
    "indexing": ["__getitem__", "__setitem__", "__delitem__"],
    "text": ["__format__", "__str__", "__bytes__"],
    "array": ["__array__", "__array_ufunc__", "__array_function__", "__buffer__"],
    "call": ["__call__"],
    "with": ["__enter__", "__exit__"],
    "deletion of a field": ["__delattr__"],
    "copying": ["__reduce_ex__"],
    "look-up (hash)": ["__hash__"],
}  # fmt: skip


class Symbol:
    """Stands for a value while a workflow is traced: it can be passed on, whole or by field, and nothing else."""

    __slots__ = ("_annotation", "_is_param", "_ref", "_trace")

    def __init__(self, trace: Trace, ref: Ref, annotation: Any, *, is_param: bool = False) -> None:
        self._trace = trace
        self._ref = ref
        self._annotation = annotation
        self._is_param = is_param

    def __getattr__(self, name: str) -> Symbol:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            inner = field_type(self._annotation, name)
        except KeyError as error:
            fields = ", ".join(error.args[0])
            known = f"its fields: {fields}" if fields else f"{type_name(self._annotation)} has no fields"
            raise self._trace.error(f"'.{name}' of '{self._ref}' is not a field that can be linked; {known}") from None
        return Symbol(self._trace, Ref(self._ref.node, (*self._ref.path, name)), inner, is_param=self._is_param)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in Symbol.__slots__:
            object.__setattr__(self, name, value)
        else:
            raise self._trace.error(f"'{self._ref}.{name} = ...' on a symbol; {_ADVICE}")

    @property
    def __class__(self) -> NoReturn:  # type: ignore[override]
        """Refuse ``isinstance(symbol, np.ndarray)``, which would answer False where the value answers True.

        ``isinstance(value, Symbol)`` looks at the type alone and is not refused.
        """
        self.refuse("type test")

    def __repr__(self) -> str:
        if self._trace.is_active:
            self.refuse("text")
        return self._shown()

    def _shown(self) -> str:
        return f"<symbol {self._ref}: {type_name(self._annotation)}>"

    def refuse(self, what: str) -> NoReturn:
        """Raise the error of a forbidden use, with the source line."""
        kind = "parameter" if self._is_param else "value"
        advice = (
            "declare it Param(structural=True)" if self._is_param and what in ("truth value", "comparison") else _ADVICE
        )
        raise self._trace.error(
            f"{what} of '{self._ref}', a {kind} that is not known while the graph is traced; {advice}"
        )


def _forbid(what: str) -> Callable[..., Any]:
    def refused(self: Symbol, *_: Any, **__: Any) -> NoReturn:
        self.refuse(what)

    return refused


for _what, _names in _FORBIDDEN.items():
    for _name in _names:
        setattr(Symbol, _name, _forbid(_what))


def _holds_symbol(value: Any) -> bool:
    if isinstance(value, Symbol):
        return True
    if isinstance(value, (list, tuple)):
        return any(_holds_symbol(item) for item in cast("list[Any]", value))
    if isinstance(value, Mapping):
        return any(_holds_symbol(item) for item in cast("Mapping[Any, Any]", value).values())
    return False


class Trace:
    """Records the algorithm calls of a workflow body as the nodes of a graph."""

    def __init__(self, name: str, version: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.version = version
        self._file = function.__code__.co_filename
        self._nodes: dict[str, Node] = {}
        self._uses: dict[str, str] = {}
        self._fault: WorkflowError | None = None
        self.is_active = False

    def where(self) -> str:
        """Return ``workflow (file:line: source)`` of the line of the body that is running."""
        return f"{self.name}{self._line()}"

    def error(self, message: str) -> WorkflowError:
        """Return the error of a wrong use at the running line; a body that catches it does not get away with it."""
        fault = WorkflowError(f"{self.where()}: {message}")
        for trace in {id(item): item for item in (self, TRACE.get()) if item is not None}.values():
            trace._fault = trace._fault or fault
        return fault

    def _line(self) -> str:
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != self._file:
            frame = frame.f_back
        if frame is None:
            return ""
        text = linecache.getline(self._file, frame.f_lineno).strip()
        return f" ({self._file}:{frame.f_lineno}: {text})"

    # -- recording ----------------------------------------------------------------------------------------------

    def call(self, algorithm: Algorithm[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Record a call as a node and return the symbol of its output."""
        ports = list(algorithm.ports)
        if len(args) > len(ports):
            raise self.error(f"{algorithm.name} has {len(ports)} inputs, but {len(args)} were given")
        values = dict(zip(ports, args, strict=False))
        params: dict[str, Any] = {}
        for name, value in kwargs.items():
            if name in values:
                raise self.error(f"{algorithm.name} got '{name}' twice")
            (values if name in ports else params)[name] = value
        lifted: set[str] = {ports[0]} if algorithm.kind == "reduction" else set()
        kind: Kind = "reduce" if algorithm.kind == "reduction" else "call"
        return self.lift(kind, algorithm, values, params, lifted, over="item", chunk=32 if kind == "reduce" else 1)

    def lift(self, kind: Kind, algorithm: Algorithm[..., Any], values: Mapping[str, Any], params: Mapping[str, Any],
             lifted: set[str], *, over: str, chunk: int) -> Any:  # fmt: skip
        """Record a call, a map or a fold as a node and return the symbol of its output."""
        node_id = algorithm.node_name
        if node_id in self._nodes:
            raise self.error(
                f"a second node '{node_id}' (first at{self._uses[node_id]}); "
                f'give this use a name of its own: {node_id}.named("...")'
            )
        if chunk < 1:
            raise ParameterError(f"{self.where()}: chunk must be at least 1; got {chunk}")
        node = Node(
            node_id,
            algorithm,
            {name: self._input(algorithm, name, value) for name, value in values.items()},
            {name: self._param(algorithm, name, value) for name, value in params.items()},
            kind,
            tuple(name for name in algorithm.ports if name in lifted) if kind != "call" else (),
            over if kind != "call" else "",
            chunk,
            self._line(),
        )
        self._nodes[node_id] = node
        self._uses[node_id] = node.line
        return Symbol(self, Ref(node_id), node.output)

    def _input(self, algorithm: Algorithm[..., Any], name: str, value: Any) -> Binding:
        if isinstance(value, Symbol):
            if value._is_param:
                raise self.error(f"parameter '{value._ref}' cannot feed the input '{name}' of {algorithm.name}")
            return self._own(value)
        if isinstance(value, (list, tuple)):
            items = cast("list[Any]", value)
            if items and all(isinstance(item, Symbol) for item in items):
                return Several(tuple(self._own(item) for item in items))
            if not items:
                return Const(value)
        if value is None:
            return Const(None)
        raise self.error(
            f"input '{name}' of {algorithm.name} is a {type(value).__name__} that the workflow makes itself; "
            "make it an input of the workflow, or the result of an algorithm"
        )

    def _param(self, algorithm: Algorithm[..., Any], name: str, value: Any) -> Binding:
        if isinstance(value, Symbol):
            if not value._is_param:
                raise self.error(
                    f"parameter '{name}' of {algorithm.name} cannot come from '{value._ref}': "
                    "what is computed from data enters by an input port"
                )
            return self._own(value)
        if _holds_symbol(value):
            raise self.error(
                f"parameter '{name}' of {algorithm.name} is put together from values that are not known while "
                "the graph is traced; pass a parameter on whole, or declare it Param(structural=True)"
            )
        return Const(value if hasattr(value, "model_dump") else to_json(value))

    def _own(self, symbol: Symbol) -> Ref:
        if symbol._trace is not self:
            raise self.error(f"'{symbol._shown()}' belongs to another workflow")
        return symbol._ref

    # -- the whole body -----------------------------------------------------------------------------------------

    @contextmanager
    def active(self) -> Generator[None]:
        """Record the algorithm calls of this thread."""
        token = TRACE.set(self)
        self.is_active = True
        try:
            yield
        finally:
            self.is_active = False
            TRACE.reset(token)

    def finish(self, returned: Any, inputs: Mapping[str, Any], parameters: Mapping[str, Parameter], structural: Mapping[str, Any],
               declared: Any) -> Graph:  # fmt: skip
        """Return the checked graph of what was recorded."""
        if self._fault is not None:
            raise self._fault
        if isinstance(returned, Symbol):
            output: Ref | dict[str, Ref] = self._own(returned)
        elif is_named_tuple(type(returned)) and all(isinstance(item, Symbol) for item in returned):
            output = {name: self._own(item) for name, item in zip(returned._fields, returned, strict=True)}
        else:
            raise WorkflowError(
                f"{self.name} returns {type(returned).__name__} ({returned!r:.60}); return the result of an algorithm, "
                f"or a NamedTuple of results{'' if declared is Any else f' as declared ({type_name(declared)})'}"
            )
        graph = Graph(self.name, self.version, inputs, parameters, self._nodes, output, structural).validate()
        _check_declared(graph, type(returned) if isinstance(output, dict) else graph.type_of(output), declared)
        return graph


def _check_declared(graph: Graph, kind: Any, declared: Any) -> None:
    """Check that a workflow returns what it declares: another workflow is linked to the declaration."""
    if declared is Any and is_named_tuple(kind):
        raise WorkflowError(f"{graph.name} returns several ports; declare them: '-> {kind.__name__}'")
    if is_named_tuple(declared) and kind is declared and not isinstance(graph.output, Ref):
        pairs = [(f"'{name}' ", graph.type_of(graph.output[name]), field_type(declared, name)) for name in graph.output]
    else:
        pairs = [("", kind, declared)]
    for name, given, wanted in pairs:
        reason = mismatch(given, wanted)
        if reason:
            raise WorkflowError(f"{graph.name}: the output {name}is not what is declared: {reason}")
