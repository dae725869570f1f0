"""The plan of a run: nested workflows opened up, parameters settled, files turned into reader tasks."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Union, cast

from . import registry
from .algorithm import Algorithm, ReductionAlgorithm
from .datatypes import is_data
from .errors import InputError, ParameterError
from .graph import Binding, Const, Kind, Ref, Several
from .identity import digest, distribution_version, file_id, value_id
from .lifting import Mapped
from .params import to_json
from .reading import FileInput, Reading, check_exists, readable, reading, resolve
from .signature import Port, is_named_tuple
from .workflow import Workflow


@dataclass(frozen=True)
class Together:
    """The output ports of a nested workflow that are used whole, as the NamedTuple that they make."""

    kind: Any
    items: Mapping[str, Source]


Source = Union[Binding, Together]  # noqa: UP007 - named before Python 3.12's ``type``


def tasks_in(source: Source) -> Iterator[str]:
    """Yield the ids of the tasks that a value comes from."""
    if isinstance(source, Ref):
        if source.node is not None:
            yield source.node
    elif isinstance(source, (Several, Together)):
        for item in source.items.values() if isinstance(source, Together) else source.items:
            yield from tasks_in(item)


@dataclass(frozen=True)
class Task:
    """One node of the plan: an algorithm with settled parameters."""

    id: str
    algorithm: Algorithm[..., Any]
    inputs: Mapping[str, Source]
    params: Mapping[str, Any]
    kind: Kind = "call"
    lifted: tuple[str, ...] = ()
    over: str = ""
    chunk: int = 1
    source: Reading | None = None

    def needs(self) -> set[str]:
        """Ids of the tasks whose results it takes."""
        return {task_id for source in self.inputs.values() for task_id in tasks_in(source)}


@dataclass
class Plan:
    """What an engine runs: tasks by id, each after what it needs, values of the inputs, and where the outputs come from."""

    name: str
    version: str
    tasks: dict[str, Task]
    values: dict[str, Any]
    outputs: dict[str, Source]
    params: dict[str, Any]
    input_ids: dict[str, Any] = field(default_factory=dict[str, Any])
    _ids: dict[str, str] = field(default_factory=dict[str, str])
    _sources: dict[int, str] = field(default_factory=dict[int, str])

    def derivation_id(self, task_id: str) -> str:
        """Return the identity of a task's result: algorithm, versions, source, parameters and input identities."""
        while task_id not in self._ids:  # in order, not by recursion: a chain may be longer than Python's stack
            earlier = self._order[len(self._ids)]
            self._ids[earlier] = self._derive(self.tasks[earlier])
        return self._ids[task_id]

    @functools.cached_property
    def _order(self) -> list[str]:
        return list(self.tasks)

    def _derive(self, task: Task) -> str:
        ports = task.algorithm.ports
        inputs = {
            name: self._source_id(source)
            for name, source in task.inputs.items()
            if not (isinstance(source, Const) and _is_same(source.value, ports[name].default))
        }
        defaults = {
            name: _default_id(port.default)
            for name, port in ports.items()
            if name not in inputs and not port.required and port.default is not None
        }
        return digest({
            "algorithm": task.algorithm.name,
            "version": task.algorithm.version,
            "source": self._source_hash(task.algorithm),
            "distribution": distribution_version(task.algorithm.function.__module__),
            "params": to_json(task.params),
            "lifting": [task.kind, list(task.lifted), task.chunk if task.kind == "reduce" else 0],
            "inputs": inputs,
            "defaults": defaults,
            "file": _path_free(self.input_ids.get(task.id)),
        })  # fmt: skip

    def _source_hash(self, algorithm: Algorithm[..., Any]) -> str:
        """Return the source hash, found once for all nodes of a function."""
        if type(algorithm) not in (Algorithm, ReductionAlgorithm):
            return algorithm.source_hash
        key = id(algorithm.function)
        if key not in self._sources:
            self._sources[key] = algorithm.source_hash
        return self._sources[key]

    def _source_id(self, source: Source) -> Any:
        if isinstance(source, Const):
            return {"value": to_json(source.value)}
        if isinstance(source, Several):
            return [self._source_id(ref) for ref in source.items]
        if isinstance(source, Together):
            return {name: self._source_id(item) for name, item in source.items.items()}
        if source.node is not None:
            return [self._ids[source.node], *source.path]
        return [_path_free(self.input_ids[source.path[0]]), *source.path[1:]]


def _is_same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and value == default


def _default_id(default: Any) -> str:
    try:
        return value_id(default)
    except Exception:  # an object of the algorithm's own: all that can be told is its kind
        return f"default:{type(default).__module__}.{type(default).__qualname__}"


def _path_free(identity: Any) -> Any:
    """Return what identifies a file without its path: a renamed file gives the same results."""
    if isinstance(identity, list):
        return [_path_free(item) for item in cast("list[Any]", identity)]
    if isinstance(identity, dict) and "sha256" in identity:
        return {key: item for key, item in cast("dict[str, Any]", identity).items() if key != "path"}
    return identity


