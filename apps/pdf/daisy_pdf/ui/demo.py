"""Something to try without data of one's own: a simulated exposure of nickel in a container, and its truth."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from daisy_core import InputError

from ..geometry import write_poni
from ..simulate import simulate_exposure
from ..textfile import write_text

FOLDER = "daisy-demo"


class Demo(NamedTuple):
    """The files of the demonstration."""

    image: Path
    container: Path
    poni: Path
    truth: Path

    @property
    def complete(self) -> bool:
        """True where all files are there."""
        return all(path.is_file() for path in self)


def demo_files(root: Path) -> Demo:
    """Return where the files of the demonstration are, or would be, under a root."""
    folder = root / FOLDER
    return Demo(folder / "nickel.tif", folder / "container.tif", folder / "nickel.poni", folder / "nickel-truth.gr")


def write_demo(root: Path) -> Demo:
    """Simulate the exposure and write its files, unless they are there.

    Parameters
    ----------
    root : Path
        Folder in which the folder ``daisy-demo`` is made.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    files = demo_files(root)
    if files.complete:
        return files
    try:
        files.image.parent.mkdir(exist_ok=True)
        exposure = simulate_exposure(crystal="Ni", counts=20_000.0)
        _write_tiff(files.image, exposure.image)
        _write_tiff(files.container, exposure.container)
        write_poni(exposure.geometry, files.poni)
        rows = "\n".join(f"{r:.2f} {g:.8g}" for r, g in zip(exposure.truth.r, exposure.truth.g, strict=True))
        write_text(
            files.truth,
            f"# the G(r) that was simulated: nickel\n#### start data\n#S 1\n#L r(Å)  G(Å$^{{-2}}$)\n{rows}\n",
        )
    except OSError as error:
        raise InputError(f"cannot write the demonstration to {files.image.parent}: {error.strerror}") from error
    return files


def _write_tiff(path: Path, image: np.ndarray) -> None:
    from fabio.tifimage import TifImage

    TifImage(data=np.asarray(image, np.uint32)).write(str(path))
