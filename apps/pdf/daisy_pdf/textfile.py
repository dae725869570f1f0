"""Text files of the beamline: read whatever encoding they have, and write them whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from daisy_core import InputError


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a file.

    Parameters
    ----------
    path : path
        Any text file; UTF-8 (with or without a byte-order mark) or Latin-1.

    Raises
    ------
    InputError
        If the path is missing, a folder, a pipe, unreadable, empty or not text.
    """
    path = Path(path)
    try:
        kind = path.stat().st_mode
        # Reading from a pipe or a device would wait, perhaps for ever.
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise InputError(f"{path} is not a regular file (a pipe or a device?); save the data in a file first")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the name and the folder ({path.absolute().parent})") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; give one file in it") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the permissions") from None
    if not raw.strip():
        raise InputError(f"{path} is empty; was the measurement or the copy interrupted?")
    if b"\0" in raw:
        raise InputError(
            f"{path} is not a text file (it holds binary data); images and HDF5 files have readers of their own"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file under a temporary name and rename it, so that nobody ever sees half of it.

    Parameters
    ----------
    path : path
        Where to write; an existing file is replaced.
    text : str
        Written as UTF-8 with ``\\n`` line ends.

    Returns
    -------
    Path
        The path written.

    Raises
    ------
    InputError
        If the folder does not exist or cannot be written to.
    """
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InputError(
            f"{path}: cannot write there ({error.strerror}); check the folder and its permissions"
        ) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputError(f"{path}: could not be written ({error.strerror})") from None
    return path


def _umask() -> int:
    """Return the umask; a temporary file is private, the finished one is as open as any other."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
