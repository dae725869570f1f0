"""Documents of others as algorithms and workflows of ours, or a refusal that says what is in the way."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from ..algorithm import Algorithm
from ..context import Resources
from ..errors import InputError
from ..graph import Binding, Const, Graph, Node, Ref, Several
from ..identity import digest
from ..markers import File
from ..signature import Parameter, Port, Signature, is_named_tuple
from ..workflow import Workflow
from .command import CommandTool
from .document import Document, aslist, load, split_name
from .files import FILE, field
from .ports import identifier, input_item, is_optional, named_tuple
from .references import evaluate
from .types import Refused


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
    >>> find(str(file))(file.parent / "some.txt").text()
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
        built = _Builder(document, name, ports)
        self._items = built.items

        def body() -> None:
            """Stand for the body of the workflow."""

        body.__doc__ = str(document.get("doc") or document.get("label") or "")
        body.__module__ = __name__
        graph = built.graph()
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

    @functools.cached_property
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


class _Builder:
    """Turns the steps of a document into the nodes of a graph."""

    def __init__(self, document: Document, name: str, ports: frozenset[str]) -> None:
        self.document = document
        self.where = str(document["where"])
        self.name = name
        self.types = {item["id"]: item for item in document["inputs"]}
        self.steps = {step["id"]: step for step in document["steps"]}
        self.nodes: dict[str, Node] = {}
        self.outs: dict[tuple[str, str], Ref] = {}
        wanted = {key for key in self.types if identifier(key) in ports} | self._wanted_as_ports()
        self.items = {
            identifier(key): input_item(identifier(key), item, self.where, port=key in wanted)
            for key, item in self.types.items()
        }

    def graph(self) -> Graph:
        """Return the checked graph."""
        for step in self._ordered():
            self._node(step)
        outputs = {identifier(item["id"]): self._output(item) for item in self.document["outputs"]}
        if not outputs:
            raise Refused(f"{self.where}: the workflow has no outputs")
        # A path is what the user gives for a file, whatever else the port of the tool may take.
        inputs = {key: _outer(item.annotation) for key, item in self.items.items() if isinstance(item, Port)}
        parameters = {key: item for key, item in self.items.items() if isinstance(item, Parameter)}
        output: Any = next(iter(outputs.values())) if len(outputs) == 1 else outputs
        return Graph(self.name, "1", inputs, parameters, self.nodes, output).validate()

    def _ordered(self) -> list[Document]:
        """Return the steps so that each comes after what it needs; a cycle is left for the check of the graph to name."""
        import graphlib

        needs = {key: {source.partition("/")[0] for entry in step["in"] for source in self._sources(entry) if "/" in source}
                 for key, step in self.steps.items()}  # fmt: skip
        try:
            return [self.steps[key] for key in graphlib.TopologicalSorter(needs).static_order()]
        except graphlib.CycleError as error:
            raise Refused(f"{self.where}: the steps form a cycle: {' -> '.join(reversed(error.args[1]))}") from None
        except KeyError as error:
            raise InputError(f"{self.where}: there is no step {error}") from None

    def _sources(self, entry: Mapping[str, Any]) -> list[str]:
        """Return the sources of a step input as ``input`` or ``step/output``."""
        return [self._source(text) for text in aslist(entry.get("source"))]

    def _source(self, text: str) -> str:
        parts = text.rpartition("#")[2].split("/")
        return "/".join(parts[-2:]) if len(parts) > 1 and parts[-2] in self.steps else parts[-1]

    # -- what is a port -----------------------------------------------------------------------------------------

    def _wanted_as_ports(self) -> set[str]:
        """Return the plain inputs of the workflow that must be ports, because a step is lifted over them or has them so."""
        found: set[str] = set()
        while True:
            more = {source for step in self.steps.values() for entry in step["in"] if self._is_port(step, entry, found)
                    for source in self._sources(entry) if source in self.types}  # fmt: skip
            if more <= found:
                return found
            found |= more

    def _is_port(self, step: Document, entry: Mapping[str, Any], known: set[str]) -> bool:
        from_data = any("/" in source or source in known for source in self._sources(entry))
        lifted = entry["id"] in step["scatter"] or len(self._sources(entry)) > 1
        return lifted or from_data or _takes_port(step["run"], entry["id"])

    # -- nodes --------------------------------------------------------------------------------------------------

    def _node(self, step: Document) -> None:
        at = f"{self.where}: step '{step['id']}'"
        self._check(step, at)
        ported = {key for key in self.types if isinstance(self.items[identifier(key)], Port)}
        known = {entry["id"] for entry in step["in"] if self._is_port(step, entry, ported)}
        process = self._settled(step, at)
        node_id = identifier(step["id"])
        outer = f"{self.name}/{node_id}" if "#" in self.name else f"{self.name}#{node_id}"
        algorithm = make(process, outer, frozenset(map(identifier, known))).named(node_id)
        inputs: dict[str, Binding] = {}
        params: dict[str, Binding] = {}
        for entry in step["in"]:
            key = identifier(entry["id"])
            if key in algorithm.ports:
                binding = self._binding(entry, at)
                if binding is not None:
                    inputs[key] = binding
            elif key in algorithm.parameters and (source := self._sources(entry)):
                params[key] = Ref(None, (identifier(source[0]),))
        lifted = tuple(identifier(key) for key in step["scatter"])
        kind = "map" if lifted else "call"
        self.nodes[node_id] = Node(node_id, algorithm, inputs, params, kind, lifted, "item" if lifted else "")
        self._remember(step, node_id, algorithm, lifted=bool(lifted))

    def _remember(self, step: Document, node_id: str, algorithm: Algorithm[..., Any], *, lifted: bool) -> None:
        """Note where each output of a step is found; of a lifted one with several, a node of ours takes the field out."""
        several = is_named_tuple(algorithm.signature.output)
        for out in step["out"]:
            if not several:
                self.outs[step["id"], out] = Ref(node_id)
            elif not lifted:
                self.outs[step["id"], out] = Ref(node_id, (identifier(out),))
            else:
                taken = f"{node_id}-{identifier(out)}"
                inputs: dict[str, Binding] = {"value": Ref(node_id)}
                self.nodes[taken] = Node(
                    taken, field.named(taken), inputs, {"name": Const(identifier(out))}, "map", ("value",), "item"
                )
                self.outs[step["id"], out] = Ref(taken)

    def _check(self, step: Document, at: str) -> None:
        if step.get("when") is not None:
            raise Refused(f"{at}: 'when' makes the step conditional, which a graph of ours cannot be")
        if len(step["scatter"]) > 1 and step.get("scatterMethod", "dotproduct") != "dotproduct":
            raise Refused(f"{at}: scatterMethod {step['scatterMethod']}: only dotproduct has a counterpart (each)")
        for entry in step["in"]:
            for key in ("pickValue", "loadContents", "loadListing"):
                if entry.get(key):
                    raise Refused(f"{at}: input '{entry['id']}': {key} has no counterpart")
            if len(self._sources(entry)) > 1 and entry.get("linkMerge") == "merge_flattened":
                arrays = [source for source in self._sources(entry) if self._may_be_array(source)]
                if arrays:
                    raise Refused(
                        f"{at}: input '{entry['id']}': merge_flattened joins arrays ({', '.join(arrays)}), which links cannot"
                    )

    def _may_be_array(self, source: str) -> bool:
        if "/" not in source:
            kind = self.types[source]["type"] if source in self.types else None
        else:
            step_id, _, out = source.partition("/")
            step = self.steps[step_id]
            kind = next((item["type"] for item in step["run"]["outputs"] if item["id"] == out), None)
            if step["scatter"]:
                return True
        return isinstance(kind, (dict, list))

    def _settled(self, step: Document, at: str) -> Document:
        """Return the process of a step with the defaults and requirements that the step and the workflow give it."""
        inner = {**self.document["requirements"], **step["requirements"]}
        process: Document = {**step["run"], "requirements": {**inner, **step["run"]["requirements"]}}
        given: dict[str, Any] = {}
        for entry in step["in"]:
            value, sources = entry.get("default"), self._sources(entry)
            if "valueFrom" in entry:
                text = entry["valueFrom"]
                if isinstance(text, str) and "$" in text:
                    raise Refused(
                        f"{at}: input '{entry['id']}': valueFrom '{text}' is computed; only literal text is taken"
                    )
                value = evaluate(text, {}, at)
                if sources:
                    raise Refused(
                        f"{at}: input '{entry['id']}': valueFrom takes the place of what is linked to it; remove the link"
                    )
            elif value is not None and sources and any(self._may_be_null(source) for source in sources):
                raise Refused(
                    f"{at}: input '{entry['id']}': a default for a link that may give nothing; put the default on the input"
                )
            if value is not None and not sources:
                given[entry["id"]] = value
        process["inputs"] = [
            {**item, "default": given[item["id"]]} if item["id"] in given else item for item in process["inputs"]
        ]
        unknown = [entry["id"] for entry in step["in"] if entry["id"] not in {item["id"] for item in process["inputs"]}]
        if unknown:
            raise InputError(f"{at}: {process['where']} has no input '{unknown[0]}'")
        return process

    def _may_be_null(self, source: str) -> bool:
        if "/" in source:
            step_id, _, out = source.partition("/")
            return any(
                item["id"] == out and is_optional(item["type"]) for item in self.steps[step_id]["run"]["outputs"]
            )
        item = self.types.get(source, {"type": "null"})
        return is_optional(item["type"]) and item.get("default") is None

    # -- links --------------------------------------------------------------------------------------------------

    def _binding(self, entry: Mapping[str, Any], at: str) -> Binding | None:
        sources = self._sources(entry)
        if not sources:
            return None
        refs = [self._ref(source, f"{at}, input '{entry['id']}'") for source in sources]
        return Several(tuple(refs)) if len(refs) > 1 or entry.get("linkMerge") == "merge_nested" else refs[0]

    def _ref(self, source: str, at: str) -> Ref:
        if "/" not in source:
            if source not in self.types:
                raise InputError(f"{at}: there is no input '{source}'")
            return Ref(None, (identifier(source),))
        step_id, _, out = source.partition("/")
        if (step_id, out) not in self.outs:
            raise InputError(f"{at}: there is no output '{source}'")
        return self.outs[step_id, out]

    def _output(self, item: Mapping[str, Any]) -> Ref:
        at = f"{self.where}: output '{item['id']}'"
        sources = [self._source(text) for text in aslist(item.get("outputSource"))]
        if len(sources) != 1 or item.get("pickValue"):
            raise Refused(f"{at}: is put together from {len(sources)} sources; only one has a counterpart")
        if "/" not in sources[0]:
            raise Refused(f"{at}: hands the input '{sources[0]}' through; a result of ours comes from a step")
        return self._ref(sources[0], at)


def _takes_port(process: Document, key: str) -> bool:
    """True where a process takes an input as a port, whatever feeds it."""
    if process["class"] == "Workflow":
        return isinstance(_Builder(process, "", frozenset()).items.get(identifier(key)), Port)
    found = [item for item in process["inputs"] if item["id"] == key]
    return bool(found) and isinstance(input_item(key, found[0], str(process["where"])), Port)


def _outer(annotation: Any) -> Any:
    """Return the type of a port of the workflow: where its steps take a file, the user gives a path."""
    from collections.abc import Sequence

    from ..datatypes import strip_optional
    from ..signature import item_type

    inner, _ = strip_optional(annotation)
    item = item_type(inner)
    if item is not None:
        return Sequence[_outer(item)]
    return File if inner == FILE else inner
