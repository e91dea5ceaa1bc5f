"""Captures as files: pcapng written and read, classic pcap read.

Block and option numbers are those of draft-ietf-opsawg-pcapng; classic pcap is draft-ietf-opsawg-pcap. A capture is
written so that Wireshark needs no setting: nanoseconds, interface names, directions, one packet id for all sightings
of a packet (``frame.packet_id == 1`` shows its path), comments, names for addresses, drops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from struct import calcsize, unpack_from
from typing import Any, BinaryIO

from pktlab.errors import LabError
from pktlab.frame import IN, OUT, Frame
from pktlab.frames.section import (
    COMMENT,
    DIRECTIONS,
    EPB_FLAGS,
    EPB_PACKETID,
    ETHERNET,
    IF_DESCRIPTION,
    IF_MACADDR,
    IF_NAME,
    IF_TSOFFSET,
    IF_TSRESOL,
    INTERFACE,
    ISB_IFDROP,
    NAMES,
    PACKET,
    SECTION,
    SHB_HARDWARE,
    SHB_OS,
    SHB_USERAPPL,
    STATISTICS,
    Writer,
)
from pktlab.interface import Interface

_BYTE_ORDER = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
# Classic pcap: byte order and nanoseconds in one unit of a record's fraction.
_PCAP = {
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
}


@dataclass(slots=True)
class Capture:
    """What a capture file says. `comments` are by frame number, `names` by IP address, `dropped` and `notes` by
    interface."""

    interfaces: list[Interface] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    comments: dict[int, list[str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    dropped: dict[Interface, int] = field(default_factory=dict)
    notes: dict[Interface, str] = field(default_factory=dict)
    section_comment: str = ""
    hardware: str = ""
    os: str = ""
    application: str = ""


def write(
    file: BinaryIO,
    frames: Iterable[Frame],
    interfaces: Iterable[Interface],
    *,
    comments: Mapping[int, Sequence[str]] | None = None,
    names: Mapping[str, str] | None = None,
    dropped: Mapping[Interface, int] | None = None,
    notes: Mapping[Interface, str] | None = None,
    section_comment: str = "",
    hardware: str = "",
    os: str = "",
    application: str = "pktlab",
) -> None:
    """Write frames in the order given as one pcapng section, with their own times in nanoseconds.

    `interfaces` are described in the order given, and after them those that only frames name. `comments` are by
    `Frame.number`, `names` by IP address, `dropped` counts the frames lost on an interface,
    `notes` are comments on interfaces.
    """
    writer = Writer(
        file,
        interfaces,
        names=names,
        section_comment=section_comment,
        hardware=hardware,
        os=os,
        application=application,
    )
    comments = comments or {}
    for frame in frames:
        writer.frame(frame, comments.get(frame.number, ()))
    writer.finish(dropped, notes)


def read(file: BinaryIO) -> Capture:
    """Read a pcapng file of either byte order; frames are numbered from 1, unknown blocks and options passed over.

    A frame without a direction counts as ``"in"``; interfaces without a name are called ``if0``, ``if1``, ... Raises
    `LabError` with the offset for a file that is no whole pcapng of Ethernet frames.
    """
    return _Reader(file.read(), str(getattr(file, "name", "capture"))).read()


def frames(file: BinaryIO) -> Iterator[Frame]:
    """Yield the frames of a pcapng file, as `read` has them, one by one."""
    return _Reader(file.read(), str(getattr(file, "name", "capture"))).frames()


def read_frames(path: str | Path) -> list[Frame]:
    """The frames of a pcap or pcapng file, as `read` has them; those of a pcap are of one interface.

    Raises `LabError` where the file cannot be read, is neither, or holds other than Ethernet frames.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}") from error
    reader = _Reader(data, str(path))
    if data[:4] not in _PCAP:
        return list(reader.frames())
    only = Interface("", "if0")
    records = enumerate(reader.read_pcap(*_PCAP[data[:4]]), 1)
    return [Frame(number, time, only, IN, kept) for number, (time, kept) in records]


