"""Ages and points in time as people write them."""

from __future__ import annotations

import re
import time
from datetime import datetime

from ..errors import ParameterError

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "y": 365.25 * 86400.0}
_AGE = re.compile(r"(\d+(?:\.\d+)?) *(s|min|h|d|w|y)\Z", re.ASCII)


def parse_age(text: str) -> float:
    """Return an age such as ``"90d"`` in seconds.

    Raises
    ------
    ParameterError
        If it is not a number with one of the units s, min, h, d, w, y.

    Examples
    --------
    >>> parse_age("1.5h")
    5400.0
    """
    found = _AGE.match(text.strip())
    if found is None:
        raise ParameterError(f"'{text}' is not an age; write a number and its unit (s, min, h, d, w, y), such as 90d")
    return float(found[1]) * _SECONDS[found[2]]


def parse_time(text: str, now: float | None = None) -> float:
    """Return a point in time, in seconds since 1970: a date (``2026-11-23``), a date and time, or an age ago (``2d``).

    A date without a time zone is local time.

    Raises
    ------
    ParameterError
        If it is none of them.
    """
    if _AGE.match(text.strip()):
        return (time.time() if now is None else now) - parse_age(text)
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ParameterError(
            f"'{text}' is not a time; write a date (2026-11-23, 2026-11-23T08:30) or an age (2d, 12h)"
        ) from None


def show_time(seconds: float | None) -> str:
    """Return a point in time as local date and time; empty where it is not known."""
    try:
        return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (ValueError, OverflowError, OSError):
        return ""


def show_bytes(count: float) -> str:
    """Return a number of bytes for people: ``1.2 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
