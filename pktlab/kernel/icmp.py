"""Echo requests through the kernel's own stack, without a ping program: raw(7), IP_RECVERR in ip(7), RFC 792."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from dataclasses import dataclass

from pktlab.errors import KernelError
from pktlab.kernel.netns import Netns

SO_BINDTODEVICE = 25
SO_TIMESTAMPNS = 35
IP_TTL = 2
IP_PKTINFO = 8
IP_MTU_DISCOVER = 10
IP_RECVERR = 11
IP_PMTUDISC_DONT, IP_PMTUDISC_DO = 0, 2
MSG_ERRQUEUE = 0x2000
ECHO_REPLY, ECHO_REQUEST = 0, 8
SO_EE_ORIGIN_ICMP = 2


@dataclass(frozen=True, slots=True)
class Echo:
    """An answer to an echo request: from whom, the TTL it arrived with, and the round-trip time in seconds."""

    source: str
    ttl: int
    rtt: float


@dataclass(frozen=True, slots=True)
class EchoError:
    """The kernel's word on why there is none: errno, and for an ICMP error its type, code and sender."""

    errno: int
    type: int = -1
    code: int = -1
    sender: str = ""


class EchoSocket:
    """A raw ICMP socket in a namespace, as `ping` uses it.

    It is bound to `dev` where given (ping -I dev); `index`, an ifindex, only names where each request leaves, as ping
    did before it bound its socket (IP_PKTINFO in ip(7)).
    """

    def __init__(
        self,
        namespace: Netns,
        *,
        dev: str = "",
        index: int = 0,
        src: str = "",
        ttl: int = 64,
        df: bool = False,
        ident: int = 1,
    ) -> None:
        self._socket = namespace.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
        self._ident = ident
        self._ancillary = [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=i8x", index))] if index else []
        self._sent: dict[int, int] = {}
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        self._socket.setsockopt(socket.IPPROTO_IP, IP_TTL, ttl)
        discover = IP_PMTUDISC_DO if df else IP_PMTUDISC_DONT
        self._socket.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, discover)
        if dev:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, dev.encode())
        if src:
            try:
                self._socket.bind((src, 0))
            except OSError as error:
                self._socket.close()
                raise KernelError(
                    f"ping from {src} in {namespace.name}",
                    error.errno or 0,
                    remedy="src= must be an address that the namespace has",
                ) from None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, dst: str, sequence: int, size: int) -> EchoError | None:
        """Send one request with `size` bytes of data; return the error if the kernel refuses at once."""
        data = bytes(i & 0xFF for i in range(size))
        header = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, self._ident, sequence)
        header = struct.pack("!BBHHH", ECHO_REQUEST, 0, _checksum(header + data), self._ident, sequence)
        self._sent[sequence] = time.clock_gettime_ns(time.CLOCK_REALTIME)
        try:
            self._socket.sendmsg([header + data], self._ancillary, 0, (dst, 0))
        except OSError as error:
            return EchoError(error.errno or 0)
        return None

    def poll(self, sequence: int, timeout: float) -> Echo | EchoError | None:
        """Return the answer to one request, or the error, waiting `timeout` seconds at most (0: not at all)."""
        end = time.monotonic() + timeout
        events = select.poll()
        events.register(self._socket, select.POLLIN)
        while True:
            left = max(0.0, end - time.monotonic())
            ready = events.poll(left * 1000)
            for _, event in ready:
                found = (self._error() if event & select.POLLERR else None) or self._answer(sequence)
                if found is not None:
                    return found
            if not ready and left <= 0:
                return None

    def _answer(self, sequence: int) -> Echo | None:
        try:
            data, ancillary, _flags, address = self._socket.recvmsg(1 << 16, 128)
        except OSError:
            return None
        size = (data[0] & 0x0F) * 4
        if len(data) < size + 8:
            return None
        kind, _code, _sum, ident, number = struct.unpack_from("!BBHHH", data, size)
        if (kind, ident, number) != (ECHO_REPLY, self._ident, sequence):
            return None
        arrived = time.clock_gettime_ns(time.CLOCK_REALTIME)
        for level, cmsg, value in ancillary:
            if level == socket.SOL_SOCKET and cmsg == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack_from("=qq", value)
                arrived = seconds * 1_000_000_000 + nanoseconds
        return Echo(address[0], data[8], max(0, arrived - self._sent[sequence]) / 1e9)

    def _error(self) -> EchoError | None:
        try:
            _data, ancillary, _flags, _address = self._socket.recvmsg(1 << 12, 512, MSG_ERRQUEUE)
        except BlockingIOError:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return EchoError(code) if code else None
        for level, cmsg, value in ancillary:
            if level == socket.IPPROTO_IP and cmsg == IP_RECVERR:
                errno, origin, kind, code = struct.unpack_from("=IBBB", value)
                if origin != SO_EE_ORIGIN_ICMP:
                    return EchoError(errno)
                return EchoError(errno, kind, code, socket.inet_ntoa(value[20:24]))
        return None


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def error_words(error: EchoError) -> str:
    """Say an error in the kernel's words, and whose they are."""
    words = os.strerror(error.errno)
    return f"{words} (ICMP type {error.type} code {error.code} from {error.sender})" if error.sender else words
