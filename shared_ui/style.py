"""The look that all pages share, beyond the theme: less empty space, quiet numbers."""

from __future__ import annotations

import streamlit as st

_CSS = """
<style>
[data-testid="stMainBlockContainer"] { padding: 2.4rem 2.2rem 2rem; max-width: 1700px; }
[data-testid="stHeader"] { height: 2.4rem; min-height: 2.4rem; background: transparent; pointer-events: none; }
[data-testid="stHeader"] * { pointer-events: auto; }
[data-testid="stSidebarHeader"] { height: 2.2rem; margin-bottom: 0; }
[data-testid="stSidebarUserContent"] { padding-bottom: 2rem; }
[data-testid="stMetricValue"] { font-size: 1.15rem; }
[data-testid="stMetricLabel"] { opacity: 0.75; }
:is([data-testid="stWidgetLabel"], [data-testid="stMetricLabel"]) [data-testid="stTooltipIcon"]:not(:hover) { opacity: 0.4; }
[data-testid="stSidebar"] [data-testid="stColumn"] button:is([data-testid="stNumberInputStepDown"], [data-testid="stNumberInputStepUp"]) {
  display: none;
}
.daisy-plot .modebar { opacity: 0; transition: opacity 0.2s; }
.daisy-plot:hover .modebar { opacity: 1; }
</style>
"""


def apply_style() -> None:
    """Apply the shared look to the page."""
    st.html(_CSS)
