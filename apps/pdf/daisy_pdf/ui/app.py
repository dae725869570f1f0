"""The page of total scattering: files and parameters on the left, the reduction, live, on the right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from daisy_core import DaisyError, RunError
from daisy_core.runs import RunFolder
from shared_ui.forms import FormValues, complain, escape, param_form, set_values
from shared_ui.picker import data_picker
from shared_ui.roots import allowed_roots
from shared_ui.runs import run_panel
from shared_ui.style import apply_style

from ..composition import parse_composition
from ..config import PDFConfig
from . import reading
from .demo import demo_files, write_demo
from .figures import Reference
from .live import LIVE, live_reduction
from .measurement import READER_OPTIONS, Measurement, choose_measurement


def page() -> None:
    """Show the page."""
    apply_style()
    with st.sidebar:
        st.markdown("##### Data")
        measurement = choose_measurement()
        form = _parameters(measurement) if measurement else None
        reference = _reference() if measurement else None
    _kept_run()
    if measurement is None or form is None:
        _welcome()
    else:
        live_reduction(measurement, form, reference)


def _parameters(measurement: Measurement) -> FormValues:
    """Show the parameters that are not live, and the file that they can start from."""
    st.markdown("##### Parameters")
    start = data_picker("Start from", ("*.cfg", "*.gr", "*.fq", "*.sq", "*.iq"), folder=_folder(), key="start",
                        help="Take the parameters from a configuration, or from the header of an output file.",
                        placeholder="Parameters of a .gr or .cfg file")  # fmt: skip
    _apply(start)
    hidden = READER_OPTIONS if measurement.is_image else ()
    options: dict[str, Any] = {
        "key": "config", "reset": False, "checks": {"composition": _composition},
        "placeholders": {"composition": "LaB6, Zr H2 P2 O8 H2 O, ...", "dataformat": "from file", "wavelength": "from file",
                         "qmaxinst": "last datum"},
    }  # fmt: skip
    first = param_form(PDFConfig, only=("composition",), **options)
    rest = param_form(PDFConfig, without=("composition", *LIVE, *hidden), columns=2, **options)
    return first | rest


def _apply(start: Path | None) -> None:
    """Fill the form from a file, once for each choice."""
    if st.session_state.get("started") == start:
        return
    st.session_state["started"] = start
    if start is None:
        return
    try:
        set_values("config", dict(PDFConfig.from_cfg(start)))
    except DaisyError as error:
        st.session_state["started"] = None
        complain(str(error))


def _composition(formula: str) -> str:
    if not formula:
        return ""
    fractions = parse_composition(formula)
    return "Atoms: " + ", ".join(f"{atom} {fraction:.1%}" for atom, fraction in fractions.items())


def _folder() -> Path:
    return Path(st.session_state.get("folder") or allowed_roots()[0])


def _reference() -> Reference | None:
    path = data_picker("Compare with", ("*.gr",), folder=_folder(), key="reference", help="A G(r) to draw under this one.",
                       placeholder="Another G(r)")  # fmt: skip
    if path is None:
        return None
    scaled = st.toggle("Scale it to this G(r)", key="reference-scaled", persist_state="session",
                       help="By least squares from r = 1.5 Å: this G(r) is not on an absolute scale.")  # fmt: skip
    try:
        return Reference(path.name, reading.load_reference(path), scaled)
    except DaisyError as error:
        complain(str(error))
        return None


def _kept_run() -> None:
    """Show the run that the address names, so that it is there again after a reload."""
    run_id = st.query_params.get("run")
    if not run_id:
        return
    try:
        run_panel(RunFolder.find(run_id), close=_close_run)
    except RunError as error:
        st.error(escape(str(error)))


def _close_run() -> None:
    del st.query_params["run"]


def _welcome() -> None:
    """Invite: what the page does, and something to try it with."""
    left, _ = st.columns([3, 1])
    with left:
        st.title("From I(Q) to G(r)")
        st.markdown("Choose a powder pattern or a detector image in the sidebar. Every change of a parameter is shown at once; "
                    "what you see can be downloaded, or kept as a run that can be reproduced.")  # fmt: skip
        steps = st.columns(3)
        for place, (icon, head, text) in zip(steps, _STEPS, strict=True):
            with place.container(border=True, height="stretch"):
                st.markdown(f"##### :primary[{icon}] {head}\n{text}")
        st.space("small")
        st.button(
            "Try it with a simulated exposure of nickel",
            type="primary",
            icon=":material/science:",
            on_click=_open_demo,
            key="demo",
        )
        folder = demo_files(allowed_roots()[0]).image.parent
        st.caption(f"Writes a detector image, the empty container and the calibration to `{folder}`, and opens them.")
        fault = st.session_state.pop("demo-fault", None)
        if fault:
            complain(fault)


_STEPS = (
    (
        ":material/folder_open:",
        "Data",
        "Sample and backgrounds: `.chi`, `.xy`, `.xye`, or images with their `.poni` file.",
    ),
    (":material/science:", "Sample", "Its composition is all that is needed. A `.gr` or `.cfg` file fills the form."),
    (":material/tune:", "Tune", "Move `rpoly`, `qmax` and the background scale, and watch G(r)."),
)


def _open_demo() -> None:
    """Write the demonstration and choose its files."""
    try:
        files = write_demo(allowed_roots()[0])
    except DaisyError as error:
        st.session_state["demo-fault"] = str(error)
        return
    st.session_state.update({
        "folder": str(files.image.parent), "sample": str(files.image), "backgrounds": [str(files.container)],
        "poni": str(files.poni), "reference": str(files.truth), "reference-scaled": True, "start": None,
    })  # fmt: skip
    set_values("config", {"composition": "Ni", "qmin": 0.8, "qmax": 24.0})
