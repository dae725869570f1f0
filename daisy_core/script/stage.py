"""Before the command: inputs in its scratch folder, and the words of the command line."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from .. import registry
from ..datatypes import is_data
from ..errors import InputError, ParameterError
from ..signature import Port
from .declaration import STREAMS, Tool
from .template import fill, fill_shell, parse


@dataclass
class Staged:
    """What a command finds when it starts.

    Attributes
    ----------
    folder : Path
        Its scratch folder and working folder.
    values : mapping
        What stands for each ``{name}``.
    inputs : set of Path
        Inputs in the scratch folder, which are no outputs.
    readable : list of Path
        Files outside the scratch folder that it reads.
    env : mapping
        Its environment variables.
    """

    folder: Path
    values: dict[str, Any]
    inputs: set[Path] = field(default_factory=set[Path])
    readable: list[Path] = field(default_factory=list[Path])
    env: dict[str, str] = field(default_factory=dict[str, str])
    stdin: Path | None = None

    def text(self, owner: str, template: str) -> str:
        """Return a template with the values filled in; empty where one is absent."""
        return "".join(fill([parse(owner, template)], self.values))

    def pattern(self, owner: str, template: str) -> str:
        """Return a file pattern: only what the template itself says is a pattern, not what the values say."""
        word = parse(owner, template)
        return "".join(
            part if isinstance(part, str) else glob.escape(part.text(self.values[part.name])) for part in word
        )


def stage(tool: Tool, values: Mapping[str, Any], root: Path) -> Staged:
    """Make the scratch folder of a call and put its inputs there.

    Raises
    ------
    InputError
        If an input file does not exist.
    """
    folder, temporary = root / "work", root / "tmp"
    folder.mkdir()
    temporary.mkdir()
    cpus = tool.resources.cpus
    staged = Staged(folder, {**values, "here": tool.here, "scratch": folder, "cpus": cpus})
    staged.readable += tool.own_files()
    ports = tool.ports()
    for name, port in ports.items():
        staged.values[name] = _input(tool, staged, port, values[name])
    for name, item in tool.outputs.items():
        if not item.is_pattern and item.path not in STREAMS:
            place = folder / staged.text(tool.name, item.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            staged.values[name] = place
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), str(cpus)
    )
    staged.env = {
        **threads,
        "TMPDIR": str(temporary),
        **{key: staged.text(tool.name, text) for key, text in tool.env.items()},
    }
    if tool.stdin:
        staged.stdin = Path(staged.text(tool.name, tool.stdin))
    return staged


def _input(tool: Tool, staged: Staged, port: Port, value: Any) -> Any:
    """Return what stands for an input: absolute paths of files, numbers as they are."""
    if value is None:
        return None
    if port.is_sequence:
        single = Port(port.name, port.item)
        return [_input(tool, staged, single, item) for item in cast("list[Any]", value)]
    if port.is_file:
        path = _existing(tool, port, value)
        staged.readable.append(Path(str(path).partition("::")[0]) if not path.exists() else path)
        staged.values[port.name] = path
    declared = tool.inputs[port.name]
    if not declared.path:
        return staged.values[port.name] if port.is_file else value
    place = staged.folder / staged.text(tool.name, declared.path)
    place.parent.mkdir(parents=True, exist_ok=True)
    if port.is_file:
        place.symlink_to(staged.values[port.name])
    else:
        _write(tool, port, value, place)
    staged.inputs.add(place)
    return place


def _existing(tool: Tool, port: Port, value: Any) -> Path:
    path = Path(value).absolute()
    file = path if path.exists() else Path(str(path).partition("::")[0])
    if not file.exists():
        raise InputError(f"{tool.name}: port '{port.name}': no such file: {value}")
    return path


def _write(tool: Tool, port: Port, value: Any, place: Path) -> None:
    """Write data to a file in the format of its suffix: that of a registered writer, NeXus, or NumPy's."""
    suffix = place.suffix
    if suffix in registry.writer_suffixes(port.item):
        registry.writer(port.item, suffix)(value, place)
    elif suffix in (".nxs", ".h5"):
        from .. import nexus

        nexus.write(place, {port.name: value})
    elif suffix == ".npy" and not is_data(value):
        np.save(place, np.asarray(value), allow_pickle=False)
    else:
        known = [*registry.writer_suffixes(port.item), ".nxs", *([] if is_data(value) else [".npy"])]
        raise ParameterError(
            f"{tool.name}: input '{port.name}' cannot be written as '{place.name}'; its type can be written as {', '.join(known)}"
        )


def command_of(tool: Tool, staged: Staged) -> list[str]:
    """Return program and arguments."""
    groups = tool.groups()
    if tool.shell:
        return ["bash", "-eo", "pipefail", "-c", fill_shell(groups[0][0], staged.values)]
    words = [word for group in groups for word in fill(group, staged.values)]
    own = tool.own_program()
    return [str(own), *words[1:]] if own is not None else words
