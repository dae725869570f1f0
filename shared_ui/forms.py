"""Forms generated from a declaration. What a person changed is kept; everything else is the declared default."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from daisy_core import DaisyError

from .fields import FormField, Source, flat, form_fields, nested
from .slider import live_number

Check = Callable[[Any], str | None]


@dataclass(frozen=True)
class Slide:
    """A slider beside the number field: its range and step.

    ``start`` is where it stands while the number is empty.
    """

    low: float
    high: float
    step: float
    start: float | None = None


@dataclass(frozen=True)
class FormValues:
    """What a form holds.

    Attributes
    ----------
    values : dict
        All fields by dotted name, defaults filled in.
    changed : tuple of str
        Fields that differ from their default.
    faults : dict
        What is wrong, by field.
    """

    values: dict[str, Any]
    changed: tuple[str, ...]
    faults: dict[str, str]

    @property
    def ok(self) -> bool:
        """True where every field is valid by itself."""
        return not self.faults

    def __or__(self, other: FormValues) -> FormValues:
        """Join two parts of one form."""
        return FormValues(self.values | other.values, self.changed + other.changed, self.faults | other.faults)

    def params(self) -> dict[str, Any]:
        """Return the values with those of parameter models nested."""
        return nested(self.values)


def reset_form(key: str) -> None:
    """Return all fields of a form to their defaults."""
    st.session_state[_store(key)] = {}


def set_values(key: str, values: Mapping[str, Any]) -> None:
    """Fill a form: the given values (dotted names or models), the declared default for everything else."""
    st.session_state[_store(key)] = flat(values)


def change_values(key: str, values: Mapping[str, Any]) -> None:
    """Change some fields of a form and leave the others."""
    st.session_state[_store(key)] = {**_values(key), **flat(values)}


def param_form(source: Source, defaults: Mapping[str, Any] | None = None, *, key: str, only: Collection[str] | None = None,
               without: Collection[str] = (), checks: Mapping[str, Check] | None = None,
               sliders: Mapping[str, Slide] | None = None, lengths: Mapping[str, int] | None = None,
               placeholders: Mapping[str, str] | None = None, columns: int = 1, reset: bool = True) -> FormValues:  # fmt: skip
    """Show the form of a declaration and return what it holds.

    Two calls with the same ``key`` and different ``only`` show one form in two places.

    Parameters
    ----------
    source : Algorithm, parameter model or data type
        What declares the fields.
    defaults : mapping, optional
        Starting values of this page where they differ from the declared ones; a reset returns to them.
    key : str
        Name of the form in the session.
    only, without : collection of str
        Fields to show, or to leave out.
    checks : mapping
        Further checks by field; what they raise (:class:`~daisy_core.DaisyError`) or return (text) is shown at the field.
    sliders : mapping
        Fields that get a slider beside the number.
    lengths : mapping
        Lists of numbers that get one number field for each item, and how many.
    placeholders : mapping
        What an empty field shows.
    columns : int
        Fields side by side.
    reset : bool
        Show a button that returns the whole form to its defaults, where something differs.
    """
    fields = [
        field for field in form_fields(source) if (only is None or field.name in only) and field.name not in without
    ]
    if only is not None:
        order = list(only)
        fields.sort(key=lambda field: order.index(field.name))
    starts = {field.name: field.start for field in fields} | flat(defaults or {})
    starts |= {name: _resized(starts[name], length) for name, length in (lengths or {}).items() if name in starts}
    form = _Form(key, starts, sliders or {}, lengths or {}, placeholders or {})
    places = st.columns(columns) if columns > 1 else [st.container()]
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for index, field in enumerate(fields):
        with places[index % columns]:
            value = form.show(field)
            fault, note = field.fault(value), ""
            if fault is None and checks and field.name in checks:
                fault, note = _checked(value, checks[field.name])
            if fault:
                faults[field.name] = fault
                complain(fault)
            elif note:
                st.caption(escape(note))
            values[field.name] = value
    changed = tuple(name for name, value in values.items() if value != starts[name])
    if reset and changed:
        st.button("Reset to defaults", key=f"{key}:reset", icon=":material/restart_alt:", type="tertiary",
                  on_click=reset_form, args=(key,))  # fmt: skip
    return FormValues(values, changed, faults)


def _checked(value: Any, check: Check) -> tuple[str | None, str]:
    """Return the fault and the note of a further check."""
    try:
        return None, check(value) or ""
    except DaisyError as error:
        return str(error), ""


def complain(fault: str) -> None:
    """Show what is wrong, small and red, below the field that it belongs to."""
    st.markdown(f":small[:red[:material/error: {escape(fault)}]]")


def escape(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~$:^-])", r"\\\1", text)


# ---- What the form holds: only what was changed, by field


def _store(key: str) -> str:
    return f"{key}:values"


def _values(key: str) -> dict[str, Any]:
    return st.session_state.setdefault(_store(key), {})


# ---- Widgets


@dataclass(frozen=True)
class _Form:
    key: str
    starts: Mapping[str, Any]
    sliders: Mapping[str, Slide]
    lengths: Mapping[str, int]
    placeholders: Mapping[str, str]

    def show(self, field: FormField) -> Any:
        """Show the widget of a field and return its value."""
        value = _values(self.key).get(field.name, self.starts[field.name])
        length = self.lengths.get(field.name)
        if length is not None:
            return self._numbers(field, _resized(value, length))
        if field.kind in ("integer", "number"):
            return self._number(field, value, "", "", lambda new: new, self._is_changed(field, value))
        return self._plain(field, self._label(field, value), value)

    def _is_changed(self, field: FormField, value: Any) -> bool:
        return bool(value != self.starts[field.name])

    def _label(self, field: FormField, value: Any) -> str:
        return f"{field.label} :orange[●]" if self._is_changed(field, value) else field.label

    def _help(self, field: FormField) -> str:
        start = self.starts[field.name]
        default = "" if start in (None, "", ()) else f"Default: {_text(start)}."
        name = field.name.rpartition(".")[2]
        known = "" if name == field.param.title else f"`{name}`: "
        return f"{known}{field.param.help} {default}".strip()

    def _numbers(self, field: FormField, value: tuple[Any, ...]) -> tuple[Any, ...]:
        """Show one number field for each item of a list."""

        def item(index: int) -> Any:
            def put(new: Any) -> tuple[Any, ...]:
                return (*value[:index], new, *value[index + 1 :])

            number = f" {index + 1}" if len(value) > 1 else ""
            return self._number(field, value[index], f".{index}", number, put, self._is_changed(field, value))

        return tuple(item(index) for index in range(len(value)))

    def _number(
        self, field: FormField, value: Any, part: str, number: str, put: Callable[[Any], Any], marked: bool
    ) -> Any:
        """Show a number field, with a slider where one was asked for."""
        key, store, integer = f"{self.key}.{field.name}{part}", self.key, field.kind == "integer"
        label, help, slide = f"{field.label}{number}", self._help(field), self.sliders.get(field.name)
        empty = self.placeholders.get(field.name, "")

        def changed(new: Any) -> None:
            _values(store)[field.name] = put(new if new is None or integer else float(new))

        if slide is not None:
            live_number(label, value, low=slide.low, high=slide.high, step=slide.step, start=slide.start, key=f"{key}~",
                        help=help, placeholder=empty, marked=marked, changed=changed)  # fmt: skip
            return value
        _put(key, value if value is None else (int(value) if integer else float(value)))
        if field.optional or value is None:
            options: dict[str, Any] = {"value": None}  # it can be emptied
        else:
            options = {}
        return st.number_input(f"{label} :orange[●]" if marked else label, key=key, help=help or None, placeholder=empty,
                               step=1 if integer else _step(value), format="%d" if integer else "%g",
                               on_change=lambda: changed(st.session_state[key]), **options)  # fmt: skip

    def _plain(self, field: FormField, label: str, value: Any) -> Any:
        widget = f"{self.key}.{field.name}"

        def changed() -> None:
            _values(self.key)[field.name] = _parsed(field, st.session_state[widget])

        common: dict[str, Any] = {"key": widget, "help": self._help(field) or None, "on_change": changed}
        if field.kind == "bool":
            _put(widget, bool(value))
            st.toggle(label, **common)
        elif field.kind == "choice":
            options = [None, *field.choices] if field.optional else list(field.choices)
            _put(widget, value)
            empty = self.placeholders.get(field.name, "none")
            st.selectbox(
                label, options, index=None if field.optional else 0, format_func=_shown, placeholder=empty, **common
            )
        elif field.kind == "choices":
            _put(widget, list(value))
            st.multiselect(label, list(field.choices), placeholder="none", **common)
        else:
            _put(widget, _text(value))
            st.text_input(label, placeholder=self.placeholders.get(field.name, ""), **common)
        return _values(self.key).get(field.name, self.starts[field.name])


def _shown(choice: Any) -> str:
    return "" if choice is None else str(choice)


def _put(widget: str, value: Any) -> None:
    """Give a widget its value; untouched where it has it, so that typing and dragging are never interrupted."""
    if widget not in st.session_state or st.session_state[widget] != value:
        st.session_state[widget] = value


def _resized(value: tuple[Any, ...], length: int) -> tuple[Any, ...]:
    """Return a list of a length; its last item is repeated where it is too short."""
    given = (value or (None,))[:length]
    return (*given, *given[-1:] * (length - len(given)))


def _step(value: Any) -> float:
    """Return a step that moves the second digit of a number."""
    return 0.1 if not value else 10.0 ** (math.floor(math.log10(abs(value))) - 1)


def _text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return " ".join(_text(item) for item in value)
    return "" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)


def _parsed(field: FormField, given: Any) -> Any:
    """Return what was entered as a value of the field; text that cannot be one is returned as it is."""
    if field.kind == "choices":
        return tuple(choice for choice in field.choices if choice in given)
    if field.kind == "numbers":
        try:
            return tuple(
                int(word) if word.lstrip("-").isdigit() else float(word) for word in given.replace(",", " ").split()
            )
        except ValueError:
            return given
    if field.kind == "json":
        import json

        try:
            return json.loads(given)
        except ValueError:
            return given
    if field.kind == "text" and field.optional and not given:
        return None
    return given
