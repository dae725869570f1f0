"""An algorithm as a CommandLineTool: typed inputs, one command of ours that reads them as JSON, NeXus files out."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import quote

from ..algorithm import Algorithm
from ..datatypes import strip_optional
from ..errors import ParameterError
from ..identity import distribution_version
from ..signature import REQUIRED, Port
from ..workflow import Workflow
from .sources import native, source
from .types import (
    RANGE,
    SOURCE,
    STEP,
    Field,
    Refused,
    array_of,
    fields,
    gives_file,
    marked,
    optional_type,
    outputs,
    port_default,
    port_item,
    port_type,
    reader_fields,
    short,
)

RAM = 2048
"""MiB asked for where the algorithm declares none: CWL's own default, 256, is too little for Python with NumPy."""
_UNITS = {"": 2**-20, "B": 2**-20, "KB": 1e3 / 2**20, "MB": 1e6 / 2**20, "GB": 1e9 / 2**20, "TB": 1e12 / 2**20,
          "KIB": 2**-10, "MIB": 1.0, "GIB": 2.0**10, "TIB": 2.0**20}  # fmt: skip


def header(kind: str, label: str, doc: str = "") -> dict[str, Any]:
    """Return the first lines of a document."""
    return {"cwlVersion": "v1.2", "class": kind, "label": label, **({"doc": doc} if doc else {})}


def tool(algorithm: Algorithm[..., Any]) -> dict[str, Any]:
    """Return an algorithm as a CommandLineTool.

    Raises
    ------
    Refused
        If an input cannot be read from a file, or an output not be written to one.
    """
    theirs = native(algorithm)
    if theirs is not None:
        return dict(theirs.document)
    if algorithm.resources.ranks > 1:
        raise Refused(
            f"{algorithm.name} is one task of {algorithm.resources.ranks} processes (ranks), which CWL v1.2 cannot ask for"
        )
    inputs: dict[str, Any] = {}
    for port in algorithm.ports.values():
        inputs.update(port_inputs(algorithm, port))
    for field in all_fields(algorithm):
        if field.id in inputs:
            raise Refused(f"{algorithm.name}: '{field.id}' is both an input and a parameter; rename one of them")
        inputs[field.id] = field.as_input()
    given = outputs(algorithm, inputs)
    inputs[RANGE] = {"type": "string?", "doc": "Set by workflows: which items of a file with several, as start:stop."}
    inputs[STEP] = {"type": "string?", "doc": "Set by workflows: how the step uses the algorithm, as JSON."}
    made = _command(algorithm, [], inputs)
    types = algorithm.signature.output_ports
    return {**made, "inputs": inputs, "outputs": {key: _output(name, types[name]) for name, key in given.items()}}


def _output(name: str, annotation: Any) -> dict[str, Any]:
    """Return an output: a NeXus file of ours, or the files themselves, whose folders are numbered to keep their order."""
    if not gives_file(annotation):
        return {"type": "File", "outputBinding": {"glob": f"{name}.nxs"}}
    inner, optional = strip_optional(annotation)
    kind = "File[]" if Port("", inner).is_sequence else "File"
    return {"type": f"{kind}?" if optional else kind, "outputBinding": {"glob": f"{name}.files/*/*"}}


def reading_tool(owner: Algorithm[..., Any], port: Port, *, optional: bool) -> dict[str, Any]:
    """Return the tool that reads a file for an input of a workflow, with the parameters that are defaults of its reader."""
    item = Port(port.name, port.item, None if optional else REQUIRED)
    inputs = port_inputs(owner, item)
    chosen = set(marked(owner, port).values())
    inputs.update({field.id: field.as_input("option") for field in all_fields(owner) if field.id in chosen})
    made = _command(owner, ["--read", port.name], inputs)
    label = f"read '{port.name}' of {owner.name}"
    found = {"value": {"type": "File?" if optional else "File", "outputBinding": {"glob": f"{port.name}.nxs"}}}
    return {**made, "label": label, "inputs": inputs, "outputs": found}


def all_fields(algorithm: Algorithm[..., Any]) -> list[Field]:
    """Return the fields of all parameters, those of nodes of a workflow as ``node.parameter``."""
    known = dict(algorithm.parameters)
    if isinstance(algorithm, Workflow):
        known.update(algorithm.node_parameters())
    return [field for name, item in known.items() for field in fields(name, item)]


def port_inputs(owner: Algorithm[..., Any], port: Port) -> dict[str, Any]:
    """Return the CWL inputs of a port: the files, what to take from them, and the options of their reader."""
    made: dict[str, Any] = {"type": port_type(owner.name, port, sequences=owner.kind == "reduction")}
    default = port_default(port)
    if default is None:
        made["type"] = optional_type(made["type"])
    elif default is not REQUIRED:
        made["default"] = default
    made["type"] = short(made["type"])
    return {port.name: made, **file_inputs(owner, port)}


def file_inputs(owner: Algorithm[..., Any], port: Port) -> dict[str, Any]:
    """Return what can be said about the files of a port beside the files themselves."""
    item = port_item(owner.name, port)
    if item != "File" or port.is_file:
        return {}
    doc = "Name of the object or path of the dataset in the file, where it has several."
    return {
        f"{port.name}.select": {"type": "string?", "doc": doc},
        **{field.id: field.as_input("option") for field in reader_fields(port).values()},
    }


