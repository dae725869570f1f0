"""Where a fresh process finds an algorithm, and what algorithms that are CWL tools of their own say of themselves."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from .. import registry
from ..algorithm import Algorithm
from ..identity import distribution_version
from ..workflow import Workflow
from .types import Refused

_PLACE = "daisy.tool"
"""Folder of the files of a script, in the folder in which its tool runs."""


@dataclass(frozen=True)
class Source:
    """Where a fresh process finds an algorithm: installed, or in files that go along with the tool.

    Attributes
    ----------
    arguments : tuple of str
        What the command of the tool says of it.
    files : mapping
        Files beside the documents: bytes, or the file to copy.
    given : tuple of str
        Those that declare algorithms and data types.
    laid_out : mapping
        Those that must lie in the folder in which the tool runs, by their place there.
    """

    arguments: tuple[str, ...] = ()
    files: Mapping[str, bytes | Path] = field(default_factory=dict[str, "bytes | Path"])
    given: tuple[str, ...] = ()
    laid_out: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Native:
    """An algorithm that is a CWL tool of its own; it says so by a method ``cwl_native()`` that returns this.

    Attributes
    ----------
    name : str
        For its file.
    document : mapping
        The CommandLineTool.
    inputs : mapping
        Its input ids by port and parameter.
    outputs : mapping
        Output ids by port, with True for an array of files, False for one file, None for what is no file.
    """

    name: str
    document: Mapping[str, Any]
    inputs: Mapping[str, str]
    outputs: Mapping[str, tuple[str, bool | None]]
    files: Mapping[str, bytes | Path] = field(default_factory=dict[str, "bytes | Path"])


def native(algorithm: Algorithm[..., Any]) -> Native | None:
    """Return what an algorithm says of itself as a CWL tool; None for one that is run by ours."""
    says = getattr(algorithm, "cwl_native", None)
    if says is not None:
        return says()
    if algorithm.kind != "script":
        return None
    from .scripts import native_script

    return native_script(cast("Any", algorithm))


def document_name(algorithm: Algorithm[..., Any]) -> str:
    """Return the name of the document of an algorithm: its own, without folders for what came from a file."""
    theirs = native(algorithm)
    return theirs.name if theirs is not None else algorithm.name.rpartition("/")[2]


def file_name(name: str, suffix: str = ".cwl") -> str:
    """Return the file name of a tool or workflow: ASCII only, so that no reference to it needs to be quoted."""
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII) + suffix


def source(algorithm: Algorithm[..., Any]) -> Source:
    """Return where a fresh process finds an algorithm.

    Raises
    ------
    Refused
        If it cannot.
    """
    module = algorithm.function.__module__
    if isinstance(algorithm, Workflow) and module == Workflow.__module__:
        name = file_name(algorithm.name, ".json")
        text = json.dumps(json.loads(algorithm.to_json()), indent=1, ensure_ascii=False)
        return Source((), {name: text.encode()}, (name,))
    declared: Path | None = getattr(algorithm, "file", None)
    if declared is None:
        if module.startswith("daisy_core.") or (_app_declares(algorithm.name) and distribution_version(module)):
            return Source(("--module", module) if module.startswith("daisy_core.") else ())
        path = Path(getattr(sys.modules.get(module), "__file__", None) or "")
        loose = path.stem == module != "__main__" and "." not in module
        declared = path if loose else None
    if declared is not None and algorithm.kind == "script":
        return _script_source(algorithm, declared)
    if declared is not None:
        return Source((), {declared.name: declared}, (declared.name,))
    if distribution_version(module):
        return Source(("--module", module))
    raise Refused(
        f"{algorithm.name} is declared in module '{module}', which another process cannot find; put it into a file of its own "
        "and name it as my.py:function, or install it"
    )


def _script_source(algorithm: Any, declared: Path) -> Source:
    """Return the declaration of a script and its own files: they must lie beside each other wherever they go."""
    from .scripts import files_of

    folder = file_name(algorithm.name, ".files")
    files = {f"{folder}/{declared.name}": declared, **files_of(algorithm, folder)}
    laid_out = {f"{_PLACE}/{name.removeprefix(f'{folder}/')}": name for name in files}
    return Source(("--declared", f"{_PLACE}/{declared.name}"), dict(files), (), laid_out)


@cache
def _app_declares(name: str) -> bool:
    app = registry.apps().get(name.partition(".")[0])
    return app is not None and not any(module.endswith(".py") for module in app.modules)
