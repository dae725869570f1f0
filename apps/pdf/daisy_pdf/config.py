"""The configuration of a reduction to G(r), in the names that PDFgetX3 made the field's own."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from daisy_core import DaisyError, Param, ParameterError, ParameterModel

from .cfgfile import read_keys, write_keys
from .textfile import read_text, write_text

DataFormat = Literal["twotheta", "QA", "Qnm"]
Window = Literal["step", "lorch", "revised_lorch", "cosine"]


def _one_line(value: Any) -> Any:
    """A composition is one line with single blanks, so that it survives a file."""
    return " ".join(value.split()) if isinstance(value, str) else value


def _as_tuple(value: Any) -> Any:
    """One number or name is a list of one."""
    return (value,) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else value


class PDFConfig(ParameterModel):
    """How a powder pattern becomes G(r).

    Names, units and defaults are those of PDFgetX3, so its ``.cfg`` files and the headers of its output can be read
    with :meth:`from_cfg`. Files are no part of it: sample and backgrounds are passed to the reduction itself.

    Examples
    --------
    >>> config = PDFConfig(composition="Ni", qmax=24, bgscale=0.4)
    >>> config.bgscale, config.rpoly
    ((0.4,), 0.9)
    """

    composition: Annotated[
        str,
        BeforeValidator(_one_line),
        Param("Composition", help="Chemical formula of the sample, such as LaB6, 'Zr H2 P2 O8 H2 O' or 'Ti 1/2 O'."),
    ] = ""
    mode: Annotated[Literal["xray", "neutron"], Param("Radiation", help="What was scattered.")] = "xray"
    dataformat: Annotated[
        DataFormat | None,
        Param("Data format", reader=True, help="First column of the files: 2theta in degrees, Q in 1/Å or Q in 1/nm. "
              "Empty: what the file's header says."),
    ] = None  # fmt: skip
    wavelength: Annotated[
        float | None,
        Param(
            "Wavelength", unit="Å", gt=0, reader=True, help="Needed where the files are in 2theta and do not say it."
        ),
    ] = None
    twothetazero: Annotated[
        float, Param("2theta zero", unit="deg", reader=True, help="2theta that the file gives to the direct beam.")
    ] = 0.0
    bgscale: Annotated[
        tuple[float, ...],
        Field(min_length=1),
        BeforeValidator(_as_tuple),
        Param("Background scale", ge=0, help="One factor for all backgrounds, or one for each."),
    ] = (1.0,)
    rpoly: Annotated[
        float,
        Param(
            "rpoly", unit="Å", ge=0, help="The correction polynomial changes G(r) below about this distance; 0: none."
        ),
    ] = 0.9
    qmaxinst: Annotated[
        float | None, Param("qmaxinst", unit="1/Å", gt=0, help="End of meaningful data. Empty: the last non-zero one.")
    ] = None
    qmin: Annotated[float, Param("qmin", unit="1/Å", ge=0, help="Start of the range that is used.")] = 0.0
    qmax: Annotated[
        float | None, Param("qmax", unit="1/Å", gt=0, help="End of the Fourier transform. Empty: qmaxinst.")
    ] = None
    terminationfunctions: Annotated[
        tuple[Window, ...],
        Field(min_length=1),
        BeforeValidator(_as_tuple),
        Param("Windows", help="What F(Q) is multiplied by before the Fourier transform; several multiply each other."),
    ] = ("step",)
    rmin: Annotated[float, Param("rmin", unit="Å", ge=0, help="First distance of G(r).")] = 0.0
    rmax: Annotated[float, Param("rmax", unit="Å", gt=0, help="Last distance of G(r).")] = 30.0
    rstep: Annotated[float, Param("rstep", unit="Å", gt=0, help="Step of the distances.")] = 0.01

    @classmethod
    def from_cfg(cls, path: str | os.PathLike[str], section: str | None = None) -> PDFConfig:
        """Read a configuration from a ``.cfg`` file or from the header of a ``.gr``, ``.fq``, ``.sq`` or ``.iq`` file.

        Parameters
        ----------
        path : path
            The file. Files of PDFgetX3, of its graphical front ends, and ours.
        section : str, optional
            Section of a ``.cfg`` file; keys that it does not set come from ``[DEFAULT]``.

        Returns
        -------
        PDFConfig
            Keys that name files, output and screens are passed over. An unknown key is an error in a ``.cfg`` file,
            which a person typed, and passed over in the header of a data file, which a program wrote.

        Raises
        ------
        InputError
            If the file cannot be read or holds no configuration.
        ParameterError
            If a value is wrong, a key unknown, or the section missing.
        """
        pairs = read_keys(read_text(path), section, cls.model_fields, str(path))
        try:
            return cls(**{key: _value(key, text) for key, text in pairs.items()})
        except DaisyError as error:
            raise ParameterError(f"{os.fspath(path)}: {error}") from None

    def to_cfg(self, path: str | os.PathLike[str]) -> None:
        """Write the configuration as a ``.cfg`` file that :meth:`from_cfg` and PDFgetX3 read.

        Parameters
        ----------
        path : path
            Where to write; an existing file is replaced in one step.
        """
        write_text(path, self.cfg_text())

    def cfg_text(self) -> str:
        """Return the text of :meth:`to_cfg`: a ``[DEFAULT]`` section without the keys that are not set."""
        return write_keys(self.model_dump())


_FLOATS = frozenset(("wavelength", "twothetazero", "rpoly", "qmaxinst", "qmin", "qmax", "rmin", "rmax", "rstep"))
_FORMATS = {"twotheta": "twotheta", "qa": "QA", "qnm": "Qnm"}


def _value(key: str, text: str) -> Any:
    """Turn the text of one key into the value of its field; what is not a number stays text for the model to refuse."""
    if key in _FLOATS:
        return _number(text)
    if key == "bgscale":
        return tuple(_number(item) for item in text.replace(",", " ").split())
    if key == "terminationfunctions":
        return tuple(text.lower().replace(",", " ").split())
    if key == "dataformat":
        return _FORMATS.get(text.lower(), text)
    return text.lower() if key == "mode" else text


def _number(text: str) -> Any:
    try:
        return float(text.partition("#")[0])
    except ValueError:
        return text
