"""Starting the pages."""

from __future__ import annotations

import importlib.util
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from daisy_core import DaisyError, InputError
from shared_ui import __main__ as command
from shared_ui.server import HOST, OPTIONS, free_port, serve


def test_it_is_bound_to_this_machine_and_tells_nobody() -> None:
    assert OPTIONS["server.address"] == HOST == "127.0.0.1"
    assert OPTIONS["browser.gatherUsageStats"] == "false"
    assert not any("Xsrf" in name or "CORS" in name for name in OPTIONS)


def test_a_taken_port_is_refused_and_the_next_free_one_found() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        with pytest.raises(DaisyError, match="is taken"):
            free_port(other.getsockname()[1])
    assert free_port(None) >= 8501


def test_an_impossible_port_is_refused() -> None:
    with pytest.raises(DaisyError, match="not allowed"):
        free_port(99_999)


def test_an_unknown_app_is_refused_with_a_suggestion() -> None:
    with pytest.raises(DaisyError, match="did you mean 'pdf'"):
        serve("pfd")


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        serve("pdf", root=[tmp_path / "missing"])


def test_without_streamlit_the_pip_line_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "streamlit" else real(name, *rest)
    )
    assert command.main(["pdf"]) == 2
    assert 'pip install "daisy-suite[ui]"' in capsys.readouterr().err


def test_it_serves_until_interrupted_and_says_no_more(tmp_path: Path) -> None:
    port = free_port(0)
    words = [sys.executable, "-m", "shared_ui", "pdf", "--port", str(port), "--root", str(tmp_path), "--no-browser"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            _answer(f"http://{HOST}:{port}/_stcore/health")
            assert _answer(f"http://{HOST}:{port}/daisy/plotly.js").startswith(b"/**")
            server.send_signal(signal.SIGINT)
            out, errors = server.communicate(timeout=20)
        finally:
            server.kill()
    assert f"http://{HOST}:{port}" in out
    assert "Traceback" not in errors
    assert server.returncode == 0


def _answer(url: str) -> bytes:
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read()
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
