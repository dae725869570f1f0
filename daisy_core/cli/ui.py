"""``daisy ui``: hands over to the web side, which the kernel does not know."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from .. import registry
from ..errors import DaisyError


def ui_command(arguments: argparse.Namespace) -> int:
    """Start the web apps.

    Raises
    ------
    DaisyError
        If the web side is not installed, or the app has no page.
    """
    if importlib.util.find_spec("shared_ui") is None or importlib.util.find_spec("streamlit") is None:
        raise DaisyError('the web apps need Streamlit: pip install "daisy-suite[ui]"')
    if arguments.app is not None:
        app = registry.apps().get(arguments.app)
        if app is None:
            raise DaisyError(
                f"there is no app '{arguments.app}'{registry.suggest(arguments.app, registry.apps())}; see 'daisy list'"
            )
        if app.missing:
            raise DaisyError(f"app '{app.name}' needs {', '.join(app.missing)}: {app.install_line}")
        if app.ui is None:
            raise DaisyError(f"app '{app.name}' has no web page")
    words = [sys.executable, "-m", "shared_ui"]
    words += [arguments.app] if arguments.app else []
    words += ["--port", str(arguments.port)] if arguments.port else []
    words += [word for root in arguments.root or [] for word in ("--root", root)]
    words += ["--no-browser"] if arguments.no_browser else []
    os.execv(sys.executable, words)  # one process: signals reach the server itself
