"""What the header of a pattern says: the unit of its first column, the wavelength, and what the curve is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from daisy_pdf.config import DataFormat

# Labels count only at the start of a line: a path or a title may hold any word.
_START = r"^[\s#!%;\"']*(?:L\s+|(?:columns?|axis|x|unit)\W+)?"
_ANGSTROM = r"(?:\$?\\AA|Å|Angstroms?|A\b)"
_FORMATS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(_START + label, re.IGNORECASE))
    for name, label in (
        ("radians", r"2th_rad\b"),
        ("twotheta", r"(?:2th_deg|2\s*-?\s*theta|two[\s-]?theta|tth|2θ)\b"),
        ("Qnm", r"q(?:_nm\^?-1|\b.{0,4}(?:inverse\s+nanomet|1\s*/\s*nm|nm\s*\$?\^?\{?-1))"),
        ("QA", rf"q(?:_A\^?-1|\b.{{0,4}}(?:inverse\s+[åa]ngstr|1\s*/\s*{_ANGSTROM}|{_ANGSTROM}\s*\$?\^?\{{?-1))"),
    )
)
_SPACE = re.compile(r"^\W*integrationspace\s*=\s*(\w+)", re.I)
_NOT_A_PATTERN = re.compile(r"#\s*L\s.*?\b([GSFgR])\s*\(")
_WAVELENGTH = re.compile(
    r"\b(?:wavelength|lambda)\b\s*(?:[(\[](nm|m|Å|A)[)\]])?\W{1,4}([0-9.]+(?:e[+-]?\d+)?)\s*(nm\b|m\b|Å|A\b)?",
    re.IGNORECASE,
)
_IN_ANGSTROM = {"nm": 10.0, "m": 1e10}


class Header(NamedTuple):
    """What a header told; None where it is silent."""

    dataformat: DataFormat | str | None
    wavelength: float | None
    function: str | None


def read_header(lines: Sequence[str]) -> Header:
    """Understand the header of fit2d, pyFAI, SrXgui, PDFgetX3 and plain column files.

    Parameters
    ----------
    lines : sequence of str
        The lines above the numbers. What stands nearest to the numbers counts, for it labels the columns.

    Returns
    -------
    Header
        ``dataformat``: ``twotheta``, ``QA``, ``Qnm``, or ``radians`` (which no pattern reader takes). ``wavelength`` in Å.
        ``function``: ``G``, ``S`` or ``F`` where the column label says that the curve is no intensity.
    """
    other = next((match[1] for line in reversed(lines) if (match := _NOT_A_PATTERN.search(line))), None)
    found = next((name for line in reversed(lines) if (name := _format(line))), None)
    return Header(found, _wavelength(lines), other)


def _format(line: str) -> str | None:
    space = _SPACE.match(line)
    if space:
        return {"qspace": "QA", "twotheta": "twotheta"}.get(space[1].lower())
    if "=" in line:  # a setting of the program that wrote the file, such as tthstepd, says nothing of the columns
        return None
    return next((name for name, pattern in _FORMATS if pattern.search(line)), None)


def _wavelength(lines: Sequence[str]) -> float | None:
    for line in lines:
        match = _WAVELENGTH.search(line)
        if match:
            try:
                value = float(match[2])
            except ValueError:
                continue
            unit = match[1] or match[3]
            if unit:
                return value * _IN_ANGSTROM.get(unit.lower(), 1.0)
            return value * 1e10 if value < 1e-8 else value  # older pyFAI writes metres and no unit
    return None
