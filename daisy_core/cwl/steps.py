"""A graph as a CWL Workflow: nodes become steps, maps scatter, folds take the whole array, nested workflows are steps too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from ..algorithm import Algorithm
from ..graph import Const, Graph, Node, Ref, Several
from ..params import to_json
from ..reading import readable
from ..registry import reader
from ..signature import REQUIRED, Parameter, Port, is_named_tuple, type_name
from ..workflow import Workflow
from .tools import file_inputs, file_name, header, helper, reading_tool, source, tool
from .types import (
    RANGE,
    STEP,
    Field,
    Refused,
    array_of,
    fields,
    marked,
    optional_type,
    outputs,
    port_default,
    port_item,
)

How = Literal["one", "items", "chunks"]


@dataclass(frozen=True)
class Held:
    """How a value lies in files while the workflow runs.

    Attributes
    ----------
    source : str or tuple of str
        Where it comes from: an input or ``step/output``; several are put together.
    how : {"one", "items", "chunks"}
        In one file, in a file for each item, or in files with several items each.
    raw : bool
        The files are as the user gave them: their reader and its options are still to be applied.
    fields : tuple of str
        The field of the object in the file that is meant.
    null : bool
        It may be absent.
    """

    source: str | tuple[str, ...]
    how: How
    raw: bool = False
    fields: tuple[str, ...] = ()
    null: bool = False


@dataclass(frozen=True)
class Results:
    """The outputs of a step by port; ``several`` where they are the fields of a NamedTuple."""

    ports: Mapping[str, Held]
    several: bool


class Steps:
    """Builds the Workflow document of one graph.

    Parameters
    ----------
    workflow : Workflow
        What the graph is of.
    graph : Graph
        Its graph for the given inputs.
    inputs : mapping
        How each given input arrives.
    files : dict
        Documents of the tools, by file name; new ones are added.
    top : bool
        The workflow is not inside another one.
    """

    def __init__(self, workflow: Workflow[..., Any], graph: Graph, inputs: Mapping[str, Held], files: dict[str, Any], *,
                 top: bool = True) -> None:  # fmt: skip
        self.workflow = workflow
        self.graph = graph
        self.held = dict(inputs)
        self.files = files
        self.top = top
        self.inputs: dict[str, Any] = {}
        self.steps: dict[str, Any] = {}
        self.known: dict[str, Field] = {}
        self.results: dict[str, Results] = {}
        self.features: set[str] = set()

    # -- the whole ----------------------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """Return the document; its outputs are in :attr:`given`."""
        for name, held in self.held.items():
            self._declare_port(self.workflow.ports[name], held)
        preset = self.workflow.overrides if self.top else {}
        for name, item in self.graph.parameters.items():
            if name not in self.graph.structural:
                self._declare(fields(name, item, preset.get(name, REQUIRED)))
        self.to_read = {name for name, held in self.held.items() if held.raw and self._must_read(name)}
        for node_id in self.graph.order():
            self._node(self.graph.nodes[node_id], preset)
        found = self._outputs()
        made: dict[str, Any] = header(
            "Workflow", f"{self.workflow.name}, version {self.workflow.version}", self.workflow.doc
        )
        if self.features:
            made["requirements"] = {f"{name}FeatureRequirement": {} for name in sorted(self.features)}
        if not self.top:
            del made["cwlVersion"]
        return {**made, "inputs": self.inputs, "steps": self.steps, "outputs": found}

    def _declare(self, found: list[Field]) -> None:
        for field in found:
            self.known[field.id] = field
            self.inputs[field.id] = field.as_input("workflow" if self.top else "inner")

    def _declare_port(self, port: Port, held: Held) -> None:
        item = port_item(self.workflow.name, port)
        made: dict[str, Any] = {"type": item if held.how == "one" else array_of(item)}
        default = port_default(port)
        if held.null:
            made["type"] = optional_type(made["type"])
        elif self.top and default is not REQUIRED and default is not None:
            made["default"] = default
        self.inputs[port.name] = made
        if held.raw:
            self.inputs.update(file_inputs(self.workflow, port))

    def _outputs(self) -> dict[str, Any]:
        output = self.graph.output
        if isinstance(output, Ref):
            results = self.results[output.node or ""]
            whole = results.several and not output.path and all(held.how == "one" for held in results.ports.values())
            found = dict(results.ports) if whole else {"result": self._resolve(output)}
            self.given = Results(found, whole)
        else:
            self.given = Results({name: self._resolve(ref) for name, ref in output.items()}, several=True)
        ports = {name: self._plain(name, held) if self.top else held for name, held in self.given.ports.items()}
        ids = {name: f"{name}.out" if name in self.inputs else name for name in ports}
        self.given = Results(
            {name: replace(held, source=ids[name]) for name, held in ports.items()}, self.given.several
        )
        return {
            ids[name]: {"type": "File" if held.how == "one" else "File[]", "outputSource": cast("str", held.source)}
            for name, held in ports.items()
        }  # fmt: skip

    def _plain(self, name: str, held: Held) -> Held:
        """Return an output as one whole object in one file."""
        if held.how != "one":
            return self._gather(f"gather.{name}", held, name)
        return self._select(f"select.{name}", held, name) if held.fields else held

    # -- one node -----------------------------------------------------------------------------------------------

    def _node(self, node: Node, preset: Mapping[str, Any]) -> None:
        taken = {*self.inputs, *self.workflow.signature.output_ports}
        step_id = f"{node.id}.step" if node.id in taken else node.id
        bound = {name: self._bound(node, name) for name in node.inputs}
        held = {name: found for name, found in bound.items() if found is not None}
        if isinstance(node.algorithm, Workflow) and node.kind == "call":
            self._nested(step_id, node, held, preset)
        else:
            self._tool(step_id, node, held, preset)

    def _bound(self, node: Node, name: str) -> Held | Const | None:
        """Return what feeds a port; None where nothing does."""
        binding = node.inputs[name]
        where = f"{self.graph.name}: node '{node.id}' ({node.algorithm.name}), input '{name}'"
        if isinstance(binding, Const):
            return None if binding.value is None else binding
        if isinstance(binding, Ref):
            return self._resolve(binding, where)
        items = [self._resolve(ref, where) for ref in binding.items]
        if any(item.how != "one" for item in items):
            raise Refused(
                f"{where}: a list put together from sequences has no place in CWL; put it together in an algorithm"
            )
        made = [
            self._select(f"select.{node.id}.{name}.{at}", item) if item.fields else item
            for at, item in enumerate(items)
        ]
        self.features.add("MultipleInput")
        return Held(tuple(cast("str", item.source) for item in made), "items")

    def _resolve(self, ref: Ref, where: str = "") -> Held:
        if ref.node is None:
            held = self._read(ref.path[0]) if ref.path[0] in self.to_read else self.held[ref.path[0]]
            return replace(held, fields=(*held.fields, *ref.path[1:]))
        results, path = self.results[ref.node], ref.path
        if results.several and not path:
            raise Refused(
                f"{where or self.graph.name}: takes all outputs of node '{ref.node}' as one object, which no file can hold; "
                f"link them one by one: {', '.join(f'{ref.node}.{name}' for name in results.ports)}"
            )
        held = results.ports[path[0]] if results.several else results.ports["result"]
        return replace(held, fields=(*held.fields, *(path[1:] if results.several else path)))

    def _tool(self, step_id: str, node: Node, held: dict[str, Held | Const], preset: Mapping[str, Any]) -> None:
        algorithm = node.algorithm
        run, document = self._tool_of(algorithm)
        use: dict[str, Any] = {"kind": node.kind} if node.kind == "reduce" else {}
        step: dict[str, Any] = {"run": run, "in": {}}
        self._bind_params(node, step["in"], use, preset)
        how: How = "one"
        if node.kind == "map":
            how = self._scatter(step, use, node, held)
        elif node.kind == "reduce":
            use.update(lift=list(node.lifted), chunk=node.chunk)
        for name, value in held.items():
            port = algorithm.ports[name]
            if isinstance(value, Held) and value.how != "one" and name not in node.lifted and not port.is_sequence:
                value = self._gather(f"gather.{node.id}.{name}", value)
            self._feed(step["in"], use, algorithm, port, value)
        step["in"][STEP] = {"default": json.dumps(use)}  # as text: schema salad rewrites mappings even in defaults
        found = outputs(algorithm, document["inputs"])
        self.steps[step_id] = {**step, "out": list(found.values())}
        several = is_named_tuple(algorithm.signature.output)
        self.results[node.id] = Results({name: Held(f"{step_id}/{key}", how) for name, key in found.items()}, several)

    def _tool_of(self, algorithm: Algorithm[..., Any]) -> tuple[str, dict[str, Any]]:
        run = file_name(algorithm.name)
        if run not in self.files:
            self.files[run] = tool(algorithm)
            self._add_source(algorithm)
        return run, self.files[run]

    def _add_source(self, algorithm: Algorithm[..., Any]) -> None:
        found = source(algorithm)
        if found.name:
            self.files[found.name] = found.text

    def _feed(
        self, ins: dict[str, Any], use: dict[str, Any], algorithm: Algorithm[..., Any], port: Port, value: Held | Const
    ) -> None:
        """Link one port of a tool, and say in ``use`` how its files are to be taken."""
        if isinstance(value, Const):
            ins[port.name] = {"default": to_json(value.value)}
            return
        ins[port.name] = _link(value)
        if value.null and port.default is not None:
            use.setdefault("none", []).append(port.name)
        if value.raw:
            for key in file_inputs(algorithm, port):
                outer = f"{value.source}{key[len(port.name) :]}"
                if outer in self.inputs:
                    ins[key] = outer
            return
        use.setdefault("values", []).append(port.name)
        if value.fields:
            use.setdefault("fields", {})[port.name] = list(value.fields)

    # -- lifting ------------------------------------------------------------------------------------------------

    def _scatter(self, step: dict[str, Any], use: dict[str, Any], node: Node, held: dict[str, Held | Const]) -> How:
        """Scatter a map over files, or over ranges of the items in one file; return how its results lie in files."""
        missing = [name for name in node.lifted if name not in held]
        if missing:
            raise Refused(f"{self.graph.name}: node '{node.id}': the lifted input '{missing[0]}' is absent")
        self.features.add("Scatter")
        kinds = {"items" if isinstance(value, Const) else value.how for name in node.lifted if (value := held[name])}
        if kinds == {"one"}:
            use["lift"] = list(node.lifted)
            step["in"][RANGE] = self._ranges(node, cast("Held", next(held[name] for name in node.lifted)))
            step["scatter"] = RANGE
            return "chunks"
        if kinds == {"chunks"} and len(node.lifted) == 1:
            use["lift"] = list(node.lifted)
            step["scatter"] = node.lifted[0]
            return "chunks"
        for name in node.lifted:
            value = held[name]
            if isinstance(value, Held) and value.how != "items":
                held[name] = self._split(f"split.{node.id}.{name}", value)
        step["scatter"] = list(node.lifted)
        if len(node.lifted) > 1:
            step["scatterMethod"] = "dotproduct"
        return "items"

    def _ranges(self, node: Node, held: Held) -> str:
        ins: dict[str, Any] = {"file": held.source, "chunk": {"default": node.chunk}}
        if held.raw:
            ins["select"] = f"{held.source}.select"
        elif held.fields:
            ins["fields"] = {"default": list(held.fields)}
        return self._helper(f"ranges.{node.id}", "daisy.ranges", ins, "ranges")

    def _split(self, step_id: str, held: Held) -> Held:
        if held.raw:
            raise Refused(
                f"{self.graph.name}: input '{held.source}' in one file is lifted beside items in files of their own; "
                "give a file for each item"
            )
        ins = {"files": _link(held), **({"fields": {"default": list(held.fields)}} if held.fields else {})}
        return Held(self._helper(step_id, "daisy.split", ins, "items"), "items")

    def _gather(self, step_id: str, held: Held, name: str = "result") -> Held:
        return Held(
            self._helper(step_id, "daisy.gather", {"files": _link(held), "name": {"default": name}}, "value"), "one"
        )

    def _select(self, step_id: str, held: Held, name: str = "result") -> Held:
        ins = {"file": held.source, "fields": {"default": list(held.fields)}, "name": {"default": name}}
        return Held(self._helper(step_id, "daisy.select", ins, "value"), "one")

    def _helper(self, step_id: str, name: str, ins: Mapping[str, Any], out: str) -> str:
        self.files.setdefault(file_name(name), helper(name))
        self.steps[step_id] = {"run": file_name(name), "in": dict(ins), "out": [out]}
        return f"{step_id}/{out}"

    # -- reading the inputs of the workflow --------------------------------------------------------------------

    def _must_read(self, name: str) -> bool:
        """True where an input is to be read by a step of its own, as an engine does: else each user reads it alike."""
        port = self.workflow.ports[name]
        if port.is_file or not readable(port.item):
            return False
        must = self.top and bool(marked(self.workflow, port))
        for node in self.graph.nodes.values():
            for user, ref in node.links():
                if ref.node is None and ref.path[0] == name:
                    other = node.algorithm.ports[user]
                    must |= len(ref.path) > 1 or isinstance(node.inputs[user], Several) or not _read_alike(port, other)
        if must and self.held[name].how == "one" and port.is_sequence:
            raise Refused(
                f"{self.workflow.name}: input '{name}' cannot be given as one file; give a file for each item"
            )
        return must

    def _read(self, name: str) -> Held:
        """Return an input as read by a step of its own."""
        held, step_id = self.held[name], f"read.{name}"
        if step_id not in self.steps:
            port = self.workflow.ports[name]
            run = file_name(f"{self.workflow.name}.read-{name}")
            self.files[run] = reading_tool(self.workflow, port)
            self._add_source(self.workflow)
            mine = [key for key in self.files[run]["inputs"] if self.top or key == name or key.startswith(f"{name}.")]
            there = [key for key in mine if key in self.inputs]
            self.steps[step_id] = {"run": run, "in": {key: key for key in there}, "out": ["value"]}
            if held.how == "items":
                self.features.add("Scatter")
                self.steps[step_id]["scatter"] = name
        return replace(held, source=f"{step_id}/value", raw=False)

    # -- parameters and nested workflows -----------------------------------------------------------------------

    def _bind_params(self, node: Node, ins: dict[str, Any], use: dict[str, Any], preset: Mapping[str, Any]) -> None:
        """Link the parameters of a node: bound values, parameters of this workflow, or inputs of their own."""
        own = node.algorithm.overrides if isinstance(node.algorithm, Workflow) else {}
        inner = node.algorithm.node_parameters() if isinstance(node.algorithm, Workflow) else {}
        skip = self._structural(node)
        for name, item in {**node.algorithm.parameters, **inner}.items():
            binding = node.params.get(name)
            if name in skip or (node.kind == "map" and name in inner and name not in own):
                continue
            if isinstance(binding, Ref):
                self._link_param(node, name, item, binding, ins, use)
            elif isinstance(binding, Const) or (node.kind == "map" and name in inner):
                _set_param(name, item, binding.value if isinstance(binding, Const) else own[name], ins, use)
            else:
                at = f"{node.id}.{name}"
                found = fields(at, item, preset.get(at, own.get(name, REQUIRED)))
                self._declare(found)
                ins.update({field.id.removeprefix(f"{node.id}."): field.id for field in found})

    def _structural(self, node: Node) -> dict[str, Any]:
        """Return the structural parameters of a nested workflow, which are settled here."""
        if not isinstance(node.algorithm, Workflow) or node.kind != "call":
            return {}
        found: dict[str, Any] = {}
        for name, item in node.algorithm.parameters.items():
            if item.param.structural:
                binding = node.params.get(name)
                if isinstance(binding, Ref):
                    raise Refused(
                        f"{self.graph.name}: node '{node.id}': parameter '{name}' decides the structure of {node.algorithm.name} "
                        f"and must be settled for CWL; declare '{binding.path[0]}' Param(structural=True)"
                    )
                found[name] = (
                    binding.value if isinstance(binding, Const) else node.algorithm.overrides.get(name, item.default)
                )
        return found

    def _link_param(
        self, node: Node, name: str, item: Parameter, ref: Ref, ins: dict[str, Any], use: dict[str, Any]
    ) -> None:
        outer = ".".join(ref.path)
        for field in fields(name, item):
            from_id = outer + field.id[len(name) :]
            if from_id not in self.known:
                raise Refused(
                    f"{self.graph.name}: node '{node.id}': parameter '{field.id}' cannot be linked to '{outer}' in CWL"
                )
            ins[field.id] = from_id
            if field.nullable and field.default not in (None, REQUIRED):
                use.setdefault("none", []).append(field.id)

    def _nested(self, step_id: str, node: Node, held: dict[str, Held | Const], preset: Mapping[str, Any]) -> None:
        """Make a step of a nested workflow: its document stands inside, made for what arrives here."""
        inner = cast("Workflow[..., Any]", node.algorithm)
        ins: dict[str, Any] = {}
        self._bind_params(node, ins, {}, preset)
        arriving: dict[str, Held] = {}
        for name, value in held.items():
            port = inner.ports[name]
            self._feed(ins, {}, inner, port, value)
            how = ("items" if port.is_sequence else "one") if isinstance(value, Const) else value.how
            arriving[name] = Held(name, how) if isinstance(value, Const) else replace(value, source=name)
        nested = Steps(inner, inner.graph(arriving, self._structural(node)), arriving, self.files, top=False)
        document = nested.document()
        self.features.add("Subworkflow")
        wanted = {key: value for key, value in ins.items() if key in document["inputs"]}
        self.steps[step_id] = {"run": document, "in": wanted, "out": list(document["outputs"])}
        ports = {name: replace(found, source=f"{step_id}/{found.source}") for name, found in nested.given.ports.items()}
        self.results[node.id] = Results(ports, nested.given.several)


def _link(held: Held) -> Any:
    if isinstance(held.source, tuple):
        return {"source": list(held.source), "linkMerge": "merge_nested"}
    return held.source


def _read_alike(left: Port, right: Port) -> bool:
    return reader(left.item) is reader(right.item) and type_name(left.item) == type_name(right.item)


def _set_param(name: str, item: Parameter, value: Any, ins: dict[str, Any], use: dict[str, Any]) -> None:
    declared = {field.id: field.default for field in fields(name, item)}
    for field in fields(name, item, value):
        if field.default is not None:
            ins[field.id] = {"default": field.default}
        elif declared[field.id] not in (None, REQUIRED):
            use.setdefault("none", []).append(field.id)
