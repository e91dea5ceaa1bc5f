"""A ring of blocks that the kernel fills with frames: TPACKET_V3, for capture under load.

See packet(7), Documentation/networking/packet_mmap.rst and linux/if_packet.h. Blocks are copied whole, and read later:
that takes a tenth of a microsecond a frame while frames come in. What takes a block apart are functions of its
bytes. One ring hears all interfaces of a namespace, as a `Queue` does.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

from pktlab.errors import KernelError
from pktlab.kernel.mmsg import bind_all
from pktlab.kernel.netns import Netns
from pktlab.kernel.queue import (
    ARPHRD_NONE,
    ETH_P_8021Q,
    ETH_P_ALL,
    ETH_P_MARKER,
    PACKET_OUTGOING,
    PACKET_STATISTICS,
    SO_TIMESTAMPNS,
    SOL_PACKET,
    TP_STATUS_VLAN_TPID_VALID,
    TP_STATUS_VLAN_VALID,
    Marker,
    ethernet,
)
from pktlab.kernel.storage import Full, Storage, place

PACKET_RX_RING = 5
PACKET_VERSION = 10
PACKET_RESERVE = 12
TPACKET_V3 = 2
TP_STATUS_KERNEL, TP_STATUS_USER = 0, 1
TAG = 4  # bytes of a VLAN tag, for which there is room in front of every frame
# Large enough for the largest frame, small enough that many are free while one is being filled.
BLOCK = 128 << 10
# Bytes of all rings together, and of one.
TOTAL, LEAST, MOST = 128 << 20, 2 << 20, 32 << 20
# In milliseconds: after twice as long at most, the kernel hands over a block that is not full. A small ring would be
# used up by blocks that are nearly empty.
RETIRE_MS, RETIRE_SMALL_MS = 2, 10
# How long a block that has frames may take to be handed over, in seconds.
_PATIENCE = 5.0

# struct tpacket_req3; struct tpacket_block_desc up to the length, its words counted in fours.
_REQUEST = struct.Struct("=7I")
_STATUS, _FRAMES, _LENGTH = 2, 3, 5
_BLOCK = struct.Struct("=8xIIII")
_LAST = struct.Struct("=40xII")
# struct tpacket3_hdr and, aligned to 16 bytes, struct sockaddr_ll up to the packet's type.
_HEADER = struct.Struct("=IIII4xIHxx4xIH2x8xHHiHB")
_STATISTICS = struct.Struct("=III")


class Packet(NamedTuple):
    """A frame in a block: where its bytes are, counted from the block's begin; its time in nanoseconds, and the tag
    that the kernel took off it."""

    start: int
    size: int
    time: int
    device: int
    outgoing: bool
    protocol: int
    tag: bytes
    bare: bool = False  # without an Ethernet header


def packets(block: memoryview) -> Iterator[Packet]:
    """Yield the frames of a block, or of a copy of its used part.

    Raises ValueError for bytes that cannot be a block.
    """
    try:
        _status, count, at, _length = _BLOCK.unpack_from(block)
        for _ in range(count):
            (step, seconds, nanoseconds, size, status, mac, tci, tpid, _family, protocol, index, hatype, kind) = (
                _HEADER.unpack_from(block, at)
            )
            start = at + mac
            if start + size > len(block):
                raise ValueError(f"a frame of {size} bytes runs over the end of its block")
            tag = b""
            if status & TP_STATUS_VLAN_VALID:
                tag = struct.pack("!HH", tpid if status & TP_STATUS_VLAN_TPID_VALID else ETH_P_8021Q, tci)
            yield Packet(
                start,
                size,
                seconds * 1_000_000_000 + nanoseconds,
                index,
                kind == PACKET_OUTGOING,
                socket.ntohs(protocol),
                tag,
                hatype == ARPHRD_NONE,
            )
            at += step
    except struct.error as error:
        raise ValueError(f"a block is cut off: {error}") from None


def tagged(block: memoryview, packet: Packet) -> tuple[int, int]:
    """Put a frame's tag back behind its MAC addresses, in the room before it; return where the frame is now.

    So the header of a bare packet: tpacket_rcv() in net/packet/af_packet.c leaves room for one.
    """
    start = packet.start
    if packet.bare:
        head = ethernet(packet.protocol)
        block[start - len(head) : start] = head
        return start - len(head), packet.size + len(head)
    if not packet.tag:
        return start, packet.size
    block[start - TAG : start - TAG + 12] = bytes(block[start : start + 12])
    block[start - TAG + 12 : start + 12] = packet.tag
    return start - TAG, packet.size + TAG


class Ring:
    """The ring of a namespace, bound and being filled from the constructor's return on.

    Its frames are in `pending` blocks of a storage until `index` makes rows of them. Raises KernelError where the
    kernel has not even memory for the smallest.
    """

    def __init__(
        self, namespace: Netns, number: int, storage: Storage, *, size: int = MOST, since: int | None = 0
    ) -> None:
        self.name = namespace.name
        self.lost = 0
        self.frozen = 0  # how often it was full
        self.count = 0  # frames copied, or dropped for want of room
        # Frames up to this time are somebody else's; none is made a row of as long as it is not known.
        self.since = since
        self._number = number
        self._storage = storage
        # Of the frames that the queue was to have, how many came when the ring was to take over.
        self.straddling = 0
        self._straddling_from = 0
        self._indexed = 0
        self._pending: list[tuple[int, int, int]] = []
        self._turn = 0
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
            self._socket.setsockopt(SOL_PACKET, PACKET_RESERVE, TAG)
            # The ring has the stamps that frames have anyway; this makes the kernel give them one on arrival.
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._blocks = _allocate(self._socket, size)
            self._map = mmap.mmap(self._socket.fileno(), self._blocks * BLOCK)
            self._words = memoryview(self._map).cast("I")
            self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
            bind_all(self._socket.fileno(), ETH_P_ALL)
        except OSError as error:
            self._socket.close()
            raise KernelError(
                f"open a capture ring in namespace {self.name}",
                error.errno or 0,
                remedy="this kernel has no TPACKET_V3, or no memory to spare: capture without ring=True",
            ) from None

    def fileno(self) -> int:
        """Return the socket's descriptor, which is readable when there is a block to read."""
        return self._socket.fileno()

    def capacity(self) -> int:
        """Return how many bytes the ring holds, with what is put before each frame."""
        return self._blocks * BLOCK

    def read(self) -> int:
        """Copy the blocks that are there, at most once round; return the time of the last frame, 0 without any."""
        stamp = 0
        for _ in range(self._blocks):
            at = self._turn * BLOCK // 4
            if not self._words[at + _STATUS] & TP_STATUS_USER:
                return stamp
            stamp = self._take(at)
            self._turn = (self._turn + 1) % self._blocks
        return stamp

    def _take(self, at: int) -> int:
        frames, length = self._words[at + _FRAMES], self._words[at + _LENGTH]
        seconds, nanoseconds = _LAST.unpack_from(self._map, at * 4)
        try:
            if frames:
                segment, offset = self._storage.copy(self._address + at * 4, length)
                self._pending.append((segment, offset, length))
        except Full:
            block = memoryview(self._map)[at * 4 : at * 4 + length]
            self.lost += sum(self._counts(packet) for packet in packets(block))
        finally:
            self.count += frames
            # Where the kernel found no free block, it opens this one late: till then it must not look as if filling.
            self._words[at + _FRAMES] = 0
            self._words[at + _STATUS] = TP_STATUS_KERNEL
        return int(seconds) * 1_000_000_000 + int(nanoseconds)

    def _counts(self, packet: Packet) -> bool:
        """Tell whether a frame that cannot be kept is one to be missed."""
        return self.since is not None and packet.time > self.since and packet.protocol != ETH_P_MARKER

    def drain(self, until: int) -> None:
        """Read all that came until a moment, the block that is being filled included.

        That one is waited for, since the kernel hands it over by a timer. Raises OSError (ETIMEDOUT) if it does not.
        """
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while self.read() <= until and self._filling():
            found = poll.poll(_PATIENCE * 1000)
            if not found:
                raise OSError(errno.ETIMEDOUT, f"the kernel handed over no block within {_PATIENCE:g} s")
            self.settle_error()

    def begin(self) -> int:
        """Take the frames from now on, and return what time that is; dropped before, they were somebody else's."""
        heard, dropped, _frozen = self._statistics()
        self._straddling_from = heard - dropped
        self.lost = self.frozen = 0
        self.since = time.clock_gettime_ns(time.CLOCK_REALTIME)
        return self.since

    def _filling(self) -> bool:
        at = self._turn * BLOCK // 4
        return bool(self._words[at + _STATUS] & TP_STATUS_USER or self._words[at + _FRAMES])

    def settle_error(self) -> None:
        """Take away an error, an interface that went down under the socket say, which would wake a poll for ever."""
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def index(self, marker: Marker) -> None:
        """Make rows of the frames in the blocks read so far, but for our own markers."""
        if self.since is None:
            return
        pending, self._pending = self._pending, []
        for segment, offset, length in pending:
            block = self._storage.segments[segment][offset : offset + length]
            for packet in packets(block):
                self._indexed += 1
                if packet.time <= self.since:
                    self.straddling += self._indexed > self._straddling_from
                    continue
                where = place(self._number, packet.device, packet.outgoing)
                start, size = tagged(block, packet)
                if packet.protocol == ETH_P_MARKER and marker(bytes(block[start : start + size]), packet.time, where):
                    continue
                try:
                    self._storage.row(segment, offset + start, size, packet.time, where)
                except Full:
                    self.lost += 1

    def losses(self) -> int:
        """Return how many frames have been lost since the start."""
        _heard, dropped, frozen = self._statistics()
        self.lost += dropped
        self.frozen += frozen
        return self.lost

    def _statistics(self) -> tuple[int, int, int]:
        # struct tpacket_stats_v3: frames heard, the dropped ones included, since this was read last.
        heard, dropped, frozen = _STATISTICS.unpack(self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))
        return heard, dropped, frozen

    def close(self) -> None:
        """Close the socket; the ring is gone with its mapping."""
        self._socket.close()


def size_for(namespaces: int) -> int:
    """Return how large the ring of each of so many namespaces may be, in bytes."""
    return max(LEAST, min(MOST, TOTAL // namespaces))


def _allocate(packet: socket.socket, size: int) -> int:
    """Give the socket a ring of at most `size` bytes; return its number of blocks."""
    blocks = max(2, size // BLOCK)
    while True:
        retire = RETIRE_MS if blocks >= 128 else RETIRE_SMALL_MS
        frame = 2048  # of no meaning in version 3, but checked
        request = _REQUEST.pack(BLOCK, blocks, frame, BLOCK // frame * blocks, retire, 0, 0)
        try:
            packet.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
        except OSError as error:
            if error.errno != errno.ENOMEM or blocks <= 8:
                raise
            blocks //= 2
        else:
            return blocks
