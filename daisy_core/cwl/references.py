"""CWL parameter references, ``$(inputs.image.basename)``: evaluated here; anything more is JavaScript and refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, cast

from ..errors import InputError
from .types import Refused

_TOKEN = re.compile(r"\\(?=\\|\$[({])|\$\(|\$\{")
_SEGMENT = re.compile(r"\.(\w+)|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]|\[([0-9]+)\]")
_ROOT = re.compile(r"inputs|self|runtime")


def check(value: Any, where: str) -> None:
    """Refuse JavaScript in a string of a document.

    Raises
    ------
    Refused
        The message has the expression and where it stands.
    """
    if isinstance(value, str):
        for _ in _parts(value, where):
            pass


def evaluate(value: Any, scope: Mapping[str, Any], where: str = "") -> Any:
    """Return a string of a document with its parameter references resolved; other values stay.

    A string that is one reference gives the value itself; inside other text it becomes text.

    Raises
    ------
    InputError
        If a reference leads nowhere.
    Refused
        If the string holds JavaScript.
    """
    if not isinstance(value, str):
        return value
    found = [part if isinstance(part, str) else _Value(_resolve(part, scope, where)) for part in _parts(value, where)]
    if len(found) == 1 and isinstance(found[0], _Value):
        return found[0].value
    return "".join(part if isinstance(part, str) else text_of(part.value) for part in found)


class _Value:
    def __init__(self, value: Any) -> None:
        self.value = value


def text_of(value: Any) -> str:
    """Return a value as it stands on a command line or in text: numbers in decimals, mappings and lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f") if value == value and abs(value) != float("inf") else repr(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _parts(text: str, where: str) -> Iterator[str | list[str | int]]:
    """Yield the plain parts of a string, and its references as lists of segments."""
    plain, at = "", 0
    if not re.search(r"\$[({]", text):
        yield text
        return
    while token := _TOKEN.search(text, at):
        plain += text[at : token.start()]
        if token[0] == "\\":
            plain, at = plain + text[token.end()], token.end() + 1
            continue
        segments, end = _reference(text, token.end()) if token[0] == "$(" else ([], 0)
        if not segments:
            raise Refused(
                f"{where}: '{_shortened(text[token.start() :])}' is JavaScript, which is not run here; only parameter references "
                "such as $(inputs.name.basename) are; run the document with 'daisy cwl run'"
            )
        if plain:
            yield plain
        yield segments
        plain, at = "", end
    if plain + text[at:]:
        yield plain + text[at:]


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) < 80 else line[:77] + "..."


def _reference(text: str, at: int) -> tuple[list[str | int], int]:
    """Return the segments of the reference that begins here, and where it ends; no segments for anything else."""
    root = _ROOT.match(text, at)
    if root is None:
        return [], 0
    segments, at = cast("list[str | int]", [root[0]]), root.end()
    while found := _SEGMENT.match(text, at):
        name, single, double, index = found.groups()
        quoted = single if single is not None else double
        segments.append(
            int(index) if index is not None else name if name is not None else re.sub(r"\\(.)", r"\1", quoted)
        )
        at = found.end()
    return (segments, at + 1) if text[at : at + 1] == ")" else ([], 0)


def _resolve(segments: list[str | int], scope: Mapping[str, Any], where: str) -> Any:
    value: Any = scope
    for place, part in enumerate(segments):
        if part == "length" and place == len(segments) - 1 and isinstance(value, (list, str)):
            return len(cast("list[Any]", value))
        known = isinstance(value, Mapping) and part in value
        if known or (isinstance(value, list) and isinstance(part, int) and part < len(cast("list[Any]", value))):
            value = cast("Any", value)[part]
        else:
            path = ".".join(map(str, segments))
            raise InputError(f"{where}: the reference $({path}) leads nowhere: there is no '{part}'")
    return value
