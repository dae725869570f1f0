"""Algorithms and workflows as CWL v1.2 documents in a folder."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from .. import registry
from ..algorithm import Algorithm
from ..errors import DaisyError, ParameterError, WorkflowError
from ..graph import Const
from ..params import to_json
from ..workflow import Workflow
from .sources import document_name, file_name, native, source
from .steps import Held, Steps
from .text import to_yaml
from .tools import located, tool
from .types import SOURCE


def export(algorithm: Algorithm[..., Any] | str, folder: str | os.PathLike[str], *, without: Iterable[str] = (),
           single: Iterable[str] = (), params: Mapping[str, Any] | None = None) -> Path:  # fmt: skip
    """Write an algorithm or workflow as CWL v1.2 into a folder, and return the path of its document.

    An algorithm becomes a CommandLineTool, a workflow a Workflow beside the tools of its nodes. The documents use no
    JavaScript; ``daisy`` must be on the PATH of whoever runs them. Existing files of the same names are replaced.

    Parameters
    ----------
    algorithm : Algorithm or str
        What to export, or its name, ``my.py:func`` or a workflow JSON file.
    folder : path
        Where to write; made where it does not exist.
    without : iterable of str
        Optional inputs that the exported workflow shall not have. Needed only for those whose absence changes the graph.
    single : iterable of str
        Inputs that take a sequence and are given as one file with all items: maps then scatter over ranges of it.
    params : mapping, optional
        Values of structural parameters, where they differ from the defaults.

    Raises
    ------
    Refused
        If CWL cannot express it; the message says why.
    DaisyError
        If the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> export("core.read_array", tempfile.mkdtemp()).name
    'core.read_array.cwl'
    """
    found = registry.find(algorithm) if isinstance(algorithm, str) else algorithm
    files: dict[str, Any] = {}
    main = file_name(document_name(found).removesuffix(".cwl"))
    if isinstance(found, Workflow):
        document = workflow_document(found, files, without=without, single=single, params=params)
    elif list(without) or list(single) or params:
        raise ParameterError(f"{found.name} is no workflow: 'without', 'single' and 'params' have no meaning for it")
    else:
        document = tool(found)
        theirs = native(found)
        files.update(source(found).files if theirs is None else theirs.files)
    _write(Path(folder), {**files, main: document})
    return Path(folder) / main


def workflow_document(workflow: Workflow[..., Any], files: dict[str, Any], *, without: Iterable[str] = (),
                      single: Iterable[str] = (), params: Mapping[str, Any] | None = None) -> dict[str, Any]:  # fmt: skip
    """Return the Workflow document; the documents of its tools are added to ``files``."""
    absent, one = set(without), set(single)
    for name in absent | one:
        if name not in workflow.ports:
            raise ParameterError(f"{workflow.name}: there is no input '{name}'{registry.suggest(name, workflow.ports)}")
    for name in one:
        if not workflow.ports[name].is_sequence:
            raise ParameterError(f"{workflow.name}: input '{name}' is no sequence, so it is one file anyway")
    given = [name for name in workflow.ports if name not in absent]
    structural = {name: value for name, value in {**workflow.overrides, **(params or {})}.items() if "." not in name}
    graph = workflow.graph(given, structural)
    optional = optional_inputs(workflow, given, structural)
    inputs: dict[str, Held] = {}
    for name in graph.inputs:
        port = workflow.ports[name]
        null = name in optional and port.default is None
        inputs[name] = Held(name, "items" if port.is_sequence and name not in one else "one", raw=True, null=null)
    document = Steps(workflow, graph, inputs, files).document()
    theirs = {name for name, made in files.items() if isinstance(made, Mapping) and SOURCE not in made["inputs"]}
    declaring = [name for name in files if name.endswith(".py") and "/" not in name]
    _give_sources(document, sorted(declaring), theirs)
    return document


def _give_sources(document: Mapping[str, Any], names: list[str], theirs: set[str]) -> None:
    """Hand the files that declare algorithms and data types to every step: a value may be of any of them."""
    for step in document["steps"].values() if names else ():
        if isinstance(step["run"], Mapping):
            _give_sources(step["run"], names, theirs)
        elif step["run"] not in theirs:
            step["in"][SOURCE] = {"default": located(names)}


def optional_inputs(workflow: Workflow[..., Any], given: Iterable[str], params: Mapping[str, Any]) -> set[str]:
    """Return the inputs whose absence leaves the graph as it is: the default simply takes the place of the value."""
    names = list(given)
    full = workflow.graph(names, params)
    found: set[str] = set()
    for name in names:
        port = workflow.ports[name]
        if port.required or _is_lifted(full.nodes.values(), name):
            continue
        try:
            other = workflow.graph([item for item in names if item != name], params)
        except WorkflowError:
            continue
        put = _substitute(full.to_json(), name, to_json(port.default))
        same = all(put[key] == other.to_json()[key] for key in ("nodes", "output"))
        if same and all(_nested_optional(node, name) for node in full.nodes.values()):
            found.add(name)
    return found


def _is_lifted(nodes: Iterable[Any], name: str) -> bool:
    return False if nodes is None else any(
        ref.node is None and ref.path == (name,) and port in node.lifted and node.algorithm.ports[port].default is None
        for node in nodes for port, ref in node.links()
    )  # fmt: skip


def _nested_optional(node: Any, name: str) -> bool:
    """True where a nested workflow that takes the input as it is can do without it as well."""
    users = [port for port, ref in node.links() if ref.node is None and ref.path == (name,)]
    if not users or not isinstance(node.algorithm, Workflow) or node.kind != "call":
        return True
    inner = cast("Workflow[..., Any]", node.algorithm)
    bound = [
        port for port, binding in node.inputs.items() if not (isinstance(binding, Const) and binding.value is None)
    ]
    return set(users) <= optional_inputs(inner, bound, {})


def _substitute(content: Any, name: str, default: Any) -> Any:
    """Return the JSON of a graph with the default in the place of an input."""
    if content == {"input": name}:
        return {"value": default}
    if isinstance(content, Mapping):
        return {key: _substitute(item, name, default) for key, item in cast("Mapping[str, Any]", content).items()}
    return (
        [_substitute(item, name, default) for item in cast("list[Any]", content)]
        if isinstance(content, list)
        else content
    )


def refusal(algorithm: Algorithm[..., Any]) -> str | None:
    """Return why an algorithm or workflow cannot be exported; None where it can."""
    try:
        if isinstance(algorithm, Workflow):
            workflow_document(algorithm, {})
        else:
            tool(algorithm)
    except DaisyError as error:
        return str(error)
    return None


def _write(folder: Path, files: Mapping[str, Any]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
            if isinstance(content, Path):
                shutil.copy(content, temporary)  # a program stays executable
            else:
                made = (
                    content if isinstance(content, bytes) else f"#!/usr/bin/env cwl-runner\n{to_yaml(content)}".encode()
                )
                temporary.write_bytes(made)
            os.replace(temporary, target)
    except OSError as error:
        raise DaisyError(f"cannot write the CWL documents into {folder}: {error.strerror}") from error