def _command(algorithm: Algorithm[..., Any], more: list[str], inputs: dict[str, Any]) -> dict[str, Any]:
    found = source(algorithm)
    inputs[SOURCE] = {"type": "File[]", "default": located(found.given), "doc": _SOURCE_DOC}
    words = [algorithm.name, "--version", algorithm.version, *found.arguments, *more]
    needs = requirements(algorithm)
    for place, name in found.laid_out.items():
        key = f"daisy.file.{place.replace('/', '.')}"
        inputs[key] = {"type": "File", "default": located([name])[0]}
        needs["InitialWorkDirRequirement"]["listing"].append({"entryname": place, "entry": f"$(inputs['{key}'])"})
    return {
        **header("CommandLineTool", f"{algorithm.name}, version {algorithm.version}", algorithm.doc),
        **call(words),
        "requirements": needs,
        "hints": {"SoftwareRequirement": {"packages": _software(algorithm)}},
    }


def located(names: Iterable[str]) -> list[Any]:
    """Return files that lie beside the document, as the default of an input."""
    return [{"class": "File", "location": quote(name)} for name in names]


def call(words: list[str]) -> dict[str, Any]:
    """Return the command of a tool of ours; its inputs go into a JSON file, so that no shell or option parser sees them."""
    return {"baseCommand": ["daisy", "cwl", "node"], "arguments": [*words, "inputs.json"]}


def requirements(algorithm: Algorithm[..., Any] | None = None) -> dict[str, Any]:
    """Return the requirements of a tool: the file of its inputs, and the declared resources."""
    made: dict[str, Any] = {
        "InitialWorkDirRequirement": {"listing": [{"entryname": "inputs.json", "entry": "$(inputs)"}]},
        "ResourceRequirement": {"coresMin": 1, "ramMin": RAM},
    }
    if algorithm is not None:
        needs = algorithm.resources
        made["ResourceRequirement"] = {
            "coresMin": needs.cpus,
            "ramMin": mebibytes(needs.memory) if needs.memory else RAM,
        }
        if needs.seconds:
            made["ToolTimeLimit"] = {"timelimit": math.ceil(needs.seconds)}
    return made


def mebibytes(text: str) -> int:
    """Return an amount of memory such as ``"4 GB"`` in MiB."""
    number = text.rstrip("BbIiKkMmGgTt ")
    unit = text[len(number) :].strip().upper()
    try:
        return max(1, round(float(number) * _UNITS[unit]))
    except (ValueError, KeyError):
        raise ParameterError(f"memory '{text}' is not an amount such as '4 GB'") from None


def _software(algorithm: Algorithm[..., Any]) -> dict[str, Any]:
    modules = (algorithm.function.__module__, "daisy_core")
    known = dict.fromkeys(text for module in modules if (text := distribution_version(module)))
    return {name: {"version": [version]} for name, _, version in (text.rpartition(" ") for text in known)}


# -- the tools that every workflow may need ----------------------------------------------------------------------


def helper(name: str) -> dict[str, Any]:
    """Return one of the tools between steps: ``daisy.ranges``, ``daisy.split``, ``daisy.gather``, ``daisy.select``."""
    label, inputs, found = _HELPERS[name]
    return {
        **header("CommandLineTool", label),
        **call([name]),
        "requirements": requirements(),
        "hints": {"SoftwareRequirement": {"packages": _software(_kernel())}},
        "inputs": {**cast("Mapping[str, Any]", inputs), SOURCE: {"type": "File[]", "default": [], "doc": _SOURCE_DOC}},
        "outputs": {**cast("Mapping[str, Any]", found)},
    }


def _kernel() -> Algorithm[..., Any]:
    return importlib.import_module("daisy_core.reading").read_object


_SOURCE_DOC = "Files that declare algorithms and data types, where these are not installed."
_SELECT = {"type": "string?", "doc": "Path of the dataset in a file that is not of ours."}
_FIELDS = {"type": "string[]?", "doc": "The field of the object in a file of ours."}
_NAME = {"type": "string", "default": "result"}
_WHOLE = {"type": "File", "outputBinding": {"glob": "$(inputs.name).nxs"}}
_HELPERS: dict[str, tuple[str, Any, Any]] = {
    "daisy.ranges": (
        "Share out the items of a file",
        {"file": "File", "select": _SELECT, "fields": _FIELDS, "chunk": "long"},
        {"ranges": "string[]"},
    ),
    "daisy.split": (
        "Write each item of a sequence to a file of its own",
        {"files": [array_of("File"), "File"], "fields": _FIELDS},
        {"items": {"type": "File[]", "outputBinding": {"glob": "item-*.nxs"}}},
    ),
    "daisy.gather": (
        "Write the items of a sequence to one file",
        {"files": "File[]", "name": _NAME},
        {"value": _WHOLE},
    ),
    "daisy.select": (
        "Take one field out of an object",
        {"file": "File", "fields": _FIELDS, "name": _NAME},
        {"value": _WHOLE},
    ),
}
