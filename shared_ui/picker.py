"""Choosing data on the server: a folder under the allowed roots, and files in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from daisy_core import InputError

from .forms import complain
from .roots import allowed_roots, files, guarded, is_inside, subfolders


def data_picker(label: str, patterns: Sequence[str], *, folder: Path, key: str, help: str | None = None,
                placeholder: str = "Choose a file or type a path") -> Path | None:  # fmt: skip
    """Choose one file.

    Parameters
    ----------
    label : str
        What the file is.
    patterns : sequence of str
        Names that are offered: ``*.chi``. Any other path can be typed.
    folder : Path
        Whose files are offered, see :func:`folder_picker`.
    key : str
        Where the session keeps the choice, as text; a page may set it.
    help : str, optional
        One sentence more.
    placeholder : str
        What the empty field shows.

    Returns
    -------
    Path or None
        Under an allowed root, and there; None where nothing, or nothing allowed, is chosen.
    """
    chosen = st.session_state.get(key)
    options = _offered(folder, patterns, [chosen] if chosen else [])
    typed = st.selectbox(label, options, index=None, key=key, format_func=_namer(folder), accept_new_options=True,
                         placeholder=placeholder, help=help, persist_state="session",
                         on_change=_settle, args=(key, folder))  # fmt: skip
    return _opened(typed, folder) if typed else None


def data_pickers(label: str, patterns: Sequence[str], *, folder: Path, key: str, help: str | None = None,
                 placeholder: str = "None") -> list[Path]:  # fmt: skip
    """Choose any number of files; see :func:`data_picker`."""
    chosen: list[str] = st.session_state.get(key, [])
    options = _offered(folder, patterns, chosen)
    typed = st.multiselect(label, options, key=key, format_func=_namer(folder), accept_new_options=True,
                           placeholder=placeholder, help=help, persist_state="session",
                           on_change=_settle, args=(key, folder))  # fmt: skip
    return [path for item in typed if (path := _opened(item, folder)) is not None]


def folder_picker(label: str = "Folder", *, key: str) -> Path:
    """Choose a folder under the allowed roots: its parents and subfolders are offered, any other can be typed.

    Returns
    -------
    Path
        The folder; the first root where nothing else is chosen.
    """
    roots = allowed_roots()
    current = roots[0]
    fault = ""
    if st.session_state.get(key):
        try:
            current = _folder(st.session_state[key], roots)
        except InputError as error:
            fault = str(error)
    parents = [parent for parent in (current, *current.parents) if is_inside(parent, roots)]
    options = [str(path) for path in dict.fromkeys([*reversed(parents), *subfolders(current, roots), *roots])]
    if not st.session_state.get(key):
        st.session_state[key] = str(current)

    def name(text: str) -> str:
        path = Path(text)
        if path == current or path in roots:
            return _relative(path, roots)
        return f"↑ {_relative(path, roots)}" if path in parents else f"↳ {path.name}"

    st.selectbox(label, options, key=key, format_func=name, accept_new_options=True, persist_state="session",
                 on_change=_settle, args=(key, current),
                 help="Parents (↑) and subfolders (↳) are offered; any folder under the allowed roots can be typed.")  # fmt: skip
    if fault:
        complain(fault)
    return current


def _folder(typed: str, roots: Sequence[Path]) -> Path:
    path = guarded(typed, roots)
    if not path.is_dir():
        raise InputError(f"{typed} is a file; choose its folder")
    return path


def _relative(path: Path, roots: Sequence[Path]) -> str:
    """Return a path as people call it: from the name of its root on."""
    for root in roots:
        if path.is_relative_to(root):
            return str(Path(root.name or str(root)) / path.relative_to(root))
    return str(path)


def _offered(folder: Path, patterns: Sequence[str], chosen: Sequence[str]) -> list[str]:
    """Return the files of the folder, and those chosen before in another."""
    found = [str(path) for path in files(folder, patterns, allowed_roots())]
    return [*found, *(item for item in chosen if item not in found)]


def _settle(key: str, folder: Path) -> None:
    """Turn what was typed into the path that it means, so that it is one of the options from now on."""
    chosen = st.session_state[key]
    if isinstance(chosen, list):
        st.session_state[key] = list(dict.fromkeys(_settled(item, folder) for item in chosen))
    elif chosen:
        st.session_state[key] = _settled(chosen, folder)


def _settled(typed: str, folder: Path) -> str:
    try:
        return str(guarded(typed, allowed_roots(), base=folder))
    except InputError:
        return typed


def _namer(folder: Path) -> Callable[[str], str]:
    roots = allowed_roots()

    def name(text: str) -> str:
        path = Path(text)
        return path.name if path.parent == folder else _relative(path, roots)

    return name


def _opened(typed: str, folder: Path) -> Path | None:
    try:
        path = guarded(typed, allowed_roots(), base=folder)
        if path.is_dir():
            raise InputError(f"{typed} is a folder, a file is needed")
    except InputError as error:
        complain(str(error))
        return None
    return path
