"""Common Workflow Language v1.2, both ways: our algorithms as tools of others, and tools of others as our algorithms."""

from .export import export, refusal
from .runner import run, validate
from .types import Refused

__all__ = ["Refused", "export", "refusal", "run", "validate"]
