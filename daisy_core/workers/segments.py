"""Shared memory between processes of one host: anonymous segments, mapped not copied, gone when nobody uses them.

A segment is a ``memfd``: it has no name, so nothing can be left behind, whoever is killed. Its descriptor travels over a
Unix socket. Making a fresh segment costs milliseconds (the kernel zeroes its pages), using one again does not, so the
process that made it keeps it for the next value once no process maps it any more.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import mmap
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SMALLEST = 1 << 16
"""Buffers below this size (bytes) travel inside the message."""
KEPT = 8
"""Free segments that a process keeps for later values."""

Key = tuple[int, int]
"""Process that made a segment, and its number there."""
Place = tuple[Key, int, int]
"""Segment, offset and length in bytes."""

_numbers = itertools.count()


@dataclass
class Segment:
    """A piece of shared memory: the process that made it, its number there, descriptor and size."""

    owner: int
    number: int
    fd: int
    size: int
    users: dict[int, int] = field(default_factory=dict[int, int])
    received: int = 0
    mapping: mmap.mmap | None = None
    in_use: bool = False

    @property
    def key(self) -> Key:
        """What names the segment in all processes."""
        return (self.owner, self.number)


class Segments:
    """The segments that a process has made or received, found again by the address of an array's memory."""

    def __init__(self, released: Callable[[Key, int], None] | None = None) -> None:
        self._lock = threading.RLock()
        self._known: dict[Key, Segment] = {}
        self._roots: dict[Key, weakref.ref[Any]] = {}
        self._starts: list[int] = []
        self._ranges: dict[int, tuple[int, Key]] = {}
        self._free: list[Segment] = []
        self._released = released

    # -- making and receiving ------------------------------------------------------------------------------------

    def store(self, buffer: memoryview) -> tuple[Place, Any]:
        """Return where a buffer is in shared memory, copying it there unless it already is.

        Returns
        -------
        place : Place
            Key of the segment, offset and length in bytes.
        root : object
            Keeps the segment from being used again: hold it until the message is on its way.
        """
        flat = np.frombuffer(buffer, np.uint8)
        with self._lock:
            found = self.locate(flat)
            if found is not None:
                return found, self._root(self._known[found[0]])
            segment, root = self._take(flat.nbytes)
        root[: flat.nbytes] = flat
        return (segment.key, 0, flat.nbytes), root

    def locate(self, flat: Any) -> Place | None:
        """Return key, offset and length of memory that lies in a known segment; None for private memory."""
        address = int(flat.__array_interface__["data"][0])
        with self._lock:
            place = bisect.bisect_right(self._starts, address) - 1
            if place < 0:
                return None
            start = self._starts[place]
            size, key = self._ranges[start]
            return (key, address - start, flat.nbytes) if address + flat.nbytes <= start + size else None

    def receive(self, key: Key, fd: int, size: int) -> Segment:
        """Enter a segment that another process made; its descriptor is ours from now on."""
        with self._lock:
            segment = self._known.get(key)
            if segment is not None:
                os.close(fd)
            else:
                segment = self._known[key] = Segment(*key, fd, size)
            segment.received += 1
            return segment

    def view(self, key: Key, offset: int, length: int) -> memoryview:
        """Return read-only memory of a segment; it stays mapped as long as anything refers to it."""
        return memoryview(self._root(self._known[key]))[offset : offset + length].toreadonly()

    def segment(self, key: Key) -> Segment:
        """Return a known segment."""
        return self._known[key]

    def knows(self, key: Key) -> bool:
        """True for a segment that this process has made or received and not yet given up."""
        return key in self._known

    # -- lifetimes -----------------------------------------------------------------------------------------------

    def _take(self, size: int) -> tuple[Segment, Any]:
        with self._lock:
            fitting = [item for item in self._free if size <= item.size <= 4 * size]
            if fitting:
                segment = min(fitting, key=lambda item: item.size)
                self._free.remove(segment)
            else:
                rounded = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
                fd = os.memfd_create("daisy", os.MFD_CLOEXEC)
                os.ftruncate(fd, rounded)
                segment = Segment(os.getpid(), next(_numbers), fd, rounded)
                self._known[segment.key] = segment
            return segment, self._root(segment)

    def _root(self, segment: Segment) -> Any:
        """Return the array of bytes that all views of a segment refer to; when the last is gone the segment is free here."""
        with self._lock:
            root = self._roots[segment.key]() if segment.key in self._roots else None
            if root is None:
                if segment.mapping is None:
                    segment.mapping = mmap.mmap(segment.fd, segment.size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
                root = np.frombuffer(segment.mapping, np.uint8)
                start = int(root.__array_interface__["data"][0])
                bisect.insort(self._starts, start)
                self._ranges[start] = (segment.size, segment.key)
                segment.in_use = True
                self._roots[segment.key] = weakref.ref(root)
                weakref.finalize(root, self._unmapped, segment, start).atexit = False
            return root

    def _unmapped(self, segment: Segment, start: int) -> None:
        with self._lock:
            self._starts.remove(start)
            del self._ranges[start]
            self._roots.pop(segment.key, None)
            segment.in_use = False
            self._settle(segment)

    def lent(self, key: Key, process: int) -> None:
        """Note that a segment was sent to another process, once more."""
        with self._lock:
            users = self._known[key].users
            users[process] = users.get(process, 0) + 1

    def returned(self, key: Key, process: int, times: int) -> None:
        """Note that another process has given a segment up that it had received so many times.

        The count settles the race of a return that crosses a new sending of the same segment.
        """
        with self._lock:
            segment = self._known.get(key)
            if segment is None:
                return
            left = segment.users.get(process, 0) - times
            if left > 0:
                segment.users[process] = left
            else:
                segment.users.pop(process, None)
            self._settle(segment)

    def forget(self, process: int) -> None:
        """Take back what an ended process still held, and give up what it had made."""
        with self._lock:
            for segment in list(self._known.values()):
                if segment.users.pop(process, 0):
                    self._settle(segment)

    def _settle(self, segment: Segment) -> None:
        """Keep a segment of ours for later, or give one of others back, once nobody uses it any more."""
        if segment.in_use or segment.users or segment in self._free or segment.key not in self._known:
            return
        if segment.owner != os.getpid():
            self._drop(segment)
            if self._released is not None:
                self._released(segment.key, segment.received)
            return
        self._free.append(segment)
        if len(self._free) > KEPT:
            self._drop(self._free.pop(0))

    def _drop(self, segment: Segment) -> None:
        del self._known[segment.key]
        with contextlib.suppress(OSError):
            os.close(segment.fd)
        segment.mapping = None  # an array that still refers to the mapping keeps it

    @property
    def nbytes(self) -> int:
        """Bytes of all segments that this process holds open."""
        return sum(segment.size for segment in self._known.values())
