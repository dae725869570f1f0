"""CWL documents as text: a small writer of plain YAML, and the reader of YAML 1.2 that others write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..errors import DaisyError, InputError

_PLAIN = re.compile(r"[A-Za-z_][\w./+-]*\Z", re.ASCII)
_TYPE = re.compile(r"[A-Za-z]+(\[\])?\?\Z|[A-Za-z]+\[\]\Z", re.ASCII)
"""The short form of a CWL type, which needs no quotes where it stands alone."""
_NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_ESCAPED = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_BLOCK = re.compile(r"[\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\n]+\Z")


def to_yaml(content: Any) -> str:
    """Return JSON data as YAML that readers of YAML 1.1 and 1.2 understand alike.

    Examples
    --------
    >>> print(to_yaml({"class": "Workflow", "inputs": {"x": ["null", 1e-5]}}), end="")
    class: Workflow
    inputs:
      x: ["null", 1.0e-05]
    """
    return "\n".join(_lines(content, "")) + "\n"


def _lines(value: Any, indent: str) -> list[str]:
    """Return the lines of a mapping or of a list of mappings."""
    lines: list[str] = []
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            lines += _entry(f"{indent}{_scalar(key)}:", item, indent)
        return lines
    for item in value:
        inner = _lines(item, indent + "  ") if _is_block(item) else [f"{indent}  {_flow(item)}"]
        lines += [f"{indent}- {inner[0].lstrip()}", *inner[1:]]
    return lines


def _entry(key: str, item: Any, indent: str) -> list[str]:
    if _is_block(item):
        return [key, *_lines(item, indent + "  ")]
    if isinstance(item, str) and "\n" in item and item[0] not in " \n" and item[-1] != "\n" and _BLOCK.match(item):
        return [f"{key} |-", *(f"{indent}  {line}".rstrip() for line in item.split("\n"))]
    plain = isinstance(item, str) and _TYPE.match(item)
    return [f"{key} {item if plain else _flow(item)}"]


def _is_block(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, list) and any(isinstance(item, Mapping) and item for item in cast("list[Any]", value))


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(item) for item in cast("list[Any]", value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value if _PLAIN.match(value) and value.lower() not in _NOT_TEXT else _quoted(value)
    if isinstance(value, float):
        mantissa, exponent, power = json.dumps(value, allow_nan=False).partition("e")
        return f"{mantissa}{'' if '.' in mantissa else '.0'}{exponent}{power}"  # YAML 1.1 wants the point
    return json.dumps(value)


def _quoted(text: str) -> str:
    """Return text in double quotes; line separators and control characters as escapes, which no YAML reader folds."""
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def read_yaml(path: Path) -> Any:
    """Read a YAML 1.2 or JSON file.

    Raises
    ------
    InputError
        If there is no such file, or it is not YAML.
    DaisyError
        If ruamel.yaml, which comes with the extra ``cwl``, is missing.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """Return the content of YAML text; a date stays text."""
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.constructor import SafeConstructor
        from ruamel.yaml.error import YAMLError
    except ImportError:
        raise DaisyError('reading CWL files needs ruamel.yaml: pip install "daisy-suite[cwl]"') from None

    class Constructor(SafeConstructor):
        pass

    Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)
    reader: Any = YAML(typ="safe", pure=True)
    reader.Constructor = Constructor
    try:
        return reader.load(text)
    except (YAMLError, ValueError) as error:
        raise InputError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
