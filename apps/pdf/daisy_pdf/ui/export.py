"""What leaves the page: files of exactly what is shown, and runs that are kept."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from daisy_core import Algorithm, nexus
from daisy_core.params import to_json
from daisy_core.recorder import describe_input, versions

from ..data import Geometry, PDFResult
from ..geometry import write_poni
from ..io import write_gr


def gr_bytes(result: PDFResult) -> bytes:
    """Return the ``.gr`` file of a result."""
    return _written("out.gr", lambda path: write_gr(result, path))


def nexus_bytes(
    result: PDFResult, workflow: Algorithm[..., Any], inputs: Mapping[str, Any], params: Mapping[str, Any]
) -> bytes:
    """Return the NeXus file of a result, with workflow, inputs and parameters as its provenance."""
    provenance = {
        "workflow": workflow.name,
        "version": workflow.version,
        "inputs": {name: describe_input(value) for name, value in inputs.items()},
        "params": {name: to_json(value) for name, value in params.items()},
        "versions": versions(workflow),
    }
    return _written("out.nxs", lambda path: nexus.write(path, {"result": result}, provenance))


def _written(name: str, write: Callable[[Path], Any]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="daisy-") as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def geometry_file(geometry: Geometry, folder: Path) -> Path:
    """Write a geometry that was typed on the page to a PONI file, named after its content, for a run to read."""
    folder.mkdir(parents=True, exist_ok=True)
    content = repr(dataclasses.astuple(cast("Any", geometry))).encode()
    path = folder / f"geometry-{hashlib.sha256(content).hexdigest()[:12]}.poni"
    if not path.exists():
        write_poni(geometry, path)
    return path
