"""The ad hoc reduction of a powder pattern to G(r), as introduced by PDFgetX3: no absolute scale, no geometry.

The arrays-in, arrays-out core is :class:`daisy_pdf.operators.PDFOperator`; here data objects are put around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np

from daisy_core import InputError, Param, ParameterError, algorithm, replace

from . import checks
from .config import PDFConfig
from .data import Intensity, PairDistribution, Pattern, PDFResult, ReducedStructureFunction, StructureFunction
from .grid import ROUNDED, Array, Grid, Interpolation, q_grid
from .operators import PDFOperator, pdf_operator
from .uncertainty import gr_sigma


class Prepared(NamedTuple):
    """A sample and its backgrounds on one Q grid, ready to be reduced; see :func:`prepare`."""

    operator: PDFOperator
    interpolate: Interpolation
    background: Array
    covariance: Any
    config: PDFConfig
    warnings: tuple[str, ...]


@algorithm(version="1")
def pair_distribution(
    pattern: Pattern,
    backgrounds: Sequence[Pattern] = (),
    *,
    config: Annotated[PDFConfig, Param("PDF configuration")],
) -> PDFResult:
    """Reduce a powder pattern to S(Q), F(Q) and G(r) with the ad hoc correction of PDFgetX3.

    Sample and backgrounds are interpolated onto one regular Q grid, each on its own, and subtracted; the intensities are
    divided by ``<f>^2`` and scaled to the scattering of free atoms; a polynomial takes what varies slowly off F(Q); its
    sine transform is G(r). That needs nothing but a composition, and so **G is not on an absolute scale**: distances and
    relative intensities are right, coordination numbers must not be read off it.

    Parameters
    ----------
    pattern : Pattern
        The sample. Points that are NaN are left out.
    backgrounds : sequence of Pattern
        Container, air and the like, each with its own ``bgscale`` or all with one.
    config : PDFConfig
        Composition, ranges and corrections.

    Returns
    -------
    PDFResult
        ``gr`` with the standard uncertainty propagated from that of the intensities, where the pattern has one, for a fixed
        scale (see :func:`daisy_pdf.uncertainty.gr_sigma`); ``fq`` with its polynomial and ``sq``, both from qmin to qmax;
        ``iq`` on the grid up to qmaxinst; ``config`` with the ``qmaxinst`` and ``qmax`` that were used.

    Raises
    ------
    InputError
        If the data cannot be reduced: all zero, NaN, unsorted, in the wrong unit, oversubtracted.
    ParameterError
        If the configuration is incomplete or contradicts itself.

    References
    ----------
    P. Juhás, T. Davis, C. L. Farrow, S. J. L. Billinge, J. Appl. Cryst. 46, 560 (2013),
    doi:10.1107/S0021889813005190

    Examples
    --------
    >>> q = np.arange(0.5, 25, 0.02)
    >>> f2 = 28**2 * np.exp(-0.02 * q**2) + 1
    >>> result = pair_distribution(Pattern(q, f2 * (1 + np.sin(2.5 * q) / q)), config=PDFConfig(composition="Ni", qmin=0.5))
    >>> result.absolute
    False
    """
    pattern, notes = _valid(pattern)
    prepared = prepare(pattern, backgrounds, config=config)
    operator = prepared.operator
    q, r = operator.q.values, operator.r.values
    intensity = prepared.interpolate(pattern.intensity) - prepared.background
    notes += [*prepared.warnings, *checks.negative_share(intensity, q)]
    stages = operator.stages(intensity)
    normalised = intensity * operator.per_atom / np.abs(intensity).max()
    notes += [*checks.hot_point(q, normalised), *checks.first_peak(r, stages.g)]
    notes += checks.peaks(r, stages.g, prepared.config)
    scale, errors, sigma = float(stages.scale), None, None
    if prepared.covariance is not None:
        errors = np.sqrt(prepared.covariance.diagonal())
        notes += checks.low_counts(normalised, (errors * operator.per_atom / np.abs(intensity).max()) ** 2)
        sigma = gr_sigma(operator, scale, prepared.covariance)
    kept = q[: operator.used]
    return PDFResult(
        gr=PairDistribution(r, stages.g, sigma),
        fq=ReducedStructureFunction(kept, stages.f, stages.polynomial),
        sq=StructureFunction(kept, stages.s),
        iq=Intensity(q, intensity, errors),
        scale=scale,
        config=prepared.config,
        warnings=tuple(dict.fromkeys(notes)),
        sources=tuple(item.source for item in (pattern, *backgrounds)),
    )


def reduce_many(
    q: Array, intensities: Array, backgrounds: Sequence[Pattern] = (), *, config: PDFConfig, workers: int = 1
) -> tuple[Array, Array]:
    """Reduce a series of patterns that share their Q points, as one matrix: for time series and scans.

    Parameters
    ----------
    q : (nq,) array
        Ascending Q of the points, 1/Å.
    intensities : (n, nq) array
        One pattern a row. The limits of Q are those of the mean pattern.
    backgrounds : sequence of Pattern
        Subtracted from each.
    config : PDFConfig
        Composition, ranges and corrections.
    workers : int
        Threads.

    Returns
    -------
    r : (nr,) array
        Distances, Å.
    g : (n, nr) array
        G(r), 1/Å²; the same numbers that :func:`pair_distribution` gives one by one.

    Raises
    ------
    InputError
        If the data cannot be reduced.
    """
    intensities = np.atleast_2d(_real(intensities, "the series", "intensities"))
    if not np.all(np.isfinite(intensities)):
        raise InputError("the series holds NaN or infinite intensities; leave those points out of all patterns first")
    pattern, _ = _valid(Pattern(q, intensities.mean(axis=0), source="the series"))
    prepared = prepare(pattern, backgrounds, config=config)
    on_grid = prepared.interpolate(intensities) - prepared.background
    _check_rows(pattern.q, intensities, on_grid, prepared.config)
    return prepared.operator.r.values, prepared.operator.apply(on_grid, workers=workers)


def _check_rows(q: Array, intensities: Array, on_grid: Array, config: PDFConfig) -> None:
    """Refuse a series that holds a pattern which alone would be refused, or reduced over another range of Q."""
    end = q.size - 1 - np.argmax(intensities[:, ::-1] != 0, axis=1)
    ends = np.where(np.any(intensities != 0, axis=1), q[end], 0.0)
    short = ends < (config.qmaxinst or 0.0) - ROUNDED
    if short.any():
        row = int(np.argmax(short))
        raise InputError(
            f"pattern {row} of the series is zero above Q = {ends[row]:.4g} 1/Å, before the others end; lower qmaxinst to "
            "that, or leave the pattern out"
        )
    negative = (on_grid < 0).mean(axis=1) > 0.5
    if negative.any():
        raise InputError(
            f"most intensities of pattern {int(np.argmax(negative))} of the series are negative after background "
            "subtraction; lower bgscale, or leave the pattern out"
        )


def prepare(pattern: Pattern, backgrounds: Sequence[Pattern] = (), *, config: PDFConfig) -> Prepared:
    """Settle the Q grid of a sample and its backgrounds, and what does not depend on the intensities.

    Parameters
    ----------
    pattern : Pattern
        The sample.
    backgrounds : sequence of Pattern
        Each is interpolated onto the grid on its own: measured points need not agree.
    config : PDFConfig
        What was asked for.

    Returns
    -------
    Prepared
        The operator; the interpolation of the sample; the scaled sum of the backgrounds ``(nq,)``; the covariance of the
        background-subtracted intensities (sparse, or None where the sample has no uncertainties); the configuration with
        the ``qmaxinst``, ``qmax`` and ``bgscale`` that hold.
    """
    pattern, _ = _valid(pattern)
    others, notes = [], list[str]()
    for item in backgrounds:
        other, more = _valid(item)
        others.append(other)
        notes += more
    name = pattern.source or "the sample"
    config = config.model_copy(update={"bgscale": _scales(config, len(others), notes)})
    config = config.model_copy(update={"qmaxinst": _common_end(config, pattern, others, notes)})
    qmaxinst, qmax, more = checks.limits(config, pattern.q, pattern.intensity, name)
    config = config.model_copy(update={"qmaxinst": qmaxinst, "qmax": qmax})
    grid = q_grid(pattern.q, config.qmin, qmaxinst)
    operator = pdf_operator(grid, config)
    if operator.used < 10:
        raise InputError(f"only {operator.used} points lie between qmin = {config.qmin:g} and qmax = {qmax:g} 1/Å")
    notes += [*more, *checks.leading_data(config, pattern.q, pattern.intensity, grid.step, name)]
    notes += checks.holes(pattern.q, pattern.intensity, grid, name)
    notes += [*checks.sampling(grid, qmax, operator.r), *operator.warnings]

    interpolate = Interpolation(pattern.q, grid)
    covariance = None if pattern.sigma is None else interpolate.covariance(pattern.sigma)
    if covariance is not None and not covariance.diagonal().any():
        covariance = None
        notes.append(f"{name}: the uncertainties are all zero in the range of Q that is used; they were left out")
    background = np.zeros(grid.count)
    for other, scale in zip(others, config.bgscale, strict=False):
        onto = Interpolation(other.q, grid)
        background += scale * onto(other.intensity)
        if covariance is not None and other.sigma is not None:
            covariance = covariance + onto.covariance(scale * other.sigma)
        notes += _background_notes(other, grid, covariance is not None)
    return Prepared(operator, interpolate, background, covariance, config, tuple(notes))


def _valid(pattern: Pattern) -> tuple[Pattern, list[str]]:
    """Return the pattern in float64 without NaN points, and its warnings; refuse what is no pattern."""
    name = pattern.source or "the pattern"
    q, intensity = _real(pattern.q, name, "Q"), _real(pattern.intensity, name, "intensities")
    sigma = None if pattern.sigma is None else _real(pattern.sigma, name, "uncertainties")
    notes = list(pattern.warnings)
    good = np.isfinite(q) & np.isfinite(intensity) & (True if sigma is None else np.isfinite(sigma))
    if not good.any():
        raise InputError(f"{name} holds no numbers: every point is NaN or infinite")
    if not good.all():
        lost = q[~good & np.isfinite(q)]
        where = f", between Q = {lost.min():.4g} and {lost.max():.4g} 1/Å" if lost.size else ""
        notes.append(f"{name}: {np.sum(~good)} of {good.size} points are NaN (empty bins){where}; they were left out")
        q, intensity, sigma = q[good], intensity[good], None if sigma is None else sigma[good]
    if q[0] < 0:
        raise InputError(f"{name}: Q starts at {q[0]:g} 1/Å; it cannot be negative")
    if np.any(np.diff(q) <= 0):
        at = float(q[int(np.argmax(np.diff(q) <= 0))])
        raise InputError(
            f"{name}: Q does not increase after {at:.6g} 1/Å; sort the points and join those at the same Q"
        )
    if sigma is not None and np.any(sigma < 0):
        raise InputError(f"{name}: some uncertainties are negative")
    return replace(pattern, q=q, intensity=intensity, sigma=sigma, warnings=tuple(notes)), notes


def _real(values: Any, name: str, what: str) -> Array:
    """Return the numbers in float64; a complex or text array is none."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name}: {what} must be real numbers, not {array.dtype}")
    return array.astype(float, copy=False)


