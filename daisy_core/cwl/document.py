"""CWL documents of others: read, brought into one form, and searched for what we do not run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlparse

from ..errors import InputError
from ..script.environment import RUNTIMES
from .references import check
from .text import read_yaml
from .types import Refused

VERSIONS = ("v1.0", "v1.1", "v1.2")
Document = dict[str, Any]
PRIMITIVE = (
    "null",
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "string",
    "File",
    "Directory",
    "Any",
    "stdin",
    "stdout",
    "stderr",
)

# What stands in the requirements of a document, and why we do not follow it.
_REFUSED = {
    "ShellCommandRequirement": "it wants a shell; commands are run without one",
    "InplaceUpdateRequirement": "it changes its input files in place",
    "SchemaDefRequirement": "it defines types of its own",
}
_KNOWN = {
    "InlineJavascriptRequirement", "ResourceRequirement", "SoftwareRequirement", "InitialWorkDirRequirement", "EnvVarRequirement",
    "ScatterFeatureRequirement", "SubworkflowFeatureRequirement", "MultipleInputFeatureRequirement",
    "StepInputExpressionRequirement", "DockerRequirement", "ToolTimeLimit", "WorkReuse", "NetworkAccess", "LoadListingRequirement",
}  # fmt: skip
_HINTS = _KNOWN - {"DockerRequirement"}
"""A container that is only a hint is not needed."""


def load(name: str) -> Document:
    """Return a process of a file, ``tool.cwl`` or ``packed.cwl#part``, in one form.

    Inputs, outputs and steps are lists with short ids, types are spelled out, requirements are mappings by class (hints that
    we know among them), paths of files are absolute, and ``run`` is a process itself.

    Raises
    ------
    InputError
        If there is no such file or process, or it is not CWL.
    Refused
        If it asks for what our engines do not do; the message says what.
    """
    path, part = split_name(name)
    content = _read(str(path), path.stat().st_mtime_ns if path.is_file() else 0)
    version = content.get("cwlVersion") if isinstance(content, Mapping) else None
    if version not in VERSIONS:
        raise InputError(
            f"{path} is not a CWL document of version {', '.join(VERSIONS)}; its cwlVersion is {version!r}"
        )
    return _process(_find(content, part, path), path, content)


def split_name(name: str) -> tuple[Path, str]:
    """Return path and part of ``file.cwl#part``; a file may have ``#`` in its name."""
    at = name.rfind(".cwl#")
    path, part = (name, "") if at < 0 else (name[: at + 4], name[at + 5 :])
    return Path(path).expanduser().absolute(), part


@lru_cache(maxsize=32)
def _read(path: str, changed: int) -> Any:
    return _imported(read_yaml(Path(path)), Path(path).parent)


def _imported(content: Any, base: Path) -> Any:
    """Put in what other files hold (``$import``, ``$include``), and make paths of files absolute."""
    if isinstance(content, list):
        return [_imported(item, base) for item in cast("list[Any]", content)]
    if not isinstance(content, Mapping):
        return content
    found = cast("Mapping[str, Any]", content)
    if "$import" in found:
        path = _local(found["$import"], base)
        return _imported(read_yaml(path), path.parent)
    if "$include" in found:
        path = _local(found["$include"], base)
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from None
    made = {key: _imported(item, base) for key, item in found.items()}
    where = made.get("location", made.get("path"))
    if made.get("class") == "File" and isinstance(where, str) and "contents" not in made:
        made["path"] = str(_local(where, base, plain="location" not in made))
    return made


def _local(reference: str, base: Path, *, plain: bool = False) -> Path:
    parsed = urlparse(reference)
    if not plain and parsed.scheme not in ("", "file"):
        raise Refused(f"{reference} is not on this machine; fetch it first")
    return base / (reference if plain else unquote(parsed.path))


