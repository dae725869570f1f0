"""Reading files for the page. Caches are keyed by path, time and size of the files, never by an array."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import streamlit as st

from daisy_core import Frame, Mask
from daisy_core.io import read_frame, read_mask
from shared_ui.images import Preview, preview
from shared_ui.roots import FileKey, allowed_roots, check_links, file_key

from ..data import Geometry, PairDistribution, Pattern
from ..geometry import read_poni
from ..integration import integrate
from ..io import read_gr, read_pattern

Options = tuple[tuple[str, Any], ...]
"""Options of a reader or parameters, in a form that a cache can be keyed by."""


def as_key(options: Mapping[str, Any]) -> Options:
    """Return options as a key for caches."""
    return tuple(sorted(options.items()))


def load_pattern(path: Path, options: Mapping[str, Any]) -> Pattern:
    """Read a powder pattern, once for each state of the file and set of options."""
    return _pattern(file_key(path), as_key(options))


@st.cache_resource(max_entries=64, show_spinner=False)
def _pattern(key: FileKey, options: Options) -> Pattern:
    return read_pattern(Path(key.path), **dict(options))


def load_reference(path: Path) -> PairDistribution:
    """Read the G(r) of a ``.gr`` file."""
    return _reference(file_key(path))


@st.cache_resource(max_entries=16, show_spinner=False)
def _reference(key: FileKey) -> PairDistribution:
    return read_gr(Path(key.path))


def load_geometry(path: Path) -> Geometry:
    """Read a PONI file."""
    return _geometry(file_key(path))


@st.cache_resource(max_entries=16, show_spinner=False)
def _geometry(key: FileKey) -> Geometry:
    return read_poni(Path(key.path))


def load_frame(path: Path, options: Mapping[str, Any]) -> Frame:
    """Read a detector image; few are kept, for they are large."""
    check_links(path, allowed_roots())
    return _frame(file_key(path), as_key(options))


@st.cache_resource(max_entries=4, show_spinner="Reading the image …")
def _frame(key: FileKey, options: Options) -> Frame:
    return read_frame(Path(key.path), **dict(options))


def load_mask(path: Path) -> Mask:
    """Read a mask."""
    check_links(path, allowed_roots())
    return _mask(file_key(path))


@st.cache_resource(max_entries=4, show_spinner=False)
def _mask(key: FileKey) -> Mask:
    return read_mask(Path(key.path))


def load_integrated(
    path: Path, options: Mapping[str, Any], geometry: Geometry, mask: Path | None, params: Mapping[str, Any]
) -> Pattern:
    """Integrate a detector image, once for each state of the files, geometry and set of parameters."""
    check_links(path, allowed_roots())
    numbers = dataclasses.astuple(cast("Any", geometry))
    return _integrated(file_key(path), as_key(options), numbers, file_key(mask) if mask else None, as_key(params))


@st.cache_resource(max_entries=64, show_spinner="Integrating the image …")
def _integrated(
    key: FileKey, options: Options, geometry: tuple[Any, ...], mask: FileKey | None, params: Options
) -> Pattern:
    image = load_frame(Path(key.path), dict(options))
    pixels = load_mask(Path(mask.path)) if mask else None
    pattern = integrate(image, Geometry(*geometry), pixels, **dict(params))
    return dataclasses.replace(cast("Any", pattern), source=Path(key.path).name)


def load_preview(path: Path, options: Mapping[str, Any], mask: Path | None) -> Preview:
    """Return the small image that is shown, with masked pixels grey."""
    check_links(path, allowed_roots())
    return _preview(file_key(path), as_key(options), file_key(mask) if mask else None)


@st.cache_resource(max_entries=8, show_spinner=False)
def _preview(key: FileKey, options: Options, mask: FileKey | None) -> Preview:
    image = load_frame(Path(key.path), dict(options))
    pixels = load_mask(Path(mask.path)) if mask else None
    return preview(image, pixels if pixels is not None and pixels.shape == image.shape else None)
