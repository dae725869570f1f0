"""The plan of a run: nested workflows opened up, parameters settled, files turned into reader tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, cast

from . import registry
from .algorithm import Algorithm
from .datatypes import is_data
from .errors import ParameterError
from .graph import Binding, Const, Graph, Kind, Ref, Several
from .identity import digest, distribution_version, file_id, value_id
from .lifting import Mapped
from .params import to_json
from .reading import FileInput, Reading, readable, reading
from .signature import Port
from .workflow import Workflow


@dataclass(frozen=True)
class Task:
    """One node of the plan: an algorithm with settled parameters."""

    id: str
    algorithm: Algorithm[..., Any]
    inputs: Mapping[str, Binding]
    params: Mapping[str, Any]
    kind: Kind = "call"
    lifted: tuple[str, ...] = ()
    over: str = ""
    chunk: int = 1
    source: Reading | None = None

    def needs(self) -> set[str]:
        """Ids of the tasks whose results it takes."""
        found: set[str] = set()
        for binding in self.inputs.values():
            refs = binding.items if isinstance(binding, Several) else (binding,)
            found.update(ref.node for ref in refs if isinstance(ref, Ref) and ref.node is not None)
        return found


@dataclass
class Plan:
    """What an engine runs: tasks by id, values of the inputs, and where the outputs come from."""

    name: str
    version: str
    tasks: dict[str, Task]
    values: dict[str, Any]
    outputs: dict[str, Binding]
    params: dict[str, Any]
    input_ids: dict[str, Any] = field(default_factory=dict[str, Any])
    _ids: dict[str, str] = field(default_factory=dict[str, str])

    def derivation_id(self, task_id: str) -> str:
        """Return the identity of a task's result: algorithm, versions, source, parameters and input identities."""
        if task_id not in self._ids:
            task = self.tasks[task_id]
            inputs = {name: self._binding_id(binding) for name, binding in task.inputs.items()}
            self._ids[task_id] = digest({
                "algorithm": task.algorithm.name,
                "version": task.algorithm.version,
                "source": task.algorithm.source_hash,
                "distribution": distribution_version(task.algorithm.function.__module__),
                "params": to_json(task.params),
                "lifting": [task.kind, list(task.lifted), task.chunk if task.kind == "reduce" else 0],
                "inputs": inputs,
                "file": self.input_ids.get(task_id),
            })  # fmt: skip
        return self._ids[task_id]

    def _binding_id(self, binding: Binding) -> Any:
        if isinstance(binding, Const):
            return {"value": to_json(binding.value)}
        if isinstance(binding, Several):
            return [self._binding_id(ref) for ref in binding.items]
        source = self.derivation_id(binding.node) if binding.node is not None else self.input_ids[binding.path[0]]
        return [source, *(binding.path if binding.node is not None else binding.path[1:])]


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
    overrides = dict(algorithm.overrides) if isinstance(algorithm, Workflow) else {}
    params = {**overrides, **params}
    own = {name: value for name, value in params.items() if name in algorithm.parameters}
    nested = {name: value for name, value in params.items() if name not in algorithm.parameters}
    if isinstance(algorithm, Workflow):
        algorithm.check_node_params(nested)
    elif nested:
        name = next(iter(nested))
        raise ParameterError(
            f"{algorithm.name}: unknown parameter '{name}'{registry.suggest(name, algorithm.parameters)}"
        )
    settled = algorithm.check_params(own)
    _check_inputs(algorithm, inputs)
    plan = Plan(algorithm.name, algorithm.version, {}, {}, {}, {**settled, **nested})
    given = {
        name: value for name, value in inputs.items() if not (value is None and not algorithm.ports[name].required)
    }
    bindings = {name: _bind_input(plan, algorithm, name, value, settled) for name, value in given.items()}
    if isinstance(algorithm, Workflow):
        plan.outputs = _open(plan, algorithm, bindings, settled, nested, "")
    else:
        kind: Kind = "reduce" if algorithm.kind == "reduction" else "call"
        lifted = (next(iter(algorithm.ports)),) if kind == "reduce" else ()
        plan.tasks[algorithm.node_name] = Task(
            algorithm.node_name, algorithm, bindings, settled, kind, lifted, "item", 32
        )
        ports = algorithm.signature.output_ports
        whole = list(ports) == ["result"]
        plan.outputs = {name: Ref(algorithm.node_name, () if whole else (name,)) for name in ports}
    return plan


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
    if is_path and not port.is_file and readable(port.item) and not port.is_sequence:
        return _reader_task(plan, owner, port, f"read:{name}", value, params)
    if isinstance(value, (list, tuple)) and port.is_sequence and not port.is_file:
        items = cast("list[Any]", value)
        if any(isinstance(item, (str, PurePath, FileInput)) for item in items) and readable(port.item):
            refs = [
                _reader_task(plan, owner, port, f"read:{name}[{index}]", item, params)
                if isinstance(item, (str, PurePath, FileInput)) else _plain_input(plan, f"{name}[{index}]", item)
                for index, item in enumerate(items)
            ]  # fmt: skip
            return Several(tuple(refs))
    if port.is_file:
        from .reading import resolve

        path = resolve(owner, port, value, params)
        plan.values[name] = path
        plan.input_ids[name] = (
            [_file_identity(item) for item in path] if isinstance(path, list) else _file_identity(path)
        )
        return Ref(None, (name,))
    return _plain_input(plan, name, list(cast("Any", value)) if isinstance(value, Mapped) else value)


