"""Markers: frames of our own, by which the capture proves of every interface that it hears it.

A marker is sent out of an interface to the interface's own MAC address, and nobody takes it: its source address is
zero, so a bridge drops it where it comes in, before it learns or forwards (br_handle_frame() in net/bridge/br_input.c),
and no stack has its ethertype. A bridge that sends to itself drops it (br_dev_xmit()), or
sends it out of the port whose MAC address it has taken. So neighbour tables and forwarding tables stay as they are;
what moves is an interface's count of frames sent, and its peer's of frames received, by one or two of 60 bytes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pktlab.kernel import tables
from pktlab.kernel.capture import Recorder
from pktlab.kernel.mmsg import send_to
from pktlab.kernel.netlink import Netlink
from pktlab.kernel.netns import Netns
from pktlab.kernel.queue import ETH_P_MARKER as ETH_P_MARKER
from pktlab.kernel.storage import placed

SIOCGIFHWADDR = 0x8927
_HEADER = struct.Struct("!6s6xH8sQ")
_SIZE = 60
_REQUEST = struct.Struct("=16sH14x8x")
_REASONS = {
    errno.ENETDOWN: "it is down",
    errno.ENOBUFS: "its queueing discipline dropped the marker",
    errno.ENXIO: "it is gone",
    errno.ENODEV: "it is gone",
}
HELD = "its markers are held back or dropped before the capture: by a queueing discipline, or a filter"
SILENT = "it has no carrier"
TAKEN = "it has the MAC address of a port, through which a marker would go on"


@dataclass(frozen=True, slots=True)
class Target:
    """An interface that a marker goes out of; `second` if it hears the marker of its peer as well."""

    netns: str
    index: int
    name: str
    bridge: bool = False
    second: bool = False


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker as it was captured; `time` in nanoseconds."""

    time: int
    netns: str
    index: int
    outgoing: bool
    data: bytes


def foreign(data: bytes, stamp: int, place: int) -> bool:
    """Tell whether a frame with the markers' ethertype is one of any process: nothing else has no source address.

    For a `Recorder.marker` where another process may prove a capture of its own.
    """
    return data[6:12] == bytes(6)


class Prover:
    """Sends markers through a recorder's namespaces, by a socket in each that is made when it is needed."""

    def __init__(self, namespaces: Mapping[str, Netns], netlinks: Mapping[str, Netlink], recorder: Recorder) -> None:
        self.heard: list[Marker] = []
        self._namespaces = namespaces
        self._netlinks = netlinks
        self._recorder = recorder
        self._sockets: dict[str, socket.socket] = {}
        self._secret = os.urandom(8)
        self._number = 0
        recorder.marker = self._hear

    def _hear(self, data: bytes, stamp: int, place: int) -> bool:
        """Take a marker out of what was captured; called by whoever reads it."""
        if data[14:22] != self._secret:
            return False
        number, index, outgoing = placed(place)
        netns = self._recorder.names[number]
        self.heard.append(Marker(stamp, netns, index, outgoing, data))
        return True

    def round(
        self, targets: Sequence[Target], others: Sequence[tuple[str, str]] = ()
    ) -> tuple[dict[Target, int], dict[Target, str]]:
        """Send a marker through every interface; return when each was heard there, and why others were not.

        What is heard was stamped on arrival: nobody reads while some are being sent, and a stamp of reading would be
        later. Those of which a peer's marker was heard are not sent one of their own. `others` are interfaces, by
        namespace and name, that no marker may go out of.
        """
        reasons: dict[Target, str] = {}
        heard: dict[Target, int] = {}
        places = {(each.netns, each.index): each for each in targets}
        # No more at once than every queue has room for: what it drops would be missed.
        bunch = self._recorder.bunch(_SIZE, 2)
        for some in ([each for each in targets if not each.second], [each for each in targets if each.second]):
            wanted = [each for each in some if each not in heard]
            for start in range(0, len(wanted), bunch):
                few = wanted[start : start + bunch]
                known = len(self.heard)
                with self._recorder.fairly():
                    for netns in dict.fromkeys(each.netns for each in few):
                        avoided = [name for place, name in others if place == netns]
                        reasons |= self._send(netns, [each for each in few if each.netns == netns], avoided)
                    after = time.clock_gettime_ns(time.CLOCK_REALTIME)
                self._recorder.drain()
                self._recorder.index()
                for marker in self.heard[known:]:
                    where = places.get((marker.netns, marker.index))
                    if where is not None and marker.time <= after:
                        heard.setdefault(where, marker.time)
        silent = {each: reasons.get(each, HELD) for each in targets if each not in heard}
        for netns in {each.netns for each, why in silent.items() if why is HELD}:
            # The kernel takes a frame for an interface without carrier, and drops it.
            flags = tables.carriers(self._netlinks[netns])
            for each in silent:
                if each.netns == netns and not flags.get(each.index, (0, 0))[0] & tables.IFF_LOWER_UP:
                    silent[each] = reasons.get(each, SILENT)
        return heard, silent

    def _send(self, netns: str, targets: Iterable[Target], avoided: Iterable[str]) -> dict[Target, str]:
        """Send out of interfaces of one namespace; return those that did not, and why."""
        if netns not in self._sockets:
            self._sockets[netns] = self._namespaces[netns].socket(socket.AF_PACKET, socket.SOCK_RAW)
            self._recorder.others.append(self._sockets[netns])
        packet = self._sockets[netns]
        reasons: dict[Target, str] = {}
        for each in targets:
            try:
                mac = _mac(packet, each.name)
                if each.bridge and mac in [_mac(packet, name) for name in avoided]:
                    reasons[each] = TAKEN
                    continue
                self._number += 1
                data = _HEADER.pack(mac, ETH_P_MARKER, self._secret, self._number).ljust(_SIZE, b"\0")
                send_to(packet.fileno(), data, each.index, ETH_P_MARKER)
            except OSError as error:
                reasons[each] = _REASONS.get(error.errno or 0, os.strerror(error.errno or 0))
        return reasons


def _mac(packet: socket.socket, name: str) -> bytes:
    answer = fcntl.ioctl(packet, SIOCGIFHWADDR, _REQUEST.pack(name.encode(), 0))
    return answer[18:24]
