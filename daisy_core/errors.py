"""The errors of the suite: each message names what, where, and what to do."""

from __future__ import annotations


class DaisyError(Exception):
    """An error that a scientist can act on: the file or node, what is wrong, what to do."""


class InputError(DaisyError):
    """A file or an array is not what the operation needs."""


class ParameterError(DaisyError):
    """A parameter is unknown, of the wrong type or out of bounds."""


class WorkflowError(DaisyError):
    """A workflow cannot become a graph, or its graph is not valid."""


class RunError(DaisyError):
    """A run failed, or a run folder cannot be used."""


class Cancelled(Exception):
    """Raised inside an algorithm by :func:`daisy_core.progress` when its run was asked to stop."""
