"""The graph of a workflow: nodes, links, its checks, and JSON both ways. No Python of the workflow is needed to run it."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Union

from . import registry
from .algorithm import Algorithm
from .errors import WorkflowError
from .signature import REQUIRED, Parameter, field_type, item_type, mismatch, takes_plain, type_name

FORMAT = 1
"""Version of the workflow JSON."""


@dataclass(frozen=True)
class Ref:
    """A link: from an input or parameter of the workflow (``node`` is None) or from a node, optionally one field of it."""

    node: str | None
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.node or "input", *self.path))


@dataclass(frozen=True)
class Const:
    """A plain value that the workflow binds itself."""

    value: Any


@dataclass(frozen=True)
class Several:
    """A sequence put together from links."""

    items: tuple[Ref, ...]


Binding = Union[Ref, Const, Several]  # noqa: UP007 - used at run time by isinstance readers of Python 3.11
Kind = Literal["call", "map", "reduce"]


@dataclass(frozen=True)
class Node:
    """One use of an algorithm in a workflow."""

    id: str
    algorithm: Algorithm[..., Any]
    inputs: Mapping[str, Binding]
    params: Mapping[str, Binding]
    kind: Kind = "call"
    lifted: tuple[str, ...] = ()
    over: str = ""
    chunk: int = 1
    line: str = ""

    @property
    def output(self) -> Any:
        """The type of what the node gives."""
        output = self.algorithm.signature.output
        return (
            list[output] if self.kind == "map" and output is not Any else (list[Any] if self.kind == "map" else output)
        )

    def takes(self, port: str) -> Any:
        """Return the type of what feeds a port: a sequence where the port is lifted."""
        annotation = self.algorithm.ports[port].annotation
        if port not in self.lifted or annotation is Any:
            return annotation
        is_folded = self.kind == "reduce" and port == next(iter(self.algorithm.ports))
        return annotation if is_folded else list[annotation]  # the first port of a fold is declared as a sequence

    def links(self) -> Iterator[tuple[str, Ref]]:
        """Yield the links into the input ports."""
        for port, binding in self.inputs.items():
            if isinstance(binding, Ref):
                yield port, binding
            elif isinstance(binding, Several):
                yield from ((port, ref) for ref in binding.items)


@dataclass(frozen=True)
class Graph:
    """A workflow as data.

    Attributes
    ----------
    inputs : mapping
        Types of the inputs that are given, by name; optional inputs that are absent are not there.
    parameters : mapping
        The parameters of the workflow by name.
    nodes : mapping
        The nodes by id, in the order in which they were written.
    output : Binding or mapping
        What the workflow returns; a mapping where it returns several ports.
    """

    name: str
    version: str
    inputs: Mapping[str, Any]
    parameters: Mapping[str, Parameter]
    nodes: Mapping[str, Node]
    output: Ref | Mapping[str, Ref]
    structural: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def output_refs(self) -> dict[str, Ref]:
        """The output links by port name."""
        return {"result": self.output} if isinstance(self.output, Ref) else dict(self.output)

    def order(self) -> list[str]:
        """Return the node ids so that each comes after what it needs.

        Raises
        ------
        WorkflowError
            If the nodes form a cycle; the message names it.
        """
        sorter = graphlib.TopologicalSorter(
            {node.id: [ref.node for _, ref in node.links() if ref.node is not None] for node in self.nodes.values()}
        )
        try:
            return list(sorter.static_order())
        except graphlib.CycleError as error:
            raise WorkflowError(
                f"{self.name}: the nodes form a cycle: {' -> '.join(reversed(error.args[1]))}"
            ) from None

    def type_of(self, ref: Ref) -> Any:
        """Return the type that a link carries.

        Raises
        ------
        WorkflowError
            If it comes from something that does not exist.
        """
        if ref.node is None:
            name, *path = ref.path
            if name not in self.inputs:
                raise WorkflowError(f"{self.name}: there is no input '{name}'{registry.suggest(name, self.inputs)}")
            found = self.inputs[name]
        else:
            if ref.node not in self.nodes:
                raise WorkflowError(
                    f"{self.name}: there is no node '{ref.node}'{registry.suggest(ref.node, self.nodes)}"
                )
            found, path = self.nodes[ref.node].output, list(ref.path)
        return self._descend(found, path)

    def type_of_parameter(self, ref: Ref) -> Any:
        """Return the type of a parameter of the workflow, or of a field of it."""
        name, *path = ref.path
        if name not in self.parameters:
            raise WorkflowError(f"{self.name}: there is no parameter '{name}'{registry.suggest(name, self.parameters)}")
        return self._descend(self.parameters[name].annotation, path)

    def _descend(self, found: Any, path: list[str]) -> Any:
        for part in path:
            try:
                found = field_type(found, part)
            except KeyError as error:
                names = ", ".join(error.args[0]) or "none"
                raise WorkflowError(
                    f"{self.name}: {type_name(found)} has no field '{part}'; its fields: {names}"
                ) from None
        return found

    def validate(self) -> Graph:
        """Check the whole graph in linear time and return it.

        Raises
        ------
        WorkflowError
            For missing or wrongly typed ports, units and axes that disagree, unknown names, and cycles.
        """
        for node in self.nodes.values():
            _check_lifting(self, node)
            _check_ports(self, node)
            _check_params(self, node)
        self.order()
        for name, ref in self.output_refs.items():
            if ref.node is None:
                raise WorkflowError(
                    f"{self.name}: output '{name}' is an input handed through; return the result of a node"
                )
            self.type_of(ref)
        return self

    def addressable(self) -> dict[str, tuple[Node, str]]:
        """Return the parameters that the workflow does not bind, as ``node.parameter``."""
        found: dict[str, tuple[Node, str]] = {}
        for node in self.nodes.values():
            names = [*node.algorithm.parameters]
            inner = getattr(node.algorithm, "node_parameters", None)
            if inner is not None and node.kind == "call":
                names += [*inner()]
            found.update({f"{node.id}.{name}": (node, name) for name in names if name not in node.params})
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the graph as plain JSON data."""
        return {
            "daisy": FORMAT,
            "workflow": self.name,
            "version": self.version,
            "inputs": {name: type_name(annotation) for name, annotation in self.inputs.items()},
            "parameters": {name: _parameter_json(item) for name, item in self.parameters.items() if name not in self.structural},
            **({"structural": dict(self.structural)} if self.structural else {}),
            "nodes": [_node_json(node) for node in self.nodes.values()],
            "output": (_binding_json(self.output) if isinstance(self.output, Ref)
                       else {"ports": {name: _binding_json(ref) for name, ref in self.output.items()}}),
        }  # fmt: skip


