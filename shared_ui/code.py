"""A form as text: the same call in Python and on the command line."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from daisy_core import Algorithm
from daisy_core.params import to_json
from daisy_core.reading import FileInput
from daisy_core.signature import REQUIRED

from .fields import flat, form_fields


def as_python(algorithm: Algorithm[..., Any], inputs: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """Return the call as Python text; what equals its default is left out.

    Parameters
    ----------
    inputs : mapping
        Paths, :class:`~daisy_core.reading.FileInput`, or lists of them, by port.
    params : mapping
        Parameters by name, parameter models as models.
    """
    package, _, _ = algorithm.function.__module__.partition(".")
    name = algorithm.function.__name__
    public = getattr(importlib.import_module(package), name, None) is algorithm
    imports: dict[str, set[str]] = {package if public else algorithm.function.__module__: {name}}
    lines = [
        f"    {port}={_python_input(value, imports)}," for port, value in inputs.items() if value not in (None, [], ())
    ]
    for parameter, value in params.items():
        if value != algorithm.parameters[parameter].default:
            lines.append(f"    {parameter}={_python_value(value, package, imports)},")
    head = "\n".join(f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(imports.items()))
    return f"{head}\n\nresult = {name}(\n" + "\n".join(lines) + "\n)\n"


def _python_input(value: Any, imports: dict[str, set[str]]) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_python_input(item, imports) for item in cast('Sequence[Any]', value))}]"
    if isinstance(value, FileInput):
        if not value.options:
            return repr(str(value.path))
        imports.setdefault("daisy_core.reading", set()).add("FileInput")
        return f"FileInput({str(value.path)!r}, {dict(value.options)!r})"
    return repr(str(value)) if isinstance(value, (str, Path)) else repr(value)


def _python_value(value: Any, package: str, imports: dict[str, set[str]]) -> str:
    if not isinstance(value, BaseModel):
        return repr(value)
    kind = type(value)
    public = getattr(importlib.import_module(package), kind.__name__, None) is kind
    imports.setdefault(package if public else kind.__module__, set()).add(kind.__name__)
    changed = [
        f"{name}={getattr(value, name)!r}"
        for name, info in kind.model_fields.items()
        if getattr(value, name) != info.default
    ]
    return f"{kind.__name__}({', '.join(changed)})"


def as_cli(
    algorithm: Algorithm[..., Any], inputs: Mapping[str, Any], params: Mapping[str, Any], *, out: str = "results.nxs"
) -> str:
    """Return the call as a command line; what equals its default is left out."""
    words = [f"daisy run {shlex.quote(algorithm.name)}"]
    for port, value in inputs.items():
        words += _cli_input(port, value)
    defaults = {field.name: field.default for field in form_fields(algorithm)}
    for name, value in flat(params).items():
        default = defaults.get(name, REQUIRED)
        if default is REQUIRED or value != default:
            words.append(f"--{name} {' '.join(shlex.quote(word) for word in _cli_words(value))}")
    return " \\\n    ".join([*words, f"--out {shlex.quote(out)}"]) + "\n"


def _cli_input(port: str, value: Any) -> Iterator[str]:
    items: list[Any] = list(cast("Sequence[Any]", value)) if isinstance(value, (list, tuple)) else [value]
    items = [item for item in items if item is not None]
    if not items:
        return
    paths = [str(item.path) if isinstance(item, FileInput) else str(item) for item in items]
    yield f"--{port} {' '.join(shlex.quote(path) for path in paths)}"
    first = items[0]
    for option, chosen in first.options.items() if isinstance(first, FileInput) else ():
        yield f"--{port}.{option} {' '.join(shlex.quote(word) for word in _cli_words(chosen))}"


def _cli_words(value: Any) -> list[str]:
    plain = to_json(value)
    if isinstance(plain, list):
        return [_cli_word(item) for item in plain]
    return [_cli_word(plain)]


def _cli_word(value: Any) -> str:
    return (
        {True: "true", False: "false", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def copy_as(algorithm: Algorithm[..., Any], inputs: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    """Show the call in Python and on the command line, each with a button to copy it."""
    import streamlit as st

    for title, text, language in (
        ("Copy as Python", as_python(algorithm, inputs, params), "python"),
        ("Copy as command line", as_cli(algorithm, inputs, params), "bash"),
    ):
        st.caption(title)
        st.code(text, language=language)
