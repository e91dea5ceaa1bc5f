"""Messages of a repeated shape: encoded once with marks in them, then only filled in.

Encoding is what costs in a bring-up: a hundred hosts on a bridge are hundreds of messages that differ in a name,
an index and an address. A value that differs is written as a `Slot`; the encoder sees a mark in its place, whose
position in the bytes is then known.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

IFNAMSIZ = 16


@dataclass(frozen=True, slots=True)
class Slot:
    """A value that differs between messages of one shape: bytes, or a number. Its `kind` says what it looks like."""

    kind: str
    value: Any


def name(text: str) -> Slot:
    """An interface's name: padded with NUL to IFNAMSIZ, so that all have one length."""
    return Slot("name", text.encode())


def mac(text: str) -> Slot:
    """A MAC address."""
    return Slot("mac", bytes.fromhex(text.replace(":", "")))


def ipv4(address: bytes) -> Slot:
    """An IPv4 address, as in inet_aton(3)."""
    return Slot("ipv4", address)


def number(value: int) -> Slot:
    """A whole number of 32 bits, such as an ifindex or a descriptor."""
    return Slot("number", value)


# What stands for the i-th slot of a message while it is encoded, how that looks in the bytes, and how a value does.
_MARKS: dict[str, Callable[[int], Any]] = {
    "name": lambda i: f"#{i:03d}-name-mark#"[: IFNAMSIZ - 1],
    "mac": lambda i: f"0e:a7:5c:31:{i:02x}:d3",
    "ipv4": lambda i: f"233.{i}.119.71",
    "number": lambda i: 0x6E3A0057 | i << 8,
}
_BYTES: dict[str, Callable[[int], bytes]] = {
    "name": lambda i: _MARKS["name"](i).encode().ljust(IFNAMSIZ, b"\0"),
    "mac": lambda i: bytes((0x0E, 0xA7, 0x5C, 0x31, i, 0xD3)),
    "ipv4": lambda i: bytes((233, i, 119, 71)),
    "number": lambda i: struct.pack("=I", _MARKS["number"](i)),
}
_FORMATS = {"name": f"{IFNAMSIZ}s", "mac": "6s", "ipv4": "4s", "number": "I"}


class Template:
    """The bytes of a message with the places of its slots, in the order in which they were found in it."""

    def __init__(self, encoded: bytes, kinds: Sequence[str]) -> None:
        marks = [_BYTES[kind](i) for i, kind in enumerate(kinds)]
        for i, mark in enumerate(marks):
            if encoded.count(mark) != 1:
                raise ValueError(f"the mark of slot {i} ({kinds[i]}) stands {encoded.count(mark)} times in the message")
        # One call packs it all: what stays between the slots, and their values.
        layout, end = "=", 0
        self._parts: list[Any] = []
        self._places = [0] * len(kinds)
        for i in sorted(range(len(kinds)), key=lambda i: encoded.index(marks[i])):
            start = encoded.index(marks[i])
            layout += f"{start - end}s{_FORMATS[kinds[i]]}"
            self._places[i] = len(self._parts) + 1
            self._parts += [encoded[end:start], None]
            end = start + len(marks[i])
        self._parts.append(encoded[end:])
        self._struct = struct.Struct(f"{layout}{len(encoded) - end}s")

    def fill(self, values: Sequence[Any]) -> bytes:
        """Return the message with these values in its slots."""
        parts = self._parts.copy()
        for place, value in zip(self._places, values, strict=True):
            parts[place] = value
        return self._struct.pack(*parts)


def slots(value: Any) -> Iterator[Slot]:
    """Yield the slots in nested data, in a fixed order."""
    if isinstance(value, Slot):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from slots(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from slots(each)


def shape(value: Any) -> Any:
    """Return nested data as something hashable that is equal for all messages of one shape."""
    if isinstance(value, Slot):
        return value.kind
    if isinstance(value, dict):
        return tuple((key, shape(each)) for key, each in value.items())
    if isinstance(value, list | tuple):
        return tuple(shape(each) for each in value)
    return (value,)


def marked(value: Any, counter: Iterator[int]) -> Any:
    """Return nested data with a mark in place of each slot, numbered by `counter`."""
    if isinstance(value, Slot):
        return _MARKS[value.kind](next(counter))
    if isinstance(value, dict):
        return {key: marked(each, counter) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [marked(each, counter) for each in value]
    return value