def _check_lifting(graph: Graph, node: Node) -> None:
    if node.kind == "call":
        return
    where = f"{graph.name}: node '{node.id}' ({node.algorithm.name}){node.line}"
    if not node.lifted:
        raise WorkflowError(f"{where}: a {node.kind} needs the lifted port; name it in 'lifted'")
    for name in node.lifted:
        if name not in node.algorithm.ports:
            raise WorkflowError(
                f"{where}: lifted: there is no input '{name}'{registry.suggest(name, node.algorithm.ports)}"
            )
    if node.chunk < 1:
        raise WorkflowError(f"{where}: chunk must be at least 1; got {node.chunk}")


def _check_ports(graph: Graph, node: Node) -> None:
    where = f"{graph.name}: node '{node.id}' ({node.algorithm.name}){node.line}"
    ports = node.algorithm.ports
    for name, port in ports.items():
        if port.required and name not in node.inputs:
            raise WorkflowError(f"{where}: input '{name}' ({type_name(port.annotation)}) is missing")
    for name, binding in node.inputs.items():
        if name not in ports:
            raise WorkflowError(f"{where}: there is no input '{name}'{registry.suggest(name, ports)}")
        if isinstance(binding, Const):
            if binding.value is None and ports[name].required:
                raise WorkflowError(f"{where}: input '{name}' ({type_name(ports[name].annotation)}) is missing")
            if binding.value is not None and not takes_plain(binding.value, node.takes(name)):
                raise WorkflowError(
                    f"{where}: input '{name}' ({type_name(node.takes(name))}) cannot be {binding.value!r}"
                )
            continue
        wanted = node.takes(name)
        if isinstance(binding, Several):
            pairs = [(graph.type_of(ref), item_type(wanted) or Any) for ref in binding.items]
        else:
            pairs = [(graph.type_of(binding), wanted)]
        for given, target in pairs:
            reason = mismatch(given, target)
            if reason:
                raise WorkflowError(
                    f"{where}: input '{name}' cannot take {binding if isinstance(binding, Ref) else 'its items'}: {reason}"
                )


def _check_params(graph: Graph, node: Node) -> None:
    where = f"{graph.name}: node '{node.id}' ({node.algorithm.name}){node.line}"
    known = node.algorithm.parameters
    for name, binding in node.params.items():
        if name not in known:
            raise WorkflowError(f"{where}: there is no parameter '{name}'{registry.suggest(name, known)}")
        if isinstance(binding, Ref):
            reason = mismatch(graph.type_of_parameter(binding), known[name].annotation)
            if reason:
                raise WorkflowError(f"{where}: parameter '{name}' cannot take '{'.'.join(binding.path)}': {reason}")
    constants = {name: binding.value for name, binding in node.params.items() if isinstance(binding, Const)}
    if constants:
        node.algorithm.check_some_params(constants, where=where)


def _parameter_json(item: Parameter) -> dict[str, Any]:
    from .params import to_json

    declared = {key: value for key, value in asdict(item.param).items() if value not in ("", None, False)}
    return {
        **({} if item.default is REQUIRED else {"default": to_json(item.default)}),
        **({"param": declared} if declared else {}),
    }


def _binding_json(binding: Binding) -> Any:
    from .params import to_json

    if isinstance(binding, Const):
        return {"value": to_json(binding.value)}
    if isinstance(binding, Several):
        return [_binding_json(ref) for ref in binding.items]
    if binding.node is None:
        return {"input": binding.path[0], **({"field": list(binding.path[1:])} if len(binding.path) > 1 else {})}
    return {"node": binding.node, **({"field": list(binding.path)} if binding.path else {})}


def _param_json(binding: Binding) -> Any:
    shown = _binding_json(binding)
    return {"parameter": shown.pop("input"), **shown} if isinstance(binding, Ref) else shown


def _node_json(node: Node) -> dict[str, Any]:
    lifting = (
        {"kind": node.kind, "lifted": list(node.lifted), "over": node.over, "chunk": node.chunk}
        if node.kind != "call"
        else {}
    )
    from .params import to_json

    overrides = getattr(node.algorithm, "overrides", None)
    return {
        "id": node.id,
        "algorithm": node.algorithm.name,
        "version": node.algorithm.version,
        **({"with_params": to_json(overrides)} if overrides else {}),
        **lifting,
        "inputs": {name: _binding_json(binding) for name, binding in node.inputs.items()},
        "params": {name: _param_json(binding) for name, binding in node.params.items()},
    }
