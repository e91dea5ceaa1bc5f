"""Patterns: a Scapy packet, of which only the fields written down count.

    ARP(op="who-has", pdst="192.168.3.102")

matches any frame that holds an ARP header with these two fields, whatever the rest is; a stack of layers matches
where the layers follow each other in the frame, also inside a VXLAN tunnel. A datagram quoted by an ICMP error is
another thing (Scapy calls its layers IPerror, ICMPerror, ...), and is not matched by IP or ICMP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import compress, tee
from operator import attrgetter
from typing import Any

from pktlab.errors import PatternError
from pktlab.frame import IN, Frame
from pktlab.frames import bindings
from pktlab.frames.match import Buffer, Matcher
from pktlab.interface import Interface

_bound: set[int] = set()


def load() -> None:
    """Import Scapy without letting it look at the machine's own routes and interfaces."""
    import pktlab.frames.scapy_config  # noqa: F401


def bind_vxlan(ports: Iterable[int]) -> None:
    """Make Scapy see VXLAN behind these UDP destination ports, besides the ones that it knows."""
    load()
    from scapy.layers.inet import UDP
    from scapy.layers.vxlan import VXLAN
    from scapy.packet import bind_layers

    for port in set(ports) - _bound:
        bind_layers(UDP, VXLAN, dport=port)
        _bound.add(port)


def dissected(frame: Frame) -> Any:
    """Return a frame as a Scapy packet, dissected once."""
    if frame._dissected is None:
        load()
        from scapy.layers.l2 import Ether

        frame._dissected = Ether(frame.data)
    return frame._dissected


Test = Callable[[Any], bool]


class Pattern:
    """A Scapy packet made ready for matching.

    Raises PatternError for anything that is no Scapy packet.
    """

    def __init__(self, packet: Any) -> None:
        load()
        from scapy.packet import Packet

        if isinstance(packet, type) and issubclass(packet, Packet):
            raise PatternError(
                f"{packet.__name__} is a class, not a packet", remedy=f"write {packet.__name__}() for any packet of it"
            )
        if not isinstance(packet, Packet):
            raise PatternError(f"{packet!r} is not a pattern", remedy='give a Scapy packet, as in ARP(op="who-has")')
        self.packet = packet
        self._layers = [(type(layer), _written(layer)) for layer in _layers(packet)]

    def __str__(self) -> str:
        """The pattern in short: layers, and the fields that were written down."""
        named = [(type(layer).__name__, _shown(layer)) for layer in _layers(self.packet)]
        return " / ".join(" ".join([_NAMES.get(name, name), *fields]) for name, fields in named)

    @cached_property
    def matcher(self) -> Matcher:
        """What matches by bytes, made of the pattern and of Scapy's bindings when it is first needed."""
        layers = [bindings.layer(layer) for layer in _layers(self.packet)]
        return Matcher(layers, bindings.grammar(self._layers[0][0]))

    def matches(self, frame: Frame) -> bool:
        """Tell whether the frame holds these layers, one behind the other, with these fields."""
        matcher = self.matcher
        if matcher.possible(frame.data) is None:
            return False
        return matcher.certain(frame.data) or self.dissects(frame)

    def among(self, frames: Iterable[Frame]) -> list[Frame]:
        """Return those of many frames that match, in order."""
        ones, others = tee(frames)
        likely = compress(ones, map(self.matcher.possible, map(attrgetter("data"), others)))
        return [frame for frame in likely if self.matcher.certain(frame.data) or self.dissects(frame)]

    def scan(self, buffer: Buffer, offsets: Sequence[int], lengths: Sequence[int]) -> Iterator[int]:
        """Yield which of the frames that lie in a buffer match, counted from 0."""
        return self.matcher.scan(buffer, offsets, lengths, lambda data: self.dissects(Frame(0, 0, _NOWHERE, IN, data)))

    def dissects(self, frame: Frame) -> bool:
        """Tell the same as `matches`, by Scapy's dissection alone: three hundred times slower."""
        if len(frame.data) < _ETHERNET:
            return False  # Scapy cannot read it at all
        first, _ = self._layers[0]
        quotes = first.__name__.endswith(_QUOTED)
        layer = dissected(frame)
        while layer:
            if type(layer) is first and self._match_from(layer):
                return True
            if not quotes and type(layer).__name__.endswith(_QUOTED):
                return False  # behind it is only what was quoted, even where that is a tunnel with frames of its own
            layer = layer.payload
        return False

    def _match_from(self, layer: Any) -> bool:
        for kind, fields in self._layers:
            if type(layer) is not kind:
                return False
            if not all(test(layer.getfieldval(name)) for name, test in fields):
                return False
            layer = layer.payload
        return True


_NOWHERE = Interface("", "")
_ETHERNET = 14  # the size of a header
_QUOTED = ("error", "error6")  # how Scapy's names end for layers within an ICMP error
_NAMES = {"Ether": "Ethernet", "Raw": "data"}


def _shown(layer: Any) -> list[str]:
    words = []
    for name, value in layer.fields.items():
        if isinstance(value, list) and not value:
            continue
        field = layer.get_field(name)
        text = str(value) if isinstance(value, str | list | tuple) else str(field.i2repr(layer, value))
        text = text.removeprefix('Net("').removesuffix('")')
        words.append(f"{name} {text}")
    return words


def _layers(packet: Any) -> Iterator[Any]:
    from scapy.packet import NoPayload

    while packet is not None and not isinstance(packet, NoPayload):
        yield packet
        packet = packet.payload


def _written(layer: Any) -> list[tuple[str, Test]]:
    """Return a test for each field that was written down.

    `fields` holds these with enums resolved, but also what Scapy fills in by itself: empty lists.
    """
    tests = []
    for name, value in layer.fields.items():
        if isinstance(value, list) and not value:
            continue
        tests.append((name, _test(layer, name, value)))
    return tests


def _test(layer: Any, name: str, value: Any) -> Test:
    from scapy.base_classes import Net
    from scapy.fields import Field

    field = layer.get_field(name)
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(end, int) for end in value):
        low, high = value  # Scapy's own notation of a range, as in ttl=(1, 63)
        return lambda seen: isinstance(seen, int) and low <= seen <= high
    if isinstance(value, Net):
        return lambda seen: seen in value  # as in dst="10.0.0.0/24"
    if isinstance(value, list) and not getattr(field, "islist", 0):
        choices = [_test(layer, name, each) for each in value]
        return lambda seen: any(test(seen) for test in choices)
    if type(value).__name__ == "FlagValue":
        wanted = int(value)
        return lambda seen: int(seen) == wanted
    if isinstance(field, Field) and isinstance(value, str):
        wanted_text = _canonical(field.any2i(layer, value))
        return lambda seen: _canonical(seen) == wanted_text
    canonical = _canonical(value)
    return lambda seen: bool(_canonical(seen) == canonical)


def _canonical(value: Any) -> Any:
    """Bring a field's value into one form: MAC addresses keep the case in which they were written."""
    if isinstance(value, str):
        return value.lower()
    if isinstance(value, bytearray):
        return bytes(value)
    return value
