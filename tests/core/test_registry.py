"""Who declares what: apps by entry point, plug-ins by folder and file, names that clash, names that are misspelt."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from core.kernel_lab import Curve, profile

from daisy_core import App, DaisyError, algorithm, data, registry

PLUGIN = """
from __future__ import annotations
from daisy_core import algorithm

@algorithm(version="3")
def triple(x: float, *, offset: float = 0.0) -> float:
    '''Three times.'''
    return 3 * x + offset

not_an_algorithm = 5
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of plug-ins that ``DAISY_PLUGINS`` names."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.setenv("DAISY_PLUGINS", str(folder))
    registry.apps.cache_clear()
    before = set(sys.modules)
    yield folder
    registry.apps.cache_clear()
    for name in [
        name for name in set(sys.modules) - before if str(tmp_path) in str(getattr(sys.modules[name], "__file__", ""))
    ]:
        del sys.modules[name]


def in_fresh_interpreter(code: str, **env: str) -> str:
    import os

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env}, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_python_file_in_the_plug_in_folder_is_an_app(plugins: Path) -> None:
    (plugins / "labplug.py").write_text(PLUGIN)
    (plugins / "_private.py").write_text("raise SystemExit")
    found = registry.apps()
    assert "labplug" in found
    assert "_private" not in found
    assert [item.name for item in registry.algorithms("labplug")] == ["labplug.triple"]
    assert registry.find("labplug.triple")(2.0) == 6.0
    assert registry.find("labplug.triple").version == "3"


def test_the_manifest_of_a_plug_in_runs_no_code_of_it(plugins: Path) -> None:
    (plugins / "labbroken.py").write_text("raise ValueError('not today')")
    assert "labbroken" in registry.apps()
    with pytest.raises(DaisyError, match=r"labbroken\.py does not run: ValueError: not today"):
        registry.find("labbroken.anything")


def test_a_broken_plug_in_does_not_stand_in_the_way_of_the_others(plugins: Path) -> None:
    (plugins / "labbroken2.py").write_text("raise ValueError('not today')")
    (plugins / "zeppelin.py").write_text(PLUGIN)
    with pytest.raises(DaisyError, match=r"unknown algorithm 'zepelin\.triple'; did you mean 'zeppelin\.triple'\?"):
        registry.find("zepelin.triple")


def test_a_plug_in_cannot_take_the_name_of_an_app(plugins: Path) -> None:
    (plugins / "pdf.py").write_text(PLUGIN)
    with pytest.raises(DaisyError, match=r"pdf\.py.*'pdf'.*rename"):
        registry.apps()


def test_a_plug_in_folder_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAISY_PLUGINS", str(tmp_path / "nowhere"))
    registry.apps.cache_clear()
    with pytest.raises(DaisyError, match=r"DAISY_PLUGINS names .*nowhere, which is not a folder"):
        registry.apps()
    registry.apps.cache_clear()


def test_a_function_of_a_file_is_found_by_path(tmp_path: Path) -> None:
    file = tmp_path / "my_lab_file.py"
    file.write_text(PLUGIN)
    made = registry.find(f"{file}:triple")
    assert made.name == "my_lab_file.triple"
    assert made(1.0, offset=1.0) == 4.0
    assert registry.find(f"{file}:triple") is made
    with pytest.raises(DaisyError, match=r"has no algorithm 'trple'; it declares: triple"):
        registry.find(f"{file}:trple")
    with pytest.raises(DaisyError, match="has no algorithm 'not_an_algorithm'"):
        registry.find(f"{file}:not_an_algorithm")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.py:func", "cannot load nowhere.py: no such file"),
        ("json.py:func", "a module 'json' already exists: rename the file"),
        ("nowhere.json", "cannot read workflow file nowhere.json"),
        ("core.profil", "unknown algorithm 'core.profil'; did you mean 'core.profile'"),
        ("pdf.no_such_thing_at_all", "app 'pdf' has no algorithm 'pdf.no_such_thing_at_all'"),
    ],
)
def test_what_cannot_be_found_is_said_with_a_near_name(name: str, message: str) -> None:
    with pytest.raises(DaisyError, match=message):
        registry.find(name)


