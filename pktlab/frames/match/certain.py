"""The expression for frames that Scapy is sure to find a pattern in.

Each way that headers usually follow each other is written out, from the outermost to the last of the pattern, so all
sizes are known: what a length field must say at least, or exactly where a payload is compared, is a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from pktlab.frames.match.grammar import Grammar, Layer, Selector, choose, fitting, others, wanted
from pktlab.frames.match.layout import Header, Ranges, literal

_LINKS = (
    ("Ether",),
    ("Ether", "Dot1Q"),
    ("Ether", "Dot1AD"),
    ("Ether", "Dot1AD", "Dot1Q"),
    ("Ether", "Dot1Q", "Dot1Q"),
)
_TUNNEL = ("IP", "UDP", "VXLAN")
# What may be between the link and the first layer of the pattern.
_BETWEEN: dict[str, tuple[tuple[str, ...], ...]] = {
    "Ether": ((),),
    "Dot1Q": ((),),
    "Dot1AD": ((),),
    "ARP": ((),),
    "IP": ((),),
    "IPv6": ((),),
    "ICMP": (("IP",),),
    "TCP": (("IP",), ("IPv6",)),
    "UDP": (("IP",), ("IPv6",)),
    "VXLAN": (("IP", "UDP"), ("IPv6", "UDP")),
    "IPerror": (("IP", "ICMP"),),
    "ICMPerror": (("IP", "ICMP", "IPerror"),),
    "UDPerror": (("IP", "ICMP", "IPerror"),),
    "Raw": (("IP", "UDP"), ("IP", "ICMP"), ("IP", "TCP"), ("IPv6", "UDP"), ("IPv6", "TCP")),
}
_LENGTH = {"IP": "len", "IPerror": "len", "IPv6": "plen", "UDP": "len", "UDPerror": "len"}
_TOP = 0xFFFF
_MIN_TYPE = 1501  # below, it is a length, and Scapy takes it for Dot3 or LLC
_QUOTING: Ranges = ((3, 5), (11, 12))  # types of ICMP; Scapy looks for extensions behind long ones of 3, 11 and 12
_LONGER: Ranges = ((13, 14), (17, 18), (37, 38))
_EXTENDED_FROM = 144
_PLAIN_VXLAN: Ranges = ((0x08, 0x08), (0x88, 0x88))  # flags, without or with group policy
# The size of options, noted by groups, and as many bytes.
_SIZES = "|".join(rf"(\x{0x40 + words:x})" for words in range(6, 16))
_GAPS = "".join(f"(?({group}).{{{4 * group}}})" for group in range(1, 11))
_ROOM = 60  # for an IPv4 header with all the options that there can be
_TCP_AO = r"\x1d"  # the option that Scapy may fail to read


def certain(pattern: Sequence[Layer], grammar: Grammar) -> Iterator[str]:
    """Yield expressions for frames that Scapy finds the pattern in, those for the most usual frames first."""
    if not all(layer.whole and layer.name in _BETWEEN for layer in pattern):
        return
    for options in (False, True):
        for before in _before(pattern[0].name):
            layers = [*map(Layer, before), *pattern]
            names = [layer.name for layer in layers]
            if options and (names.count("IP") != 1 or names[-1] in ("IP", "Raw") or {"Dot1Q", "Dot1AD"} & {*names}):
                continue
            if all(_follows(one, other, grammar) for one, other in pairwise(names)):
                for choice in _choices(names):
                    regex = _Way(layers, grammar, options=options, **choice).regex()
                    if regex is not None:
                        yield regex


def _before(first: str) -> Iterator[tuple[str, ...]]:
    """The layers that may be before the first of the pattern."""
    for tunnel in ((), ("Ether", *_TUNNEL), ("Ether", "Dot1Q", *_TUNNEL)):
        links = _LINKS[:2] if tunnel else _LINKS
        if first == "Ether":
            yield tunnel
        elif first in ("Dot1Q", "Dot1AD"):
            yield from (tunnel + link[:-1] for link in links if link[-1] == first)
        else:
            for between in _BETWEEN[first]:
                usual = links if "IPv6" not in between else links[:1]
                yield from (tunnel + link + between for link in usual)


def _follows(layer: str, target: str, grammar: Grammar) -> bool:
    if any(edge.selector is None for edge in grammar.edges.get(layer, ())):
        return False
    return target == "Raw" or any(edge.target == target for edge in grammar.edges.get(layer, ()))


def _choices(names: Sequence[str]) -> Iterator[dict[str, bool]]:
    """What makes ways of different sizes: TCP without options or with the usual ones, ICMP that quotes."""
    for timestamps in (False, True) if names[-1] != "TCP" and "TCP" in names else (False,):
        for quoting in (False, True) if "ICMP" in names or "ICMPerror" in names else (False,):
            yield {"timestamps": timestamps, "quoting": quoting}


class _Way:
    """One way for headers to follow each other."""

    def __init__(
        self, layers: Sequence[Layer], grammar: Grammar, *, options: bool, timestamps: bool, quoting: bool
    ) -> None:
        self.layers = layers
        self.edges = grammar.edges
        self.options = options
        self.timestamps = timestamps
        self.quoting = quoting
        self.exact = self._exact()

    def _exact(self) -> frozenset[int]:
        """The layers whose length field says where a payload that is compared ends: those of the innermost packet."""
        names = [layer.name for layer in self.layers]
        if names[-1] != "Raw" or self.layers[-1].load is None:
            return frozenset()
        bearing: list[int] = []
        for index, name in enumerate(names):
            if name in ("IP", "IPv6", "IPerror"):
                bearing = []
            if name in _LENGTH:
                bearing.append(index)
        return frozenset(bearing)

    def regex(self) -> str | None:
        need, out = 0, ""
        for index in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[index]
            if layer.name == "Raw":
                if index != len(self.layers) - 1 or layer.load == b"":
                    return None
                need = len(layer.load or b"-")
                out = literal(layer.load) if layer.load else "."
                out += r"\Z" if layer.load and not self.exact else ""
                continue
            part = self._part(index, need)
            if part is None:
                return None
            regex, size = part
            need, out = need + size, regex + out
        return out

    def _part(self, index: int, need: int) -> tuple[str, int] | None:
        """A header with `need` bytes behind it, and its size."""
        layer = self.layers[index]
        last = index == len(self.layers) - 1
        header = self._header(index)
        if header is None:
            return None
        size = header.size
        behind = ""
        if layer.name == "ARP":
            header.require("hwtype", ((1, 1),)).require("ptype", ((0x0800, 0x0800),))
            header.require("hwlen", ((6, 6),)).require("plen", ((4, 4),))
        elif layer.name in ("IP", "IPerror"):
            behind = self._ipv4(header, index, need)
        elif layer.name == "VXLAN":
            header.require("flags", _PLAIN_VXLAN)
        elif layer.name in _LENGTH and not last:
            least = need + (8 if layer.name != "IPv6" else 0)
            header.require(_LENGTH[layer.name], ((least, least if index in self.exact else _TOP),))
        elif layer.name in ("ICMP", "ICMPerror"):
            header.require("type", _QUOTING if self._quotes(index) else others((*_QUOTING, *_LONGER)))
        elif layer.name == "TCP":
            if last:
                header.ahead(f"(?=.{{12}}(?:[\\x00-\\x5f]{self._tcp_options()}))")
            else:
                words = 8 if self.timestamps else 5
                header.require("dataofs", ((words, words),))
                behind = f"[^{_TCP_AO}]{{12}}" if self.timestamps else ""
                size = 4 * words
        regex = header.regex()
        return None if regex is None else (regex + behind, size)

    def _quotes(self, index: int) -> bool:
        names = [layer.name for layer in self.layers[index : index + 2]]
        return names[0] in ("ICMP", "ICMPerror") and (self.quoting or names[1:] == ["IPerror"])

    @staticmethod
    def _tcp_options() -> str:
        return "".join(f"|[\\x{n:x}0-\\x{n:x}f].{{7}}[^{_TCP_AO}]{{{4 * (n - 5)}}}" for n in range(6, 16))

    def _ipv4(self, header: Header, index: int, need: int) -> str:
        """Let an IPv4 header fit what is behind it; return the expression for its options."""
        last = index == len(self.layers) - 1
        options = self.options and header.layer == "IP" and not last
        header.require("version", ((4, 4),)).require("ihl", ((6 if options else 5, 15 if options or last else 5),))
        if last:
            return ""
        least = (_ROOM if options else 20) + need
        most = least if index in self.exact else _TOP
        if self._quotes(index + 1):
            most = 20 + _EXTENDED_FROM - 1
        header.require("len", ((least, most),))
        if options:
            header.ahead(f"(?={_SIZES})")
        return _GAPS if options else ""

    def _header(self, index: int) -> Header | None:
        """What the pattern wants of the header, and that the next layer follows."""
        header = wanted(self.layers[index])
        if header.layer == "Ether" or (header.layer in ("Dot1Q", "Dot1AD") and index < len(self.layers) - 1):
            header.require("type", ((_MIN_TYPE, _TOP),))
        if index == len(self.layers) - 1:
            return header
        target = self.layers[index + 1].name
        edges = self.edges[header.layer]
        chosen = [edge.selector for edge in edges if edge.target == target and edge.selector is not None]
        last = max((at for at, edge in enumerate(edges) if edge.target == target), default=len(edges))
        earlier = [edge.selector for edge in edges[:last] if edge.target != target and edge.selector is not None]
        if target != "Raw" and header.layer != "VXLAN":
            choose(header, chosen)
            earlier = [one for one in earlier if not all(_disjoint(one, other) for other in chosen)]
        elif target == "Raw" and header.layer in ("VXLAN", "IPv6", "ARP"):
            return None
        if earlier:
            header.ahead(f"(?!{fitting(header.layer, earlier)})")
        return header


def _disjoint(one: Selector, other: Selector) -> bool:
    return any(name in other and other[name] != value for name, value in one.items())
