"""A netlink socket that sends many requests at once and reads their answers: netlink(7), rtnetlink(7).

The messages are bytes here; what they say is the business of `pktlab.kernel.link`. The socket belongs to the
namespace that the calling thread is in when it is made.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pktlab.errors import KernelError

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_LISTEN_ALL_NSID = 8
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800
NLM_F_ACK_TLVS = 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLMSGERR_ATTR_MSG = 1
_HEADER = struct.Struct("=IHHII")
_FLAGS, _SEQUENCE = struct.Struct("=H"), struct.Struct("=I")  # at 6 and at 8 in a header

# An answer takes up to a page of the receive queue (about 200 kB by default), whatever its length; a whole link more.
_CHUNK, _FEW = 64, 32
# Longer than any message of the kernel; twice as much would make malloc(3) ask for fresh pages each time.
_ROOM = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """An encoded message, and as text what it asks for; `data` begins with its nlmsghdr.

    `where` is the place in a lab file that asks for it, if there is one. `parts` gives the same again as several, for
    a request that does what is declared in more than one place: who is refused is found by asking one by one.
    """

    what: object
    data: bytes
    where: object = ""
    parts: Callable[[], Sequence[Request]] | None = None


class Netlink:
    """A netlink socket of one protocol family, in the namespace of the thread that makes it.

    It hears the multicast of `groups`; with `everywhere`, that of all namespaces which have an id in its own as well.
    """

    def __init__(self, protocol: int = NETLINK_ROUTE, *, groups: Sequence[int] = (), everywhere: bool = False) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        if protocol == NETLINK_ROUTE:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        if everywhere:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        self._sequence = 0

    def fileno(self) -> int:
        """The descriptor, for poll(2)."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def batch(self, requests: Sequence[Request]) -> None:
        """Send requests together, in order; each is carried out before the next.

        Raises KernelError for the first one that was refused; those behind it in its bunch have been tried too.
        """
        for start in range(0, len(requests), _CHUNK):
            self._bunch(requests[start : start + _CHUNK])

    def _bunch(self, requests: Sequence[Request]) -> None:
        last = self._post(requests, NLM_F_ACK)
        refused: list[tuple[Request, int, str]] = []
        sequence = 0
        # All but the last are answered only if they are refused.
        while sequence != last:
            for kind, sequence, body in self._receive():
                code = struct.unpack_from("=i", body)[0] if kind == NLMSG_ERROR else 0
                number = sequence - (last - len(requests) + 1)
                if code and 0 <= number < len(requests):
                    refused.append((requests[number], -code, _message(body)))
        for request, code, text in refused:
            if request.parts is None:
                raise KernelError(str(request.what), code, text, where=str(request.where))
            for part in request.parts():
                self._bunch([part])

    def ask(self, requests: Sequence[Request]) -> list[bytes | None]:
        """Send requests that are answered with one message each; return the answers, None for what was refused."""
        answers: list[bytes | None] = []
        for start in range(0, len(requests), _FEW):
            few = requests[start : start + _FEW]
            last = self._post(few, 0)
            sequence = 0
            while sequence != last:
                for kind, sequence, body in self._receive():
                    if sequence > last - len(few):
                        whole = _HEADER.pack(16 + len(body), kind, 0, sequence, 0) + body
                        answers.append(None if kind == NLMSG_ERROR else whole)
        return answers

    def _post(self, requests: Sequence[Request], flags: int) -> int:
        """Send requests in one go, the last with these flags besides its own; return its number."""
        message = bytearray().join([request.data for request in requests])
        start = offset = 0
        for request in requests:
            self._sequence += 1
            _SEQUENCE.pack_into(message, offset + 8, self._sequence)
            start, offset = offset, offset + len(request.data)
        _FLAGS.pack_into(message, start + 6, _FLAGS.unpack_from(message, start + 6)[0] | flags)
        self._socket.send(message)
        return self._sequence

    def dump(self, request: Request) -> list[bytes]:
        """Send a dump request; return the answers, each with its nlmsghdr. Raises KernelError."""
        self._post([request], 0)
        answers: list[bytes] = []
        while True:
            for kind, sequence, body in self._receive():
                if sequence != self._sequence:
                    continue
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    code = struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
                    if code:
                        raise KernelError(str(request.what), -code, _message(body))
                    return answers
                answers.append(_HEADER.pack(16 + len(body), kind, 0, sequence, 0) + body)

    def events(self) -> Iterator[tuple[int, bytes]]:
        """Yield the multicast messages that have arrived, each behind the id of its namespace (-1 for the socket's
        own), without waiting for more. Raises KernelError when some were lost: the state must be read afresh then.
        """
        while True:
            try:
                data, ancillary, _flags, _address = self._socket.recvmsg(_ROOM, 64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                raise KernelError("netlink events", error.errno or 0) from None
            place = -1
            for level, kind, value in ancillary:
                if (level, kind) == (SOL_NETLINK, NETLINK_LISTEN_ALL_NSID):
                    place = struct.unpack("=i", value)[0]
            for kind, sequence, body in _split(data):
                yield place, _HEADER.pack(16 + len(body), kind, 0, sequence, 0) + body

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        yield from _split(self._socket.recv(_ROOM))


def _split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset + 16 <= len(data):
        length, kind, _flags, sequence, _pid = _HEADER.unpack_from(data, offset)
        if length < 16:
            return
        yield kind, sequence, data[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def _message(body: bytes) -> str:
    """Return the kernel's own words out of an nlmsgerr with NETLINK_CAP_ACK set, or an empty text."""
    for kind, value in attributes(body, 4 + 16):
        if kind == NLMSGERR_ATTR_MSG:
            return value.split(b"\0")[0].decode(errors="replace")
    return ""


def attributes(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield type and payload of each rtattr from `offset` on."""
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
