"""What Scapy knows, as plain data: which layer it takes to follow which, and what a pattern wants of each field."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any

from pktlab.frames.match import Edge, Grammar, Layer
from pktlab.frames.match.layout import LAYOUTS, Ranges

_ICMP_ERRORS = (3, 4, 5, 11, 12)
_QUOTED = ("error", "error6")  # how Scapy's names end for layers within an ICMP error
_ICMPV6 = "scapy.layers.inet6.ICMPv6"
# Where a class chooses what follows by a rule of its own, what that may be besides what is bound to it.
_OWN_RULES = ("guess_payload_class", "default_payload_class", "dispatch_hook")
_OWN_CHOICES = {
    "Ether": ("Dot3",),
    "Dot3": ("Ether",),
    "Dot1Q": ("LLC",),
    "Dot1AD": ("LLC",),
    "ICMP": ("IPerror",),
    "ICMPerror": ("IPerror",),
}


def layer(scapy_layer: Any) -> Layer:
    """Return what a layer of a pattern wants; `whole` is False where a part of it can be told by Scapy only."""
    name = name_of(type(scapy_layer))
    written = {n: v for n, v in scapy_layer.fields.items() if not (isinstance(v, list) and not v)}
    if name == "Raw":
        load = written.pop("load", None)
        return Layer(name, load=load if isinstance(load, bytes) else None, whole=isinstance(load, bytes | None))
    fields: dict[str, Ranges] = {}
    whole = name in LAYOUTS
    for field, value in written.items():
        known = name in LAYOUTS and field in LAYOUTS[name][1]
        ranges = _ranges(scapy_layer.get_field(field), value, LAYOUTS[name][1][field][1]) if known else None
        if ranges is None:
            whole = False
        else:
            fields[field] = ranges
    return Layer(name, fields, whole=whole)


def _ranges(field: Any, value: Any, width: int) -> Ranges | None:
    """Return the numbers that a field has if it is what was written; None if that cannot be told."""
    from scapy.base_classes import Net
    from scapy.fields import FlagsField

    if type(value) is tuple and len(value) == 2 and all(isinstance(end, int) for end in value):
        return None if isinstance(field, FlagsField) or (width >= 32 and _is_address(field)) else (value,)
    if isinstance(value, Net):
        return ((int(value.start), int(value.stop)),)
    if isinstance(value, list):
        every = [_ranges(field, each, width) for each in value]
        return None if None in every else tuple(sorted({r for each in every if each for r in each}))
    if type(value).__name__ == "FlagValue" or (isinstance(value, int) and not _is_address(field)):
        return ((int(value), int(value)),)
    if isinstance(value, str) and _is_address(field):
        number = _address(value, width)
        return None if number is None else ((number, number),)
    return None


def _is_address(field: Any) -> bool:
    from scapy.fields import IP6Field, IPField, MACField, MultipleTypeField

    if isinstance(field, MultipleTypeField):  # of ARP; of the layers known here, no other has one
        return True
    return isinstance(getattr(field, "fld", field), IPField | MACField | IP6Field)


def _address(text: str, width: int) -> int | None:
    """Return an address as a number, if it is written as Scapy writes it."""
    try:
        if width == 48:
            number = int.from_bytes(bytes.fromhex(text.replace(":", "")), "big")
            return number if text.lower() == number.to_bytes(6, "big").hex(":") else None
        if width == 32:
            return int(IPv4Address(text))
        return int(IPv6Address(text)) if text.lower() == str(IPv6Address(text)) and "." not in text else None
    except (AddressValueError, ValueError, OverflowError):
        return None


def name_of(layer: type) -> str:
    """Return a layer's bare name where its bytes are known here, else with its module."""
    return _known().get(layer, f"{layer.__module__}.{layer.__name__}")


@lru_cache(maxsize=1)
def _known() -> dict[type, str]:
    from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror, TCPerror, UDPerror
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import ARP, LLC, Dot1AD, Dot1Q, Dot3, Ether
    from scapy.layers.vxlan import VXLAN
    from scapy.packet import Padding, Raw

    layers = (Ether, Dot3, LLC, Dot1Q, Dot1AD, ARP, IP, IPv6, ICMP, UDP, TCP, VXLAN, Raw, Padding)
    return {layer: layer.__name__ for layer in (*layers, IPerror, ICMPerror, UDPerror, TCPerror)}


