"""Who declares what: apps by entry point, algorithms by name, readers by data type, plug-ins by file."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .errors import DaisyError

if TYPE_CHECKING:
    from .algorithm import Algorithm

_ALGORITHMS: dict[str, Algorithm[..., Any]] = {}
_READERS: dict[Any, Algorithm[..., Any]] = {}
_FILES: list[Path] = []
_WRITERS: dict[str, dict[str, Callable[[Any, Path], Any]]] = {}


@dataclass(frozen=True)
class App:
    """The light manifest of a technique app: it imports nothing heavy.

    Parameters
    ----------
    name : str
        Short name: ``pdf``; algorithms are called ``pdf.<function>``.
    title : str
        For people: ``"Total scattering (PDF)"``.
    modules : tuple of str
        Modules whose import declares the algorithms, workflows and data types.
    extra : str
        The extra of the distribution that brings its dependencies.
    requires : tuple of str
        Import names that must be there; looked for without importing them.
    ui : str, optional
        Module of the Streamlit page.
    """

    name: str
    title: str
    modules: tuple[str, ...]
    extra: str = ""
    requires: tuple[str, ...] = ()
    ui: str | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Required packages that are not installed."""
        return tuple(name for name in self.requires if importlib.util.find_spec(name) is None)

    @property
    def install_line(self) -> str:
        """The command that installs what is missing."""
        return f'pip install "daisy-suite[{self.extra}]"' if self.extra else f"pip install {' '.join(self.missing)}"


def register(algorithm: Algorithm[..., Any]) -> None:
    """Enter an algorithm under its name.

    Raises
    ------
    DaisyError
        If another module already declares the name.
    """
    known = _ALGORITHMS.get(algorithm.name)
    if known is not None and known.function.__module__ != algorithm.function.__module__:
        raise DaisyError(
            f"algorithm '{algorithm.name}' is declared by both {known.function.__module__} and "
            f"{algorithm.function.__module__}; give one of them another name: @algorithm(name=...)"
        )
    _ALGORITHMS[algorithm.name] = algorithm
    if algorithm.reads is not None:
        _READERS[_type_key(algorithm.reads)] = algorithm


@functools.cache
def apps() -> dict[str, App]:
    """Return the manifests of all installed apps by name, plug-in folders of ``DAISY_PLUGINS`` included."""
    found: dict[str, App] = {}
    for point in entry_points(group="daisy.apps"):
        app = point.load()
        if not isinstance(app, App):
            raise DaisyError(f"entry point daisy.apps '{point.name}' ({point.value}) is not a daisy_core.App")
        found[app.name] = app
    for path in _plugin_files():
        if path.stem in found:
            raise DaisyError(
                f"plug-in {path} has the name of another app, '{path.stem}' ({found[path.stem].title}); rename the file"
            )
        found[path.stem] = App(path.stem, f"plug-in {path}", (str(path),))
    return found


def _plugin_files() -> list[Path]:
    folders = [Path(item) for item in os.environ.get("DAISY_PLUGINS", "").split(os.pathsep) if item]
    for folder in folders:
        if not folder.is_dir():
            raise DaisyError(f"DAISY_PLUGINS names {folder}, which is not a folder")
    return [path for folder in folders for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")]


def load_app(name: str) -> App | None:
    """Import the modules of an app, so that its algorithms and data types are known; None if there is no such app."""
    if name == "core":
        for own in ("daisy_core.io", "daisy_core.reading", "daisy_core.cwl.files"):
            importlib.import_module(own)
    app = apps().get(name)
    for module in app.modules if app else ():
        load_file(Path(module)) if module.endswith(".py") else importlib.import_module(module)
    return app


def load_file(path: Path) -> ModuleType:
    """Import a Python file that is no package: its algorithms are called ``<file name>.<function>``.

    Raises
    ------
    DaisyError
        If the file does not exist or its code does not run.
    """
    name = path.stem
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path.resolve()):
        return known
    if known is not None or not path.is_file():
        reason = f"a module '{name}' already exists: rename the file" if known is not None else "no such file"
        raise DaisyError(f"cannot load {path}: {reason}")
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except DaisyError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        raise DaisyError(f"{path} does not run: {type(error).__name__}: {error}") from error
    _FILES.append(path.resolve())
    return module


