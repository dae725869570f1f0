"""The kernel of Daisy Suite: Algorithm, Workflow, WorkflowEngine, DataStore."""

from .algorithm import Algorithm, algorithm
from .context import Resources, context, progress
from .datatypes import data, replace
from .engine import Run, WorkflowEngine
from .errors import Cancelled, DaisyError, InputError, ParameterError, RunError, WorkflowError
from .lifting import Reduction, each
from .markers import Axes, ErrorsOf, File, Frame, Mask, Param, Unit
from .params import ParameterModel
from .reading import FileInput
from .registry import App
from .store import DataStore
from .workflow import Workflow, workflow

__version__ = "0.1.0"

__all__ = [
    "Algorithm",
    "App",
    "Axes",
    "Cancelled",
    "DaisyError",
    "DataStore",
    "ErrorsOf",
    "File",
    "FileInput",
    "Frame",
    "InputError",
    "Mask",
    "Param",
    "ParameterError",
    "ParameterModel",
    "Reduction",
    "Resources",
    "Run",
    "RunError",
    "Unit",
    "Workflow",
    "WorkflowEngine",
    "WorkflowError",
    "algorithm",
    "context",
    "data",
    "each",
    "progress",
    "replace",
    "workflow",
]
