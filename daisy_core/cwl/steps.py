"""A graph as a CWL Workflow: nodes become steps, maps scatter, folds take the whole array, nested workflows are steps too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from ..datatypes import strip_optional
from ..graph import Const, Node, Ref, Several
from ..params import to_json
from ..signature import REQUIRED, Parameter, Port, is_named_tuple, item_type
from ..workflow import Workflow
from .links import Held, How, Links, Results
from .sources import document_name, file_name, native
from .tools import file_inputs, header, tool
from .types import (
    STEP,
    Field,
    Refused,
    array_of,
    fields,
    gives_file,
    optional_type,
    outputs,
    port_default,
    port_item,
    short,
)


class Steps(Links):
    """Builds the Workflow document of one graph."""

    given: Results
    """The outputs, once the document is built."""

    def document(self) -> dict[str, Any]:
        """Return the document."""
        for name, held in self.held.items():
            self._declare_port(self.workflow.ports[name], held)
        preset = self.workflow.overrides if self.top else {}
        for name, item in self.graph.parameters.items():
            if name not in self.graph.structural:
                self._declare(fields(name, item, preset.get(name, REQUIRED)))
        for node_id in self.graph.order():
            self._node(self.graph.nodes[node_id], preset)
        found = self._outputs()
        label = f"{document_name(self.workflow)}, version {self.workflow.version}"
        made: dict[str, Any] = header("Workflow", label, self.workflow.doc)
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
        self.inputs[port.name] = {**made, "type": short(made["type"])}
        if held.raw:
            self.inputs.update(file_inputs(self.workflow, port))

    def _outputs(self) -> dict[str, Any]:
        output, where = self.graph.output, f"{self.graph.name}: output"
        whole = isinstance(output, Ref) and not output.path and self.results[output.node or ""].several
        if isinstance(output, Ref):
            ports = self.results[output.node or ""].ports if whole else {"result": self.resolve(output, where)}
            if whole and any(held.how != "one" for held in ports.values()):
                self.resolve(output, where)  # says why a list of several outputs has no place
        else:
            ports = {name: self.resolve(ref, where) for name, ref in output.items()}
        made = {name: self._plain(name, held) if self.top else held for name, held in ports.items()}
        ids = {name: f"{name}.out" if name in self.inputs else name for name in made}
        given = {name: replace(held, source=ids[name]) for name, held in made.items()}
        self.given = Results(given, whole or not isinstance(output, Ref))
        return {
            ids[name]: {
                "type": f"{'File' if held.how == 'one' else 'File[]'}{'?' if held.null else ''}",
                "outputSource": cast("str", held.source),
            }
            for name, held in made.items()
        }

    def _plain(self, name: str, held: Held) -> Held:
        """Return an output as one whole object in one file; files of others stay as they are."""
        if held.how == "one":
            return self.select(f"select.{name}", held, name)
        return held if held.raw else self.gather(f"gather.{name}", held, name)

    # -- one node -----------------------------------------------------------------------------------------------

    def _node(self, node: Node, preset: Mapping[str, Any]) -> None:
        if self._is_pick(node):
            return
        taken = {*self.inputs, *self.workflow.signature.output_ports}
        step_id = f"{node.id}.step" if node.id in taken else node.id
        held = {name: self._bound(node, name) for name in node.inputs if not _is_none(node, name)}
        if isinstance(node.algorithm, Workflow) and node.kind == "call":
            self._nested(step_id, node, held, preset)
        else:
            self._tool(step_id, node, held, preset)

    def _is_pick(self, node: Node) -> bool:
        """Take one output of a step with several, which in CWL is a link and needs no step."""
        binding = node.inputs.get("value")
        if node.algorithm.name != "core.field" or not isinstance(binding, Ref) or binding.node is None or binding.path:
            return False
        results, name = self.results[binding.node], node.params["name"]
        if not results.several or not isinstance(name, Const):
            return False
        taken = {"result": results.ports[name.value]} if name.value in results.ports else {}
        self.results[node.id] = Results(taken, several=False)
        return True

    def _bound(self, node: Node, name: str) -> Held | None:
        """Return what feeds a port; None where it is a value that the workflow binds itself."""
        binding = node.inputs[name]
        where = f"{self.graph.name}: node '{node.id}' ({node.algorithm.name}), input '{name}'"
        if isinstance(binding, Several):
            return self.together(binding, where, f"{node.id}.{name}")
        return self.resolve(binding, where) if isinstance(binding, Ref) else None

    def _tool(self, step_id: str, node: Node, held: dict[str, Held | None], preset: Mapping[str, Any]) -> None:
        algorithm = node.algorithm
        theirs = native(algorithm)
        run = file_name(document_name(algorithm))
        if run not in self.files:
            self.files[run] = tool(algorithm)
            if theirs is None:
                self.add_source(algorithm)
            else:
                self.files.update(theirs.files)
        use: dict[str, Any] = {}
        step: dict[str, Any] = {"run": run, "in": {}}
        self._bind_params(node, step["in"], use, preset)
        how: How = "one"
        if node.kind == "map":
            how = self.scatter(step, use, node, held)
        elif node.kind == "reduce":
            use.update(lift=list(node.lifted), chunk=node.chunk)
        for name, value in held.items():
            port = algorithm.ports[name]
            if value is not None and value.how != "one" and name not in node.lifted and not port.is_sequence:
                value = self.gather(f"gather.{node.id}.{name}", value)
            self._feed(step["in"], use, node, port, value)
        if theirs is not None:
            self._native(step_id, node, step, use, how)
            return
        step["in"][STEP] = {"default": json.dumps(use)}  # as text: schema salad rewrites mappings even in defaults
        found = outputs(algorithm, self.files[run]["inputs"])
        self.steps[step_id] = {**step, "out": list(found.values())}
        made: dict[str, Held] = {}
        for name, annotation in algorithm.signature.output_ports.items():
            source, is_file = f"{step_id}/{found[name]}", gives_file(annotation)
            is_list = is_file and item_type(annotation) is not None
            if is_list and how != "one":
                raise Refused(
                    f"{self.graph.name}: node '{node.id}': a list of files for each item has no place in CWL links"
                )
            null = is_file and strip_optional(annotation)[1]
            made[name] = Held(source, "items" if is_list else how, raw=is_file, null=null)
        self.results[node.id] = Results(made, is_named_tuple(algorithm.signature.output))

    def _native(self, step_id: str, node: Node, step: dict[str, Any], use: Mapping[str, Any], how: How) -> None:
        """Make the step of a tool that was CWL from the beginning: its own ids, its files as they are."""
        theirs = native(node.algorithm)
        assert theirs is not None
        where = f"{self.graph.name}: node '{node.id}' ({node.algorithm.name})"
        if use.get("values") or use.get("none"):
            names = [*use.get("values", ()), *use.get("none", ())]
            raise Refused(f"{where}: input '{names[0]}' is a value in a NeXus file of ours, which the tool cannot read")
        found: dict[str, Held] = {}
        for name, (key, is_list) in theirs.outputs.items():
            if is_list is None:
                continue
            if is_list and how != "one":
                raise Refused(f"{where}: output '{key}' is a list for each item; a list of lists has no place here")
            found[name] = Held(f"{step_id}/{key}", "items" if is_list else how, raw=True)
        ins = {theirs.inputs.get(key, key): link for key, link in step["in"].items()}
        scatter = {"scatter": [theirs.inputs[key] for key in step["scatter"]]} if "scatter" in step else {}
        self.steps[step_id] = {**step, "in": ins, **scatter, "out": [key for key, _ in theirs.outputs.values()]}
        self.results[node.id] = Results(found, is_named_tuple(node.algorithm.signature.output))

    def _feed(self, ins: dict[str, Any], use: dict[str, Any], node: Node, port: Port, value: Held | None) -> None:
        """Link one port of a tool, and say in ``use`` how its files are to be taken."""
        if value is None:
            ins[port.name] = {"default": to_json(cast("Const", node.inputs[port.name]).value)}
            return
        ins[port.name] = value.link
        if value.null and port.default is not None:
            use.setdefault("none", []).append(port.name)
        if value.raw:
            for key in file_inputs(node.algorithm, port) if native(node.algorithm) is None else ():
                outer = f"{value.source}{key[len(port.name) :]}"
                if outer in self.inputs:
                    ins[key] = outer
            return
        use.setdefault("values", []).append(port.name)
        if value.fields:
            use.setdefault("fields", {})[port.name] = list(value.fields)

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
                        f"{self.graph.name}: node '{node.id}': parameter '{name}' decides the structure of "
                        f"{node.algorithm.name} and must be settled for CWL; declare '{binding.path[0]}' Param(structural=True)"
                    )
                value = node.algorithm.overrides.get(name, item.default)
                found[name] = binding.value if isinstance(binding, Const) else value
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

    def _nested(self, step_id: str, node: Node, held: dict[str, Held | None], preset: Mapping[str, Any]) -> None:
        """Make a step of a nested workflow: its document stands inside, made for what arrives here."""
        inner = cast("Workflow[..., Any]", node.algorithm)
        ins: dict[str, Any] = {}
        self._bind_params(node, ins, {}, preset)
        arriving: dict[str, Held] = {}
        for name, value in held.items():
            port = inner.ports[name]
            self._feed(ins, {}, node, port, value)
            bound = Held(name, "items" if port.is_sequence else "one")
            arriving[name] = bound if value is None else replace(value, source=name)
        nested = Steps(inner, inner.graph(arriving, self._structural(node)), arriving, self.files, top=False)
        document = nested.document()
        self.features.add("Subworkflow")
        wanted = {key: value for key, value in ins.items() if key in document["inputs"]}
        self.steps[step_id] = {"run": document, "in": wanted, "out": list(document["outputs"])}
        ports = {name: replace(found, source=f"{step_id}/{found.source}") for name, found in nested.given.ports.items()}
        self.results[node.id] = Results(ports, nested.given.several)


def _is_none(node: Node, name: str) -> bool:
    binding = node.inputs[name]
    return isinstance(binding, Const) and binding.value is None


def _set_param(name: str, item: Parameter, value: Any, ins: dict[str, Any], use: dict[str, Any]) -> None:
    declared = {field.id: field.default for field in fields(name, item)}
    for field in fields(name, item, value):
        if field.default is not None:
            ins[field.id] = {"default": field.default}
        elif declared[field.id] not in (None, REQUIRED):
            use.setdefault("none", []).append(field.id)