def read_packets(path: str | Path) -> list[tuple[int, bytes]]:
    """The packets of a pcap or pcapng file for replay: (time in nanoseconds, bytes) each.

    Raises `LabError` where the file cannot be read, is neither, or holds other than Ethernet frames.
    """
    return [(frame.time, frame.data) for frame in read_frames(path)]


@dataclass(slots=True)
class _Described:
    """An interface of the section at hand, and how its times count."""

    interface: Interface
    units: int = 10**6  # a second
    offset: int = 0  # seconds


class _Reader:
    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        self.order = "<"
        self.described: list[_Described] = []
        self.capture = Capture()
        self.count = 0

    def wrong(self, offset: int, what: str) -> LabError:
        return LabError(f"{self.name}: offset {offset}: {what}")

    def unpack(self, layout: str, offset: int, end: int, what: str) -> tuple[Any, ...]:
        if offset + calcsize("<" + layout) > end:
            raise self.wrong(offset, f"{what} is cut off")
        return unpack_from(self.order + layout, self.data, offset)

    def read(self) -> Capture:
        self.capture.frames = list(self.frames())
        return self.capture

    def frames(self) -> Iterator[Frame]:
        if self.data[:4] != b"\x0a\x0d\x0d\x0a":
            kind = "an empty file" if not self.data else "no pcapng file: it does not start with a section header block"
            raise self.wrong(0, kind)
        readers: dict[int, Callable[[int, int], Frame | None]] = {
            SECTION: self.section,
            INTERFACE: self.interface,
            NAMES: self.names,
            STATISTICS: self.statistics,
            PACKET: self.packet,
        }
        at = 0
        while at < len(self.data):
            if self.data[at : at + 4] == b"\x0a\x0d\x0d\x0a":  # the same in both orders: its body says which
                order = _BYTE_ORDER.get(self.data[at + 8 : at + 12])
                if order is None:
                    raise self.wrong(at + 8, "the byte-order magic of the section is wrong or cut off")
                self.order = order
            kind, length = self.unpack("II", at, len(self.data), "a block")
            if length < 12 or length % 4:
                raise self.wrong(at + 4, f"a block cannot be {length} bytes long")
            if at + length > len(self.data):
                raise self.wrong(at, f"a block of {length} bytes is cut off after {len(self.data) - at}")
            (again,) = self.unpack("I", at + length - 4, len(self.data), "a block")
            if again != length:
                raise self.wrong(at + length - 4, f"the block starts with length {length} and ends with {again}")
            if reader := readers.get(kind):
                frame = reader(at + 8, at + length - 4)
                if frame is not None:
                    yield frame
            at += length

    def options(self, at: int, end: int) -> Iterator[tuple[int, int, bytes]]:
        """(code, offset, value) of each option."""
        while at < end:
            code, length = self.unpack("HH", at, end, "an option")
            if code == 0:
                return
            if at + 4 + length > end:
                raise self.wrong(at, f"option {code} of {length} bytes runs over the end of its block")
            yield code, at, self.data[at + 4 : at + 4 + length]
            at += 4 + length + -length % 4

    def number(self, value: bytes, size: int, offset: int) -> int:
        if len(value) != size:
            raise self.wrong(offset, f"an option of {size} bytes is {len(value)} bytes long")
        return int.from_bytes(value, "big" if self.order == ">" else "little")

    def section(self, at: int, end: int) -> None:
        _, major, _, _ = self.unpack("IHHq", at, end, "a section header")
        if major != 1:
            raise self.wrong(at + 4, f"pcapng of version {major} is not known")
        self.described = []
        names = {COMMENT: "section_comment", SHB_HARDWARE: "hardware", SHB_OS: "os", SHB_USERAPPL: "application"}
        for code, _, value in self.options(at + 16, end):
            if code in names and not getattr(self.capture, names[code]):
                setattr(self.capture, names[code], _text(value))

    def interface(self, at: int, end: int) -> None:
        link, _, _ = self.unpack("HHI", at, end, "an interface description")
        if link != ETHERNET:
            raise self.wrong(at, f"link type {link} is not Ethernet ({ETHERNET})")
        name, kind, mac, described = f"if{len(self.described)}", "", "", _Described(Interface("", ""))
        for code, offset, value in self.options(at + 8, end):
            if code == IF_NAME:
                name = _text(value)
            elif code == IF_DESCRIPTION:
                kind = _text(value)
            elif code == IF_MACADDR:
                mac = value.hex(":")
            elif code == IF_TSRESOL:
                exponent = self.number(value, 1, offset)
                described.units = 2 ** (exponent & 0x7F) if exponent & 0x80 else 10**exponent
            elif code == IF_TSOFFSET:
                seconds = self.number(value, 8, offset)
                described.offset = seconds - (1 << 64 if seconds >> 63 else 0)
        netns, _, bare = name.rpartition("/")
        described.interface = Interface(netns, bare, kind=kind, mac=mac)
        self.described.append(described)
        if described.interface not in self.capture.interfaces:
            self.capture.interfaces.append(described.interface)

    def which(self, index: int, offset: int) -> _Described:
        if index >= len(self.described):
            raise self.wrong(offset, f"interface {index} is not described; there are {len(self.described)}")
        return self.described[index]

    def packet(self, at: int, end: int) -> Frame:
        index, high, low, kept, length = self.unpack("IIIII", at, end, "a packet")
        described = self.which(index, at)
        start = at + 20
        if start + kept > end:
            raise self.wrong(at + 12, f"a packet of {kept} bytes runs over the end of its block")
        time = (high << 32 | low) * 10**9 // described.units + described.offset * 10**9
        number = self.count = self.count + 1
        frame = Frame(number, time, described.interface, IN, self.data[start : start + kept], length)
        for code, offset, value in self.options(start + kept + -kept % 4, end):
            if code == COMMENT:
                self.capture.comments.setdefault(number, []).append(_text(value))
            elif code == EPB_FLAGS:
                frame.direction = OUT if self.number(value, 4, offset) & 3 == DIRECTIONS[OUT] else IN
            elif code == EPB_PACKETID:
                frame.packet = self.number(value, 8, offset)
        return frame

    def names(self, at: int, end: int) -> None:
        while at < end:
            kind, length = self.unpack("HH", at, end, "a name record")
            if kind == 0:
                return
            if at + 4 + length > end:
                raise self.wrong(at, f"a name record of {length} bytes runs over the end of its block")
            value = self.data[at + 4 : at + 4 + length]
            size = {1: 4, 2: 16}.get(kind)
            if size and len(value) > size:
                self.capture.names[str(ip_address(value[:size]))] = _text(value[size:].split(b"\0")[0])
            at += 4 + length + -length % 4

    def statistics(self, at: int, end: int) -> None:
        index, _, _ = self.unpack("III", at, end, "interface statistics")
        described = self.which(index, at)
        for code, offset, value in self.options(at + 12, end):
            if code == COMMENT:
                self.capture.notes[described.interface] = _text(value)
            elif code == ISB_IFDROP:
                self.capture.dropped[described.interface] = self.number(value, 8, offset)

    def read_pcap(self, order: str, fraction: int) -> Iterator[tuple[int, bytes]]:
        self.order = order
        end = len(self.data)
        link = self.unpack("IHHiIII", 0, end, "the file header")[6] & 0xFFFF
        if link != ETHERNET:
            raise self.wrong(20, f"link type {link} is not Ethernet ({ETHERNET})")
        at = 24
        while at < end:
            seconds, part, kept, _ = self.unpack("IIII", at, end, "a record")
            at += 16
            if at + kept > end:
                raise self.wrong(at - 8, f"a packet of {kept} bytes runs over the end of the file")
            yield seconds * 10**9 + part * fraction, self.data[at : at + kept]
            at += kept


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
