"""Where the fields of a header lie, and what a header must hold, written as a regular expression over its bytes.

A field's wanted values are ranges of numbers, however long the field is: a MAC address is a number of 48 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

Ranges = tuple[tuple[int, int], ...]  # from and to, both included

_ICMP = {
    "type": (0, 8),
    "code": (8, 8),
    "chksum": (16, 16),
    # The rest is there in some types only; see CONDITIONS.
    "id": (32, 16),
    "seq": (48, 16),
    "gw": (32, 32),
    "ptr": (32, 8),
    "reserved": (32, 8),
    "length": (40, 8),
    "nexthopmtu": (48, 16),
}
_IP = {
    "version": (0, 4),
    "ihl": (4, 4),
    "tos": (8, 8),
    "len": (16, 16),
    "id": (32, 16),
    "flags": (48, 3),
    "frag": (51, 13),
    "ttl": (64, 8),
    "proto": (72, 8),
    "chksum": (80, 16),
    "src": (96, 32),
    "dst": (128, 32),
}
_TCP = {
    "sport": (0, 16),
    "dport": (16, 16),
    "seq": (32, 32),
    "ack": (64, 32),
    "dataofs": (96, 4),
    "reserved": (100, 3),
    "flags": (103, 9),
    "window": (112, 16),
    "chksum": (128, 16),
    "urgptr": (144, 16),
}
_UDP = {"sport": (0, 16), "dport": (16, 16), "len": (32, 16), "chksum": (48, 16)}
_TAG = {"prio": (0, 3), "dei": (3, 1), "vlan": (4, 12), "type": (16, 16)}

#: Scapy's name of the layer -> the bytes that its header has at least, and each field's first bit and width.
LAYOUTS: Mapping[str, tuple[int, Mapping[str, tuple[int, int]]]] = MappingProxyType(
    {
        "Ether": (14, {"dst": (0, 48), "src": (48, 48), "type": (96, 16)}),
        "Dot1Q": (4, _TAG),
        "Dot1AD": (4, _TAG),
        "ARP": (
            28,
            {
                "hwtype": (0, 16),
                "ptype": (16, 16),
                "hwlen": (32, 8),
                "plen": (40, 8),
                "op": (48, 16),
                "hwsrc": (64, 48),
                "psrc": (112, 32),
                "hwdst": (144, 48),
                "pdst": (192, 32),
            },
        ),
        "IP": (20, _IP),
        "IPerror": (20, _IP),
        "IPv6": (
            40,
            {
                "version": (0, 4),
                "fl": (12, 20),
                "plen": (32, 16),
                "nh": (48, 8),
                "hlim": (56, 8),
                "src": (64, 128),
                "dst": (192, 128),
            },
        ),
        "ICMP": (8, _ICMP),
        "ICMPerror": (8, _ICMP),
        "UDP": (8, _UDP),
        "UDPerror": (8, _UDP),
        "TCP": (20, _TCP),
        "TCPerror": (8, {name: _TCP[name] for name in ("sport", "dport", "seq")}),  # often no more is quoted
        "VXLAN": (8, {"flags": (0, 8), "vni": (32, 24), "reserved2": (56, 8)}),
    }
)

_ICMP_QUERIES: Ranges = ((0, 0), (8, 8), (13, 18), (37, 38))
_ICMP_TYPES: Mapping[str, Ranges] = {
    "id": _ICMP_QUERIES,
    "seq": _ICMP_QUERIES,
    "gw": ((5, 5),),
    "ptr": ((12, 12),),
    "reserved": ((3, 3), (11, 11)),
    "length": ((3, 3), (11, 12)),
    "nexthopmtu": ((3, 3),),
}
#: Fields that only some types of a layer have, by Scapy; where they are missing, Scapy takes them for 0.
CONDITIONS: Mapping[str, Mapping[str, Ranges]] = MappingProxyType({"ICMP": _ICMP_TYPES, "ICMPerror": _ICMP_TYPES})

_ALL = frozenset(range(256))


class Header:
    """A header, or its first bytes, and what they must be."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.size, self._places = LAYOUTS[layer]
        self._bytes: list[frozenset[int]] = [_ALL] * self.size
        self._ahead: list[str] = []

    def require(self, field: str, ranges: Ranges) -> Header:
        """Let the field have a value in one of these ranges."""
        first, rows = _rows(*self._places[field], ranges)
        if len(rows) == 1:
            for index, values in enumerate(rows[0], first):
                before = self._bytes[index]
                self._bytes[index] = values if before is _ALL else before & values
        elif all(len(row) == 1 for row in rows):  # of no rows too: then nothing is allowed
            values = frozenset[int]().union(*(row[0] for row in rows))
            self._bytes[first] = values if self._bytes[first] is _ALL else self._bytes[first] & values
        else:
            self._ahead.append(f"(?={expression([_ALL] * first)}{_either(rows)})")
        return self

    def alone(self, field: str, ranges: Ranges) -> str:
        """Return the expression for the bytes of one field."""
        return _either(_rows(*self._places[field], ranges)[1])

    def ahead(self, regex: str) -> Header:
        """Let a lookahead hold where the header starts."""
        self._ahead.append(regex)
        return self

    def prefix(self) -> str:
        """Return the expression for as many bytes as are not free."""
        count = max((i + 1 for i, values in enumerate(self._bytes) if len(values) < 256), default=0)
        return "".join(self._ahead) + expression(self._bytes[:count])

    def regex(self) -> str | None:
        """Return the expression for the whole header; None if nothing can be such a header."""
        if not all(self._bytes):
            return None
        return "".join(self._ahead) + expression(self._bytes)

    def constants(self) -> Iterator[bytes]:
        """Yield the runs of bytes that can be only one thing."""
        run = b""
        for values in [*self._bytes, _ALL]:
            if len(values) == 1:
                run += bytes(values)
            elif run:
                yield run
                run = b""


