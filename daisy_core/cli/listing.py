"""``daisy list``, ``show`` and ``cancel``: what there is, and stopping what goes on."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .. import registry
from ..algorithm import Algorithm
from ..errors import DaisyError, RunError
from ..runs import RunFolder
from ..signature import REQUIRED, type_name
from ..workflow import Workflow


def wide_console() -> Console:
    """Return a console that does not cut what goes into a pipe or a file."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 160))


def list_command(arguments: argparse.Namespace) -> int:
    """Show the installed apps and what they declare."""
    known = registry.apps()
    if arguments.app is not None and arguments.app not in known:
        raise DaisyError(
            f"there is no app '{arguments.app}'{registry.suggest(arguments.app, known)}; 'daisy list' shows all"
        )
    chosen = [known[arguments.app]] if arguments.app else list(known.values())
    if arguments.json:
        print(json.dumps([_app_json(app) for app in chosen], indent=1, ensure_ascii=False))
        return 0
    console = wide_console()
    for app in chosen:
        console.print(f"[bold]{escape(app.name)}[/]  {escape(app.title)}")
        if app.missing:
            console.print(f"  [yellow]not ready: {', '.join(app.missing)} missing[/]; {escape(app.install_line)}")
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
        for item in registry.algorithms(app.name):
            table.add_row(escape(item.name), item.kind if item.reads is None else "reader", escape(item.summary))
        console.print(table)
    if not chosen:
        console.print('No technique is installed; for example: pip install "daisy-suite\\[pdf]"')
    return 0


def _app_json(app: registry.App) -> dict[str, Any]:
    items = [
        {"name": item.name, "kind": item.kind, "version": item.version, "summary": item.summary}
        for item in registry.algorithms(app.name)
    ]
    return {
        "name": app.name,
        "title": app.title,
        "missing": list(app.missing),
        "install": app.install_line,
        "algorithms": items,
    }


def show_command(arguments: argparse.Namespace) -> int:
    """Show one algorithm or workflow."""
    found = registry.find(arguments.name)
    if arguments.json:
        ports = {
            name: {"type": type_name(port.annotation), "required": port.required} for name, port in found.ports.items()
        }
        content: dict[str, Any] = {
            "name": found.name,
            "version": found.version,
            "kind": found.kind,
            "inputs": ports,
            "params": found.schema(),
        }
        if isinstance(found, Workflow):
            content["graph"] = found.full_graph().to_json()
        print(json.dumps(content, indent=1, ensure_ascii=False))
        return 0
    console = wide_console()
    console.print(f"[bold]{escape(found.name)}[/] ({found.kind}, version {found.version})\n\n{escape(found.doc)}\n")
    _ports_table(console, found)
    _params_table(console, found)
    if isinstance(found, Workflow):
        _nodes_table(console, found)
    return 0


def _ports_table(console: Console, found: Algorithm[..., Any]) -> None:
    from .options import reader_options

    table = Table(title="Inputs", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("name", "type", "", "options of its reader"):
        table.add_column(column)
    for name, port in found.ports.items():
        options = ", ".join(f"--{name}.{option}" for option in reader_options(port))
        table.add_row(name, escape(type_name(port.annotation)), "" if port.required else "optional", options)
    console.print(table, "")


def _params_table(console: Console, found: Algorithm[..., Any]) -> None:
    from .options import flatten

    rows = flatten(found)
    if not rows:
        return
    table = Table(title="Parameters", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("option", "type", "default", "unit", "meaning"):
        table.add_column(column)
    for row in rows:
        default = "required" if row.default is REQUIRED else ("" if row.default is None else str(row.default))
        table.add_row(f"--{row.option}", escape(row.kind), escape(default), row.unit or "", escape(row.text))
    console.print(table, "")


def _nodes_table(console: Console, found: Workflow[..., Any]) -> None:
    table = Table(title="Graph", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("node", "algorithm", "how", "inputs"):
        table.add_column(column)
    for node in found.full_graph().nodes.values():
        links = ", ".join(f"{port} ← {ref}" for port, ref in node.links())
        table.add_row(node.id, node.algorithm.name, node.kind, escape(links))
    console.print(table)


def cancel_command(arguments: argparse.Namespace) -> int:
    """Ask a run to stop."""
    folder = RunFolder.find(arguments.id, Path(arguments.runs) if arguments.runs else None)
    state = folder.state()
    if state not in ("pending", "running"):
        raise RunError(f"run {folder.id} is {state}; there is nothing to cancel")
    folder.request_cancel()
    print(f"asked run {folder.id} to stop")
    return 0
