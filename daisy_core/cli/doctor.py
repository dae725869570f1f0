"""``daisy doctor``: what is there, what is missing, and what it would be good for."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .. import __version__
from ..doctor import Finding, examine, is_broken

_MARKS = {"found": "[green]✓[/]", "missing": "[dim]–[/]", "problem": "[yellow]![/]", "broken": "[red]✗[/]"}


def doctor_command(arguments: argparse.Namespace) -> int:
    """Show what this machine has; the status is 1 only where the kernel itself cannot work."""
    findings = examine()
    if arguments.json:
        content = {
            "version": __version__,
            "ok": not is_broken(findings),
            "findings": [asdict(item) for item in findings],
        }
        print(json.dumps(content, indent=1, ensure_ascii=False))
        return int(is_broken(findings))
    console = Console()
    groups: dict[str, list[Finding]] = {}
    for item in findings:
        groups.setdefault(item.group, []).append(item)
    widths = [max(len(getattr(item, field)) for item in findings) for field in ("name", "detail")]
    for group, items in groups.items():
        console.print(_table(group, items, widths[0], min(widths[1], console.width * 2 // 5)), "")
    _summary(console, findings)
    return int(is_broken(findings))


def _table(group: str, items: list[Finding], name_width: int, detail_width: int) -> Table:
    table = Table(
        title=group, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 1, 0, 1)
    )
    for width in (1, name_width, detail_width, None):
        table.add_column(width=width, overflow="fold")
    for item in items:
        quiet = item.state == "missing"
        more = escape(item.enables) if quiet or item.state == "problem" else f"[dim]{escape(item.enables)}[/]"
        if item.remedy:
            more = f"{more}{': ' if more else ''}[cyan]{escape(item.remedy)}[/]"
        detail = escape(item.detail)
        table.add_row(_MARKS[item.state], escape(item.name), f"[dim]{detail}[/]" if quiet else detail, more)
    return table


def _summary(console: Console, findings: list[Finding]) -> None:
    if is_broken(findings):
        names = ", ".join(item.name for item in findings if item.state == "broken")
        console.print(f"[red]The kernel cannot work here[/]: {escape(names)}")
        return
    problems = [item.name for item in findings if item.state == "problem"]
    missing = sum(item.state == "missing" for item in findings)
    told = f"; look at: {escape(', '.join(problems))}" if problems else ""
    console.print(f"[green]The kernel works.[/] {missing} optional things are not here{told}.")
