"""Detector geometry: PONI files in and out (pyFAI's versions 1 and 2), lengths in metres, the wavelength in Å."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daisy_core import File, InputError, algorithm

from .data import Geometry
from .textfile import read_text, write_text

_PLAIN = ("", "detector", "none")
_ANGSTROM = 1e-10


@algorithm(version="1", reads=Geometry)
def read_poni(path: File) -> Geometry:
    """Read a calibration from a PONI file.

    Version 1 (``PixelSize1`` ...) and version 2 (``Detector`` with ``Detector_config``) are understood. A detector given
    by its name gets pixel size, shape and built-in mask from pyFAI's registry. Where a key comes twice the last one holds,
    since calibration programs append to the file.

    Parameters
    ----------
    path : Path
        The PONI file.

    Returns
    -------
    Geometry
        Lengths in metres, angles in radians, the wavelength in Å.

    Raises
    ------
    InputError
        If the file is missing or not a PONI file, a key is missing or no number, or the detector is not a flat regular
        grid of pixels.

    Examples
    --------
    >>> geometry = read_poni("CeO2.poni")  # doctest: +SKIP
    """
    keys = _keys(Path(path))
    if keys.get("parallax", "false").lower() == "true":
        raise InputError(f"{path}: 'Parallax: True' is not supported here; calibrate without the parallax correction")
    numbers = {name: _number(path, keys, key, default) for name, key, default in (
        ("distance", "Distance", None), ("poni1", "Poni1", None), ("poni2", "Poni2", None),
        ("rot1", "Rot1", 0.0), ("rot2", "Rot2", 0.0), ("rot3", "Rot3", 0.0))}  # fmt: skip
    if numbers["distance"] <= 0:
        raise InputError(f"{path}: 'Distance' is {numbers['distance']} m; it must be above zero")
    return Geometry(**numbers, **_detector(path, keys), wavelength=_wavelength(path, keys), source=str(path))


def write_poni(geometry: Geometry, path: str | Path) -> None:
    """Write a geometry as a PONI file (version 2.1), readable by :func:`read_poni`, pyFAI and Dioptas.

    Parameters
    ----------
    geometry : Geometry
        What to write; the wavelength is converted from Å to metres.
    path : str or Path
        The file to write.
    """
    config: dict[str, Any] = {"pixel1": geometry.pixel1, "pixel2": geometry.pixel2, "orientation": geometry.orientation}
    if geometry.rows and geometry.columns and not geometry.detector:
        config["max_shape"] = [geometry.rows, geometry.columns]
    lines = (
        "# Written by Daisy Suite. C order: 1 is the slow axis (rows), 2 the fast axis (columns); lengths in m, angles in rad",
        "poni_version: 2.1",
        f"Detector: {geometry.detector or 'Detector'}",
        f"Detector_config: {json.dumps(config)}",
        f"Distance: {geometry.distance!r}",
        f"Poni1: {geometry.poni1!r}",
        f"Poni2: {geometry.poni2!r}",
        f"Rot1: {geometry.rot1!r}",
        f"Rot2: {geometry.rot2!r}",
        f"Rot3: {geometry.rot3!r}",
        f"Wavelength: {geometry.wavelength * _ANGSTROM!r}",
    )
    write_text(path, "\n".join(lines) + "\n")


def _keys(path: Path) -> dict[str, str]:
    text = read_text(path)
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.lstrip().startswith("#"))
    keys = {name.strip().lower(): value.strip() for name, value in pairs}
    if not keys.keys() & {"distance", "poni1", "poni2"}:
        raise InputError(f"{path}: is not a PONI file: it has none of the keys Distance, Poni1, Poni2")
    return keys


def _number(path: Path, keys: Mapping[str, str], key: str, default: float | None = None) -> float:
    text = keys.get(key.lower(), "")
    if text.lower() in ("", "none") and default is not None:
        return default
    if text.lower() in ("", "none"):
        raise InputError(
            f"{path}: the key '{key}' is missing; a PONI file needs Distance, Poni1, Poni2 and the pixel size"
        )
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{path}: '{key}: {text}' is not a number") from None


def _wavelength(path: Path, keys: Mapping[str, str]) -> float:
    if keys.get("wavelength", "none").lower() in ("", "none"):
        raise InputError(
            f"{path}: has no wavelength, so pixels cannot be converted to Q; add a line in metres such as 'Wavelength: 1.8e-11'"
        )
    metres = _number(path, keys, "Wavelength")
    if not 1e-13 < metres < 1e-8:
        raise InputError(
            f"{path}: 'Wavelength: {metres:g}' cannot be in metres, the unit of PONI files; 0.18 Å is 1.8e-11"
        )
    return metres / _ANGSTROM


def _detector(path: Path, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return pixel sizes, shape, orientation and name of the detector."""
    if keys.get("splinefile", "none").lower() not in ("", "none"):
        raise InputError(f"{path}: refers to the distortion file '{keys['splinefile']}'; undistort the images first")
    name = keys.get("detector", "")
    try:
        config = json.loads(keys.get("detector_config", "{}")) or {}
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: 'Detector_config' is not valid JSON ({error})") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: 'Detector_config' is not a JSON object but {keys['detector_config']}")
    if config.get("orientation") not in (None, 0, 1, 2, 3, 4):
        raise InputError(f"{path}: the detector orientation {config['orientation']} is not known; it is 1, 2, 3 or 4")
    if config.get("splineFile") or config.get("splinefile"):
        raise InputError(f"{path}: refers to a distortion file in Detector_config; undistort the images first")
    if name.lower() not in _PLAIN:
        return _named_detector(path, name, config, keys)
    pixels = {f"pixel{n}": config.get(f"pixel{n}") or _number(path, keys, f"PixelSize{n}") for n in (1, 2)}
    rows, columns = config.get("max_shape") or (None, None)
    return {**pixels, "rows": rows, "columns": columns, "orientation": config.get("orientation") or 3}


def _named_detector(path: Path, name: str, config: dict[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    try:
        from pyFAI.detectors import detector_factory
    except ImportError:
        raise InputError(
            f"{path}: the detector '{name}' is known to pyFAI, which is missing: pip install \"daisy-suite[pdf]\""
        ) from None
    sizes = {f"pixel{n}": _number(path, keys, f"PixelSize{n}") for n in (1, 2) if f"pixelsize{n}" in keys}
    try:
        detector = detector_factory(name, {**sizes, **config} or None)
    except Exception as error:  # pyFAI raises RuntimeError, KeyError or TypeError, by detector
        raise InputError(
            f"{path}: pyFAI does not know the detector '{name}' with this configuration ({error})"
        ) from error
    if not (detector.uniform_pixel and detector.IS_FLAT and detector.pixel1 and detector.pixel2):
        raise InputError(
            f"{path}: the detector '{name}' is not a flat regular grid of pixels, which is all that is supported"
        )
    rows, columns = detector.shape or (None, None)
    return {"pixel1": float(detector.pixel1), "pixel2": float(detector.pixel2), "rows": rows, "columns": columns,
            "orientation": int(detector.orientation or 3), "detector": name}  # fmt: skip
