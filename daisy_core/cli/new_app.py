"""``daisy new app``: a working technique app to start from, outside this repository."""

from __future__ import annotations

import argparse
import importlib.util
import keyword
import re
from importlib.resources import files
from pathlib import Path

from .. import registry
from ..errors import DaisyError

_ROOMS = ("pyproject.toml", "README.md", "daisy_NAME/__init__.py", "daisy_NAME/manifest.py", "daisy_NAME/data.py", "daisy_NAME/io.py",
          "daisy_NAME/smoothing.py", "daisy_NAME/workflows.py", "daisy_NAME/simulate.py", "tests/test_NAME.py")  # fmt: skip


def new_command(arguments: argparse.Namespace) -> int:
    """Make the skeleton of a technique app.

    Raises
    ------
    DaisyError
        If the name cannot be one or is taken, or the folder exists or cannot be written.
    """
    name: str = arguments.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise DaisyError(
            f"'{name}' cannot name an app: use lower-case letters, digits and '_', beginning with a letter"
        )
    _refuse_taken(name)
    target = Path(arguments.folder) / f"daisy-{name}"
    if target.exists():
        raise DaisyError(f"{target} already exists")
    try:
        _write(target, name)
    except OSError as error:
        raise DaisyError(f"cannot make {target}: {error.strerror}; choose another place with --folder") from error
    print(f"made {target}\n\n  pip install -e {target}\n  daisy list {name}\n  pytest {target}")
    return 0


def _refuse_taken(name: str) -> None:
    """Refuse the name of an installed app, or of a package that it would be confused with."""
    if name in registry.apps():
        raise DaisyError(f"there is an app '{name}' already ('daisy list {name}'); choose another name")
    for package in (name, f"daisy_{name}"):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:  # a mere folder has no origin
            raise DaisyError(f"'{name}' cannot name an app: the Python package {package} exists; choose another name")


def _write(target: Path, name: str) -> None:
    for room in _ROOMS:
        text = (
            files("daisy_core.cli").joinpath("skeleton", room.replace("/", "__") + ".txt").read_text(encoding="utf-8")
        )
        path = target / room.replace("NAME", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("NAME", name).replace("TITLE", name.capitalize()), encoding="utf-8")
