"""The steps of a CWL Workflow of others as the nodes of a graph, or a refusal that says what has no counterpart."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Mapping
from typing import Any

from ..algorithm import Algorithm
from ..errors import InputError
from ..graph import Binding, Const, Graph, Node, Ref, Several
from ..signature import Parameter, Port, is_named_tuple
from .document import Document, aslist
from .files import field
from .ports import identifier, input_item, is_optional
from .references import evaluate
from .types import Refused

Make = Callable[[Document, str, frozenset[str]], Algorithm[..., Any]]


class Flow:
    """Turns the steps of a document into the nodes of a graph.

    Parameters
    ----------
    document : dict
        A Workflow in the form of :func:`daisy_core.cwl.document.load`.
    name : str
        What it is called.
    ports : frozenset of str
        Plain inputs that are ports because another node gives them.
    """

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

    def graph(self, make: Make) -> Graph:
        """Return the checked graph; ``make`` turns the process of a step into an algorithm."""
        for step in self._ordered():
            self._node(step, make)
        outputs = {identifier(item["id"]): self._output(item) for item in self.document["outputs"]}
        if not outputs:
            raise Refused(f"{self.where}: the workflow has no outputs")
        inputs = {key: item.annotation for key, item in self.items.items() if isinstance(item, Port)}
        parameters = {key: item for key, item in self.items.items() if isinstance(item, Parameter)}
        output: Any = next(iter(outputs.values())) if len(outputs) == 1 else outputs
        return Graph(self.name, "1", inputs, parameters, self.nodes, output).validate()

    def _ordered(self) -> list[Document]:
        """Return the steps so that each comes after what it needs; a cycle is left for the check of the graph to name."""
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

    def _node(self, step: Document, make: Make) -> None:
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
        return isinstance(Flow(process, "", frozenset()).items.get(identifier(key)), Port)
    found = [item for item in process["inputs"] if item["id"] == key]
    return bool(found) and isinstance(input_item(key, found[0], str(process["where"])), Port)
