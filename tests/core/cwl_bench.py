"""What the CWL tests share: the lab, its files, the runners, and nodes run by hand."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daisy_core import nexus, registry

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def scratch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let scratch folders, and the files that tools leave, be in a folder of the test."""
    from daisy_core.context import _temporary_folder  # pyright: ignore[reportPrivateUsage]

    (folder / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "scratch"))
    _temporary_folder.cache_clear()
    yield
    _temporary_folder.cache_clear()


def lab() -> Any:
    """The technique in one file."""
    return registry.load_file(Path(__file__).with_name("cwl_lab.py"))


def file(path: Path | str) -> dict[str, str]:
    """A CWL File."""
    return {"class": "File", "path": str(path)}


def make_data(folder: Path) -> None:
    """Frames, a mask, a curve and a note, with names that shells and URIs stumble over."""
    generator = np.random.default_rng(0)
    for index in range(4):
        np.save(folder / f"f {index}#ü.npy", generator.poisson(50, (5, 7)).astype(float))
    np.save(folder / "mask.npy", generator.random((5, 7)) > 0.8)
    for index in range(3):
        x = np.arange(6.0)
        np.savetxt(folder / f"c{index}.txt", np.column_stack((x, x + index, np.sqrt(x) * (index + 1))))
    (folder / "note.txt").write_text("hello", encoding="utf-8")


def need(program: str) -> None:
    """Skip where a runner is missing, but fail in CI."""
    extra = ROOT / ".venv-toil" / "bin"
    if program == "toil-cwl-runner" and extra.is_dir() and str(extra) not in os.environ["PATH"]:
        os.environ["PATH"] = f"{os.environ['PATH']}{os.pathsep}{extra}"
    own = Path(sys.executable).parent
    if shutil.which(program, path=f"{own}{os.pathsep}{os.environ['PATH']}") is None:
        reason = f"{program} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def validate(path: Path) -> list[str]:
    """Check a document as cwltool does, in this process; return its warnings."""
    need("cwltool")
    import logging
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cwltool.context import LoadingContext
        from cwltool.load_tool import load_tool
        from cwltool.workflow import default_make_tool

        said: list[str] = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
        logger = logging.getLogger("cwltool")
        logger.addHandler(handler)
        try:
            load_tool(str(path), LoadingContext({"construct_tool_object": default_make_tool, "strict": True}))
        finally:
            logger.removeHandler(handler)
    return said


def read_outputs(found: Mapping[str, Any]) -> dict[str, Any]:
    """The objects in the output files of a run, by output."""
    return {name: next(iter(nexus.read(value["path"]).values())) for name, value in found.items()}


def node(folder: Path, name: str, given: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Run one node as its tool does, and return what it wrote, by file."""
    from daisy_core.cwl.node import run_node

    (folder / "inputs.json").write_text(json.dumps(given), encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    try:
        run_node(name, Path("inputs.json"), **more)
    finally:
        os.chdir(before)
    return {path.stem: nexus.read(path) for path in sorted(folder.glob("*.nxs"))}
