"""Powder patterns in text files: ``.chi``, ``.xy``, ``.xye``, ``.dat``, ``.iq``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np

from daisy_core import File, InputError, Param, algorithm
from daisy_pdf.checks import check_q_range
from daisy_pdf.config import DataFormat
from daisy_pdf.data import Pattern
from daisy_pdf.grid import Array

from .columns import Columns, check_axis, read_columns
from .headers import Header, read_header

_CUT = "{}: the file ends in the middle of its last line, whose number may be cut; was the copy interrupted?"
_FUNCTIONS = {"G": "G(r)", "g": "g(r)", "R": "R(r)", "S": "S(Q)", "F": "F(Q)"}


@algorithm(version="1", reads=Pattern)
def read_pattern(
    path: File,
    *,
    dataformat: Annotated[
        DataFormat | None,
        Param(
            "Data format", help="First column: 2theta in degrees, Q in 1/Å or Q in 1/nm. Empty: what the header says."
        ),
    ] = None,
    wavelength: Annotated[float | None, Param("Wavelength", unit="Å", gt=0, help="Needed for 2theta.")] = None,
    twothetazero: Annotated[
        float, Param("2theta zero", unit="deg", help="2theta of the direct beam in the file.")
    ] = 0.0,
) -> Pattern:
    """Read a powder pattern from a text file.

    The longest block of rows with the same number of columns is the pattern: the axis, the intensity and, where there are
    three or more, its standard uncertainty. The header is understood where fit2d, pyFAI, SrXgui or PDFgetX3 wrote it.

    Parameters
    ----------
    path : path
        The file.
    dataformat : {'twotheta', 'QA', 'Qnm'}, optional
        What the axis is: 2theta in degrees, Q in 1/Å, Q in 1/nm. By default what the header says; a header that is silent
        is never guessed at.
    wavelength : float, optional
        Å. Needed for 2theta where the header does not have it; for 2theta this value is used rather than the header's.
    twothetazero : float
        2theta in degrees that the file gives to the direct beam: Q comes from ``2theta - twothetazero``.

    Returns
    -------
    Pattern
        Q in 1/Å; ``warnings`` tell what was put right.

    Raises
    ------
    InputError
        If the file cannot be read as a pattern: missing, binary, one column, NaN, an axis that does not increase, all
        intensities zero, fewer points than announced, a unit that is unknown or contradicts the header, a Q range that no instrument has.

    Examples
    --------
    >>> import tempfile, os
    >>> file = os.path.join(tempfile.mkdtemp(), "a.xy")
    >>> np.savetxt(file, np.column_stack((np.arange(0.5, 20, 0.1), np.ones(195))))
    >>> read_pattern(file, dataformat="QA").q[:2]
    array([0.5, 0.6])
    """
    path = Path(path)
    name = path.name
    columns = read_columns(path)
    header = read_header(columns.header)
    if header.function:
        raise InputError(f"{path} holds {_FUNCTIONS[header.function]}, not intensities; give the measured pattern")
    check_axis(columns, str(path), "the first column")
    _refuse_missing_rows(columns, path)
    if len(columns.numbers) < 10:
        raise InputError(f"{path} has only {len(columns.numbers)} points; a pattern has hundreds")
    x, intensity = columns.numbers[:, 0].copy(), columns.numbers[:, 1].copy()
    if not intensity.any():
        raise InputError(f"{path}: all intensities are zero")
    if np.any(x < 0):
        raise InputError(f"{path}: the first column starts at {x[0]:g}; Q or 2theta cannot be negative")
    kind = _dataformat(header, dataformat, path)
    notes = [_CUT.format(name)] if columns.cut else []
    if kind == "twotheta":
        known = _wavelength_of_angles(header, wavelength, path, notes)
        q = _q_from_angles(x, known, twothetazero, path)
    else:
        q = x / 10 if kind == "Qnm" else x
        known = _wavelength_of_q(header, wavelength, float(q[-1]), name, notes)
    check_q_range(float(q[np.flatnonzero(intensity)[-1]]), str(path))
    sigma = _sigma(columns.numbers, path, notes)
    return Pattern(q, intensity, sigma, known, source=name, warnings=tuple(notes))


def _refuse_missing_rows(columns: Columns, path: Path) -> None:
    """Compare with the number of points that fit2d writes alone in the line above them."""
    last = columns.header[-1] if columns.header else ""
    if last.isdecimal() and int(last) > len(columns.numbers):
        raise InputError(
            f"{path}: the header announces {int(last)} points but {len(columns.numbers)} are there; the file is cut short: "
            "copy it again"
        )


def _dataformat(header: Header, asked: DataFormat | None, path: Path) -> str:
    """Bring the header and the option together; never choose between them."""
    if header.dataformat == "radians":
        raise InputError(f"{path}: the axis is 2theta in radians; integrate again with 2theta in degrees or Q")
    if asked is None and header.dataformat is None:
        raise InputError(
            f"{path} does not say what its first column is; pass dataformat: 'twotheta' (degrees, with wavelength), "
            "'QA' (Q in 1/Å) or 'Qnm' (Q in 1/nm)"
        )
    if asked is not None and header.dataformat not in (None, asked):
        raise InputError(
            f"{path}: dataformat = {asked} was given, but the header says {header.dataformat}; leave dataformat out, or "
            "correct the header if it is wrong"
        )
    return asked or str(header.dataformat)


def _wavelength_of_angles(header: Header, asked: float | None, path: Path, notes: list[str]) -> float:
    known = asked or header.wavelength
    if known is None:
        raise InputError(f"{path} is in 2theta; pass the wavelength in Å (wavelength)")
    if asked and header.wavelength and abs(asked / header.wavelength - 1) > 1e-3:
        notes.append(
            f"{path.name}: the header has the wavelength {header.wavelength:.6g} Å; {asked:.6g} Å was used as given"
        )
    return known


def _wavelength_of_q(header: Header, asked: float | None, last: float, name: str, notes: list[str]) -> float | None:
    """Keep a wavelength for data in Q only if it is possible: front ends leave defaults such as 0.1 behind."""
    if asked and header.wavelength and abs(asked / header.wavelength - 1) > 1e-3:
        notes.append(
            f"{name}: the wavelength {asked:.6g} Å was not used: the data are in Q and the header has {header.wavelength:.6g} Å"
        )
    known = header.wavelength or asked
    if known and last * known > 4 * np.pi:
        notes.append(
            f"{name}: no wavelength of {known:.6g} Å can reach Q = {last:.4g} 1/Å; it was left out (the data are in Q)"
        )
        return None
    return known


def _q_from_angles(twotheta: Array, wavelength: float, zero: float, path: Path) -> Array:
    angle = twotheta - zero
    if angle[-1] > 180:
        raise InputError(
            f"{path}: 2theta runs to {angle[-1]:.5g} degrees; the axis is probably Q in 1/nm (dataformat Qnm)"
        )
    if angle[0] < 0:
        raise InputError(f"{path}: twothetazero = {zero:g} makes the first 2theta negative ({angle[0]:.4g} degrees)")
    return 4 * np.pi / wavelength * np.sin(np.radians(angle) / 2)


def _sigma(numbers: Array, path: Path, notes: list[str]) -> Array | None:
    if numbers.shape[1] < 3:
        return None
    sigma = numbers[:, 2].copy()
    if np.any(sigma < 0):
        raise InputError(
            f"{path}: the third column has negative numbers, so it is no uncertainty; keep axis, intensity, sigma"
        )
    if not sigma.any():
        notes.append(f"{path.name}: the uncertainties are all zero; they were left out")
        return None
    return sigma
