"""The script behind every page: one technique, or a portal of all that are installed."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import streamlit as st

from daisy_core import App, registry
from shared_ui.server import APP_ENVIRONMENT
from shared_ui.style import apply_style

ICON = str(Path(__file__).parent / "static" / "daisy.svg")


def app_page(app: App, *, default: bool = False) -> Any:
    """Return the page of an app: the function ``page`` of the module that its manifest names."""

    def show() -> None:
        assert app.ui is not None
        importlib.import_module(app.ui).page()

    return st.Page(show, title=app.title.partition(":")[0], url_path=app.name, default=default)


def home() -> None:
    """Show what is installed, and how to install what is not complete."""
    apply_style()
    st.title("Daisy Suite")
    st.write("From detector data to science.")
    for app in registry.apps().values():
        with st.container(border=True):
            name, _, what = app.title.partition(": ")
            st.markdown(f"##### {name}\n{what}")
            if app.missing:
                st.write(f"Not ready: {', '.join(app.missing)} missing.")
                st.code(app.install_line, language="bash")
            elif app.ui is None:
                st.write(f"No page yet; on the command line: `daisy list {app.name}`")
            else:
                st.page_link(PAGES[app.name], label="Open", icon=":material/arrow_forward:")
    if not registry.apps():
        st.info("No technique is installed.")
        st.code('pip install "daisy-suite[pdf]"', language="bash")


def usable(app: App) -> bool:
    """True for an app that has a page and all it needs."""
    return app.ui is not None and not app.missing


st.set_page_config(page_title="Daisy Suite", page_icon=ICON, layout="wide", initial_sidebar_state=340)
only = registry.apps().get(os.environ.get(APP_ENVIRONMENT, ""))
PAGES = {name: app_page(app) for name, app in registry.apps().items() if usable(app)}
if only is not None:
    st.navigation([app_page(only, default=True)], position="hidden").run()
else:
    st.navigation([st.Page(home, title="Home", default=True), *PAGES.values()]).run()
