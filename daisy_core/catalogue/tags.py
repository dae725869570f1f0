"""Tags: names that people give to runs, kept in the run folder as ``tags.json``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ..errors import ParameterError, RunError
from ..runs import write_json
from .lock import folder_lock

LONGEST = 64


def read_tags(folder: Path) -> tuple[str, ...]:
    """Return the tags of a run folder, sorted; none where there is no readable ``tags.json``."""
    try:
        found = json.loads((folder / "tags.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return tuple(sorted({item for item in found if isinstance(item, str)})) if isinstance(found, list) else ()


def add_tag(folder: Path, name: str) -> tuple[str, ...]:
    """Tag a run and return all its tags.

    Raises
    ------
    ParameterError
        If the name cannot be a tag.
    RunError
        If the folder cannot be written.
    """
    if not name.strip() or not name.isprintable() or len(name) > LONGEST:
        raise ParameterError(f"{name!r} cannot be a tag: give up to {LONGEST} printable characters")
    return _change(folder, lambda tags: tags | {name.strip()})


def remove_tag(folder: Path, name: str) -> tuple[str, ...]:
    """Take a tag off a run and return those that are left.

    Raises
    ------
    ParameterError
        If the run has no such tag.
    RunError
        If the folder cannot be written.
    """

    def without(tags: set[str]) -> set[str]:
        if name not in tags:
            known = f"it has: {', '.join(sorted(tags))}" if tags else "it has none"
            raise ParameterError(f"run {folder.name} has no tag '{name}'; {known}")
        return tags - {name}

    return _change(folder, without)


def _change(folder: Path, how: Callable[[set[str]], set[str]]) -> tuple[str, ...]:
    try:
        with folder_lock(folder):
            tags = sorted(how(set(read_tags(folder))))
            write_json(folder / "tags.json", tags)
    except OSError as error:
        raise RunError(f"cannot write the tags of {folder}: {error.strerror}") from error
    return tuple(tags)
