"""``daisy runs``: the results table, one run, and what keeps the disk: prune, tag, untag, publish."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..catalogue import Catalogue, RunRecord, add_tag, prune, read_record, remove_tag
from ..catalogue.times import show_bytes, show_time
from ..errors import DaisyError, RunError
from ..runs import FINAL, RunFolder, default_root

_STATES = ("pending", "running", *FINAL, "lost", "unknown")
_STYLE = {"succeeded": "green", "failed": "red", "running": "cyan", "lost": "magenta", "cancelled": "yellow"}
_SHOWN_VALUES = 8
"""Summary values that the table shows where none are asked for."""


def runs_command(words: Sequence[str]) -> int:
    """Do what the words after ``daisy runs`` ask for and return the exit status.

    Raises
    ------
    DaisyError
        If the catalogue's database package is not installed.
    """
    try:
        return _act(words)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sqlalchemy":
            raise
        raise DaisyError("daisy runs needs the package sqlalchemy, which is missing; pip install sqlalchemy") from error


def _act(words: Sequence[str]) -> int:
    actions = {"prune": _prune, "tag": _tag, "untag": _tag, "publish": _publish}
    if words and words[0] in actions:
        arguments = _action_parser(words[0]).parse_args(words[1:])
        arguments.action = words[0]
        return actions[words[0]](arguments, _root(arguments))
    arguments = _parser().parse_args(words)
    root = _root(arguments)
    if arguments.id:
        return _show_run(RunFolder.find(arguments.id, root), as_json=arguments.json)
    return _rebuild(root) if arguments.rebuild else _list(arguments, root)


def _root(arguments: argparse.Namespace) -> Path:
    return Path(arguments.runs) if arguments.runs else default_root()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="daisy runs",
        description="The runs, newest first; with an id, one of them.",
        epilog="Also: daisy runs prune --older 90d, daisy runs tag ID NAME, daisy runs untag ID NAME, daisy runs publish ID.",
    )
    parser.add_argument("id", nargs="?", help="a run id")
    parser.add_argument("--where", metavar="TEXT", help="comparisons, such as \"rmeas < 0.1 and sample == 'Ni'\"")
    parser.add_argument("--app", help="only this technique")
    parser.add_argument("--workflow", help="only this workflow")
    parser.add_argument("--state", choices=_STATES, help="only runs in this state")
    parser.add_argument(
        "--since", metavar="WHEN", help="only runs submitted since a date (2026-11-23) or an age ago (2d)"
    )
    parser.add_argument("--tag", help="only runs with this tag")
    parser.add_argument("--limit", type=_count, default=20, help="how many (default 20)")
    parser.add_argument("--columns", metavar="A,B", help="summary values to show, in this order")
    parser.add_argument("--rebuild", action="store_true", help="make the catalogue again from the run folders")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return _with_root(parser)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _action_parser(action: str) -> argparse.ArgumentParser:
    about = {
        "prune": "Delete the folders of runs that ended long ago; never of those that go on.",
        "tag": "Give a run a tag.",
        "untag": "Take a tag off a run.",
        "publish": "Send the record of a run to the receivers of DAISY_PUBLISH once more.",
    }
    parser = argparse.ArgumentParser(prog=f"daisy runs {action}", description=about[action])
    if action == "prune":
        parser.add_argument("--older", metavar="AGE", required=True, help="least age, such as 90d (s, min, h, d, w, y)")
        parser.add_argument("--keep-tagged", action="store_true", help="keep runs with a tag")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
        return _with_root(parser)
    parser.add_argument("id", help="a run id")
    if action == "publish":
        parser.add_argument(
            "--to", metavar="URL", help="http://..., tcp://host:port or pub+tcp://host:port (default: DAISY_PUBLISH)"
        )
    else:
        parser.add_argument("name", nargs="+", help="the tag")
    return _with_root(parser)


def _with_root(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--runs", metavar="DIR", help="folder of runs (default: DAISY_RUNS or ./runs)")
    return parser


def _console() -> Console:
    """Return a console that does not squeeze the table into 80 characters when nobody sees it."""
    wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=240 if wide else None, highlight=False)


def _say(catalogue: Catalogue) -> None:
    for message in catalogue.messages:
        print(f"daisy: {message}", file=sys.stderr)


# -- the table ----------------------------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace, root: Path) -> int:
    catalogue = Catalogue(root)
    try:
        records = catalogue.query(
            arguments.where, app=arguments.app, workflow=arguments.workflow, state=arguments.state,
            since=arguments.since, tag=arguments.tag, limit=arguments.limit,
        )  # fmt: skip
    finally:
        _say(catalogue)
    if arguments.json:
        print(json.dumps([record.to_json() for record in records], indent=1, ensure_ascii=False))
    elif not records:
        asked = any(
            (arguments.where, arguments.app, arguments.workflow, arguments.state, arguments.since, arguments.tag)
        )
        print(f"no runs in {root}{' that fulfil this' if asked else ''}")
    else:
        _print_table(records, arguments.columns, arguments.where or "")
    return 0


def _print_table(records: Sequence[RunRecord], asked: str | None, where: str) -> None:
    columns, more = _value_columns(records, asked, where)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("run", "state"):
        table.add_column(column, no_wrap=True)
    for column in ("workflow", "submitted", "context", *columns):
        table.add_column(column)
    is_tagged = any(record.tags for record in records)
    if is_tagged:
        table.add_column("tags")
    one_user = len({record.context.get("user") for record in records}) == 1
    for record in records:
        state = f"[{_STYLE.get(record.state, 'white')}]{record.state}[/]"
        said = ", ".join(f"{key}={value}" for key, value in record.context.items() if not (one_user and key == "user"))
        if record.state == "unknown":
            said = record.message
        values = [_cell(record.summary.get(column)) for column in columns]
        tags = [", ".join(record.tags)] if is_tagged else []
        row = [record.workflow, show_time(record.submitted), said, *values, *tags]
        table.add_row(record.id, state, *map(escape, row))
    console = _console()
    console.print(table)
    if more:
        console.print(f"more values: {escape(', '.join(more))} (--columns A,B)")


def _value_columns(records: Iterable[RunRecord], asked: str | None, where: str) -> tuple[list[str], list[str]]:
    """Return the summary values to show, and those that there are besides: first those that the query names."""
    there = list(dict.fromkeys(key for record in records for key in record.summary))
    if asked is not None:
        return [name for name in map(str.strip, asked.split(",")) if name], []
    named = set(re.findall(r"[\w.]+", where))
    ordered = sorted(there, key=lambda key: key not in named)
    return ordered[:_SHOWN_VALUES], ordered[_SHOWN_VALUES:]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _rebuild(root: Path) -> int:
    catalogue = Catalogue(root)
    try:
        count = catalogue.rebuild()
    finally:
        _say(catalogue)
    print(f"made the catalogue again from {count} run folders in {root}")
    for record in catalogue.query(state="unknown"):
        print(f"  {record.id}: {record.message}")
    return 0


# -- one run ------------------------------------------------------------------------------------------------------


def _show_run(folder: RunFolder, *, as_json: bool) -> int:
    record = read_record(folder.path)
    if record.state == "unknown":
        raise RunError(record.message)
    request = folder.request()
    if as_json:
        content = {**request, **record.to_json(), "error": folder.error(), "folder": str(folder.path)}
        print(json.dumps(content, indent=1, ensure_ascii=False))
        return 0
    console = _console()
    console.print(
        f"[bold]{folder.id}[/]  [{_STYLE.get(record.state, 'white')}]{record.state}[/]  {escape(record.workflow)}"
    )
    console.print(f"folder   {escape(str(folder.path))}")
    told = {**{title: request.get(title) for title in ("context", "params", "inputs")}, "summary": record.summary}
    for title, content in told.items():
        if content:
            console.print(f"{title:8} {escape(json.dumps(content, ensure_ascii=False))}")
    if record.tags:
        console.print(f"tags     {escape(', '.join(record.tags))}")
    for event in folder.events():
        if event["kind"] in ("succeeded", "failed", "cancelled") and event.get("task"):
            note = event.get("message") or f"{event.get('seconds', 0):.3f} s"
            console.print(f"  {escape(event['task'])}: {event['kind']}  {escape(str(note))}")
        elif event["kind"] in ("published", "publish_failed"):
            console.print(
                f"  {event['kind'].replace('_', ' ')}  {escape(event['to'])}  {escape(event.get('message', ''))}"
            )
    if record.message:
        console.print(f"[red]{escape(record.message)}[/]")
    return 0


# -- what keeps the disk ------------------------------------------------------------------------------------------


def _prune(arguments: argparse.Namespace, root: Path) -> int:
    deleted, kept = prune(root, older=arguments.older, keep_tagged=arguments.keep_tagged, dry_run=arguments.dry_run)
    total = sum(item.nbytes for item in deleted)
    for item in deleted:
        days = f"{item.age / 86400:.0f} d"
        print(f"  {item.record.id}  {item.record.state:9}  {item.record.workflow}  {days}  {show_bytes(item.nbytes)}")
    print(
        f"{'would delete' if arguments.dry_run else 'deleted'} {len(deleted)} runs, {show_bytes(total)} ({total} bytes)"
    )
    for item in kept:
        print(f"  kept {item.record.id}: {item.reason}")
    if deleted and not arguments.dry_run and os.environ.get("DAISY_CATALOGUE"):
        Catalogue(root).forget(item.record.id for item in deleted)
    return 1 if any(item.reason.startswith("it cannot be deleted") for item in kept) else 0


def _tag(arguments: argparse.Namespace, root: Path) -> int:
    folder = RunFolder.find(arguments.id, root)
    change = add_tag if arguments.action == "tag" else remove_tag
    tags: tuple[str, ...] = ()
    for name in arguments.name:
        tags = change(folder.path, name)
    if os.environ.get("DAISY_CATALOGUE"):
        Catalogue(root).update(folder.path)
    print(f"run {folder.id} has {'the tags ' + ', '.join(tags) if tags else 'no tags'}")
    return 0


def _publish(arguments: argparse.Namespace, root: Path) -> int:
    from ..publish import publish, published_record, shown, targets

    folder = RunFolder.find(arguments.id, root)
    if folder.state() not in (*FINAL, "lost"):
        raise RunError(f"run {folder.id} is {folder.state()}; it is published when it has ended")
    receivers = targets(arguments.to)
    if not receivers:
        raise RunError("there is nobody to publish to; give --to URL or set DAISY_PUBLISH")
    record = published_record(folder.path)
    for target in receivers:
        publish(record, target)
        print(f"published run {folder.id} to {shown(target)}")
    return 0
