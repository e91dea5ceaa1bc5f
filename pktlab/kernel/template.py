"""Messages of a repeated shape: encoded once with marks in them, then only filled in.

Encoding is what costs in a bring-up: a hundred hosts on a bridge are hundreds of messages that differ in a name,
an index and an address. A value that differs is written as a `Slot`; the encoder sees a mark in its place, whose
position in the bytes is then known.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

IFNAMSIZ = 16


@dataclass(frozen=True, slots=True)
class Slot:
    """A value that differs between messages of one shape; `kind` is one of the functions below."""

    kind: str
    value: Any


def name(text: str) -> Slot:
    """An interface's name: padded with NUL to IFNAMSIZ, so that all have one length."""
    return Slot("name", text)


def mac(text: str) -> Slot:
    """A MAC address."""
    return Slot("mac", text)


def ipv4(text: str) -> Slot:
    """An IPv4 address."""
    return Slot("ipv4", text)


def number(value: int) -> Slot:
    """A whole number of 32 bits, such as an ifindex or a descriptor."""
    return Slot("number", value)


# What stands for the i-th slot of a message while it is encoded, and how its value looks in the bytes.
_MARKS: dict[str, Callable[[int], Any]] = {
    "name": lambda i: f"#{i:03d}-name-mark#"[: IFNAMSIZ - 1],
    "mac": lambda i: f"0e:a7:5c:31:{i:02x}:d3",
    "ipv4": lambda i: f"233.{i}.119.71",
    "number": lambda i: 0x6E3A0057 | i << 8,
}
_BYTES: dict[str, Callable[[Any], bytes]] = {
    "name": lambda value: value.encode().ljust(IFNAMSIZ, b"\0"),
    "mac": lambda value: bytes.fromhex(value.replace(":", "")),
    "ipv4": socket.inet_aton,
    "number": lambda value: struct.pack("=I", value),
}


class Template:
    """The bytes of a message with the places of its slots, in the order in which they were found in it."""

    def __init__(self, encoded: bytes, kinds: list[str]) -> None:
        self._bytes = encoded
        self._places: list[tuple[int, Callable[[Any], bytes]]] = []
        for i, kind in enumerate(kinds):
            mark = _BYTES[kind](_MARKS[kind](i))
            if encoded.count(mark) != 1:
                raise ValueError(f"the mark of slot {i} ({kind}) stands {encoded.count(mark)} times in the message")
            self._places.append((encoded.index(mark), _BYTES[kind]))

    def fill(self, values: list[Any]) -> bytes:
        """Return the message with these values in its slots."""
        filled = bytearray(self._bytes)
        for (offset, encode), value in zip(self._places, values, strict=True):
            data = encode(value)
            filled[offset : offset + len(data)] = data
        return bytes(filled)


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