@lru_cache(maxsize=4096)
def _rows(at: int, width: int, ranges: Ranges) -> tuple[int, list[list[frozenset[int]]]]:
    """Return a field's first byte, and sequences of what its bytes may be, one of which must fit."""
    first, last = at // 8, (at + width - 1) // 8
    digits = []  # byte for byte: how far the field's bits are shifted in it, and how many they are
    for index in range(first, last + 1):
        left, right = max(at, index * 8), min(at + width, index * 8 + 8)
        digits.append((index * 8 + 8 - right, right - left))
    assert digits[-1][0] == 0 or first == last, "a field that is shifted across bytes"
    top = (1 << width) - 1
    rows = []
    for low, high in ranges:
        if low <= top and high >= 0 and low <= high:
            for spans in _between(max(low, 0), min(high, top), [bits for _shift, bits in digits]):
                rows.append([_byte(*span, *digit) for span, digit in zip(spans, digits, strict=True)])
    return first, rows


@lru_cache(maxsize=4096)
def _byte(low: int, high: int, shift: int, bits: int) -> frozenset[int]:
    mask = (1 << bits) - 1
    if low == 0 and high == mask:
        return _ALL
    return frozenset(value for value in range(256) if low <= value >> shift & mask <= high)


def _between(low: int, high: int, digits: Sequence[int]) -> list[list[tuple[int, int]]]:
    """Return the numbers from low to high as sequences of ranges of digits; `digits` is how many bits each has."""
    if len(digits) == 1:
        return [[(low, high)]]
    rest = sum(digits[1:])
    full = (1 << rest) - 1
    (first, low_rest), (last, high_rest) = divmod(low, full + 1), divmod(high, full + 1)
    if first == last:
        return [[(first, first), *row] for row in _between(low_rest, high_rest, digits[1:])]
    rows = []
    if low_rest:
        rows += [[(first, first), *row] for row in _between(low_rest, full, digits[1:])]
        first += 1
    tail = []
    if high_rest != full:
        tail = [[(last, last), *row] for row in _between(0, high_rest, digits[1:])]
        last -= 1
    if first <= last:
        rows.append([(first, last), *((0, (1 << bits) - 1) for bits in digits[1:])])
    return rows + tail


def expression(row: Iterable[frozenset[int]]) -> str:
    """Return the expression for bytes that may be these."""
    out, free = [], 0
    for values in row:
        if len(values) == 256:
            free += 1
            continue
        out += [_any(free), _class(values)]
        free = 0
    return "".join([*out, _any(free)])


def _any(count: int) -> str:
    return "" if count == 0 else "." if count == 1 else f".{{{count}}}"


@lru_cache(maxsize=4096)
def _class(values: frozenset[int]) -> str:
    if len(values) == 1:
        return _escaped(min(values))
    if not values:
        return "(?!)"
    spans: list[list[int]] = []
    for value in sorted(values):
        if spans and value == spans[-1][1] + 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    inner = "".join(_escaped(a) if a == b else f"{_escaped(a)}-{_escaped(b)}" for a, b in spans)
    return f"[{inner}]"


def _either(rows: Sequence[Sequence[frozenset[int]]]) -> str:
    ways: dict[str, frozenset[int]] = {}  # beginning -> what the last byte may be
    for row in rows:
        start = expression(row[:-1])
        ways[start] = ways.get(start, frozenset()) | row[-1]
    if len(ways) == 1:
        ((start, last),) = ways.items()
        return start + expression([last])
    return f"(?:{'|'.join(start + expression([last]) for start, last in ways.items())})" if ways else "(?!)"


def literal(data: bytes) -> str:
    """Return the expression for exactly these bytes."""
    return "".join(map(_escaped, data))


def _escaped(value: int) -> str:
    return f"\\x{value:02x}"
