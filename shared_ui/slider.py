"""A number with a slider that reports while it is dragged, so that a plot can follow the mouse."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

STATIC = Path(__file__).parent / "static"


def live_number(label: str, value: float | None, *, low: float, high: float, step: float, key: str, start: float | None = None,
                help: str = "", placeholder: str = "", marked: bool = False,
                changed: Callable[[float | None], None]) -> None:  # fmt: skip
    """Show a number field with a slider.

    Parameters
    ----------
    label : str
        Title with unit.
    value : float or None
        What both show; None is an empty field.
    low, high, step : float
        Range and step of the slider. A number outside can be typed.
    key : str
        Name of the widget in the session.
    start : float, optional
        Where the slider stands while the field is empty; ``high`` by default.
    help : str
        Shown when the pointer rests on the label.
    placeholder : str
        What the empty field shows.
    marked : bool
        Mark the label: the value is not the default.
    changed : callable
        Called with each new value, before the page is computed again.
    """

    def report() -> None:
        changed(st.session_state[key]["value"])

    data = {"label": label, "value": value, "low": low, "high": high, "step": step, "help": help, "marked": marked,
            "start": high if start is None else start, "placeholder": placeholder}  # fmt: skip
    _component()(data=data, key=key, on_value_change=report)


@cache
def _component() -> Any:
    def text(name: str) -> str:
        return (STATIC / name).read_text(encoding="utf-8")

    return component("daisy_slider", html=text("slider.html"), css=text("slider.css"), js=text("slider.js"))
