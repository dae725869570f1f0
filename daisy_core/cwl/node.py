"""What the exported tools call: ``daisy cwl node NAME inputs.json`` runs one node of a workflow on files."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from .. import registry
from ..algorithm import Algorithm
from ..context import Resources
from ..engine import WorkflowEngine
from ..errors import ParameterError, RunError
from ..graph import Binding, Const, Graph, Node, Ref
from ..params import model_of
from ..reading import FileInput, reading
from ..signature import REQUIRED, Port, is_named_tuple
from ..workflow import Workflow
from . import values
from .types import RANGE, SOURCE, STEP, from_text, gives_file, is_json_port, is_model, json_type, marked, reader_fields

ABSENT: Any = object()


def run_node(
    name: str, inputs: Path, *, version: str = "", module: str = "", read: str = "", declared: Path | None = None
) -> None:
    """Run one node on the inputs in a JSON file; write its outputs into the working folder.

    Parameters
    ----------
    name : str
        The algorithm, or one of the tools between steps.
    inputs : Path
        The CWL inputs as JSON.
    version : str
        The version that the tool was exported with.
    module : str
        A module to import first.
    read : str
        Only read the file of this port.
    declared : Path
        The file that declares it: Python or TOML.

    Raises
    ------
    ParameterError
        If the installed algorithm has another version.
    RunError
        If it fails.
    """
    given: dict[str, Any] = json.loads(inputs.read_text(encoding="utf-8"))
    sources = [Path(file["path"]) for file in given.get(SOURCE) or ()]
    for source in sources:
        if source.suffix == ".py":
            registry.load_file(source)
    if name in _HELPERS:
        _HELPERS[name](given)
        return
    if module:
        importlib.import_module(module)
    algorithm = _find(next((str(source) for source in sources if source.suffix == ".json"), name), declared)
    if version and algorithm.version != version:
        raise ParameterError(
            f"{name}: the tool was exported with version {version}, installed is version {algorithm.version}; export it again"
        )
    if read:
        _read(algorithm, algorithm.ports[read], given)
    else:
        _run(algorithm, given)


def _find(name: str, declared: Path | None) -> Algorithm[..., Any]:
    if declared is not None and declared.suffix == ".toml":
        from ..script import from_toml

        return from_toml(declared)
    if declared is not None:
        registry.load_file(declared)
    return registry.find(name)


def _run(algorithm: Algorithm[..., Any], given: Mapping[str, Any]) -> None:
    use: Mapping[str, Any] | None = json.loads(given[STEP]) if given.get(STEP) else None
    none = set((use or {}).get("none", ()))
    inputs = {name: found for name, port in algorithm.ports.items()
              if (found := _input(port, given, use or {}, none)) is not ABSENT}  # fmt: skip
    params = collect_params(algorithm, given, none)
    lifted = (use or {}).get("lift", ())
    workflow = algorithm if use is None else one_node(algorithm, inputs, params, use)
    run = WorkflowEngine("inline").submit(workflow, inputs, params if use is None else {})
    if run.error is not None:
        raise RunError(run.reason()) from run.error
    several = bool(lifted) and algorithm.kind != "reduction"
    types = algorithm.signature.output_ports
    for name, value in _outputs(algorithm, run.outputs, several=several).items():
        if gives_file(types[name]):
            values.copy_files(name, value)
        else:
            values.write(name, value, run.provenance(), items=several)


def _outputs(algorithm: Algorithm[..., Any], found: Mapping[str, Any], *, several: bool) -> Mapping[str, Any]:
    if not several or not is_named_tuple(algorithm.signature.output):
        return found
    return {name: [getattr(item, name) for item in found["result"]] for name in algorithm.signature.output_ports}


def one_node(algorithm: Algorithm[..., Any], inputs: Mapping[str, Any], params: Mapping[str, Any],
             use: Mapping[str, Any]) -> Workflow[..., Any]:  # fmt: skip
    """Return a workflow of one node, lifted as the step says, so that an engine runs it as it would in the whole graph."""
    lifted = tuple(use.get("lift", ()))
    kind = "reduce" if algorithm.kind == "reduction" else "map" if lifted else "call"
    own = {name: Const(value) for name, value in params.items() if name in algorithm.parameters}
    deeper = {name: value for name, value in params.items() if name not in own}
    if isinstance(algorithm, Workflow) and deeper:
        algorithm = algorithm.with_params(deeper)
    bound: dict[str, Binding] = {
        name: Const(None) if value is None else Ref(None, (name,)) for name, value in inputs.items()
    }
    if kind == "reduce" and not lifted:
        lifted = (next(iter(algorithm.ports)),)
    node = Node(
        algorithm.node_name, algorithm, bound, own, kind, lifted, "item" if lifted else "", use.get("chunk", 32)
    )
    types = {name: node.takes(name) for name, binding in bound.items() if isinstance(binding, Ref)}
    graph = Graph(algorithm.name, algorithm.version, types, {}, {node.id: node}, Ref(node.id)).validate()

    def body() -> None:
        """Stand for the body of the workflow."""

    body.__module__ = algorithm.function.__module__
    return Workflow(body, name=algorithm.name, version=algorithm.version, resources=Resources(), graph=graph)


# -- inputs -----------------------------------------------------------------------------------------------------


def _input(port: Port, given: Mapping[str, Any], use: Mapping[str, Any], none: set[str]) -> Any:
    """Return the value of a port: a value between steps is read here, a file of the user is left to its reader."""
    value = given.get(port.name)
    if value is None:
        return None if port.name in none else ABSENT
    if value == [] and isinstance(port.default, (list, tuple)) and not port.default:
        return ABSENT
    path, lifted = values.path_of(value), port.name in use.get("lift", ())
    chosen = use.get("fields", {}).get(port.name, ())
    span = _span(given[RANGE]) if lifted and given.get(RANGE) else None
    if port.name in use.get("values", ()) or is_json_port(port):
        if path is None:
            return values.flat(value) if isinstance(value, list) else value
        return values.take(path, chosen) if span is None else values.items(path, chosen, span)
    if path is not None and (span is not None or (port.is_sequence and not port.is_file)):
        return _stack(port, path, given, span or slice(None))
    if isinstance(value, list):
        return [_file(port, item["path"], given) for item in cast("list[Any]", value)]
    return value if path is None else _file(port, str(path), given)


def _span(text: str) -> slice:
    start, _, stop = text.partition(":")
    return slice(int(start), int(stop))


def _file(port: Port, path: str, given: Mapping[str, Any], **more: Any) -> FileInput:
    inside = given.get(f"{port.name}.select")
    options = {name: given[field.id] for name, field in reader_fields(port).items() if given.get(field.id) is not None}
    return FileInput(f"{path}::{inside}" if inside else path, {**options, **more})


def _stack(port: Port, path: Path, given: Mapping[str, Any], span: slice) -> list[Any]:
    """Return items of a sequence that the user gave as one file: as references to frames, where their reader can take one."""
    inside = given.get(f"{port.name}.select") or ""
    if values.is_result(path):
        return values.items(path, [part for part in inside.split("/") if part], span)
    stack = values.frames(path, inside)
    found = registry.reader(port.item)
    if found is not None and "frame" in found.parameters:
        return [_file(port, str(path), given, frame=at) for at in range(*span.indices(len(stack)))]
    return list(stack[span])


def collect_params(algorithm: Algorithm[..., Any], given: Mapping[str, Any], none: set[str]) -> dict[str, Any]:
    """Return the parameters that the inputs give: the fields of a parameter model put together again.

    ``none`` names the fields for which null means None; elsewhere it means the default.
    """
    known = dict(algorithm.parameters)
    if isinstance(algorithm, Workflow):
        known.update(algorithm.node_parameters())
    found = {name: _param(name, item.annotation, item.default, given, none) for name, item in known.items()}
    return {name: value for name, value in found.items() if value is not ABSENT}


def _param(at: str, annotation: Any, default: Any, given: Mapping[str, Any], none: set[str]) -> Any:
    model = model_of(annotation)
    value = given.get(at)
    if model is None or not is_model(annotation) or default is None:
        if value is None:
            return None if at in none else ABSENT
        return _models(model, from_text(value) if json_type(annotation) == "Any" else value)
    parts: dict[str, Any] = {}
    for field, info in model.model_fields.items():
        start = getattr(default, field) if default is not REQUIRED else REQUIRED
        part = _param(f"{at}.{field}", info.annotation, start, given, none)
        if part is not ABSENT:
            parts[field] = part
        elif start is not REQUIRED:
            parts[field] = start
    return model(**parts)


def _models(model: Any, value: Any) -> Any:
    if isinstance(value, list):
        return [_models(model, item) for item in cast("list[Any]", value)]
    return model(**value) if model is not None and isinstance(value, Mapping) else value


# -- reading, and the tools between steps ----------------------------------------------------------------------


def _read(owner: Algorithm[..., Any], port: Port, given: Mapping[str, Any]) -> None:
    """Read the file of one port as an engine does, with the parameters that are defaults of its reader."""
    path = values.path_of(given.get(port.name))
    if path is None:
        return
    marks: dict[str, Any] = {}
    for field_id in marked(owner, port).values():
        name, _, field = field_id.partition(".")
        if given.get(field_id) is not None:
            marks.update({name: {**marks.get(name, {}), field: given[field_id]}} if field else {name: given[field_id]})
    planned = reading(owner, Port(port.name, port.item), _file(port, str(path), given), marks)
    record = {
        "algorithm": planned.reader.name,
        "version": planned.reader.version,
        "params": dict(planned.options),
        "file": path.name,
    }
    values.write(port.name, planned(), record)


def _ranges(given: Mapping[str, Any]) -> None:
    path = Path(given["file"]["path"])
    select, chosen, chunk = given.get("select") or "", given.get("fields") or (), int(given["chunk"])
    if values.is_result(path):
        length = values.count(path, chosen or [part for part in select.split("/") if part])
    else:
        length = len(values.frames(path, select))
    ranges = [f"{start}:{min(start + chunk, length)}" for start in range(0, length, chunk)]
    Path("cwl.output.json").write_text(json.dumps({"ranges": ranges}), encoding="utf-8")


def _split(given: Mapping[str, Any]) -> None:
    files, chosen = given["files"], given.get("fields") or ()
    found: Sequence[Any] = values.flat(files) if isinstance(files, list) else values.take(Path(files["path"]), chosen)
    digits = len(str(len(found)))
    for at, item in enumerate(found):
        values.write(f"item-{at:0{digits}d}", item)


def _gather(given: Mapping[str, Any]) -> None:
    values.write(given["name"], values.flat(given["files"]))


def _select(given: Mapping[str, Any]) -> None:
    values.write(given["name"], values.take(Path(given["file"]["path"]), given.get("fields") or ()))


_HELPERS = {"daisy.ranges": _ranges, "daisy.split": _split, "daisy.gather": _gather, "daisy.select": _select}