def make_plan(algorithm: Algorithm[..., Any], inputs: Mapping[str, Any], params: Mapping[str, Any]) -> Plan:
    """Settle everything that can be known before the first task runs.

    Raises
    ------
    ParameterError
        For unknown or refused inputs and parameters.
    InputError
        For files that are not there.
    WorkflowError
        If the graph is not valid.
    """
    settled, nested = settle(algorithm, inputs, params)
    given = _given(algorithm, inputs)
    plan = Plan(algorithm.name, algorithm.version, {}, {}, {}, {**settled, **nested})
    bindings: dict[str, Source] = {
        name: _bind_input(plan, algorithm, name, value, settled) for name, value in given.items()
    }
    if isinstance(algorithm, Workflow):
        whole = _open(plan, algorithm, bindings, settled, nested, "")
    else:
        kind: Kind = "reduce" if algorithm.kind == "reduction" else "call"
        lifted = (next(iter(algorithm.ports)),) if kind == "reduce" else ()
        plan.tasks[algorithm.node_name] = Task(
            algorithm.node_name, algorithm, bindings, settled, kind, lifted, "item", 32
        )
        whole = Ref(algorithm.node_name)
    if isinstance(whole, Together) or is_named_tuple(algorithm.signature.output):
        plan.outputs = {name: _project(whole, (name,)) for name in algorithm.signature.output_ports}
    else:
        plan.outputs = {"result": whole}
    return plan


