"""A netlink socket that sends many requests at once and reads their answers: netlink(7), rtnetlink(7).

The messages are bytes here; what they say is the business of `pktlab.kernel.link`. The socket belongs to the
namespace that the calling thread is in when it is made.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pktlab.errors import KernelError

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800
NLM_F_ACK_TLVS = 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLMSGERR_ATTR_MSG = 1
_HEADER = struct.Struct("=IHHII")

# An answer takes up to a page of the receive queue (about 200 kB by default), whatever its length.
_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Request:
    """An encoded message, and as text what it asks for; `data` begins with its nlmsghdr.

    `where` is the place in a lab file that asks for it, if there is one.
    """

    what: object
    data: bytes
    where: object = ""


class Netlink:
    """A netlink socket of one protocol family, in the namespace of the thread that makes it."""

    def __init__(self, protocol: int = NETLINK_ROUTE, *, groups: Sequence[int] = ()) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        if protocol == NETLINK_ROUTE:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
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
        pending: dict[int, Request] = {}
        parts = []
        for request in requests:
            self._sequence += 1
            pending[self._sequence] = request
            parts.append(self._numbered(request.data))
        self._socket.send(b"".join(parts))
        failed: KernelError | None = None
        while pending:
            for kind, sequence, body in self._receive():
                request_or_none = pending.pop(sequence, None)
                if kind != NLMSG_ERROR or request_or_none is None:
                    continue
                code = struct.unpack_from("=i", body)[0]
                if code and failed is None:
                    refused = request_or_none
                    failed = KernelError(str(refused.what), -code, _message(body), where=str(refused.where))
        if failed is not None:
            raise failed

    def dump(self, request: Request) -> list[bytes]:
        """Send a dump request; return the answers, each with its nlmsghdr. Raises KernelError."""
        self._sequence += 1
        self._socket.send(self._numbered(request.data))
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

    def events(self) -> Iterator[bytes]:
        """Yield the multicast messages that have arrived, without waiting for more."""
        while True:
            try:
                data = self._socket.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                # The queue overflowed: state must be read afresh, and there is nothing else to yield.
                if error.errno == 105:
                    continue
                raise
            for kind, sequence, body in _split(data):
                yield _HEADER.pack(16 + len(body), kind, 0, sequence, 0) + body

    def _numbered(self, data: bytes) -> bytes:
        length, kind, flags, _, _ = _HEADER.unpack_from(data)
        padding = -length % 4
        return b"".join((_HEADER.pack(length, kind, flags, self._sequence, 0), data[16:length], b"\0" * padding))

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        yield from _split(self._socket.recv(1 << 18))


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
