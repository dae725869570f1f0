"""Starts the web pages: one process, bound to this machine only, that asks nothing of any other host."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from daisy_core import DaisyError, InputError, registry

from .roots import ENVIRONMENT

HOST = "127.0.0.1"
APP_ENVIRONMENT = "DAISY_UI_APP"
"""The environment variable that names the one app to show; empty: all of them."""

_FIRST_PORT = 8501
_PORTS_TRIED = 100

OPTIONS = {
    "server.address": HOST,
    "server.headless": "true",
    "server.showEmailPrompt": "false",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": "10",
    "browser.serverAddress": HOST,
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "stacktrace",
    "logger.level": "warning",
    "theme.light.primaryColor": "#0b6e99",
    "theme.dark.primaryColor": "#4fb3d9",
    "theme.baseFontSize": "15",
    "theme.baseRadius": "0.4rem",
}
"""Settings of Streamlit. Given on its command line, they win over files and environment of the user."""


def serve(app_name: str | None, *, port: int | None = None, root: Sequence[Path] = (), headless: bool = False) -> None:
    """Serve the pages until interrupted.

    Parameters
    ----------
    app_name : str or None
        One app, or None for a portal of all installed ones.
    port : int, optional
        The first free one from 8501 by default.
    root : sequence of Path
        Folders whose files may be opened; the working folder by default.
    headless : bool
        Do not open a browser.

    Raises
    ------
    DaisyError
        If Streamlit is missing, the app is unknown or incomplete, a root is no folder, or the port is taken.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise DaisyError('the web pages need Streamlit: pip install "daisy-suite[ui]"')
    _check_app(app_name)
    os.environ[ENVIRONMENT] = os.pathsep.join(str(folder) for folder in _checked_roots(root))
    os.environ[APP_ENVIRONMENT] = app_name or ""
    number = free_port(port)
    url = f"http://{HOST}:{number}"
    print(f"Daisy Suite: {url}   (stop with Ctrl+C)", flush=True)
    if not headless:
        threading.Timer(1.5, webbrowser.open, (url,)).start()

    from click.exceptions import Abort
    from streamlit.web.cli import main

    flags = [f"--{name}={value}" for name, value in {**OPTIONS, "server.port": str(number)}.items()]
    script = str(Path(__file__).with_name("asgi.py"))
    with contextlib.suppress(Abort, KeyboardInterrupt):
        main(["run", script, *flags], prog_name="daisy ui", standalone_mode=False)


def _check_app(name: str | None) -> None:
    if name is None:
        return
    app = registry.apps().get(name)
    if app is None:
        raise DaisyError(f"there is no app '{name}'{registry.suggest(name, registry.apps())}; 'daisy list' shows all")
    if app.missing:
        raise DaisyError(f"app '{name}' needs {', '.join(app.missing)}: {app.install_line}")
    if app.ui is None:
        raise DaisyError(f"app '{name}' has no web page")


def _checked_roots(root: Sequence[Path]) -> list[Path]:
    folders = [Path(folder).expanduser().resolve() for folder in root] or [Path.cwd()]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"--root {folder}: there is no such folder")
    return folders


def free_port(wanted: int | None) -> int:
    """Return the port wanted, or the first free one from 8501.

    Raises
    ------
    DaisyError
        If the port wanted is taken or cannot be used, or none is free.
    """
    candidates = range(_FIRST_PORT, _FIRST_PORT + _PORTS_TRIED) if wanted is None else (wanted,)
    for number in candidates:
        with socket.socket() as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, number))
            except (OSError, OverflowError):
                continue
            return int(probe.getsockname()[1])
    if wanted is not None:
        raise DaisyError(f"port {wanted} is taken or not allowed; choose another with --port, or leave it out")
    raise DaisyError(f"no free port between {_FIRST_PORT} and {_FIRST_PORT + _PORTS_TRIED}; choose one with --port")
