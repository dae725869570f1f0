"""What a tool is: its command, inputs, parameters and outputs, and the checks that they fit together."""

from __future__ import annotations

import hashlib
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, cast

from .. import registry
from ..context import Resources
from ..datatypes import describe, is_data
from ..errors import WorkflowError
from ..identity import digest
from ..markers import File
from ..params import model_of
from ..signature import Parameter, Port, type_name
from .environment import Environment
from .template import FILE_PARTS, Field, Word, check_unquoted, fields, parse

GIVEN = ("here", "scratch", "cpus")
"""Names that every command may use: the folder of the declaration, its scratch folder, and the CPUs that it has."""
STREAMS = ("stdout", "stderr")
_HERE_FILE = re.compile(r"\{here\}/([^\s{}'\"]+)")


@dataclass(frozen=True)
class Input:
    """How a command receives an input.

    Parameters
    ----------
    type : type
        ``File``, a data type, an annotated array, a number, or a sequence of them.
    path : str
        The name under which the command finds it in its scratch folder. A file is linked there; data are written there, in
        the format of the suffix. Needed for data; a file without it is used where it is.
    optional : bool
        It may be absent; the words of the command that name it are left out then.
    """

    type: Any = File
    path: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Output:
    """Where a result of a command comes from.

    Parameters
    ----------
    path : str
        Name or pattern (``*.chi``) of the file in the scratch folder, with ``{names}``; ``"stdout"`` or ``"stderr"`` for what
        the command writes.
    type : type
        ``File`` for the file itself; a data type or annotated array for what its reader finds in it; a number or text for
        what is written in it; a sequence of them takes all files of the pattern, in their natural order.
    options : mapping
        Options of the reader.
    match : str
        Regular expression; the result is its first group where it matches last.
    optional : bool
        None where there is no such file.
    """

    path: str
    type: Any = File
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    match: str = ""
    optional: bool = False

    @property
    def is_pattern(self) -> bool:
        """True where the name is a pattern, so that the command cannot be told it."""
        return bool(set(self.path) & set("*?["))


@dataclass(frozen=True)
class Tool:
    """The declaration of a script node; made by :func:`daisy_core.script.script` or from a TOML file.

    Attributes
    ----------
    command : tuple of tuple of str
        Groups of words; a group is left out or repeated as a whole.
    here : Path
        The folder of the declaration.
    """

    name: str
    version: str
    command: tuple[tuple[str, ...], ...]
    inputs: Mapping[str, Input]
    parameters: Mapping[str, Parameter]
    outputs: Mapping[str, Output]
    here: Path
    doc: str = ""
    environment: Environment = field(default_factory=Environment)
    resources: Resources = field(default_factory=Resources)
    shell: bool = False
    stdin: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    files: tuple[str, ...] = ()
    success_codes: tuple[int, ...] = (0,)
    progress: str = ""
    grace: float = 5.0
    version_command: tuple[str, ...] = ()
    install: str = ""

    def __post_init__(self) -> None:
        """Check that everything fits together."""
        _check_names(self)
        _check_fields(self)
        _check_outputs(self)
        for file in self.own_files():
            if not file.is_file():
                raise WorkflowError(f"{self.name}: there is no file {file}, which the declaration names")

    def groups(self) -> list[list[Word]]:
        """Return the words of the command as templates."""
        return [[parse(self.name, word) for word in group] for group in self.command]

    def words(self) -> Iterator[Word]:
        """Yield every template of the declaration."""
        for group in self.groups():
            yield from group
        for text in (
            self.stdin,
            *self.env.values(),
            *(item.path for item in (*self.outputs.values(), *self.inputs.values())),
        ):
            yield parse(self.name, text)

    def ports(self) -> dict[str, Port]:
        """Return the inputs as ports."""
        return {
            name: Port(name, item.type | None, None) if item.optional else Port(name, item.type)
            for name, item in self.inputs.items()
        }

    @property
    def program(self) -> str:
        """The first word of the command."""
        return self.command[0][0]

    def own_program(self) -> Path | None:
        """Return the program where it is a file of the tool itself, beside the declaration; None where it is installed."""
        if self.shell or "{" in self.program:
            return None
        found = self.here / self.program
        return found if found.is_file() or "/" in self.program else None

    def own_files(self) -> list[Path]:
        """Return the files that belong to the tool: their content is part of its identity."""
        texts = " ".join(word for group in self.command for word in group)
        named = [self.here / name for name in (*self.files, *_HERE_FILE.findall(texts))]
        program = self.own_program()
        return list(dict.fromkeys([*([program] if program else []), *named]))

    def identity(self) -> str:
        """Return the hash of all that decides what the command does, the content of its own files included."""
        contents = {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in self.own_files() if path.is_file()
        }
        return digest({
            "command": self.command, "shell": self.shell, "stdin": self.stdin, "env": self.env,
            "inputs": {name: [type_name(item.type), item.path] for name, item in self.inputs.items()},
            "outputs": {name: [type_name(item.type), item.path, item.match, item.options] for name, item in self.outputs.items()},
            "environment": repr(self.environment), "success_codes": self.success_codes,
            "files": {str(path.relative_to(self.here) if path.is_relative_to(self.here) else path): contents.get(str(path))
                      for path in self.own_files()},
        })  # fmt: skip


