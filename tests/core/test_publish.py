"""Finished runs are told to the catalogues of a facility; that this fails costs no run."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from core.catalogue_lab import make_run, merge

from daisy_core import DaisyError, InputError, ParameterError, WorkflowEngine
from daisy_core.cli import main
from daisy_core.publish import PublishError, announce, publish, published_record, shown, targets
from daisy_core.runs import RunFolder


class _Receiver(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it; the path tells how it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posts: list[tuple[str, Any, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Receiver)
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, dict(self.headers), json.loads(content)))
        status = int(self.path.strip("/").split("?")[0] or 201)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Receiver]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("DAISY_PUBLISH_TOKEN", raising=False)
    monkeypatch.delenv("DAISY_CATALOGUE", raising=False)
    server = _Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _events(folder: RunFolder | None, kind: str) -> list[dict[str, Any]]:
    assert folder is not None
    return [event for event in folder.events() if event["kind"] == kind]


def test_the_record_of_a_finished_run_is_posted(
    tmp_path: Path, receiver: _Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAISY_PUBLISH", f"{receiver.url}/")
    monkeypatch.setenv("DAISY_PUBLISH_TOKEN", "sesame")
    run = WorkflowEngine("inline", runs=tmp_path).run(
        merge, {"values": [1.0, 2.0]}, {"rmeas": 0.07}, context={"sample": "Ni"}
    )
    ((path, headers, record),) = receiver.posts
    assert path == "/"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer sesame"
    assert (record["id"], record["state"], record["workflow"], record["app"]) == (
        run.id,
        "succeeded",
        "cat.merge",
        "cat",
    )
    assert record["summary"] == {"rmeas": 0.07, "reflections": 2, "verdict": "good"}
    assert record["context"]["sample"] == "Ni"
    assert record["params"] == {"rmeas": 0.07}
    assert record["versions"]["daisy-suite"]
    assert Path(record["results"]).is_file()
    assert [event["to"] for event in _events(run.folder, "published")] == [f"{receiver.url}/"]
    assert run.folder is not None
    assert run.folder.state() == "succeeded"
    assert not any("sesame" in path.read_text(errors="replace") for path in run.folder.path.glob("*.json*"))


def test_a_failed_run_is_published_too(tmp_path: Path, receiver: _Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAISY_PUBLISH", receiver.url)
    run = WorkflowEngine("threads", runs=tmp_path).submit(merge, {"values": [1.0]}, {"fail": True}).wait()
    assert run.state == "failed"
    assert receiver.posts[0][2]["state"] == "failed"
    assert "no spots" in receiver.posts[0][2]["message"]
    assert receiver.posts[0][2]["results"] is None


@pytest.mark.parametrize("answer", ["404", "500", "302", "gone", "nonsense"])
def test_a_receiver_that_fails_costs_no_run_and_is_told(
    tmp_path: Path, receiver: _Receiver, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    bad = {"gone": "http://127.0.0.1:9/x", "nonsense": "gopher://h"}.get(
        answer, f"{receiver.url}/{answer}?token=sesame"
    )
    monkeypatch.setenv("DAISY_PUBLISH", f"{bad} {receiver.url}/201" if answer != "nonsense" else bad)
    run = WorkflowEngine("inline", runs=tmp_path).run(merge, {"values": [1.0]})
    assert run.state == "succeeded"
    assert run.folder is not None
    assert run.folder.state() == "succeeded"
    assert run.folder.error() is None
    log = run.folder.log.read_text(encoding="utf-8")
    assert "the run was not published" in log
    assert "sesame" not in log
    if answer != "nonsense":
        (failed,) = _events(run.folder, "publish_failed")
        assert failed["to"] == bad.partition("?")[0]
        assert answer in failed["message"] or "cannot be reached" in failed["message"]
        assert [path for path, _, _ in receiver.posts][-1] == "/201"  # the others still hear of it
    assert not any(path == "/200" for path, _, _ in receiver.posts)


def test_a_receiver_that_never_answers_is_given_up(receiver: _Receiver) -> None:
    import socket

    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(PublishError, match=r"cannot be reached|no answer"),
    ):
        publish({}, f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.2)


def test_no_record_is_sent_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAISY_PUBLISH", raising=False)
    run = WorkflowEngine("inline", runs=tmp_path).run(merge, {"values": [1.0]})
    assert run.folder is not None
    assert announce(run.folder.path) == []
    assert {event["kind"] for event in run.folder.events()} == {"pending", "running", "started", "succeeded"}


@pytest.mark.parametrize("kind", ["tcp", "ipc", "pub+tcp"])
def test_the_record_is_sent_as_a_zeromq_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    zmq = _zmq()
    with (
        zmq.Context() as context,
        context.socket(zmq.SUB if kind == "pub+tcp" else zmq.PULL) as socket,
        ThreadPoolExecutor() as pool,
    ):
        socket.setsockopt(zmq.RCVTIMEO, 20_000)
        if kind == "pub+tcp":
            socket.subscribe(b"daisy.cat")
        port = None if kind == "ipc" else socket.bind_to_random_port("tcp://127.0.0.1")
        address = f"tcp://127.0.0.1:{port}"
        if kind == "ipc":
            address = f"ipc://{tmp_path}/socket"
            socket.bind(address)
        received = pool.submit(socket.recv_multipart)
        monkeypatch.setenv("DAISY_PUBLISH", f"pub+{address}" if kind == "pub+tcp" else address)
        run = WorkflowEngine("inline", runs=tmp_path / "runs").run(merge, {"values": [1.0]}, context={"sample": "Ni ü"})
        parts = received.result()
    assert parts[:-1] == ([b"daisy.cat"] if kind == "pub+tcp" else [])
    record = json.loads(parts[-1])
    assert (record["id"], record["context"]["sample"], record["summary"]["rmeas"]) == (run.id, "Ni ü", 0.05)
    assert len(_events(run.folder, "published")) == 1


@pytest.mark.parametrize("kind", ["tcp", "pub+tcp"])
def test_a_zeromq_message_that_nobody_takes_is_given_up(kind: str) -> None:
    zmq = _zmq()
    with pytest.raises(PublishError, match="nobody took the message"):
        publish({"app": "mx"}, f"{kind}://127.0.0.1:9", timeout=0.2)
    with zmq.Context() as context, context.socket(zmq.SUB) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        other.subscribe(b"daisy.pdf")
        other.setsockopt(zmq.RCVTIMEO, 300)
        with ThreadPoolExecutor() as pool:
            listening = pool.submit(other.recv)
            with pytest.raises(PublishError, match="nobody took the message"):
                publish({"app": "mx"}, f"pub+tcp://127.0.0.1:{port}", timeout=0.2)
        assert isinstance(listening.exception(), zmq.Again)
    with pytest.raises(PublishError):
        publish({}, "tcp://not an address", timeout=0.2)


def _zmq() -> Any:
    try:
        import zmq
    except ImportError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip('pyzmq is not installed: pip install "daisy-suite[stream]"')
    return zmq


def test_a_receiver_is_shown_without_its_secrets() -> None:
    assert shown("https://ada:sesame@host:8/x?token=sesame#y") == "https://host:8/x"
    assert targets("http://a  tcp://b:1") == ["http://a", "tcp://b:1"]
    for text in ("host:80", "file:///etc/passwd", "ftp://ada:sesame@host"):
        with pytest.raises(ParameterError, match="cannot publish to") as told:
            targets(text)
        assert "sesame" not in str(told.value)


def test_a_run_is_published_once_more_by_hand(
    tmp_path: Path, receiver: _Receiver, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAISY_PUBLISH", raising=False)
    monkeypatch.setenv("DAISY_RUNS", str(tmp_path))
    done, going = make_run(tmp_path, number=1, summary={"rmeas": 0.1}), make_run(tmp_path, "running", number=2)
    assert main(["runs", "publish", done.name, "--to", receiver.url]) == 0
    assert receiver.posts[0][2]["summary"] == {"rmeas": 0.1}
    assert f"published run {done.name}" in capsys.readouterr().out
    assert main(["runs", "publish", done.name]) == 1
    assert main(["runs", "publish", going.name, "--to", receiver.url]) == 1
    assert main(["runs", "publish", done.name, "--to", f"{receiver.url}/503"]) == 2
    assert "answered 503" in capsys.readouterr().err
    (done / "request.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        published_record(done)


def test_every_run_enters_itself_in_a_shared_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from daisy_core.catalogue import Catalogue

    monkeypatch.setenv("DAISY_CATALOGUE", str(tmp_path / "shared.sqlite"))
    states: list[str] = []

    def listen(event: dict[str, Any]) -> None:
        if event["kind"] == "started":
            states.extend(record.state for record in Catalogue(tmp_path / "runs").query())

    WorkflowEngine("inline", runs=tmp_path / "runs").run(merge, {"values": [1.0]}, listen=listen)
    assert states == ["running"]
    assert [record.state for record in Catalogue(tmp_path / "runs").query("rmeas < 0.1", app="cat")] == ["succeeded"]
    monkeypatch.setenv("DAISY_CATALOGUE", "postgresql://ada:sesame@127.0.0.1:9/none")
    run = WorkflowEngine("inline", runs=tmp_path / "runs").run(merge, {"values": [1.0]})
    assert run.state == "succeeded"
    assert run.folder is not None
    log = run.folder.log.read_text(encoding="utf-8")
    assert "was not entered in the shared catalogue" in log
    assert "sesame" not in log


def test_a_secret_stops_a_run_before_anything_is_written(tmp_path: Path) -> None:
    from core.catalogue_lab import secretive

    engine = WorkflowEngine("inline", runs=tmp_path)
    with pytest.raises(DaisyError, match="context 'token' looks like a secret"):
        engine.run(merge, {"values": [1.0]}, context={"token": "sesame"})
    with pytest.raises(DaisyError, match="parameter 'api_key' looks like a secret") as told:
        engine.run(secretive, {"x": 1.0}, {"api_key": "sesame"})
    assert "sesame" not in str(told.value)
    assert list(tmp_path.iterdir()) == []
