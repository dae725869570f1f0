"""``daisy run``: one run, with a progress bar, a run folder and results."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from .. import registry
from ..algorithm import Algorithm
from ..engine import KINDS, Run, WorkflowEngine
from ..errors import DaisyError, RunError
from ..launch import cancelling
from ..runs import RunFolder, default_root
from .options import add_options, collect_inputs, collect_params


def run_command(words: Sequence[str]) -> int:
    """Run what the words ask for and return the exit status."""
    if not words or words[0] in ("-h", "--help"):
        print(
            "usage: daisy run NAME INPUT ... [options]\n\nNAME is pdf.reduce, my.py:func or workflow.json; 'daisy list' shows the names,"
        )
        print("'daisy run NAME --help' the inputs and parameters of one.")
        return 0 if words else 2
    name, *rest = words
    if name.startswith("-"):
        raise DaisyError(f"the name of what to run comes first: daisy run NAME ...; got '{name}'")
    algorithm = registry.find(name)
    arguments = vars(_parser(name, algorithm).parse_args(rest))
    inputs = collect_inputs(algorithm, arguments)
    params = collect_params(algorithm, arguments)
    out = _out_path(arguments["out"], algorithm)
    _spare_inputs(out, rest)
    engine = WorkflowEngine(
        arguments["engine"], workers=arguments["workers"], runs=arguments["runs"] or default_root(), gpus=arguments["gpus"],
        checkpoint=arguments["checkpoint"], cache=arguments["cache"] or os.environ.get("DAISY_CACHE"),
    )  # fmt: skip
    console = Console(stderr=True, quiet=arguments["quiet"])
    context = _context(arguments)
    run = watched(
        lambda listen: engine.submit(algorithm, inputs, params, context=context, listen=listen),
        console,
        inline=engine.kind == "inline",
    )
    return finish(run, out, console)


def _parser(name: str, algorithm: Algorithm[..., Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"daisy run {name}",
        description=algorithm.doc,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser, algorithm)
    running = parser.add_argument_group("running")
    running.add_argument(
        "--out",
        metavar="FILE",
        help="write the results here: .nxs, or a format that the app writes (a copy stays in the run folder)",
    )
    running.add_argument("--engine", choices=KINDS, default="threads", help="where it runs (default threads)")
    running.add_argument("--workers", type=int, metavar="N", help="threads or processes (default: all CPUs)")
    running.add_argument(
        "--gpus", type=int, default=0, metavar="N", help="accelerators that the tasks may use together (default 0)"
    )
    running.add_argument(
        "--checkpoint",
        choices=["none", "costly", "all"],
        default="none",
        help="results kept in the run folder for 'daisy resume' (default none; costly: those that took over a second)",
    )
    running.add_argument(
        "--cache",
        metavar="DIR",
        help="folder of results of all runs, taken from and added to (default: DAISY_CACHE, or none)",
    )
    running.add_argument("--runs", metavar="DIR", help="folder of runs (default: DAISY_RUNS or ./runs)")
    running.add_argument(
        "--context",
        action="append",
        metavar="KEY=VALUE",
        help="proposal, sample, scan, beamline or a key of yours; repeatable",
    )
    running.add_argument("--quiet", action="store_true", help="no progress and no summary")
    return parser


def _context(arguments: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in arguments["context"] or ():
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise DaisyError(f"--context needs KEY=VALUE; got '{item}'")
        found[key] = value
    return found


def _out_path(text: str | None, algorithm: Algorithm[..., Any]) -> Path | None:
    if text is None:
        return None
    path = Path(text).expanduser()
    if not path.parent.is_dir():
        raise DaisyError(f"--out {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise DaisyError(f"--out {path} is a folder; name a file in it, such as {path / 'results.nxs'}")
    if not os.access(path.parent, os.W_OK):
        raise DaisyError(f"--out {path}: the folder {path.parent} may not be written")
    known = [".nxs", ".h5", *registry.writer_suffixes(algorithm.signature.output)]
    if path.suffix not in known:
        raise DaisyError(f"--out {path}: {algorithm.name} can write {', '.join(known)}")
    return path


def _spare_inputs(out: Path | None, words: Sequence[str]) -> None:
    """Refuse to write the results over a file that the run reads."""
    if out is None or not out.exists():
        return
    for index, word in enumerate(words):
        read = Path(word.removeprefix("@").partition("::")[0]).expanduser()
        if words[index - 1] != "--out" and read.is_file() and read.samefile(out):
            raise DaisyError(f"--out {out} would overwrite a file that this run reads; choose another name")


def watched(start: Callable[[Callable[[dict[str, Any]], None]], Run], console: Console, *, inline: bool = False) -> Run:
    """Run with a progress bar for each task; Ctrl-C asks the run to stop, a second one stops at once.

    SIGTERM and SIGHUP ask it to stop as well.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bars: dict[str, Any] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=console.quiet) as progress:

        def listen(event: dict[str, Any]) -> None:
            task = event["task"]
            if task is None or ("[" in task.rpartition("/")[2] and not task.startswith("read:")):
                return
            if task not in bars:
                bars[task] = progress.add_task(escape(task), total=1.0)
            done = 1.0 if event["kind"] == "succeeded" else event.get("fraction", 0.0)
            progress.update(bars[task], completed=done)

        with cancelling(inline=inline) as started:
            run = started(start(listen))
            _wait(run)
    return run