def test_a_workflow_file_is_found_by_path(tmp_path: Path) -> None:
    from core.kernel_lab import frames, reduce_frame, same

    file = tmp_path / "mine.json"
    file.write_text(reduce_frame.to_json(["frame"]), encoding="utf-8")
    assert same(registry.find(str(file))(frames()[0]), reduce_frame(frames()[0]))


def test_a_name_declared_by_two_modules_is_refused() -> None:
    with pytest.raises(
        DaisyError, match=r"'core\.profile' is declared by both core\.kernel_lab and tests\.core\.test_registry"
    ):

        @algorithm(name="core.profile")
        def other(x: float) -> float:
            return x

    assert registry.find("core.profile") is profile


def test_a_data_type_declared_by_two_modules_is_refused() -> None:
    with pytest.raises(DaisyError, match=r"'core\.Curve' is declared by both"):

        @data(name="core.Curve")
        class Other:
            x: float

    from daisy_core.datatypes import data_type

    assert data_type("core.Curve") is Curve


def test_a_notebook_cell_may_be_run_again() -> None:
    for factor in (1.0, 2.0):

        @algorithm(name="core_tests.again_and_again")
        def again_and_again(x: float, factor: float = factor) -> float:
            return factor * x

    assert registry.find("core_tests.again_and_again")(1.0) == 2.0


def test_an_algorithm_unpickles_in_a_fresh_interpreter_by_importing_its_module() -> None:
    text = pickle.dumps(profile).hex()
    code = f"import sys, pickle; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); print(pickle.loads(bytes.fromhex('{text}')))"
    assert in_fresh_interpreter(code).strip() == "<algorithm core.profile version 1>"


# -- light manifests --------------------------------------------------------------------------------------------

HEAVY = (
    "pandas",
    "xarray",
    "torch",
    "scipy",
    "pyFAI",
    "dask",
    "streamlit",
    "fabio",
    "periodictable",
    "matplotlib",
    "plotly",
)


def loaded(code: str) -> set[str]:
    shown = in_fresh_interpreter(
        f"import sys\n{code}\nimport json as _json\nprint('\\n' + _json.dumps(list(sys.modules)))"
    )
    return {name.partition(".")[0] for name in json.loads(shown.splitlines()[-1])}


def test_importing_the_kernel_pulls_in_nothing_heavy() -> None:
    modules = loaded("import daisy_core")
    assert "numpy" in modules
    assert not modules & {*HEAVY, "h5py", "rich", "daisy_pdf", "shared_ui", "sqlalchemy", "distributed"}


def test_the_manifests_of_the_apps_pull_in_nothing_heavy() -> None:
    assert not loaded("from daisy_core import registry\nassert 'pdf' in registry.apps()") & {*HEAVY, "h5py"}


def test_listing_all_algorithms_pulls_in_nothing_heavy() -> None:
    assert not loaded("from daisy_core.cli import main\nassert main(['list']) == 0") & {*HEAVY, "h5py"}


def test_an_app_without_its_packages_says_how_to_get_them() -> None:
    app = App("x", "X", ("nowhere",), extra="x", requires=("json", "no_such_package_here"))
    assert app.missing == ("no_such_package_here",)
    assert app.install_line == 'pip install "daisy-suite[x]"'
    assert App("y", "Y", ("y",), requires=("no_such_package_here",)).install_line == "pip install no_such_package_here"


def test_an_entry_point_that_is_no_manifest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name, value = "odd", "odd:app"

        def load(self) -> Any:
            return 3

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point()])
    registry.apps.cache_clear()
    with pytest.raises(DaisyError, match=r"'odd' .*is not a daisy_core.App"):
        registry.apps()
    registry.apps.cache_clear()
