"""Where captured frames are kept: their bytes in segments, and four columns of numbers beside them.

A frame costs its own bytes and 24 more; there is no object for each. Segments are memory up to a limit. Beyond it the
oldest goes to an unlinked temporary file, from which it is read as before (mmap(2)). The columns stay in memory, and so
there is a limit of rows too. Where that is reached or the file system is full, what is there stays, and nothing more is
kept.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterator

SEGMENT = 4 << 20
# What a capture may keep in memory, and what in a file besides, both in bytes.
MEMORY_LIMIT = 256 << 20
FILE_LIMIT = 16 << 30
# How many frames: 640 MiB of columns, with those of `pktlab.network.frames`.
ROW_LIMIT = 1 << 24


class Full(Exception):
    """There is no room for another frame; the text says why, and `remedy` what to do about it."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.remedy = remedy


class Storage:
    """Rows, one a frame, in the order in which they were added: `time`, `place`, `offset`, `length` by row.

    A place is a number that `place` makes of namespace, ifindex and direction. One thread adds, others may read the
    rows that were there when they asked for `len`.
    """

    def __init__(
        self,
        *,
        memory: int | None = None,
        file: int | None = None,
        folder: str | None = None,
        segment: int | None = None,
        rows: int | None = None,
    ) -> None:
        self.time = array("Q")
        self.place = array("Q")
        self.offset = array("I")
        self.length = array("I")
        self.segments: list[memoryview] = []
        self._runs = array("Q")  # the row with which a run of rows in one segment begins
        self._run_segments = array("I")
        self._size = SEGMENT if segment is None else segment
        self._memory = max(1, (MEMORY_LIMIT if memory is None else memory) // self._size)
        self._file_limit = (FILE_LIMIT if file is None else file) // self._size
        self._row_limit = ROW_LIMIT if rows is None else rows
        self._folder = folder
        self._used = 0
        self._spilled = 0
        self._file = -1
        self.full: Full | None = None  # why nothing more is kept

    def __len__(self) -> int:
        return len(self.length)

    def room(self, size: int) -> tuple[int, int]:
        """Take `size` bytes, at most those of a segment; return the segment and the offset in it.

        Raises Full, and from then on always.
        """
        if self.full is not None:
            raise self.full
        if not self.segments or self._used + size > self._size:
            self._next()
        offset = self._used
        self._used += size
        return len(self.segments) - 1, offset

    def copy(self, address: int, size: int) -> tuple[int, int]:
        """Copy bytes out of memory into a segment, and return where they are now. Raises Full."""
        segment, offset = self.room(size)
        ctypes.memmove(_address(self.segments[segment]) + offset, address, size)
        return segment, offset

    def add(self, data: bytes | bytearray | memoryview, time: int, place: int) -> None:
        """Add a frame. Raises Full."""
        size = len(data)
        segment, offset = self.room(size)
        self.segments[segment][offset : offset + size] = data
        self.row(segment, offset, size, time, place)

    def row(self, segment: int, offset: int, length: int, time: int, place: int) -> None:
        """Add a frame whose bytes are in a segment already. Raises Full."""
        if len(self.length) >= self._row_limit:
            self.full = Full(f"a capture keeps {self._row_limit} frames at most", "send less in one act")
            raise self.full
        if not self._run_segments or self._run_segments[-1] != segment:
            self._runs.append(len(self.length))
            self._run_segments.append(segment)
        self.time.append(time)
        self.place.append(place)
        self.offset.append(offset)
        self.length.append(length)

    def data(self, row: int) -> bytes:
        """Return the bytes of a frame."""
        segment = self._run_segments[bisect_right(self._runs, row) - 1]
        offset = self.offset[row]
        return self.segments[segment][offset : offset + self.length[row]].tobytes()

    def chunks(self, start: int, stop: int) -> Iterator[tuple[int, memoryview, array[int], array[int]]]:
        """Yield rows `start` to `stop` as (first row, buffer, offsets, lengths), each in one buffer."""
        run = bisect_right(self._runs, start) - 1
        while start < stop:
            end = min(stop, self._runs[run + 1] if run + 1 < len(self._runs) else stop)
            yield start, self.segments[self._run_segments[run]], self.offset[start:end], self.length[start:end]
            start, run = end, run + 1

    def _next(self) -> None:
        """Begin a segment."""
        if len(self.segments) - self._spilled >= self._memory:
            try:
                self._spill()
            except Full as full:
                self.full = full
                raise
        self.segments.append(memoryview(mmap.mmap(-1, self._size)))
        self._used = 0

    def _spill(self) -> None:
        """Move the oldest segment that is in memory to the file."""
        if self._spilled >= self._file_limit:
            raise Full(
                f"a capture keeps {(self._memory + self._file_limit) * self._size >> 20} MiB at most",
                "send less in one act",
            )
        number = self._spilled
        folder = self._folder or tempfile.gettempdir()
        try:
            if self._file < 0:
                self._file = _unlinked(folder)
            _write(self._file, self.segments[number], number * self._size)
            # Private: what is written there, a VLAN tag put back in its place, is this process's own.
            kept = mmap.mmap(self._file, self._size, access=mmap.ACCESS_COPY, offset=number * self._size)
        except OSError as error:
            raise Full(
                f"the rest of the capture does not fit into {folder}: {os.strerror(error.errno or 0)}",
                "free some space there, or name another folder in TMPDIR",
            ) from error
        self.segments[number] = memoryview(kept)
        self._spilled += 1

    def close(self) -> None:
        """Give up the file's descriptor; what is in it can be read as long as this object lives."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def place(netns: int, index: int, outgoing: bool) -> int:
    """Return one number for a namespace (a number, too), an ifindex and a direction."""
    return netns << 33 | index << 1 | outgoing


def placed(number: int) -> tuple[int, int, bool]:
    """Return namespace, ifindex and direction of which `place` made a number."""
    return number >> 33, number >> 1 & 0xFFFF_FFFF, bool(number & 1)


def _address(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


def _unlinked(folder: str) -> int:
    descriptor, path = tempfile.mkstemp(prefix="pktlab.", dir=folder)
    os.unlink(path)
    return descriptor


def _write(descriptor: int, data: memoryview, offset: int) -> None:
    done = 0
    while done < len(data):
        wrote = os.pwrite(descriptor, data[done:], offset + done)
        if not wrote:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done += wrote
