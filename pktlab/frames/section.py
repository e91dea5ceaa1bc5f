"""A pcapng section, written block by block: a file that is written at once, or a stream that somebody reads along.

Block and option numbers are those of draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from struct import pack
from typing import BinaryIO

from pktlab.frame import IN, OUT, Frame
from pktlab.interface import Interface

SECTION, INTERFACE, NAMES, STATISTICS, PACKET = 0x0A0D0D0A, 1, 4, 5, 6
ETHERNET = 1  # LINKTYPE_ETHERNET; what AF_PACKET gives of lo is Ethernet, too
COMMENT = 1
SHB_HARDWARE, SHB_OS, SHB_USERAPPL = 2, 3, 4
IF_NAME, IF_DESCRIPTION, IF_MACADDR, IF_TSRESOL, IF_TSOFFSET = 2, 3, 6, 9, 14
EPB_FLAGS, EPB_PACKETID = 2, 5
ISB_STARTTIME, ISB_ENDTIME, ISB_IFRECV, ISB_IFDROP, ISB_USRDELIV = 2, 3, 4, 5, 8
DIRECTIONS = {IN: 1, OUT: 2}  # epb_flags, bits 0 and 1

_Option = tuple[int, bytes]


class Writer:
    """Writes one pcapng section to a file block by block, so that who reads along has every frame at once.

    `interfaces` are described in the order given, and others when a frame names them; `names` are by IP address.
    """

    def __init__(
        self,
        file: BinaryIO,
        interfaces: Iterable[Interface] = (),
        *,
        names: Mapping[str, str] | None = None,
        section_comment: str = "",
        hardware: str = "",
        os: str = "",
        application: str = "pktlab",
    ) -> None:
        self._write = file.write
        self._index: dict[Interface, int] = {}
        self._counts: dict[Interface, int] = {}
        self._first, self._last = 0, 0
        texts = [(COMMENT, section_comment), (SHB_HARDWARE, hardware), (SHB_OS, os), (SHB_USERAPPL, application)]
        section = pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
        self._write(_block(SECTION, section + _options([(code, text.encode()) for code, text in texts if text])))
        for interface in interfaces:
            self.describe(interface)
        self.name(names or {})

    def describe(self, interface: Interface) -> int:
        """Describe an interface if that has not been done; return its number in the section."""
        if interface not in self._index:
            self._index[interface], self._counts[interface] = len(self._index), 0
            self._write(_block(INTERFACE, pack("<HHI", ETHERNET, 0, 0) + _options(_described(interface))))
        return self._index[interface]

    def name(self, names: Mapping[str, str]) -> None:
        """Write names for IP addresses."""
        if names:
            records = b"".join(_name_record(address, name) for address, name in names.items())
            self._write(_block(NAMES, records + bytes(4)))

    def frame(self, frame: Frame, comments: Sequence[str] = ()) -> None:
        """Write a frame with its own time in nanoseconds."""
        index = self._index.get(frame.interface)
        if index is None:
            index = self.describe(frame.interface)
        self._counts[frame.interface] += 1
        self._first, self._last = min(self._first or frame.time, frame.time), max(self._last, frame.time)
        options = [(COMMENT, text.encode()) for text in comments]
        options.append((EPB_FLAGS, pack("<I", DIRECTIONS.get(frame.direction, 0))))
        if frame.packet:
            options.append((EPB_PACKETID, pack("<Q", frame.packet)))
        size = len(frame.data)
        fixed = pack("<IIIII", index, *_halves(frame.time), size, max(frame.length, size))
        self._write(_block(PACKET, fixed + _padded(frame.data) + _options(options)))

    def finish(
        self, dropped: Mapping[Interface, int] | None = None, notes: Mapping[Interface, str] | None = None
    ) -> None:
        """Write the statistics of every interface, with what was lost there and a comment where there is one."""
        start, end = (pack("<II", *_halves(time)) for time in (self._first, self._last))
        for interface, position in self._index.items():
            seen, lost = self._counts[interface], (dropped or {}).get(interface, 0)
            options = [
                *([(COMMENT, notes[interface].encode())] if notes and interface in notes else []),
                (ISB_STARTTIME, start),
                (ISB_ENDTIME, end),
                (ISB_IFRECV, pack("<Q", seen + lost)),
                (ISB_IFDROP, pack("<Q", lost)),
                (ISB_USRDELIV, pack("<Q", seen)),
            ]
            self._write(_block(STATISTICS, pack("<I", position) + end + _options(options)))


def _block(kind: int, body: bytes) -> bytes:
    length = pack("<I", len(body) + 12)
    return pack("<I", kind) + length + body + length


def _options(options: Sequence[_Option]) -> bytes:
    if not options:
        return b""
    return b"".join(pack("<HH", code, len(v)) + _padded(v) for code, v in map(_fitting, options)) + bytes(4)


def _fitting(option: _Option) -> _Option:
    code, value = option
    if len(value) > 0xFFFF:  # only a text can be: it ends early, and with a whole character
        value = value[:0xFFFF].decode(errors="ignore").encode()
    return code, value


def _described(interface: Interface) -> list[_Option]:
    name = str(interface) if interface.netns else interface.name
    options: list[_Option] = [(IF_NAME, name.encode())]
    if interface.kind:
        options.append((IF_DESCRIPTION, interface.kind.encode()))
    if interface.mac:
        options.append((IF_MACADDR, bytes.fromhex(interface.mac.replace(":", ""))))
    return [*options, (IF_TSRESOL, b"\x09")]


def _name_record(address: str, name: str) -> bytes:
    packed = ip_address(address).packed
    value = packed + name.encode() + b"\0"
    return pack("<HH", 1 if len(packed) == 4 else 2, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _halves(time: int) -> tuple[int, int]:
    """A time in nanoseconds, as the format has it: the high 32 bits and the low."""
    return time >> 32, time & 0xFFFFFFFF
