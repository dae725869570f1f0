"""Data that the tests of the pages write themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_pattern(path: Path, level: float = 1.0, peaks: float = 1.0) -> Path:
    """Write the pattern of a liquid-like sample of heavy atoms, with uncertainties.

    Parameters
    ----------
    path : Path
        Where to write Q (1/Å), intensity and sigma.
    level : float
        Overall intensity.
    peaks : float
        Strength of the structure; 0 is a smooth background.
    """
    q = np.arange(0.5, 25.005, 0.02)
    shells = ((2.49, 1.2), (3.52, 0.6), (4.31, 2.4))
    waves = sum(number * np.sin(r * q) / (r * q) for r, number in shells) * np.exp(-0.006 * q**2)
    intensity = 1000 * level * (28**2 * np.exp(-0.02 * q**2) * (1 + 0.8 * peaks * waves) + 20)
    np.savetxt(path, np.column_stack((q, intensity, np.sqrt(intensity))), header="q_A^-1 I sigma")
    return path