def _file_identity(path: Any) -> Any:
    return {"path": str(path), **file_id(path)} if path is not None and path.is_file() else {"path": str(path)}


def _plain_input(plan: Plan, name: str, value: Any) -> Ref:
    plan.values[name] = read_only(value)
    plan.input_ids[name] = value_id(value)
    return Ref(None, (name,))


def _reader_task(
    plan: Plan, owner: Algorithm[..., Any], port: Port, task_id: str, value: Any, params: Mapping[str, Any]
) -> Ref:
    planned = reading(owner, port, value, params)
    plan.input_ids[task_id] = {**file_id(planned.source.file), "inside": planned.source.inside}
    plan.tasks[task_id] = Task(task_id, planned.reader, {}, planned.options, source=planned)
    return Ref(task_id)


def _open(plan: Plan, workflow: Workflow[..., Any], bindings: Mapping[str, Binding], params: Mapping[str, Any],
          nested: Mapping[str, Any], prefix: str) -> dict[str, Binding]:  # fmt: skip
    """Enter the nodes of a workflow into the plan, nested workflows opened up; return its outputs."""
    given = [name for name, binding in bindings.items() if not (isinstance(binding, Const) and binding.value is None)]
    graph = workflow.graph(given, params)
    renamed: dict[str, dict[str, Binding]] = {}
    for node_id in graph.order():
        node = graph.nodes[node_id]
        inputs = {name: _relink(binding, bindings, renamed, prefix) for name, binding in node.inputs.items()}
        chosen = {name: _param_value(binding, params) for name, binding in node.params.items()}
        inner = {name.partition(".")[2]: value for name, value in nested.items() if name.partition(".")[0] == node_id}
        own = {name: value for name, value in inner.items() if name in node.algorithm.parameters}
        settled = node.algorithm.check_params({**chosen, **own})
        deeper = {name: value for name, value in inner.items() if name not in own}
        task_id = f"{prefix}{node_id}"
        if isinstance(node.algorithm, Workflow) and node.kind == "call":
            deeper = {**node.algorithm.overrides, **deeper}
            renamed[node_id] = _open(plan, node.algorithm, inputs, settled, deeper, f"{task_id}/")
        else:
            plan.tasks[task_id] = Task(
                task_id, node.algorithm, inputs, settled, node.kind, node.lifted, node.over, node.chunk
            )
    return {name: _relink(ref, bindings, renamed, prefix) for name, ref in _outputs(graph).items()}


def _outputs(graph: Graph) -> dict[str, Ref]:
    return graph.output_refs


def _relink(
    binding: Binding, bindings: Mapping[str, Binding], renamed: Mapping[str, Mapping[str, Binding]], prefix: str
) -> Binding:
    """Translate a link inside a workflow to the plan around it."""
    if isinstance(binding, Const):
        return binding
    if isinstance(binding, Several):
        return Several(tuple(cast("Ref", _relink(ref, bindings, renamed, prefix)) for ref in binding.items))
    if binding.node is None:
        return _project(bindings[binding.path[0]], binding.path[1:])
    if binding.node in renamed:
        outputs = renamed[binding.node]
        if "result" in outputs and len(outputs) == 1:
            return _project(outputs["result"], binding.path)
        return _project(outputs[binding.path[0]], binding.path[1:])
    return Ref(f"{prefix}{binding.node}", binding.path)


def _project(binding: Binding, path: tuple[str, ...]) -> Binding:
    if not path:
        return binding
    assert isinstance(binding, Ref)
    return Ref(binding.node, (*binding.path, *path))


def _param_value(binding: Binding, params: Mapping[str, Any]) -> Any:
    if isinstance(binding, Const):
        return binding.value
    assert isinstance(binding, Ref)
    value = params[binding.path[0]]
    for part in binding.path[1:]:
        value = getattr(value, part)
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
