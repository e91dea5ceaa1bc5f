"""recvmmsg(2) and sendmmsg(2) on packet sockets: many frames for one system call.

Received frames come with address and control data as bytes: Python's own recvmsg() names the interface instead of
numbering it, and a name looked up at read time is wrong once the interface has moved.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate

MSG_DONTWAIT = 0x40
# The largest frame is a TCP super-packet of 64 KiB behind its Ethernet header and tags.
SNAPLEN = (1 << 16) + 64
CONTROL = 128
ADDRESS = 20


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint32))


_IOVEC = ctypes.sizeof(_Iovec)
# A struct mmsghdr in words of 8 bytes, and where in it what is needed lies.
_WORDS = ctypes.sizeof(_Mmsghdr) // 8
_IOV, _IOVLEN, _CONTROLLEN = (getattr(_Msghdr, name).offset // 8 for name in ("iov", "iovlen", "controllen"))
_LENGTH = _Mmsghdr.length.offset // 8

_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


def bind_all(descriptor: int, protocol: int) -> None:
    """Bind a packet socket to a protocol on every interface (ifindex 0), which Python's bind() cannot say.

    Raises OSError.
    """
    address = struct.pack("=HHiHBB8x", socket.AF_PACKET, socket.htons(protocol), 0, 0, 0, 0)
    if _libc.bind(descriptor, address, len(address)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def send_to(descriptor: int, frame: bytes, index: int, protocol: int) -> None:
    """Send a frame out of an interface that is named by its ifindex, on a packet socket. Raises OSError."""
    address = struct.pack("=HHiHBB8x", socket.AF_PACKET, socket.htons(protocol), index, 0, 0, 6)
    if _libc.sendto(descriptor, frame, len(frame), MSG_DONTWAIT, address, len(address)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Receiver:
    """Buffers for `count` frames at a time; not to be shared between threads without a lock.

    What `receive` read stays until it is called again: `data` is a frame, `control` and `address` have CONTROL and
    ADDRESS bytes for each.
    """

    def __init__(self, count: int = 64) -> None:
        self.count = count
        self.control = bytearray(count * CONTROL)
        self.address = bytearray(count * ADDRESS)
        self._data = memoryview(bytearray(count * SNAPLEN))
        data, control, address = (
            ctypes.addressof(ctypes.c_char.from_buffer(b)) for b in (self._data, self.control, self.address)
        )
        self._vectors = (_Iovec * count)()
        headers = (_Mmsghdr * count)()
        for i in range(count):
            self._vectors[i].base = data + i * SNAPLEN
            self._vectors[i].length = SNAPLEN
            header = headers[i].header
            header.name = address + i * ADDRESS
            header.namelen = ADDRESS
            header.iov = ctypes.pointer(self._vectors[i])
            header.iovlen = 1
            header.control = control + i * CONTROL
            header.controllen = CONTROL
        # The kernel writes lengths into the headers, so each call begins with these.
        self._fresh = bytes(headers)
        self._headers = array("Q", self._fresh)
        self._headers_at = self._headers.buffer_info()[0]

    def receive(self, descriptor: int) -> int:
        """Read what is there without waiting; return how many frames. Raises OSError."""
        ctypes.memmove(self._headers_at, self._fresh, len(self._fresh))
        got: int = _recvmmsg(descriptor, self._headers_at, self.count, MSG_DONTWAIT, None)
        if got < 0:
            code = ctypes.get_errno()
            if code in (errno.EAGAIN, errno.EINTR):
                return 0
            raise OSError(code, os.strerror(code))
        return got

    def data(self, which: int) -> memoryview:
        """Return a frame's bytes, from the Ethernet header on."""
        at = which * SNAPLEN
        return self._data[at : at + (self._headers[which * _WORDS + _LENGTH] & 0xFFFF_FFFF)]

    def control_of(self, which: int) -> bytes:
        """Return the control data that came with a frame."""
        at = which * CONTROL
        return bytes(self.control[at : at + self._headers[which * _WORDS + _CONTROLLEN]])


# Frames for one system call: as many as the kernel takes (UIO_MAXIOV), so that what comes with each call vanishes.
_WINDOW = 1024


class Sender:
    """Frames laid out once, to be sent from first to last any number of times over.

    What is kept is a copy of the frames and 16 bytes for each, however often they are sent.
    """

    def __init__(self, frames: Sequence[bytes]) -> None:
        self._data = bytearray().join(frames)
        sizes = array("Q", map(len, frames))
        begin = ctypes.addressof(ctypes.c_char.from_buffer(self._data)) if self._data else 0
        # The kernel reads (address, length) of each frame here; a few frames are written down many times.
        self._vectors = array("Q", bytes(_IOVEC * len(frames)))
        self._vectors[0::2] = array("Q", list(accumulate(sizes, initial=begin))[:-1])
        self._vectors[1::2] = sizes
        self._vectors *= -(-4 * _WINDOW // len(frames))
        self._length = len(self._vectors) // 2
        self._vectors_at = self._vectors.buffer_info()[0]
        self._window = array("Q", bytes(_IOVEC * _WINDOW))
        self._window_at = self._window.buffer_info()[0]
        self._headers = array("Q", bytes(8 * _WORDS * _WINDOW))
        self._headers[_IOV::_WORDS] = array("Q", range(self._window_at, self._window_at + _IOVEC * _WINDOW, _IOVEC))
        self._headers[_IOVLEN::_WORDS] = array("Q", [1] * _WINDOW)
        self._headers_at = self._headers.buffer_info()[0]

    def at_once(self, number: int, most: int) -> int:
        """Return how many go into one call of `send`."""
        return min(most, _WINDOW, self._length - number % self._length)

    def send(self, descriptor: int, number: int, most: int) -> int:
        """Send `most` frames at the utmost, from the one that is `number` after the first; return how many went.

        Does not wait. Raises OSError if not even one went: then the error is that frame's.
        """
        first = number % self._length
        count = self.at_once(number, most)
        ctypes.memmove(self._window_at, self._vectors_at + _IOVEC * first, _IOVEC * count)
        sent: int = _sendmmsg(descriptor, self._headers_at, count, MSG_DONTWAIT)
        if sent < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return sent
