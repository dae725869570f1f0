"""The named workflows: ``pdf.reduce`` for patterns, ``pdf.reduce_image`` for detector images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from daisy_core import Frame, Mask, Param, workflow

from .adhoc import pair_distribution
from .config import PDFConfig
from .data import Geometry, Pattern, PDFResult
from .integration import integrate


@workflow(version="1")
def reduce(
    pattern: Pattern, backgrounds: Sequence[Pattern] = (), *, config: Annotated[PDFConfig, Param("PDF configuration")]
) -> PDFResult:
    """Turn a powder pattern into S(Q), F(Q) and G(r).

    Parameters
    ----------
    pattern : Pattern
        Intensity of the sample.
    backgrounds : sequence of Pattern
        Containers, air, ...; each is subtracted with its ``bgscale``.
    config : PDFConfig
        Composition, Q limits, polynomial, r grid.

    Returns
    -------
    PDFResult
        G(r) with its uncertainty, F(Q), S(Q), the subtracted intensity, the scale and warnings.
    """
    return pair_distribution(pattern, backgrounds, config=config)


@workflow(version="1")
def reduce_image(
    image: Frame,
    geometry: Geometry,
    backgrounds: Sequence[Frame] = (),
    mask: Mask | None = None,
    *,
    npt: Annotated[int, Param("Radial bins", help="number of Q bins of the integration", ge=10)] = 2000,
    config: Annotated[PDFConfig, Param("PDF configuration")],
) -> PDFResult:
    """Integrate detector images and turn them into S(Q), F(Q) and G(r).

    Parameters
    ----------
    image : Frame
        Detector image of the sample, ``(y, x)``, counts.
    geometry : Geometry
        Where the detector stands, from a PONI file.
    backgrounds : sequence of Frame
        Images of the empty container, of air, ...; integrated alike and subtracted with their ``bgscale``.
    mask : Mask, optional
        Pixels to leave out.
    npt : int
        Radial bins.
    config : PDFConfig
        Composition, Q limits, polynomial, r grid.

    Returns
    -------
    PDFResult
        G(r) with its uncertainty, F(Q), S(Q), the subtracted intensity, the scale and warnings.
    """
    pattern = integrate(image, geometry, mask, npt=npt)
    patterns = integrate.named("background").map(backgrounds, geometry, mask, npt=npt)
    return pair_distribution(pattern, patterns, config=config)
