"""The fence: proof that the kernel has handled every frame that was on its way.

A frame that a veth, a bridge or a tunnel passes on waits in the backlog of the CPU that sent it, and is
handled there in a softirq (enqueue_to_backlog() in net/core/dev.c). So a marker of our own, sent over a loopback
interface on a given CPU, comes back only when everything before it in that CPU's backlog has been handled.
One marker a CPU makes a round; a round in which no new frame was captured anywhere proves that nothing was
on its way. No time is waited for.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import time

from pktlab.errors import DeadlineExceeded
from pktlab.kernel.queue import ETH_P_MARKER, SO_TIMESTAMPNS

SIOCSIFFLAGS = 0x8914
IFF_UP = 1
# In seconds, after which another marker is sent: a backlog that is full drops it, and the backlog of a CPU holds the
# frames of the whole machine (net.core.netdev_max_backlog). Whichever comes back, what was before it has been handled.
AGAIN = 0.05
_MARKER = struct.Struct("!12xHQ46x")


class Fence:
    """Markers on the lo of the sandbox's first namespace, which is none of a lab's own and is where it must be made."""

    def __init__(self) -> None:
        _loopback_up()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind(("lo", ETH_P_MARKER))
        self._number = 0
        self._cpus = sorted(os.sched_getaffinity(0))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def round(self, *, timeout: float = 10.0) -> None:
        """Let a marker pass through the backlog of every CPU.

        Raises DeadlineExceeded if one has not come back within `timeout` seconds.
        """
        if len(self._cpus) == 1:
            self._pass(timeout)
            return
        try:
            for cpu in self._cpus:
                os.sched_setaffinity(0, {cpu})
                self._pass(timeout)
        finally:
            os.sched_setaffinity(0, self._cpus)

    def arm(self, *, timeout: float = 10.0) -> None:
        """Return once frames are stamped when they arrive, not when they are read.

        The kernel turns timestamps on from a work queue after the first socket asked for them
        (net_enable_timestamp() in net/core/dev.c); until then the stamp is the time of reading, which is later
        than the time at which sending returned.
        """
        end = time.monotonic() + timeout
        while True:
            stamp, sent = self._pass(timeout)
            if stamp <= sent:
                return
            if time.monotonic() > end:
                raise DeadlineExceeded(
                    f"the kernel did not stamp frames within {timeout:g} s",
                    remedy="the machine is overloaded, or its kernel has no packet timestamps",
                )

    def _pass(self, timeout: float) -> tuple[int, int]:
        """Return when a marker was stamped and when it was sent, in nanoseconds, after it has come back."""
        end = time.monotonic() + timeout
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        sent: dict[int, int] = {}
        while (left := end - time.monotonic()) > 0:
            self._number += 1
            self._socket.send(_MARKER.pack(ETH_P_MARKER, self._number))
            sent[self._number] = time.clock_gettime_ns(time.CLOCK_REALTIME)
            while poll.poll(min(left, AGAIN) * 1000):
                data, ancillary, _flags, _address = self._socket.recvmsg(128, 64)
                number = _MARKER.unpack_from(data)[1]
                if number in sent:
                    return _stamp(ancillary), sent[number]
        raise DeadlineExceeded(
            f"a marker on lo did not come back within {timeout:g} s",
            remedy="the machine is overloaded: its softirqs do not run",
        )


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack_from("=qq", value)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return 0


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("=16sh22x", b"lo", IFF_UP)
        fcntl.ioctl(control, SIOCSIFFLAGS, request)