def _find(content: Mapping[str, Any], part: str, path: Path) -> Mapping[str, Any]:
    graph = content.get("$graph")
    if graph is None:
        if part and short(str(content.get("id", ""))) != part:
            raise InputError(f"{path} has no process '#{part}'")
        return content
    known = {short(item["id"]): item for item in graph}
    wanted = part or ("main" if "main" in known else next(iter(known)) if len(known) == 1 else "")
    if wanted not in known:
        raise InputError(f"{path} has no process '#{wanted}'; it has: {', '.join(f'#{name}' for name in known)}")
    return known[wanted]


def short(identifier: str) -> str:
    """Return the last part of an identifier: ``packed.cwl#main/step/out`` is ``out``."""
    return identifier.rpartition("#")[2].rpartition("/")[2]


def listed(content: Any, key: str, value: str) -> list[Document]:
    """Return a list of mappings from CWL's short forms, where the key of a mapping is one of the fields."""
    if isinstance(content, Mapping):
        items = cast("Mapping[str, Any]", content).items()
        return [{key: name, **(item if isinstance(item, Mapping) and not _is_value(item, value) else {value: item})}
                for name, item in items]  # fmt: skip
    return [dict(item) if isinstance(item, Mapping) else {key: item} for item in content or ()]


def _is_value(item: Mapping[str, Any], value: str) -> bool:
    """True for a mapping that is itself the value of the field: a type, not a parameter."""
    return value == "type" and "type" in item and item["type"] in ("array", "record", "enum")


# -- one form ---------------------------------------------------------------------------------------------------


def _process(content: Mapping[str, Any], path: Path, whole: Mapping[str, Any]) -> Document:
    kind = content.get("class")
    where = f"{path}{'#' + short(content['id']) if 'id' in content else ''}"
    if kind not in ("CommandLineTool", "Workflow"):
        reason = {"ExpressionTool": "is JavaScript", "Operation": "says nothing of how it is done"}.get(
            str(kind), "is unknown"
        )
        raise Refused(f"{where}: a process of class {kind} {reason}; our engines run CommandLineTool and Workflow")
    made: Document = {**content, "where": where, "requirements": _requirements(content, where)}
    made["inputs"] = [_parameter(item, where) for item in listed(content.get("inputs"), "id", "type")]
    made["outputs"] = [_parameter(item, where) for item in listed(content.get("outputs"), "id", "type")]
    if kind == "Workflow":
        made["steps"] = [_step(item, path, whole, where) for item in listed(content.get("steps"), "id", "run")]
    else:
        base = content.get("baseCommand", [])
        made["baseCommand"] = [base] if isinstance(base, str) else base
        _check_strings(made, where)
    return made


def _requirements(content: Mapping[str, Any], where: str) -> Document:
    asked = {item["class"]: item for item in listed(content.get("requirements"), "class", "")}
    hinted = {item["class"]: item for item in listed(content.get("hints"), "class", "") if item["class"] in _HINTS}
    for name, item in asked.items():
        if name in _REFUSED:
            raise Refused(f"{where}: {name}: {_REFUSED[name]}")
        if name == "NetworkAccess" and item.get("networkAccess") not in (False, "false"):
            raise Refused(
                f"{where}: NetworkAccess: it needs the network; a result must not depend on what is there today"
            )
        if name == "DockerRequirement":
            _check_container(item, where)
        if name not in _KNOWN:
            raise Refused(f"{where}: {name}: this requirement is not known here")
    return {**hinted, **asked}


def _check_container(asked: Mapping[str, Any], where: str) -> None:
    image = asked.get("dockerPull") or asked.get("dockerImageId")
    if not image or "dockerFile" in asked:
        raise Refused(
            f"{where}: DockerRequirement: the image must be built or loaded first; only named images are used"
        )
    if not any(shutil.which(name) for name in RUNTIMES):
        raise Refused(
            f"{where}: DockerRequirement: it must run in the container {image}, and none of {', '.join(RUNTIMES)} is installed"
        )


def _parameter(item: Document, where: str) -> Document:
    name = short(item["id"])
    made = {**item, "id": name, "type": spell(item.get("type", "Any"), f"{where}: '{name}'")}
    made["secondaryFiles"] = _secondary(item.get("secondaryFiles"), f"{where}: '{name}'")
    return made


