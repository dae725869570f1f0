"""What people get: an installed distribution, and apps that they start themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path

import pytest

from daisy_core.cli import main


def _run(words: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_command_is_installed_and_knows_its_version(tmp_path: Path) -> None:
    done = _run([str(Path(sys.executable).with_name("daisy")), "--version"], tmp_path)
    assert done.stdout.strip() == f"daisy-suite {version('daisy-suite')}"


def test_the_pdf_app_is_registered() -> None:
    assert "pdf" in {point.name for point in entry_points(group="daisy.apps")}


def test_type_information_and_skeleton_are_in_the_package() -> None:
    assert files("daisy_core").joinpath("py.typed").is_file()
    assert files("daisy_pdf").joinpath("py.typed").is_file()
    assert files("daisy_core.cli").joinpath("skeleton", "pyproject.toml.txt").is_file()


def test_importing_the_kernel_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, daisy_core; print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    loaded = set(_run([sys.executable, "-c", code], tmp_path).stdout.split())
    assert "daisy_core" in loaded
    assert not loaded & {
        "pandas",
        "xarray",
        "torch",
        "scipy",
        "pyFAI",
        "dask",
        "streamlit",
        "h5py",
        "rich",
        "fabio",
        "daisy_pdf",
    }


def test_listing_the_apps_imports_no_heavy_package(tmp_path: Path) -> None:
    code = "import sys; from daisy_core.cli import main; main(['list']); print(' '.join(sys.modules), file=sys.stderr)"
    loaded = {name.partition(".")[0] for name in _run([sys.executable, "-c", code], tmp_path).stderr.split()}
    assert "daisy_pdf" in loaded
    assert not loaded & {"pyFAI", "fabio", "scipy", "streamlit", "periodictable", "pandas"}


@pytest.mark.slow
def test_a_new_app_works_from_outside_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "app", "raman"]) == 0
    site = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(site),
        "./daisy-raman",
    ]
    done = _run(install, tmp_path)
    assert done.returncode == 0, done.stderr
    listed = _run([sys.executable, "-m", "daisy_core.cli", "list", "raman"], tmp_path, PYTHONPATH=str(site))
    assert "raman.reduce" in listed.stdout, listed.stderr
    tested = _run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "daisy-raman"], tmp_path, PYTHONPATH=str(site)
    )
    assert tested.returncode == 0, tested.stdout
    (tmp_path / "curve.txt").write_text("0 1\n1 2\n2 3\n", encoding="utf-8")
    run = [
        sys.executable,
        "-m",
        "daisy_core.cli",
        "run",
        "raman.reduce",
        "curve.txt",
        "--width",
        "3",
        "--out",
        "out.nxs",
    ]
    assert _run(run, tmp_path, PYTHONPATH=str(site)).returncode == 0
    assert (tmp_path / "out.nxs").is_file()


@pytest.mark.parametrize("name", ["Raman", "2d", "class", "a-b", "../x"])
def test_an_app_with_an_impossible_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "app", name]) == 2
    assert not list(tmp_path.iterdir())
