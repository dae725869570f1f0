"""Own-script nodes: any command or script becomes an algorithm by declaring inputs, parameters and outputs."""

from .declaration import Input, Output, Tool
from .environment import Conda, Container, Environment, Modules
from .files import KeptFile
from .node import ScriptAlgorithm, script
from .tomlfile import from_toml

__all__ = [
    "Conda",
    "Container",
    "Environment",
    "Input",
    "KeptFile",
    "Modules",
    "Output",
    "ScriptAlgorithm",
    "Tool",
    "from_toml",
    "script",
]