def _check_names(tool: Tool) -> None:
    groups = {"input": tool.inputs, "parameter": tool.parameters, "output": tool.outputs}
    seen: dict[str, str] = dict.fromkeys(GIVEN, "name of the kernel")
    for kind, names in groups.items():
        for name in names:
            if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
                raise WorkflowError(
                    f"{tool.name}: '{name}' cannot be the name of an {kind}; use letters, digits and '_'"
                )
            if name in seen:
                raise WorkflowError(
                    f"{tool.name}: '{name}' is the name of an {kind} and of an {seen[name]}; rename one"
                )
            seen[name] = kind
    if not tool.command or not all(tool.command) or not tool.program:
        raise WorkflowError(f"{tool.name}: the command, or a group of its words, is empty")
    if not tool.outputs:
        raise WorkflowError(
            f"{tool.name}: declare at least one output; Output('stdout', str) is what the command writes to the screen"
        )


def _check_fields(tool: Tool) -> None:
    """Refuse names that nobody declared, and declarations that nobody uses: both are spelling mistakes."""
    known = [*tool.inputs, *tool.parameters, *tool.outputs, *GIVEN]
    used: set[str] = set()
    for item in fields(list(tool.words())):
        if item.name not in known:
            raise WorkflowError(f"{tool.name}: '{{{item.name}}}' is not declared{registry.suggest(item.name, known)}")
        _check_path(tool, item)
        used.add(item.name)
    staged = {name for name, item in tool.inputs.items() if item.path}
    unused = [name for name in (*tool.inputs, *tool.parameters) if name not in used | staged]
    if unused:
        raise WorkflowError(
            f"{tool.name}: '{unused[0]}' is declared, but '{{{unused[0]}}}' stands nowhere in the command"
        )
    for name, item in tool.inputs.items():
        _check_input(tool, name, item)
    if tool.shell:
        if len(tool.command) != 1 or len(tool.command[0]) != 1:
            raise WorkflowError(f"{tool.name}: with shell=True the command is one text, not a list of words")
        check_unquoted(tool.name, tool.groups()[0][0])


def _check_path(tool: Tool, item: Field) -> None:
    if not item.path:
        return
    name = ".".join((item.name, *item.path))
    if item.name in tool.inputs:
        if Port("", tool.inputs[item.name].type).is_file and item.path[0] in FILE_PARTS and len(item.path) == 1:
            return
        raise WorkflowError(f"{tool.name}: '{{{name}}}': of a file there is {', '.join(FILE_PARTS)}")
    model = model_of(tool.parameters[item.name].annotation) if item.name in tool.parameters else None
    if model is None or item.path[0] not in model.model_fields:
        raise WorkflowError(
            f"{tool.name}: '{{{name}}}': '{item.name}' has no '{item.path[0]}'"
            f"{registry.suggest(item.path[0], model.model_fields if model else ())}"
        )


