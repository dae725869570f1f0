"""A command with the face of an algorithm: ports, parameters, schema, command line, identity."""

from __future__ import annotations

import functools
import inspect
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from .. import registry
from ..algorithm import Algorithm
from ..context import Resources, context
from ..errors import DaisyError, ParameterError, RunError, WorkflowError
from ..identity import digest
from ..markers import Param
from ..signature import REQUIRED, Parameter, Signature
from .collect import collect
from .declaration import STREAMS, Tool, groups_of, input_of, output_of
from .environment import Environment
from .process import Command, failure
from .stage import command_of, stage


class ScriptAlgorithm(Algorithm[..., Any]):
    """An algorithm whose function runs a command; made by :func:`script`.

    Attributes
    ----------
    tool : Tool
        The declaration.
    file : Path or None
        The TOML file that it was read from.
    """

    kind = "script"

    def __init__(self, tool: Tool, module: str = __name__, file: Path | None = None) -> None:
        self.tool = tool
        self.file = file
        super().__init__(_function(tool, module), name=tool.name, version=tool.version, resources=tool.resources)

    @functools.cached_property
    def signature(self) -> Signature:
        """Ports, parameters and output, as declared."""
        return Signature(self.tool.ports(), dict(self.tool.parameters), _output_type(self.tool))

    @property
    def source_hash(self) -> str:  # type: ignore[override]  # read again each time: a script may be edited under a living process
        """Hash of the declaration, of the content of the tool's own files, and of what it says of its version."""
        return digest([self.tool.identity(), program_version(self.tool)])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by declaration, so that any process can make it again."""
        return _remade, (self.tool, self.function.__module__, self.file, self.node_name)


def _remade(tool: Tool, module: str, file: Path | None, node_name: str) -> ScriptAlgorithm:
    made = ScriptAlgorithm(tool, module, file)
    return made if made.node_name == node_name else made.named(node_name)


def _function(tool: Tool, module: str) -> Callable[..., Any]:
    """Return the function of a tool, with the signature that it declares."""
    signature = inspect.Signature([
        *(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=port.default, annotation=port.annotation)
          for name, port in sorted(tool.ports().items(), key=lambda item: not item[1].required)),
        *(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=item.default, annotation=item.annotation)
          for name, item in tool.parameters.items()),
    ])  # fmt: skip

    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ParameterError(f"{tool.name}: {error}") from None
        bound.apply_defaults()
        return execute(tool, bound.arguments)

    made: Any = run
    made.__signature__ = signature
    made.__name__ = made.__qualname__ = tool.name.rpartition(".")[2]
    made.__module__ = module
    shown = tool.command[0][0] if tool.shell else " ".join(word for group in tool.command for word in group)
    made.__doc__ = f"{tool.doc or f'Run {Path(tool.program).name}.'}\n\nRuns the command ``{shown}``."
    return made


def execute(tool: Tool, values: Mapping[str, Any]) -> Any:
    """Run the command of a tool on values and return its outputs.

    Raises
    ------
    InputError
        If an input file does not exist, or an output cannot be read.
    RunError
        If what it needs is not installed, it fails, or does not leave the outputs that it should.
    Cancelled
        If the run was asked to stop.
    """
    check_installed(tool)
    scratch = context().scratch
    scratch.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix=f"{tool.name}-", dir=scratch.absolute()))
    try:
        staged = stage(tool, values, root)
        argv = command_of(tool, staged)
        launch = tool.environment.launch(argv, staged.env, staged.folder, staged.readable)
        wanted = {item.path for item in tool.outputs.values()}
        streams = {name: root / name for name in STREAMS if name in wanted}
        command = Command(
            tool.name, launch.argv, staged.folder, launch.env, stdin=staged.stdin, progress=tool.progress,
            seconds=_seconds(tool), grace=tool.grace, end=launch.end, **streams,
        )  # fmt: skip
        ended = command.run()
        if ended.status not in tool.success_codes:
            raise failure(command, ended)
        found = collect(tool, values, staged, ended.tail)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    if list(found) == ["result"]:
        return found["result"]
    return cast("Callable[..., Any]", _output_type(tool))(**found)


def _seconds(tool: Tool) -> float | None:
    """Return the wall time in seconds."""
    text = tool.resources.walltime
    if text is None:
        return None
    days, _, clock = text.rpartition("-")
    try:
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        return int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds
    except ValueError:
        raise ParameterError(f"{tool.name}: walltime '{text}' is not a time such as '00:30:00'") from None


def check_installed(tool: Tool) -> None:
    """Refuse a tool that this machine does not have.

    Raises
    ------
    RunError
        Says what is missing.
    """
    tool.environment.check(tool.name)
    own = tool.own_program()
    if own is not None:
        if not own.is_file():
            raise RunError(f"{tool.name}: there is no file {own}")
        return
    if not tool.shell and "{" not in tool.program and not tool.environment.finds(tool.program):
        hint = (
            f"; install it: {tool.install}"
            if tool.install
            else "; install it, or write its whole path into the declaration"
        )
        raise RunError(f"{tool.name}: the program '{tool.program}' is not installed on this machine{hint}")


def program_version(tool: Tool) -> str:
    """Return what the tool says of its version; empty where it is not asked, or not here."""
    return _version(tool.name, tool.version_command) if tool.version_command else ""


@functools.cache
def _version(owner: str, words: tuple[str, ...]) -> str:
    import subprocess

    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).decode("utf-8", errors="replace").strip()


# -- outputs ----------------------------------------------------------------------------------------------------


def _output_type(tool: Tool) -> Any:
    types = {name: item.type | None if item.optional else item.type for name, item in tool.outputs.items()}
    if list(types) == ["result"]:
        return types["result"]
    return _tuple_class(tool.name, tuple(types.items()))


@functools.cache
def _tuple_class(name: str, types: tuple[tuple[str, Any], ...]) -> Any:
    """Make the class of several outputs; its objects pickle by what it is made of, as no module has it."""
    made: Any = NamedTuple(name.rpartition(".")[2].title(), list(types))  # type: ignore[misc]
    made.__reduce__ = lambda self: (_outputs, (name, types, tuple(self)))
    return made


def _outputs(name: str, types: tuple[tuple[str, Any], ...], values: tuple[Any, ...]) -> Any:
    return _tuple_class(name, types)(*values)


# -- declaring --------------------------------------------------------------------------------------------------


def script(
    name: str,
    command: str | Sequence[str | Sequence[str]],
    *,
    inputs: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any],
    version: str = "1",
    doc: str = "",
    environment: Environment | None = None,
    resources: Resources | None = None,
    shell: bool = False,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    files: Sequence[str] = (),
    success_codes: Sequence[int] = (0,),
    progress: str = "",
    grace: float = 5.0,
    version_command: Sequence[str] = (),
    install: str = "",
    here: str | Path | None = None,
) -> ScriptAlgorithm:
    r"""Declare a command or script as an algorithm.

    Each call runs it in a scratch folder of its own, which is removed afterwards; what it writes to the screen goes to the
    log of the run. Values are filled in word by word and never read by a shell.

    Parameters
    ----------
    name : str
        ``"site.integrate"``.
    command : sequence of str
        Program and arguments. ``{image}`` is the path of an input, ``{npt}`` a parameter, ``{result}`` the path at which an
        output is expected; ``{image.stem}``, ``{qmax:.3f}``, ``{verbose?--verbose}``; ``{here}``, ``{scratch}``, ``{cpus}``. A
        word that names something absent is left out, one that names a sequence is repeated; words that belong together are
        a list: ``["--mask", "{mask}"]``. A program beside the declaration comes before one on ``PATH``.
    inputs : mapping
        Type of each port, :class:`Input` or ``(type, path)``.
    params : mapping
        ``(type, Param(...), default)`` of each parameter; ``Param`` and default may be left out, a lone value is a default.
    outputs : mapping
        Path of each output, ``(path, type)`` or :class:`Output`. One called ``result`` is what the call returns, otherwise a
        named tuple is.
    version : str
        Raise it when results change.
    environment : Container, Modules or Conda, optional
        Where the program is found.
    resources : Resources, optional
        What one call needs; after ``walltime`` it is ended.
    shell : bool
        The command is one text for ``bash -eo pipefail``; the values in it are quoted.
    stdin : str
        The file that it reads: ``"{image}"``.
    env : mapping
        Environment variables.
    files : sequence of str
        Further files beside the declaration whose content decides the result. Those named as ``{here}/file`` are known.
    success_codes : sequence of int
        Exit statuses that mean success.
    progress : str
        Regular expression for the lines that it writes; one group is percent, two are done and of how many.
    grace : float
        Seconds between SIGTERM and SIGKILL when it is cancelled.
    version_command : sequence of str
        Asked once; its answer is part of the identity of results.
    install : str
        How to get the program, for the message where it is missing.
    here : path
        Folder of the declaration; that of the calling file by default.

    Returns
    -------
    ScriptAlgorithm
        Called, lifted, used in workflows and run like any algorithm.

    Raises
    ------
    WorkflowError
        If names and templates do not fit together.

    Examples
    --------
    >>> from daisy_core import File, Param
    >>> count = script("doc.count", ["wc", "-l"], inputs={"text": File}, stdin="{text}",
    ...                outputs={"result": ("stdout", int)})
    >>> count.parameters, list(count.ports)
    ({}, ['text'])
    """
    frame = inspect.currentframe()
    caller: Mapping[str, Any] = frame.f_back.f_globals if frame is not None and frame.f_back is not None else {}
    folder = Path(here if here is not None else Path(caller.get("__file__") or "x").parent).absolute()
    tool = Tool(
        name, version, groups_of(name, command, shell=shell),
        {key: input_of(name, key, value) for key, value in (inputs or {}).items()},
        {key: _parameter(name, key, value) for key, value in (params or {}).items()},
        {key: output_of(name, key, value) for key, value in outputs.items()},
        folder, doc, environment or Environment(), resources or Resources(), shell, stdin, dict(env or {}), tuple(files),
        tuple(success_codes), progress, grace, tuple(version_command), install,
    )  # fmt: skip
    return declare(tool, str(caller.get("__name__", __name__)))


def declare(tool: Tool, module: str = __name__, file: Path | None = None) -> ScriptAlgorithm:
    """Make and register the algorithm of a tool.

    Raises
    ------
    DaisyError
        If another file declares another tool under its name.
    """
    made = ScriptAlgorithm(tool, module, file)
    for known in registry.known():
        if known.name == made.name and isinstance(known, ScriptAlgorithm) and _contradicts(known, made):
            raise DaisyError(
                f"algorithm '{tool.name}' is declared by both {known.file} and {file}; give one of them another name"
            )
    _ = made.param_model  # refuses what is not JSON, and wrong defaults
    registry.register(made)
    return made


def _contradicts(known: ScriptAlgorithm, made: ScriptAlgorithm) -> bool:
    """True for two files that are both there and say different things; a copy of a file is the same tool."""
    two = known.file is not None and made.file is not None and known.file != made.file and known.file.exists()
    return two and known.tool.identity() != made.tool.identity()


def _parameter(owner: str, name: str, value: Any) -> Parameter:
    """Return a parameter from ``(type, Param, default)``, ``(type, default)``, or a default."""
    from typing import Annotated

    from ..params import is_json

    if isinstance(value, Parameter):
        return value
    items: tuple[Any, ...] = cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (type(value), value)
    annotation, *rest = items
    marks = [item for item in rest if isinstance(item, Param)]
    defaults = [item for item in rest if not isinstance(item, Param)]
    if len(marks) > 1 or len(defaults) > 1:
        raise WorkflowError(f"{owner}: parameter '{name}' needs (type, Param(...), default); got {items}")
    if not is_json(annotation):
        raise ParameterError(f"{owner}: parameter '{name}' of type {annotation} is not JSON; a file is an input")
    return Parameter(
        name, Annotated[annotation, marks[0]] if marks else annotation, defaults[0] if defaults else REQUIRED
    )
