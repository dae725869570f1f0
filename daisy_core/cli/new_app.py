"""``daisy new app``: a working technique app to start from, outside this repository."""

from __future__ import annotations

import argparse
import keyword
import re
from importlib.resources import files
from pathlib import Path

from ..errors import DaisyError

_ROOMS = ("pyproject.toml", "README.md", "daisy_NAME/__init__.py", "daisy_NAME/manifest.py", "daisy_NAME/data.py", "daisy_NAME/io.py",
          "daisy_NAME/smoothing.py", "daisy_NAME/workflows.py", "daisy_NAME/simulate.py", "tests/test_NAME.py")  # fmt: skip


def new_command(arguments: argparse.Namespace) -> int:
    """Make the skeleton of a technique app.

    Raises
    ------
    DaisyError
        If the name cannot be one, or the folder exists.
    """
    name: str = arguments.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise DaisyError(
            f"'{name}' cannot name an app: use lower-case letters, digits and '_', beginning with a letter"
        )
    target = Path(arguments.folder) / f"daisy-{name}"
    if target.exists():
        raise DaisyError(f"{target} already exists")
    for room in _ROOMS:
        text = (
            files("daisy_core.cli").joinpath("skeleton", room.replace("/", "__") + ".txt").read_text(encoding="utf-8")
        )
        path = target / room.replace("NAME", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("NAME", name).replace("TITLE", name.capitalize()), encoding="utf-8")
    print(f"made {target}\n\n  pip install -e {target}\n  daisy list {name}\n  pytest {target}")
    return 0
