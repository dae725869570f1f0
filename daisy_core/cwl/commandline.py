"""The command line of a CommandLineTool: bindings collected, sorted and turned into words; no shell is involved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from .references import evaluate, text_of

Key = tuple[tuple[int, Any], ...]


def command_line(
    document: Mapping[str, Any], inputs: Mapping[str, Any], scope: Mapping[str, Any], where: str
) -> list[str]:
    """Return the words of the command.

    Parameters
    ----------
    document : mapping
        A CommandLineTool, normalised.
    inputs : mapping
        Its inputs, files as CWL File objects.
    scope : mapping
        What parameter references can name.
    where : str
        The tool, for messages.
    """
    words: list[tuple[Key, list[str]]] = []
    for index, argument in enumerate(document.get("arguments", ())):
        binding = argument if isinstance(argument, Mapping) else {"valueFrom": argument}
        value = evaluate(binding.get("valueFrom"), scope, where)
        key = (*_key(_position(binding, {**scope, "self": value}, where)), *_key(index))
        words.append((key, _words(binding, value)))
    for item in document["inputs"]:
        words += _collect(
            item["type"], item.get("inputBinding"), inputs.get(item["id"]), (), _key(item["id"]), scope, where
        )
    base = document.get("baseCommand", [])
    found = [base] if isinstance(base, str) else list(base)
    for _, more in sorted(words, key=lambda item: item[0]):
        found += more
    return found


def _key(part: Any) -> Key:
    return ((0, part),) if isinstance(part, (int, float)) else ((1, str(part)),)


def _position(binding: Mapping[str, Any], scope: Mapping[str, Any], where: str) -> int:
    value = evaluate(binding.get("position", 0), scope, where)
    return 0 if value is None else int(value)


def _collect(kind: Any, binding: Mapping[str, Any] | None, value: Any, lead: Key, tail: Key, scope: Mapping[str, Any],
             where: str) -> Iterator[tuple[Key, list[str]]]:  # fmt: skip
    """Yield the words of one input, those of the items of an array included, each with the key that sorts it.

    The key has the position at each level that has a binding, followed by the name or the index.
    """
    if value is None:
        return
    own = {**scope, "self": value}
    key = () if binding is None else (*lead, *_key(_position(binding, own, where)), *tail)
    array = _array_type(kind, value)
    given = binding is not None and binding.get("valueFrom") is not None
    if given or array is None or (binding is not None and "itemSeparator" in binding):
        if binding is not None:
            yield key, _words(binding, evaluate(binding["valueFrom"], own, where) if given else value)
        return
    items = cast("list[Any]", value)
    inner = array.get("inputBinding")
    if binding is not None and binding.get("prefix") and items:
        yield key, [binding["prefix"]]
    for index, item in enumerate(items):
        bound = inner if inner is not None else ({} if binding is not None else None)
        at = (key, _key(index)) if binding is not None else ((*lead, *_key(index)), tail)
        yield from _collect(array["items"], bound, item, *at, scope, where)


def _array_type(kind: Any, value: Any) -> Mapping[str, Any] | None:
    if not isinstance(value, list):
        return None
    choices = cast("list[Any]", kind) if isinstance(kind, list) else [kind]
    found = [item for item in choices if isinstance(item, Mapping) and item["type"] == "array"]
    return cast("Mapping[str, Any]", found[0]) if found else {"type": "array", "items": "Any"}


def _words(binding: Mapping[str, Any], value: Any) -> list[str]:
    prefix = binding.get("prefix")
    if value is None or value is False:
        return []
    if value is True:
        return [prefix] if prefix else []
    if isinstance(value, list):
        items = [_text(item) for item in cast("Sequence[Any]", value)]
        if not items:
            return []
        if "itemSeparator" not in binding:
            return [*([prefix] if prefix else []), *items]
        text = binding["itemSeparator"].join(items)
    else:
        text = _text(value)
    if not prefix:
        return [text]
    return [prefix, text] if binding.get("separate", True) else [prefix + text]


def _text(value: Any) -> str:
    return str(value["path"]) if isinstance(value, Mapping) and "path" in value else text_of(value)
