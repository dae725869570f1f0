"""The web application: the pages, and the plotting library beside them, all from this one process."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import streamlit as st
from starlette.responses import FileResponse
from starlette.routing import Route


def plotly_js(_request: object) -> FileResponse:
    """Serve the script that the installed plotly package brings: a public library, no data, so nothing to guard."""
    spec = importlib.util.find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    script = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    return FileResponse(script, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"})


app = st.App(Path(__file__).with_name("portal.py"), routes=[Route("/daisy/plotly.js", plotly_js)])
