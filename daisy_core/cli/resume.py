"""``daisy resume`` goes on with a run; ``daisy cache`` looks after the results kept for later runs."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from rich.console import Console

from ..checkpoints import ResultFiles
from ..errors import DaisyError, ParameterError
from ..launch import resume
from ..runs import RunFolder

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def resume_command(arguments: argparse.Namespace) -> int:
    """Go on with a run and return the exit status."""
    from .run import finish, watched

    folder = RunFolder.find(arguments.id, Path(arguments.runs) if arguments.runs else None)
    console = Console(stderr=True, quiet=arguments.quiet)
    inline = folder.request()["engine"]["kind"] == "inline"
    run = watched(lambda listen: resume(folder, listen=listen), console, inline=inline)
    states = list(run.tasks.values())
    console.print(
        f"{states.count('cached')} of {len(states)} tasks were kept, {states.count('skipped')} were not needed again, "
        f"{states.count('succeeded')} computed now",
        highlight=False,
    )
    return finish(run, None, console)


def cache_command(arguments: argparse.Namespace) -> int:
    """Show or prune the cache.

    Raises
    ------
    DaisyError
        If no folder is named.
    """
    folder = arguments.cache or os.environ.get("DAISY_CACHE")
    if not folder:
        raise DaisyError("no cache: name its folder with --cache or DAISY_CACHE")
    cache = ResultFiles(folder)
    if arguments.what == "prune":
        if arguments.limit is None and arguments.older is None:
            raise DaisyError("daisy cache prune needs --limit (what may stay, 5GB) or --older (an age, 30d)")
        from ..catalogue.times import parse_age

        limit = None if arguments.limit is None else parse_size(arguments.limit)
        removed = cache.prune(limit, None if arguments.older is None else parse_age(arguments.older))
        print(f"removed {len(removed)} results, {sum(entry.nbytes for entry in removed):,} bytes")
    kept = list(cache.entries())
    print(f"{folder}: {len(kept)} results, {sum(entry.nbytes for entry in kept):,} bytes")
    return 0


def parse_size(text: str) -> int:
    """Return bytes of a size such as ``5GB``.

    Raises
    ------
    ParameterError
        If it is not a size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([kKMGT]?B?)\s*", text)
    unit = found[2].upper() if found else ""
    if found is None or (unit and unit not in _UNITS):
        raise ParameterError(f"'{text}' is not a size; write bytes or a number with kB, MB, GB or TB")
    return int(float(found[1]) * _UNITS[unit])