def settle(
    algorithm: Algorithm[..., Any], inputs: Mapping[str, Any], params: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check names of inputs and all parameters; return the algorithm's own, defaults filled in, and those of nodes.

    Raises
    ------
    ParameterError
        For unknown or missing inputs, and for unknown or refused parameters.
    """
    params = {**(algorithm.overrides if isinstance(algorithm, Workflow) else {}), **params}
    own = {name: value for name, value in params.items() if name in algorithm.parameters}
    nested = {name: value for name, value in params.items() if name not in algorithm.parameters}
    if nested and not isinstance(algorithm, Workflow):
        name = next(iter(nested))
        raise ParameterError(
            f"{algorithm.name}: unknown parameter '{name}'{registry.suggest(name, algorithm.parameters)}"
        )
    settled = algorithm.check_params(own)
    _check_inputs(algorithm, inputs)
    if isinstance(algorithm, Workflow):
        algorithm.check_node_params(nested, algorithm.graph(_given(algorithm, inputs), settled))
    return settled, nested


def _given(algorithm: Algorithm[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that have a value: None for an optional one means that it is absent."""
    return {name: value for name, value in inputs.items() if value is not None or algorithm.ports[name].required}


def _check_inputs(algorithm: Algorithm[..., Any], inputs: Mapping[str, Any]) -> None:
    for name in inputs:
        if name not in algorithm.ports:
            raise ParameterError(
                f"{algorithm.name}: there is no input '{name}'{registry.suggest(name, algorithm.ports)}"
            )
    for name, port in algorithm.ports.items():
        if port.required and inputs.get(name) is None:
            raise ParameterError(f"{algorithm.name}: input '{name}' is required")


def _bind_input(plan: Plan, owner: Algorithm[..., Any], name: str, value: Any, params: Mapping[str, Any]) -> Binding:
    """Enter the value of an input into the plan; a path becomes a task that reads it."""
    port = owner.ports[name]
    is_path = isinstance(value, (str, PurePath, FileInput))
    if is_path and not port.is_file and readable(port.item):
        if port.is_sequence:
            resolve(owner, port, value, params)  # says that a sequence is needed
        return _reader_task(plan, owner, port, f"read:{name}", value, params)
    if isinstance(value, (list, tuple)) and port.is_sequence and not port.is_file:
        items = cast("list[Any]", value)
        if any(isinstance(item, (str, PurePath, FileInput)) for item in items) and readable(port.item):
            refs = [
                _reader_task(plan, owner, port, f"read:{name}[{index}]", item, params)
                if isinstance(item, (str, PurePath, FileInput)) else _plain_input(plan, owner, f"{name}[{index}]", item)
                for index, item in enumerate(items)
            ]  # fmt: skip
            return Several(tuple(refs))
    if port.is_file:
        path = resolve(owner, port, value, params)
        for item in path if isinstance(path, list) else [path]:
            if item is not None:
                check_exists(owner, port, FileInput(item))
        plan.values[name] = path
        plan.input_ids[name] = (
            [_file_identity(item) for item in path] if isinstance(path, list) else _file_identity(path)
        )
        return Ref(None, (name,))
    return _plain_input(plan, owner, name, list(cast("Any", value)) if isinstance(value, Mapped) else value)


def _file_identity(path: Any) -> Any:
    if path is None:
        return None
    source = FileInput(path)
    inside = {"inside": source.inside} if source.inside else {}
    return {"path": str(path), **inside, **(file_id(source.file) if source.file.is_file() else {})}


def _plain_input(plan: Plan, owner: Algorithm[..., Any], name: str, value: Any) -> Ref:
    try:
        plan.input_ids[name] = value_id(value)
    except Exception as error:  # whatever hashing or pickling the objects of others raises
        raise InputError(
            f"{owner.name}: input '{name}': a {type(value).__name__} cannot be given to an engine ({error}); "
            "give arrays, numbers, text, data objects, or lists of them"
        ) from error
    plan.values[name] = read_only(value)
    return Ref(None, (name,))


def _reader_task(
    plan: Plan, owner: Algorithm[..., Any], port: Port, task_id: str, value: Any, params: Mapping[str, Any]
) -> Ref:
    planned = reading(owner, port, value, params)
    plan.input_ids[task_id] = {**file_id(planned.source.file), "inside": planned.source.inside}
    plan.tasks[task_id] = Task(task_id, planned.reader, {}, planned.options, source=planned)
    return Ref(task_id)


def _open(plan: Plan, workflow: Workflow[..., Any], bindings: Mapping[str, Source], params: Mapping[str, Any],
          nested: Mapping[str, Any], prefix: str) -> Source:  # fmt: skip
    """Enter the nodes of a workflow into the plan, nested workflows opened up; return its output."""
    given = [name for name, binding in bindings.items() if not (isinstance(binding, Const) and binding.value is None)]
    graph = workflow.graph(given, params)
    opened: dict[str, Source] = {}
    for node_id in graph.order():
        node = graph.nodes[node_id]
        inputs = {name: _relink(binding, bindings, opened, prefix) for name, binding in node.inputs.items()}
        chosen = {name: _param_value(binding, params) for name, binding in node.params.items()}
        inner = {name.partition(".")[2]: value for name, value in nested.items() if name.partition(".")[0] == node_id}
        own = {name: value for name, value in inner.items() if name in node.algorithm.parameters}
        preset = node.algorithm.overrides if isinstance(node.algorithm, Workflow) else {}
        settled = node.algorithm.check_params(
            {**{name: value for name, value in preset.items() if name in node.algorithm.parameters}, **chosen, **own}
        )
        deeper = {name: value for name, value in inner.items() if name not in own}
        task_id = f"{prefix}{node_id}"
        if isinstance(node.algorithm, Workflow) and node.kind == "call":
            deeper = {**preset, **deeper}
            opened[node_id] = _open(plan, node.algorithm, inputs, settled, deeper, f"{task_id}/")
        else:
            plan.tasks[task_id] = Task(
                task_id, node.algorithm, inputs, settled, node.kind, node.lifted, node.over, node.chunk
            )
    if isinstance(graph.output, Ref):
        return _relink(graph.output, bindings, opened, prefix)
    outputs = {name: _relink(ref, bindings, opened, prefix) for name, ref in graph.output.items()}
    return Together(workflow.signature.output, outputs)


def _relink(binding: Binding, bindings: Mapping[str, Source], opened: Mapping[str, Source], prefix: str) -> Source:
    """Translate a link inside a workflow to the plan around it."""
    if isinstance(binding, Const):
        return binding
    if isinstance(binding, Several):
        return Several(tuple(cast("Ref", _relink(ref, bindings, opened, prefix)) for ref in binding.items))
    if binding.node is None:
        return _project(bindings[binding.path[0]], binding.path[1:])
    if binding.node in opened:
        return _project(opened[binding.node], binding.path)
    return Ref(f"{prefix}{binding.node}", binding.path)


def _project(source: Source, path: tuple[str, ...]) -> Source:
    if not path:
        return source
    if isinstance(source, Together):
        return _project(source.items[path[0]], path[1:])
    assert isinstance(source, Ref)
    return Ref(source.node, (*source.path, *path))


def _param_value(binding: Binding, params: Mapping[str, Any]) -> Any:
    if isinstance(binding, Const):
        return binding.value
    assert isinstance(binding, Ref)
    value = params[binding.path[0]]
    for part in binding.path[1:]:
        try:  # a group whose model only the workflow's Python knows is a mapping in its JSON
            value = cast("Any", value)[part] if isinstance(value, Mapping) else getattr(value, part)
        except (KeyError, AttributeError):
            raise ParameterError(
                f"parameter '{binding.path[0]}' needs a value for '{'.'.join(binding.path[1:])}'"
            ) from None
    return value


def read_only(value: Any) -> Any:
    """Return read-only views of the arrays in a value; the caller's own arrays keep their flags."""
    import numpy as np

    if isinstance(value, np.ndarray):
        view = cast("Any", value).view()
        view.flags.writeable = False
        return view
    if is_data(value) and not isinstance(value, type):
        copied = object.__new__(type(value))
        copied.__dict__.update({name: read_only(item) for name, item in vars(value).items()})
        return copied
    if type(value) in (list, tuple):
        return cast("Any", type(value))(read_only(item) for item in cast("Any", value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(read_only(item) for item in cast("Any", value)))
    return value