def find(name: str) -> Algorithm[..., Any]:
    """Return an algorithm or workflow by name (``pdf.reduce``) or by file.

    A file is Python (``my.py:func``), a workflow (``my.json``), a script's declaration (``tool.toml``) or CWL (``tool.cwl``,
    ``flow.cwl#step``).

    Raises
    ------
    DaisyError
        If there is none; the message suggests near names.
    """
    if name.endswith(".json"):
        from .workflow import Workflow

        return Workflow.from_json(_read_text(Path(name)))
    if name.endswith(".toml"):
        from .script import from_toml

        return from_toml(name)
    if name.endswith(".cwl") or ".cwl#" in name:
        from .cwl import importer

        return importer.find(name)
    file, colon, function = name.rpartition(":")
    if colon and file.endswith(".py"):
        module = load_file(Path(file))
        found = getattr(module, function, None)
        if found is None or not hasattr(found, "check_params"):
            names = [item.node_name for item in _ALGORITHMS.values() if item.function.__module__ == module.__name__]
            raise DaisyError(f"{file} has no algorithm '{function}'; it declares: {', '.join(names) or 'none'}")
        return found
    app = None
    if name not in _ALGORITHMS:
        app = load_app(name.partition(".")[0])
    if name not in _ALGORITHMS:
        if app is None:
            raise DaisyError(f"unknown algorithm '{name}'{suggest(name, all_names())}; 'daisy list' shows all")
        raise DaisyError(f"app '{app.name}' has no algorithm '{name}'{suggest(name, all_names())}")
    return _ALGORITHMS[name]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DaisyError(f"cannot read workflow file {path}: {error.strerror}") from error


def origin(algorithm: Algorithm[..., Any]) -> dict[str, Any] | None:
    """Return what another process needs to find an algorithm again that no installed app declares; None for the others.

    That is the file that was loaded (``file``), or the graph of a workflow without a Python function (``graph``).
    """
    from .workflow import Workflow

    if isinstance(algorithm, Workflow) and algorithm.is_from_json:
        return {"graph": json.loads(algorithm.to_json())}
    file = getattr(sys.modules.get(algorithm.function.__module__), "__file__", None)
    return {"file": file} if file is not None and Path(file) in _FILES else None


def restore(name: str, where: Mapping[str, Any] | None) -> Algorithm[..., Any]:
    """Return an algorithm by its name and :func:`origin`.

    Raises
    ------
    DaisyError
        If it is not there any more.
    """
    if where is not None and "graph" in where:
        from .workflow import Workflow

        return Workflow.from_json(where["graph"])
    if where is not None and "file" in where:
        load_file(Path(where["file"]))
    return find(name)


def unpickle(name: str, module: str, node_name: str) -> Algorithm[..., Any]:
    """Return an algorithm by its registry name when it is unpickled, importing its module if needed."""
    if name not in _ALGORITHMS:
        importlib.import_module(module)
    found = _ALGORITHMS[name]
    return found if found.node_name == node_name else found.named(node_name)


def known() -> list[Algorithm[..., Any]]:
    """Return the algorithms and workflows declared so far in this process."""
    return list(_ALGORITHMS.values())


def loaded_files() -> list[Path]:
    """Return the Python files that were loaded by :func:`load_file`, in order: worker processes load them too."""
    return list(_FILES)


def all_names() -> list[str]:
    """Return the names of all algorithms and workflows of all installed apps that can be loaded."""
    for name in apps():
        with contextlib.suppress(DaisyError, ImportError):
            load_app(name)
    return sorted(_ALGORITHMS)


def algorithms(app: str) -> list[Algorithm[..., Any]]:
    """Return the algorithms and workflows of one app."""
    load_app(app)
    return [item for name, item in sorted(_ALGORITHMS.items()) if name.startswith(f"{app}.")]


def reader(annotation: Any) -> Algorithm[..., Any] | None:
    """Return the reader declared for a data type, or for an annotated array such as ``Frame``; None without one."""
    importlib.import_module("daisy_core.io")
    key = _type_key(annotation)
    if isinstance(key, str):
        load_app(key.partition(".")[0])
    return _READERS.get(key)


def _type_key(annotation: Any) -> Any:
    """Return what identifies a type: the name of a data type, else the annotation itself without ``| None``."""
    from .datatypes import describe, is_data, strip_optional

    declared = describe(annotation).type
    return str(declared.__daisy_type__) if is_data(declared) else strip_optional(annotation)[0]


def register_writer(annotation: Any, suffix: str, function: Callable[[Any, Path], Any]) -> None:
    """Say how a data type is written to files with a suffix."""
    from .signature import type_name

    _WRITERS.setdefault(type_name(annotation), {})[suffix] = function


def writer_suffixes(annotation: Any) -> list[str]:
    """Return the suffixes of the files that a data type can be written to, beside NeXus."""
    from .signature import type_name

    return list(_WRITERS.get(type_name(annotation), {}))


def writer(annotation: Any, suffix: str) -> Callable[[Any, Path], Any]:
    """Return the function that writes a data type to files with a suffix."""
    from .signature import type_name

    return _WRITERS[type_name(annotation)][suffix]


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
