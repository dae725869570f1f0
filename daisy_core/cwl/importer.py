"""Documents of others as algorithms and workflows of ours, or a refusal that says what is in the way."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from ..algorithm import Algorithm
from ..context import Resources
from ..errors import InputError
from ..graph import Binding, Const, Graph, Node, Ref
from ..identity import digest
from ..signature import Port, Signature
from ..workflow import Workflow
from .command import CommandTool
from .document import Document, load, split_name
from .flow import Flow
from .ports import identifier, named_tuple


def find(name: str) -> Algorithm[..., Any]:
    """Return the algorithm or workflow of a CWL document: ``tool.cwl``, ``packed.cwl#part`` or ``flow.cwl#main/step``.

    Parameters
    ----------
    name : str
        The file, with the part of it after ``#``.

    Raises
    ------
    InputError
        If there is no such document.
    Refused
        If our engines cannot run it; the message says why.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "count.cwl"
    >>> _ = file.write_text('''
    ... cwlVersion: v1.2
    ... class: CommandLineTool
    ... baseCommand: [wc, -c]
    ... inputs: {text: stdin}
    ... outputs: {count: stdout}
    ... ''')
    >>> _ = (file.parent / "some.txt").write_text("four")
    >>> find(str(file))(file.parent / "some.txt").read_text()
    '4\\n'
    """
    path, part = split_name(name)
    try:
        return make(load(f"{path}#{part}" if part else str(path)), f"{path}#{part}" if part else str(path))
    except InputError:
        outer, slash, step = part.rpartition("/")
        if not slash and step:
            outer, step = "", part
        if not step:
            raise
        workflow = find(f"{path}#{outer}" if outer else str(path))
        node = workflow.graph().nodes.get(step) if isinstance(workflow, Workflow) else None
        if node is None:
            raise
        return node.algorithm


def make(document: Document, name: str, ports: frozenset[str] = frozenset()) -> Algorithm[..., Any]:
    """Return a normalised document as an algorithm or workflow; ``ports`` are plain inputs that another node gives."""
    if document["class"] == "CommandLineTool":
        return CommandTool(document, name, ports)
    return ImportedWorkflow(document, name, ports)


class ImportedWorkflow(Workflow[..., Any]):
    """A CWL Workflow of others as one of ours: steps are nodes, a scatter is a map."""

    def __init__(self, document: Document, name: str, ports: frozenset[str] = frozenset()) -> None:
        self.document = document
        self.as_ports = ports
        built = Flow(document, name, ports)
        self._items = built.items

        def body() -> None:
            """Stand for the body of the workflow."""

        body.__doc__ = str(document.get("doc") or document.get("label") or "")
        body.__module__ = __name__
        graph = built.graph(make)
        super().__init__(body, name=name, version="1", resources=Resources(), graph=graph)
        self.node_name = identifier(
            name.rpartition("#")[2].rpartition("/")[2] if "#" in name else split_name(name)[0].stem
        )
        self._full = graph

    @functools.cached_property
    def signature(self) -> Signature:
        """Ports, parameters and output, with the defaults of the document."""
        ports = {key: item for key, item in self._items.items() if isinstance(item, Port)}
        ordered = dict(sorted(ports.items(), key=lambda item: not item[1].required))
        refs = self._full.output_refs
        types = {key: self._full.type_of(ref) for key, ref in refs.items()}
        output = types["result"] if list(types) == ["result"] else named_tuple(tuple(types), tuple(types.values()))
        return Signature(ordered, dict(self._full.parameters), output)

    def graph(self, given: Iterable[str] | None = None, params: Mapping[str, Any] | None = None) -> Graph:
        """Return the graph; an input that is absent is None or its default in it."""
        if given is None:
            return self._full
        names = set(given)
        absent = {key: None for key in self._full.inputs if key not in names}
        return _without(self._full, absent) if absent else self._full

    @property
    def source_hash(self) -> str:
        """Hash of the document and the documents of its steps."""
        return digest([self.document, [node.algorithm.source_hash for node in self._full.nodes.values()]])[:16]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by content, so that another machine needs no document."""
        return _again, (self.document, self.name, self.as_ports, self.node_name, dict(self.overrides))


def _again(document: Document, name: str, ports: frozenset[str], node_name: str, overrides: Mapping[str, Any]) -> Any:
    made = ImportedWorkflow(document, name, ports).named(node_name)
    return made.with_params(overrides) if overrides else made


def _without(graph: Graph, absent: Mapping[str, Any]) -> Graph:
    """Return a graph in which None takes the place of some inputs."""

    def put(binding: Binding) -> Binding:
        gone = isinstance(binding, Ref) and binding.node is None and binding.path[0] in absent
        return Const(None) if gone else binding

    nodes = {
        key: Node(node.id, node.algorithm, {name: put(binding) for name, binding in node.inputs.items()}, node.params, node.kind,
                  node.lifted, node.over, node.chunk)
        for key, node in graph.nodes.items()
    }  # fmt: skip
    inputs = {key: kind for key, kind in graph.inputs.items() if key not in absent}
    return Graph(graph.name, graph.version, inputs, graph.parameters, nodes, graph.output, graph.structural).validate()
