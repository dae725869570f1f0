"""Columns of numbers in text files of many programs, and the header lines above them."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daisy_core import InputError
from daisy_pdf.textfile import read_text


class Columns(NamedTuple):
    """The numbers of a text file, ``(rows, columns)``, the lines above them, and the line number of each row.

    ``cut`` says that the file ends in the middle of a line, as a copy does that was interrupted.
    """

    header: tuple[str, ...]
    numbers: NDArray[np.float64]
    lines: NDArray[np.intp]
    cut: bool = False


class _Block(NamedTuple):
    width: int
    rows: list[list[float]]
    lines: list[int]


_NUMERIC = re.compile(r"[-+\d\s.,;eE]+")
_COMMENTS = ("#", "!", "%", ";", "//")


def read_columns(path: str | os.PathLike[str]) -> Columns:
    """Read the longest block of rows with the same number of numbers.

    Headers may be anything: text, comments, single numbers such as the number of points that fit2d writes. Blanks,
    tabs, commas and semicolons separate. Blank and comment lines between rows belong to the block.

    Parameters
    ----------
    path : path
        A text file.

    Raises
    ------
    InputError
        If there are no two columns of numbers, or rows of another width are more than a header can hold.
    """
    name = os.fspath(path)
    text = read_text(path)
    lines = text.splitlines()
    blocks = _blocks(lines)
    wide = [block for block in blocks if block.width >= 2]
    if not wide:
        if any(len(block.rows) > 1 for block in blocks):
            raise InputError(
                f"{name} has one column of numbers; a pattern needs two or three: Q or 2theta, intensity, sigma"
            )
        raise InputError(f"{name} holds no columns of numbers; is it a data file?")
    best = max(wide, key=lambda block: len(block.rows))
    _refuse_ragged(wide, best, name)
    header = tuple(line.strip() for line in lines[: best.lines[0]])
    cut = not text.endswith(("\n", "\r")) and _is_cut(lines, best)
    return Columns(header, np.array(best.rows), np.array(best.lines) + 1, cut)


def _is_cut(lines: list[str], block: _Block) -> bool:
    """Whether the last line is a row of numbers shorter than all those before it: many whole files end without a newline."""
    before = [len(lines[number].rstrip()) for number in block.lines[-20:] if number < len(lines) - 1]
    return bool(before) and _NUMERIC.fullmatch(lines[-1]) is not None and len(lines[-1].rstrip()) < min(before)


def _blocks(lines: list[str]) -> list[_Block]:
    """Group neighbouring rows of numbers by their width."""
    blocks: list[_Block] = []
    open_ended = False
    for number, line in enumerate(lines):
        text = line.strip()
        if not text or text.startswith(_COMMENTS):
            continue
        row = _row(text)
        if row is None:
            open_ended = False
            continue
        if not open_ended or len(row) != blocks[-1].width:
            blocks.append(_Block(len(row), [], []))
            open_ended = True
        blocks[-1].rows.append(row)
        blocks[-1].lines.append(number)
    return blocks


def _row(text: str) -> list[float] | None:
    for separator in ",;":
        text = text.replace(separator, " ")
    try:
        return [float(word) for word in text.split()] or None
    except ValueError:
        return None


def _refuse_ragged(blocks: list[_Block], best: _Block, name: str) -> None:
    """Numbers after the block, or many before it, are data that would be lost without a word."""
    for block in blocks:
        if block is best:
            continue
        after = block.lines[0] > best.lines[-1]
        if after or len(block.rows) > max(5, len(best.rows) // 20):
            raise InputError(
                f"{name}: line {block.lines[0] + 1} breaks the table: {best.width} columns in lines {best.lines[0] + 1} to "
                f"{best.lines[-1] + 1}, {block.width} there; keep one table of numbers in the file"
            )


def check_axis(columns: Columns, name: str, what: str) -> None:
    """Refuse numbers that are no curve: NaN, infinite, or with a first column that does not increase.

    Parameters
    ----------
    columns : Columns
        What was read.
    name, what : str
        File and first column, for messages.
    """
    numbers, lines = columns.numbers, columns.lines
    bad = ~np.isfinite(numbers).all(axis=1)
    if bad.any():
        raise InputError(
            f"{name}: {bad.sum()} row(s) hold NaN or infinite numbers, first in line {lines[bad.argmax()]}; remove those rows"
        )
    steps: NDArray[Any] = np.diff(numbers[:, 0])
    if np.any(steps <= 0):
        at = int(np.argmax(steps <= 0))
        fault = "repeats" if steps[at] == 0 else "decreases"
        raise InputError(
            f"{name}: {what} {fault} at line {lines[at + 1]} ({numbers[at, 0]:.8g}, then {numbers[at + 1, 0]:.8g}); "
            "does the file hold more than one pattern?"
        )
