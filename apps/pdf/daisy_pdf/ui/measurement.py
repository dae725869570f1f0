"""What is to be reduced: the sidebar's choice of files, and what is known of the detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from daisy_core import DaisyError, ParameterError, replace
from daisy_core.io import read_frame
from daisy_core.reading import FileInput
from shared_ui.forms import complain, param_form
from shared_ui.picker import data_picker, data_pickers, folder_picker

from ..config import PDFConfig
from ..data import Geometry, Pattern
from ..workflows import reduce, reduce_image
from . import reading

PATTERNS = ("*.chi", "*.xy", "*.xye", "*.dat", "*.iq", "*.txt", "*.csv")
IMAGES = ("*.tif", "*.tiff", "*.edf", "*.cbf", "*.img", "*.mccd", "*.h5", "*.hdf5", "*.nxs", "*.npy")
READER_OPTIONS = ("dataformat", "wavelength", "twothetazero")
"""Parameters of a reduction that say how a pattern file is read."""

_GEOMETRY = ("distance", "poni1", "poni2", "rot1", "rot2", "rot3", "pixel1", "pixel2", "wavelength", "orientation")


@dataclass(frozen=True)
class Measurement:
    """The chosen files, and how they are read.

    Attributes
    ----------
    options : dict
        Options of the reader of images.
    geometry : Geometry or None
        As typed; ``poni`` is the file that it started from.
    integration : dict
        Parameters of the integration.
    """

    sample: Path
    backgrounds: tuple[Path, ...] = ()
    is_image: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    geometry: Geometry | None = None
    poni: Path | None = None
    edited: bool = False
    mask: Path | None = None
    integration: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def workflow(self) -> Any:
        """The workflow that reduces it."""
        return reduce_image if self.is_image else reduce

    def patterns(self, config: PDFConfig) -> tuple[Pattern, list[Pattern]]:
        """Read, or integrate, sample and backgrounds."""
        if not self.is_image:
            options = {name: getattr(config, name) for name in READER_OPTIONS}
            return reading.load_pattern(self.sample, options), [
                reading.load_pattern(path, options) for path in self.backgrounds
            ]
        if self.geometry is None:
            raise ParameterError("the geometry of the detector is missing: choose its .poni file in the sidebar")
        geometry = self.geometry

        def integrated(path: Path) -> Pattern:
            return reading.load_integrated(path, self.options, geometry, self.mask, self.integration)

        return integrated(self.sample), [integrated(path) for path in self.backgrounds]

    def inputs(self, poni: Path | None = None) -> dict[str, Any]:
        """Return the inputs of the workflow, as files."""
        if not self.is_image:
            return {"pattern": self.sample, "backgrounds": list(self.backgrounds)}
        return {
            "image": FileInput(self.sample, self.options),
            "geometry": poni or self.poni,
            "backgrounds": [FileInput(path, self.options) for path in self.backgrounds],
            "mask": self.mask,
        }


def is_image(path: Path) -> bool:
    """True where the name of a file is that of a detector image."""
    return any(path.match(pattern) for pattern in IMAGES) or any(path.match(pattern.upper()) for pattern in IMAGES)


def choose_measurement() -> Measurement | None:
    """Show the choice of files in the sidebar; None while there is no sample."""
    folder = folder_picker(key="folder")
    sample = data_picker("Sample", PATTERNS + IMAGES, folder=folder, key="sample", help="A powder pattern or a detector image.",
                         placeholder="Pattern or image")  # fmt: skip
    if sample is None:
        return None
    image = is_image(sample)
    kinds = IMAGES if image else PATTERNS
    backgrounds = data_pickers(
        "Backgrounds", kinds, folder=folder, key="backgrounds", help="Empty container, air: measured alike."
    )
    if not image:
        return Measurement(sample, tuple(backgrounds))
    return _image_measurement(sample, tuple(backgrounds), folder)


def _image_measurement(sample: Path, backgrounds: tuple[Path, ...], folder: Path) -> Measurement:
    poni = data_picker("Geometry", ("*.poni",), folder=folder, key="poni", help="Calibration of the detector (PONI file of pyFAI).",
                       placeholder="PONI file")  # fmt: skip
    geometry, edited = _geometry(poni) if poni else (None, False)
    with st.expander("Reading and integration", icon=":material/grid_on:"):
        mask = data_picker(
            "Mask", IMAGES, folder=folder, key="mask", help="Pixels that are not zero are left out.", placeholder="None"
        )
        options = param_form(read_frame, key="frame", reset=False)
        integration = param_form(reduce_image, key="integration", without=_config_fields(), reset=False)
    return Measurement(sample, backgrounds, True, _changed(options.values, options.changed), geometry, poni, edited, mask,
                       integration.values)  # fmt: skip


def _config_fields() -> list[str]:
    return [f"config.{name}" for name in PDFConfig.model_fields]


def _changed(values: Mapping[str, Any], changed: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in changed}


def _geometry(poni: Path) -> tuple[Geometry | None, bool]:
    """Show the geometry of a PONI file for editing; each number is checked as it is typed."""
    try:
        read = reading.load_geometry(poni)
    except DaisyError as error:
        complain(str(error))
        return None, False
    with st.expander("Edit the geometry", icon=":material/straighten:"):
        start = {name: _short(getattr(read, name)) for name in _GEOMETRY}
        checks = dict.fromkeys(("distance", "pixel1", "pixel2"), _positive) | {"wavelength": _plausible_wavelength}
        form = param_form(Geometry, start, key=f"geometry:{poni}", only=_GEOMETRY, checks=checks, columns=2)
    if not form.ok:
        complain("the geometry has faults; the values of the file are not used meanwhile")
        return None, False
    typed = replace(read, **{name: form.values[name] for name in form.changed})
    st.caption(f"PONI at row {typed.poni1 / typed.pixel1:.1f}, column {typed.poni2 / typed.pixel2:.1f} · {typed.distance * 1e3:.2f} mm "
               f"· λ = {typed.wavelength:.5g} Å")  # fmt: skip
    return typed, bool(form.changed)


def _short(value: float) -> float:
    """Return a number without the digits that only binary fractions have."""
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _positive(value: float) -> None:
    if value <= 0:
        raise ParameterError("must be above zero, in metres")


def _plausible_wavelength(value: float) -> None:
    if not 0.01 <= value <= 10:
        raise ParameterError(f"{value:g} Å is no wavelength of total scattering; give it in Å (0.1 to 2)")
