"""Ready bytes put on an interface: AF_PACKET, packet(7)."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from pktlab.errors import KernelError
from pktlab.kernel.netns import Netns


def send(namespace: Netns, dev: str, frames: Sequence[bytes]) -> None:
    """Send frames, Ethernet header first, out of an interface.

    Raises KernelError that says which frame was refused: ENETDOWN for an interface that is down, EMSGSIZE for a
    frame longer than its MTU and header.
    """
    with namespace.socket(socket.AF_PACKET, socket.SOCK_RAW) as packet:
        packet.bind((dev, 0))
        for number, frame in enumerate(frames, 1):
            try:
                packet.send(frame)
            except OSError as error:
                raise KernelError(
                    f"send frame {number} of {len(frames)} ({len(frame)} bytes) out of {namespace.name}/{dev}",
                    error.errno or 0,
                    remedy=_REMEDIES.get(error.errno or 0, ""),
                ) from None


_REMEDIES = {
    100: "the interface is down: net.up(dev)",
    90: "the frame is longer than the interface's MTU plus its Ethernet header",
    105: f"the interface's queue is full ({os.strerror(105)}): send fewer frames at once",
}
