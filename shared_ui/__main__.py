"""``python -m shared_ui``: what ``daisy ui`` starts."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the pages and return the exit status: 0, or 2 if they could not be started."""
    parser = argparse.ArgumentParser(prog="daisy ui", description="Open the web apps in the browser.")
    parser.add_argument("app", nargs="?", help="one technique; all without it")
    parser.add_argument("--port", type=int, help="port on this machine (default: the first free one from 8501)")
    parser.add_argument("--root", type=Path, action="append", default=[], metavar="DIR",
                        help="a folder whose files may be opened (default: here); repeatable")  # fmt: skip
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    chosen = parser.parse_args(argv)
    # Set before NumPy is loaded. What a page computes is small, and threads of BLAS that wait for a core beside the
    # browser make it several times slower.
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

    from daisy_core import DaisyError

    from .server import serve

    try:
        serve(chosen.app, port=chosen.port, root=chosen.root, headless=chosen.no_browser)
    except DaisyError as error:
        print(f"daisy: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
