"""How values travel between the steps of a CWL Workflow: what lies in which files, and the small steps in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from ..graph import Graph, Node, Ref, Several
from ..reading import readable
from ..registry import reader
from ..signature import Port, type_name
from ..workflow import Workflow
from .sources import file_name, native, source
from .tools import helper, reading_tool
from .types import RANGE, Field, Refused, gives_file, marked

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
        The files are as a user or a tool of others gave them, not NeXus files of ours with one object.
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

    @property
    def link(self) -> Any:
        """The link as the input of a step."""
        if isinstance(self.source, tuple):
            return {"source": list(self.source), "linkMerge": "merge_nested"}
        return self.source


@dataclass(frozen=True)
class Results:
    """The outputs of a step by port; ``several`` where they are the fields of a NamedTuple."""

    ports: Mapping[str, Held]
    several: bool


class Links:
    """The steps made so far, what they give, and the steps between them: reading, sharing out, splitting, gathering.

    Parameters
    ----------
    workflow : Workflow
        What is exported.
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
        self.to_read = {name for name, held in self.held.items() if held.raw and self._must_read(name)}

    # -- from links of the graph to files -----------------------------------------------------------------------

    def resolve(self, ref: Ref, where: str) -> Held:
        """Return how the value of a link lies in files."""
        if ref.node is None:
            held = self._read(ref.path[0]) if ref.path[0] in self.to_read else self.held[ref.path[0]]
            return replace(held, fields=(*held.fields, *ref.path[1:]))
        results, path = self.results[ref.node], ref.path
        if results.several and not path:
            raise Refused(
                f"{where}: takes all outputs of node '{ref.node}' as one object, which no file can hold; "
                f"link them one by one: {', '.join(f'{ref.node}.{name}' for name in results.ports)}"
            )
        name = path[0] if results.several else "result"
        if name not in results.ports:
            raise Refused(
                f"{where}: '{ref}' is a plain value of a tool of others; our tools take files from each other"
            )
        held = results.ports[name]
        return replace(held, fields=(*held.fields, *(path[1:] if results.several else path)))

    def together(self, several: Several, where: str, at: str) -> Held:
        """Return how a sequence that is put together from links lies in files: one for each item."""
        items = [self.resolve(ref, where) for ref in several.items]
        if any(item.how != "one" for item in items):
            raise Refused(
                f"{where}: a list put together from sequences has no place in CWL; put it together in an algorithm"
            )
        made = [self.select(f"select.{at}.{place}", item) for place, item in enumerate(items)]
        self.features.add("MultipleInput")
        return Held(tuple(cast("str", item.source) for item in made), "items", raw=all(item.raw for item in made))

    def scatter(self, step: dict[str, Any], use: dict[str, Any], node: Node, held: dict[str, Held | None]) -> How:
        """Scatter a map over files, or over ranges of the items in one file; return how its results lie in files.

        An input that is ``None`` here is bound to an empty list.
        """
        missing = [name for name in node.lifted if name not in held]
        if missing:
            raise Refused(f"{self.graph.name}: node '{node.id}': the lifted input '{missing[0]}' is absent")
        self.features.add("Scatter")
        lifted = {name: found for name in node.lifted if (found := held[name]) is not None}
        kinds = {found.how for found in lifted.values()} | ({"items"} if len(lifted) < len(node.lifted) else set[How]())
        chunked = kinds == {"chunks"} and len(node.lifted) == 1
        if (kinds == {"one"} or chunked) and not _gives_files(node):
            use["lift"] = list(node.lifted)
            if not chunked:
                step["in"][RANGE] = self._ranges(node, next(iter(lifted.values())))
            step["scatter"] = list(node.lifted) if chunked else RANGE
            return "chunks"
        for name, found in lifted.items():
            held[name] = found if found.how == "items" else self._split(f"split.{node.id}.{name}", found)
        step["scatter"] = list(node.lifted)
        if len(node.lifted) > 1:
            step["scatterMethod"] = "dotproduct"
        return "items"

    # -- the steps in between -----------------------------------------------------------------------------------

    def gather(self, step_id: str, held: Held, name: str = "result") -> Held:
        """Write the items of a sequence to one file."""
        ins = {"files": held.link, "name": {"default": name}}
        return Held(self._helper(step_id, "daisy.gather", ins, "value"), "one")

    def select(self, step_id: str, held: Held, name: str = "result") -> Held:
        """Write the field that is meant to a file of its own."""
        if not held.fields:
            return held
        ins = {"file": held.source, "fields": {"default": list(held.fields)}, "name": {"default": name}}
        return Held(self._helper(step_id, "daisy.select", ins, "value"), "one")

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
        fields = {"fields": {"default": list(held.fields)}} if held.fields else {}
        return Held(self._helper(step_id, "daisy.split", {"files": held.link, **fields}, "items"), "items")

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
                    alike = _read_alike(port, node.algorithm.ports[user])
                    must |= len(ref.path) > 1 or isinstance(node.inputs[user], Several) or not alike
        if must and self.held[name].how == "one" and port.is_sequence:
            raise Refused(
                f"{self.workflow.name}: input '{name}' cannot be given as one file; give a file for each item"
            )
        return must

    def _read(self, name: str) -> Held:
        """Return an input as read by a step of its own."""
        held, step_id = self.held[name], f"read.{name}"
        if step_id not in self.steps:
            run = file_name(f"{self.workflow.name}.read-{name}{'-if-given' if held.null else ''}")
            self.files[run] = reading_tool(self.workflow, self.workflow.ports[name], optional=held.null)
            self.add_source(self.workflow)
            # inside another workflow the parameters of the outer one are the defaults of readers, as in an engine
            mine = [key for key in self.files[run]["inputs"] if self.top or key == name or key.startswith(f"{name}.")]
            ins = {key: key for key in mine if key in self.inputs}
            self.steps[step_id] = {"run": run, "in": ins, "out": ["value"]}
            if held.how == "items":
                self.features.add("Scatter")
                self.steps[step_id]["scatter"] = name
        return replace(held, source=f"{step_id}/value", raw=False)

    def add_source(self, algorithm: Any) -> None:
        """Add the files that declare an algorithm, where it is not installed."""
        self.files.update(source(algorithm).files)


def _gives_files(node: Node) -> bool:
    """True where the results are files themselves: several of them have no place in one file."""
    return native(node.algorithm) is not None or any(map(gives_file, node.algorithm.signature.output_ports.values()))


def _read_alike(left: Port, right: Port) -> bool:
    return reader(left.item) is reader(right.item) and type_name(left.item) == type_name(right.item)
