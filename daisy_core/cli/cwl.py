"""``daisy cwl``: export algorithms and workflows as CWL, check and run CWL documents."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import registry
from ..errors import DaisyError


def cwl_command(words: Sequence[str]) -> int:
    """Do what the words after ``daisy cwl`` ask for and return the exit status."""
    own, _, more = _cut(words)
    arguments = _parser().parse_args(own)
    arguments.more = more
    return arguments.command(arguments)


def _cut(words: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Return the words before and after ``--``: the latter are for the runner."""
    items = list(words)
    at = items.index("--") if "--" in items else len(items)
    return items[:at], "--", items[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="daisy cwl", description="Common Workflow Language v1.2. A tool of others runs as any algorithm: daisy run tool.cwl ..."
    )  # fmt: skip
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    exported = commands.add_parser("export", help="write algorithms and workflows as CWL documents")
    exported.add_argument("name", nargs="*", help="pdf.reduce, my.py:func or workflow.json")
    exported.add_argument(
        "--all", action="store_true", help="everything that is installed; what cannot be exported is listed"
    )
    exported.add_argument("--out", metavar="DIR", required=True, help="folder of the documents")
    exported.add_argument(
        "--without", metavar="INPUT", action="append", default=[], help="leave an optional input out; repeatable"
    )
    exported.add_argument(
        "--single", metavar="INPUT", action="append", default=[],
        help="the items of this input are in one file: maps scatter over ranges of it; repeatable",
    )  # fmt: skip
    exported.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="value of a structural parameter; repeatable"
    )
    exported.set_defaults(command=export_command)

    checked = commands.add_parser("validate", help="check CWL documents with cwltool")
    checked.add_argument("file", nargs="+", help="a CWL document")
    checked.set_defaults(command=validate_command)

    run = commands.add_parser("run", help="run a CWL document: daisy cwl run FILE JOB.yml [-- options of the runner]")
    run.add_argument("file", help="a CommandLineTool or Workflow")
    run.add_argument("job", nargs="?", help="its inputs, YAML or JSON")
    run.add_argument("--runner", choices=["cwltool", "toil"], default="cwltool", help="who runs it (default cwltool)")
    run.add_argument("--outdir", metavar="DIR", default=".", help="where the outputs go (default: here)")
    run.set_defaults(command=run_command)

    node = commands.add_parser("node", help="what exported tools call")
    node.add_argument("name", help="the algorithm")
    node.add_argument("inputs", type=Path, help="its CWL inputs, JSON")
    node.add_argument("--version", default="", help="the version that was exported")
    node.add_argument("--module", default="", help="a module to import first")
    node.add_argument("--read", default="", metavar="PORT", help="only read the file of this port")
    node.add_argument("--declared", type=Path, metavar="FILE", help="the file that declares it")
    node.set_defaults(command=node_command)
    return parser


def export_command(arguments: argparse.Namespace) -> int:
    """Write documents."""
    from ..cwl.export import export

    if bool(arguments.name) == arguments.all:
        raise DaisyError("name what to export, or give --all")
    names = [name for name in registry.all_names() if _of_an_app(name)] if arguments.all else arguments.name
    for name in names:
        try:
            settled = _settings(name, arguments.set)
            print(export(name, arguments.out, without=arguments.without, single=arguments.single, params=settled))
        except DaisyError as error:
            if not arguments.all:
                raise
            print(f"refused: {error}", file=sys.stderr)
    return 0


def _of_an_app(name: str) -> bool:
    return name.partition(".")[0] in registry.apps()


def _settings(name: str, words: Sequence[str]) -> dict[str, Any]:
    from .options import parse_word

    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        known = registry.find(name).parameters
        if not equals or key not in known:
            raise DaisyError(f"--set needs NAME=VALUE of a parameter of {name}; got '{word}'")
        found[key] = parse_word(value, known[key].annotation)
    return found


def validate_command(arguments: argparse.Namespace) -> int:
    """Check documents."""
    from ..cwl.runner import validate

    for file in arguments.file:
        validate(file)
        print(f"{file} is valid CWL")
    return 0


def run_command(arguments: argparse.Namespace) -> int:
    """Run a document and print its output object."""
    from ..cwl.runner import run

    found = run(
        arguments.file, arguments.job, runner=arguments.runner, outdir=arguments.outdir, arguments=arguments.more
    )
    print(json.dumps(found, indent=1, ensure_ascii=False))
    return 0


def node_command(arguments: argparse.Namespace) -> int:
    """Run one node."""
    from ..cwl.node import run_node

    run_node(arguments.name, arguments.inputs, version=arguments.version, module=arguments.module, read=arguments.read,
             declared=arguments.declared)  # fmt: skip
    return 0
