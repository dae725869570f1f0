"""Script nodes as CWL: their own command where CWL can say it, with the container it runs in; else a call of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from ..datatypes import strip_optional
from ..script.declaration import STREAMS, Tool
from ..script.environment import Container, Environment
from ..script.node import ScriptAlgorithm
from ..script.template import Field as Name
from ..script.template import Word, parse
from ..signature import Port
from .sources import Native, file_name
from .tools import header, requirements
from .types import Refused, array_of, fields, json_type, optional_type, port_item

_PARTS = {"name": "basename", "stem": "nameroot", "suffix": "nameext", "parent": "dirname"}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Unsayable(Exception):
    """CWL without JavaScript has no words for a part of the command."""


def _carried(tool: Tool) -> list[Path]:
    """Return the files that belong to a tool; a program named by its whole path is where it is everywhere."""
    own = tool.own_files()
    return [path for path in own if not (path == tool.own_program() and Path(tool.program).is_absolute())]


def files_of(algorithm: ScriptAlgorithm, folder: str) -> dict[str, Path]:
    """Return the files of a tool itself, by where they go: below ``folder``, as they lie beside the declaration.

    Raises
    ------
    Refused
        If one is not beside the declaration.
    """
    tool = algorithm.tool
    found: dict[str, Path] = {}
    for path in _carried(tool):
        if not path.is_relative_to(tool.here):
            raise Refused(f"{tool.name}: {path} is not beside the declaration in {tool.here}, so it cannot go along")
        found[f"{folder}/{path.relative_to(tool.here).as_posix()}"] = path
    return found


def command_document(algorithm: ScriptAlgorithm, folder: str) -> dict[str, Any]:
    """Return the command of a script node as a CommandLineTool.

    Parameters
    ----------
    algorithm : ScriptAlgorithm
        The node.
    folder : str
        Where its own files lie beside the document.

    Raises
    ------
    Unsayable
        If CWL has no words for it.
    """
    return _Command(algorithm, folder).document()


def native_script(algorithm: ScriptAlgorithm) -> Native | None:
    """Return a script node as its own command; None where CWL has no words for it."""
    folder = file_name(algorithm.name, ".files")
    try:
        body = command_document(algorithm, folder)
    except Unsayable:
        return None
    label = f"{algorithm.name}, version {algorithm.version}"
    resources = {"ResourceRequirement": requirements(algorithm)["ResourceRequirement"]}
    needs = {**body["requirements"], **resources}
    document = {**header("CommandLineTool", label, algorithm.doc), **body, "requirements": needs}
    found = dict(zip(algorithm.tool.outputs, ((key, False) for key in body["outputs"]), strict=True))
    return Native(
        algorithm.name, document, {name: name for name in body["inputs"]}, found, dict(files_of(algorithm, folder))
    )


class _Command:
    """Translates the declaration of one tool."""

    def __init__(self, algorithm: ScriptAlgorithm, folder: str) -> None:
        self.tool = algorithm.tool
        self.algorithm = algorithm
        self.here = {
            path: f"{folder}/{path.relative_to(self.tool.here).as_posix()}"
            for path in _carried(self.tool)
            if path.is_relative_to(self.tool.here)
        }
        self.ports = self.tool.ports()
        self.inputs: dict[str, Any] = {}
        self.arguments: list[dict[str, Any]] = []

    def document(self) -> dict[str, Any]:
        """Return the document."""
        tool = self.tool
        if tool.shell or type(tool.environment) not in (Environment, Container):
            raise Unsayable
        for name, port in self.ports.items():
            self.inputs[name] = _port(tool, name, port)
        self.known = {field.id: field for name, item in tool.parameters.items() for field in fields(name, item)}
        self.inputs.update(
            {key: {**field.as_input("workflow"), "type": field.type} for key, field in self.known.items()}
        )
        for place, group in enumerate(tool.groups()):
            self._group(place, group)
        env = {
            **dict.fromkeys(_THREADS, str(tool.resources.cpus)),
            **{key: self._text(text) for key, text in tool.env.items()},
        }
        requirements: dict[str, Any] = {"EnvVarRequirement": {"envDef": env}, **self._container()}
        staged = [
            {"entryname": self._text(item.path), "entry": f"$(inputs.{name})"}
            for name, item in tool.inputs.items()
            if item.path
        ]
        if staged:
            requirements["InitialWorkDirRequirement"] = {"listing": staged}
        return {
            "arguments": self.arguments, "requirements": requirements, "inputs": self.inputs, "outputs": self._outputs(),
            **({"stdin": self._text(tool.stdin)} if tool.stdin else {}),
            **({"successCodes": list(tool.success_codes)} if tool.success_codes != (0,) else {}),
        }  # fmt: skip

    def _container(self) -> dict[str, Any]:
        found = self.tool.environment
        if not isinstance(found, Container):
            return {}
        if found.gpus or found.image.endswith(".sif"):
            raise Unsayable
        network = {"NetworkAccess": {"networkAccess": True}} if found.network else {}
        return {"DockerRequirement": {"dockerPull": found.image}, **network}

    # -- words --------------------------------------------------------------------------------------------------

    def _group(self, place: int, group: list[Word]) -> None:
        names = [part for word in group for part in word if isinstance(part, Name)]
        if not any(name.flag is not None or self._varies(name) for name in names):
            for at, word in enumerate(group):
                own = self._program() if place == at == 0 else None
                text = self._own(own) if own is not None else self._word(word)
                self.arguments.append({"position": place, "valueFrom": text})
            return
        prefix, name, separate = _option(group)
        self._bind(place, name, prefix, separate=separate)

    def _program(self) -> Path | None:
        """Return the program where it goes along."""
        own = self.tool.own_program()
        return own if own in _carried(self.tool) else None

    def _bind(self, place: int, name: Name, prefix: str, *, separate: bool) -> None:
        """Let an input stand in the command only where it has a value, or once for each of its items."""
        key = ".".join((name.name, *name.path)) if name.name not in self.ports else name.name
        item = self.inputs.get(key)
        if item is None or "inputBinding" in item or name.spec or (name.name in self.ports and name.path):
            raise Unsayable
        kind: Any = item["type"]
        plain = [choice for choice in (kind if isinstance(kind, list) else [kind]) if choice != "null"]
        binding: dict[str, Any] = {"position": place}
        if name.flag is not None:
            if plain != ["boolean"] or prefix:
                raise Unsayable
            item["inputBinding"] = {**binding, "prefix": name.flag}
            return
        inner = {"prefix": prefix, **({} if separate else {"separate": False})} if prefix else {}
        if len(plain) != 1 or plain == ["boolean"] or plain == ["Any"]:
            raise Unsayable
        if isinstance(plain[0], Mapping) and cast("Mapping[str, Any]", plain[0]).get("type") == "array":
            repeated = {**plain[0], "inputBinding": inner} if inner else plain[0]
            item["type"] = ["null", repeated] if isinstance(kind, list) and "null" in kind else repeated
            inner = {}
        item["inputBinding"] = {**binding, **inner}

    def _varies(self, name: Name) -> bool:
        """True where a value may be absent, or is a sequence."""
        if name.name in self.ports:
            port = self.ports[name.name]
            return not port.required or port.is_sequence
        key = ".".join((name.name, *name.path))
        field = self.known.get(key)
        return field is not None and (
            field.nullable or (isinstance(field.type, dict) and field.type["type"] == "array")
        )

    def _text(self, text: str) -> str:
        return self._word(parse(self.tool.name, text))

    def _word(self, word: Word) -> str:
        """Return a word with parameter references in the place of its names."""
        if len(word) == 2 and isinstance(word[0], Name) and word[0].name == "here" and isinstance(word[1], str):
            return self._own(self.tool.here / word[1].lstrip("/"))
        made = "".join(
            part.replace("$(", "\\$(").replace("${", "\\${") if isinstance(part, str) else self._name(part)
            for part in word
        )
        if "\\" in "".join(part for part in word if isinstance(part, str)) and "$(" in made:
            raise Unsayable  # CWL would read the backslash
        return made

    def _own(self, path: Path) -> str:
        """Return a file of the tool itself, which goes along as the default of an input."""
        if path not in self.here:
            raise Unsayable
        key = f"file.{path.relative_to(self.tool.here).as_posix().replace('/', '.')}"
        self.inputs[key] = {"type": "File", "default": {"class": "File", "location": quote(self.here[path])}}
        return f"$(inputs['{key}'].path)"

    def _name(self, name: Name) -> str:
        if name.spec or name.flag is not None or self._varies(name):
            raise Unsayable
        if name.name in ("scratch", "cpus"):
            return "$(runtime.outdir)" if name.name == "scratch" else "$(runtime.cores)"
        if name.name in self.tool.outputs:
            return f"$(runtime.outdir)/{self._text(self.tool.outputs[name.name].path)}"
        if name.name in self.ports and self.ports[name.name].is_file:
            return f"$(inputs.{name.name}.{_PARTS[name.path[0]] if name.path else 'path'})"
        key = ".".join((name.name, *name.path))
        kind = self.inputs.get(key, {}).get("type")
        if kind not in ("long", "double", "string") and not (
            isinstance(kind, dict) and cast("Any", kind)["type"] == "enum"
        ):
            raise Unsayable
        return f"$(inputs['{key}'])"

    def _outputs(self) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, item in self.tool.outputs.items():
            inner, optional = strip_optional(item.type)
            port = Port(name, inner)
            if not port.is_file or port.is_sequence or item.match:
                raise Unsayable  # what is read from the file is ours; the order of several files is not CWL's
            key = f"{name}.out" if name in self.inputs else name
            if item.path in STREAMS:
                if any(other.get("type") == item.path for other in made.values()):
                    raise Unsayable
                made[key] = {"type": item.path}
                continue
            optional = optional or item.optional
            made[key] = {"type": "File?" if optional else "File", "outputBinding": {"glob": self._text(item.path)}}
        return made


def _option(group: list[Word]) -> tuple[str, Name, bool]:
    """Return prefix, name and whether they are two words, of a group such as ``--mask {mask}`` or ``-n{n}``."""
    if len(group) == 2 and len(group[0]) == 1 and isinstance(group[0][0], str) and len(group[1]) == 1:
        name = group[1][0]
        if isinstance(name, Name):
            return group[0][0], name, True
    if (
        len(group) == 1
        and isinstance(name := group[0][-1], Name)
        and all(isinstance(part, str) for part in group[0][:-1])
    ):
        return "".join(cast("tuple[str, ...]", group[0][:-1])), name, False
    raise Unsayable


def _port(tool: Tool, name: str, port: Port) -> dict[str, Any]:
    item = port_item(tool.name, port)
    if not port.is_file:
        plain = strip_optional(port.item)[0]
        if item == "File":
            raise Unsayable  # data, which our writers must turn into a file first
        item = json_type(plain)
    kind = array_of(item) if port.is_sequence else item
    return {"type": kind if port.required else optional_type(kind)}
