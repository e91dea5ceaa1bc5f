"""Ready bytes put on an interface: AF_PACKET, packet(7), many frames for one sendmmsg(2).

They take the way of the stack's own frames, through the queueing discipline and past the captures. PACKET_QDISC_BYPASS
would hide them from every capture at the interface that sends them, and saves nothing on a veth, which has no queue.
"""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import struct
import termios
from collections.abc import Callable, Sequence

from pktlab.errors import DeadlineExceeded, Inconclusive, KernelError
from pktlab.kernel import libc, schedule
from pktlab.kernel.backlog import driver_drops
from pktlab.kernel.mmsg import Sender
from pktlab.kernel.netns import Netns
from pktlab.kernel.schedule import Schedule

# So many frames are sent between two readings of the capture, where it does not say how many it has room for.
BUNCH = 16
# How long an interface may take no frame at all.
STALL_SECONDS = 10.0

_REMEDIES = {
    errno.EINVAL: "a frame has at least the 14 bytes of its Ethernet header",
    errno.EMSGSIZE: "the frame is longer than the interface's MTU plus its Ethernet header",
    errno.ENETDOWN: "the interface is down: net.up(dev)",
    errno.ENXIO: "the interface is gone",
    errno.ENOBUFS: "its queueing discipline takes no such frame, even when nothing of this sender is left in it",
}


class Sent(int):
    """How many frames were sent; `seconds` from the first to the last."""

    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """The rate that was achieved, in frames a second; 0 for less than two frames."""
        return (self - 1) / self.seconds if self > 1 and self.seconds else 0.0


def send(
    namespace: Netns,
    dev: str,
    frames: Sequence[bytes],
    *,
    count: int = 1,
    when: Schedule | None = None,
    drain: Callable[[], object] | None = None,
    bunch: int = BUNCH,
) -> Sent:
    """Send frames, Ethernet header first, `count` times over, out of an interface, as fast as it takes them.

    `when` says at what time each is due; when the sender falls behind, it catches up. `drain` is called after every
    `bunch` of frames. Where the queueing discipline is full, this waits until it has room. Raises KernelError that says
    which frame was refused: ENETDOWN for an interface that is down, EMSGSIZE for a frame longer than its MTU and
    header; and Inconclusive, when all have been sent, if the interface dropped any: those were seen going out, and lost
    then.
    """
    total = len(frames) * count
    if not total:
        return Sent(0)
    with namespace.socket(socket.AF_PACKET, socket.SOCK_RAW) as packet:
        packet.bind((dev, 0))
        if when is not None:
            libc.prctl(libc.PR_SET_TIMERSLACK, 1)
        try:
            sending = _Sending(packet, Sender(frames), total, _Drops(namespace, dev))
            sent = sending.all(when, drain, bunch)
        except _Refused as refused:
            size = len(frames[refused.number % len(frames)])
            raise KernelError(
                f"send frame {refused.number + 1} of {total} ({size} bytes) out of {namespace.name}/{dev}",
                refused.errno,
                remedy=_REMEDIES.get(refused.errno, ""),
            ) from None
        finally:
            if when is not None:
                libc.prctl(libc.PR_SET_TIMERSLACK, 0)  # the default again
    if sending.dropped:
        raise Inconclusive(
            f"{namespace.name}/{dev} dropped {sending.dropped} of {total} frames on their way out",
            remedy="the backlog of a processor is full: something on this machine sends too much; run it again",
        )
    return sent


class _Refused(Exception):
    def __init__(self, number: int, errno: int) -> None:
        self.number = number
        self.errno = errno


class _Drops:
    """How often the driver of an interface has dropped what it was to send."""

    def __init__(self, namespace: Netns, dev: str) -> None:
        self._namespace = namespace
        self._dev = dev
        self._last = self._read()

    def _read(self) -> int:
        return driver_drops(self._namespace).get(self._dev, 0)

    def more(self) -> bool:
        """Tell whether there are more than when this was asked last."""
        before, self._last = self._last, self._read()
        return self._last > before


class _Sending:
    """Frames on their way. `dropped` counts those that the driver dropped."""

    def __init__(self, packet: socket.socket, sender: Sender, total: int, drops: _Drops) -> None:
        self._packet = packet
        self._sender = sender
        self._total = total
        self._drops = drops
        self.dropped = 0
        self._refused = -1  # the frame that was refused last

    def all(self, when: Schedule | None, drain: Callable[[], object] | None, bunch: int) -> Sent:
        """Send them all, each when it is due."""
        at_once = self._total if drain is None else bunch
        sent = unread = 0
        due = self._total
        begin = schedule.now()
        while sent < self._total:
            if when is not None:
                due = min(self._total, when.due(schedule.now() - begin))
                if due <= sent:
                    schedule.wait_until(begin + when.moment(sent))
                    continue
            took = self._some(sent, min(due - sent, at_once - unread if drain else at_once))
            sent += took
            unread += took
            if drain is not None and unread >= bunch:
                drain()
                unread = 0
        if drain is not None and unread >= BUNCH:
            drain()  # the next call counts from nought
        result = Sent(sent)
        result.seconds = (schedule.now() - begin) / 1e9
        return result

    def _some(self, sent: int, most: int) -> int:
        """Send some; return how many the interface has dealt with, which may be none."""
        try:
            took = self._sender.send(self._packet.fileno(), sent, most)
            wanted = self._sender.at_once(sent, most)
            if took == wanted:
                return took
            code = 0
        except OSError as error:
            took, code = 0, error.errno or 0
        # A frame that the driver dropped has been seen by the captures: sent again, it would be seen twice. It is told
        # as ENOBUFS, as is a full queueing discipline, or not at all where others went before it.
        if code in (0, errno.ENOBUFS) and self._drops.more():
            self.dropped += 1
            return took + 1
        if code:
            # The queue may have emptied since it refused the frame: only one that it refuses twice is too large for it.
            _make_room(self._packet, sent, code, again=self._refused == sent)
            self._refused = sent
        return took


def _make_room(packet: socket.socket, number: int, code: int, *, again: bool) -> None:
    """Return when a frame that was refused may be sent again.

    A full queueing discipline answers ENOBUFS and tells nobody when it has room. But it holds frames of ours, which
    the socket counts until they leave: made no larger than they are now, the socket is writable when one has left.
    """
    if code == errno.ENOBUFS:
        waiting = struct.unpack("=i", fcntl.ioctl(packet, termios.TIOCOUTQ, bytes(4)))[0]
        if not waiting:
            if again:
                raise _Refused(number, code)
            return
        packet.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, waiting)
    elif code != errno.EAGAIN:
        if code != errno.EINTR:
            raise _Refused(number, code)
        return
    poll = select.poll()
    poll.register(packet, select.POLLOUT)
    if not poll.poll(STALL_SECONDS * 1000):
        raise DeadlineExceeded(
            f"the interface took no frame for {STALL_SECONDS:g} s; the next is frame {number + 1}",
            remedy="its queueing discipline holds all frames back: give it a higher rate",
        )
