"""The examples in the documentation of the kernel run and give what they show."""

from __future__ import annotations

import doctest
import importlib
import sys
from types import ModuleType

import pytest

MODULES = [
    "algorithm",
    "datatypes",
    "engine",
    "lifting",
    "nexus",
    "params",
    "reading",
    "registry",
    "runs",
    "store",
    "workflow",
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"daisy_core.{name}")
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, f"daisy_core.{name}"):
        examples = ModuleType(f"examples_of_{name}")  # what an example declares belongs to the example
        monkeypatch.setitem(sys.modules, examples.__name__, examples)
        vars(examples).update({**test.globs, "__name__": examples.__name__})
        test.globs = vars(examples)
        runner.run(test, clear_globs=False)
    assert runner.failures == 0
