"""The live part of the page: sliders, numbers, plots. Moving a slider computes only this part again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from daisy_core import DaisyError, ParameterError
from daisy_core.launch import start_detached
from daisy_core.runs import default_root
from shared_ui import plots
from shared_ui.code import copy_as
from shared_ui.forms import FormValues, Slide, escape, param_form, set_values
from shared_ui.images import figure2d, limits

from ..adhoc import pair_distribution
from ..config import PDFConfig
from ..data import Pattern, PDFResult
from . import export, figures, reading
from .measurement import READER_OPTIONS, Measurement

LIVE = ("rpoly", "qmin", "qmax", "bgscale", "rmax", "terminationfunctions")
"""Parameters with sliders, in the order of the page."""


@st.fragment
def live_reduction(measurement: Measurement, form: FormValues, reference: figures.Reference | None) -> None:
    """Show the reduction of a measurement, with sliders that follow the mouse.

    Parameters
    ----------
    measurement : Measurement
        What is reduced.
    form : FormValues
        The parameters of the sidebar.
    reference : Reference, optional
        Drawn over G(r).
    """
    head = st.container(horizontal=True, vertical_alignment="center")
    numbers = st.container()
    try:
        pattern, backgrounds = _patterns(measurement, form)
    except DaisyError as error:
        _title(head, measurement)
        _stop(str(error))
        _image(measurement)
        return
    live = _sliders(pattern, len(backgrounds))
    started = time.perf_counter()
    try:
        config = _config(form, live)
        result = pair_distribution(pattern, backgrounds, config=config)
    except DaisyError as error:
        _title(head, measurement)
        if form.values["composition"]:
            _stop(str(error))
        else:
            st.info("Type the **composition** of the sample in the sidebar; G(r) follows.", icon=":material/science:")
        plots.show(figures.intensity_figure(pattern, backgrounds, live.values.get("bgscale", ())), key="raw")
        _image(measurement)
        return
    _actions(head, measurement, config, result)
    _curves(pattern, backgrounds, result, reference)
    _numbers(numbers, result, reference, 1e3 * (time.perf_counter() - started))
    _warnings(result)
    _image(measurement)
    with st.expander("This reduction as code", icon=":material/code:"):
        copy_as(measurement.workflow, measurement.inputs(), _params(measurement, config))


def _config(form: FormValues, live: FormValues) -> PDFConfig:
    """Join what the sidebar and the sliders hold."""
    both = form | live
    if not both.ok:
        names = ", ".join(both.faults)
        raise ParameterError(f"{names}: see what is said at the field{'s' * (len(both.faults) > 1)}")
    return PDFConfig(**both.values)


def _patterns(measurement: Measurement, form: FormValues) -> tuple[Pattern, list[Pattern]]:
    """Read the patterns with what the form says of their files; its other fields do not matter here."""
    names = [name for name in READER_OPTIONS if name in form.values and name not in form.faults]
    return measurement.patterns(PDFConfig(**{name: form.values[name] for name in names}))


def _sliders(pattern: Pattern, backgrounds: int) -> FormValues:
    """Show the live parameters; their ranges follow the data."""
    filled = np.flatnonzero(pattern.intensity)
    last = float(np.floor(pattern.q[filled[-1]] * 100) / 100) if filled.size else 30.0
    shown = [name for name in LIVE if name != "bgscale" or backgrounds]
    return param_form(
        PDFConfig, key="config", only=shown, columns=3, reset=False, lengths={"bgscale": backgrounds},
        sliders={
            "rpoly": Slide(0.0, 3.0, 0.01), "qmin": Slide(0.0, min(5.0, last / 3), 0.01),
            "qmax": Slide(min(5.0, last / 2), last, 0.05), "bgscale": Slide(0.0, 2.0, 0.005), "rmax": Slide(5.0, 100.0, 1.0),
        },
        placeholders={"qmax": "qmaxinst"},
    )  # fmt: skip


def _curves(
    pattern: Pattern, backgrounds: Sequence[Pattern], result: PDFResult, reference: figures.Reference | None
) -> None:
    with st.container(key="plot-gr"):
        plots.show(figures.distribution_figure(result, reference), key="gr")
    places = st.columns(3)
    with places[0].container(key="plot-iq"):
        plots.show(figures.intensity_figure(pattern, backgrounds, result.config.bgscale, result), key="iq")
    with places[1].container(key="plot-sq"):
        plots.show(figures.structure_figure(result), key="sq")
    with places[2].container(key="plot-fq"):
        plots.show(figures.reduced_figure(result), key="fq")


def _title(place: Any, measurement: Measurement) -> None:
    with place:
        less = "".join(f" − {path.name}" for path in measurement.backgrounds)
        st.markdown(f"#### {escape(measurement.sample.name)} :gray[{escape(less)}]", width="stretch")


def _stop(message: str) -> None:
    st.error(escape(message), icon=":material/error:")


def _numbers(place: Any, result: PDFResult, reference: figures.Reference | None, elapsed: float) -> None:
    """Show what the reduction gave besides curves."""
    config, q = result.config, result.iq.q
    degree = config.rpoly * (q[-1] - q[0]) / np.pi
    shown = [
        ("Scale", f"{result.scale:.4g}", "Factor from intensities to the scattering of free atoms. G(r) is not on an absolute scale."),
        ("Polynomial degree", f"{degree:.2f}", "rpoly (Qmaxinst − Qmin) / π; between whole degrees both fits are mixed."),
        ("Points in Q", f"{q.size}", f"ΔQ = {q[1] - q[0]:.4g} Å⁻¹, up to qmaxinst = {config.qmaxinst:.5g} Å⁻¹"),
        ("Warnings", f"{len(result.warnings)}", "They are below the plots." if result.warnings else "None."),
        ("Server", f"{elapsed:.0f} ms", "Reduction and plots, on the server, for this change."),
    ]  # fmt: skip
    if reference is not None:
        rw = reference.rw(result)
        how = "the reference scaled to it" if reference.scaled else "no scale fitted"
        shown.insert(3, ("Rw", "–" if rw is None else f"{rw:.4f}", f"To {reference.name}, from r = 1.5 Å, {how}."))
    with place:
        for column, (name, value, help) in zip(st.columns(len(shown)), shown, strict=True):
            column.metric(name, value, help=help)


def _actions(place: Any, measurement: Measurement, config: PDFConfig, result: PDFResult) -> None:
    """Show the title, and what can be done with what is shown."""
    _title(place, measurement)
    inputs, params = measurement.inputs(), _params(measurement, config)
    stem = measurement.sample.stem
    with place:
        if st.button("Reset", icon=":material/restart_alt:", type="tertiary", key="reset",
                     help="Back to the parameters of the file that they started from, or to the defaults"):  # fmt: skip
            reset_parameters(config)
            st.rerun()
        st.download_button(".gr", lambda: export.gr_bytes(result), f"{stem}.gr", "text/plain", key="save-gr", on_click="ignore",
                           icon=":material/download:", help="G(r) as shown, with its parameters in the header")  # fmt: skip
        st.download_button("NeXus", lambda: export.nexus_bytes(result, measurement.workflow, inputs, params), f"{stem}.nxs",
                           "application/x-hdf5", key="save-nxs", on_click="ignore", icon=":material/download:",
                           help="I, S, F and G as shown, with uncertainties and provenance")  # fmt: skip
        if st.button("Run and keep", type="primary", icon=":material/play_arrow:", key="keep",
                     help="Run it in a process of its own, with a run folder that can be reproduced"):  # fmt: skip
            _keep(measurement, params)


def reset_parameters(config: PDFConfig) -> None:
    """Return to the parameters of the chosen file, or to the defaults of all but what is a fact of sample and files."""
    facts = ("composition", "mode", *READER_OPTIONS)
    set_values("config", {name: getattr(config, name) for name in facts})
    st.session_state.pop("started", None)


def _params(measurement: Measurement, config: PDFConfig) -> dict[str, Any]:
    return {**measurement.integration, "config": config}


def _keep(measurement: Measurement, params: dict[str, Any]) -> None:
    root = default_root().absolute()
    try:
        edited = (
            export.geometry_file(measurement.geometry, root / "inputs")
            if measurement.edited and measurement.geometry
            else None
        )
        folder = start_detached(measurement.workflow.name, measurement.inputs(edited), params, root=root)
    except DaisyError as error:
        _stop(str(error))
        return
    st.query_params["run"] = folder.id
    st.rerun()


def _warnings(result: PDFResult) -> None:
    if result.warnings:
        st.warning("\n".join(f"- {escape(text)}" for text in result.warnings), icon=":material/warning:")


def _image(measurement: Measurement) -> None:
    """Show the image that the sample is, if it is one."""
    if measurement.is_image:
        with st.expander("Detector image", icon=":material/image:"):
            _picture(measurement)


@st.fragment
def _picture(measurement: Measurement) -> None:
    """Show an image with contrast limits from its valid pixels."""
    try:
        small = reading.load_preview(measurement.sample, measurement.options, measurement.mask)
    except DaisyError as error:
        _stop(str(error))
        return
    low, high = (float(f"{end:.3g}") for end in limits(small.values))
    picture, controls = st.columns([4, 1])
    with controls:
        log = st.toggle("Logarithmic", value=True, key="image-log")
        vmax = st.number_input("To (counts)", value=high, format="%g", key=f"image-to:{measurement.sample}")
        vmin = st.number_input("From (counts)", value=low, format="%g", key=f"image-from:{measurement.sample}")
        st.caption("Limits begin at the 1st and the 99.8th percentile of the valid pixels. Invalid and masked pixels are grey. "
                   f"Each point is the maximum of {small.block} × {small.block} pixels.")  # fmt: skip
    with picture:
        plots.show(figure2d(small, vmin=vmin, vmax=max(vmax, vmin + 1e-9), log=log), key="image")
