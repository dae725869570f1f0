"""Messages between the engine and a worker: pickled, large arrays in shared memory beside them."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import socket
import struct
import threading
from typing import Any

from .segments import SMALLEST, Segments

_HEADER = struct.Struct("<QQ")
_FDS_AT_ONCE = 200
"""Descriptors of one message; the kernel passes at most 253."""


class Closed(Exception):
    """The other side has gone."""


class Channel:
    """One end of a connection to one process. Values arrive with their arrays mapped and read-only."""

    def __init__(self, connection: socket.socket, segments: Segments, process: int) -> None:
        self._socket = connection
        self._segments = segments
        self.process = process
        self._sending = threading.Lock()

    def send(self, message: Any) -> None:
        """Send a message.

        Raises
        ------
        Closed
            If the other side has gone.
        """
        places: list[Any] = []
        kept: list[Any] = []

        def outside(buffer: pickle.PickleBuffer) -> bool:
            raw = buffer.raw()
            if raw.nbytes < SMALLEST:
                return True
            place, root = self._segments.store(raw)
            kept.append(root)
            places.append(place)
            return False

        with self._sending:
            body = pickle.dumps(message, protocol=5, buffer_callback=outside)
            new = list(dict.fromkeys(key for key, _, _ in places if key[0] != self.process))
            segments = [self._segments.segment(key) for key in new]
            for key in new:
                self._segments.lent(key, self.process)
            head = pickle.dumps(([(*item.key, item.size) for item in segments], places))
            try:
                self._socket.sendall(_HEADER.pack(len(head), len(body)))
                for start in range(0, len(segments), _FDS_AT_ONCE):
                    part = segments[start : start + _FDS_AT_ONCE]
                    socket.send_fds(self._socket, [b"f"], [item.fd for item in part])
                self._socket.sendall(head)
                self._socket.sendall(body)
            except OSError as error:
                raise Closed(str(error)) from error

    def receive(self) -> Any:
        """Return the next message.

        Raises
        ------
        Closed
            If the other side has gone.
        """
        fds: list[int] = []
        header = self._read(_HEADER.size, fds)
        head_size, body_size = _HEADER.unpack(header)
        first = self._read(1, fds)
        while first == b"f":
            first = self._read(1, fds)
        described, places = pickle.loads(first + self._read(head_size - 1, fds))
        for (owner, number, size), fd in zip(described, fds, strict=True):
            self._segments.receive((owner, number), fd, size)
        body = self._read(body_size, fds)
        return pickle.loads(body, buffers=[self._segments.view(*place) for place in places])

    def readable(self, timeout: float) -> bool:
        """Wait until a message begins to arrive, or the other side goes; False after the timeout (seconds)."""
        return bool(select.select([self._socket], [], [], timeout)[0])

    def _read(self, size: int, fds: list[int]) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                data, passed, _, _ = socket.recv_fds(self._socket, min(size - len(parts), 1 << 20), _FDS_AT_ONCE)
            except OSError as error:
                raise Closed(str(error)) from error
            fds.extend(passed)
            if not data:
                raise Closed("the other side has gone")
            parts += data
        return bytes(parts)

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def adopt(fd: int, segments: Segments) -> Channel:
    """Return the channel of a worker to the process that started it, over an inherited descriptor."""
    return Channel(socket.socket(fileno=fd), segments, os.getppid())