def grammar(first: type) -> Grammar:
    """Return what follows what, as bound now, for a pattern that begins with this layer."""
    known = {name: layer for layer, name in _known().items()}
    edges = {name: tuple(_edges(known[name])) for name in LAYOUTS}
    return Grammar(edges, _leads(first))


def _bound(layer: Any) -> Iterator[tuple[dict[str, Any], type]]:
    for each in layer.aliastypes:
        yield from each.payload_guess


def _edges(layer: Any) -> Iterator[Edge]:
    """What is bound to one of the layers whose bytes are known, in Scapy's order."""
    name = name_of(layer)
    if name == "VXLAN":
        # Only the usual header, which has no such field, is told apart by its bytes: then Scapy takes the default, 3.
        yield from (Edge({}, name_of(to)) for bound, to in _bound(layer) if bound == {"NextProtocol": 3})
        return
    if name in ("ICMP", "ICMPerror"):  # a rule of its own; nothing that is bound counts
        yield from (Edge({"type": each}, "IPerror") for each in _ICMP_ERRORS)
        return
    fields = LAYOUTS[name][1]
    for bound, to in _bound(layer):
        usual = all(field in fields and isinstance(value, int) for field, value in bound.items())
        yield Edge(dict(bound) if usual else None, name_of(to))
    if name == "IPv6":
        yield from (Edge({"nh": number}, target) for number, target in _behind_ipv6())


def _behind_ipv6() -> Iterator[tuple[int, str]]:
    """What IPv6 chooses by its own rule: extension headers, and ICMPv6."""
    from scapy.layers.inet6 import ipv6nhcls

    yield 58, _ICMPV6
    for number, to in ipv6nhcls.items():
        yield number, name_of(to) if isinstance(to, type) else to
    yield 135, "scapy.layers.inet6.MIP6"


def _leads(first: type) -> frozenset[str]:
    """Return the layers that are, or may hold, this one."""
    wanted = name_of(first)
    quoted = wanted.endswith(_QUOTED)
    holders: dict[str, set[str]] = {}
    fresh = {wanted}
    for holder, held in _held().items():
        if held is None or (holder == _ICMPV6 and (quoted or wanted not in LAYOUTS)):
            fresh.add(holder)
        for each in held or ():
            holders.setdefault(each, set()).add(holder)
    found: set[str] = set()
    while fresh:
        name = fresh.pop()
        if name == wanted or quoted or not name.endswith(_QUOTED):  # the search ends at what an error quotes
            found.add(name)
            fresh |= holders.get(name, set()) - found
    return frozenset(found)


def _held() -> dict[str, set[str] | None]:
    """Return what each layer that may be in a frame may hold; None where it chooses by a rule of its own."""
    from scapy.layers.l2 import Ether

    out: dict[str, set[str] | None] = {_ICMPV6: set()}
    fresh: set[Any] = {Ether, *_known()}
    while fresh:
        layer = fresh.pop()
        name = name_of(layer)
        if name in LAYOUTS:
            held = {edge.target for edge in _edges(layer)} | set(_OWN_CHOICES.get(name, ()))
        else:
            held = {name_of(to) for _bound_by, to in _bound(layer)} | set(_OWN_CHOICES.get(name, ()))
        follow = {to for _bound_by, to in _bound(layer)}
        out[name] = None if _chooses(layer) else held
        fresh |= {each for each in follow if name_of(each) not in out}
    for number, name in _behind_ipv6():
        if number != 58:
            out.setdefault(name, None)
    return out


def _chooses(layer: Any) -> bool:
    from scapy.packet import Packet

    name = name_of(layer)
    if name in LAYOUTS or name in _OWN_CHOICES:
        return False
    return any(getattr(layer, rule, None) is not getattr(Packet, rule, None) for rule in _OWN_RULES)
