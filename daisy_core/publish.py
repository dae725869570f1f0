"""Tell a facility's catalogue about finished runs: HTTP POST, or a ZeroMQ message, of the run's record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import DaisyError, InputError, ParameterError

FORMAT = 1
"""Version of the published record."""
TIMEOUT = 5.0
"""Seconds that a receiver has."""
SCHEMES = ("http", "https", "tcp", "ipc", "pub+tcp", "pub+ipc")


class PublishError(DaisyError):
    """A record could not be delivered."""


def targets(text: str | None = None) -> list[str]:
    """Return the receivers, separated by spaces; those of ``DAISY_PUBLISH`` by default.

    Raises
    ------
    ParameterError
        If one has no scheme that is known.
    """
    return [_checked(target) for target in (os.environ.get("DAISY_PUBLISH", "") if text is None else text).split()]


def _checked(target: str) -> str:
    if urlsplit(target).scheme not in SCHEMES:
        raise ParameterError(
            f"cannot publish to '{shown(target)}': give http://... or https://..., tcp://host:port (ZeroMQ PUSH) or "
            "pub+tcp://host:port (ZeroMQ PUB)"
        )
    return target


def shown(target: str) -> str:
    """Return a receiver as it may be recorded: without user, password and query."""
    parts = urlsplit(target)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def published_record(folder: Path) -> dict[str, Any]:
    """Return what is published of a run: its record, and what was asked for.

    Raises
    ------
    InputError
        If the folder cannot be read.
    """
    from .catalogue.records import read_record
    from .runs import RunFolder

    record = read_record(folder)
    if record.state == "unknown":
        raise InputError(record.message)
    request = RunFolder(folder).request()
    asked = {name: request.get(name) for name in ("inputs", "params", "versions", "engine")}
    results = folder / "results.nxs"
    return {
        "daisy": FORMAT,
        **record.to_json(),
        **asked,
        "path": str(folder.absolute()),
        "results": str(results.absolute()) if results.is_file() else None,
    }


def publish(record: Mapping[str, Any], target: str, *, timeout: float = TIMEOUT) -> None:
    """Send a record to one receiver.

    Parameters
    ----------
    record : mapping
        JSON data.
    target : str
        ``http://`` or ``https://``: POST of JSON, with ``Authorization: Bearer`` where ``DAISY_PUBLISH_TOKEN`` is set; any
        answer but 2xx is a failure, a redirection too. ``tcp://host:port`` or ``ipc://``: one ZeroMQ PUSH message of JSON.
        ``pub+tcp://``: a PUB message of two parts, the topic (``daisy.<app>``) and the JSON.
    timeout : float
        Seconds.

    Raises
    ------
    PublishError
        If it was not delivered in time, or refused.
    ParameterError
        If the target is not one.
    """
    _checked(target)
    text = json.dumps(record, ensure_ascii=False, default=repr).encode("utf-8", "replace")
    if urlsplit(target).scheme in ("http", "https"):
        _post(text, target, timeout)
    else:
        _send(text, f"daisy.{record.get('app', '')}", target, timeout)


def _post(text: bytes, target: str, timeout: float) -> None:
    import urllib.error
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        """A redirected POST would arrive as a GET without the record, and take the token along."""

        def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
            return None

    headers = {"Content-Type": "application/json", "User-Agent": "daisy-suite"}
    token = os.environ.get("DAISY_PUBLISH_TOKEN")
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        request = urllib.request.Request(target, data=text, headers=headers, method="POST")
        with urllib.request.build_opener(Stay).open(request, timeout=timeout) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        error.close()
        raise PublishError(f"{shown(target)} answered {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        raise PublishError(f"{shown(target)} cannot be reached: {getattr(error, 'reason', None) or error}") from None
    except Exception as error:  # a receiver that does not speak HTTP
        raise PublishError(f"{shown(target)} gave no answer of HTTP: {type(error).__name__}: {error}") from None


def _send(text: bytes, topic: str, target: str, timeout: float) -> None:
    try:
        import zmq
    except ImportError:
        raise PublishError(f'publishing to {shown(target)} needs pyzmq: pip install "daisy-suite[stream]"') from None
    is_pub = target.startswith("pub+")
    wait = round(timeout * 1000)
    # An XPUB socket is a PUB socket that hears of subscriptions: only then is there somebody to send to.
    context = zmq.Context()
    socket = context.socket(zmq.XPUB if is_pub else zmq.PUSH)
    try:
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.LINGER, wait)
        socket.setsockopt(zmq.SNDTIMEO, wait)
        socket.setsockopt(zmq.RCVTIMEO, wait)
        socket.connect(target.removeprefix("pub+"))
        if is_pub:
            _await_subscriber(socket, topic)
        socket.send_multipart([topic.encode(), text] if is_pub else [text])
    except zmq.ZMQError as error:
        socket.setsockopt(zmq.LINGER, 0)
        reason = f"nobody took the message in {timeout:g} s" if isinstance(error, zmq.Again) else str(error)
        raise PublishError(f"{shown(target)}: {reason}") from None
    finally:
        socket.close()
        context.term()


def _await_subscriber(socket: Any, topic: str) -> None:
    while True:
        message: bytes = socket.recv()
        if message[:1] == b"\x01" and topic.encode().startswith(message[1:]):
            return


def announce(folder: Path, record_event: Callable[..., None] | None = None) -> list[str]:
    """Publish a finished run to all receivers of ``DAISY_PUBLISH``. It never fails.

    Parameters
    ----------
    folder : Path
        The folder of the run.
    record_event : callable, optional
        Called as ``record_event(kind, to=..., ...)`` for each receiver, so that the run tells what became of it:
        ``published``, or ``publish_failed`` with a ``message``.

    Returns
    -------
    list of str
        What went wrong, for the log.
    """
    try:
        found = targets()
        record = published_record(folder) if found else {}
    except Exception as error:
        return [f"the run was not published: {error}"]
    problems: list[str] = []
    for target in found:
        kind, more = "published", {"to": shown(target)}
        try:
            publish(record, target)
        except Exception as error:
            kind = "publish_failed"
            more["message"] = str(error)
            problems.append(f"the run was not published: {error}")
        if record_event is not None:
            record_event(kind, **more)
    return problems


def enter(folder: Path) -> list[str]:
    """Enter a run in the shared catalogue, where ``DAISY_CATALOGUE`` names one. It never fails, and returns what went wrong."""
    if not os.environ.get("DAISY_CATALOGUE"):
        return []
    try:
        from .catalogue import Catalogue

        Catalogue(folder.parent).update(folder)
    except Exception as error:
        return [f"the run was not entered in the shared catalogue: {error}"]
    return []
