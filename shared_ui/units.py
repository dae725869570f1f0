"""Units as people write them: ``1/Å^2`` in a declaration is ``Å⁻²`` in a label."""

from __future__ import annotations

import re

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_DENOMINATOR = re.compile(r"1/([^\W\d]+)(?:\^(\d+))?\Z")
_POWER = re.compile(r"\^(-?\d+)")


def pretty_unit(unit: str | None) -> str:
    """Return a unit for a label.

    Examples
    --------
    >>> pretty_unit("1/Å"), pretty_unit("1/Å^2"), pretty_unit("deg"), pretty_unit("m^2"), pretty_unit("1")
    ('Å⁻¹', 'Å⁻²', '°', 'm²', '')
    """
    if unit in (None, "", "1"):
        return ""
    found = _DENOMINATOR.match(unit)
    if found:
        return found[1] + f"-{found[2] or 1}".translate(_RAISED)
    if unit == "deg":
        return "°"
    return _POWER.sub(lambda match: match[1].translate(_RAISED), unit)


def label(title: str, unit: str | None) -> str:
    """Return a title with its unit: ``label("Q", "1/Å")`` is ``"Q (Å⁻¹)"``."""
    shown = pretty_unit(unit)
    return f"{title} ({shown})" if shown else title
