"""CommandTool: a CommandLineTool of others as an algorithm, run as a subprocess in a private folder."""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..algorithm import TRACE, Algorithm
from ..context import Resources, context
from ..errors import ParameterError, RunError
from ..identity import digest, file_id
from ..params import to_json
from ..signature import REQUIRED, Parameter, Port, Signature
from .commandline import command_line
from .document import Document
from .files import FileContent, Layout, inside, place, with_contents
from .outputs import collect
from .ports import choices, identifier, input_item, output_type
from .process import tail, wait
from .references import evaluate, text_of
from .tools import Native

MIB = 2**20
_LOG = logging.getLogger("daisy.cwl")


class CommandTool(Algorithm[..., Any]):
    """A command-line program that a CWL document describes, as an algorithm.

    Files are input ports, numbers, text and choices are parameters; a file that the program writes is a
    :class:`~daisy_core.cwl.files.FileContent`. One output is the result itself, several are a NamedTuple.

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

    @functools.cached_property
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
        with tempfile.TemporaryDirectory(prefix="daisy-cwl-", dir=context().scratch) as folder:
            layout = Layout(Path(folder))
            inputs = {item["id"]: self._lay_out(layout, item, values.get(key)) for key, item in self.keys.items()}
            scope = self._scope(layout, inputs)
            self._prepare(layout, inputs, scope)
            words = [str(word) for word in command_line(self.document, inputs, scope, self.where)]
            if not words:
                raise RunError(f"{self.where}: the document gives no command to run")
            streams = self._streams(layout, scope)
            status, said = self._run(words, layout, scope, streams)
            self._check_status(words, status, said)
            scope["runtime"]["exitCode"] = status
            return collect(self.outputs, layout.work, streams, scope, self.where)

    def _lay_out(self, layout: Layout, item: Mapping[str, Any], value: Any) -> Any:
        """Return an input as CWL sees it: files laid out and described, other values as they are."""
        if value is None:
            value = item.get("default")
        if value is None:
            return None
        where = f"{self.where}: input '{item['id']}'"
        if not _is_file(item["type"]) and not isinstance(value, (Path, FileContent)):
            return to_json(value)
        if isinstance(value, (list, tuple)):
            return [layout.stage(one, item["secondaryFiles"], where=where) for one in cast("list[Any]", value)]
        staged = layout.stage(value, item["secondaryFiles"], where=where)
        if item.get("loadContents") or (item.get("inputBinding") or {}).get("loadContents"):
            return with_contents(staged)
        return staged

    def _scope(self, layout: Layout, inputs: Mapping[str, Any]) -> dict[str, Any]:
        asked = self.document["requirements"].get("ResourceRequirement", {})
        memory = asked.get("ramMin", asked.get("ramMax", 256))
        runtime = {
            "outdir": str(layout.work), "tmpdir": str(layout.temporary), "cores": self.resources.cpus,
            "ram": memory if isinstance(memory, (int, float)) else 256, "outdirSize": 1024, "tmpdirSize": 1024,
        }  # fmt: skip
        return {"inputs": inputs, "self": None, "runtime": runtime}

    def _prepare(self, layout: Layout, inputs: dict[str, Any], scope: Mapping[str, Any]) -> None:
        """Put what the document asks for into the folder in which the command works."""
        listing = self.document["requirements"].get("InitialWorkDirRequirement", {}).get("listing", [])
        if isinstance(listing, str):
            listing = evaluate(listing, scope, self.where)
        for entry in listing if isinstance(listing, list) else [listing]:
            content, name, writable = entry, None, False
            if isinstance(entry, Mapping) and "entry" in entry:
                content = evaluate(entry["entry"], scope, self.where)
                name = evaluate(entry.get("entryname"), scope, self.where)
                writable = entry.get("writable", False) is True
            elif isinstance(entry, str):
                content = evaluate(entry, scope, self.where)
            self._put(layout, content, name, inputs, writable=writable)

    def _put(self, layout: Layout, content: Any, name: str | None, inputs: dict[str, Any], *, writable: bool) -> None:
        if content is None:
            return
        if isinstance(content, list) and all(isinstance(item, Mapping) for item in cast("list[Any]", content)):
            for item in cast("list[Any]", content):
                self._put(layout, item, None, inputs, writable=writable)
        elif isinstance(content, Mapping) and cast("Mapping[str, Any]", content).get("class") == "File":
            file = cast("dict[str, Any]", content)
            if "dirname" not in file:
                file = layout.stage(file, where=self.where)
            for item in (file, *file.get("secondaryFiles", ())):
                target = place(item, layout.work, name or item["basename"], writable=writable)
                item.update(path=str(target), dirname=str(target.parent), basename=target.name)
                name = None
        else:
            target = inside(layout.work, name or "")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text_of(content), encoding="utf-8")

    def _streams(self, layout: Layout, scope: Mapping[str, Any]) -> dict[str, Path]:
        """Return the files of standard input, output and error, where the document names them or an output needs them."""
        found: dict[str, Path] = {}
        for stream in ("stdout", "stderr"):
            wanted = any(item["type"] == stream for item in self.document["outputs"])
            name = evaluate(self.document.get(stream), scope, self.where)
            if name or wanted:
                found[stream] = inside(layout.work, name or f"{stream}.txt")
        source = evaluate(self.document.get("stdin"), scope, self.where)
        for item in self.document["inputs"]:
            if item["type"] == "stdin":
                source = scope["inputs"][item["id"]]["path"]
        if source:
            found["stdin"] = Path(source["path"] if isinstance(source, Mapping) else source)
        return found

    def _run(
        self, words: list[str], layout: Layout, scope: Mapping[str, Any], streams: Mapping[str, Path]
    ) -> tuple[int, str]:
        """Run the words and return the exit status and what standard error said."""
        error = streams.get("stderr", layout.temporary / "stderr.txt")
        output = streams.get("stdout", layout.temporary / "stdout.txt")
        limit = self.document["requirements"].get("ToolTimeLimit", {}).get("timelimit", 0)
        seconds = float(evaluate(limit, scope, self.where) or 0)
        _LOG.info("%s: %s", self.where, words)
        with output.open("wb") as out, error.open("wb") as err, open(streams.get("stdin", os.devnull), "rb") as source:
            try:
                process = subprocess.Popen(words, cwd=layout.work, env=self._environment(layout, scope), stdin=source, stdout=out,
                                           stderr=err, start_new_session=True)  # fmt: skip
            except OSError as problem:
                raise RunError(
                    f"{self.where}: cannot start '{words[0]}': {problem.strerror}; is it installed and on the PATH?"
                ) from None
            status = wait(process, seconds, self.where)
        return status, tail(error) or tail(output)

    def _environment(self, layout: Layout, scope: Mapping[str, Any]) -> dict[str, str]:
        made = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(layout.work), "TMPDIR": str(layout.temporary)}
        made.update({key: os.environ[key] for key in ("LANG", "LC_ALL") if key in os.environ})
        defined = self.document["requirements"].get("EnvVarRequirement", {}).get("envDef", {})
        pairs = (
            defined.items()
            if isinstance(defined, Mapping)
            else [(item["envName"], item["envValue"]) for item in defined]
        )
        for name, value in cast("Any", pairs):
            text = value["envValue"] if isinstance(value, Mapping) else value
            made[name] = text_of(evaluate(text, scope, self.where))
        return made

    def _check_status(self, words: list[str], status: int, said: str) -> None:
        if status in self.document.get("successCodes", [0]):
            return
        kind = "a temporary failure, " if status in self.document.get("temporaryFailCodes", ()) else ""
        ended = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
        raise RunError(
            f"{self.where}: '{words[0]}' {ended} ({kind}command: {' '.join(words)}){': ' + said if said else ''}"
        )


def _again(document: Document, name: str, ports: frozenset[str], node_name: str) -> CommandTool:
    return CommandTool(document, name, ports).named(node_name)


def _is_file(kind: Any) -> bool:
    if isinstance(kind, list):
        return any(_is_file(item) for item in cast("list[Any]", kind))
    if isinstance(kind, Mapping):
        return _is_file(cast("Mapping[str, Any]", kind).get("items"))
    return kind in ("File", "stdin")


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
