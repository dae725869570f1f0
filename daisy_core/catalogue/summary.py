"""The summary of a run: the numbers and texts of its outputs that the results table shows."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from ..datatypes import fields_of, is_data

LONGEST_TEXT = 200
"""Characters; longer text is no table value and is left out."""


def summarise(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary values of a run's outputs.

    A data type may say itself what counts: a method ``summary(self) -> dict[str, float | int | str | bool]``, whose keys
    are taken as they are. Of any other data type the scalar fields are taken, as ``port.field``; a scalar output goes by
    the name of its port. For the single port ``result`` the port is not named. Numbers that JSON cannot hold are written
    ``"nan"``, ``"inf"``.

    Parameters
    ----------
    outputs : mapping
        Output values by port.

    Examples
    --------
    >>> summarise({"scale": 1.5, "note": "good", "curve": [1, 2]})
    {'scale': 1.5, 'note': 'good'}
    """
    found: dict[str, Any] = {}
    for port, value in outputs.items():
        for name, item in _values(port, value):
            plain = _plain(item)
            if plain is not None:
                found[name if name not in found else f"{port}.{name}"] = plain
    return found


def _values(port: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not is_data(value):
        yield port, value
        return
    said = _said(value)
    if said is not None:
        yield from ((str(name), item) for name, item in said.items())
        return
    prefix = "" if port == "result" else f"{port}."
    for name in fields_of(type(value)):
        yield f"{prefix}{name}", getattr(value, name)


def _said(value: Any) -> Mapping[Any, Any] | None:
    """Return what the data type's own ``summary`` says; a fault there must not cost the run its results."""
    method = getattr(type(value), "summary", None)
    if not callable(method):
        return None
    try:
        said = cast("Callable[[Any], Any]", method)(value)
        if isinstance(said, Mapping):
            return cast("Mapping[Any, Any]", said)
        problem = f"gave {type(said).__name__}, not a dictionary"
    except Exception as error:
        problem = f"raised {type(error).__name__}: {error}"
    logging.getLogger(__name__).warning("%s.summary() %s; its scalar fields are taken", type(value).__name__, problem)
    return None


def _plain(value: Any) -> float | int | str | bool | None:
    """Return a number, text or bool of JSON; None for what is no table value."""
    if hasattr(value, "item") and getattr(value, "size", 0) == 1 and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return value if value and len(value) <= LONGEST_TEXT and value.isprintable() else None
    return value if isinstance(value, (bool, int, float)) else None
