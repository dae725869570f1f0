"""Templates: the words of a command with ``{names}`` in them, filled in word by word and never read by a shell."""

from __future__ import annotations

import shlex
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any, cast

from ..errors import ParameterError, WorkflowError
from ..identity import canonical

FILE_PARTS = ("name", "stem", "suffix", "parent")
"""What can be said of a file: ``{image.stem}``."""
MARK = "?"


@dataclass(frozen=True)
class Field:
    """One ``{name}`` of a template.

    Attributes
    ----------
    name, path
        ``{image.stem}`` is ``image`` and ``("stem",)``.
    spec : str
        The format of a number: ``{qmax:.3f}``.
    flag : str or None
        ``{verbose?--verbose}``: the text that stands here if the value is true.
    """

    name: str
    path: tuple[str, ...] = ()
    spec: str = ""
    flag: str | None = None

    def text(self, value: Any) -> str:
        """Return what stands for a value that is there."""
        if self.flag is not None:
            return self.flag
        for part in self.path:
            value = getattr(value, part)
        if isinstance(value, Enum):
            value = value.value
        if self.spec:
            try:
                return format(value, self.spec)
            except (ValueError, TypeError):
                raise ParameterError(f"'{self.name}' is {value!r}, which cannot be written as '{self.spec}'") from None
        if isinstance(value, (str, PurePath)):
            return str(value)
        return canonical(value)

    def is_absent(self, value: Any) -> bool:
        """True where the value leaves out the word that it stands in."""
        return value is None or (self.flag is not None and not value)


Part = str | Field
Word = tuple[Part, ...]


def parse(owner: str, text: str) -> Word:
    """Return the parts of a template.

    Raises
    ------
    WorkflowError
        If the braces do not match.
    """
    parts: list[Part] = []
    try:
        for literal, name, spec, conversion in string.Formatter().parse(text):
            if literal:
                parts.append(literal)
            if name is None:
                continue
            word, mark, flag = name.partition(MARK)
            if conversion is not None or not word or "[" in word:
                raise ValueError(f"'{{{name}}}' is not a name")
            if mark and spec:
                flag, spec = f"{flag}:{spec}", ""
            first, *path = word.split(".")
            parts.append(Field(first, tuple(path), spec or "", flag if mark else None))
    except ValueError as error:
        raise WorkflowError(
            f"{owner}: cannot understand '{text}': {error}; names stand in braces, a brace itself is written twice: {{{{ }}}}"
        ) from None
    return tuple(parts)


def fields(words: Sequence[Word]) -> Iterator[Field]:
    """Yield the fields of some words."""
    return (part for word in words for part in word if isinstance(part, Field))


def fill(words: Sequence[Word], values: Mapping[str, Any]) -> list[str]:
    """Return the words of a group with the values filled in.

    A group with a value that is absent (None, or a flag that is false) is left out; one with a sequence is repeated for
    each item.
    """
    used = list(fields(words))
    if any(field.is_absent(values[field.name]) for field in used):
        return []
    many = {
        field.name: cast("Sequence[Any]", values[field.name])
        for field in used
        if isinstance(values[field.name], (list, tuple)) and field.flag is None
    }
    lengths = {name: len(items) for name, items in many.items()}
    if len(set(lengths.values())) > 1:
        raise ParameterError(f"the sequences {', '.join(lengths)} stand together but differ in length: {lengths}")
    turns = range(next(iter(lengths.values()))) if lengths else range(1)
    return [
        _fill(word, {**values, **{name: items[turn] for name, items in many.items()}})
        for turn in turns
        for word in words
    ]


def _fill(word: Word, values: Mapping[str, Any]) -> str:
    return "".join(part if isinstance(part, str) else part.text(values[part.name]) for part in word)


def fill_shell(word: Word, values: Mapping[str, Any]) -> str:
    """Return a shell command with every value quoted; an absent value is nothing, a sequence several words."""

    def quoted(field: Field) -> str:
        value = values[field.name]
        if field.is_absent(value):
            return ""
        if field.flag is not None:
            return field.flag  # written by the author of the command, who may mean two words
        items = cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else [value]
        return " ".join(shlex.quote(field.text(item)) for item in items)

    return "".join(part if isinstance(part, str) else quoted(part) for part in word)


def check_unquoted(owner: str, word: Word) -> None:
    """Refuse a name inside quotes of a shell command, where the quotes of its value would end those around it.

    Raises
    ------
    WorkflowError
        Names the field.
    """
    inside, escaped = "", False
    for part in word:
        if isinstance(part, Field):
            if inside:
                raise WorkflowError(
                    f"{owner}: '{{{part.name}}}' stands inside quotes ({inside}) of the shell command; take them away: "
                    "values are quoted when they are filled in"
                )
            continue
        for letter in part:
            if escaped:
                escaped = False
            elif letter == "\\" and inside != "'":
                escaped = True
            elif letter == inside:
                inside = ""
            elif letter in "'\"" and not inside:
                inside = letter