def _secondary(content: Any, where: str) -> list[Document]:
    items = [content] if isinstance(content, (str, Mapping)) else content or []
    found: list[Document] = []
    for item in cast("list[Any]", items):
        pattern = item["pattern"] if isinstance(item, Mapping) else item
        required = cast("Mapping[str, Any]", item).get("required", True) if isinstance(item, Mapping) else True
        if "$" in pattern:
            raise Refused(
                f"{where}: secondaryFiles: '{pattern}' is computed; only patterns such as '.idx' and '^.idx' are"
            )
        found.append({"pattern": pattern.removesuffix("?"), "required": required is True and not pattern.endswith("?")})
    return found


def spell(kind: Any, where: str) -> Any:
    """Return a type with its short forms spelled out: ``File[]?`` is null or an array of File.

    Raises
    ------
    Refused
        For types that a document defines itself.
    """
    if isinstance(kind, list):
        parts = [spell(item, where) for item in cast("list[Any]", kind)]
        flat = [choice for part in parts for choice in (part if isinstance(part, list) else [part])]
        return flat[0] if len(flat) == 1 else flat
    if isinstance(kind, Mapping):
        content = cast("Mapping[str, Any]", kind)
        if content.get("type") == "array":
            return {**content, "items": spell(content["items"], where)}
        if content.get("type") == "enum":
            return {**content, "symbols": [short(symbol) for symbol in content["symbols"]]}
        if content.get("type") == "record":
            raise Refused(f"{where}: a record has no counterpart among our inputs")
        return spell(content.get("type"), where)
    if not isinstance(kind, str):
        raise InputError(f"{where}: {kind!r} is not a type")
    if kind.endswith("?"):
        return spell(["null", kind[:-1]], where)
    if kind.endswith("[]"):
        return {"type": "array", "items": spell(kind[:-2], where)}
    if kind not in PRIMITIVE:
        raise Refused(f"{where}: the type '{kind}' is defined elsewhere; types of documents themselves are not read")
    return kind


def _step(item: Document, path: Path, whole: Mapping[str, Any], where: str) -> Document:
    name = short(item["id"])
    run = item.get("run")
    if isinstance(run, str):
        target, _, part = run.partition("#")
        if target:
            other = _local(target, path.parent)
            process = load(f"{other}#{part}" if part else str(other))
        else:
            process = _process(_find(whole, part, path), path, whole)
    elif isinstance(run, Mapping):
        process = _process(cast("Mapping[str, Any]", run), path, whole)
        process["where"] = f"{where}: step '{name}'"
    else:
        raise InputError(f"{where}: step '{name}' does not say what to run")
    ins = [{**entry, "id": short(entry["id"])} for entry in listed(item.get("in"), "id", "source")]
    outs = [
        short(entry if isinstance(entry, str) else entry["id"]) for entry in cast("Iterable[Any]", item.get("out", ()))
    ]
    scatter = [short(port) for port in aslist(item.get("scatter"))]
    more = _requirements(item, f"{where}: step '{name}'")
    return {**item, "id": name, "run": process, "in": ins, "out": outs, "scatter": scatter, "requirements": more}


def aslist(value: Any) -> list[Any]:
    """Return a list: of one value where it is not one already."""
    return [] if value is None else list(cast("list[Any]", value)) if isinstance(value, list) else [value]


_STRINGS = ("arguments", "stdin", "stdout", "stderr", "inputs", "outputs", "requirements")


def _check_strings(content: Document, where: str) -> None:
    """Refuse JavaScript wherever a tool may have it."""

    def visit(value: Any) -> None:
        if isinstance(value, Mapping):
            for key, item in cast("Mapping[str, Any]", value).items():
                if key not in ("doc", "label", "default", "expressionLib", "contents"):
                    visit(item)
        elif isinstance(value, list):
            for item in cast("list[Any]", value):
                visit(item)
        else:
            check(value, where)

    for key in _STRINGS:
        visit(content.get(key))