def _check_input(tool: Tool, name: str, item: Input) -> None:
    port = Port(name, item.type)
    declared = describe(port.item)
    if (declared.is_array or is_data(declared.type)) and not item.path:
        raise WorkflowError(
            f"{tool.name}: input '{name}' ({type_name(item.type)}) is data, which the command needs as a file; "
            "say its name: Input(type, 'data.npy')"
        )
    if item.path:
        _inside(tool, item.path)
        if port.is_sequence:
            raise WorkflowError(f"{tool.name}: input '{name}' is a sequence, but has the one file name '{item.path}'")


def _check_outputs(tool: Tool) -> None:
    for name, item in tool.outputs.items():
        _inside(tool, item.path)
        try:
            groups = re.compile(item.match).groups
        except re.error as error:
            raise WorkflowError(
                f"{tool.name}: output '{name}': '{item.match}' is not a regular expression: {error}"
            ) from None
        if item.match and not groups:
            raise WorkflowError(
                f"{tool.name}: output '{name}': '{item.match}' needs a group: put parentheses around the value"
            )
        named = any(field.name == name for field in fields(list(tool.words())))
        if named and (item.is_pattern or item.path in STREAMS):
            raise WorkflowError(
                f"{tool.name}: '{{{name}}}' stands in the command, so its path must be a name; it is '{item.path}'"
            )
    try:
        re.compile(tool.progress)
    except re.error as error:
        raise WorkflowError(f"{tool.name}: progress '{tool.progress}' is not a regular expression: {error}") from None
    if tool.progress and re.compile(tool.progress).groups not in (1, 2):
        raise WorkflowError(
            f"{tool.name}: progress '{tool.progress}' needs one group (percent) or two (done, of how many)"
        )


def _inside(tool: Tool, path: str) -> None:
    if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise WorkflowError(
            f"{tool.name}: '{path}' is not a name inside the scratch folder; leave out '/' in front and '..'"
        )


def groups_of(owner: str, command: str | Sequence[str | Sequence[str]], *, shell: bool) -> tuple[tuple[str, ...], ...]:
    """Return a command as groups of words.

    Raises
    ------
    WorkflowError
        If it is one text, but no shell was asked for.
    """
    if isinstance(command, str):
        if not shell:
            words = ", ".join(f'"{word}"' for word in command.split()[:2])
            raise WorkflowError(
                f"{owner}: the command is one text; give a list of words, [{words}, ...], or say shell=True if a shell must read it"
            )
        return ((command,),)
    groups = [cast("Sequence[Any]", group) if isinstance(group, (list, tuple)) else [group] for group in command]
    strange = [word for group in groups for word in group if not isinstance(word, str)]
    if strange:
        raise WorkflowError(f"{owner}: {strange[0]!r} in the command is not text; write numbers in quotes too")
    return tuple(tuple(group) for group in groups)


def input_of(owner: str, name: str, value: Any) -> Input:
    """Return an input from its short form: a type, or ``(type, path)``."""
    if isinstance(value, Input):
        return value
    if isinstance(value, tuple):
        return Input(*cast("tuple[Any, ...]", value))
    return Input(value)


def output_of(owner: str, name: str, value: Any) -> Output:
    """Return an output from its short form: a path, or ``(path, type)``."""
    if isinstance(value, Output):
        return value
    if isinstance(value, tuple):
        return Output(*cast("tuple[Any, ...]", value))
    if isinstance(value, str):
        return Output(value)
    raise WorkflowError(f"{owner}: output '{name}' needs a path: 'result.chi', or ('result.chi', Pattern)")
