"""Workflow: a graph of algorithms that is itself an algorithm."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, ParamSpec, Self, TypeVar, cast, overload

from . import registry
from .algorithm import TRACE, Algorithm
from .body import check_body
from .code import what_it_is_made_of
from .context import Resources
from .datatypes import app_of
from .errors import ParameterError, WorkflowError
from .graph import FORMAT, Binding, Const, Graph, Node, Ref, Several
from .identity import digest, distribution_version, source_hash
from .markers import Param
from .params import to_json
from .signature import REQUIRED, Parameter, Port, Signature, type_named
from .tracing import Symbol, Trace

P = ParamSpec("P")
R = TypeVar("R")


class Workflow(Algorithm[P, R]):
    """A graph of algorithms that is itself an algorithm: called, lifted, nested and run like one.

    Made by :func:`workflow` from a function, or by :meth:`from_json` from a file. Called directly, the body runs as
    ordinary Python; an engine runs its graph.
    """

    kind = "workflow"

    def __init__(
        self, function: Callable[P, R], *, name: str, version: str, resources: Resources, graph: Graph | None = None
    ) -> None:
        self._graphs: dict[str, Graph] = {}
        self._fixed = graph
        self._overrides: dict[str, Any] = {}
        super().__init__(function, name=name, version=version, resources=resources)
        if graph is not None:
            self._param_names = frozenset(graph.parameters)
            self._required_params = any(item.default is REQUIRED for item in graph.parameters.values())

    @property
    def is_from_json(self) -> bool:
        """True for a workflow that is a graph alone, without a Python function."""
        return self._fixed is not None

    # -- calling ------------------------------------------------------------------------------------------------

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the body on values; node parameters set by :meth:`with_params` take part."""
        if TRACE.get() is None and (self._overrides or self._fixed is not None):
            return self._run_graph(args, kwargs)
        return super().__call__(*args, **kwargs)

    def _run_graph(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        from .engine import WorkflowEngine

        ports = list(self.ports)
        if len(args) > len(ports):
            raise ParameterError(f"{self.name} has {len(ports)} inputs, but {len(args)} were given")
        inputs = {
            **dict(zip(ports, args, strict=False)),
            **{name: value for name, value in kwargs.items() if name in ports},
        }
        params = {name: value for name, value in kwargs.items() if name not in ports}
        run = WorkflowEngine("inline").submit(self, inputs, params)
        if run.error is not None:
            raise run.error
        return run.result()

    # -- parameters of nodes ------------------------------------------------------------------------------------

    def with_params(self, values: Mapping[str, Any]) -> Self:
        """Return the workflow with some parameters set, those of its nodes as ``"node.parameter"``.

        Raises
        ------
        ParameterError
            If a name is unknown or bound by the workflow itself, or a value is refused.
        """
        other = self._copy()
        other._overrides = {**self._overrides, **values}
        own = {name: value for name, value in values.items() if name in self.parameters}
        if own:
            self.check_some_params(own)
        nodes = {name: value for name, value in values.items() if name not in self.parameters}
        other.check_node_params(nodes)
        return other

    @property
    def overrides(self) -> Mapping[str, Any]:
        """Parameters that were set by :meth:`with_params`."""
        return self._overrides

    def node_parameters(self) -> dict[str, Parameter]:
        """Return the parameters of nodes that the workflow leaves open, as ``"node.parameter"``."""
        return self._node_parameters(self._graph_views())

    def _node_parameters(self, views: Iterable[Graph]) -> dict[str, Parameter]:
        found: dict[str, Parameter] = {}
        for view in views:
            for name, (node, inner) in view.addressable().items():
                known = node.algorithm.parameters
                if name not in found:
                    found[name] = known[inner] if inner in known else _inner(node).node_parameters()[inner]
        return found

    def _graph_views(self) -> list[Graph]:
        """Return the graph with all inputs and the one with the required inputs alone: together they have all nodes."""
        full = self.full_graph()
        required = [name for name, port in self.ports.items() if port.required]
        return [full] if len(required) == len(self.ports) else [full, self.graph(required, self._own_overrides())]

    def check_node_params(self, values: Mapping[str, Any], graph: Graph | None = None) -> None:
        """Check parameters addressed to nodes.

        Parameters
        ----------
        graph : Graph, optional
            The graph that is to be run, whose nodes can be addressed as well.

        Raises
        ------
        ParameterError
            If a name is unknown or bound by the workflow itself, or a value is refused.
        """
        if not values:
            return
        views = self._graph_views() + ([graph] if graph is not None else [])
        open_params = self._node_parameters(views)
        for name, value in values.items():
            node_id, _, inner = name.partition(".")
            node = next((view.nodes[node_id] for view in views if node_id in view.nodes), None)
            if node is None or name not in open_params:
                if node is not None and inner in node.params:
                    raise ParameterError(
                        f"{self.name}: parameter '{name}' is bound by the workflow and cannot be set from outside"
                    )
                known = [*self.parameters, *open_params]
                raise ParameterError(f"{self.name}: unknown parameter '{name}'{registry.suggest(name, known)}")
            if inner in node.algorithm.parameters:
                node.algorithm.check_some_params({inner: value}, where=f"{self.name}: node '{node_id}'")
            else:
                _inner(node).check_node_params({inner: value})

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the parameters, those of nodes as ``"node.parameter"``."""
        from .params import make_model

        own = super().schema()
        nested = self.node_parameters()
        if nested:
            fields = {
                name: (item.annotation, ... if item.default is REQUIRED else item.default)
                for name, item in nested.items()
            }
            safe = {f"p{index}": value for index, value in enumerate(fields.values())}
            inner = make_model(self.name, safe).model_json_schema()
            properties = {
                name: {**inner["properties"][key], "title": nested[name].param.title or name}
                for name, key in zip(fields, safe, strict=True)
            }
            own["properties"] = {**own.get("properties", {}), **properties}
            own["$defs"] = {**own.get("$defs", {}), **inner.get("$defs", {})}
            required = [name for name, key in zip(fields, safe, strict=True) if key in inner.get("required", ())]
            own["required"] = [*own.get("required", ()), *required]
        return {key: value for key, value in own.items() if value not in ({}, [])}

    # -- graph --------------------------------------------------------------------------------------------------

    def graph(self, given: Iterable[str] | None = None, params: Mapping[str, Any] | None = None) -> Graph:
        """Return the checked graph for a set of given inputs.

        Parameters
        ----------
        given : iterable of str, optional
            Names of the inputs that have a value; all by default. An absent optional input is its default in the body.
        params : mapping, optional
            Values of the structural parameters, where they differ from the defaults.

        Raises
        ------
        WorkflowError
            If the body cannot become a graph; the message has the source line.
        """
        if self._fixed is not None:
            return self._fixed
        names = frozenset(self.ports) if given is None else frozenset(given)
        for name in names.difference(self.ports):
            raise ParameterError(f"{self.name}: there is no input '{name}'{registry.suggest(name, self.ports)}")
        absent = [name for name, port in self.ports.items() if port.required and name not in names]
        if absent:
            raise ParameterError(f"{self.name}: input '{absent[0]}' is required")
        structural = self._structural(params or {})
        key = json.dumps(
            [sorted(names), structural, what_it_is_made_of(self.function, containers=True)], sort_keys=True, default=str
        )
        if key not in self._graphs:
            self._graphs[key] = self._trace(names, structural)
        return self._graphs[key]

    def full_graph(self) -> Graph:
        """Return the graph with all inputs given and structural parameters at their defaults."""
        return self.graph(None, self._own_overrides())

    def _own_overrides(self) -> dict[str, Any]:
        return {name: value for name, value in self._overrides.items() if "." not in name}

    def _structural(self, params: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, item in self.parameters.items():
            if item.param.structural:
                value = params.get(name, item.default)
                if value is REQUIRED:
                    raise ParameterError(
                        f"{self.name}: structural parameter '{name}' needs a value before the graph can be built"
                    )
                found[name] = value
        return found

    def _trace(self, given: frozenset[str], structural: Mapping[str, Any]) -> Graph:
        optional = [name for name, port in self.ports.items() if port.default is None]
        check_body(self.name, self.function, optional, structural)
        trace = Trace(self.name, self.version, self.function)
        inputs = {name: port.annotation for name, port in self.ports.items() if name in given}
        values = {
            name: Symbol(trace, Ref(None, (name,)), port.annotation) if name in given else port.default
            for name, port in self.ports.items()
        }
        params = {
            name: structural[name]
            if name in structural
            else Symbol(trace, Ref(None, (name,)), item.annotation, is_param=True)
            for name, item in self.parameters.items()
        }
        with trace.active():
            returned = cast("Callable[..., Any]", self.function)(**values, **params)
        return trace.finish(returned, inputs, self.parameters, structural, self.signature.output)

    # -- JSON ---------------------------------------------------------------------------------------------------

    def to_json(self, given: Iterable[str] | None = None) -> str:
        """Return the graph for a set of given inputs as JSON text, with the parameters set by :meth:`with_params`."""
        graph = self.graph(given, self._own_overrides())
        content = graph.to_json()
        overrides = {
            name: to_json(value)
            for name, value in self._overrides.items()
            if name not in graph.structural and (name in graph.parameters or name.partition(".")[0] in graph.nodes)
        }
        if overrides:
            content["with_params"] = overrides
        return json.dumps(content, indent=2, ensure_ascii=False)

    @staticmethod
    def from_json(text: str | Mapping[str, Any]) -> Workflow[..., Any]:
        """Make a workflow from JSON: its algorithms are found by name, its graph is checked.

        Raises
        ------
        WorkflowError
            If the text is not a workflow, or its graph is not valid.
        """
        try:
            content: Mapping[str, Any] = json.loads(text) if isinstance(text, str) else text
        except json.JSONDecodeError as error:
            raise WorkflowError(f"not a workflow: the text is not JSON ({error})") from None
        try:
            return _from_content(content)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise WorkflowError(f"not a workflow: {type(error).__name__} at {error}") from error

    @functools.cached_property
    def signature(self) -> Signature:
        """Ports, parameters and output; of a workflow from JSON, as its nodes need them."""
        if self._fixed is None:
            return cast("Signature", cast("Any", super()).signature)
        ports = {name: Port(name, annotation) for name, annotation in self._fixed.inputs.items()}
        refs = self._fixed.output_refs
        output = (
            self._fixed.type_of(refs["result"]) if isinstance(self._fixed.output, Ref) else _tuple_class(self._fixed)
        )
        return Signature(ports, dict(self._fixed.parameters), output)

    @property
    def source_hash(self) -> str:
        """Hash of what the workflow is made of: source, graphs, set parameters, and the algorithms of its nodes."""
        views = self._graph_views()
        nodes = {node.id: node.algorithm for view in views for node in view.nodes.values()}
        return digest([
            source_hash(self.function) if self._fixed is None else "",
            [view.to_json() for view in views],
            self._overrides,
            [[name, made.name, made.version, made.source_hash, distribution_version(made.function.__module__)]
             for name, made in sorted(nodes.items())],
        ])[:16]  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by registry name, or by JSON where there is no function."""
        if self._fixed is not None:
            return _unpickle, (self.to_json(), self._overrides)
        return _unpickle, (super().__reduce__(), self._overrides)

    def _repr_html_(self) -> str:
        from .views import workflow_html

        return workflow_html(self)


def _inner(node: Node) -> Workflow[..., Any]:
    return cast("Workflow[..., Any]", node.algorithm)


def _unpickle(made_from: Any, overrides: Mapping[str, Any]) -> Workflow[..., Any]:
    """Return a workflow when it is unpickled, from its JSON or by its registry name, with its parameters set."""
    found = Workflow.from_json(made_from) if isinstance(made_from, str) else made_from[0](*made_from[1])
    return found.with_params(overrides) if overrides else found


def _from_content(content: Mapping[str, Any]) -> Workflow[..., Any]:
    name = content["workflow"]
    if content["daisy"] != FORMAT:
        raise WorkflowError(
            f"{name}: this workflow is of format {content['daisy']}, this version reads format {FORMAT}"
        )
    _check_keys(name, content, _KEYS)
    nodes: dict[str, Node] = {}
    for item in content["nodes"]:
        _check_keys(f"{name}: node '{item['id']}'", item, _NODE_KEYS)
        if item["id"] in nodes:
            raise WorkflowError(f"{name}: two nodes are called '{item['id']}'")
        nodes[item["id"]] = _node(name, item)
    graph = Graph(name, content["version"], _input_types(content["inputs"], nodes), _parameters(content, nodes), nodes,
                  _output(content["output"]), content.get("structural", {})).validate()  # fmt: skip

    def body(*_: Any, **__: Any) -> Any:
        raise WorkflowError(f"{name} was loaded from JSON and has no Python body")

    body.__doc__ = content.get("doc")
    body.__name__ = name.rpartition(".")[2]
    made = _JsonWorkflow(body, name=name, version=content["version"], resources=Resources(), graph=graph)
    return made.with_params(content["with_params"]) if content.get("with_params") else made


_KEYS = ("daisy", "workflow", "version", "doc", "inputs", "parameters", "structural", "with_params", "nodes", "output")
_NODE_KEYS = ("id", "algorithm", "version", "with_params", "kind", "lifted", "over", "chunk", "inputs", "params")
_BINDING_KEYS = ("value", "node", "input", "parameter", "field")


def _check_keys(where: str, content: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in content:
        if key not in known:
            raise WorkflowError(f"{where}: unknown key '{key}'{registry.suggest(key, known)}")


class _JsonWorkflow(Workflow[..., Any]):
    """A workflow without a Python function: its shape is that of its graph."""

    def _shape(self) -> list[Any]:
        return []


def _node(workflow_name: str, item: Mapping[str, Any]) -> Node:
    algorithm = registry.find(item["algorithm"])
    if item.get("version", algorithm.version) != algorithm.version:
        raise WorkflowError(
            f"{workflow_name}: node '{item['id']}' was made with version {item['version']} of {algorithm.name}, "
            f"installed is version {algorithm.version}; check the workflow and set the version in the file"
        )
    kind = cast("Literal['call', 'map', 'reduce']", item.get("kind", "call"))
    if kind not in ("call", "map", "reduce") or (kind == "reduce") != (algorithm.kind == "reduction"):
        raise WorkflowError(f"{workflow_name}: node '{item['id']}': {algorithm.name} cannot be used as '{kind}'")
    if "with_params" in item:
        algorithm = cast("Workflow[..., Any]", algorithm).with_params(item["with_params"])
    inputs = {name: _input_binding(value) for name, value in item.get("inputs", {}).items()}
    params = {name: _binding(value) for name, value in item.get("params", {}).items()}
    lifted = tuple(item.get("lifted", ()))
    return Node(
        item["id"],
        algorithm.named(item["id"]),
        inputs,
        params,
        kind,
        lifted,
        item.get("over", ""),
        _chunk(f"{workflow_name}: node '{item['id']}'", item.get("chunk", 1)),
    )


def _chunk(where: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise WorkflowError(f"{where}: chunk must be at least 1 (a whole number); got {value!r}")
    return value


def _binding(value: Any) -> Binding:
    if isinstance(value, list):
        return Several(tuple(cast("Ref", _binding(item)) for item in cast("list[Any]", value)))
    if isinstance(value, Mapping):
        _check_keys("link", cast("Mapping[str, Any]", value), _BINDING_KEYS)
    if "value" in value:
        return Const(value["value"])
    field = tuple(value.get("field", ()))
    if "node" in value:
        return Ref(value["node"], field)
    return Ref(None, (value["input"] if "input" in value else value["parameter"], *field))


def _input_binding(value: Any) -> Binding:
    """Return the binding of a port; an empty list in JSON is the empty sequence of the trace."""
    found = _binding(value)
    return Const(()) if found in (Const([]), Several(())) else found


def _output(value: Mapping[str, Any]) -> Any:
    return {name: _binding(item) for name, item in value["ports"].items()} if "ports" in value else _binding(value)


def _input_types(declared: Mapping[str, Any], nodes: Mapping[str, Node]) -> dict[str, Any]:
    """Give each input the type of the first port that it feeds whole; where it feeds none, what its type's name says."""
    found: dict[str, Any] = {}
    for node in nodes.values():
        for port, ref in node.links():
            if ref.node is None and len(ref.path) == 1 and port in node.algorithm.ports:
                annotation = node.takes(port)
                if isinstance(node.inputs[port], Several):
                    annotation = node.algorithm.ports[port].item
                found.setdefault(ref.path[0], annotation)
    return {item: found[item] if item in found else type_named(shown) for item, shown in declared.items()}


def _parameters(content: Mapping[str, Any], nodes: Mapping[str, Node]) -> dict[str, Parameter]:
    """Give each parameter the type of the first node parameter that it feeds whole."""
    found: dict[str, Any] = {}
    for node in nodes.values():
        for name, binding in node.params.items():
            if isinstance(binding, Ref) and len(binding.path) == 1 and name in node.algorithm.parameters:
                found.setdefault(binding.path[0], node.algorithm.parameters[name].annotation)
    made: dict[str, Parameter] = {}
    for name, item in content.get("parameters", {}).items():
        if name in content.get("structural", {}):
            continue
        default = item.get("default", REQUIRED)
        annotation = found.get(name, Any)
        plain = annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation
        declared = Annotated[
            plain, Param(**item.get("param", {}))
        ]  # the workflow's own bounds and labels, not the node's
        made[name] = Parameter(name, declared, _as_model(annotation, default))
    return made


def _as_model(annotation: Any, default: Any) -> Any:
    from .params import model_of

    model = model_of(annotation)
    return model(**default) if model is not None and isinstance(default, Mapping) else default


def _tuple_class(graph: Graph) -> Any:
    from typing import NamedTuple

    return NamedTuple("Outputs", [(name, graph.type_of(ref)) for name, ref in graph.output_refs.items()])  # type: ignore[misc]


@overload
def workflow(function: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(*, version: str = ..., name: str | None = ...) -> Callable[[Callable[P, R]], Workflow[P, R]]: ...
def workflow(function: Any = None, /, *, version: str = "1", name: str | None = None) -> Any:
    """Declare a function that only calls algorithms and workflows as a workflow.

    Parameters
    ----------
    version : str
        Raise it when results change.
    name : str, optional
        ``<app>.<function>`` by default.

    Examples
    --------
    >>> from daisy_core import algorithm
    >>> @algorithm
    ... def double(x: float) -> float:
    ...     return 2 * x
    >>> @workflow
    ... def quadruple(x: float) -> float:
    ...     return double.named("again")(double(x))
    >>> quadruple(1.0)
    4.0
    >>> list(quadruple.graph().nodes)
    ['double', 'again']
    """

    def declare(target: Callable[..., Any]) -> Workflow[..., Any]:
        full = name or f"{app_of(target.__module__)}.{target.__name__}"
        made: Workflow[..., Any] = Workflow(target, name=full, version=version, resources=Resources())
        registry.register(made)
        return made

    return declare if function is None else declare(function)
