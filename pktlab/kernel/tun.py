"""Tap and tun devices: TUNSETIFF on /dev/net/tun, as in Documentation/networking/tuntap.rst."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct

from pktlab.errors import DeadlineExceeded, KernelError, MachineError

TUNSETIFF = 0x400454CA
TUNSETIFINDEX = 0x400454DA
TUNSETPERSIST = 0x400454CB
SIOCSIFHWADDR = 0x8924
IFF_TUN, IFF_TAP = 0x0001, 0x0002
IFF_NO_PI = 0x1000
ARPHRD_ETHER = 1
_LARGEST = 1 << 16


class Tap:
    """The program's side of a tap device: `write` makes the interface receive a frame, `read` takes what it sent.

    Made in the namespace of the calling thread; the interface is gone when it is closed. Raises MachineError where
    /dev/net/tun cannot be opened.
    """

    def __init__(self, name: str, index: int, mac: str) -> None:
        self._fd = _open()
        try:
            fcntl.ioctl(self._fd, TUNSETIFINDEX, struct.pack("=I", index))
            fcntl.ioctl(self._fd, TUNSETIFF, struct.pack("=16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                address = bytes.fromhex(mac.replace(":", ""))
                fcntl.ioctl(control, SIOCSIFHWADDR, struct.pack("=16sH6s16x", name.encode(), ARPHRD_ETHER, address))
        except OSError as error:
            os.close(self._fd)
            raise KernelError(f"ip tuntap add {name} mode tap", error.errno or 0) from None

    def fileno(self) -> int:
        """The descriptor, for poll(2)."""
        return self._fd

    def write(self, frame: bytes) -> None:
        """Make the interface receive a frame, Ethernet header first. Raises KernelError if it is down."""
        try:
            os.write(self._fd, bytes(frame))
        except OSError as error:
            raise KernelError("write to a tap device", error.errno or 0) from None

    def read(self, *, timeout: float = 1.0) -> bytes:
        """Return the next frame that the interface sent; DeadlineExceeded if none comes in `timeout` seconds."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(timeout * 1000):
            raise DeadlineExceeded(f"the tap device sent no frame within {timeout:g} s")
        return os.read(self._fd, _LARGEST)

    def close(self) -> None:
        """Close it; the interface goes with it."""
        os.close(self._fd)


def make_tun(name: str, index: int) -> None:
    """Make a tun device in the namespace of the calling thread; it stays there until the namespace goes.

    No program is attached to it yet, so it has no carrier. Raises MachineError where /dev/net/tun cannot be opened.
    """
    descriptor = _open()
    try:
        fcntl.ioctl(descriptor, TUNSETIFINDEX, struct.pack("=I", index))
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("=16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        fcntl.ioctl(descriptor, TUNSETPERSIST, 1)
    except OSError as error:
        raise KernelError(f"ip tuntap add {name} mode tun", error.errno or 0) from None
    finally:
        os.close(descriptor)


def _open() -> int:
    try:
        return os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise MachineError(
            f"/dev/net/tun cannot be opened: {os.strerror(error.errno or 0)}",
            remedy="as root: modprobe tun; chmod 0666 /dev/net/tun",
        ) from None
