"""Capture of every interface of every namespace: one AF_PACKET socket a namespace, one thread for all.

A socket that is bound to no interface sees them all and leaves them as they are: binding to a bridge and
making it promiscuous would show frames that are merely forwarded between its ports. One socket a
namespace keeps the order in which that namespace's interfaces saw a packet, which separate sockets lose, since a
port and its bridge share a timestamp. See packet(7).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pktlab.kernel.mmsg import Receiver, bind_all
from pktlab.kernel.netns import Netns

ETH_P_ALL = 0x0003
SOL_PACKET = 263
PACKET_STATISTICS = 6
PACKET_AUXDATA = 8
PACKET_OUTGOING = 4
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
TP_STATUS_VLAN_VALID = 0x10
TP_STATUS_VLAN_TPID_VALID = 0x40
ETH_P_8021Q = 0x8100

_SOCKADDR_LL = struct.Struct("=HHiHB")
_WANTED_QUEUE = 64 << 20
# What a capture may keep in memory; frames beyond count as lost, so that nothing is claimed about them.
MEMORY_LIMIT = 512 << 20
# What a frame takes besides its bytes, here and as part of a recording.
OVERHEAD = 400


@dataclass(slots=True)
class Sighting:
    """A frame as it was read: `order` is its time, raised to that of the frame read before it in the same
    namespace if that is later; sorted by it, the frames of all namespaces are in true order."""

    order: int
    time: int
    netns: str
    index: int
    outgoing: bool
    data: bytes


class Recorder:
    """Records all frames of several namespaces from `start` on.

    `lost` counts, by namespace, the frames that the kernel or the memory limit dropped.
    """

    def __init__(self, namespaces: Sequence[Netns], *, queue: int = _WANTED_QUEUE) -> None:
        self.sightings: list[Sighting] = []
        self.lost: dict[str, int] = {namespace.name: 0 for namespace in namespaces}
        self.failure: BaseException | None = None
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # held while waiting for the other
        self._bytes = 0
        self._beyond = 0  # read, but not kept
        self._latest: dict[str, int] = dict.fromkeys(self.lost, 0)
        self._sockets: dict[str, socket.socket] = {}
        self._receiver = Receiver()
        for namespace in namespaces:
            self._sockets[namespace.name] = self._open(namespace, queue)
        self._stop_read, self._stop_write = os.pipe()
        self._thread: threading.Thread | None = None

    @staticmethod
    def _open(namespace: Netns, queue: int) -> socket.socket:
        # Protocol 0 first and bind later: a socket that receives while its options are being set costs 15 ms.
        packet = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        packet.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        packet.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        try:
            packet.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, queue)
        except PermissionError:
            packet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, queue)
        bind_all(packet.fileno(), ETH_P_ALL)
        return packet

    def start(self) -> None:
        """Start the thread that empties the sockets as frames come in."""
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        poll = select.epoll()
        try:
            for each in self._sockets.values():
                poll.register(each, select.EPOLLIN)
            poll.register(self._stop_read, select.EPOLLIN)
            while True:
                if any(descriptor == self._stop_read for descriptor, _ in poll.poll()):
                    return
                self.drain()
        except BaseException as error:
            # Shown by the next question, in the thread that asks it.
            self.failure = error
        finally:
            poll.close()

    @contextlib.contextmanager
    def _fairly(self) -> Iterator[None]:
        # In a storm the capture's thread would take the lock again before who waits for it is awake.
        with self._turn:
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def drain(self) -> int:
        """Read what the sockets hold; return how many frames have been read since the start."""
        with self._fairly():
            # In a storm there is always more; what comes from now on is for the next call.
            now = time.clock_gettime_ns(time.CLOCK_REALTIME)
            for name, each in self._sockets.items():
                self._read(name, each, now)
            return len(self.sightings) + self._beyond

    def _read(self, netns: str, packet: socket.socket, until: int) -> None:
        descriptor, stamp = packet.fileno(), 0
        while stamp <= until:
            try:
                frames = self._receiver.receive(descriptor)
            except OSError as error:
                # An interface went down or away under the socket; the frames before it are safe.
                if error.errno == errno.ENETDOWN:
                    continue
                raise
            if not frames:
                return
            for data, control, address in frames:
                stamp = self._keep(netns, data, control, address)

    def _keep(self, netns: str, data: bytes, control: bytes, address: bytes) -> int:
        stamp, tag = _control(control)
        if tag:
            data = data[:12] + tag + data[12:]
        order = self._latest[netns] = max(self._latest[netns], stamp)
        if self._bytes + len(data) + OVERHEAD > MEMORY_LIMIT:
            self.lost[netns] += 1
            self._beyond += 1
            return stamp
        self._bytes += len(data) + OVERHEAD
        _family, _protocol, index, _hatype, kind = _SOCKADDR_LL.unpack_from(address)
        self.sightings.append(Sighting(order, stamp, netns, index, kind == PACKET_OUTGOING, data))
        return stamp

    def losses(self) -> dict[str, int]:
        """Return by namespace how many frames have been lost since the start (PACKET_STATISTICS in packet(7))."""
        with self._fairly():
            for name, each in self._sockets.items():
                # Reading resets the counter.
                _seen, dropped = struct.unpack("=II", each.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
                self.lost[name] += dropped
            return dict(self.lost)

    def stop(self) -> None:
        """Stop reading; the frames read so far stay."""
        if self._thread is not None:
            os.write(self._stop_write, b"x")
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """Stop, and close the sockets; each close waits for the kernel, so they are closed side by side."""
        self.stop()
        closing = [threading.Thread(target=each.close) for each in self._sockets.values()]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()
        os.close(self._stop_read)
        os.close(self._stop_write)


def _control(control: bytes) -> tuple[int, bytes]:
    """Return the time in nanoseconds and the VLAN tag out of a message's control data (cmsg(3))."""
    stamp, tag, offset = 0, b"", 0
    while offset + 16 <= len(control):
        length, level, kind = struct.unpack_from("=Qii", control, offset)
        if length < 16:
            break
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack_from("=qq", control, offset + 16)
            stamp = seconds * 1_000_000_000 + nanoseconds
        elif level == SOL_PACKET and kind == PACKET_AUXDATA:
            tag = _vlan_tag(control[offset + 16 : offset + length])
        offset += (length + 7) & ~7
    return stamp, tag


def _vlan_tag(auxdata: bytes) -> bytes:
    """Return the 802.1Q tag that the kernel took off the frame, or nothing."""
    status, _len, _snaplen, _mac, _net, tci, tpid = struct.unpack_from("=IIIHHHH", auxdata)
    if not status & TP_STATUS_VLAN_VALID:
        return b""
    return struct.pack("!HH", tpid if status & TP_STATUS_VLAN_TPID_VALID else ETH_P_8021Q, tci)
