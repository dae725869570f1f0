"""A tool declared in a TOML file, so that no Python is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from ..context import Resources
from ..datatypes import data_type
from ..errors import DaisyError, WorkflowError
from ..markers import File, Frame, Mask, Param
from ..registry import suggest
from ..signature import REQUIRED, Parameter
from .declaration import Input, Output, Tool, groups_of
from .environment import Conda, Container, Environment, Modules
from .node import ScriptAlgorithm, declare

_PLAIN: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}
_PORTS: dict[str, Any] = {"file": File, "frame": Frame, "mask": Mask, **_PLAIN}
_TEXTS = ("name", "version", "doc", "stdin", "progress", "install")
_KEYS = (*_TEXTS, "command", "shell", "files", "success_codes", "grace", "version_command",
         "inputs", "params", "outputs", "env", "environment", "resources")  # fmt: skip
_PARAM = ("title", "unit", "help", "gt", "ge", "lt", "le")


def from_toml(path: str | Path) -> ScriptAlgorithm:
    """Return the algorithm that a TOML file declares.

    Parameters
    ----------
    path : path
        ``tool.toml``; programs and files that it names are looked for in its folder.

    Raises
    ------
    DaisyError
        If the file cannot be read.
    WorkflowError
        If it is not TOML, or the declaration in it is wrong.
    """
    import tomllib

    file = Path(path).absolute()
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DaisyError(f"cannot read the tool {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WorkflowError(f"{path} is not a TOML file: {error}") from None
    return declare(_Reader(str(path)).tool(content, file), file=file)


class _Reader:
    """Reads the tables of a declaration, refusing what it does not know."""

    def __init__(self, file: str) -> None:
        self.file = file

    def tool(self, content: Mapping[str, Any], path: Path) -> Tool:
        """Return the declaration."""
        self.keys("", content, _KEYS)
        name = self.text(content, "name", f"script.{path.stem.replace('-', '_')}")
        if "command" not in content:
            raise self.wrong('it has no command = ["program", "{input}"]')
        shell = bool(content.get("shell", False))
        try:
            return Tool(
                name, self.text(content, "version", "1"), groups_of(name, self.command(content["command"]), shell=shell),
                {key: self.input(f"inputs.{key}", item) for key, item in self.table(content, "inputs").items()},
                {key: self.parameter(key, item) for key, item in self.table(content, "params").items()},
                {key: self.output(f"outputs.{key}", item) for key, item in self.table(content, "outputs").items()},
                path.parent, self.text(content, "doc"), self.environment(self.table(content, "environment")),
                self.resources(self.table(content, "resources")), shell, self.text(content, "stdin"),
                {key: str(item) for key, item in self.table(content, "env").items()}, self.texts(content, "files"),
                self.codes(content), self.text(content, "progress"), float(content.get("grace", 5.0)),
                self.texts(content, "version_command"), self.text(content, "install"),
            )  # fmt: skip
        except WorkflowError as error:
            raise error if str(error).startswith(self.file) else self.wrong(str(error)) from None

    def wrong(self, message: str) -> WorkflowError:
        """Return an error that names the file."""
        return WorkflowError(f"{self.file}: {message}")

    def keys(self, where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
        """Refuse a key that nobody reads."""
        for key in table:
            if key not in known:
                raise self.wrong(f"unknown key '{where}{key}'{suggest(key, known)}")

    def table(self, content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Return a table, empty where there is none."""
        found = content.get(key, {})
        if not isinstance(found, Mapping):
            raise self.wrong(f"'{key}' must be a table: [{key}]")
        return cast("Mapping[str, Any]", found)

    def text(self, content: Mapping[str, Any], key: str, default: str = "") -> str:
        """Return a text."""
        found = content.get(key, default)
        if not isinstance(found, str):
            raise self.wrong(f"'{key}' must be text in quotes; got {found!r}")
        return found

    def texts(self, content: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        found = content.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, str) for item in cast("list[Any]", found)):
            raise self.wrong(f"'{key}' must be a list of texts; got {found!r}")
        return tuple(cast("list[str]", found))

    def codes(self, content: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the exit statuses that mean success."""
        found = content.get("success_codes", [0])
        if not isinstance(found, list) or not all(type(item) is int for item in cast("list[Any]", found)):
            raise self.wrong(f"'success_codes' must be a list of numbers; got {found!r}")
        return tuple(cast("list[int]", found))

    def command(self, found: Any) -> str | Sequence[str | Sequence[str]]:
        """Return the command, as it stands."""
        if not isinstance(found, (str, list)):
            raise self.wrong(f"'command' must be a list of words; got {found!r}")
        return cast("Any", found)

    def type(self, where: str, text: Any, known: Mapping[str, Any]) -> Any:
        """Return the type that a word names: a plain one, or a data type by its registered name."""
        if isinstance(text, str) and text in known:
            return known[text]
        if isinstance(text, str) and "." in text and known is _PORTS:
            try:
                return data_type(text)
            except DaisyError as error:
                raise self.wrong(f"{where}: {error}") from None
        more = ", or a data type such as pdf.Pattern" if known is _PORTS else ""
        raise self.wrong(f"{where}: unknown type {text!r}; known are {', '.join(known)}{more}")

    def input(self, where: str, item: Any) -> Input:
        """Return an input: ``"file"``, or a table."""
        table: Mapping[str, Any] = item if isinstance(item, Mapping) else {"type": item}
        self.keys(f"{where}.", table, ("type", "path", "optional", "many"))
        kind = self.type(where, table.get("type", "file"), _PORTS)
        return Input(
            Sequence[kind] if table.get("many") else kind, self.text(table, "path"), bool(table.get("optional", False))
        )

    def output(self, where: str, item: Any) -> Output:
        """Return an output: a path, or a table."""
        table: Mapping[str, Any] = item if isinstance(item, Mapping) else {"path": item}
        self.keys(f"{where}.", table, ("path", "type", "optional", "many", "match", "options"))
        kind = self.type(where, table.get("type", "file"), _PORTS)
        return Output(self.text(table, "path"), list[kind] if table.get("many") else kind, dict(self.table(table, "options")),
                      self.text(table, "match"), bool(table.get("optional", False)))  # fmt: skip

    def parameter(self, name: str, item: Any) -> Parameter:
        """Return a parameter: a default, or a table."""
        table: Mapping[str, Any] = item if isinstance(item, Mapping) else {"default": item}
        self.keys(f"params.{name}.", table, ("type", "default", "choices", "many", "optional", *_PARAM))
        default = table.get("default", REQUIRED)
        if "choices" in table:
            kind: Any = Literal[tuple(table["choices"])]
        elif "type" in table:
            kind = self.type(f"params.{name}", table["type"], _PLAIN)
        elif type(default) in _PLAIN.values():
            kind = type(default)
        else:
            raise self.wrong(f"params.{name}: say its type: int, float, str or bool")
        if kind is float and type(default) is int:
            default = float(default)
        if table.get("many"):
            kind = tuple[kind, ...]
            default = tuple(default) if isinstance(default, list) else default
        if table.get("optional"):
            kind, default = kind | None, None if default is REQUIRED else default
        mark = Param(**{key: table[key] for key in _PARAM if key in table})
        return Parameter(name, Annotated[kind, mark], default)

    def environment(self, table: Mapping[str, Any]) -> Environment:
        """Return the environment: ``container``, ``module`` or ``conda``."""
        self.keys("environment.", table, ("container", "runtime", "network", "gpus", "module", "conda"))
        kinds = [key for key in ("container", "module", "conda") if key in table]
        if len(kinds) > 1:
            raise self.wrong(f"a command has one environment, but {' and '.join(kinds)} are given")
        try:
            if "container" in table:
                return Container(
                    self.text(table, "container"),
                    table.get("runtime"),
                    bool(table.get("network", False)),
                    bool(table.get("gpus", False)),
                )
            if "module" in table:
                names = table["module"]
                return Modules(*([names] if isinstance(names, str) else names))
            return Conda(self.text(table, "conda")) if "conda" in table else Environment()
        except DaisyError as error:
            raise self.wrong(str(error)) from None

    def resources(self, table: Mapping[str, Any]) -> Resources:
        """Return the resources."""
        known = tuple(Resources.__dataclass_fields__)
        self.keys("resources.", table, known)
        return Resources(**table)
