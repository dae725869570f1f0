"""The command ``daisy``: list, show, run, runs, cancel, new, ui."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..errors import Cancelled, DaisyError, ParameterError, RunError

OK, FAILED, USAGE, CANCELLED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Returns
    -------
    int
        0 when it worked, 1 when a run failed, 2 for wrong usage or bad input, 130 when cancelled.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == ["run"]:
            from .run import run_command

            return run_command(words[1:])
        if words[:1] == ["runs"]:
            from .catalogue import runs_command

            return runs_command(words[1:])
        if words[:1] == ["cwl"]:
            from .cwl import cwl_command

            return cwl_command(words[1:])
        arguments = _parser().parse_args(words)
        return arguments.command(arguments)
    except RunError as error:
        return _complain(error, FAILED)
    except DaisyError as error:
        return _complain(error, USAGE)
    except (Cancelled, KeyboardInterrupt):
        return _complain("cancelled", CANCELLED)
    except BrokenPipeError:
        sys.stderr.close()
        return OK


def _complain(error: object, status: int) -> int:
    text = str(error) if not isinstance(error, ParameterError) else f"{error}"
    print(f"daisy: {text}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    from .. import __version__
    from . import doctor, listing, new_app, resume, ui

    parser = argparse.ArgumentParser(
        prog="daisy",
        description="From detector data to science: run algorithms and workflows, look at runs, open the web apps.",
        epilog="Begin with 'daisy list', then 'daisy show NAME' and 'daisy run NAME --help'.",
    )
    parser.add_argument("--version", action="version", version=f"daisy-suite {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listed = commands.add_parser("list", help="the installed techniques, their workflows and algorithms")
    listed.add_argument("app", nargs="?", help="only this technique")
    listed.add_argument("--json", action="store_true", help="as JSON")
    listed.set_defaults(command=listing.list_command)

    shown = commands.add_parser("show", help="one algorithm or workflow: inputs, parameters, documentation")
    shown.add_argument("name", help="pdf.reduce, my.py:func or workflow.json")
    shown.add_argument("--json", action="store_true", help="its JSON schema, and the graph of a workflow")
    shown.set_defaults(command=listing.show_command)

    commands.add_parser(
        "run", help="run an algorithm or workflow: daisy run NAME FILE ... --out results.nxs", add_help=False
    )

    commands.add_parser(
        "runs", help="the runs, newest first; one of them; runs prune, tag, untag, publish", add_help=False
    )

    cancel = commands.add_parser("cancel", help="ask a run to stop")
    cancel.add_argument("id", help="a run id")
    cancel.add_argument("--runs", metavar="DIR", help="folder of runs (default: DAISY_RUNS or ./runs)")
    cancel.set_defaults(command=listing.cancel_command)

    resumed = commands.add_parser("resume", help="go on with a run that was lost, failed or cancelled")
    resumed.add_argument("id", help="a run id")
    resumed.add_argument("--runs", metavar="DIR", help="folder of runs (default: DAISY_RUNS or ./runs)")
    resumed.add_argument("--quiet", action="store_true", help="no progress and no summary")
    resumed.set_defaults(command=resume.resume_command)

    cache = commands.add_parser("cache", help="the results kept for later runs: daisy cache prune --limit 5GB")
    cache.add_argument("what", choices=["show", "prune"], nargs="?", default="show", help="show (default) or prune")
    cache.add_argument("--cache", metavar="DIR", help="the folder (default: DAISY_CACHE)")
    cache.add_argument("--limit", metavar="BYTES", help="prune: what may stay, for example 5GB")
    cache.add_argument("--older", metavar="AGE", help="prune: what was not used for so long, for example 30d")
    cache.set_defaults(command=resume.cache_command)

    new = commands.add_parser("new", help="begin something new: daisy new app NAME")
    new.add_argument("what", choices=["app"], help="what to begin")
    new.add_argument("name", help="lower-case name of the technique, for example 'raman'")
    new.add_argument("--folder", default=".", help="where to make it (default: here)")
    new.set_defaults(command=new_app.new_command)

    examined = commands.add_parser("doctor", help="what this machine has, and what each missing thing would enable")
    examined.add_argument("--json", action="store_true", help="as JSON")
    examined.set_defaults(command=doctor.doctor_command)

    commands.add_parser("cwl", help="export as CWL, check and run CWL documents: daisy cwl --help", add_help=False)

    screen = commands.add_parser("ui", help="open the web apps in the browser")
    screen.add_argument("app", nargs="?", help="one technique; all without it")
    screen.add_argument(
        "--port", type=int, default=None, help="port on this machine (default: the first free one from 8501)"
    )
    screen.add_argument(
        "--root", action="append", metavar="DIR", help="a folder whose data may be opened (default: here); repeatable"
    )
    screen.add_argument("--no-browser", action="store_true", help="do not open a browser")
    screen.set_defaults(command=ui.ui_command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