def _wait(run: Run) -> None:
    try:
        while run.state in ("pending", "running"):
            try:
                run.wait(0.2)
            except TimeoutError:
                continue
    except KeyboardInterrupt:
        run.cancel()
        run.wait()


def finish(run: Run, out: Path | None, console: Console) -> int:
    """Say how a run ended, write what was asked for, and return the exit status."""
    from . import CANCELLED, FAILED, OK

    folder = run.folder
    assert folder is not None
    if run.state != "succeeded":
        print(
            f"daisy: run {run.id} {run.state}{': ' + run.reason() if run.error and run.state == 'failed' else ''}",
            file=sys.stderr,
        )
        console.print(f"log: {folder.log}", highlight=False, soft_wrap=True)
        return CANCELLED if run.state == "cancelled" else FAILED
    if run.cancelled() or folder.cancel_requested():
        print(f"daisy: the request to stop run {run.id} came too late: it had nothing left to stop", file=sys.stderr)
    if out is not None:
        _write_out(run, out)
    for name, value in run.outputs.items():
        _summarise(console, name, value)
    console.print(f"run [bold]{run.id}[/] succeeded; results: {out or folder.results}", highlight=False, soft_wrap=True)
    return OK


def _write_out(run: Run, out: Path) -> None:
    assert run.folder is not None
    try:
        _copy(run, run.folder, out)
    except OSError as error:
        raise RunError(
            f"run {run.id} succeeded, but {out} cannot be written: {error.strerror or error}; "
            f"the results are in {run.folder.results}"
        ) from error


def _copy(run: Run, folder: RunFolder, out: Path) -> None:
    if out.suffix in (".nxs", ".h5"):
        temporary = out.with_name(f".{out.name}.{run.id}")
        try:
            shutil.copyfile(folder.results, temporary)
            temporary.replace(out)
        finally:
            temporary.unlink(missing_ok=True)
        return
    registry.writer(run.workflow.signature.output, out.suffix)(run.result(), out)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)[:200]


def _summarise(console: Console, name: str, value: Any) -> None:
    """Print what a person wants to know of a result: its parts, and every warning."""
    from ..datatypes import is_data, summary_rows

    if not is_data(value):
        console.print(f"{name}: {escape(_shown(value))}", highlight=False, soft_wrap=True)
        return
    for field, what, unit in summary_rows(value):
        if field not in ("warnings", "config"):
            console.print(
                f"  {name if name != 'result' else ''}{'.' if name != 'result' else ''}{field}: {escape(what)} {unit}",
                highlight=False,
                soft_wrap=True,
            )
    for warning in getattr(value, "warnings", ()):
        console.print(f"  [yellow]warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)
