"""A packet socket that hears every interface of a namespace, read frame by frame: the capture for verdicts.

Bound to no interface, it sees them all and leaves them as they are: binding to a bridge and making it promiscuous
would show frames that are merely forwarded between its ports. One socket a namespace keeps the order in which that
namespace's interfaces saw a packet, which separate sockets lose, since a port and its bridge share a timestamp.
See packet(7).
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Callable

from pktlab.kernel.mmsg import ADDRESS, CONTROL, Receiver, bind_all
from pktlab.kernel.netns import Netns
from pktlab.kernel.storage import Full, Storage, place

ETH_P_ALL = 0x0003
ETH_P_8021Q = 0x8100
ARPHRD_NONE = 0xFFFE  # of linux/if_arp.h: a tun, whose packets have no Ethernet header
ETH_P_MARKER = 0x88B5  # IEEE Std 802 local experimental ethertype
SOL_PACKET = 263
PACKET_STATISTICS = 6
PACKET_AUXDATA = 8
PACKET_OUTGOING = 4
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
SO_MEMINFO = 55
TP_STATUS_VLAN_VALID = 0x10
TP_STATUS_VLAN_TPID_VALID = 0x40

# Tells whether a frame with the markers' type, its time and place, is one of ours.
Marker = Callable[[bytes, int, int], bool]

# What the kernel counts for a frame besides twice its size, at most: struct sk_buff, struct skb_shared_info, and memory
# that comes in powers of two (sk_buff.truesize).
OVERHEAD = 1024

# struct sockaddr_ll up to the packet's type.
_SOCKADDR = struct.Struct("=HHiHB")
# Control data as the kernel writes it when both are asked for: the time, and struct tpacket_auxdata.
_USUAL = struct.Struct("=Qii qq Qii I8xHHHH")
_STATISTICS = struct.Struct("=II")
# The first words of what SO_MEMINFO tells: bytes in the queue, and how many it may hold (linux/sock_diag.h).
_MEMINFO = struct.Struct("=II")


class Queue:
    """The socket of a namespace, hearing from the constructor's return on. `size` is wanted for its queue, in bytes;
    what is allowed is less for an ordinary user (net.core.rmem_max)."""

    def __init__(self, namespace: Netns, number: int, storage: Storage, receiver: Receiver, *, size: int) -> None:
        self.name = namespace.name
        self.lost = 0
        self.count = 0  # frames read, kept or not
        # Frames after this time are somebody else's.
        self.until: int | None = None
        self._number = number
        self._storage = storage
        self._receiver = receiver
        # Protocol 0 first and bind later: a socket that receives while its options are being set costs 15 ms.
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        bind_all(self._socket.fileno(), ETH_P_ALL)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def read(self, until: int, marker: Marker, *, most: int = sys.maxsize) -> bool:
        """Read what is there, up to the first frame after a moment, and about `most` frames; tell whether there may be
        more. Raises OSError.
        """
        receiver, descriptor, stamp = self._receiver, self._socket.fileno(), 0
        end = self.count + most
        while stamp <= until:
            if self.count >= end:
                return True
            try:
                got = receiver.receive(descriptor)
            except OSError as error:
                # An interface went down or away under the socket; the frames before it are safe.
                if error.errno == errno.ENETDOWN:
                    continue
                raise
            for which in range(got):
                stamp = self._keep(which, marker)
            if got < receiver.count:
                return False
        return False

    def _keep(self, which: int, marker: Marker) -> int:
        receiver = self._receiver
        (_size, level, kind, seconds, nanoseconds, _size2, level2, kind2, status, _mac, _net, tci, tpid) = (
            _USUAL.unpack_from(receiver.control, which * CONTROL)
        )
        if (level, kind, level2, kind2) == _USUAL_KINDS:
            stamp: int = seconds * 1_000_000_000 + nanoseconds
            tag = vlan_tag(status, tci, tpid) if status & TP_STATUS_VLAN_VALID else b""
        else:
            stamp, tag = control(receiver.control_of(which))
        self.count += 1
        if self.until is not None and stamp > self.until:
            return stamp
        data: bytes | memoryview = receiver.data(which)
        if tag:
            data = bytes(data[:12]) + tag + bytes(data[12:])
        _family, protocol, index, hatype, packet = _SOCKADDR.unpack_from(receiver.address, which * ADDRESS)
        if hatype == ARPHRD_NONE:
            data = ethernet(socket.ntohs(protocol)) + bytes(data)
        where = place(self._number, index, packet == PACKET_OUTGOING)
        if protocol == _MARKER_TYPE and marker(bytes(data), stamp, where):
            return stamp
        try:
            self._storage.add(data, stamp, where)
        except Full:
            self.lost += 1
        return stamp

    def filled(self) -> float:
        """Return how much of the queue is taken, from 0 to 1."""
        taken: int
        size: int
        taken, size = _MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 8))
        return taken / size

    def capacity(self) -> int:
        """Return how many bytes the queue holds, with what the kernel adds to each frame (see OVERHEAD)."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def losses(self) -> int:
        """Return how many frames have been lost since the start (PACKET_STATISTICS in packet(7), which resets it)."""
        _seen, dropped = _STATISTICS.unpack(self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.lost += dropped
        return self.lost

    def close(self) -> None:
        """Close the socket, which waits for the kernel."""
        self._socket.close()


_USUAL_KINDS = (socket.SOL_SOCKET, SO_TIMESTAMPNS, SOL_PACKET, PACKET_AUXDATA)
_MARKER_TYPE = socket.htons(ETH_P_MARKER)


def control(data: bytes) -> tuple[int, bytes]:
    """Return the time in nanoseconds and the VLAN tag out of a message's control data (cmsg(3))."""
    stamp, tag, offset = 0, b"", 0
    while offset + 16 <= len(data):
        length, level, kind = struct.unpack_from("=Qii", data, offset)
        if length < 16:
            break
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack_from("=qq", data, offset + 16)
            stamp = seconds * 1_000_000_000 + nanoseconds
        elif level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, tci, tpid = struct.unpack_from("=I12xHH", data, offset + 16)
            tag = vlan_tag(status, tci, tpid)
        offset += (length + 7) & ~7
    return stamp, tag


def ethernet(protocol: int) -> bytes:
    """Return the header that a bare packet is kept with, as one on lo has it: no addresses, and what it is."""
    return bytes(12) + protocol.to_bytes(2, "big")


def vlan_tag(status: int, tci: int, tpid: int) -> bytes:
    """Return the 802.1Q tag that the kernel took off the frame, or nothing."""
    if not status & TP_STATUS_VLAN_VALID:
        return b""
    return struct.pack("!HH", tpid if status & TP_STATUS_VLAN_TPID_VALID else ETH_P_8021Q, tci)
