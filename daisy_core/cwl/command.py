"""CommandTool: a CommandLineTool of others as an algorithm, run as a subprocess in a private folder."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..algorithm import TRACE, Algorithm
from ..context import Resources, context
from ..errors import ParameterError
from ..identity import digest, file_id
from ..signature import REQUIRED, Parameter, Port, Signature
from .call import Call
from .document import Document
from .outputs import collect
from .ports import choices, identifier, input_item, output_type
from .sources import Native

MIB = 2**20


class CommandTool(Algorithm[..., Any]):
    """A command-line program that a CWL document describes, as an algorithm.

    Files are input ports, numbers, text and choices are parameters; a file that the program writes is a
    :class:`~daisy_core.script.KeptFile`. One output is the result itself, several are a NamedTuple.

    Parameters
    ----------
    document : dict
        The CommandLineTool in the form of :func:`daisy_core.cwl.document.load`.
    name : str
        Where it is: ``/path/tool.cwl``.
    ports : frozenset of str
        Inputs that are ports although they are plain values, because another node gives them.
    """

    def __init__(self, document: Document, name: str, ports: frozenset[str] = frozenset()) -> None:
        self.document = document
        self.where = str(document["where"])
        self.as_ports = ports
        self.keys = {identifier(item["id"]): item for item in document["inputs"]}
        self.outputs = {identifier(item["id"]): item for item in document["outputs"]}

        def function(*args: Any, **values: Any) -> Any:
            return self.perform({**dict(zip(self.ports, args, strict=False)), **values})

        function.__doc__ = "\n\n".join(text for key in ("label", "doc") if (text := _text(document.get(key))))
        function.__name__ = function.__qualname__ = identifier(Path(name).name.partition(".cwl")[0])
        super().__init__(function, name=name, version="1", resources=_resources(document))
        self.node_name = function.__name__
        self._param_names = frozenset(self.parameters)
        self._required_params = any(item.default is REQUIRED for item in self.parameters.values())

    def _shape(self) -> list[Any]:
        return []

    @functools.cached_property
    def signature(self) -> Signature:
        """Ports, parameters and output, from the document."""
        made = {key: input_item(key, item, self.where, port=key in self.as_ports) for key, item in self.keys.items()}
        ports = {key: item for key, item in made.items() if isinstance(item, Port)}
        ordered = dict(sorted(ports.items(), key=lambda item: not item[1].required))
        parameters = {key: item for key, item in made.items() if isinstance(item, Parameter)}
        return Signature(ordered, parameters, output_type(self.outputs, self.where))

    @property
    def source_hash(self) -> str:
        """Hash of the document and of the files that are its defaults."""
        content = {key: value for key, value in self.document.items() if key != "where"}
        return digest([content, [file_id(path) for path in _default_files(content)]])[:16]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command; inside a workflow that is being traced, add a node to its graph."""
        if TRACE.get() is not None:
            return super().__call__(*args, **kwargs)
        if len(args) > len(self.ports):
            raise ParameterError(
                f"{self.name}: takes {len(self.ports)} inputs ({', '.join(self.ports)}); got {len(args)}"
            )
        given = {
            **dict(zip(self.ports, args, strict=False)),
            **{key: kwargs[key] for key in kwargs if key in self.ports},
        }
        missing = [key for key, port in self.ports.items() if port.required and given.get(key) is None]
        if missing:
            raise ParameterError(f"{self.name}: input '{missing[0]}' is required")
        return self.perform(
            {**given, **self.check_params({key: kwargs[key] for key in kwargs if key not in self.ports})}
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by content, so that another machine needs no document."""
        return _again, (self.document, self.name, self.as_ports, self.node_name)

    def cwl_native(self) -> Native:
        """Return the document for an export to CWL."""
        content = {
            key: value
            for key, value in self.document.items()
            if key not in ("where", "id", "cwlVersion", "hints") and value
        }
        document = {
            "cwlVersion": "v1.2",
            **content,
            "inputs": _pruned(content.get("inputs")),
            "outputs": _pruned(content.get("outputs")),
        }
        outputs = {key: (item["id"], _is_array_of_files(item["type"])) for key, item in self.outputs.items()}
        if len(outputs) == 1:
            outputs = {"result": next(iter(outputs.values()))}
        inputs = {key: item["id"] for key, item in self.keys.items()}
        return Native(f"{self.function.__name__}-{self.source_hash[:6]}", document, inputs, outputs)

    # -- running ------------------------------------------------------------------------------------------------

    def perform(self, values: Mapping[str, Any]) -> Any:
        """Run the command in a private folder and return its outputs.

        Raises
        ------
        RunError
            If it ends with an exit status that is not one of success; the message has the last lines it wrote.
        InputError
            If a file is missing, or an output is not there.
        Cancelled
            If the run was cancelled; the command and what it started are ended.
        """
        scratch = context().scratch
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="daisy-cwl-", dir=scratch) as folder:
            call = Call(self.document, self.resources, Path(folder))
            call.run({item["id"]: values.get(key) for key, item in self.keys.items()})
            return collect(self.outputs, call.layout.work, call.streams, call.scope, self.where)


def _again(document: Document, name: str, ports: frozenset[str], node_name: str) -> CommandTool:
    return CommandTool(document, name, ports).named(node_name)


def _default_files(content: Any) -> list[Path]:
    if isinstance(content, Mapping):
        found = cast("Mapping[str, Any]", content)
        if found.get("class") == "File" and "path" in found and Path(found["path"]).is_file():
            return [Path(found["path"])]
        return [path for item in found.values() for path in _default_files(item)]
    return (
        [path for item in cast("list[Any]", content) for path in _default_files(item)]
        if isinstance(content, list)
        else []
    )


def _resources(document: Document) -> Resources:
    asked = document["requirements"].get("ResourceRequirement", {})
    cores, memory = asked.get("coresMin", asked.get("coresMax", 1)), asked.get("ramMin", asked.get("ramMax"))
    cpus = max(1, -int(-cores // 1)) if isinstance(cores, (int, float)) else 1
    return Resources(cpus=cpus, memory=f"{memory * MIB / 1e6:.0f} MB" if isinstance(memory, (int, float)) else None)


def _pruned(items: Any) -> list[Document]:
    return [{key: value for key, value in item.items() if value not in (None, [])} for item in items or ()]


def _is_array_of_files(kind: Any) -> bool | None:
    """True for an array of files, False for one file, None for what is no file."""
    found = choices(kind)
    if len(found) == 1 and isinstance(found[0], str):
        return False if found[0] in ("File", "stdout", "stderr") else None
    return True if len(found) == 1 and found[0].get("items") == "File" else None


def _text(value: Any) -> str:
    return "\n".join(cast("list[str]", value)) if isinstance(value, list) else str(value or "")