def _scales(config: PDFConfig, count: int, notes: list[str]) -> tuple[float, ...]:
    """Pair the scales with the backgrounds."""
    scales = config.bgscale
    if count == 0:
        if scales != (1.0,):
            notes.append(f"bgscale = {' '.join(f'{item:g}' for item in scales)} has no effect: no background was given")
        return scales
    if len(scales) not in (1, count):
        raise ParameterError(
            f"bgscale has {len(scales)} values for {count} background(s); give one for all or one for each"
        )
    return scales * count if len(scales) == 1 else scales


def _common_end(config: PDFConfig, pattern: Pattern, others: Sequence[Pattern], notes: list[str]) -> float | None:
    """Return qmaxinst, not beyond the end of any background."""
    filled = np.flatnonzero(pattern.intensity)
    last = float(pattern.q[filled[-1]]) if filled.size else 0.0
    end = last if config.qmaxinst is None else min(config.qmaxinst, last)
    for other in others:
        if other.q[-1] <= max(config.qmin, float(pattern.q[0])) or other.q[0] >= end:
            raise InputError(
                f"{other.source or 'a background'} covers Q = {other.q[0]:.4g} to {other.q[-1]:.4g} 1/Å and does not overlap "
                "with the range of the sample that is used; is it in another unit?"
            )
        if other.q[-1] < end - ROUNDED:
            end = float(other.q[-1])
            notes.append(
                f"{other.source or 'a background'} ends at Q = {end:.6g} 1/Å, before the sample; qmaxinst was lowered to that"
            )
    return end if end < last and (config.qmaxinst is None or end < config.qmaxinst) else config.qmaxinst


def _background_notes(other: Pattern, grid: Grid, sample_has_sigma: bool) -> Iterator[str]:
    name = other.source or "a background"
    if sample_has_sigma and other.sigma is None:
        yield f"{name} has no uncertainties; those of G(r) come from the sample (and other backgrounds) alone"
    filled = np.flatnonzero(other.intensity)
    if filled.size == 0:
        raise InputError(f"{name}: all intensities are zero; leave this background out")
    yield from checks.holes(other.q, other.intensity, grid, name)
    if other.q[filled[-1]] < grid.stop - ROUNDED:
        yield f"{name} is zero above Q = {other.q[filled[-1]]:.4g} 1/Å: nothing is subtracted there"
    if other.q[0] - grid.start > 2 * grid.step:
        yield f"{name} starts at Q = {other.q[0]:.4g} 1/Å; below, its first intensity is held constant"
