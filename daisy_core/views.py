"""How algorithms, workflows and runs look in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from .signature import REQUIRED, type_name

if TYPE_CHECKING:
    from .algorithm import Algorithm
    from .engine import Run
    from .workflow import Workflow


def table_html(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table."""
    head = "".join(f"<th>{escape(item)}</th>" for item in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(item))}</td>' for item in row)}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def algorithm_html(algorithm: Algorithm[..., Any]) -> str:
    """Return ports and parameters of an algorithm as HTML."""
    ports = [
        (name, type_name(port.annotation), "" if port.required else "optional", "")
        for name, port in algorithm.ports.items()
    ]
    params = [
        (name, type_name(item.annotation), "" if item.default is REQUIRED else str(item.default), item.param.title)
        for name, item in algorithm.parameters.items()
    ]
    return f"<p>{escape(algorithm.summary)}</p>" + table_html(
        algorithm.name, ("name", "type", "default", ""), ports + params
    )


def workflow_html(workflow: Workflow[..., Any]) -> str:
    """Return the nodes of a workflow and their links as HTML."""
    graph = workflow.full_graph()
    rows = [
        (node.id, node.algorithm.name, node.kind, ", ".join(f"{port} ← {ref}" for port, ref in node.links()))
        for node in graph.nodes.values()
    ]
    return algorithm_html(workflow) + table_html("nodes", ("id", "algorithm", "kind", "inputs"), rows)


def run_html(run: Run) -> str:
    """Return state and tasks of a run as HTML."""
    return table_html(f"run {run.id} of {run.workflow.name}: {run.state}", ("task", "state"), list(run.tasks.items()))
