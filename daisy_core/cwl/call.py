"""One call of a CommandLineTool: inputs laid out in a private folder, the command run there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..context import Resources
from ..errors import RunError
from ..params import to_json
from ..reading import FileInput
from ..script.environment import Container, Launch
from ..script.process import Command, shown
from .commandline import command_line
from .document import Document
from .files import Layout, file_object, inside, place, with_contents
from .references import evaluate, text_of


class Call:
    """A call while it is prepared and run.

    Parameters
    ----------
    document : dict
        A CommandLineTool in the form of :func:`daisy_core.cwl.document.load`.
    resources : Resources
        What it may use.
    folder : Path
        An empty folder for it.
    """

    def __init__(self, document: Document, resources: Resources, folder: Path) -> None:
        self.document = document
        self.where = str(document["where"])
        self.layout = Layout(folder)
        self.container = container_of(document)
        self.streams: dict[str, Path] = {}
        asked = document["requirements"].get("ResourceRequirement", {})
        memory = asked.get("ramMin", asked.get("ramMax", 256))
        temporary = "/tmp" if self.container else str(self.layout.temporary)
        runtime = {
            "outdir": str(self.layout.work), "tmpdir": temporary, "cores": resources.cpus, "outdirSize": 1024, "tmpdirSize": 1024,
            "ram": memory if isinstance(memory, (int, float)) else 256,
        }  # fmt: skip
        self.scope: dict[str, Any] = {"inputs": {}, "self": None, "runtime": runtime}

    def run(self, values: Mapping[str, Any]) -> None:
        """Run the command to its end.

        Parameters
        ----------
        values : mapping
            Paths and plain values by input id.

        Raises
        ------
        InputError
            If a file is missing.
        RunError
            If it cannot start, or ends with an exit status that is not one of success.
        Cancelled
            If its run was asked to stop.
        """
        inputs = {item["id"]: self._lay_out(item, values.get(item["id"])) for item in self.document["inputs"]}
        self.scope["inputs"] = inputs
        self._prepare(inputs)
        words = [str(word) for word in command_line(self.document, inputs, self.scope, self.where)]
        if not words:
            raise RunError(f"{self.where}: the document gives no command to run")
        self.streams = self._streams()
        launch = Launch(words, self._environment())
        if self.container is not None:
            readable = [self.layout.inputs, *self._sources()]
            launch = self.container.launch(words, launch.env, self.layout.work, readable)
        limit = float(self._text(self.document["requirements"].get("ToolTimeLimit", {}).get("timelimit", 0)) or 0)
        ended = Command(
            self.where, launch.argv, self.layout.work, launch.env, stdin=self.streams.get("stdin"),
            stdout=self.streams.get("stdout"), stderr=self.streams.get("stderr"), seconds=limit or None, end=launch.end,
        ).run()  # fmt: skip
        self.scope["runtime"]["exitCode"] = ended.status
        if ended.status not in self.document.get("successCodes", [0]):
            kind = "temporarily " if ended.status in self.document.get("temporaryFailCodes", ()) else ""
            raise RunError(
                f"{self.where}: '{words[0]}' failed {kind}with {ended.how}: {' '.join(words)}{shown(ended.tail)}"
            )

    def _text(self, value: Any) -> Any:
        return evaluate(value, self.scope, self.where)

    # -- inputs -------------------------------------------------------------------------------------------------

    def _lay_out(self, item: Mapping[str, Any], value: Any) -> Any:
        """Return an input as CWL sees it: files laid out and described, other values as they are."""
        value = item.get("default") if value is None else value
        if value is None:
            return None
        where = f"{self.where}: input '{item['id']}'"
        if not is_file(item["type"]) and not isinstance(value, (Path, FileInput)):
            return to_json(value)
        if isinstance(value, (list, tuple)):
            return [self.layout.stage(one, item["secondaryFiles"], where=where) for one in cast("list[Any]", value)]
        staged = self.layout.stage(value, item["secondaryFiles"], where=where)
        loads = item.get("loadContents") or (item.get("inputBinding") or {}).get("loadContents")
        return with_contents(staged) if loads else staged

    def _sources(self) -> list[Path]:
        """Return the files that the inputs are links to, which a container must see as well."""
        links = [path for path in (*self.layout.inputs.rglob("*"), *self.layout.work.rglob("*")) if path.is_symlink()]
        return list(dict.fromkeys(path.resolve() for path in links))

    def _prepare(self, inputs: Mapping[str, Any]) -> None:
        """Put what the document asks for into the folder in which the command works."""
        listing = self._text(self.document["requirements"].get("InitialWorkDirRequirement", {}).get("listing", []))
        moved: dict[str, Path] = {}
        for entry in listing if isinstance(listing, list) else [listing]:
            content, name, writable = entry, None, False
            if isinstance(entry, Mapping) and "entry" in entry:
                content, name = self._text(entry["entry"]), self._text(entry.get("entryname"))
                writable = entry.get("writable", False) is True
            elif isinstance(entry, str):
                content = self._text(entry)
            self._put(content, name, moved, writable=writable)
        _follow(inputs, moved)

    def _put(self, content: Any, name: str | None, moved: dict[str, Path], *, writable: bool) -> None:
        if content is None:
            return
        if isinstance(content, list) and all(isinstance(item, Mapping) for item in cast("list[Any]", content)):
            for item in cast("list[Any]", content):
                self._put(item, None, moved, writable=writable)
        elif isinstance(content, Mapping) and cast("Mapping[str, Any]", content).get("class") == "File":
            file = cast("dict[str, Any]", content)
            if "dirname" not in file:
                file = self.layout.stage(file, where=self.where)
            for item in (file, *file.get("secondaryFiles", ())):
                target = place(item, self.layout.work, name or item["basename"], writable=writable)
                moved[item["path"]] = target
                name = None
        else:
            target = inside(self.layout.work, name or "")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text_of(content), encoding="utf-8")

    # -- surroundings -------------------------------------------------------------------------------------------

    def _streams(self) -> dict[str, Path]:
        """Return the files of standard input, output and error, where the document names them or an output needs them."""
        found: dict[str, Path] = {}
        for stream in ("stdout", "stderr"):
            wanted = any(item["type"] == stream for item in self.document["outputs"])
            name = self._text(self.document.get(stream))
            if name or wanted:
                found[stream] = inside(self.layout.work, name or f"{stream}.txt")
                found[stream].parent.mkdir(parents=True, exist_ok=True)
        source = self._text(self.document.get("stdin"))
        for item in self.document["inputs"]:
            if item["type"] == "stdin":
                source = self.scope["inputs"][item["id"]]["path"]
        if source:
            found["stdin"] = Path(source["path"] if isinstance(source, Mapping) else source)
        return found

    def _environment(self) -> dict[str, str]:
        """Return the environment that CWL gives a command: what the document defines, and little else."""
        runtime = self.scope["runtime"]
        made = {"HOME": runtime["outdir"], "TMPDIR": runtime["tmpdir"]}
        if self.container is None:
            made["PATH"] = os.environ.get("PATH", os.defpath)
            made.update({key: os.environ[key] for key in ("LANG", "LC_ALL") if key in os.environ})
        defined = self.document["requirements"].get("EnvVarRequirement", {}).get("envDef", {})
        listed = [] if isinstance(defined, Mapping) else [(item["envName"], item["envValue"]) for item in defined]
        for name, value in [*cast("Any", defined).items()] if isinstance(defined, Mapping) else listed:
            text = cast("Mapping[str, Any]", value)["envValue"] if isinstance(value, Mapping) else value
            made[name] = text_of(self._text(text))
        return made


def _follow(value: Any, moved: Mapping[str, Path]) -> None:
    """Give the files that were put into the working folder the path that they have there."""
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        if found.get("class") == "File" and found["path"] in moved:
            found.update(file_object(moved[found["path"]]))
        for item in found.values():
            _follow(item, moved)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            _follow(item, moved)


def container_of(document: Document) -> Container | None:
    """Return the container that a document asks for; None where it asks for none."""
    asked = document["requirements"].get("DockerRequirement")
    if asked is None:
        return None
    return Container(asked.get("dockerPull") or asked["dockerImageId"])


def is_file(kind: Any) -> bool:
    """True for a type that files are of."""
    if isinstance(kind, list):
        return any(is_file(item) for item in cast("list[Any]", kind))
    if isinstance(kind, Mapping):
        return is_file(cast("Mapping[str, Any]", kind).get("items"))
    return kind in ("File", "stdin")
