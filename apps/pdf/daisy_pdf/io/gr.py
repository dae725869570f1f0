"""The output files of the field, ``.gr``, ``.fq``, ``.sq`` and ``.iq``: a header that repeats the reduction, and columns."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import numpy as np

from daisy_core import File, InputError, algorithm, registry
from daisy_pdf.cfgfile import write_keys
from daisy_pdf.config import PDFConfig
from daisy_pdf.data import PairDistribution, PDFResult
from daisy_pdf.grid import Array
from daisy_pdf.textfile import write_text

from .columns import check_axis, read_columns
from .headers import read_header


@algorithm(version="1", reads=PairDistribution)
def read_gr(path: File) -> PairDistribution:
    """Read G(r) from a ``.gr`` file.

    Parameters
    ----------
    path : path
        Columns r, G; or r, G, dG; or r, G, dr, dG as PDFgetX2, PDFgetN and we write them. Its configuration is read with
        :func:`read_config`.

    Returns
    -------
    PairDistribution
        r in Å, G in 1/Å²; ``sigma`` where the file has dG.

    Raises
    ------
    InputError
        If the file holds no G(r).
    """
    columns = read_columns(path)
    header = read_header(columns.header)
    if header.function not in (None, "G") or header.dataformat:
        raise InputError(f"{path} does not hold G(r); its columns are labelled otherwise")
    check_axis(columns, str(path), "r")
    numbers = columns.numbers
    sigma = numbers[:, min(numbers.shape[1], 4) - 1].copy() if numbers.shape[1] > 2 else None
    if sigma is not None and not sigma.any():
        sigma = None
    return PairDistribution(numbers[:, 0].copy(), numbers[:, 1].copy(), sigma)


def read_config(path: str | os.PathLike[str], *, section: str | None = None) -> PDFConfig:
    """Read a configuration from a ``.cfg`` file or the header of an output file; see :meth:`PDFConfig.from_cfg`."""
    return PDFConfig.from_cfg(path, section)


def write_gr(result: PDFResult, path: str | os.PathLike[str]) -> Path:
    """Write G(r) with the configuration that gave it.

    Parameters
    ----------
    result : PDFResult
        A reduction.
    path : path
        Where to write; an existing file is replaced in one step.

    Returns
    -------
    Path
        The file written. Columns r and G, and where there is an uncertainty dr (zero) and dG, the order that diffpy reads;
        it takes dG only if all are positive, so let r start above zero (``rmin``) for it.
    """
    gr = result.gr
    if gr.sigma is None:
        return _write(result, path, "gr", "r(Å)  G(Å$^{-2}$)", gr.r, gr.g)
    return _write(
        result, path, "gr", "r(Å)  G(Å$^{-2}$)  dr(Å)  dG(Å$^{-2}$)", gr.r, gr.g, np.zeros_like(gr.r), gr.sigma
    )


def write_fq(result: PDFResult, path: str | os.PathLike[str]) -> Path:
    """Write F(Q), from qmin to qmax; see :func:`write_gr`."""
    return _write(result, path, "fq", "Q(Å$^{-1}$)  F(Å$^{-1}$)", result.fq.q, result.fq.f)


def write_sq(result: PDFResult, path: str | os.PathLike[str]) -> Path:
    """Write S(Q), from qmin to qmax; see :func:`write_gr`."""
    return _write(result, path, "sq", "Q(Å$^{-1}$)  S(1)", result.sq.q, result.sq.s)


def write_iq(result: PDFResult, path: str | os.PathLike[str]) -> Path:
    """Write the background-subtracted intensity, from qmin to qmaxinst, with its uncertainty; see :func:`write_gr`."""
    iq = result.iq
    errors = () if iq.sigma is None else (iq.sigma,)
    return _write(
        result, path, "iq", "Q(Å$^{-1}$)  I(counts)" + ("  dI(counts)" if errors else ""), iq.q, iq.i, *errors
    )


def _write(result: PDFResult, path: str | os.PathLike[str], kind: str, labels: str, *columns: Array) -> Path:
    rows = "\n".join(" ".join(f"{value:.12g}" for value in row) for row in np.column_stack(columns).tolist())
    return write_text(path, f"{_header(result, kind)}\n#### start data\n#S 1\n#L {labels}\n{rows}\n")


def _header(result: PDFResult, kind: str) -> str:
    """Return ``[DEFAULT]`` with what a reduction needs, and ``[daisy]`` with what it gave."""
    ours = {
        "program": f"daisy-suite {_version()}",
        "engine": result.engine,
        "absolute": result.absolute,
        "scale": result.scale,
        "sample": result.sources[0] if result.sources else "",
        "backgrounds": ", ".join(result.sources[1:]),
    }
    ours |= {f"warning{number}": text for number, text in enumerate(result.warnings, 1)}
    files = {"outputtype": kind, "inputfile": ours["sample"], "backgroundfile": " ".join(result.sources[1:])}
    lines = {key: " ".join(value.split()) if isinstance(value, str) else value for key, value in (files | ours).items()}
    default = write_keys(result.config.model_dump() | {key: lines.pop(key) for key in files})
    return default + "\n" + write_keys(lines, "daisy") + "\n# End of config"


def _version() -> str:
    try:
        return metadata.version("daisy-suite")
    except metadata.PackageNotFoundError:
        return "(not installed)"


registry.register_writer(PDFResult, ".gr", write_gr)
registry.register_writer(PDFResult, ".fq", write_fq)
registry.register_writer(PDFResult, ".sq", write_sq)
registry.register_writer(PDFResult, ".iq", write_iq)
